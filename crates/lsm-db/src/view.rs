//! What a reader holds: memtables and runs, taken together, immutable.
//!
//! A read takes its view first and the visible seqno second. A view that it took may lack a
//! memtable that the seqno already covers; what the view has is then a complete prefix all the
//! same, because a memtable gets no writes once a newer one is published.

mod reads;

mod carried;

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lsm_format::Block;
use lsm_fs::FileLock;
use lsm_memtable::{FRONT_BYTES_MAX, LARGE_BATCH_ENTRIES, Memtable};
use lsm_version::{RunId, RunMeta, Version};

use crate::Result;
use crate::filter::{MemtableFilter, Probe};
use crate::l0_reads::{ASKED, ENTERED};
use crate::reaper::Reaper;
use crate::run::{Lookup, Run, RunContext};
use crate::run_blocks::Caching;
use crate::source::Source;
use crate::sync::locked;
use carried::CarriedRuns;

pub(crate) use reads::LiveEntries;

/// A memtable, the log segments that hold its writes, and its place in the order of seals.
#[derive(Debug)]
pub(crate) struct LoggedMemtable {
    pub(crate) memtable: Arc<Memtable>,
    filter: Arc<MemtableFilter>,
    /// 1 for the first memtable of a handle; a flush installs them in this order.
    pub(crate) ordinal: u64,
    segments: Mutex<Vec<u64>>,
    keeps_log: bool,
    legacy_log_len: Option<u64>,
    last_seqno: AtomicU64,
    log_bytes: AtomicU64,
    delete_count: AtomicU64,
    reaper: Reaper,
}

/// A memtable's log is so many times its capacity, at most. The log of small entries that are written
/// once is up to twice as long as they are in memory.
const LOG_SHARE: u64 = 4;
/// Or this long, if its capacity is small.
const LOG_BYTES_MIN: u64 = 64 << 10;

/// The front of a memtable is this part of it, at most.
const FRONT_SHARE: u64 = 8;

impl LoggedMemtable {
    /// An empty one that is to be sealed at `capacity_bytes`.
    pub(crate) fn new(ordinal: u64, capacity_bytes: u64, context: &RunContext) -> Self {
        let (reaper, maintainer) = (context.reaper.clone(), context.reaper.clone());
        let jobs = context.jobs.clone();
        let memtable = Memtable::new()
            .with_front_bytes_max((capacity_bytes / FRONT_SHARE).min(FRONT_BYTES_MAX))
            .with_disposal(move |front| reaper.drop_later(front))
            .with_maintenance(move |maintenance| {
                let mut memory = jobs.charge();
                maintainer.free(move || {
                    let bytes = maintenance.memory_bytes();
                    memory.set(usize::try_from(bytes).unwrap_or(usize::MAX));
                    maintenance.run();
                });
            });
        Self {
            memtable: Arc::new(memtable),
            filter: Arc::new(MemtableFilter::new(&context.filters, capacity_bytes)),
            ordinal,
            segments: Mutex::new(Vec::new()),
            keeps_log: false,
            legacy_log_len: None,
            last_seqno: AtomicU64::new(0),
            log_bytes: AtomicU64::new(0),
            delete_count: AtomicU64::new(0),
            reaper: context.reaper.clone(),
        }
    }

    /// A memtable of replayed writes whose flush leaves the log alone: a later one retires it.
    pub(crate) fn keeping_log(mut self) -> Self {
        self.keeps_log = true;
        self
    }

    /// A memtable that holds all that a log of `lsm-db` 1.x says, which is so long: its flush
    /// retires that log.
    pub(crate) fn of_legacy_log(mut self, len: u64) -> Self {
        self.legacy_log_len = Some(len);
        self
    }

    /// The length of the log of `lsm-db` 1.x that it holds, if it does.
    pub(crate) fn legacy_log_len(&self) -> Option<u64> {
        self.legacy_log_len
    }

