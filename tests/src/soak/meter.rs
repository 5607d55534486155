//! What a run counts: latencies by kind of operation, checks, and the store's own figures.
//!
//! The child's threads record, its reporter sends what came together each second, the supervisor
//! adds it up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use lsm_db::Stats;
use serde::{Deserialize, Serialize};

use crate::histories;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timed {
    /// A put, or a delete of one key.
    Put,
    /// A batch of several operations.
    Batch,
    /// A write with a condition, each try by itself.
    Condition,
    /// Any of these that was acknowledged as durable.
    SyncWrite,
    /// A get of one key.
    Get,
    /// A get of several keys at one moment.
    MultiGet,
    /// A range, from its seek to its last entry.
    Range,
    /// A cursor's seek and its steps both ways.
    Cursor,
    /// All entries of the store.
    Scan,
    /// A compaction of a range that was asked for.
    CompactRange,
    /// A flush that was asked for.
    Flush,
    /// An open of the store, recovery included.
    Open,
}

/// All of them, in the order of [`Timed`].
pub const TIMED: [Timed; 12] = [
    Timed::Put,
    Timed::Batch,
    Timed::Condition,
    Timed::SyncWrite,
    Timed::Get,
    Timed::MultiGet,
    Timed::Range,
    Timed::Cursor,
    Timed::Scan,
    Timed::CompactRange,
    Timed::Flush,
    Timed::Open,
];

/// Within one per cent.
const SIGNIFICANT_DIGITS: u8 = 2;

/// Latencies in nanoseconds, by kind.
#[derive(Debug)]
pub(super) struct Latencies(Vec<Option<Histogram<u64>>>);

/// Latencies as they go over the pipe: a kind's index, then values and how often.
pub(super) type Counted = Vec<(usize, Vec<(u64, u64)>)>;

impl Latencies {
    pub(super) fn new() -> Self {
        Self(TIMED.map(|_| None).into())
    }

    pub(super) fn record(&mut self, timed: Timed, nanos: u64, count: u64) {
        let slot = self.0.get_mut(timed as usize);
        let Some(slot) = slot else { return };
        if slot.is_none() {
            // The digits are in bounds, so this cannot fail.
            *slot = Histogram::new(SIGNIFICANT_DIGITS).ok();
        }
        if let Some(histogram) = slot {
            // It grows as it must, so every value fits.
            let _ = histogram.record_n(nanos.max(1), count);
        }
    }

    /// Everything recorded so far, which is forgotten.
    fn take(&mut self) -> Counted {
        let mut counted = Counted::new();
        for (index, slot) in self.0.iter_mut().enumerate() {
            let Some(histogram) = slot.as_mut().filter(|histogram| !histogram.is_empty()) else {
                continue;
            };
            let values = histogram.iter_recorded();
            let values = values.map(|value| (value.value_iterated_to(), value.count_at_value()));
            counted.push((index, values.collect()));
            histogram.reset();
        }
        counted
    }

    pub(super) fn add(&mut self, counted: &Counted) {
        for (index, values) in counted {
            let Some(timed) = TIMED.get(*index) else {
                continue;
            };
            for (nanos, count) in values {
                self.record(*timed, *nanos, *count);
            }
        }
    }

    /// A line for each kind that was recorded.
    pub(super) fn lines(&self) -> Vec<Latency> {
        let recorded = TIMED.iter().zip(&self.0);
        let recorded = recorded.filter_map(|(timed, slot)| Some((*timed, slot.as_ref()?)));
        recorded
            .filter(|(_, histogram)| !histogram.is_empty())
            .map(|(timed, histogram)| {
                let micros = |nanos: u64| nanos as f64 / 1000.0;
                Latency {
                    operation: timed,
                    count: histogram.len(),
                    p50_us: micros(histogram.value_at_quantile(0.5)),
                    p99_us: micros(histogram.value_at_quantile(0.99)),
                    p999_us: micros(histogram.value_at_quantile(0.999)),
                    max_us: micros(histogram.max()),
                }
            })
            .collect()
    }
}

