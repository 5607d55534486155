//! More writes than the disk can take, for minutes: no put waits long, and the backlog goes.
//!
//! Eight threads put as fast as they are let, over a key space larger than the cache, so that every
//! level is rewritten all the time. What a put waits inside calls of the file system is the disk's
//! doing, and is measured at the seam and taken off; the rest is ours.
//!
//! What is left may still be the machine's: a thread that only sleeps tells how long nobody was given
//! a processor during the longest wait. That is printed, and not taken off.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lsm_db::{Batch, Durability, Lsm, LsmConfig, Stats};
use lsm_tests::describe;
use lsm_tests::random::Random;

use super::spans::Spans;
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
    longest: Mutex<LongestWait>,
    /// When the thread that only sleeps should have run and did not.
    late: Spans,
    /// The most runs of level 0 at once, and the most memtables that waited for their flush.
    l0_runs_max: AtomicUsize,
    sealed_max: AtomicUsize,
}

/// The longest wait outside the file system.
#[derive(Clone, Copy, Default)]
struct LongestWait {
    wait: Duration,
    /// Of how long a put.
    put: Duration,
    /// When it was over, since the start.
    at: Duration,
    /// For how much of the put a thread that wanted to run did not, as far as it knew by then.
    late: Duration,
}

const MILLIS: [u64; 3] = [1, 10, 100];

pub(super) fn run(dir: &Path, duration: Duration) -> Findings {
    let fs = TimedFs::default();
    let config = LsmConfig::new()
        .durability(Durability::Buffered)
        .file_system(Arc::new(fs.clone()));
    let db = Lsm::open_with(dir, config).map_err(|error| describe(&error))?;
    let (seen, stop) = (Seen::default(), AtomicBool::new(false));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| only_sleep(&seen.late, &stop));
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let (db, fs, seen, stop) = (&db, &fs, &seen, &stop);
                scope.spawn(move || {
                    this_thread_writes();
                    let outcome = write(db, fs, seen, (begin, stop), number);
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
    let left = backlog(&stats);
    let drained = drain(&db)?;
    let start = Instant::now();
    while db.stats().compaction_debt_bytes > 0 && start.elapsed() < 10 * DRAIN_MAX {
        std::thread::sleep(Duration::from_millis(100));
    }
    let settled = (start.elapsed() + drained, db.stats().compaction_debt_bytes);
    db.close().map_err(|error| describe(&error))?;

    let longest = *seen.longest.lock().unwrap_or_else(PoisonError::into_inner);
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
            "the longest wait outside the file system was {:?}, of a put of {:?} (at most {WAIT_MAX:?}), after {:.0} s; for {:?} of it a thread that only sleeps was not woken either",
            longest.wait,
            longest.put,
            longest.at.as_secs_f64(),
            longest.late,
        ),
        format!(
            "at most {} runs in level 0 and {} memtables to flush; at the end {} and {}",
            seen.l0_runs_max.load(Ordering::Relaxed),
            seen.sealed_max.load(Ordering::Relaxed),
            left.0,
            left.1,
        ),
        format!("memtables and level 0 were drained after {drained:?} (at most {DRAIN_MAX:?})"),
        format!(
            "all levels: {} of debt after {:?}",
            mebibytes(settled.1),
            settled.0
        ),
        peak_memory(),
    ];
    if longest.wait > WAIT_MAX || drained > DRAIN_MAX {
        return Err(findings.join("\n"));
    }
    Ok(findings)
}

fn write(
    db: &Lsm,
    fs: &TimedFs,
    seen: &Seen,
    (begin, stop): (Instant, &AtomicBool),
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
        seen.note(fs, begin, start, Instant::now());
    }
    Ok(())
}

impl Seen {
    fn note(&self, fs: &TimedFs, begin: Instant, start: Instant, end: Instant) {
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
        let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        if wait > longest.wait {
            *longest = LongestWait {
                wait,
                put: took,
                at: end.duration_since(begin),
                late: self.late.within(start, end),
            };
        }
    }
}

/// Sleeps a millisecond at a time, and notes by how much too long.
fn only_sleep(late: &Spans, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + Duration::from_millis(1);
        std::thread::sleep(Duration::from_millis(1));
        late.note(due, Instant::now());
    }
}

/// The runs in level 0, and the memtables that wait for their flush.
fn backlog(stats: &Stats) -> (usize, usize) {
    let l0_runs = stats.levels.first().map_or(0, |level| level.runs);
    (l0_runs, stats.sealed_memtables)
}

fn watch(db: &Lsm, seen: &Seen, stop: &AtomicBool, duration: Duration) -> Result<(), String> {
    let bar = bar("overload", duration.as_secs())?;
    let start = Instant::now();
    while start.elapsed() < duration && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(200));
        let stats = db.stats();
        let (l0_runs, sealed) = backlog(&stats);
        seen.l0_runs_max.fetch_max(l0_runs, Ordering::Relaxed);
        seen.sealed_max.fetch_max(sealed, Ordering::Relaxed);
        bar.set_position(start.elapsed().as_secs());
        bar.set_message(format!(
            "{} puts, {} runs in level 0, {} unflushed, {} of debt",
            seen.puts.load(Ordering::Relaxed),
            l0_runs,
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
        let (l0_runs, sealed) = backlog(&stats);
        if sealed == 0 && l0_runs < trigger {
            return Ok(start.elapsed());
        }
        if start.elapsed() > 10 * DRAIN_MAX {
            return Err(format!("not drained after {:?}:\n{stats}", start.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