    /// Inserts a batch of so many operations. `share` makes handles of what stays one.
    pub(crate) fn insert<'a>(
        &self,
        seqno: u64,
        count: usize,
        operations: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        mut share: impl FnMut(&'a [u8]) -> Bytes,
    ) {
        // The filter first: whoever may see the entry must find it.
        let operations = operations.inspect(|(key, _)| self.filter.insert(key));
        if count >= LARGE_BATCH_ENTRIES {
            return self.memtable.insert_large_batch(seqno, operations, share);
        }
        let shared = operations.map(|(key, value)| (share(key), value.map(&mut share)));
        self.memtable.insert_batch(seqno, shared);
    }

    /// Counts what the latest insert keeps alive beside its keys and values.
    pub(crate) fn add_slack(&self, bytes: u64) {
        self.memtable.add_slack(bytes);
    }

    /// Notes where the latest inserts are logged, and how many bytes of log they are.
    pub(crate) fn wrote(&self, segment: Option<u64>, last_seqno: u64, log_bytes: u64) {
        if let Some(segment) = segment {
            let mut segments = locked(&self.segments);
            if segments.last() != Some(&segment) {
                segments.push(segment);
            }
        }
        self.last_seqno.store(last_seqno, Ordering::Release);
        self.log_bytes.fetch_add(log_bytes, Ordering::Relaxed);
    }

    /// Counts deletes of the latest inserts.
    pub(crate) fn add_deletes(&self, count: u64) {
        self.delete_count.fetch_add(count, Ordering::Relaxed);
    }

    /// Whether at least half of what was inserted are deletes. An empty one is not.
    pub(crate) fn is_mostly_deletes(&self) -> bool {
        let deletes = self.delete_count.load(Ordering::Relaxed);
        deletes > 0 && deletes.saturating_mul(2) >= self.memtable.entry_count()
    }

    pub(crate) fn add_segments(&self, ids: impl IntoIterator<Item = u64>) {
        locked(&self.segments).extend(ids);
    }

    /// The segments that hold its writes, oldest first; none if its flush leaves the log alone.
    pub(crate) fn retired_segments(&self) -> Vec<u64> {
        if self.keeps_log {
            return Vec::new();
        }
        locked(&self.segments).clone()
    }

    pub(crate) fn first_segment(&self) -> Option<u64> {
        locked(&self.segments).first().copied()
    }

    pub(crate) fn last_seqno(&self) -> u64 {
        self.last_seqno.load(Ordering::Acquire)
    }

    /// Bytes of its filter, which it has from the start.
    pub(crate) fn filter_bytes(&self) -> u64 {
        self.filter.memory_bytes()
    }

    /// Whether it is to be sealed: at its capacity, or when the log that holds it has become long, as
    /// when one key is written again and again.
    pub(crate) fn is_full(&self, capacity_bytes: u64) -> bool {
        let log_bytes_max = capacity_bytes.saturating_mul(LOG_SHARE).max(LOG_BYTES_MIN);
        self.bytes() >= capacity_bytes || self.log_bytes.load(Ordering::Relaxed) >= log_bytes_max
    }

    /// Bytes of parts that it has replaced and that cursors keep alive.
    pub(crate) fn superseded_bytes(&self) -> u64 {
        self.memtable.superseded_bytes()
    }

    /// Bytes it keeps alive: its entries, and what surrounds them in the buffers they share.
    pub(crate) fn bytes(&self) -> u64 {
        self.memtable.bytes()
    }
}

impl Drop for LoggedMemtable {
    fn drop(&mut self) {
        // Freeing a memtable takes milliseconds, and the last to let go may be a reader.
        let (memtable, filter) = (Arc::clone(&self.memtable), Arc::clone(&self.filter));
        self.reaper.drop_later((memtable, filter));
    }
}

/// A value where it was found.
pub(crate) struct Lent<'a> {
    pub(crate) bytes: &'a [u8],
    share: &'a dyn Fn() -> Bytes,
}

impl Lent<'_> {
    /// The value without a copy; it keeps alive what it lies in.
    pub(crate) fn share(&self) -> Bytes {
        (self.share)()
    }

    /// Lends the value at a position of a block to `take`, unless it is a tombstone.
    fn of_block<R>(block: &Block, position: usize, take: impl FnOnce(Lent<'_>) -> R) -> Option<R> {
        let bytes = block.entry(position).value()?;
        let share = || block.value_bytes(position).unwrap_or_default();
        Some(take(Lent {
            bytes,
            share: &share,
        }))
    }
}

