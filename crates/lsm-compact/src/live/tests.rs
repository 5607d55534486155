use std::cell::RefCell;
use std::collections::BTreeSet;

use quickcheck::QuickCheck;

use super::*;
use crate::cursor::SliceCursor;
use crate::testing::{Entries, Key, Move, numbered, source, walk};

/// Remembers every range it is told of, touching ones as one, for all cursors.
#[derive(Debug, Default)]
struct Memory {
    ranges: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
    stepped_over: RefCell<u64>,
}

impl KnownGaps for &Memory {
    fn end_around(&self, key: &[u8], _is_tombstone: bool) -> Option<Bytes> {
        let ranges = self.ranges.borrow();
        let ends = ranges.iter().filter(|(start, end)| holds(start, end, key));
        ends.map(|(_, end)| Bytes::copy_from_slice(end)).max()
    }

    fn start_around(&self, key: &[u8], _is_tombstone: bool) -> Option<Bytes> {
        let ranges = self.ranges.borrow();
        let starts = ranges.iter().filter(|(start, end)| holds(start, end, key));
        starts.map(|(start, _)| Bytes::copy_from_slice(start)).min()
    }

    fn found(&mut self, start: &[u8], end: &[u8], tombstones: u64) {
        assert!(start < end && tombstones > 0, "{start:?}..{end:?}");
        let mut ranges = self.ranges.borrow_mut();
        let (mut start, mut end) = (start.to_vec(), end.to_vec());
        ranges.retain(|known| {
            let touches = known.0 <= end && start <= known.1;
            if touches {
                start = std::mem::take(&mut start).min(known.0.clone());
                end = std::mem::take(&mut end).max(known.1.clone());
            }
            !touches
        });
        ranges.push((start, end));
    }

    fn stepped_over(&mut self, tombstones: u64) {
        *self.stepped_over.borrow_mut() += tombstones;
    }
}

fn holds(start: &[u8], end: &[u8], key: &[u8]) -> bool {
    start <= key && key < end
}

fn live(entries: &Entries) -> Entries {
    let live = entries.iter().filter(|entry| entry.1.is_some());
    live.cloned().collect()
}

/// Numbered entries, of which those in these stretches are tombstones.
fn deleted(count: usize, stretches: &[std::ops::Range<usize>]) -> Entries {
    let mut entries = numbered(0, 1, count);
    for at in stretches.iter().cloned().flatten() {
        entries[at].1 = None;
    }
    entries
}

/// Walks with a memory that all walks share; whatever it is told must be true.
fn walks_match(entries: &Entries, walks: &[Vec<Move>]) {
    let memory = Memory::default();
    let live = live(entries);
    for moves in walks {
        let mut cursor = LiveCursor::with_gaps(SliceCursor::new(entries), &memory);
        walk(&mut cursor, &live, moves);
    }
    for (start, end) in memory.ranges.borrow().iter() {
        let mut wrong = live.iter().filter(|entry| holds(start, end, &entry.0));
        assert_eq!(wrong.next(), None, "in {start:?}..{end:?}");
    }
}

#[test]
fn any_walks_with_a_shared_memory_match_and_all_that_is_noted_is_true() {
    fn matches(kept: BTreeSet<u8>, awkward: Vec<Key>, walks: Vec<Vec<Move>>) {
        // A few values in long stretches of tombstones, among keys that share their heads.
        let mut entries = source(awkward, 0);
        for at in 0..=u8::MAX {
            let value = kept.contains(&at).then(|| vec![at]);
            for end in [&[at][..], &[at, 0], b"mmm"] {
                let key = [b"m", &[at], end].concat();
                entries.push((key, value.clone()));
            }
        }
        entries.sort();
        entries.dedup_by(|a, b| a.0 == b.0);
        walks_match(&entries, &walks);
    }
    QuickCheck::new()
        .tests(300)
        .quickcheck(matches as fn(BTreeSet<u8>, Vec<Key>, Vec<Vec<Move>>));
}

