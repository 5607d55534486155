//! More writes than the disk can take, for minutes: no put waits long, and the backlog goes.
//!
//! Eight threads put as fast as they are let, over a key space larger than the cache, so that every
//! level is rewritten all the time. What a put waits inside calls of the file system is the disk's
//! doing, and is measured at the seam and taken off; the rest is ours.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lsm_db::{Batch, Durability, Lsm, LsmConfig};
use lsm_tests::describe;
use lsm_tests::random::Random;

use super::timed_fs::{TimedFs, this_thread_writes};
use super::{Findings, bar, mebibytes, peak_memory};

const WRITERS: u64 = 8;
const KEYS: usize = 2_000_000;
const VALUE_BYTES: usize = 1000;
const BATCH: usize = 64;

/// A put's wait outside the file system, at most.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// How long the backlog may take to go once nobody writes.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// What the writers saw.
#[derive(Default)]
struct Seen {
    puts: AtomicU64,
    /// Puts that took longer than this many milliseconds, the file system's time included.
    over: [AtomicU64; MILLIS.len()],
    slowest: Mutex<Duration>,
    /// The longest wait outside the file system, and of how long a put.
    longest_wait: Mutex<(Duration, Duration)>,
}

const MILLIS: [u64; 3] = [1, 10, 100];

pub(super) fn run(dir: &Path, duration: Duration) -> Findings {
    let fs = TimedFs::default();
    let config = LsmConfig::new()
        .durability(Durability::Buffered)
        .file_system(Arc::new(fs.clone()));
    let db = Lsm::open_with(dir, config).map_err(|error| describe(&error))?;
    let (seen, stop) = (Seen::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let (db, fs, seen, stop) = (&db, &fs, &seen, &stop);
                scope.spawn(move || {
                    this_thread_writes();
                    let outcome = write(db, fs, seen, stop, number);
                    stop.store(true, Ordering::Relaxed);
                    outcome
                })
            })
            .collect();
        let watched = watch(&db, &seen, &stop, duration);
        stop.store(true, Ordering::Relaxed);
        let outcomes = writers.into_iter().map(|writer| {
            let joined = writer.join();
            joined.unwrap_or_else(|_| Err("a writer panicked".to_owned()))
        });
        outcomes
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Result<(), _>>()?;
        watched
    })?;

    let stats = db.stats();
    let drained = drain(&db)?;
    let start = Instant::now();
    while db.stats().compaction_debt_bytes > 0 && start.elapsed() < 10 * DRAIN_MAX {
        std::thread::sleep(Duration::from_millis(100));
    }
    let settled = (start.elapsed() + drained, db.stats().compaction_debt_bytes);
    db.close().map_err(|error| describe(&error))?;

    let (wait, of) = *seen
        .longest_wait
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let slowest = *seen.slowest.lock().unwrap_or_else(PoisonError::into_inner);
    let over: Vec<_> = MILLIS
        .iter()
        .zip(&seen.over)
        .map(|(millis, count)| format!("{} over {millis} ms", count.load(Ordering::Relaxed)))
        .collect();
    let findings = vec![
        format!(
            "{} puts in {:.0} s, {} of keys and values, {} written for each; {} stalls, {:.1} s together",
            seen.puts.load(Ordering::Relaxed),
            duration.as_secs_f64(),
            mebibytes(stats.user_bytes),
            format_args!("{:.1} bytes", stats.write_amplification()),
            stats.stalls,
            stats.stalled.as_secs_f64(),
        ),
        format!("the slowest put took {slowest:?}; {}", over.join(", ")),
        format!(
            "the longest wait outside the file system was {wait:?}, of a put of {of:?} (at most {WAIT_MAX:?})"
        ),
        format!("memtables and level 0 were drained after {drained:?} (at most {DRAIN_MAX:?})"),
        format!(
            "all levels: {} of debt after {:?}",
            mebibytes(settled.1),
            settled.0
        ),
        peak_memory(),
    ];
    if wait > WAIT_MAX || drained > DRAIN_MAX {
        return Err(findings.join("\n"));
    }
    Ok(findings)
}

fn write(
    db: &Lsm,
    fs: &TimedFs,
    seen: &Seen,
    stop: &AtomicBool,
    number: u64,
) -> Result<(), String> {
    let mut random = Random::new(number);
    let mut value = random.bytes(VALUE_BYTES);
    while !stop.load(Ordering::Relaxed) {
        // Mostly one by one; batches now and then make the sizes uneven.
        let count = if random.one_in(64) { BATCH } else { 1 };
        let mut batch = Batch::new();
        for _ in 0..count {
            value[..8].copy_from_slice(&random.draw().to_le_bytes());
            batch.put((random.below(KEYS) as u64).to_be_bytes(), &value);
        }
        let start = Instant::now();
        db.write(batch).map_err(|error| describe(&error))?;
        seen.note(fs, start, Instant::now());
    }
    Ok(())
}

impl Seen {
    fn note(&self, fs: &TimedFs, start: Instant, end: Instant) {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let took = end.duration_since(start);
        for (millis, count) in MILLIS.iter().zip(&self.over) {
            if took > Duration::from_millis(*millis) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        if took < WAIT_MAX / 2 {
            return;
        }
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        *slowest = took.max(*slowest);
        drop(slowest);
        let wait = took.saturating_sub(fs.inside(start, end));
        let mut longest = self
            .longest_wait
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *longest = (wait, took).max(*longest);
    }
}

fn watch(db: &Lsm, seen: &Seen, stop: &AtomicBool, duration: Duration) -> Result<(), String> {
    let bar = bar("overload", duration.as_secs())?;
    let start = Instant::now();
    while start.elapsed() < duration && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(200));
        let stats = db.stats();
        bar.set_position(start.elapsed().as_secs());
        bar.set_message(format!(
            "{} puts, {} runs in level 0, {} unflushed, {} of debt",
            seen.puts.load(Ordering::Relaxed),
            stats.levels.first().map_or(0, |level| level.runs),
            mebibytes(stats.sealed_bytes),
            mebibytes(stats.compaction_debt_bytes),
        ));
        if let Some(error) = stats.background_error {
            return Err(format!("in the background: {error}"));
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Waits until no memtable waits for its flush and level 0 no longer asks for a compaction.
fn drain(db: &Lsm) -> Result<Duration, String> {
    let trigger = LsmConfig::new().compaction_trigger_runs();
    let start = Instant::now();
    loop {
        let stats = db.stats();
        let l0_runs = stats.levels.first().map_or(0, |level| level.runs);
        if stats.sealed_memtables == 0 && l0_runs < trigger {
            return Ok(start.elapsed());
        }
        if start.elapsed() > 10 * DRAIN_MAX {
            return Err(format!("not drained after {:?}:\n{stats}", start.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