/// The runs of a version, as things that can be read.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) version: Arc<Version>,
    levels: Vec<Arc<[Arc<Run>]>>,
}

impl Tree {
    /// The tree of `version`. Levels that `old` has too are taken over whole, runs of other levels
    /// one by one; what is new comes from `make`, which is told the level.
    pub(crate) fn new(
        version: Arc<Version>,
        old: Option<&Self>,
        mut make: impl FnMut(usize, &Arc<RunMeta>) -> Arc<Run>,
    ) -> Self {
        let same_level = |at: usize| {
            let old = old?;
            let (was, is) = (old.version.levels().get(at)?, version.levels().get(at)?);
            Arc::ptr_eq(was, is).then(|| old.levels.get(at).cloned())?
        };
        let old_levels = old.map_or(&[][..], |old| &old.levels);
        let mut carried = CarriedRuns::default();
        let count = version.levels().len().max(old_levels.len());
        for at in (0..count).filter(|at| same_level(*at).is_none()) {
            let old_runs = old_levels.get(at).map_or(&[][..], |runs| runs);
            carried.match_level(at, old_runs, version.level(at).runs());
        }
        let levels = version.levels().iter().enumerate();
        let levels = levels
            .map(|(at, level)| match same_level(at) {
                Some(runs) => runs,
                None => {
                    let runs = level.runs().iter().enumerate();
                    let mut run_of = |place, meta| carried.take(at, place, meta);
                    runs.map(|(place, meta)| run_of(place, meta).unwrap_or_else(|| make(at, meta)))
                        .collect()
                }
            })
            .collect();
        Self { version, levels }
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.levels.iter().flat_map(|level| level.iter())
    }

    /// The runs of level 0, newest first.
    pub(crate) fn level_zero(&self) -> &[Arc<Run>] {
        self.levels.first().map_or(&[], |level| level)
    }

    /// The run of `meta`, which is in `level`, below level 0.
    pub(crate) fn run(&self, level: usize, meta: &RunMeta) -> Option<&Arc<Run>> {
        let runs = self.levels.get(level)?;
        let start = runs.partition_point(|run| run.meta().smallest_key < meta.smallest_key);
        let mut rest = runs.get(start..)?.iter();
        rest.find(|run| run.meta().id == meta.id)
    }

