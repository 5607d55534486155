//! What does the memtable cost by itself, without the log, the queue and the view around it?
//!
//! Inserts one by one and in sorted batches, point reads, and steps of a cursor, in memtables of the
//! sizes between which the processor's caches give out. The limit: an insert or a get is a chain of
//! cache misses, one for each level of the structure that is not cached, and none of them can start
//! before the one before it is over; a dependent read of memory takes about 80 ns. A step forward is
//! one such read at most.

#![forbid(unsafe_code)]

use std::sync::Arc;

use bytes::Bytes;
use divan::{Bencher, black_box, counter::ItemsCount};
use lsm_benches::data::{Pair, pairs};
use lsm_memtable::Memtable;

fn main() {
    divan::main();
}

const SIZES: [usize; 3] = [1_000, 20_000, 200_000];
/// Operations timed together.
const TIMES: usize = 1_000;

fn handles(pairs: Vec<Pair>) -> Vec<(Bytes, Bytes)> {
    let shared = pairs.into_iter();
    shared
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

fn filled(size: usize) -> Arc<Memtable> {
    let memtable = Memtable::new();
    for (seqno, (key, value)) in (1..).zip(handles(pairs(1, size))) {
        memtable.insert(seqno, key, Some(value));
    }
    Arc::new(memtable)
}

#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn insert(bencher: Bencher<'_, '_>, size: usize) {
    let new = handles(pairs(2, TIMES));
    bencher
        .counter(ItemsCount::new(TIMES))
        .with_inputs(|| (filled(size), new.clone()))
        .bench_local_values(|(memtable, new)| {
            for (key, value) in new {
                memtable.insert(u64::MAX, key, Some(value));
            }
            memtable
        });
}

#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn insert_sorted_batch(bencher: Bencher<'_, '_>, size: usize) {
    let mut new = handles(pairs(2, TIMES));
    new.sort_unstable();
    bencher
        .counter(ItemsCount::new(TIMES))
        .with_inputs(|| (filled(size), new.clone()))
        .bench_local_values(|(memtable, new)| {
            let entries = new.into_iter().map(|(key, value)| (key, Some(value)));
            memtable.insert_batch(u64::MAX, entries);
            memtable
        });
}

#[divan::bench(args = SIZES, sample_size = 1_000)]
fn get(bencher: Bencher<'_, '_>, size: usize) {
    let memtable = filled(size);
    let keys: Vec<_> = pairs(1, size).into_iter().map(|pair| pair.0).collect();
    let mut keys = keys.iter().cycle();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        keys.next()
            .map(|key| memtable.get(black_box(key), u64::MAX))
    });
}

#[divan::bench(args = SIZES, sample_size = 1_000)]
fn next(bencher: Bencher<'_, '_>, size: usize) {
    let mut cursor = filled(size).cursor(u64::MAX);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        cursor.next();
        if cursor.key().is_none() {
            cursor.seek_first();
        }
        black_box(cursor.value()).map(<[u8]>::len)
    });
}
