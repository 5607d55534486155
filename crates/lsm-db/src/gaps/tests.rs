//! The gaps under one thread: what is noted, what survives a put, what is forgotten. What threads
//! do to each other is for the models.

use std::collections::BTreeSet;

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::*;

fn at(seqno: u64) -> Moment {
    Moment {
        complete_through: seqno,
        seqno,
    }
}

fn key(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Nothing from `start` up to `end`, which spares as many tombstones as there are numbers.
fn note(gaps: &Gaps, seqno: u64, start: u32, end: u32) {
    gaps.note(at(seqno), &key(start), &key(end), u64::from(end - start));
}

fn put(gaps: &Gaps, seqno: u64, number: u32) {
    let key = key(number);
    gaps.before_publication(seqno, || std::iter::once(key.as_slice()));
}

fn delete(gaps: &Gaps, seqno: u64) {
    gaps.before_publication(seqno, std::iter::empty);
}

/// Where a read at `seqno` gets from a key, forward and in reverse.
fn passed(gaps: &Gaps, seqno: u64, from: u32) -> Option<(u32, u32)> {
    let number = |key: Bytes| Some(u32::from_be_bytes(key.get(..4)?.try_into().ok()?));
    let end = gaps
        .end_around(at(seqno), &key(from), true)
        .and_then(number);
    let start = gaps
        .start_around(at(seqno), &key(from), true)
        .and_then(number);
    assert_eq!(start.is_some(), end.is_some());
    start.zip(end)
}

#[test]
fn nobody_looks_at_what_is_put_as_long_as_nobody_notes() {
    let gaps = Gaps::<Production>::new();
    gaps.before_publication(7, || -> std::iter::Empty<&[u8]> { panic!("looked at") });
    note(&gaps, 6, 10, 20); // of before the commit that nobody looked at
    assert_eq!(passed(&gaps, 7, 10), None);
    note(&gaps, 7, 10, 20);
    assert_eq!(passed(&gaps, 7, 10), Some((10, 20)));
}

#[test]
fn a_gap_serves_from_where_it_was_found_on_and_inside_only() {
    let gaps = Gaps::<Production>::new();
    note(&gaps, 5, 10, 20);
    for (seqno, from, expected) in [
        (4, 15, None),
        (5, 15, Some((10, 20))),
        (6, 10, Some((10, 20))),
        (6, 19, Some((10, 20))),
        (6, 20, None),
        (6, 9, None),
    ] {
        assert_eq!(passed(&gaps, seqno, from), expected, "{from} at {seqno}");
    }
}

#[test]
fn a_put_cuts_its_gap_and_a_delete_none() {
    let gaps = Gaps::<Production>::new();
    note(&gaps, 1, 10, 20);
    delete(&gaps, 2);
    put(&gaps, 3, 20);
    put(&gaps, 4, 9);
    assert_eq!(passed(&gaps, 4, 12), Some((10, 20)));
    put(&gaps, 5, 15);
    assert_eq!(passed(&gaps, 5, 12), Some((10, 15)));
    assert_eq!(passed(&gaps, 5, 15), None);
    // Keys with more bytes lie between, so what is left begins at the very next key.
    let (_, end) = passed(&gaps, 5, 16).unwrap();
    assert_eq!(end, 20);
    put(&gaps, 6, 10);
    assert_eq!(passed(&gaps, 6, 10), None);
    assert_eq!(passed(&gaps, 6, 11).unwrap().1, 15);
}

#[test]
fn a_read_from_before_a_put_notes_what_is_not_around_it() {
    let gaps = Gaps::<Production>::new();
    note(&gaps, 1, 1000, 1001);
    put(&gaps, 2, 15);
    note(&gaps, 1, 10, 20);
    note(&gaps, 1, 30, 40);
    assert_eq!(passed(&gaps, 2, 12), None);
    assert_eq!(passed(&gaps, 2, 32), Some((30, 40)));
    // Of many commits later only a common range is known.
    (3..100).for_each(|seqno| put(&gaps, seqno, 50 + u32::try_from(seqno).unwrap()));
    note(&gaps, 1, 16, 20);
    note(&gaps, 1, 70, 80);
    note(&gaps, 1, 200, 210);
    assert_eq!(passed(&gaps, 100, 17), None, "between 15 and 53");
    assert_eq!(passed(&gaps, 100, 72), None);
    assert_eq!(passed(&gaps, 100, 202), Some((200, 210)));
}

#[test]
fn long_keys_are_not_kept() {
    let gaps = Gaps::<Production>::new();
    let (long, longer) = ([7; 1000], [7; 2000]);
    gaps.note(at(1), &long, &longer, 100);
    assert_eq!(gaps.len(), 0);
    gaps.note(at(1), &[6], &long, 100);
    assert_eq!(gaps.len(), 1);
}

#[test]
fn a_put_of_a_long_key_leaves_what_is_surely_not_beside_it() {
    let gaps = Gaps::<Production>::new();
    gaps.note(at(1), b"a", b"z", 100);
    let long = [b'k'; 5000];
    gaps.before_publication(2, || std::iter::once(&long[..]));
    let end = gaps.end_around(at(2), b"b", true).unwrap();
    assert!(b"j"[..] < *end && *end <= long[..] && end.len() <= 1024);
    assert_eq!(gaps.end_around(at(2), &long, true), None);
    assert_eq!(gaps.end_around(at(2), &long[..4000], true), None);
}

#[test]
fn a_reader_that_is_behind_passes_all_but_what_was_found_since() {
    let gaps = Gaps::<Production>::new();
    note(&gaps, 1000, 0, 100_000);
    note(&gaps, 1010, 100_000, 100_008);
    assert_eq!(passed(&gaps, 1010, 5), Some((0, 100_008)));
    assert_eq!(passed(&gaps, 1010, 100_001), Some((0, 100_008)));
    assert_eq!(passed(&gaps, 1009, 5), Some((0, 100_000)));
    assert_eq!(passed(&gaps, 1009, 100_001), None);
}

#[test]
fn the_gap_of_a_queue_is_a_few_parts_at_most_whoever_takes() {
    for from_front in [true, false] {
        let gaps = Gaps::<Production>::new();
        let (mut parts_max, mut seqno) = (0, 0);
        for part in 0..20_000_u32 {
            // Eight takes, beside as many puts at the end.
            for _ in 0..8 {
                seqno += 2;
                put(&gaps, seqno - 1, 2_000_000 + part);
                delete(&gaps, seqno);
            }
            let number = if from_front { part } else { 20_000 - part };
            note(&gaps, seqno, number * 8, number * 8 + 8);
            parts_max = parts_max.max(gaps.len());
            let all = passed(&gaps, seqno, number * 8).unwrap();
            assert_eq!(all.1 - all.0, (part + 1) * 8);
            // A reader that is a thousand writes behind is not sent over all again.
            if part > 1000 {
                let old = if from_front { 0 } else { 160_000 };
                let all = passed(&gaps, seqno - 1000, old);
                let passed = all.map_or(0, |(start, end)| end - start);
                assert!(part * 8 - passed < 20_000, "{part}");
            }
        }
        assert!(parts_max <= 8, "{parts_max}");
    }
}

#[test]
fn of_too_many_gaps_the_least_useful_go() {
    let gaps = Gaps::<Production>::new();
    for number in 1..200 {
        note(&gaps, 1, number * 1000, number * 1000 + number);
    }
    assert_eq!(gaps.len(), 64);
    assert_eq!(passed(&gaps, 1, 3000), None);
    assert!(passed(&gaps, 1, 199_000).is_some());
}

#[test]
fn parts_of_a_long_gap_leave_room_for_a_new_one() {
    let gaps = Gaps::<Production>::new();
    note(&gaps, 1, 0, 1_000_000);
    // Seventy rows come back, and the range is read in between: parts that do not touch.
    for seqno in 2..72 {
        let number = u32::try_from(seqno).unwrap_or_default() * 10_000;
        put(&gaps, seqno, number);
        passed(&gaps, seqno, number + 1);
    }
    // A queue elsewhere is taken from, a few at a time.
    for taken in 0..100 {
        let seqno = 100 + u64::from(taken);
        delete(&gaps, seqno);
        note(&gaps, seqno, 2_000_000, 2_000_032 + taken);
        let end = passed(&gaps, seqno, 2_000_000).map(|(_, end)| end);
        assert!(end >= Some(2_000_032), "after {taken}: {end:?}");
    }
}

#[test]
fn what_comes_and_goes_in_a_gap_makes_it_spare_no_more() {
    let gaps = Gaps::<Production>::new();
    note(&gaps, 1, 0, 1_000);
    for round in 1..200 {
        let seqno = 2 * round;
        let number = u32::try_from(round * 7 % 1_000).unwrap_or_default();
        put(&gaps, seqno, number);
        delete(&gaps, seqno + 1);
        note(&gaps, seqno + 1, number, number + 1);
        let tombstones = gaps.known.load().tombstones();
        assert!(tombstones <= 1_000 + round, "{tombstones} after {round}");
    }
}

#[test]
fn of_too_many_that_touch_none_is_lost() {
    let gaps = Gaps::<Production>::new();
    // Each found later than the one before, and too long to become one with it so soon.
    for number in 0..200_u32 {
        let (start, end) = (key(number * 1000), key(number * 1000 + 1000));
        gaps.note(at(1 + u64::from(number)), &start, &end, 1 << 40);
    }
    assert_eq!(gaps.len(), 64);
    assert_eq!(passed(&gaps, 200, 5), Some((0, 200_000)));
}

#[test]
fn what_they_take_is_bounded() {
    let gaps = Gaps::<Production>::new();
    assert_eq!(gaps.memory_bytes(), 0);
    for number in 0..200_u32 {
        let edge = |number: u32| [key(number), vec![0; 1020]].concat();
        let now = at(1 + u64::from(number));
        gaps.note(now, &edge(2 * number), &edge(2 * number + 1), 100);
        // Cuts have the longest edges.
        let put = [key(2 * number), vec![0; 1019], vec![7]].concat();
        gaps.before_publication(2 + u64::from(number), || std::iter::once(put.as_slice()));
    }
    assert_eq!(gaps.len(), 64);
    let bytes = gaps.memory_bytes();
    assert!((128 << 10..144 << 10).contains(&bytes), "{bytes}");
}

#[test]
fn who_is_far_behind_has_nobody_look_at_what_is_put() {
    let gaps = Gaps::<Production>::new();
    let late = 1 + IDLE_WRITES;
    delete(&gaps, late);
    delete(&gaps, late + 1);
    note(&gaps, 1, 10, 20);
    gaps.before_publication(late + 2, || -> std::iter::Empty<&[u8]> {
        panic!("looked at")
    });
    // From then on a little behind is enough.
    note(&gaps, 3, 10, 20);
    delete(&gaps, late + 3);
    note(&gaps, late + 3, 10, 20);
    assert_eq!(passed(&gaps, late + 3, 10), Some((10, 20)));
}

#[test]
fn a_reader_of_an_old_snapshot_does_not_make_a_gap_look_unused() {
    let gaps = Gaps::<Production>::new();
    note(&gaps, 1, 0, 10);
    let used_at = 2 * IDLE_WRITES / 3;
    delete(&gaps, used_at);
    assert!(passed(&gaps, used_at, 5).is_some());
    assert!(passed(&gaps, 1, 5).is_some());
    delete(&gaps, used_at + IDLE_WRITES);
    assert!(passed(&gaps, used_at, 5).is_some());
    // Nor is what that reader finds forgotten at once.
    note(&gaps, 1, 20, 30);
    delete(&gaps, used_at + 2 * IDLE_WRITES);
    assert!(passed(&gaps, 1, 25).is_some());
}

#[test]
fn gaps_that_nobody_uses_are_forgotten_and_then_nobody_looks_at_puts() {
    let gaps = Gaps::<Production>::new();
    note(&gaps, 1, 0, 1000);
    note(&gaps, 1, 5000, 5010);
    let mut seqno = 1;
    for _ in 0..10 {
        seqno += IDLE_WRITES;
        put(&gaps, seqno, 9000);
        assert!(passed(&gaps, seqno, 7).is_some());
    }
    assert_eq!(gaps.len(), 1, "the other was not used");
    for _ in 0..3 {
        seqno += IDLE_WRITES;
        put(&gaps, seqno, 9000);
    }
    assert_eq!(gaps.len(), 0);
    gaps.before_publication(seqno + 1, || -> std::iter::Empty<&[u8]> {
        panic!("looked at")
    });
}

#[test]
fn a_range_that_is_filled_again_is_forgotten_unless_it_is_used() {
    // Who only seeks past it may be spared nothing: that is no use.
    for (is_passed, is_tombstone) in [(false, false), (true, false), (true, true)] {
        let gaps = Gaps::<Production>::new();
        note(&gaps, 1, 0, 100_000);
        for number in 0..100 {
            // Always near the end: all but a few of the tombstones are on one side.
            let seqno = 2 + u64::from(number);
            put(&gaps, seqno, 99_000 - number);
            if is_passed {
                let end = gaps.end_around(at(seqno), &key(0), is_tombstone);
                assert!(end.is_some() || !is_tombstone);
            }
        }
        assert_eq!(passed(&gaps, 200, 0).is_some(), is_tombstone);
    }
}

#[test]
fn seqnos_that_do_not_fit_beside_the_bit_are_never_noted() {
    let gaps = Gaps::<Production>::new();
    for seqno in [WATCHED - 1, WATCHED, u64::MAX] {
        note(&gaps, seqno, 0, 10);
        put(&gaps, seqno, 5);
        note(&gaps, seqno, 0, 10);
        assert_eq!(gaps.len(), 0);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>),
    Delete(Vec<u8>),
    /// So many seqnos pass.
    Wait(u32),
    Keep,
    /// A kept reader walks from a key, notes what it finds, and keeps its moment.
    Walk(u8, u8),
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut few = || Vec::<u8>::arbitrary(g).into_iter().take(3).collect();
        let keys = few();
        match u8::arbitrary(g) % 8 {
            0 => Self::Put(keys),
            1..4 => {
                let first = u8::arbitrary(g);
                let more = u8::arbitrary(g) % 32;
                Self::Delete((first..=first.saturating_add(more)).collect())
            }
            4 if bool::arbitrary(g) => Self::Wait(u32::arbitrary(g) % 200_000),
            4 | 5 => Self::Keep,
            _ => Self::Walk(u8::arbitrary(g), u8::arbitrary(g)),
        }
    }
}

