//! What each default costs and what it buys: one setting changed at a time, all else as it comes.
//!
//! `cargo xtask bench sweep` calls it. Each setting is a process of its own on a fresh folder, so that its
//! peak of memory is its own, and all of them do the same work: a load in random order, overwrites of
//! half, then reads. Times are of processors, background threads included: they depend little on what
//! else the machine does. It decides nothing itself; docs/PERFORMANCE.md says what follows.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "a command-line program: printing is its output"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use lsm_benches::BenchResult;
use lsm_benches::data::{KEY_BYTES, VALUE_BYTES, numbered_key};
use lsm_db::{Batch, Durability, Lsm, LsmConfig};
use lsm_memtable::{ENTRY_OVERHEAD_BYTES, Memtable};
use rustix::time::{ClockId, clock_gettime};

/// Batches of entries, times the scale.
const BATCHES: f64 = 20_000.0;
/// Entries of a batch.
const BATCH: u64 = 100;
/// Reads of each kind.
const READS: u64 = 200_000;
/// Entries that the memtable's front is measured with.
const FRONT_ENTRIES: u64 = 200_000;

/// What is changed.
struct Setting {
    parameter: &'static str,
    value: &'static str,
    apply: fn(LsmConfig) -> LsmConfig,
}

const fn setting(
    parameter: &'static str,
    value: &'static str,
    apply: fn(LsmConfig) -> LsmConfig,
) -> Setting {
    Setting {
        parameter,
        value,
        apply,
    }
}

const MIB: usize = 1 << 20;

const SETTINGS: &[Setting] = &[
    setting("–", "defaults", |config| config),
    setting("memtable", "4 MiB", |config| {
        config.memtable_capacity(4 * MIB)
    }),
    setting("memtable", "8 MiB", |config| {
        config.memtable_capacity(8 * MIB)
    }),
    setting("memtable", "16 MiB", |config| {
        config.memtable_capacity(16 * MIB)
    }),
    setting("memtable", "64 MiB", |config| {
        config.memtable_capacity(64 * MIB)
    }),
    setting("memtable", "128 MiB", |config| {
        config.memtable_capacity(128 * MIB)
    }),
    setting("cache", "0", |config| config.block_cache_capacity(0)),
    setting("cache", "16 MiB", |config| {
        config.block_cache_capacity(16 * MIB)
    }),
    setting("cache", "64 MiB", |config| {
        config.block_cache_capacity(64 * MIB)
    }),
    setting("cache", "1 GiB", |config| {
        config.block_cache_capacity(1024 * MIB)
    }),
    setting("run", "4 MiB", |config| config.run_bytes_target(4 << 20)),
    setting("run", "16 MiB", |config| config.run_bytes_target(16 << 20)),
    setting("run", "64 MiB", |config| config.run_bytes_target(64 << 20)),
    setting("fanout", "4", |config| config.level_fanout(4)),
    setting("fanout", "8", |config| config.level_fanout(8)),
    setting("fanout", "16", |config| config.level_fanout(16)),
    setting("filter bits", "0", |config| config.filter_bits(0)),
    setting("filter bits", "8", |config| config.filter_bits(8)),
    setting("filter bits", "20", |config| config.filter_bits(20)),
    setting("trigger", "2 runs", |config| config.compaction_trigger(2)),
    setting("trigger", "8 runs", |config| config.compaction_trigger(8)),
];

/// Bytes at which the front is full. The last is more than the 8,192
/// entries have that it takes at most.
const FRONTS: [u64; 6] = [64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20];

/// What 8,192 entries take.
const FRONT_KIBIBYTES_MAX: u64 = ((24 + 150 + ENTRY_OVERHEAD_BYTES) * 8192) >> 10;