/// The latencies of one kind of operation, in microseconds, within one per cent.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// The kind.
    pub operation: Timed,
    /// How many there were.
    pub count: u64,
    /// Half of them took at most this.
    pub p50_us: f64,
    /// 99 % of them.
    pub p99_us: f64,
    /// 99.9 % of them.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// What all threads of a child record in. Each has a [`Meter`] of its own.
#[derive(Debug, Default)]
pub(super) struct Meters {
    meters: Mutex<Vec<std::sync::Arc<Meter>>>,
    pub(super) entries: AtomicU64,
    pub(super) snapshots: AtomicU64,
    pub(super) scans: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) histories: histories::Tally,
}

/// The latencies of one thread.
#[derive(Debug)]
pub(super) struct Meter(Mutex<Latencies>);

impl Meter {
    /// Times a call.
    pub(super) fn time<T>(&self, timed: Timed, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let answer = call();
        self.record(timed, start.elapsed());
        answer
    }

    pub(super) fn record(&self, timed: Timed, elapsed: Duration) {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let mut latencies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.record(timed, nanos, 1);
    }
}

impl Meters {
    /// The meter of a thread that begins.
    pub(super) fn meter(&self) -> std::sync::Arc<Meter> {
        let meter = std::sync::Arc::new(Meter(Mutex::new(Latencies::new())));
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        meters.push(std::sync::Arc::clone(&meter));
        meter
    }

    /// What came together since the last time.
    pub(super) fn tick(&self, stats: &Stats) -> Tick {
        let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut together = Latencies::new();
        for meter in meters.iter() {
            let mut latencies = meter.0.lock().unwrap_or_else(PoisonError::into_inner);
            let counted = latencies.take();
            drop(latencies);
            together.add(&counted);
        }
        Tick {
            latencies: together.take(),
            checks: Checks {
                entries: self.entries.swap(0, Ordering::Relaxed),
                snapshots: self.snapshots.swap(0, Ordering::Relaxed),
                scans: self.scans.swap(0, Ordering::Relaxed),
                retries: self.retries.swap(0, Ordering::Relaxed),
                histories: self.histories.histories.swap(0, Ordering::Relaxed),
                overlapping: self.histories.overlapping.swap(0, Ordering::Relaxed),
            },
            figures: Figures::of(stats),
            background_error: stats.background_error.clone(),
        }
    }
}

/// What the child reports each second.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Tick {
    pub(super) latencies: Counted,
    pub(super) checks: Checks,
    pub(super) figures: Figures,
    pub(super) background_error: Option<String>,
}

/// What was compared with a model or an invariant.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Checks {
    /// Entries that reads yielded, each compared to the byte with what was written to its key.
    pub entries: u64,
    /// Snapshots that were held and then compared whole with the model of their moment.
    pub snapshots: u64,
    /// Scans of the whole store beside the writers.
    pub scans: u64,
    /// Conditional writes that came too late and were tried again.
    pub retries: u64,
    /// Histories of threads that share keys, for which one order of all their operations was found.
    pub histories: u64,
    /// Operations in them that overlapped another.
    pub overlapping: u64,
}

impl Checks {
    pub(super) fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.snapshots += other.snapshots;
        self.scans += other.scans;
        self.retries += other.retries;
        self.histories += other.histories;
        self.overlapping += other.overlapping;
    }
}

/// The store's own figures at one moment; bytes, counts since the open.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "each is the figure of that name in lsm_db::Stats"
)]
pub struct Figures {
    /// Of each level from level 0: runs and bytes.
    pub levels: Vec<(usize, u64)>,
    pub memtable_bytes: u64,
    pub sealed_bytes: u64,
    pub index_bytes: u64,
    pub filter_bytes: u64,
    pub cache_bytes: u64,
    pub gap_bytes: u64,
    pub pinned_memtable_bytes: u64,
    pub pinned_run_bytes: u64,
    pub open_files: u64,
    pub read_views_held: usize,
    pub oldest_read_view_seconds: u64,
    pub compaction_debt_bytes: u64,
    pub user_bytes: u64,
    pub log_bytes: u64,
    pub log_syncs: u64,
    pub flushes: u64,
    pub flushed_bytes: u64,
    pub compactions: u64,
    pub compacted_bytes: u64,
    pub blocks_read: u64,
    pub blocks_cached: u64,
    pub stalls: u64,
    pub stalled_ms: u64,
    pub background_failures: u64,
    /// Resident memory of the process, models included.
    pub resident_bytes: u64,
}

