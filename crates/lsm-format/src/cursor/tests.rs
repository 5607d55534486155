use super::{BlockSource, RunCursor};
use crate::{Block, Error, Index, RunBytes, RunWriter};
use alloc::sync::Arc;
use core::cell::Cell;

/// Counts what a cursor asks for.
struct Counted {
    run: RunBytes,
    indexes: Cell<usize>,
    blocks: Cell<usize>,
}

impl BlockSource for Counted {
    type Error = Error;

    fn index(&self) -> Result<Arc<Index>, Error> {
        self.indexes.set(self.indexes.get() + 1);
        self.run.index()
    }

    fn block(&self, index: &Index, i: usize) -> Result<Arc<Block>, Error> {
        self.blocks.set(self.blocks.get() + 1);
        self.run.block(index, i)
    }
}

/// Keys 0, 2, 4 … 98 as two digits, five to a block.
fn cursor() -> RunCursor<Counted> {
    let mut writer = RunWriter::new();
    for i in (0..100).step_by(2) {
        writer.put(format!("{i:02}"), vec![0; 900]).unwrap();
    }
    let run = RunBytes::new(writer.finish()).unwrap();
    assert_eq!(run.index().unwrap().block_count(), 10);
    RunCursor::new(Counted {
        run,
        indexes: Cell::new(0),
        blocks: Cell::new(0),
    })
}

#[test]
fn a_new_cursor_reads_nothing_and_stays_put() {
    let mut cursor = cursor();
    cursor.next().unwrap();
    cursor.prev().unwrap();
    cursor.skip_to(3).unwrap();
    assert_eq!((cursor.key(), cursor.entry()), (None, None));
    assert_eq!(
        (cursor.source().indexes.get(), cursor.source().blocks.get()),
        (0, 0)
    );
}

#[test]
fn the_index_is_asked_for_once_and_a_block_once_while_in_it() {
    let mut cursor = cursor();
    cursor.seek(b"12").unwrap();
    for key in ["10", "13", "18", "11"] {
        cursor.seek(key.as_bytes()).unwrap();
        assert!(cursor.key().is_some());
        cursor.seek_for_prev(key.as_bytes()).unwrap();
        assert!(cursor.key().is_some());
    }
    assert_eq!(
        (cursor.source().indexes.get(), cursor.source().blocks.get()),
        (1, 1)
    );
    cursor.seek(b"19").unwrap();
    assert_eq!(
        (cursor.key(), cursor.source().blocks.get()),
        (Some(&b"20"[..]), 2)
    );
}

#[test]
fn a_seek_past_the_end_reads_no_block() {
    let mut cursor = cursor();
    cursor.seek(b"99").unwrap();
    assert_eq!((cursor.key(), cursor.source().blocks.get()), (None, 0));
}

#[test]
fn both_walks_see_every_key() {
    let mut cursor = cursor();
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    cursor.seek_first().unwrap();
    while let Some(key) = cursor.key() {
        forward.push(key.to_vec());
        cursor.next().unwrap();
    }
    cursor.seek_last().unwrap();
    while let Some(key) = cursor.key() {
        backward.push(key.to_vec());
        cursor.prev().unwrap();
    }
    backward.reverse();
    assert_eq!(forward.len(), 50);
    assert_eq!(forward, backward);
}

#[test]
fn answers_to_two_questions_at_once_are_those_to_each() {
    let mut writer = RunWriter::new();
    for i in 0..40 {
        match i % 3 {
            0 => writer.delete(format!("{i:02}")).unwrap(),
            _ => writer.put(format!("{i:02}"), vec![i; 900]).unwrap(),
        }
    }
    let mut cursor = RunCursor::new(RunBytes::new(writer.finish()).unwrap());
    assert!(!cursor.is_positioned() && !cursor.is_tombstone());
    assert_eq!(cursor.entry_bytes(), None);
    cursor.seek_first().unwrap();
    let mut count = 0;
    while let Some(key) = cursor.key_bytes() {
        assert!(cursor.is_positioned());
        assert_eq!(cursor.is_tombstone(), cursor.value_bytes().is_none());
        assert_eq!(cursor.entry_bytes(), Some((key, cursor.value_bytes())));
        count += 1;
        cursor.next().unwrap();
    }
    assert_eq!(count, 40);
    assert!(!cursor.is_positioned());
}

#[test]
fn a_skip_moves_inside_the_block_or_to_the_next_one() {
    let mut cursor = cursor();
    cursor.seek(b"10").unwrap();
    cursor.skip_to(4).unwrap();
    assert_eq!(cursor.key(), Some(&b"18"[..]));
    cursor.skip_to(1).unwrap();
    assert_eq!(cursor.key(), Some(&b"12"[..]));
    let len = cursor.block().map(|(block, _)| block.len()).unwrap();
    cursor.skip_to(len).unwrap();
    assert_eq!(cursor.key(), Some(&b"20"[..]));
    cursor.seek_last().unwrap();
    cursor.skip_to(usize::MAX).unwrap();
    assert_eq!(cursor.key(), None);
}

#[test]
fn a_failing_index_is_asked_for_again() {
    struct Failing(Cell<bool>, RunBytes);
    impl BlockSource for Failing {
        type Error = &'static str;

        fn index(&self) -> Result<Arc<Index>, &'static str> {
            if self.0.replace(false) {
                Err("first time")
            } else {
                self.1.index().map_err(|_| "index")
            }
        }

        fn block(&self, index: &Index, i: usize) -> Result<Arc<Block>, &'static str> {
            self.1.block(index, i).map_err(|_| "block")
        }
    }
    let mut cursor = RunCursor::new(Failing(Cell::new(true), cursor().source.run));
    assert_eq!(cursor.seek(b"00"), Err("first time"));
    assert_eq!(cursor.key(), None);
    cursor.seek(b"00").unwrap();
    assert_eq!(cursor.key(), Some(&b"00"[..]));
}

#[test]
fn a_cursor_over_an_empty_run_finds_nothing() {
    let mut cursor = RunCursor::new(RunBytes::new(RunWriter::new().finish()).unwrap());
    cursor.seek_first().unwrap();
    assert_eq!(cursor.key(), None);
    cursor.seek_last().unwrap();
    assert_eq!(cursor.key(), None);
    cursor.seek(b"").unwrap();
    cursor.seek_for_prev(b"z").unwrap();
    assert_eq!(cursor.key(), None);
}
