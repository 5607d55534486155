//! Filters, made with `lsm-bloom`.
//!
//! A run's filter is in the sidecar beside it, written with the run, and loaded when it is first
//! asked. One that is missing or not that run's is made again in the background, by reading the
//! run; until then the run is simply read. No failure here is anybody's error.
//!
//! A sidecar is not synced, and neither is its name, other than by chance: what a crash leaves of
//! it is either right, as its checksums say, or made again.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use lsm_bloom::{
    ConcurrentFilter, Filter, FilterBuilder, FingerprintBits, KeyHash, KeyHasher, RunIdentity,
};
use lsm_cache::Slot;
use lsm_compact::Cursor;
use lsm_fs::{FileName, read_to_vec};
use lsm_scheduler::Pool;
use lsm_version::{RunMeta, run_sidecar_file_name, run_sidecar_temp_file_name};

use super::{Size, size_for};
use crate::health::Health;
use crate::run::{Run, RunContext};
use crate::run_blocks::Caching;
use crate::source::Source;
use crate::{LsmConfig, lane};

/// Memory that one build may take, whatever the runs' size.
const SCRATCH_BYTES_MIN: u64 = 4 << 20;
/// Bytes of memtable per key that its filter is sized for: half of them a small entry's own, half what
/// it costs besides. Of entries smaller than that it errs more often.
const MEMTABLE_BYTES_PER_KEY: u64 = 80;
const MEMTABLE_BITS_PER_KEY: usize = 12;
/// Larger memtables have filters that err more often: 3 MiB, which have to be there from the start,
/// are enough.
const MEMTABLE_KEYS_MAX: u64 = 2 << 20;

/// How this store's filters are made.
#[derive(Debug)]
pub(crate) struct Filters {
    hasher: KeyHasher,
    hash_seed: u64,
    budget_bits: u32,
    scratch_bytes_max: u64,
    pool: Pool,
    health: Arc<Health>,
}

impl Filters {
    pub(crate) fn new(
        hash_seed: u64,
        config: &LsmConfig,
        pool: &Pool,
        health: &Arc<Health>,
    ) -> Self {
        let run_bytes = config.picker_options().run_bytes_target;
        Self {
            hasher: KeyHasher::new(hash_seed),
            hash_seed,
            budget_bits: config.filter_bits_per_key(),
            scratch_bytes_max: run_bytes.saturating_mul(2).max(SCRATCH_BYTES_MIN),
            pool: pool.clone(),
            health: Arc::clone(health),
        }
    }

    /// Whether a sidecar that is missing may be written now. Not before the open has settled: what
    /// is in its place may be another engine's, and that one's still.
    fn may_build(&self, context: &RunContext) -> bool {
        self.budget_bits > 0
            && context.settled.load(Ordering::Acquire)
            && !context.closing.load(Ordering::Acquire)
            && !self.health.is_poisoned()
    }
}

/// A key that is looked for, hashed once for all filters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe<'k> {
    pub(crate) key: &'k [u8],
    hash: KeyHash,
}

/// The filter of a memtable; whoever inserts there inserts here first.
#[derive(Debug)]
pub(crate) struct MemtableFilter {
    hasher: KeyHasher,
    filter: Option<ConcurrentFilter>,
}

impl MemtableFilter {
    pub(crate) fn new(filters: &Filters, capacity_bytes: u64) -> Self {
        let keys = (capacity_bytes / MEMTABLE_BYTES_PER_KEY).clamp(1, MEMTABLE_KEYS_MAX);
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        Self {
            hasher: filters.hasher,
            filter: (filters.budget_bits > 0)
                .then(|| ConcurrentFilter::new(keys, MEMTABLE_BITS_PER_KEY)),
        }
    }

    pub(crate) fn probe<'k>(&self, key: &'k [u8]) -> Probe<'k> {
        Probe {
            key,
            hash: self.hasher.hash(key),
        }
    }

    pub(crate) fn insert(&self, key: &[u8]) {
        if let Some(filter) = &self.filter {
            filter.insert(self.hasher.hash(key));
        }
    }

    pub(crate) fn may_contain(&self, probe: &Probe<'_>) -> bool {
        let filter = self.filter.as_ref();
        filter.is_none_or(|filter| filter.may_contain(probe.hash))
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.filter
            .as_ref()
            .map_or(0, |filter| filter.memory_bytes() as u64)
    }
}

/// The filter of a run, while it is loaded.
#[derive(Debug)]
pub(crate) struct RunFilter {
    slot: Slot<Filter>,
    size: Size,
    state: AtomicU8,
    /// How often the filter was wanted and not there since it was last loaded.
    wanted: AtomicU64,
    /// How often it was made again.
    builds: AtomicU8,
}

/// Nothing is known to be wrong with the sidecar.
const BESIDE: u8 = 0;
/// The sidecar is no use; there shall be another.
const MISSING: u8 = 1;
/// It is being made.
const BUILDING: u8 = 2;
/// There is to be none.
const NEVER: u8 = 3;

