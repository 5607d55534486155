//! Filters, made with `lsm-bloom`.
//!
//! A run's filter is in the sidecar beside it, written with the run, and loaded when it is first
//! asked. One that is missing or not that run's is made again in the background, by reading the
//! run; until then the run is simply read. No failure here is anybody's error.
//!
//! A sidecar is not synced, and neither is its name, other than by chance: what a crash leaves of
//! it is either right, as its checksums say, or made again.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lsm_bloom::{
    ConcurrentFilter, Filter, FilterBuilder, FingerprintBits, KeyHash, KeyHasher, RunIdentity,
};
use lsm_cache::Slot;
use lsm_compact::Cursor;
use lsm_fs::{FileSystem, read_to_vec};
use lsm_scheduler::Pool;
use lsm_version::{RunMeta, run_sidecar_temp_file_name};

use super::{Size, size_for};
use crate::health::Health;
use crate::run::{Run, RunContext};
use crate::source::{Caching, Source};
use crate::{LsmConfig, Result, lane};

/// Memory that one build may take, whatever the runs' size.
const SCRATCH_BYTES_MIN: u64 = 4 << 20;
/// Bytes of memtable per key that its filter is sized for.
const MEMTABLE_BYTES_PER_KEY: u64 = 160;
const MEMTABLE_BITS_PER_KEY: usize = 12;

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
        let keys = (capacity_bytes / MEMTABLE_BYTES_PER_KEY).max(1);
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
    /// The sidecar is no use, or there is to be none: not looked for again.
    is_absent: AtomicBool,
    is_building: AtomicBool,
}

impl RunFilter {
    pub(crate) fn new(context: &RunContext) -> Self {
        Self {
            slot: Slot::new(&context.parts),
            is_absent: AtomicBool::new(context.filters.budget_bits == 0),
            is_building: AtomicBool::new(false),
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
        if self.is_absent.load(Ordering::Relaxed) {
            self.build_later(run);
            return true;
        }
        match load(run) {
            Some(filter) => {
                let answer = filter.may_contain(probe.hash);
                self.keep(run, filter);
                answer
            }
            None => {
                self.is_absent.store(true, Ordering::Relaxed);
                self.build_later(run);
                true
            }
        }
    }

    fn keep(&self, run: &Run, filter: Filter) {
        let weight = filter.memory_bytes() as u64;
        self.slot.fill(filter, weight);
        run.context().parts_changed();
    }

    /// Has the sidecar made again, once, unless this run is to have none.
    fn build_later(&self, run: &Arc<Run>) {
        let context = run.context();
        if !context.filters.may_build(context) || self.is_building.swap(true, Ordering::Relaxed) {
            return;
        }
        let run = Arc::clone(run);
        let pool = context.filters.pool.clone();
        pool.submit(lane::FILTER, move || {
            if let Ok(Some(filter)) = build(&run) {
                run.filter().keep(&run, filter);
                run.filter().is_absent.store(false, Ordering::Relaxed);
            }
        });
    }
}

/// The filter in the run's sidecar, if it is there and that run's.
fn load(run: &Run) -> Option<Filter> {
    let (context, meta) = (run.context(), run.meta());
    let len_max = lsm_bloom::sidecar_bytes_max(meta.entry_count);
    let path = context.sidecar_path(meta.id);
    let bytes = read_to_vec(&*context.file_system, &path, len_max).ok()?;
    lsm_bloom::decode(&bytes, &identity(meta), context.filters.hash_seed).ok()
}

/// Reads the run, and writes its sidecar. `None`: there is to be none, or it is needed no more.
fn build(run: &Arc<Run>) -> Result<Option<Filter>> {
    let (context, meta) = (run.context(), run.meta());
    let mut output = OutputFilter::new(context, false);
    let mut source = Source::level(Arc::from([Arc::clone(run)]), Caching::Bypass);
    source.seek_first()?;
    while let Some(key) = source.key() {
        if run.is_retired() || !context.filters.may_build(context) {
            return Ok(None);
        }
        output.push(key);
        source.next()?;
    }
    let Some(filter) = output.finish() else {
        return Ok(None);
    };
    // What is in its place may be another engine's, or damaged: replaced at once or not at all.
    let temporary = context.directory.join(run_sidecar_temp_file_name(meta.id));
    write_sidecar(context, &temporary, &filter, meta, |fs| {
        fs.rename(&temporary, &context.sidecar_path(meta.id))
    });
    Ok(Some(filter))
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
        let filters = &context.filters;
        let bits = match size_for(filters.budget_bits, is_deepest) {
            Size::None => None,
            Size::Eight => Some(FingerprintBits::Eight),
            Size::Sixteen => Some(FingerprintBits::Sixteen),
        };
        Self {
            hasher: filters.hasher,
            building: bits.map(|bits| (FilterBuilder::new(filters.scratch_bytes_max), bits)),
        }
    }

    pub(crate) fn push(&mut self, key: &[u8]) {
        if let Some((builder, _)) = &mut self.building {
            builder.push(self.hasher.hash(key));
        }
    }

    fn finish(&mut self) -> Option<Filter> {
        let (builder, bits) = self.building.take()?;
        builder.finish(bits).ok()
    }

    /// Writes the sidecar of `run`, whose keys were pushed. If that fails, it has none for now.
    pub(crate) fn write(&mut self, context: &RunContext, run: &RunMeta) {
        if let Some(filter) = self.finish() {
            let sidecar = context.sidecar_path(run.id);
            write_sidecar(context, &sidecar, &filter, run, |_| Ok(()));
        }
    }
}

fn write_sidecar(
    context: &RunContext,
    path: &Path,
    filter: &Filter,
    run: &RunMeta,
    then: impl FnOnce(&dyn FileSystem) -> io::Result<()>,
) {
    let fs = &*context.file_system;
    let identity = identity(run);
    let bytes = lsm_bloom::encode(filter, &identity, context.filters.hash_seed);
    let written = fs
        .create_new(path)
        .and_then(|file| file.append_all(&bytes))
        .and_then(|()| then(fs));
    if written.is_err() {
        let _ = fs.remove_file(path);
    }
}

fn identity(run: &RunMeta) -> RunIdentity {
    RunIdentity {
        run_id: run.id,
        file_len: run.file_len,
        index_crc: run.index_crc,
    }
}
