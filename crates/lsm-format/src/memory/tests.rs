use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::RunBytes;
use crate::{BlockSource, Error, RunCursor, RunWriter};

fn encoded(value: u8) -> Vec<u8> {
    let mut writer = RunWriter::new();
    for key in 0..2000 {
        writer.put(format!("{key:06}"), [value; 40]).unwrap();
    }
    writer.finish()
}

/// Each seek of a cursor over bytes checked and decoded a block of 4 KiB, also one that it had come
/// from: six times the work of the seek.
#[test]
fn a_block_is_decoded_once_for_all_clones_and_cursors() {
    let run = RunBytes::new(encoded(1)).unwrap();
    let (index, clone) = (run.index().unwrap(), run.clone());
    assert!(index.block_count() > 20);
    for number in 0..index.block_count() {
        let block = run.block(&index, number).unwrap();
        assert!(Arc::ptr_eq(&block, &run.block(&index, number).unwrap()));
        assert!(Arc::ptr_eq(&block, &clone.block(&index, number).unwrap()));
    }
    let mut cursors = [RunCursor::new(&run), RunCursor::new(&clone)];
    for key in ["001900", "000003", "001900"] {
        for cursor in &mut cursors {
            cursor.seek(key.as_bytes()).unwrap();
        }
        let [first, second] = &cursors;
        let block_of = |cursor: &RunCursor<_>| cursor.block().map(|(block, _)| Arc::as_ptr(block));
        assert_eq!(first.key(), Some(key.as_bytes()));
        assert_eq!(block_of(first), block_of(second));
    }
}

#[test]
fn what_is_kept_takes_as_much_as_documented() {
    let run = RunBytes::new(encoded(1)).unwrap();
    let index = run.index().unwrap();
    let (mut beside, mut entries) = (0, 0);
    for number in 0..index.block_count() {
        let block = run.block(&index, number).unwrap();
        let handle = index.handle(number).unwrap();
        beside += block.memory_bytes() - handle.len as usize;
        entries += block.len();
    }
    let place = size_of::<std::sync::OnceLock<Arc<()>>>() + 2 * size_of::<usize>();
    beside += index.block_count() * place;
    assert!(
        beside <= 10 * entries + 150 * index.block_count(),
        "{beside}"
    );
}

#[test]
fn a_damaged_block_is_an_error_each_time_and_costs_no_other() {
    let mut bytes = encoded(1);
    bytes[5000] ^= 1;
    let run = RunBytes::new(bytes).unwrap();
    let index = run.index().unwrap();
    for _ in 0..2 {
        let damaged = run.block(&index, 1);
        assert!(
            matches!(damaged, Err(Error::BlockChecksum { .. })),
            "{damaged:?}"
        );
        run.block(&index, 0).unwrap();
        run.block(&index, 2).unwrap();
    }
}

/// Of a run of the same shape the blocks lie where this one's do, and are others.
#[test]
fn another_runs_index_neither_finds_what_is_kept_nor_leaves_anything() {
    let (run, other) = (RunBytes::new(encoded(1)), RunBytes::new(encoded(2)));
    let (run, other) = (run.unwrap(), other.unwrap());
    let (own, foreign) = (run.index().unwrap(), other.index().unwrap());
    for _ in 0..2 {
        let mixed_up = run.block(&foreign, 0);
        assert!(
            matches!(mixed_up, Err(Error::BlockChecksum { .. })),
            "{mixed_up:?}"
        );
        run.block(&own, 0).unwrap();
    }
}
