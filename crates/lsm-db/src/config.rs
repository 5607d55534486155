//! What can be chosen when a store is opened, with the defaults and what they cost.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lsm_compact::PickerOptions;
use lsm_fs::{FileSystem, RealFs};
use lsm_scheduler::Scheduler;

/// Bytes a memtable may hold before it is sealed, unless configured.
pub const DEFAULT_MEMTABLE_CAPACITY: usize = 32 << 20;

/// Runs in level 0 that start a compaction, unless configured.
pub const DEFAULT_COMPACTION_TRIGGER: usize = 4;

/// Bytes of the block cache, unless configured. It takes memory only as blocks are read.
pub const DEFAULT_BLOCK_CACHE_CAPACITY: usize = 256 << 20;

/// How long an open waits for the directory's lock, unless configured.
///
/// Some hundred times what passes on a busy machine before a process that is being started has let
/// go of the files of its parent.
const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_millis(250);

const DEFAULT_LEVEL_FANOUT: u64 = 10;
const DEFAULT_FILTER_BITS: u32 = 10;
const DEFAULT_OPEN_FILES_MAX: usize = 512;
const RUN_BYTES_TARGET_MIN: u64 = 64 << 10;
const RUN_BYTES_TARGET_MAX: u64 = 64 << 20;
const LEVEL_COUNT: usize = 7;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// When it is on stable storage: it survives a power cut.
    #[default]
    Sync,
    /// When it has been handed to the operating system: it survives a kill of the process, not a
    /// power cut. What a power cut takes is always the newest writes, never one before another
    /// that stays.
    Buffered,
}

/// How a store is opened; every choice has a default.
///
/// Two configurations are equal if every choice is; file systems and schedulers compare by
/// identity.
///
/// # Examples
/// ```
/// use lsm_db::{Durability, Lsm, LsmConfig};
/// # let dir = tempfile::tempdir()?;
/// let config = LsmConfig::new()
///     .memtable_capacity(8 << 20)
///     .durability(Durability::Buffered);
/// let store = Lsm::open_with(dir.path(), config)?;
/// # Ok::<(), lsm_db::Error>(())
/// ```
#[derive(Clone)]
pub struct LsmConfig {
    memtable_capacity_bytes: usize,
    compaction_trigger_runs: usize,
    block_cache_capacity_bytes: usize,
    durability: Durability,
    wal: bool,
    run_bytes_target: Option<u64>,
    level_fanout: u64,
    filter_bits_per_key: u32,
    open_files_max: usize,
    lock_timeout: Duration,
    file_system: Option<Arc<dyn FileSystem>>,
    scheduler: Option<Scheduler>,
}

