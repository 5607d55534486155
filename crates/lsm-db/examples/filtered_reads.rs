//! Reads of keys that are not there: the filter of each run says so, and next to no block is read.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use lsm_db::prelude::*;

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // Every flush leaves a run, and none are merged: what a miss costs would add up.
    let config = LsmConfig::new().compaction_trigger(usize::MAX);
    let store = Lsm::open_with(dir.path(), config)?;
    for run in 0..16 {
        let mut batch = Batch::new();
        for number in 0..500 {
            batch.put(format!("user/{:06}", number * 16 + run), "here");
        }
        store.write(batch)?;
        store.flush()?;
    }

    let before = store.stats();
    for number in 0..1000 {
        assert_eq!(store.get(format!("user/{:06}x", number * 7))?, None);
    }
    let after = store.stats();
    let skipped = after.filter_skips - before.filter_skips;
    let read = after.blocks_read - before.blocks_read;
    println!("1000 misses over 16 runs: {skipped} runs skipped, {read} blocks read");
    if cfg!(feature = "bloom") {
        assert!(read < 10, "a filter errs once in 65,000 times");
    }
    Ok(())
}
