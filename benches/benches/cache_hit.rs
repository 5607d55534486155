//! What does a hit in the block cache cost, and does a second thread slow it down?
//!
//! Blocks of 4 KiB in a cache that holds all of them, asked for in an order without pattern. The
//! limits: one miss for the block's place and one for the value's reference count, and with two
//! threads what the processor takes to move the cache line of a shared count from
//! one core to the other, some 50 ns.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    reason = "without its set-up there is nothing to measure"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use divan::{Bencher, counter::ItemsCount};
use lsm_benches::runs::DecodedRun;
use lsm_cache::{PagePool, Pages};

fn main() {
    divan::main();
}

const ENTRIES: usize = 100_000;

#[divan::bench(threads = [1, 2], sample_size = 1_000)]
fn hit(bencher: Bencher<'_, '_>) {
    let run = DecodedRun::new(1, ENTRIES).expect("a run of good pairs");
    let count = run.blocks().len();
    let pages = Pages::new(&PagePool::new(256 << 20), count);
    for (number, block) in run.blocks().enumerate() {
        pages.insert(number, block, block.memory_bytes() as u64);
    }
    // Each thread has its own place in the walk, or the counter would be what is measured.
    thread_local! {
        static WALK: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }
    let misses = AtomicU64::new(0);
    bencher.counter(ItemsCount::new(1_usize)).bench(|| {
        let place = WALK.get();
        WALK.set(place.wrapping_add(331));
        let found = pages.get(place % count);
        if found.is_none() {
            misses.fetch_add(1, Ordering::Relaxed);
        }
        found
    });
    assert_eq!(misses.into_inner(), 0, "every lookup was a hit");
}
