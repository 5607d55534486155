use std::convert::Infallible;
use std::ops::Bound::{self, Excluded, Included, Unbounded};

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::*;
use crate::cursor::SliceCursor;
use crate::live::LiveCursor;
use crate::range_iter::RangeIter;
use crate::testing::{Entries, Key, Move, source, walk};

#[derive(Debug, Clone)]
struct AnyBound(Bound<Bytes>);

impl Arbitrary for AnyBound {
    fn arbitrary(g: &mut Gen) -> Self {
        let key = Bytes::from(Key::arbitrary(g).0);
        Self(match u8::arbitrary(g) % 3 {
            0 => Included(key),
            1 => Excluded(key),
            _ => Unbounded,
        })
    }
}

fn within(lower: &AnyBound, upper: &AnyBound, entries: &Entries) -> Entries {
    let above = |key: &[u8]| match &lower.0 {
        Included(lower) => key >= lower.as_ref(),
        Excluded(lower) => key > lower.as_ref(),
        Unbounded => true,
    };
    let below = |key: &[u8]| match &upper.0 {
        Included(upper) => key <= upper.as_ref(),
        Excluded(upper) => key < upper.as_ref(),
        Unbounded => true,
    };
    entries
        .iter()
        .filter(|(key, _)| above(key) && below(key))
        .cloned()
        .collect()
}

fn live(entries: &Entries) -> Entries {
    entries
        .iter()
        .filter(|entry| entry.1.is_some())
        .cloned()
        .collect()
}

#[test]
fn any_walk_inside_any_bounds_matches_the_entries_between_them() {
    fn matches(keys: Vec<Key>, lower: AnyBound, upper: AnyBound, moves: Vec<Move>) {
        let entries = source(keys, 0);
        let model = within(&lower, &upper, &entries);
        let ranged =
            || RangeCursor::new(SliceCursor::new(&entries), lower.0.clone(), upper.0.clone());
        walk(&mut ranged(), &model, &moves);
        walk(&mut LiveCursor::new(ranged()), &live(&model), &moves);
    }
    QuickCheck::new()
        .tests(800)
        .quickcheck(matches as fn(Vec<Key>, AnyBound, AnyBound, Vec<Move>));
}

#[test]
fn an_iterator_yields_each_live_entry_once_whichever_end_is_asked() {
    fn matches(keys: Vec<Key>, lower: AnyBound, upper: AnyBound, from_back: Vec<bool>) {
        let entries = source(keys, 0);
        let mut model = live(&within(&lower, &upper, &entries)).into_iter();
        let open = || Ok::<_, Infallible>(SliceCursor::new(&entries));
        let mut range = RangeIter::new(open, lower.0, upper.0);
        for back in from_back.into_iter().chain([false, true, false]) {
            let (found, expected) = if back {
                (range.next_back(), model.next_back())
            } else {
                (range.next(), model.next())
            };
            let found = found.map(|entry| {
                let Ok((key, value)) = entry;
                (key.to_vec(), Some(value.to_vec()))
            });
            assert_eq!(found, expected);
        }
    }
    QuickCheck::new()
        .tests(800)
        .quickcheck(matches as fn(Vec<Key>, AnyBound, AnyBound, Vec<bool>));
}

#[test]
fn an_error_is_yielded_once_and_ends_the_iterator_from_both_sides() {
    let entries: Entries = (0..5).map(|at| (vec![at], Some(vec![at]))).collect();
    let open = || {
        let probe = crate::testing::Probe::new(&entries);
        probe.moves_left.set(2);
        Ok(probe)
    };
    let mut range = RangeIter::new(open, Unbounded, Unbounded);
    assert!(range.next().unwrap().is_ok());
    assert!(range.next().unwrap().is_ok());
    assert_eq!(range.next(), Some(Err(crate::testing::Broken)));
    assert_eq!((range.next(), range.next_back()), (None, None));
}

#[test]
fn an_iterator_that_is_not_used_opens_nothing() {
    let open = || -> Result<SliceCursor<'static, Vec<u8>, Vec<u8>>, Infallible> {
        panic!("opened without need")
    };
    drop(RangeIter::new(open, Unbounded, Unbounded));
}

#[test]
fn the_end_of_a_range_stops_a_stretch_of_tombstones_beyond_it() {
    let mut entries: Entries = (0..200).map(|at| (vec![at], None)).collect();
    entries[0].1 = Some(vec![1]);
    let range = RangeCursor::new(
        SliceCursor::new(&entries),
        Unbounded,
        Included(vec![9].into()),
    );
    let mut live = LiveCursor::new(range);
    live.seek_first().unwrap();
    live.next().unwrap();
    assert_eq!(live.key(), None);
    assert_eq!(live.tombstones_skipped(), 9);
}

#[test]
fn the_bounds_of_a_prefix_hold_what_starts_with_it_and_nothing_else() {
    fn matches(prefix: Key, key: Key) -> bool {
        let (lower, upper) = prefix_bounds(&prefix.0);
        let inside = Limit::new(lower).admits(&key.0, Ordering::Less)
            && Limit::new(upper).admits(&key.0, Ordering::Greater);
        inside == key.0.starts_with(&prefix.0)
    }
    QuickCheck::new()
        .tests(800)
        .quickcheck(matches as fn(Key, Key) -> bool);
    assert_eq!(prefix_bounds(&[0xff, 0xff]).1, Unbounded);
}