#[test]
fn what_was_stepped_over_is_not_stepped_over_again_from_either_side() {
    let entries = deleted(1000, std::slice::from_ref(&(100..900)));
    let (before, behind) = (&entries[99].0, &entries[900].0);
    let memory = Memory::default();
    let cursor = || LiveCursor::with_gaps(SliceCursor::new(&entries), &memory);
    let mut skipped = Vec::new();
    for forward in [true, true, false, false, true] {
        let mut cursor = cursor();
        let (from, to) = if forward {
            (before, behind)
        } else {
            (behind, before)
        };
        cursor.seek(from).unwrap();
        if forward {
            cursor.next()
        } else {
            cursor.prev()
        }
        .unwrap();
        assert_eq!(cursor.key(), Some(to.as_slice()));
        skipped.push(cursor.tombstones_skipped());
    }
    assert_eq!(skipped[0], 800);
    assert!(
        skipped[1] < 150,
        "the end of the stretch is noted in steps: {skipped:?}"
    );
    assert!(skipped[2..].iter().all(|&count| count < 50), "{skipped:?}");
    let told = *memory.stepped_over.borrow();
    assert_eq!(told, skipped.iter().sum::<u64>());
}

#[test]
fn taking_from_either_end_steps_over_a_few_tombstones_each_time() {
    for from_front in [true, false] {
        let mut entries = deleted(3000, &[]);
        let memory = Memory::default();
        for taken in 0..entries.len() {
            let mut cursor = LiveCursor::with_gaps(SliceCursor::new(&entries), &memory);
            let at = if from_front {
                cursor.seek_first().unwrap();
                taken
            } else {
                cursor.seek_last().unwrap();
                entries.len() - 1 - taken
            };
            assert_eq!(cursor.key(), Some(entries[at].0.as_slice()));
            assert!(cursor.tombstones_skipped() <= 40, "{taken}");
            entries[at].1 = None;
        }
        let per_take = *memory.stepped_over.borrow() as f64 / 3000.0;
        assert!(per_take < 10.0, "{per_take}");
    }
}

#[test]
fn a_few_tombstones_between_two_gaps_make_them_one() {
    for forward in [true, false] {
        let entries = deleted(1000, std::slice::from_ref(&(100..900)));
        let edge = |at: usize| entries[at].0.clone();
        let mut memory = Memory::default();
        for at in (100..890).step_by(10) {
            // All but one or two of each ten.
            (&mut &memory).found(&edge(at), &edge(at + 8 + at / 10 % 2), 8);
        }
        let parts = memory.ranges.get_mut().len();
        assert!(parts > 70, "{parts}");
        let mut skipped = Vec::new();
        for _ in 0..2 {
            let mut cursor = LiveCursor::with_gaps(SliceCursor::new(&entries), &memory);
            match forward {
                true => cursor.seek(&edge(100)).unwrap(),
                false => cursor.seek_for_prev(&edge(899)).unwrap(),
            }
            let expected = if forward { edge(900) } else { edge(99) };
            assert_eq!(cursor.key(), Some(expected.as_slice()));
            skipped.push(cursor.tombstones_skipped());
        }
        assert!(skipped[0] > 70 && skipped[1] < 20, "{skipped:?}");
        assert_eq!(memory.ranges.borrow().len(), 1);
    }
}

#[test]
fn long_keys_are_no_edges() {
    let long = |at: u8| [&[at], &[b'l'; 2000][..]].concat();
    let mut entries: Entries = (0..200).map(|at| (long(at), None)).collect();
    let memory = Memory::default();
    let skipped = |entries: &Entries| {
        let mut cursor = LiveCursor::with_gaps(SliceCursor::new(entries), &memory);
        cursor.seek_first().unwrap();
        assert_eq!(cursor.key(), None);
        cursor.tombstones_skipped()
    };
    assert_eq!((skipped(&entries), skipped(&entries)), (200, 200));
    assert_eq!(*memory.ranges.borrow(), []);
    // Short ones among them are.
    for at in (0..200).step_by(7) {
        entries[at].0.truncate(1);
    }
    assert_eq!(skipped(&entries), 200);
    assert!(skipped(&entries) < 60);
}

