//! What the cache promises, call by call and on many threads.

#[path = "../examples/hit_rates/trace.rs"]
mod trace;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use lsm_cache::{Cache, SHARD_BYTES_MIN, SeededHash};
use quickcheck::quickcheck;
use trace::{Lru, Zipfian, hit_rate};

/// (run, block) → a value that says how many bytes it weighs.
type Blocks = Cache<(u64, u32), Block>;
const OVERHEAD: u64 = Blocks::ENTRY_OVERHEAD_BYTES;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    bytes: u64,
    version: u64,
}

fn block(bytes: u64, version: u64) -> Block {
    Block { bytes, version }
}

fn blocks(capacity_bytes: u64) -> Blocks {
    Cache::new(capacity_bytes, |_, block| block.bytes)
}

fn balanced(cache: &Blocks) {
    let stats = cache.stats();
    assert_eq!(
        stats.inserted - stats.evicted - stats.removed,
        cache.len() as u64,
        "{stats:?}"
    );
}

#[test]
fn what_is_inserted_is_found_until_it_is_removed() {
    let cache = blocks(1 << 20);
    assert_eq!(cache.get(&(1, 0)), None);
    cache.insert((1, 0), block(100, 1));
    assert_eq!(cache.get(&(1, 0)), Some(block(100, 1)));
    assert_eq!((cache.len(), cache.used_bytes()), (1, 100 + OVERHEAD));
    cache.insert((1, 0), block(200, 2));
    assert_eq!(cache.get(&(1, 0)), Some(block(200, 2)));
    assert_eq!((cache.len(), cache.used_bytes()), (1, 200 + OVERHEAD));
    assert_eq!(cache.remove(&(1, 0)), Some(block(200, 2)));
    assert_eq!(cache.remove(&(1, 0)), None);
    assert_eq!(cache.get(&(1, 0)), None);
    assert_eq!((cache.len(), cache.used_bytes()), (0, 0));
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses), (2, 2));
    assert_eq!((stats.inserted, stats.evicted, stats.removed), (2, 1, 1));
}

#[test]
fn a_cache_without_capacity_is_off() {
    let cache = blocks(0);
    cache.insert((1, 0), block(1, 1));
    assert_eq!(cache.get(&(1, 0)), None);
    for version in [1, 2] {
        let loaded = cache.get_or_insert_with(&(1, 0), || Ok::<_, ()>(block(1, version)));
        assert_eq!(loaded, Ok(block(1, version)));
    }
    assert_eq!(cache.remove(&(1, 0)), None);
    assert_eq!(cache.purge([(1, 0)], |_| true), 0);
    assert_eq!(
        (cache.len(), cache.used_bytes(), cache.capacity_bytes()),
        (0, 0, 0)
    );
    assert_eq!((cache.stats().misses, cache.stats().inserted), (3, 0));
}

#[test]
fn an_entry_over_half_a_shard_is_not_kept_and_costs_nobody_else_their_place() {
    for capacity in [64 << 10, SHARD_BYTES_MIN * 2] {
        let cache = blocks(capacity);
        for number in 0..5 {
            cache.insert((1, number), block(1000, 1));
        }
        let limit = cache.entry_bytes_max();
        assert_eq!(limit, capacity.min(SHARD_BYTES_MIN) / 2);
        cache.insert((2, 0), block(limit - OVERHEAD, 1));
        assert!(cache.get(&(2, 0)).is_some(), "just small enough");

        cache.insert((3, 0), block(limit - OVERHEAD + 1, 1));
        assert_eq!(cache.get(&(3, 0)), None);
        let loaded = cache.get_or_insert_with(&(4, 0), || Ok::<_, ()>(block(u64::MAX, 1)));
        assert_eq!(loaded, Ok(block(u64::MAX, 1)));
        assert_eq!(cache.get(&(4, 0)), None);
        assert!((0..5).all(|number| cache.get(&(1, number)).is_some()));

        // It does not leave an older value behind either.
        cache.insert((2, 0), block(limit, 2));
        assert_eq!(cache.get(&(2, 0)), None);
        assert_eq!((cache.len(), cache.stats().rejected), (5, 3));
        balanced(&cache);
    }
}

#[test]
fn a_capacity_too_small_for_anything_keeps_nothing() {
    for capacity in [1, 2, 100] {
        let cache = blocks(capacity);
        cache.insert((1, 0), block(0, 1));
        assert_eq!((cache.len(), cache.used_bytes()), (0, 0));
    }
}

#[test]
fn a_failed_load_is_returned_and_leaves_nothing_behind() {
    let cache = blocks(1 << 20);
    let failed = cache.get_or_insert_with(&(1, 0), || Err("rotten"));
    assert_eq!(failed, Err("rotten"));
    assert!(cache.is_empty());
    let loaded = cache.get_or_insert_with(&(1, 0), || Ok::<_, ()>(block(10, 1)));
    assert_eq!(loaded, Ok(block(10, 1)));
    let found = cache.get_or_insert_with(&(1, 0), || Err("not asked"));
    assert_eq!(found, Ok(block(10, 1)));
    balanced(&cache);
}