impl Figures {
    pub(super) fn of(stats: &Stats) -> Self {
        let levels = stats.levels.iter();
        Self {
            levels: levels.map(|level| (level.runs, level.bytes)).collect(),
            memtable_bytes: stats.memtable_bytes,
            sealed_bytes: stats.sealed_bytes,
            index_bytes: stats.index_bytes,
            filter_bytes: stats.filter_bytes,
            cache_bytes: stats.cache_bytes,
            gap_bytes: stats.gap_bytes,
            pinned_memtable_bytes: stats.pinned_memtable_bytes,
            pinned_run_bytes: stats.pinned_run_bytes,
            open_files: stats.open_files,
            read_views_held: stats.read_views_held,
            oldest_read_view_seconds: stats.oldest_read_view.map_or(0, |age| age.as_secs()),
            compaction_debt_bytes: stats.compaction_debt_bytes,
            user_bytes: stats.user_bytes,
            log_bytes: stats.log_bytes,
            log_syncs: stats.log_syncs,
            flushes: stats.flushes,
            flushed_bytes: stats.flushed_bytes,
            compactions: stats.compactions,
            compacted_bytes: stats.compacted_bytes,
            blocks_read: stats.blocks_read,
            blocks_cached: stats.blocks_cached,
            stalls: stats.stalls,
            stalled_ms: u64::try_from(stats.stalled.as_millis()).unwrap_or(u64::MAX),
            background_failures: stats.background_failures,
            resident_bytes: crate::usage::resident_bytes().unwrap_or(0),
        }
    }

    /// Bytes of all levels.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.levels.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Bytes of memory that the store says it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memtable_bytes
            + self.sealed_bytes
            + self.index_bytes
            + self.filter_bytes
            + self.cache_bytes
            + self.gap_bytes
            + self.pinned_memtable_bytes
    }

    /// Adds the counts of another life, and leaves the rest.
    pub(super) fn add_counts(&mut self, other: &Self) {
        self.user_bytes += other.user_bytes;
        self.log_bytes += other.log_bytes;
        self.log_syncs += other.log_syncs;
        self.flushes += other.flushes;
        self.flushed_bytes += other.flushed_bytes;
        self.compactions += other.compactions;
        self.compacted_bytes += other.compacted_bytes;
        self.blocks_read += other.blocks_read;
        self.blocks_cached += other.blocks_cached;
        self.stalls += other.stalls;
        self.stalled_ms += other.stalled_ms;
        self.background_failures += other.background_failures;
    }

    /// The figures of the moment alone.
    pub(super) fn without_counts(&self) -> Self {
        Self {
            user_bytes: 0,
            log_bytes: 0,
            log_syncs: 0,
            flushes: 0,
            flushed_bytes: 0,
            compactions: 0,
            compacted_bytes: 0,
            blocks_read: 0,
            blocks_cached: 0,
            stalls: 0,
            stalled_ms: 0,
            background_failures: 0,
            ..self.clone()
        }
    }

    /// Bytes written to files for each that the caller wrote.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        let written = self.log_bytes + self.flushed_bytes + self.compacted_bytes;
        written as f64 / self.user_bytes.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_there_once_after_the_pipe() {
        let mut here = Latencies::new();
        for micros in 1..=1000 {
            here.record(Timed::Get, micros * 1000, 1);
        }
        let mut there = Latencies::new();
        there.add(&here.take());
        there.add(&here.take());
        let lines = there.lines();
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!((line.operation, line.count), (Timed::Get, 1000));
        for (found, expected) in [
            (line.p50_us, 500.0),
            (line.p99_us, 990.0),
            (line.max_us, 1000.0),
        ] {
            assert!((found / expected - 1.0).abs() < 0.02, "{line:?}");
        }
    }

    #[test]
    fn kinds_are_in_the_order_of_their_numbers() {
        for (index, timed) in TIMED.into_iter().enumerate() {
            assert_eq!(timed as usize, index);
        }
    }
}