impl LsmConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            memtable_capacity_bytes: DEFAULT_MEMTABLE_CAPACITY,
            compaction_trigger_runs: DEFAULT_COMPACTION_TRIGGER,
            block_cache_capacity_bytes: DEFAULT_BLOCK_CACHE_CAPACITY,
            durability: Durability::default(),
            wal: cfg!(feature = "durability"),
            run_bytes_target: None,
            level_fanout: DEFAULT_LEVEL_FANOUT,
            filter_bits_per_key: DEFAULT_FILTER_BITS,
            open_files_max: DEFAULT_OPEN_FILES_MAX,
            lock_timeout: DEFAULT_LOCK_TIMEOUT,
            file_system: None,
            scheduler: None,
        }
    }

    /// Bytes a memtable may hold before it is sealed and flushed. 0 or 1 flushes on every write. When reads
    /// have its arrays merged, and for as long as iterators stand on what was merged, it takes up to three
    /// times as many.
    #[must_use]
    pub fn memtable_capacity(mut self, bytes: usize) -> Self {
        self.memtable_capacity_bytes = bytes;
        self
    }

    /// See [`memtable_capacity`](Self::memtable_capacity).
    #[must_use]
    pub fn memtable_capacity_bytes(&self) -> usize {
        self.memtable_capacity_bytes
    }

    /// The number of runs in level 0 that starts a compaction; at least 2.
    ///
    /// Fewer start one where most of what they hold is deletes, and once reads have spent on them about
    /// what it costs. `usize::MAX` means never, for either; then the number of runs never slows a writer
    /// either.
    #[must_use]
    pub fn compaction_trigger(mut self, runs: usize) -> Self {
        self.compaction_trigger_runs = runs.max(2);
        self
    }

    /// See [`compaction_trigger`](Self::compaction_trigger).
    #[must_use]
    pub fn compaction_trigger_runs(&self) -> usize {
        self.compaction_trigger_runs
    }

    /// Bytes of memory for what is read from runs: blocks, and the runs' indexes and filters.
    ///
    /// 0 switches the cache of blocks off. Indexes and filters stay loaded within half of this, or
    /// within 8 MiB if that is more; those that were not used for longest go first. A block of 4
    /// KiB has about 36 bytes of index and more with long keys, and a key one to two bytes of filter:
    /// with less than some four per cent of what is read often, reads load them again and again.
    #[must_use]
    pub fn block_cache_capacity(mut self, bytes: usize) -> Self {
        self.block_cache_capacity_bytes = bytes;
        self
    }

    /// See [`block_cache_capacity`](Self::block_cache_capacity).
    #[must_use]
    pub fn block_cache_capacity_bytes(&self) -> usize {
        self.block_cache_capacity_bytes
    }

    /// When a write is acknowledged, unless [`write_with`](crate::Lsm::write_with) says otherwise.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// See [`durability`](Self::durability).
    #[must_use]
    pub fn default_durability(&self) -> Durability {
        self.durability
    }

    /// Whether writes go to the log; by default they do, unless the crate's feature `durability` is
    /// off. Without it a crash loses what was not flushed, `write_with`
    /// refuses [`Durability::Sync`], and [`sync`](crate::Lsm::sync) flushes.
    #[must_use]
    pub fn wal(mut self, enabled: bool) -> Self {
        self.wal = enabled;
        self
    }

    /// See [`wal`](Self::wal).
    #[must_use]
    pub fn wal_enabled(&self) -> bool {
        self.wal
    }

    /// The size in bytes at which a compaction starts its next run. By default the memtable's
    /// capacity, within 64 KiB and 64 MiB.
    #[must_use]
    pub fn run_bytes_target(mut self, bytes: u64) -> Self {
        self.run_bytes_target = Some(bytes.max(1));
        self
    }

    /// How many times larger each level may be than the one above it; at least 2, by default 10.
    #[must_use]
    pub fn level_fanout(mut self, times: u64) -> Self {
        self.level_fanout = times.max(2);
        self
    }

    /// The bits of memory and disk that filters may take per key; by default 10, and 0 for none. A
    /// filter lets a read skip a run that surely lacks the key.
    ///
    /// Runs above the deepest level, a small part of all, get filters of 18 bits (one run in 65,000
    /// is read in vain). The deepest level gets those too from 18 on, from 9 on filters of 9 bits
    /// (one in 256), and none below that. It counts for runs written from now on. Without the Cargo
    /// feature `bloom` it is kept, and there are no filters.
    #[must_use]
    pub fn filter_bits(mut self, bits_per_key: u32) -> Self {
        self.filter_bits_per_key = bits_per_key;
        self
    }

    /// See [`filter_bits`](Self::filter_bits).
    #[must_use]
    pub fn filter_bits_per_key(&self) -> u32 {
        self.filter_bits_per_key
    }

    /// How many run files may be kept open between reads; by default 512. Those that were not read
    /// for longest are closed, and opened again when they are. When the process, or the system, has
    /// too many files open all the same, the store keeps fewer, and goes on.
    #[must_use]
    pub fn max_open_files(mut self, files: usize) -> Self {
        self.open_files_max = files;
        self
    }

    /// See [`max_open_files`](Self::max_open_files).
    #[must_use]
    pub fn open_files_max(&self) -> usize {
        self.open_files_max
    }

    /// How long an open waits for a directory that is locked before it returns
    /// [`Error::Locked`](crate::Error::Locked); by default 250 ms. Zero tries once.
    ///
    /// A store that another handle has open is not worth waiting for. But a process that was killed
    /// may seem to live on for some milliseconds: a child that it was about to start has copies of
    /// its open files, and with them of the lock, until it runs its own program.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use lsm_db::{Error, Lsm, LsmConfig};
    /// # let dir = tempfile::tempdir()?;
    /// let store = Lsm::open(dir.path())?;
    /// let at_once = LsmConfig::new().lock_timeout(Duration::ZERO);
    /// let second = Lsm::open_with(dir.path(), at_once);
    /// assert!(matches!(second, Err(Error::Locked { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// See [`lock_timeout`](Self::lock_timeout).
    #[must_use]
    pub fn lock_timeout_duration(&self) -> Duration {
        self.lock_timeout
    }

    /// Where the store lives; by default the operating system's files. A simulated one of
    /// `lsm-fs` lets a test crash the machine.
    #[must_use]
    pub fn file_system(mut self, file_system: Arc<dyn FileSystem>) -> Self {
        self.file_system = Some(file_system);
        self
    }

    /// How background work runs; by default on threads. A stepped one makes a test repeatable.
    #[must_use]
    pub fn scheduler(mut self, scheduler: Scheduler) -> Self {
        self.scheduler = Some(scheduler);
        self
    }

    pub(crate) fn chosen_file_system(&self) -> Arc<dyn FileSystem> {
        match &self.file_system {
            Some(chosen) => Arc::clone(chosen),
            None => Arc::new(RealFs::new()),
        }
    }

    pub(crate) fn chosen_scheduler(&self) -> Scheduler {
        self.scheduler.clone().unwrap_or_default()
    }

    pub(crate) fn picker_options(&self) -> PickerOptions {
        let memtable_bytes = self.memtable_capacity_bytes as u64;
        let run_bytes_target = self
            .run_bytes_target
            .unwrap_or(memtable_bytes.clamp(RUN_BYTES_TARGET_MIN, RUN_BYTES_TARGET_MAX));
        let level_base_bytes = memtable_bytes
            .max(RUN_BYTES_TARGET_MIN)
            .saturating_mul(self.compaction_trigger_runs.min(64) as u64);
        PickerOptions {
            l0_trigger: self.compaction_trigger_runs,
            run_bytes_target,
            level_base_bytes,
            fanout: self.level_fanout,
            level_count: LEVEL_COUNT,
        }
    }
}