/// A run whose filter is lost as often as this does without.
const BUILDS_MAX: u8 = 3;

/// What a read without the filter costs: about a block.
const READ_IN_VAIN_BYTES: u64 = 4096;

/// Why there is no filter to be had from a sidecar.
enum NotLoaded {
    /// It could not be read this time.
    Unread,
    /// It is not there, or not that run's.
    Useless,
}

impl RunFilter {
    /// `is_deepest`: the run is of the deepest level. One that is moved there later keeps what it
    /// has.
    pub(crate) fn new(context: &RunContext, is_deepest: bool) -> Self {
        let size = size_for(context.filters.budget_bits, is_deepest);
        let state = if size == Size::None { NEVER } else { BESIDE };
        Self {
            slot: Slot::new(&context.parts),
            size,
            state: AtomicU8::new(state),
            wanted: AtomicU64::new(0),
            builds: AtomicU8::new(0),
        }
    }

    /// Whether `run`, whose filter this is, may hold the key.
    #[inline]
    pub(crate) fn may_contain(&self, run: &Arc<Run>, probe: &Probe<'_>) -> bool {
        let answer = self.slot.with(|filter| filter.may_contain(probe.hash));
        match answer {
            Some(answer) => answer,
            None => self.load_and_ask(run, probe),
        }
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.slot.weight()
    }

    #[cold]
    fn load_and_ask(&self, run: &Arc<Run>, probe: &Probe<'_>) -> bool {
        match self.state.load(Ordering::Relaxed) {
            MISSING => self.build_later(run),
            BESIDE if self.is_worth_loading(run) && run.context().check_process().is_ok() => {
                match load(run) {
                    Ok(filter) => {
                        let answer = filter.may_contain(probe.hash);
                        self.keep(run, filter);
                        return answer;
                    }
                    Err(NotLoaded::Unread) => {}
                    Err(NotLoaded::Useless) => {
                        self.change(BESIDE, MISSING);
                        self.build_later(run);
                    }
                }
            }
            _ => {}
        }
        true
    }

    /// Where there is room, at once. Where others have to go for it, once the reads that had to do
    /// without have cost as much as loading it does: else filters that take turns would cost more
    /// than they save.
    fn is_worth_loading(&self, run: &Run) -> bool {
        let bytes = lsm_bloom::sidecar_bytes_max(run.meta().entry_count) / 2;
        let parts = &run.context().parts;
        let wanted = self.wanted.fetch_add(1, Ordering::Relaxed) + 1;
        parts.used().saturating_add(bytes) <= parts.limit()
            || wanted.saturating_mul(READ_IN_VAIN_BYTES) >= bytes
    }

    fn keep(&self, run: &Run, filter: Filter) {
        self.wanted.store(0, Ordering::Relaxed);
        let weight = filter.memory_bytes() as u64;
        self.slot.fill(filter, weight);
        run.context().parts_changed();
    }

    fn change(&self, from: u8, to: u8) -> bool {
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        self.state
            .compare_exchange(from, to, success, failure)
            .is_ok()
    }

    /// Has the sidecar made again, unless that has been tried often enough.
    fn build_later(&self, run: &Arc<Run>) {
        let context = run.context();
        if !context.filters.may_build(context) || !self.change(MISSING, BUILDING) {
            return;
        }
        if self.builds.fetch_add(1, Ordering::Relaxed) >= BUILDS_MAX {
            self.state.store(NEVER, Ordering::Relaxed);
            return;
        }
        let mut building = Building {
            run: Arc::downgrade(run),
            then: MISSING,
        };
        let pool = context.filters.pool.clone();
        pool.submit(lane::FOR_READS, move || building.build());
    }
}

/// A filter that is [`BUILDING`], or is going to be. However that ends, the run has another state then:
/// after a panic its filter is missing, as before.
struct Building {
    /// While it waits it keeps no file that is to be unlinked.
    run: Weak<Run>,
    then: u8,
}

impl Building {
    fn build(&mut self) {
        let Some(run) = self.run.upgrade() else {
            return;
        };
        let filter = run.filter();
        self.then = match build(&run, filter.size) {
            Ok(Built::Filter {
                filter: built,
                is_written,
            }) => {
                filter.keep(&run, built);
                if is_written { BESIDE } else { MISSING }
            }
            Ok(Built::Nothing) => NEVER,
            Err(_) => MISSING,
        };
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if let Some(run) = self.run.upgrade() {
            run.filter().state.store(self.then, Ordering::Relaxed);
        }
    }
}

