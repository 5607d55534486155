use quickcheck::{QuickCheck, TestResult};

use super::*;
use crate::cursor::SliceCursor;
use crate::testing::{Broken, Entries, Key, Move, Probe, numbered, source, union, walk};

fn merge_of(sources: &[Entries]) -> MergeCursor<SliceCursor<'_, Vec<u8>, Vec<u8>>> {
    MergeCursor::new(
        sources
            .iter()
            .map(|entries| SliceCursor::new(entries))
            .collect(),
    )
}

fn read_all<C: Cursor>(cursor: &mut C) -> Result<Entries, C::Error> {
    let mut entries = Vec::new();
    cursor.seek_first()?;
    while let Some(key) = cursor.key() {
        entries.push((key.to_vec(), cursor.value().map(<[u8]>::to_vec)));
        cursor.next()?;
    }
    Ok(entries)
}

#[test]
fn any_walk_over_any_sources_matches_the_map_of_their_union() {
    fn matches(keys: Vec<Vec<Key>>, moves: Vec<Move>) -> TestResult {
        if keys.len() > 9 {
            return TestResult::discard();
        }
        let named = keys.into_iter().enumerate();
        let sources: Vec<_> = named.map(|(name, keys)| source(keys, name)).collect();
        walk(&mut merge_of(&sources), &union(&sources), &moves);
        TestResult::passed()
    }
    QuickCheck::new()
        .tests(800)
        .quickcheck(matches as fn(Vec<Vec<Key>>, Vec<Move>) -> TestResult);
}

#[test]
fn walks_over_long_stretches_match_where_steps_are_taken_without_comparing() {
    fn matches(lens: Vec<u8>, step: u8, moves: Vec<Move>) -> TestResult {
        if lens.is_empty() || lens.len() > 6 {
            return TestResult::discard();
        }
        // Each source has stretches of its own, and its last entries inside the next one's.
        let mut first = 0;
        let mut sources = Vec::new();
        for len in lens {
            sources.push(numbered(first, 1 + usize::from(step % 4), usize::from(len)));
            first += usize::from(len).saturating_sub(2);
        }
        walk(&mut merge_of(&sources), &union(&sources), &moves);
        TestResult::passed()
    }
    QuickCheck::new()
        .tests(500)
        .quickcheck(matches as fn(Vec<u8>, u8, Vec<Move>) -> TestResult);
}

#[test]
fn a_merge_of_nothing_is_empty_in_every_direction() {
    let sources: [Entries; 0] = [];
    let all = [
        Move::First,
        Move::Next(1),
        Move::Last,
        Move::Prev(1),
        Move::Seek(Key(vec![])),
    ];
    walk(&mut merge_of(&sources), &Vec::new(), &all);
    let empties = vec![Entries::new(); 3];
    walk(&mut merge_of(&empties), &Vec::new(), &all);
}

#[test]
fn turning_round_at_either_end_finds_the_neighbours() {
    for count in 1..=5 {
        let sources: Vec<_> = (0..count).map(|first| numbered(first, count, 4)).collect();
        let moves = [
            Move::First,
            Move::Next(1),
            Move::Prev(1),
            Move::Next(2),
            Move::Last,
            Move::Prev(1),
            Move::Next(1),
            Move::Prev(2),
            Move::Next(1),
        ];
        walk(&mut merge_of(&sources), &union(&sources), &moves);
    }
}

#[test]
fn a_key_of_all_ones_is_not_taken_for_the_end_of_a_source() {
    let ones = vec![(vec![0xff; 8], Some(vec![1])), (vec![0xff; 9], None)];
    let sources = [
        Entries::new(),
        ones.clone(),
        Entries::new(),
        vec![(vec![0xff; 8], None)],
    ];
    assert_eq!(read_all(&mut merge_of(&sources)), Ok(ones.clone()));
    let mut merge = merge_of(&sources);
    assert_eq!(merge.seek_last(), Ok(()));
    assert_eq!(merge.key(), Some(ones[1].0.as_slice()));
}

#[test]
fn entries_hidden_by_newer_ones_are_counted_once_each() {
    let sources = [numbered(0, 2, 50), numbered(0, 1, 100), numbered(0, 4, 25)];
    let mut merge = merge_of(&sources);
    let entries = read_all(&mut merge).unwrap();
    assert_eq!(entries.len(), 100);
    assert_eq!(merge.superseded_count(), 75);
}

