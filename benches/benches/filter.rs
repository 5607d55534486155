//! What does a run's filter cost to build, and to ask?
//!
//! A filter of the deepest level, 8-bit fingerprints. The limits: a query hashes the key, which for
//! 24 bytes is some twenty instructions, and reads three places in memory at the same time, so one
//! cache miss's time where the filter is larger than the caches. A build writes some 35 bytes a key
//! to random places, and sorts the hashes first.

#![forbid(unsafe_code)]

use divan::{Bencher, black_box, counter::ItemsCount};
use lsm_benches::data::{other_keys, pairs};
use lsm_bloom::{Filter, FilterBuilder, FingerprintBits, KeyHash, KeyHasher};

fn main() {
    divan::main();
}

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
const HASHER: KeyHasher = KeyHasher::new(7);

fn hashes(size: usize) -> Vec<KeyHash> {
    let keys = pairs(1, size).into_iter();
    keys.map(|(key, _)| HASHER.hash(&key)).collect()
}

fn build_from(hashes: &[KeyHash]) -> Option<Filter> {
    let mut builder = FilterBuilder::new(u64::MAX);
    hashes.iter().for_each(|hash| builder.push(*hash));
    builder.finish(FingerprintBits::Eight).ok()
}

#[divan::bench(args = SIZES, sample_count = 10, sample_size = 1)]
fn build(bencher: Bencher<'_, '_>, size: usize) {
    let hashes = hashes(size);
    bencher
        .counter(ItemsCount::new(size))
        .bench_local(|| build_from(black_box(&hashes)));
}

#[divan::bench(args = SIZES, sample_size = 1_000)]
fn query_hit(bencher: Bencher<'_, '_>, size: usize) {
    let keys: Vec<_> = pairs(1, size).into_iter().map(|pair| pair.0).collect();
    query(bencher, size, &keys);
}

#[divan::bench(args = SIZES, sample_size = 1_000)]
fn query_miss(bencher: Bencher<'_, '_>, size: usize) {
    query(bencher, size, &other_keys(2, size));
}

fn query(bencher: Bencher<'_, '_>, size: usize, keys: &[Vec<u8>]) {
    let filter = build_from(&hashes(size));
    let mut keys = keys.iter().cycle();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let hash = keys.next().map(|key| HASHER.hash(black_box(key)));
        filter
            .as_ref()
            .zip(hash)
            .map(|(filter, hash)| filter.may_contain(hash))
    });
}
