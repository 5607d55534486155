//! What a store is made of and what it has done, as a typed tree that also prints.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lsm_compact::Claims;

use crate::Error;
use crate::engine::Engine;
use crate::sync::locked;

/// What an engine counts as it goes; see [`Stats`] for what each means.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) user_bytes: AtomicU64,
    pub(crate) log_bytes: AtomicU64,
    pub(crate) log_syncs: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) flushed_bytes: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) compacted_bytes: AtomicU64,
    pub(crate) stalls: AtomicU64,
    pub(crate) stalled_nanos: AtomicU64,
}

/// A level of the tree; level 0 first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelStats {
    /// The number of runs.
    pub runs: usize,
    /// The length of their files in bytes.
    pub bytes: u64,
    /// Their entries, tombstones included.
    pub entries: u64,
    /// Their tombstones.
    pub tombstones: u64,
}

/// A file that reads failed on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedFile {
    /// The run, under the path that the store was opened under.
    pub file: PathBuf,
    /// Reads that failed on it, by callers and by background work. A read of what is cached does not.
    pub reads_failed: u64,
    /// What the latest of them failed with, in full: [`Error::in_full`](crate::Error::in_full).
    pub error: String,
}

/// What a store holds, and what it has done since it was opened.
///
/// The parts are read one after another, not at one moment. `Display` prints the tree.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// let store = lsm_db::Lsm::open(dir.path())?;
/// store.put("key", "value")?;
/// store.flush()?;
/// let stats = store.stats();
/// assert_eq!(stats.flushes, 1);
/// assert_eq!(stats.levels.iter().map(|level| level.entries).sum::<u64>(), 1);
/// println!("{stats}");
/// # Ok::<(), lsm_db::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// The levels, from level 0 to the deepest that holds anything.
    pub levels: Vec<LevelStats>,
    /// Bytes of memory held by the memtable that takes writes.
    pub memtable_bytes: u64,
    /// Memtables that wait for their flush.
    pub sealed_memtables: usize,
    /// Bytes of memory they hold.
    pub sealed_bytes: u64,
    /// Bytes of memory held by the indexes of runs that were read.
    pub index_bytes: u64,
    /// Bytes of memory held by filters: of memtables, and of runs that were read.
    pub filter_bytes: u64,
    /// Bytes of memory held by cached blocks. With [`index_bytes`](Self::index_bytes) and the
    /// filters of runs, within the configured capacity or what that says.
    pub cache_bytes: u64,
    /// Bytes of memory that flushes, merges, the maintenance of memtables and the making of missing
    /// filters hold while they run: read-ahead, write buffers, the index and the filter in the making.
    pub job_bytes: u64,
    /// Bytes of memory that the runs take whatever is loaded of them: names, first and last keys.
    pub metadata_bytes: u64,
    /// Run files that are kept open.
    pub open_files: u64,
    /// Bytes of keys and values that were written by the caller.
    pub user_bytes: u64,
    /// Bytes appended to the log.
    pub log_bytes: u64,
    /// Groups for which the log was synced.
    pub log_syncs: u64,
    /// Memtables flushed, and the bytes of their runs.
    pub flushes: u64,
    /// Bytes written by flushes.
    pub flushed_bytes: u64,
    /// Merges done; moves, which write nothing, are not counted.
    pub compactions: u64,
    /// Bytes written by merges.
    pub compacted_bytes: u64,
    /// Data blocks read from files, by those who wanted them.
    pub blocks_read: u64,
    /// Data blocks read into the cache in the background, ahead of readers who had missed many others of
    /// the same run.
    pub blocks_warmed: u64,
    /// Data blocks that were in the cache when they were wanted.
    pub blocks_cached: u64,
    /// Runs that a read of one key skipped because their filter said that they lack it.
    pub filter_skips: u64,
    /// Tombstones that iterators, cursors and the like have stepped over so far, by those that have
    /// been dropped: work for nothing.
    pub tombstones_skipped: u64,
    /// Ranges in which everything is deleted that are remembered now, for readers to pass: 64 at
    /// most.
    pub gaps_known: usize,
    /// Bytes of memory that they take: less than 144 KiB.
    pub gap_bytes: u64,
    /// Bytes that compaction is behind with, as back-pressure counts them: 0 also while the last jobs are
    /// made that give the tree its shape.
    pub compaction_debt_bytes: u64,
    /// Whether a compaction is due or being made, whoever wants it: the policy, readers, a caller. With
    /// this false and no sealed memtable there is no work in the background that writes.
    pub compaction_pending: bool,
    /// Writes that were slowed down.
    pub stalls: u64,
    /// The time they waited, together.
    pub stalled: Duration,
    /// Read views held: a snapshot, iterator or cursor each holds one; clones of a snapshot, and
    /// what was made from it, hold it together.
    pub read_views_held: usize,
    /// How long the oldest of them has been held, by the store's clock.
    pub oldest_read_view: Option<Duration>,
    /// Bytes of memory that they keep beyond what the store itself needs: memtables that have been
    /// flushed since.
    pub pinned_memtable_bytes: u64,
    /// Bytes of files that they keep: runs that have been merged into others since, and are
    /// unlinked after their last reader.
    pub pinned_run_bytes: u64,
    /// Files unlinked after their last reader.
    pub files_unlinked: u64,
    /// Files that reads failed on since the store was opened, oldest first, until they are gone. So
    /// damage shows to the operator as well, and not only to the caller that met it.
    ///
    /// Restore a file whose bytes are damaged from a copy, and reopen the store. One that could not be
    /// read at all may be readable again: its count then stays as it is.
    pub damaged_files: Vec<DamagedFile>,
    /// Runs found damaged by a compaction, which works around them.
    pub runs_set_aside: usize,
    /// Run files of `lsm-db` 1.x that were there at the takeover and that its manifest did not name:
    /// kept under another name and never read. As a rule an unfinished compaction left them; a
    /// manifest that lost its last lines looks the same.
    pub runs_unnamed: usize,
    /// Times that background work failed.
    pub background_failures: u64,
    /// What is wrong now: why writing has stopped, or what background work failed with and is
    /// retrying, or what it found damaged and works around, or what recovery still owes, or what
    /// readers found damaged.
    pub background_error: Option<String>,
    /// Whether writing has stopped until the store is reopened.
    pub poisoned: bool,
}