/// Keys that differ only beyond what is kept of a put.
fn long_key(number: u8) -> Vec<u8> {
    [&[b'k'; 70][..], &[number]].concat()
}

#[test]
fn whatever_is_put_deleted_and_noted_no_reader_is_led_past_a_value() {
    fn holds(steps: Vec<Step>, is_long: bool) {
        let key = |number: u8| match is_long {
            true => long_key(number),
            false => vec![number],
        };
        let gaps = Gaps::<Production>::new();
        let mut live: BTreeSet<u8> = (0..=u8::MAX).collect();
        let mut kept = vec![(1, live.clone())];
        let mut seqno = 1;
        for step in steps {
            match step {
                Step::Put(numbers) => {
                    seqno += 1;
                    let keys: Vec<_> = numbers.iter().map(|number| key(*number)).collect();
                    gaps.before_publication(seqno, || keys.iter().map(Vec::as_slice));
                    live.extend(numbers);
                }
                Step::Delete(numbers) => {
                    seqno += 1;
                    gaps.before_publication(seqno, std::iter::empty);
                    live.retain(|number| !numbers.contains(number));
                }
                Step::Wait(writes) => seqno += u64::from(writes),
                Step::Keep => kept.push((seqno, live.clone())),
                Step::Walk(which, from) => {
                    let (seqno, live) = &kept[usize::from(which) % kept.len()];
                    let moment = at(*seqno);
                    for number in 0..=u8::MAX {
                        let from = key(number);
                        if let Some(end) = gaps.end_around(moment, &from, true) {
                            let next = live.range(number..).next();
                            assert!(next.is_none_or(|next| end <= key(*next)), "{number}");
                        }
                        if let Some(start) = gaps.start_around(moment, &from, true) {
                            let next = live.range(..=number).next_back();
                            assert!(next.is_none_or(|next| start > key(*next)), "{number}");
                        }
                    }
                    let end = live.range(from..).next().copied().unwrap_or(u8::MAX);
                    if from < end {
                        let tombstones = u64::from(end - from);
                        gaps.note(moment, &key(from), &key(end), tombstones);
                    }
                }
            }
        }
    }
    QuickCheck::new()
        .rng(Gen::from_size_and_seed(150, 5))
        .tests(300)
        .quickcheck(holds as fn(Vec<Step>, bool));
}