/// The filter in the run's sidecar.
fn load(run: &Run) -> Result<Filter, NotLoaded> {
    let (context, meta) = (run.context(), run.meta());
    let len_max = lsm_bloom::sidecar_bytes_max(meta.entry_count);
    let name = run_sidecar_file_name(meta.id);
    let bytes = match read_to_vec(&*context.directory, &name, len_max) {
        Ok(bytes) => bytes,
        Err(error) => match error.source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge => {
                return Err(NotLoaded::Useless);
            }
            _ => return Err(NotLoaded::Unread),
        },
    };
    let decoded = lsm_bloom::decode(&bytes, &identity(meta), context.filters.hash_seed);
    // Two keys seldom share a hash; a filter of many fewer is not of all keys.
    let keys_min = meta.entry_count - meta.entry_count / 1024;
    match decoded {
        Ok(filter) if filter.len() >= keys_min => Ok(filter),
        _ => Err(NotLoaded::Useless),
    }
}

enum Built {
    Filter {
        filter: Filter,
        is_written: bool,
    },
    /// There can be none, or it is needed no more.
    Nothing,
}

/// Reads the run, and writes its sidecar.
fn build(run: &Arc<Run>, size: Size) -> crate::Result<Built> {
    let (context, meta) = (run.context(), run.meta());
    let is_over = || run.is_retired() || !context.filters.may_build(context);
    if is_over() {
        return Ok(Built::Nothing);
    }
    let mut output = OutputFilter::of_size(context, size);
    let mut memory = context.jobs.charge();
    let mut source = Source::level(Arc::from([Arc::clone(run)]), Caching::Bypass);
    source.seek_first()?;
    while let Some(key) = source.key() {
        if is_over() || output.is_over_budget() {
            return Ok(Built::Nothing);
        }
        output.push(key);
        source.next()?;
    }
    memory.set(output.scratch_bytes());
    let Some(filter) = output.finish() else {
        return Ok(Built::Nothing);
    };
    // What is in its place may be another engine's, or damaged: replaced at once or not at all.
    let temporary = run_sidecar_temp_file_name(meta.id);
    let written = write_sidecar(context, &temporary, &filter, meta).and_then(|()| {
        let sidecar = run_sidecar_file_name(meta.id);
        context.directory.rename(&temporary, &sidecar)
    });
    Ok(Built::Filter {
        filter,
        is_written: written.is_ok(),
    })
}

/// The filter of a run that is being written.
#[derive(Debug)]
pub(crate) struct OutputFilter {
    hasher: KeyHasher,
    building: Option<(FilterBuilder, FingerprintBits)>,
}

impl OutputFilter {
    /// For a run of the deepest level, or of another.
    pub(crate) fn new(context: &RunContext, is_deepest: bool) -> Self {
        Self::of_size(context, size_for(context.filters.budget_bits, is_deepest))
    }

    fn of_size(context: &RunContext, size: Size) -> Self {
        let filters = &context.filters;
        let bits = match size {
            Size::None => None,
            Size::Eight => Some(FingerprintBits::Eight),
            Size::Sixteen => Some(FingerprintBits::Sixteen),
        };
        Self {
            hasher: filters.hasher,
            building: bits.map(|bits| (FilterBuilder::new(filters.scratch_bytes_max), bits)),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, key: &[u8]) {
        if let Some((builder, _)) = &mut self.building {
            builder.push(self.hasher.hash(key));
        }
    }

    /// Bytes of memory that making it takes.
    pub(crate) fn scratch_bytes(&self) -> usize {
        let builder = self.building.as_ref().map(|(builder, _)| builder);
        let bytes = builder.map_or(0, FilterBuilder::scratch_bytes);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn is_over_budget(&self) -> bool {
        let builder = self.building.as_ref().map(|(builder, _)| builder);
        builder.is_none_or(FilterBuilder::is_over_budget)
    }

    fn finish(&mut self) -> Option<Filter> {
        let (builder, bits) = self.building.take()?;
        builder.finish(bits).ok()
    }

    /// Writes the sidecar of `run`, whose keys were pushed. If that fails, it has none for now.
    pub(crate) fn write(&mut self, context: &RunContext, run: &RunMeta) {
        if let Some(filter) = self.finish() {
            let sidecar = run_sidecar_file_name(run.id);
            // A run without one has it made again when it is first asked.
            let _ = write_sidecar(context, &sidecar, &filter, run);
        }
    }
}

/// Writes a new file, in place of one that is there: the id is this run's, so nobody else's is.
fn write_sidecar(
    context: &RunContext,
    name: &FileName,
    filter: &Filter,
    run: &RunMeta,
) -> io::Result<()> {
    let directory = &*context.directory;
    let bytes = lsm_bloom::encode(filter, &identity(run), context.filters.hash_seed);
    let file = match directory.create_new(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            directory.unlink(name)?;
            directory.create_new(name)?
        }
        created => created?,
    };
    file.append_all(&bytes).inspect_err(|_| {
        let _ = directory.unlink(name);
    })
}

fn identity(run: &RunMeta) -> RunIdentity {
    RunIdentity {
        run_id: run.id,
        file_len: run.file_len,
        index_crc: run.index_crc,
    }
}