impl Stats {
    /// What a process is told that may not look into the store.
    pub(crate) fn unknown(error: &Error) -> Self {
        Self {
            background_error: Some(error.in_full()),
            poisoned: true,
            ..Self::default()
        }
    }

    /// Bytes of memory that the store holds: memtables, those that readers pin included, filters, indexes,
    /// cached blocks, gaps, metadata of runs, and what background jobs hold now.
    ///
    /// Not in it: the group that is being written (up to 1 MiB, or the largest batch); the blocks that a
    /// caller's iterator or cursor stands on (up to 256 KiB for each run that it reads); filters and
    /// indexes of memtables and runs that only held views have; what a background thread is about to
    /// free; and what the allocator has not given back to the system.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        [
            self.memtable_bytes,
            self.sealed_bytes,
            self.pinned_memtable_bytes,
            self.index_bytes,
            self.filter_bytes,
            self.cache_bytes,
            self.gap_bytes,
            self.job_bytes,
            self.metadata_bytes,
        ]
        .into_iter()
        .sum()
    }

    /// Bytes written to files ÷ bytes written by the caller; 0 before the first write.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        let written = self.log_bytes + self.flushed_bytes + self.compacted_bytes;
        if self.user_bytes == 0 {
            return 0.0;
        }
        written as f64 / self.user_bytes as f64
    }
}

impl Engine {
    /// What is wrong now, the worst first.
    fn background_error(&self) -> Option<String> {
        if let Some(cause) = self.health.cause() {
            return Some(cause.to_string());
        }
        let error = self
            .flushes
            .attempts
            .latest()
            .or_else(|| self.compactions.latest())
            .or_else(|| self.set_aside.error())
            .or_else(|| self.unsettled.error())
            .or_else(|| self.run_context.damage.error());
        error.map(|error| error.in_full())
    }

