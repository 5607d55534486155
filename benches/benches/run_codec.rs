//! What does it cost to make a run of entries, and to make entries of a run again?
//!
//! 183 bytes an entry, all in memory. Encoding copies each entry once and checksums each block;
//! decoding checks the sum, the lengths and the order of every entry and notes where it is. The
//! limits: CRC-32C at some 11 GB/s and a copy at as much, so 17 ns an entry each.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    reason = "without its set-up there is nothing to measure"
)]

use divan::{Bencher, black_box, counter::BytesCount};
use lsm_benches::data::sorted_pairs;
use lsm_benches::runs::{DecodedRun, run_of};
use lsm_format::{Block, RunReader};

fn main() {
    divan::main();
}

const ENTRIES: usize = 20_000;

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let sorted = sorted_pairs(1, ENTRIES);
    let len = run_of(&sorted).expect("sorted pairs").len();
    bencher
        .counter(BytesCount::new(len))
        .bench_local(|| run_of(black_box(&sorted)));
}

#[divan::bench]
fn decode_blocks(bencher: Bencher<'_, '_>) {
    let run = DecodedRun::new(1, ENTRIES).expect("a run of good pairs");
    let len: usize = run.encoded_blocks().map(|bytes| bytes.len()).sum();
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        let blocks = run.encoded_blocks().enumerate();
        blocks
            .map(|(number, bytes)| Block::decode(bytes.clone(), run.index(), number))
            .filter_map(Result::ok)
            .map(|block| block.len())
            .sum::<usize>()
    });
}

#[divan::bench]
fn read_through(bencher: Bencher<'_, '_>) {
    let bytes = run_of(&sorted_pairs(1, ENTRIES)).expect("sorted pairs");
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| {
            let reader = RunReader::new(black_box(&bytes)).ok()?;
            Some(reader.iter().filter(|entry| entry.is_ok()).count())
        });
}