#[test]
fn short_stretches_are_not_noted() {
    let stretches: Vec<_> = (0..30).map(|at| at * 33..at * 33 + 31).collect();
    let entries = deleted(1000, &stretches);
    let memory = Memory::default();
    let mut cursor = LiveCursor::with_gaps(SliceCursor::new(&entries), &memory);
    cursor.seek_first().unwrap();
    while cursor.key().is_some() {
        cursor.next().unwrap();
    }
    assert!(cursor.tombstones_skipped() > 900);
    assert_eq!(*memory.ranges.borrow(), []);
}

#[test]
fn a_gap_begins_at_the_key_that_was_sought_and_later_seeks_into_it_step_over_nothing() {
    let mut entries = deleted(200, std::slice::from_ref(&(0..200)));
    for (at, key) in [(0, b"a".to_vec()), (1, b"z".to_vec())] {
        entries.push((key, Some(vec![at])));
    }
    entries.sort();
    let (first, last) = (entries[0].0.clone(), entries[201].0.clone());
    let memory = Memory::default();
    let cursor = || LiveCursor::with_gaps(SliceCursor::new(&entries), &memory);
    // No entry has these keys: they are between a value and a tombstone.
    let (behind_first, before_last) = (b"aa", b"yy");
    for (to, expected_max) in [(&behind_first[..], 200), (behind_first, 50), (b"b", 50)] {
        let mut cursor = cursor();
        cursor.seek(to).unwrap();
        assert_eq!(cursor.key(), Some(&*last));
        assert!(cursor.tombstones_skipped() <= expected_max, "{to:?}");
    }
    // Two more make what was left at its end a part of it.
    for steps_max in [50, 1, 1] {
        let mut cursor = cursor();
        cursor.seek_for_prev(before_last).unwrap();
        assert_eq!(cursor.key(), Some(&*first));
        assert!(cursor.tombstones_skipped() <= steps_max);
    }
    let mut cursor = cursor();
    cursor.seek(behind_first).unwrap();
    assert_eq!(cursor.tombstones_skipped(), 0);
    let ranges = memory.ranges.borrow();
    let noted = [(behind_first.to_vec(), [&before_last[..], b"\0"].concat())];
    assert_eq!(*ranges, noted);
}

#[test]
fn a_cursor_of_a_range_tells_nothing_of_what_is_outside_it() {
    use std::ops::Bound;

    use crate::range::RangeCursor;
    let entries = deleted(300, &[50..150, 151..250]);
    let edge = |at: usize| Bytes::from(entries[at].0.clone());
    let memory = Memory::default();
    // All that it shows are tombstones, and it is sought to keys on both sides of them.
    for (lower, upper) in [(60, 140), (160, 240)] {
        let (lower, upper) = (Bound::Included(edge(lower)), Bound::Excluded(edge(upper)));
        for (forward, to) in [(true, 0), (false, 299), (true, 151), (false, 150)] {
            let range = RangeCursor::new(SliceCursor::new(&entries), lower.clone(), upper.clone());
            let mut cursor = LiveCursor::with_gaps(range, &memory);
            match forward {
                true => cursor.seek(&entries[to].0).unwrap(),
                false => cursor.seek_for_prev(&entries[to].0).unwrap(),
            }
            assert_eq!(cursor.key(), None);
        }
    }
    let live = live(&entries);
    assert!(!memory.ranges.borrow().is_empty());
    for (start, end) in memory.ranges.borrow().iter() {
        assert!(!live.iter().any(|(key, _)| holds(start, end, key)));
    }
}