    pub(crate) fn stats(&self) -> Stats {
        let held = self.held_views.stats(|| self.view());
        let view = self.view();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let levels = view.tree.version.levels().iter().map(|level| LevelStats {
            runs: level.len(),
            bytes: level.bytes(),
            entries: level.entry_count(),
            tombstones: level.tombstone_count(),
        });
        let mut levels: Vec<_> = levels.collect();
        while levels.last().is_some_and(|level| level.runs == 0) {
            levels.pop();
        }
        let indexes = view.tree.runs().map(|run| run.index_memory_bytes());
        let filters = view.tree.runs().map(|run| run.filter().memory_bytes());
        let memtables = std::iter::once(&view.active).chain(&view.sealed);
        let memtable_filters = memtables.map(|logged| logged.filter_bytes());
        let is_compacting = !locked(&self.claims).is_empty() || !self.manuals.is_empty();
        let next_job = self.next_job(&view.tree.version, &Claims::default());
        let reads = &self.run_context.blocks.counters;
        Stats {
            levels,
            memtable_bytes: view.active.bytes(),
            sealed_memtables: view.sealed.len(),
            sealed_bytes: view.sealed_bytes(),
            index_bytes: indexes.sum(),
            filter_bytes: filters.chain(memtable_filters).sum(),
            cache_bytes: self.run_context.blocks.used_bytes(),
            job_bytes: self.run_context.jobs.bytes(),
            metadata_bytes: view.tree.runs().map(|run| run.metadata_bytes()).sum(),
            open_files: self.run_context.files.used(),
            user_bytes: load(&counters.user_bytes),
            log_bytes: load(&counters.log_bytes),
            log_syncs: load(&counters.log_syncs),
            flushes: load(&counters.flushes),
            flushed_bytes: load(&counters.flushed_bytes),
            compactions: load(&counters.compactions),
            compacted_bytes: load(&counters.compacted_bytes),
            blocks_read: reads.blocks_read(),
            blocks_warmed: reads.blocks_warmed(),
            blocks_cached: self.run_context.blocks.hits(),
            filter_skips: reads.filter_skips(),
            tombstones_skipped: self.gaps.stepped_over(),
            gaps_known: self.gaps.len(),
            gap_bytes: self.gaps.memory_bytes(),
            compaction_debt_bytes: self.debt().bytes,
            compaction_pending: is_compacting || next_job.is_some(),
            stalls: load(&counters.stalls),
            stalled: Duration::from_nanos(load(&counters.stalled_nanos)),
            read_views_held: held.views,
            oldest_read_view: held.oldest,
            pinned_memtable_bytes: held.memtable_bytes,
            pinned_run_bytes: held.run_bytes,
            files_unlinked: self.reaper.unlinked_count(),
            damaged_files: self.run_context.damage.files(&self.run_context),
            runs_set_aside: self.set_aside.len(),
            runs_unnamed: self.unsettled.unnamed_runs,
            background_failures: self.flushes.attempts.failure_count()
                + self.compactions.failure_count(),
            background_error: self.background_error(),
            poisoned: self.health.is_poisoned(),
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = 1024.0 * 1024.0;
        let mib = |bytes: u64| bytes as f64 / MIB;
        writeln!(
            f,
            "memory  {:>9.1} MiB in the memtable, {} sealed with {:.1} MiB; indexes {:.1} MiB, filters {:.1}, blocks {:.1}, jobs {:.1}; {:.1} in all",
            mib(self.memtable_bytes),
            self.sealed_memtables,
            mib(self.sealed_bytes),
            mib(self.index_bytes),
            mib(self.filter_bytes),
            mib(self.cache_bytes),
            mib(self.job_bytes),
            mib(self.memory_bytes()),
        )?;
        let levels = self.levels.iter().enumerate();
        for (number, level) in levels.filter(|(_, level)| level.runs > 0) {
            writeln!(
                f,
                "L{number}      {:>9.1} MiB in {} runs, {} entries, {} of them tombstones",
                mib(level.bytes),
                level.runs,
                level.entries,
                level.tombstones,
            )?;
        }
        writeln!(
            f,
            "written {:>9.1} MiB by the caller, {:.1} to the log, {:.1} by {} flushes, {:.1} by {} merges",
            mib(self.user_bytes),
            mib(self.log_bytes),
            mib(self.flushed_bytes),
            self.flushes,
            mib(self.compacted_bytes),
            self.compactions,
        )?;
        write!(
            f,
            "stalls  {} for {:.1?}; compaction debt {:.1} MiB{}",
            self.stalls,
            self.stalled,
            mib(self.compaction_debt_bytes),
            if self.compaction_pending {
                ", pending"
            } else {
                ""
            },
        )?;
        if self.tombstones_skipped > 0 {
            write!(
                f,
                "\nskipped {} tombstones by readers; {} gaps known, in {:.1} KiB",
                self.tombstones_skipped,
                self.gaps_known,
                self.gap_bytes as f64 / 1024.0,
            )?;
        }
        if let Some(age) = self.oldest_read_view {
            write!(
                f,
                "\nreaders {} views held, the oldest for {age:.1?}; they keep {:.1} MiB of memtables and {:.1} of runs",
                self.read_views_held,
                mib(self.pinned_memtable_bytes),
                mib(self.pinned_run_bytes),
            )?;
        }
        if self.runs_unnamed > 0 {
            let runs = self.runs_unnamed;
            write!(
                f,
                "\nunnamed {runs} runs of lsm-db 1.x that its manifest lacked"
            )?;
        }
        for DamagedFile {
            file,
            reads_failed,
            error,
        } in &self.damaged_files
        {
            let file = file.display();
            write!(
                f,
                "\ndamage  {reads_failed} reads of {file} failed: {error}"
            )?;
        }
        if let Some(error) = &self.background_error {
            write!(
                f,
                "\ntrouble {} failures of background work; now: {error}",
                self.background_failures
            )?;
        }
        Ok(())
    }
}