    fn get<R>(&self, probe: &Probe<'_>, take: impl FnOnce(Lent<'_>) -> R) -> Result<Option<R>> {
        let key = probe.key;
        let Some((level_zero, deeper)) = self.levels.split_first() else {
            return Ok(None);
        };
        let mut spent = 0;
        for run in level_zero.iter().filter(|run| run.meta().covers(key)) {
            match run.find(probe)? {
                Lookup::Found(block, position) => {
                    Self::spend_on(level_zero, spent);
                    return Ok(Lent::of_block(&block, position, take));
                }
                Lookup::Skipped => spent += ASKED,
                Lookup::Absent => spent += ENTERED,
            }
        }
        Self::spend_on(level_zero, spent);
        for (runs, level) in deeper.iter().zip(1..) {
            let run = self.version.level(level).find(key);
            if let Some(run) = run.and_then(|at| runs.get(at))
                && let Lookup::Found(block, position) = run.find(probe)?
            {
                return Ok(Lent::of_block(&block, position, take));
            }
        }
        Ok(None)
    }

    fn spend_on(level_zero: &[Arc<Run>], units: u64) {
        if units > 0
            && let Some(run) = level_zero.first()
        {
            run.spend_on_l0(units);
        }
    }

    /// A cursor for each run of level 0 and each deeper level that reaches into the range.
    fn sources(&self, lower: Bound<&[u8]>, upper: Bound<&[u8]>, sources: &mut Vec<Source>) {
        let Some((level_zero, deeper)) = self.levels.split_first() else {
            return;
        };
        let overlaps = |run: &&Arc<Run>| run.meta().overlaps(&(lower, upper));
        let single = level_zero.iter().filter(overlaps);
        sources.extend(single.map(|run| Source::l0_run(Arc::clone(run))));
        for runs in deeper {
            let at = match lower {
                Bound::Unbounded => 0,
                Bound::Included(key) => runs.partition_point(|run| run.meta().largest_key < key),
                Bound::Excluded(key) => runs.partition_point(|run| run.meta().largest_key <= key),
            };
            if runs.get(at).as_ref().is_some_and(overlaps) {
                sources.push(Source::level(Arc::clone(runs), Caching::Seeks));
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ReadView {
    pub(crate) active: Arc<LoggedMemtable>,
    /// Newest first.
    pub(crate) sealed: Vec<Arc<LoggedMemtable>>,
    pub(crate) tree: Arc<Tree>,
    /// Held until the last reader is gone, so that nobody opens the directory under it.
    #[expect(dead_code, reason = "holding it is its use")]
    pub(crate) directory_lock: Arc<dyn FileLock>,
}

impl ReadView {
    fn memtables(&self) -> impl Iterator<Item = &Arc<LoggedMemtable>> {
        std::iter::once(&self.active).chain(&self.sealed)
    }

    /// Lends the value of `key` as of `seqno` to `take`, if there is one.
    pub(crate) fn get<R>(
        &self,
        key: &[u8],
        seqno: u64,
        take: impl FnOnce(Lent<'_>) -> R,
    ) -> Result<Option<R>> {
        let probe = self.active.filter.probe(key);
        for logged in self.memtables() {
            if logged.filter.may_contain(&probe)
                && let Some(found) = logged.memtable.get(key, seqno)
            {
                return Ok(found.value.map(|value| {
                    take(Lent {
                        bytes: &value,
                        share: &|| value.clone(),
                    })
                }));
            }
        }
        self.tree.get(&probe, take)
    }

    /// Cursors over all that may hold a key of the range, as of `seqno`, newest source first.
    pub(crate) fn sources(
        &self,
        seqno: u64,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Vec<Source> {
        let mut sources: Vec<Source> = self
            .memtables()
            .filter(|logged| !logged.memtable.is_empty())
            .map(|logged| Source::Memtable(logged.memtable.cursor(seqno)))
            .collect();
        self.tree.sources(lower, upper, &mut sources);
        sources
    }

    /// The memtables that `current` does not have, by their ordinal, with the bytes they hold.
    pub(crate) fn memtables_beside(&self, current: &Self) -> impl Iterator<Item = (u64, u64)> {
        let oldest_of_current = current.sealed.last().unwrap_or(&current.active).ordinal;
        self.memtables()
            .filter(move |logged| logged.ordinal < oldest_of_current)
            .map(|logged| (logged.ordinal, logged.bytes() + logged.superseded_bytes()))
    }

    /// The runs that `current` does not have, by their id, with the length of their files.
    pub(crate) fn runs_beside(&self, current: &Self) -> HashMap<RunId, u64> {
        let shared = |level: &&Arc<[Arc<Run>]>| {
            let mut current = current.tree.levels.iter();
            current.any(|other| Arc::ptr_eq(level, other))
        };
        let levels = self.tree.levels.iter().filter(|level| !shared(level));
        let mut beside: HashMap<RunId, u64> = levels
            .flat_map(|level| level.iter())
            .map(|run| (run.meta().id, run.meta().file_len))
            .collect();
        if !beside.is_empty() {
            for run in current.tree.runs() {
                beside.remove(&run.meta().id);
            }
        }
        beside
    }

    /// What cursors keep alive of memtables that are still there, but not as they were.
    pub(crate) fn superseded_bytes(&self) -> u64 {
        self.memtables()
            .map(|logged| logged.superseded_bytes())
            .sum()
    }

    /// Whether any memtable holds a write: one that no run of a durable manifest has.
    pub(crate) fn holds_writes(&self) -> bool {
        self.memtables().any(|logged| !logged.memtable.is_empty())
    }

    pub(crate) fn sealed_bytes(&self) -> u64 {
        self.sealed.iter().map(|logged| logged.bytes()).sum()
    }
}

impl Drop for ReadView {
    fn drop(&mut self) {
        // A tree may name many runs, and the last to let go may be a reader.
        if let Some(tree) = Arc::get_mut(&mut self.tree)
            && tree.runs().next().is_some()
        {
            let levels = std::mem::take(&mut tree.levels);
            self.active.reaper.drop_later(levels);
        }
    }
}