#[test]
fn a_panicking_load_leaves_no_place_taken() {
    let cache = blocks(1 << 20);
    let load = || cache.get_or_insert_with(&(1, 0), || -> Result<Block, ()> { panic!("load") });
    assert!(catch_unwind(AssertUnwindSafe(load)).is_err());
    assert!(cache.is_empty());
    // On this thread and on another, neither of which may hang.
    thread::scope(|scope| {
        scope.spawn(|| cache.insert((1, 1), block(1, 1)));
        scope.spawn(|| {
            let loaded = cache.get_or_insert_with(&(1, 0), || Ok::<_, ()>(block(10, 1)));
            assert_eq!(loaded, Ok(block(10, 1)));
        });
    });
    assert_eq!(cache.len(), 2);
}

#[test]
fn threads_that_miss_the_same_key_load_it_once() {
    // The second size is too large to be kept, and still is loaded once for all who wait.
    for bytes in [100, 1 << 30] {
        let cache = blocks(1 << 20);
        let loads = AtomicU64::new(0);
        let started = Barrier::new(4);
        let all_here = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    started.wait();
                    let loaded = cache.get_or_insert_with(&(1, 0), || {
                        loads.fetch_add(1, Ordering::Relaxed);
                        // Nobody is answered before everybody could ask.
                        while !all_here.load(Ordering::Acquire) {
                            thread::yield_now();
                        }
                        Ok::<_, ()>(block(bytes, 7))
                    });
                    assert_eq!(loaded, Ok(block(bytes, 7)));
                });
            }
            // A lookup counts as soon as it is let through: as a miss, or at the end as a hit.
            while cache.stats().misses == 0 {
                thread::yield_now();
            }
            for _ in 0..1000 {
                thread::yield_now();
            }
            all_here.store(true, Ordering::Release);
        });
        let stats = cache.stats();
        assert_eq!(stats.hits + stats.misses, 4);
        assert_eq!(loads.load(Ordering::Relaxed), stats.misses);
        if bytes == 100 {
            assert_eq!((stats.misses, stats.inserted), (1, 1));
        }
    }
}

#[test]
fn a_purge_takes_everything_of_one_run_and_nothing_else() {
    // By removing key by key, and by going through the cache.
    for candidates in [60_u32, 60_000] {
        let cache = blocks(SHARD_BYTES_MIN * 4);
        for run in 1..=3 {
            (0..50).for_each(|number| cache.insert((run, number), block(100, run)));
            cache.insert((run, u32::MAX), block(5000, run));
        }
        let keys = (0..candidates).chain([u32::MAX]).map(|number| (2, number));
        assert_eq!(cache.purge(keys, |key| key.0 == 2), 51);
        assert_eq!(cache.len(), 102);
        assert_eq!(cache.used_bytes(), 2 * (50 * 100 + 5000) + 102 * OVERHEAD);
        for run in [1, 2, 3] {
            let found = (0..50)
                .chain([u32::MAX])
                .filter(|&n| cache.get(&(run, n)).is_some());
            assert_eq!(found.count(), if run == 2 { 0 } else { 51 });
        }
        balanced(&cache);
    }
}

quickcheck! {
    /// Each operation is (kind, key, bytes); whatever is found is what was put there last.
    fn what_is_found_is_what_was_inserted_last(
        operations: Vec<(u8, u8, u16)>, capacity: u16, seed: u64
    ) -> bool {
        let cache: Blocks = Cache::with_hasher(
            u64::from(capacity), |_, block: &Block| block.bytes, SeededHash::new(seed),
        );
        let mut model: HashMap<(u64, u32), Block> = HashMap::new();
        for (step, (kind, key, bytes)) in (1_u64..).zip(operations) {
            let key = (u64::from(key % 4), u32::from(key / 4));
            let new = block(u64::from(bytes % 1024), step);
            match kind % 8 {
                0..=2 => {
                    cache.insert(key, new.clone());
                    model.insert(key, new);
                }
                3 => {
                    let was = cache.remove(&key);
                    assert!(was.is_none() || was == model.remove(&key));
                    model.remove(&key);
                }
                4 => {
                    let got = cache.get_or_insert_with(&key, || Ok::<_, ()>(new.clone())).unwrap();
                    assert!(got == new || Some(&got) == model.get(&key));
                    model.insert(key, got);
                }
                5 => {
                    cache.purge((0..64).map(|number| (key.0, number)), |found| found.0 == key.0);
                    model.retain(|found, _| found.0 != key.0);
                }
                _ => {}
            }
            for key in model.keys().copied().chain([key]) {
                let found = cache.get(&key);
                assert!(found.is_none() || found.as_ref() == model.get(&key));
            }
            assert!(cache.used_bytes() <= cache.capacity_bytes());
            balanced(&cache);
        }
        true
    }
}