impl Default for LsmConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for LsmConfig {
    fn eq(&self, other: &Self) -> bool {
        let same_file_system = match (&self.file_system, &other.file_system) {
            (None, None) => true,
            (Some(a), Some(b)) => std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b)),
            _ => false,
        };
        same_file_system
            && self.memtable_capacity_bytes == other.memtable_capacity_bytes
            && self.compaction_trigger_runs == other.compaction_trigger_runs
            && self.block_cache_capacity_bytes == other.block_cache_capacity_bytes
            && self.durability == other.durability
            && self.wal == other.wal
            && self.run_bytes_target == other.run_bytes_target
            && self.level_fanout == other.level_fanout
            && self.filter_bits_per_key == other.filter_bits_per_key
            && self.open_files_max == other.open_files_max
            && self.lock_timeout == other.lock_timeout
            && self.scheduler == other.scheduler
    }
}

impl Eq for LsmConfig {}

impl fmt::Debug for LsmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LsmConfig")
            .field("memtable_capacity_bytes", &self.memtable_capacity_bytes)
            .field("compaction_trigger_runs", &self.compaction_trigger_runs)
            .field(
                "block_cache_capacity_bytes",
                &self.block_cache_capacity_bytes,
            )
            .field("durability", &self.durability)
            .field("wal", &self.wal)
            .field("run_bytes_target", &self.run_bytes_target)
            .field("level_fanout", &self.level_fanout)
            .field("filter_bits_per_key", &self.filter_bits_per_key)
            .field("open_files_max", &self.open_files_max)
            .field("lock_timeout", &self.lock_timeout)
            .field("file_system", &self.file_system)
            .field("scheduler", &self.scheduler)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_below_two_is_two_and_the_largest_stays() {
        assert_eq!(
            LsmConfig::new()
                .compaction_trigger(0)
                .compaction_trigger_runs(),
            2
        );
        let never = LsmConfig::new().compaction_trigger(usize::MAX);
        assert_eq!(never.compaction_trigger_runs(), usize::MAX);
    }

    #[test]
    fn the_log_is_on_by_default_unless_the_feature_is_off() {
        let expected = cfg!(feature = "durability");
        assert_eq!(LsmConfig::new().wal_enabled(), expected);
    }

    #[test]
    fn configurations_compare_by_value_and_their_seams_by_identity() {
        assert_eq!(LsmConfig::new(), LsmConfig::default());
        assert_ne!(LsmConfig::new().wal(true), LsmConfig::new().wal(false));
        let scheduler = Scheduler::stepped(1);
        let config = LsmConfig::new().scheduler(scheduler.clone());
        assert_eq!(config, LsmConfig::new().scheduler(scheduler));
        assert_ne!(config, LsmConfig::new().scheduler(Scheduler::stepped(1)));
        let real: Arc<dyn FileSystem> = Arc::new(RealFs::new());
        let config = LsmConfig::new().file_system(Arc::clone(&real));
        assert_eq!(config, LsmConfig::new().file_system(real));
        assert_ne!(config, LsmConfig::new());
    }
}
