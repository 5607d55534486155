use std::convert::Infallible;

use quickcheck::QuickCheck;

use super::*;
use crate::cursor::SliceCursor;
use crate::testing::{Entries, Key, Move, source, walk};

struct Chunks(Vec<Entries>);

impl<'a> Parts for &'a Chunks {
    type Cursor = SliceCursor<'a, Vec<u8>, Vec<u8>>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn seek(&self, key: &[u8]) -> usize {
        self.0
            .partition_point(|part| part.last().is_some_and(|last| last.0.as_slice() < key))
    }

    fn seek_for_prev(&self, key: &[u8]) -> Option<usize> {
        let starts_before =
            |part: &Entries| part.first().is_some_and(|first| first.0.as_slice() <= key);
        self.0.partition_point(starts_before).checked_sub(1)
    }

    fn open(&self, at: usize) -> Result<Self::Cursor, Infallible> {
        let chunks: &'a Chunks = self;
        Ok(SliceCursor::new(&chunks.0[at]))
    }
}

#[test]
fn any_walk_over_parts_matches_the_walk_over_the_whole() {
    fn matches(keys: Vec<Key>, part_len: u8, moves: Vec<Move>) {
        let whole = source(keys, 0);
        let parts = whole
            .chunks(1 + usize::from(part_len % 5))
            .map(<[_]>::to_vec)
            .collect();
        walk(&mut ConcatCursor::new(&Chunks(parts)), &whole, &moves);
    }
    QuickCheck::new()
        .tests(500)
        .quickcheck(matches as fn(Vec<Key>, u8, Vec<Move>));
}

#[test]
fn no_parts_hold_nothing() {
    let moves = [
        Move::First,
        Move::Last,
        Move::Seek(Key(vec![])),
        Move::SeekForPrev(Key(vec![9])),
    ];
    walk(
        &mut ConcatCursor::new(&Chunks(Vec::new())),
        &Vec::new(),
        &moves,
    );
}

#[test]
fn a_part_that_cannot_be_opened_is_an_error_and_not_a_gap() {
    struct Missing;
    impl Parts for Missing {
        type Cursor = crate::testing::Probe<'static>;
        fn len(&self) -> usize {
            2
        }
        fn seek(&self, _: &[u8]) -> usize {
            0
        }
        fn seek_for_prev(&self, _: &[u8]) -> Option<usize> {
            Some(1)
        }
        fn open(&self, _: usize) -> Result<Self::Cursor, crate::testing::Broken> {
            Err(crate::testing::Broken)
        }
    }
    let mut cursor = ConcatCursor::new(Missing);
    assert!(cursor.seek_first().is_err());
    assert_eq!(cursor.key(), None);
    assert!(cursor.seek_for_prev(b"k").is_err());
    assert!(cursor.next().is_ok());
}