#[test]
fn the_same_calls_leave_the_same_entries() {
    let run = || {
        let cache = blocks(SHARD_BYTES_MIN * 4);
        let mut zipfian = Zipfian::new(50_000, 9);
        hit_rate(&mut zipfian, 100_000, |key| {
            let key = (key % 7, u32::try_from(key).unwrap());
            cache
                .get_or_insert_with(&key, || Ok::<_, ()>(block(4096, 1)))
                .is_ok()
        });
        let kept = (0..50_000).filter(|&key| cache.get(&(u64::from(key % 7), key)).is_some());
        kept.collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_scan_does_not_push_out_what_is_asked_for_again_and_again() {
    const BLOCKS: u64 = 2_000;
    let cache = blocks(BLOCKS * (4096 + OVERHEAD));
    let mut lru = Lru::new(BLOCKS.try_into().unwrap());
    let mut request = |key: u64| {
        let key = (key >> 32, u32::try_from(key & 0xffff_ffff).unwrap());
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, block(4096, 1));
        }
        hit
    };
    let rates = |request: &mut dyn FnMut(u64) -> bool, scan_is_cached: bool| {
        let mut zipfian = Zipfian::new(20_000, 5);
        hit_rate(&mut zipfian, 150_000, &mut *request);
        let before = hit_rate(&mut zipfian, 20_000, &mut *request);
        if scan_is_cached {
            (0..5 * BLOCKS).for_each(|key| {
                request((1 << 40) + key);
            });
        }
        (before, hit_rate(&mut zipfian, 20_000, &mut *request))
    };
    let (before, after) = rates(&mut request, true);
    assert!(before > 70.0, "{before}");
    assert!(
        after > before - 1.0,
        "{before} before the scan, {after} after"
    );

    let (lru_before, lru_after) = rates(&mut |key| lru.request(key), true);
    assert!(lru_after < lru_before - 2.0, "the trace tells nothing");
    assert!(before > lru_before + 3.0, "{before} against {lru_before}");
}

#[test]
fn the_tables_take_no_more_than_the_entries_are_charged_for_them() {
    // With tables just doubled, just before doubling, and in between; filled and overfilled.
    let mut highest = 0;
    let capacities = (1..32).map(|step| step << 19).chain([70 << 20]);
    for (capacity, bytes) in capacities.flat_map(|capacity| [(capacity, 4096), (capacity, 8000)]) {
        let cache = blocks(capacity);
        let fit = u32::try_from(capacity / (bytes + OVERHEAD)).unwrap();
        for number in 0..fit * 3 {
            cache.insert((1, number), block(bytes, 1));
            if number % 100 == 99 {
                let charged = OVERHEAD * cache.len() as u64;
                let tables = cache.table_bytes();
                highest = highest.max(tables * 100 / charged);
                assert!(
                    tables <= charged,
                    "{tables} bytes for {} entries, charged {charged}",
                    cache.len()
                );
            }
        }
        assert!(bytes * cache.len() as u64 + cache.table_bytes() <= capacity);
    }
    assert!(highest > 85, "{highest} % at most: charged too much");
}

#[test]
fn threads_never_see_it_overfull_nor_a_wrong_value() {
    let cache = Arc::new(blocks(SHARD_BYTES_MIN * 2));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4_u64)
            .map(|seed| {
                let cache = &cache;
                scope.spawn(move || {
                    let mut zipfian = Zipfian::new(20_000, seed);
                    for step in 0..40_000_u64 {
                        let drawn = zipfian.draw();
                        let key = (drawn % 5, u32::try_from(drawn).unwrap());
                        let right = block(2000 + drawn % 3000, drawn);
                        match (step + seed) % 64 {
                            0 => {
                                cache.remove(&key);
                            }
                            1 => cache.insert(key, right),
                            2 if step % 4096 < 64 => {
                                cache.purge((0..9).map(|n| (key.0, n)), |found| found.0 == key.0);
                            }
                            _ => {
                                let found = cache.get_or_insert_with(&key, || {
                                    if step % 31 == 0 {
                                        Err(())
                                    } else {
                                        Ok(right.clone())
                                    }
                                });
                                assert!(found.is_err() || found == Ok(right));
                            }
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                assert!(cache.used_bytes() <= cache.capacity_bytes());
                thread::yield_now();
            }
        });
        let ended: Vec<_> = workers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::Release);
        assert!(ended.iter().all(Result::is_ok));
    });
    balanced(&cache);
    assert!(cache.stats().evicted > 0, "it was never full");
    cache.retain(|_, _| false);
    assert_eq!((cache.len(), cache.used_bytes()), (0, 0));
}

#[test]
fn less_capacity_evicts_at_once_and_more_lets_in_again() {
    let cache = blocks(8 << 20);
    for number in 0..1000 {
        cache.insert((1, number), block(4096, 0));
    }
    let full = cache.len();
    assert_eq!(full, 1000);
    cache.set_capacity(1 << 20);
    assert!(cache.used_bytes() <= 1 << 20, "{}", cache.used_bytes());
    assert_eq!(cache.capacity_bytes(), 1 << 20);
    balanced(&cache);
    cache.set_capacity(8 << 20);
    for number in 0..1000 {
        cache.insert((2, number), block(4096, 0));
    }
    assert!(cache.len() > 1000, "{}", cache.len());

    let off = blocks(0);
    off.set_capacity(1 << 20);
    off.insert((1, 1), block(1, 0));
    assert!(off.is_empty(), "off stays off");
}