fn main() -> BenchResult {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("a folder is missing")?;
    let scale = arguments.next().ok_or("the scale is missing")?;
    match arguments.next() {
        Some(number) => {
            let setting = SETTINGS.get(number.parse::<usize>()?);
            let setting = setting.ok_or("no such setting")?;
            measure(Path::new(&dir), setting, entries(scale.parse()?))
        }
        None => {
            all(Path::new(&dir), &scale)?;
            fronts();
            Ok(())
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of batches, of which at least two are loaded"
)]
fn entries(scale: f64) -> u64 {
    let batches = (BATCHES * scale).max(2.0) as u64;
    batches * BATCH
}

/// A process for each setting.
fn all(dir: &Path, scale: &str) -> BenchResult {
    println!(
        "| changed | to | write, µs | bytes written | get, µs | get of nothing, µs | seek + 10, µs | blocks read a get | peak, MiB |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for number in 0..SETTINGS.len() {
        let dir = tempfile::tempdir_in(dir)?;
        let status = Command::new(std::env::current_exe()?)
            .arg(dir.path())
            .args([scale, &number.to_string()])
            .status()?;
        if !status.success() {
            return Err(format!("setting {number}: {status}").into());
        }
    }
    Ok(())
}

/// Does the work with one setting, and prints its row.
fn measure(dir: &Path, setting: &Setting, entries: u64) -> BenchResult {
    let config = (setting.apply)(LsmConfig::new().durability(Durability::Buffered));
    let store = Lsm::open_with(dir.join("store"), config)?;
    let written = entries + entries / 2;
    let start = processor_time();
    for first in 0..written / BATCH {
        let mut batch = Batch::new();
        for number in first * BATCH..(first + 1) * BATCH {
            // Behind the load, every other key again.
            let key = if number < entries {
                number
            } else {
                (number - entries) * 2
            };
            batch.put(numbered_key(key), value(number));
        }
        store.write(batch)?;
    }
    store.flush()?;
    settle(&store);
    let write = per(start, written);
    let stats = store.stats();
    let amplification = stats.write_amplification();

    // All that the cache can hold is there.
    for number in 0..entries / 4 {
        store.get_bytes(numbered_key(picked(number, entries)))?;
    }
    let blocks_before = store.stats().blocks_read;
    let start = processor_time();
    for number in 0..READS {
        if store
            .get_bytes(numbered_key(picked(number, entries)))?
            .is_none()
        {
            return Err("a key that was written is not there".into());
        }
    }
    let get = per(start, READS);
    let blocks = (store.stats().blocks_read - blocks_before) as f64 / READS as f64;

    let start = processor_time();
    for number in 0..READS {
        if store.get_bytes(numbered_key(entries + number))?.is_some() {
            return Err("a key that was never written is there".into());
        }
    }
    let nothing = per(start, READS);

    let start = processor_time();
    let mut cursor = store.cursor();
    let mut seen = 0;
    for number in 0..READS {
        let mut is_valid = cursor.seek(numbered_key(picked(number, entries)))?;
        for _ in 1..10 {
            seen += cursor.value().map_or(0, <[u8]>::len);
            is_valid = is_valid && cursor.next()?;
        }
    }
    let seek = per(start, READS);
    drop(cursor);
    if seen == 0 {
        return Err("the cursor showed nothing".into());
    }
    store.close()?;

    println!(
        "| {} | {} | {write:.2} | {amplification:.2} | {get:.2} | {nothing:.2} | {seek:.2} | {blocks:.2} | {} |",
        setting.parameter,
        setting.value,
        peak_mebibytes(),
    );
    Ok(())
}

/// The memtable alone: single inserts in random order, and gets afterwards.
fn fronts() {
    println!("\n| front | insert, µs | get, µs |\n| ---: | ---: | ---: |");
    for bytes in FRONTS {
        let memtable = Memtable::new().with_front_bytes_max(bytes);
        let start = processor_time();
        for number in 0..FRONT_ENTRIES {
            let key = Bytes::from(numbered_key(number).to_vec());
            memtable.insert(number + 1, key, Some(Bytes::from(value(number).to_vec())));
        }
        let insert = per(start, FRONT_ENTRIES);
        let start = processor_time();
        let found = (0..FRONT_ENTRIES)
            .filter(|number| {
                let key = numbered_key(picked(*number, FRONT_ENTRIES));
                memtable.get(&key, u64::MAX).is_some()
            })
            .count();
        let get = per(start, found as u64);
        let kibibytes = (bytes >> 10).min(FRONT_KIBIBYTES_MAX);
        println!("| {kibibytes} KiB | {insert:.2} | {get:.2} |");
    }
}

fn value(number: u64) -> [u8; VALUE_BYTES] {
    let mut value = [0x5a; VALUE_BYTES];
    value[..KEY_BYTES].copy_from_slice(&numbered_key(!number));
    value
}

/// The number of a key to read: all of them in turn, in an order unlike that of the load.
fn picked(number: u64, entries: u64) -> u64 {
    const STEP: u64 = 0x9E37_79B1;
    number.wrapping_mul(STEP) % entries
}

fn settle(store: &Lsm) {
    loop {
        let stats = store.stats();
        if stats.sealed_memtables == 0 && !stats.compaction_pending {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What all threads of this process have taken of processors so far, in microseconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn per(start: f64, count: u64) -> f64 {
    (processor_time() - start) / count as f64
}

/// The most memory that was resident, in MiB; `–` where the system doesn't say.
#[expect(
    clippy::disallowed_methods,
    reason = "what the system says of a process is no file of a store"
)]
fn peak_mebibytes() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map_or("–".to_owned(), |kibibytes| (kibibytes >> 10).to_string())
}
