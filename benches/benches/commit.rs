//! What does a buffered write cost from the call to its answer, alone and in a batch of a hundred?
//!
//! The queue, the log's frame, the write to the operating system, the memtable and the publication,
//! on a real file in the temporary folder. The limits: one system call that copies the record (about
//! a microsecond), and the insert into the memtable. It times no sync: that is the disk's.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    reason = "without its set-up there is nothing to measure"
)]

use divan::{Bencher, counter::ItemsCount};
use lsm_benches::data::pairs;
use lsm_benches::stores::{batch, config};
use lsm_db::Lsm;

fn main() {
    divan::main();
}

/// Fits a memtable, so that no flush runs beside.
const ENTRIES: usize = 50_000;
const BATCH_LEN: usize = 100;

#[divan::bench(sample_count = 50, sample_size = 1_000)]
fn put(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let store = Lsm::open_with(directory.path(), config()).expect("a new store opens");
    let pairs = pairs(1, ENTRIES);
    let mut pairs = pairs.iter();
    bencher
        .counter(ItemsCount::new(1_usize))
        .with_inputs(|| pairs.next().expect("as many pairs as puts"))
        .bench_local_refs(|(key, value)| store.put(key, value));
}

#[divan::bench(sample_count = 50, sample_size = 10)]
fn write_batch(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let store = Lsm::open_with(directory.path(), config()).expect("a new store opens");
    let pairs = pairs(1, ENTRIES);
    let mut chunks = pairs.chunks(BATCH_LEN);
    bencher
        .counter(ItemsCount::new(BATCH_LEN))
        .with_inputs(|| batch(chunks.next().expect("as many pairs as puts")))
        .bench_local_values(|batch| store.write(batch));
}
