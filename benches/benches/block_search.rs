//! What does it cost to find a key once its block is in memory, and to find the block?
//!
//! A search in one block of about 22 entries, and one in an index of about 900 blocks. The limits: the
//! heads of a block's keys fill three cache lines, those of this index 113, and a binary search reads
//! five and ten of them one after the other; then one comparison of whole keys, in the block.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    reason = "without its set-up there is nothing to measure"
)]

use divan::{Bencher, black_box, counter::ItemsCount};
use lsm_benches::data::pairs;
use lsm_benches::runs::DecodedRun;

fn main() {
    divan::main();
}

const ENTRIES: usize = 20_000;

#[divan::bench(sample_size = 1_000)]
fn get_in_block(bencher: Bencher<'_, '_>) {
    let run = DecodedRun::new(1, ENTRIES).expect("a run of good pairs");
    let keys: Vec<_> = pairs(1, ENTRIES).into_iter().map(|pair| pair.0).collect();
    let asked: Vec<_> = keys
        .iter()
        .filter_map(|key| Some((key, run.block_of(key)?)))
        .collect();
    let mut asked = asked.iter().cycle();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| asked.next().map(|(key, block)| block.get(black_box(key))));
}

#[divan::bench(sample_size = 1_000)]
fn find_in_index(bencher: Bencher<'_, '_>) {
    let run = DecodedRun::new(1, ENTRIES).expect("a run of good pairs");
    let keys: Vec<_> = pairs(1, ENTRIES).into_iter().map(|pair| pair.0).collect();
    let mut keys = keys.iter().cycle();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| keys.next().map(|key| run.index().find(black_box(key))));
}
