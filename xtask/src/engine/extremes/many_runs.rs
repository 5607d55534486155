//! Ten thousand runs: opened, read and written by a process that may have 256 files open.
//!
//! The limit is the shell's (`ulimit -n`), so this program calls itself under it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lsm_db::{Durability, Lsm, LsmConfig};
use lsm_tests::describe;
use lsm_tests::random::Random;

use super::{Findings, bar, peak_memory};

const FILES_MAX: usize = 256;
const OPEN_MAX: Duration = Duration::from_secs(5);
const VALUE_BYTES: usize = 1000;
/// A run is closed when it reaches its target, after this many entries.
const ENTRIES_PER_RUN: u64 = 8;
/// A prime that divides no number of entries: each key once, and no two flushes of keys apart, which
/// would be moved as they are and not merged into runs of this size.
const STRIDE: u64 = 7919;
const GETS: usize = 50_000;

fn config() -> LsmConfig {
    LsmConfig::new()
        .memtable_capacity(256 << 10)
        .run_bytes_target(ENTRIES_PER_RUN * VALUE_BYTES as u64)
        .durability(Durability::Buffered)
}

pub(super) fn run(dir: &Path, runs: u64) -> Findings {
    let mut findings = vec![fill(dir, runs)?];
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let limited = format!("ulimit -n {FILES_MAX} && exec \"$0\" \"$@\"");
    let status = Command::new("sh")
        .args(["-c", &limited])
        .arg(program)
        .args(["extremes", "--few-files", "--dir"])
        .arg(dir)
        .status();
    match status {
        Ok(status) if status.success() => Ok(findings),
        Ok(status) => Err(format!("with {FILES_MAX} files: {status}")),
        Err(error) => {
            findings.push(format!(
                "not tried with few files, there is no shell: {error}"
            ));
            findings.extend(check(dir)?);
            Ok(findings)
        }
    }
}

/// Makes at least so many runs, all below level 0.
pub(super) fn fill(dir: &Path, runs: u64) -> Result<String, String> {
    let db = Lsm::open_with(dir, config()).map_err(|error| describe(&error))?;
    let entries = runs * (ENTRIES_PER_RUN + 1);
    let bar = bar("fill", entries)?;
    for written in 0..entries {
        let number = written * STRIDE % entries;
        db.put(key(number), value(number))
            .map_err(|error| describe(&error))?;
        if written % 1024 == 0 {
            bar.set_position(written);
        }
    }
    bar.finish_and_clear();
    db.compact_range::<&[u8], _>(..)
        .map_err(|error| describe(&error))?;
    let made: usize = db.stats().levels.iter().map(|level| level.runs).sum();
    db.close().map_err(|error| describe(&error))?;
    if (made as u64) < runs {
        return Err(format!("only {made} runs were made"));
    }
    Ok(format!("{made} runs of {entries} entries"))
}

/// What runs under the limit.
pub(super) fn with_few_files(dir: &Path) -> Findings {
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    let files: Result<Vec<_>, _> = (0..FILES_MAX).map(|_| std::fs::File::open(&exe)).collect();
    if files.is_ok() {
        return Err("there is no limit on open files".to_owned());
    }
    drop(files);
    check(dir)
}

/// Opens the store, reads it in every way, changes a part of it, and compares again.
pub(super) fn check(dir: &Path) -> Findings {
    let start = Instant::now();
    let db = Lsm::open_with(dir, config()).map_err(|error| describe(&error))?;
    let opened = start.elapsed();
    if opened > OPEN_MAX {
        return Err(format!("opening took {opened:?}, more than {OPEN_MAX:?}"));
    }
    let stats = db.stats();
    let runs: usize = stats.levels.iter().map(|level| level.runs).sum();
    let entries: u64 = stats.levels.iter().map(|level| level.entries).sum();
    read(&db, entries)?;
    for number in (0..entries).step_by(3) {
        db.put(key(number), value(number))
            .map_err(|error| describe(&error))?;
    }
    db.flush().map_err(|error| describe(&error))?;
    read(&db, entries)?;
    db.compact_range::<&[u8], _>(..)
        .map_err(|error| describe(&error))?;
    read(&db, entries)?;
    let stats = db.stats();
    if let Some(error) = &stats.background_error {
        return Err(format!("in the background: {error}"));
    }
    db.close().map_err(|error| describe(&error))?;
    Ok(vec![
        format!(
            "{runs} runs open in {:.3} s, {} files kept open",
            opened.as_secs_f64(),
            stats.open_files
        ),
        peak_memory(),
    ])
}

fn read(db: &Lsm, entries: u64) -> Result<(), String> {
    let mut random = Random::new(1);
    for _ in 0..GETS {
        let number = random.below(usize::try_from(entries).unwrap_or(usize::MAX)) as u64;
        let found = db.get(key(number)).map_err(|error| describe(&error))?;
        if found != Some(value(number)) {
            return Err(format!("key {number}: another value"));
        }
    }
    let mut numbers = 0..entries;
    for entry in db.iter() {
        check_entry(entry, numbers.next())?;
    }
    let mut back = (0..entries).rev();
    for entry in db.iter().rev() {
        check_entry(entry, back.next())?;
    }
    match numbers.next().or(back.next()) {
        Some(number) => Err(format!("key {number} is missing")),
        None => Ok(()),
    }
}

fn check_entry(
    entry: lsm_db::Result<(lsm_db::Bytes, lsm_db::Bytes)>,
    number: Option<u64>,
) -> Result<(), String> {
    let (found, what) = entry.map_err(|error| describe(&error))?;
    match number {
        Some(number) if found == key(number)[..] && what == value(number) => Ok(()),
        Some(number) => Err(format!("not key {number}, or another value")),
        None => Err("more keys than were written".to_owned()),
    }
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

fn value(number: u64) -> Vec<u8> {
    Random::new(number).bytes(VALUE_BYTES)
}