#[test]
fn an_error_leaves_the_merge_unpositioned_and_a_seek_reads_it_whole_again() {
    let sources = [numbered(0, 3, 20), numbered(1, 3, 20), numbered(0, 5, 12)];
    let expected = union(&sources);
    for failing in 0..3 {
        for moves in 0..22 {
            let probes: Vec<_> = sources.iter().map(Probe::new).collect();
            probes[failing].moves_left.set(moves);
            let mut merge = MergeCursor::new(probes);
            let Err(Broken) = read_all(&mut merge) else {
                assert!(moves > sources[failing].len(), "the error was swallowed");
                continue;
            };
            assert_eq!(merge.key(), None);
            assert_eq!((merge.next(), merge.prev()), (Ok(()), Ok(())));
            assert_eq!(merge.key(), None, "moved on past an error");
            assert_eq!(read_all(&mut merge), Ok(expected.clone()));
        }
    }
}

#[test]
fn a_turn_that_fails_leaves_the_merge_unpositioned() {
    let sources = [numbered(0, 2, 5), numbered(1, 2, 5)];
    let probes: Vec<_> = sources.iter().map(Probe::new).collect();
    let fuse = std::rc::Rc::clone(&probes[1].moves_left);
    let mut merge = MergeCursor::new(probes);
    merge.seek(&sources[1][2].0).unwrap();
    fuse.set(0);
    assert_eq!(merge.prev(), Err(Broken));
    assert_eq!(merge.key(), None);
    assert_eq!(merge.prev(), Ok(()));
}

#[test]
fn a_single_source_is_never_compared() {
    let entries = numbered(0, 1, 1000);
    let probe = Probe::new(&entries);
    let reads = std::rc::Rc::clone(&probe.key_reads);
    let mut merge = MergeCursor::new(vec![probe]);
    merge.seek_first().unwrap();
    for _ in 0..999 {
        merge.next().unwrap();
    }
    assert_eq!(reads.get(), 0);
}

#[test]
fn settled_stretches_are_passed_almost_without_reading_keys() {
    // Heads all tie here, so without stretches every step would compare whole keys.
    let sources: Vec<_> = (0..6).map(|at| numbered(at * 1000, 1, 1000)).collect();
    let probes: Vec<_> = sources.iter().map(Probe::new).collect();
    let reads: Vec<_> = probes
        .iter()
        .map(|probe| std::rc::Rc::clone(&probe.key_reads))
        .collect();
    let mut merge = MergeCursor::new(probes);
    let total = || reads.iter().map(|reads| reads.get()).sum::<usize>();

    merge.seek_first().unwrap();
    for _ in 0..6000 {
        merge.next().unwrap();
    }
    assert!(total() < 600, "{} key reads for 6000 steps", total());
    assert_eq!(merge.key(), None);
    merge.prev().unwrap();
    assert_eq!(merge.key(), None, "came back from past the end");
}

#[test]
fn keys_that_share_more_than_a_head_are_compared_by_what_follows() {
    // Interleaved one by one, so that no stretch helps: after the first ties, a step reads the key
    // of the source that moved, and no other.
    let sources: Vec<_> = (0..4).map(|first| numbered(first, 4, 1000)).collect();
    let probes: Vec<_> = sources.iter().map(Probe::new).collect();
    let reads: Vec<_> = probes
        .iter()
        .map(|probe| std::rc::Rc::clone(&probe.key_reads))
        .collect();
    let mut merge = MergeCursor::new(probes);
    merge.seek_first().unwrap();
    for _ in 0..3999 {
        merge.next().unwrap();
    }
    let total: usize = reads.iter().map(|reads| reads.get()).sum();
    assert!(total < 4000 * 5 / 4, "{total} key reads for 4000 steps");
}

#[test]
fn a_prefix_that_ends_is_noticed_in_both_directions() {
    // Long stretches under one prefix, then another that is longer, shorter, or its neighbour.
    let mut sources = vec![Entries::new(); 3];
    for prefix in [
        "p",
        "prefix-one/",
        "prefix-one/and-more/",
        "prefix-two/",
        "q\u{ff}/",
    ] {
        for number in 0..300 {
            let key = format!("{prefix}{number:05}").into_bytes();
            sources[number % 3].push((key.clone(), Some(vec![1])));
            if number % 7 == 0 {
                sources[(number + 1) % 3].push((key, None));
            }
        }
    }
    for source in &mut sources {
        source.sort();
    }
    let there = (0..200).map(|_| Move::Next(9));
    let back = (0..200).map(|_| Move::Prev(9));
    let moves: Vec<_> = [Move::First]
        .into_iter()
        .chain(there)
        .chain([Move::Last])
        .chain(back)
        .collect();
    walk(&mut merge_of(&sources), &union(&sources), &moves);
}
