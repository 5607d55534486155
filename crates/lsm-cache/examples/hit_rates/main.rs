//! Prints how often the cache, the pages and a plain LRU of the same size have what is asked for:
//! zipfian requests alone, and with one long scan in between.
//!
//! ```text
//! cargo run --release -p lsm-cache --example hit_rates
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod trace;

use std::sync::Arc;

use lsm_cache::{Cache, PAGE_OVERHEAD_BYTES, PagePool, Pages};
use trace::{Lru, Zipfian, hit_rate};

const KEYS: u64 = 100_000;
const BLOCK_BYTES: u64 = 4096;
const SCAN_FROM: u64 = 1 << 40;
const SCANNED_FILE_BLOCKS: usize = 1 << 20;

fn main() {
    println!("{KEYS} blocks, zipfian (0.99); the scan reads four times the cache's size, once");
    println!("cache holds   policy      before scan   2,000 after   steady mix");
    for percent in [1, 5, 10, 25] {
        let blocks = KEYS * percent / 100;
        let charged = BLOCK_BYTES + Cache::<u64, u64>::ENTRY_OVERHEAD_BYTES;
        let cache = Cache::<u64, u64>::new(blocks * charged, |_, _| BLOCK_BYTES);
        report(percent, "Cache", blocks, |key| {
            let hit = cache.get(&key).is_some();
            if !hit {
                cache.insert(key, key);
            }
            hit
        });
        let pool = PagePool::new(blocks * (BLOCK_BYTES + PAGE_OVERHEAD_BYTES));
        let popular = Pages::new(&pool, usize::try_from(KEYS).unwrap_or(usize::MAX));
        // What is scanned has owners of its own, one after the other.
        let mut scanned = Pages::new(&pool, SCANNED_FILE_BLOCKS);
        report(percent, "Pages", blocks, |key| {
            let number = usize::try_from(key % SCAN_FROM).unwrap_or(usize::MAX);
            let (pages, number) = if key < SCAN_FROM {
                (&popular, number)
            } else {
                if number % SCANNED_FILE_BLOCKS == 0 {
                    scanned = Pages::new(&pool, SCANNED_FILE_BLOCKS);
                }
                (&scanned, number % SCANNED_FILE_BLOCKS)
            };
            let hit = pages.get(number).is_some();
            if !hit {
                pages.insert(number, &Arc::new(key), BLOCK_BYTES);
            }
            hit
        });
        let mut lru = Lru::new(usize::try_from(blocks).unwrap_or(usize::MAX));
        report(percent, "LRU", blocks, |key| lru.request(key));
    }
}

fn report(percent: u64, name: &str, blocks: u64, mut request: impl FnMut(u64) -> bool) {
    let mut zipfian = Zipfian::new(KEYS, 1);
    hit_rate(&mut zipfian, 500_000, &mut request);
    let before = hit_rate(&mut zipfian, 200_000, &mut request);
    (0..4 * blocks).for_each(|key| {
        request(SCAN_FROM + key);
    });
    let after = hit_rate(&mut zipfian, 2_000, &mut request);
    // Every request is followed by one of a scan that never ends.
    let mut scanned = SCAN_FROM * 2;
    let mixed = hit_rate(&mut zipfian, 300_000, |key| {
        scanned += 1;
        request(scanned);
        request(key)
    });
    println!("{percent:>9} %   {name:<9} {before:>11.1} % {after:>11.1} % {mixed:>10.1} %");
}
