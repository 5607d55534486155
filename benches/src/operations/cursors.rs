//! Seeks, and steps of cursors and iterators, each of which reads key and value.

use std::hint::black_box;

use lsm_db::Cursor;

use super::reads::{layered, settled};
use super::{Operation, STORE_LEN, TIMES};
use crate::BenchResult;
use crate::data::{VALUE_BYTES, pairs};
use crate::meter::Meter;
use crate::stores::{Bench, config};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "seek",
        what: "seek of a cursor to a key in one run",
        run: seek,
    },
    Operation {
        name: "seek-and-ten",
        what: "a new cursor, a seek and ten steps, one run",
        run: seek_and_ten,
    },
    Operation {
        name: "range-and-ten",
        what: "a new range and its first ten entries, one run",
        run: range_and_ten,
    },
    Operation {
        name: "cursor-next",
        what: "step of a cursor in one run, blocks cached",
        run: cursor_next,
    },
    Operation {
        name: "cursor-prev",
        what: "step back of a cursor in one run, blocks cached",
        run: cursor_prev,
    },
    Operation {
        name: "cursor-next-memtable",
        what: "step of a cursor in a memtable",
        run: cursor_next_memtable,
    },
    Operation {
        name: "cursor-next-layered",
        what: "step of a cursor over a memtable and five runs",
        run: cursor_next_layered,
    },
    Operation {
        name: "cursor-next-uncached",
        what: "step of a cursor in one run, blocks read and decoded",
        run: cursor_next_uncached,
    },
    Operation {
        name: "iter-next",
        what: "step of an owned iterator in one run, blocks cached",
        run: iter_next,
    },
];

/// Entries that a scan steps over: more than one block's many times.
const STEPS: u64 = 15_000;
/// Entries stepped over before, so that what happens once is over.
const STEPS_BEFORE: u64 = 1_000;
/// Scans that seek.
const SCANS: u64 = 1_000;
/// Entries that such a scan reads.
const SCAN_LEN: usize = 10;

/// Keys in random order, without those at the end of the store.
fn keys_with_ten_behind() -> Vec<Vec<u8>> {
    let mut keys: Vec<_> = pairs(1, STORE_LEN).into_iter().map(|pair| pair.0).collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    sorted.truncate(STORE_LEN - SCAN_LEN);
    if let Some(last) = sorted.last() {
        keys.retain(|key| key <= last);
    }
    keys
}

/// Reads what the cursor is at.
fn consume(cursor: &Cursor) -> bool {
    match black_box(cursor.entry()) {
        Some((_, value)) => value.len() == VALUE_BYTES,
        None => false,
    }
}

fn seek(meter: &mut Meter) -> BenchResult {
    let pairs = pairs(1, STORE_LEN);
    let bench = settled(&pairs)?;
    let mut cursor = bench.store.cursor();
    let mut keys = pairs.iter().map(|(key, _)| key);
    meter.count(TIMES, |_| match keys.next() {
        Some(key) => Ok(cursor.seek(key)? && consume(&cursor)),
        None => Ok(false),
    })
}

fn seek_and_ten(meter: &mut Meter) -> BenchResult {
    let bench = settled(&pairs(1, STORE_LEN))?;
    let keys = keys_with_ten_behind();
    let mut keys = keys.iter();
    meter.count(SCANS, |_| {
        let Some(key) = keys.next() else {
            return Ok(false);
        };
        let mut cursor = bench.store.cursor();
        let mut is_there = cursor.seek(key)?;
        for _ in 0..SCAN_LEN {
            is_there &= consume(&cursor);
            cursor.next()?;
        }
        Ok(is_there)
    })
}

fn range_and_ten(meter: &mut Meter) -> BenchResult {
    let bench = settled(&pairs(1, STORE_LEN))?;
    let keys = keys_with_ten_behind();
    let mut keys = keys.iter();
    meter.count(SCANS, |_| {
        let Some(key) = keys.next() else {
            return Ok(false);
        };
        let mut count = 0;
        for entry in bench.store.range(key.as_slice()..).take(SCAN_LEN) {
            count += usize::from(black_box(entry?).1.len() == VALUE_BYTES);
        }
        Ok(count == SCAN_LEN)
    })
}

/// Steps forward through the store from its start.
fn count_steps(meter: &mut Meter, bench: &Bench) -> BenchResult {
    let mut cursor = bench.store.cursor();
    cursor.seek_first()?;
    for _ in 0..STEPS_BEFORE {
        cursor.next()?;
    }
    meter.count(STEPS, |_| Ok(cursor.next()? && consume(&cursor)))
}

fn cursor_next(meter: &mut Meter) -> BenchResult {
    count_steps(meter, &settled(&pairs(1, STORE_LEN))?)
}

fn cursor_prev(meter: &mut Meter) -> BenchResult {
    let bench = settled(&pairs(1, STORE_LEN))?;
    let mut cursor = bench.store.cursor();
    cursor.seek_last()?;
    for _ in 0..STEPS_BEFORE {
        cursor.prev()?;
    }
    meter.count(STEPS, |_| Ok(cursor.prev()? && consume(&cursor)))
}

fn cursor_next_memtable(meter: &mut Meter) -> BenchResult {
    count_steps(meter, &Bench::in_memory(&pairs(1, STORE_LEN))?)
}

fn cursor_next_layered(meter: &mut Meter) -> BenchResult {
    count_steps(meter, &layered(&pairs(1, STORE_LEN))?)
}

fn cursor_next_uncached(meter: &mut Meter) -> BenchResult {
    let pairs = pairs(1, STORE_LEN);
    count_steps(
        meter,
        &Bench::settled(&pairs, config().block_cache_capacity(0))?,
    )
}

fn iter_next(meter: &mut Meter) -> BenchResult {
    let bench = settled(&pairs(1, STORE_LEN))?;
    let mut entries = bench.store.iter();
    for _ in 0..STEPS_BEFORE {
        entries.next().transpose()?;
    }
    meter.count(STEPS, |_| match entries.next() {
        Some(entry) => Ok(black_box(entry?).1.len() == VALUE_BYTES),
        None => Ok(false),
    })
}
