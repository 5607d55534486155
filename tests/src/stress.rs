//! Writers and scanners side by side on one store, each result checked against an exact model.
//!
//! `cargo xtask stress` runs it for minutes on real threads and a real directory, the unit test
//! below for a few seconds. It finds what a single thread cannot: half of a batch visible, a view
//! that goes back in time, a key lost or doubled by a flush or a compaction under a reader, an
//! increment lost between threads that compare and set. It
//! cannot find a missing sync: nothing here loses power.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use lsm_db::{Durability, Lsm, LsmConfig, Stats};

use crate::counter;
use crate::model::{self, Model};

mod keys;
mod scanner;
mod writer;

use scanner::Scanner;
use writer::Writer;

/// Threads that write, each to keys of its own.
pub const WRITERS: usize = 6;
/// Threads that scan all writers' keys.
pub const SCANNERS: usize = 3;
/// Threads that raise one counter.
pub const COUNTERS: usize = 8;

/// Memtables this small keep flushes and compactions running all the time.
const MEMTABLE_BYTES: usize = 64 << 10;
/// Small runs and a low fanout make several levels of a small store.
const RUN_BYTES: u64 = 256 << 10;
const LEVEL_FANOUT: u64 = 4;

/// How often the caller hears of the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store's directory; must be absent or empty.
    pub dir: PathBuf,
    /// How long the writers and scanners run. The checks at the end come on top.
    pub duration: Duration,
    /// How often each of [`COUNTERS`] threads raises one counter, by comparing and setting it, when
    /// the others have stopped.
    pub increments: u64,
    /// The seed of each thread's choices. How the threads interleave is up to the machine, so the
    /// same seed does not give the same run twice.
    pub seed: u64,
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Time since the writers started.
    pub elapsed: Duration,
    /// Writes and point reads done; a batch counts once.
    pub operations: u64,
    /// Scans done and found right.
    pub scans: u64,
}

/// What a successful run did.
#[derive(Debug, Clone)]
pub struct Report {
    /// Writes and point reads; a batch counts once.
    pub operations: u64,
    /// Scans, each of them checked.
    pub scans: u64,
    /// What the counter was raised to.
    pub count: u64,
    /// How often somebody else had been faster on the way.
    pub retries: u64,
    /// Entries of the store at the end, compared one by one, before and after a reopen.
    pub entries: usize,
    /// The store's own account of itself when the writers had stopped.
    pub stats: Stats,
}

/// What the threads of a run share.
struct Shared {
    db: Lsm,
    stop: AtomicBool,
    operations: AtomicU64,
    scans: AtomicU64,
}

/// Runs the writers and scanners, then compares the store with the union of the writers' models,
/// closes it, opens it again and compares once more.
///
/// `progress` is called about ten times a second, on the calling thread.
///
/// # Errors
/// The first difference between the store and a model, or the store's own error, as text. The
/// directory is left as it was found then.
pub fn run(options: &Options, progress: &dyn Fn(Progress)) -> Result<Report, String> {
    let config = LsmConfig::new()
        .memtable_capacity(MEMTABLE_BYTES)
        .run_bytes_target(RUN_BYTES)
        .level_fanout(LEVEL_FANOUT)
        .durability(Durability::Buffered);
    let open = || Lsm::open_with(&options.dir, config.clone()).map_err(|error| describe(&error));

    let shared = Shared {
        db: open()?,
        stop: AtomicBool::new(false),
        operations: AtomicU64::new(0),
        scans: AtomicU64::new(0),
    };
    let mut expected = write_and_scan(&shared, options, progress)?;
    let count = COUNTERS as u64 * options.increments;
    let tally = counter::Tally::default();
    counter::raise(&shared.db, COUNTERS, options.increments, &tally)?;
    expected.insert(counter::KEY.to_vec(), counter::encoded(count).to_vec());
    compare(&shared.db, &expected, "before the reopen")?;
    let stats = shared.db.stats();
    if let Some(error) = &stats.background_error {
        return Err(format!("in the background: {error}"));
    }
    shared.db.close().map_err(|error| describe(&error))?;

    let db = open()?;
    compare(&db, &expected, "after the reopen")?;
    db.close().map_err(|error| describe(&error))?;
    Ok(Report {
        operations: shared.operations.into_inner(),
        scans: shared.scans.into_inner(),
        count,
        retries: tally.retries.into_inner(),
        entries: expected.len(),
        stats,
    })
}

/// The concurrent part. Returns the union of the writers' models.
fn write_and_scan(
    shared: &Shared,
    options: &Options,
    progress: &dyn Fn(Progress),
) -> Result<Model, String> {
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let mut writer = Writer::new(number, options.seed);
                scope.spawn(move || {
                    until_stopped(shared, &shared.operations, || writer.step(&shared.db))?;
                    Ok(writer.into_model())
                })
            })
            .collect();
        let scanners: Vec<_> = (0..SCANNERS)
            .map(|number| {
                let mut scanner = Scanner::new(number, options.seed);
                scope.spawn(move || {
                    until_stopped(shared, &shared.scans, || scanner.step(&shared.db))
                })
            })
            .collect();

        let start = Instant::now();
        while !shared.stop.load(Ordering::Relaxed) && start.elapsed() < options.duration {
            std::thread::sleep(PROGRESS_INTERVAL);
            progress(Progress {
                elapsed: start.elapsed(),
                operations: shared.operations.load(Ordering::Relaxed),
                scans: shared.scans.load(Ordering::Relaxed),
            });
        }
        shared.stop.store(true, Ordering::Relaxed);

        let models: Vec<_> = writers.into_iter().map(join).collect();
        let scans: Vec<_> = scanners.into_iter().map(join).collect();
        scans.into_iter().collect::<Result<(), String>>()?;
        let models = models.into_iter().collect::<Result<Vec<Model>, String>>()?;
        Ok(models.into_iter().flatten().collect())
    })
}

/// Repeats a step until someone stops the run; a failed step stops it.
fn until_stopped(
    shared: &Shared,
    done: &AtomicU64,
    mut step: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    while !shared.stop.load(Ordering::Relaxed) {
        if let Err(message) = step() {
            shared.stop.store(true, Ordering::Relaxed);
            return Err(message);
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread
        .join()
        .unwrap_or_else(|_| Err("a thread panicked".to_owned()))
}

fn compare(db: &Lsm, expected: &Model, when: &str) -> Result<(), String> {
    model::check(db, expected).map_err(|error| format!("{when}: {}", describe(&*error)))
}

/// An error with its causes, on one line.
pub fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TestResult;

    #[test]
    fn five_seconds_of_writers_and_scanners_agree_with_their_models() -> TestResult {
        let dir = tempfile::tempdir()?;
        let options = Options {
            dir: dir.path().join("db"),
            duration: Duration::from_secs(5),
            increments: 500,
            seed: 1,
        };
        let report = run(&options, &|_| {})?;
        assert!(report.operations > 0 && report.scans > 0, "{report:?}");
        assert!(report.entries > 0 && report.count == 4000, "{report:?}");
        assert!(
            report.stats.flushes > 0 && report.stats.compactions > 0,
            "{report:?}"
        );
        Ok(())
    }
}
