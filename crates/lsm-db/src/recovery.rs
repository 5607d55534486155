//! Open: from what is on disk to an engine that reads and writes.
//!
//! 1. Nothing is created, changed or removed before the directory is known to be ours or empty.
//! 2. The manifest is read, the runs it names are checked by name and length, the log is replayed.
//!    Reads can be answered from then on, whatever else fails.
//! 3. What that leaves to be written is settled afterwards: see [`crate::settle`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use lsm_cache::SlotPool;
use lsm_format::RunFile;
use lsm_fs::{EntryKind, FileLock, FileSystem, ReliefFs};
use lsm_scheduler::Pool;
use lsm_version::{
    Ceilings, FileKind, Identity, LOCK_FILE_NAME, Manifest, RunMeta, UnresolvedRun, run_file_name,
};
use lsm_wal::LogOptions;

use crate::block_cache::BlockCache;
use crate::commit::Committer;
use crate::engine::{Engine, Parts};
use crate::filter::{Filters, MemtableFilter};
use crate::health::Health;
use crate::reaper::Reaper;
use crate::replay::Replay;
use crate::run::{Run, RunContext, SeamFile, read_error};
use crate::settle::{Owed, Unsettled};
use crate::view::{LoggedMemtable, ReadView, Tree};
use crate::{Error, LsmConfig, Result, lane};

/// Segments grow to this size at least before a new one is started.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// What lies in the directory.
#[derive(Debug, Default)]
struct Listing {
    has_manifest: bool,
    legacy_log: Option<PathBuf>,
    runs: Vec<(u64, PathBuf)>,
    sidecars: Vec<(u64, PathBuf)>,
    /// Temporary ones too.
    segments: Vec<(u64, PathBuf)>,
    temporaries: Vec<PathBuf>,
}

/// Opens the store in `directory`.
pub(crate) fn open(directory: &Path, config: LsmConfig) -> Result<Arc<Engine>> {
    let files = SlotPool::new(config.open_files_max() as u64);
    let relief = files.clone();
    let file_system = ReliefFs::new(config.chosen_file_system(), move || relief.shrink());
    let file_system: Arc<dyn FileSystem> = Arc::new(file_system);
    prepare_directory(&*file_system, directory)?;
    let lock_path = directory.join(LOCK_FILE_NAME);
    let lock: Arc<dyn FileLock> = match file_system.lock(&lock_path) {
        Ok(lock) => Arc::from(lock),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            return Err(Error::Locked { path: lock_path });
        }
        Err(source) => return Err(Error::io("lock", &lock_path, source)),
    };
    let listing = list(&*file_system, directory)?;
    let manifest = if listing.has_manifest {
        load_manifest(&file_system, directory)?
    } else {
        listing.refuse_without_manifest()?;
        // An earlier open may have made the directory and failed before its name was durable.
        create_directory(&*file_system, directory)?;
        create_manifest(&file_system, directory, &config)?
    };
    let pool = config
        .chosen_scheduler()
        .pool("lsm", lane::COUNT)
        .map_err(|source| Error::io("start the workers of", directory, source))?;
    let ground = Ground {
        directory: directory.to_path_buf(),
        file_system,
        files,
        lock,
        pool: pool.clone(),
    };
    let built = build(ground, config, manifest, listing);
    match built {
        Ok(engine) => {
            engine.begin();
            Ok(engine)
        }
        Err(error) => {
            pool.shutdown();
            Err(error)
        }
    }
}

/// Makes the directory if it is absent; refuses what is not ours before anything is touched.
fn prepare_directory(file_system: &dyn FileSystem, directory: &Path) -> Result<()> {
    let kind = file_system
        .kind(directory)
        .map_err(|source| Error::io("look at", directory, source))?;
    match kind {
        None => create_directory(file_system, directory),
        Some(EntryKind::File) => Err(Error::io(
            "open the store: a file is in the place of its directory",
            directory,
            std::io::ErrorKind::NotADirectory.into(),
        )),
        Some(_) => list(file_system, directory)?.refuse_without_manifest(),
    }
}

/// Makes the directory and its missing ancestors, and makes all their names durable.
fn create_directory(file_system: &dyn FileSystem, directory: &Path) -> Result<()> {
    lsm_fs::create_dir_all_synced(file_system, directory)
        .map_err(|error| Error::io("create the directory", &error.path, error.source))
}

fn list(file_system: &dyn FileSystem, directory: &Path) -> Result<Listing> {
    let entries = file_system
        .list(directory)
        .map_err(|source| Error::io("list the directory", directory, source))?;
    let mut listing = Listing::default();
    for entry in entries {
        let path = directory.join(&entry.name);
        let kind = FileKind::of(&entry.name);
        if kind == FileKind::Foreign || !is_file(file_system, &path)? {
            continue;
        }
        match kind {
            FileKind::Manifest => listing.has_manifest = true,
            FileKind::Run(id) => listing.runs.push((id, path)),
            FileKind::Segment(id) => listing.segments.push((id, path)),
            FileKind::LegacyLog => listing.legacy_log = Some(path),
            FileKind::SegmentTemp(id) => {
                listing.segments.push((id, path.clone()));
                listing.temporaries.push(path);
            }
            FileKind::RunSidecar(id) => listing.sidecars.push((id, path)),
            FileKind::RunTemp(_) | FileKind::RunSidecarTemp(_) | FileKind::ManifestTemp => {
                listing.temporaries.push(path);
            }
            _ => {}
        }
    }
    Ok(listing)
}

/// A directory may carry any name, ours too; only files are ever ours.
fn is_file(file_system: &dyn FileSystem, path: &Path) -> Result<bool> {
    match file_system.kind(path) {
        Ok(kind) => Ok(kind == Some(EntryKind::File)),
        Err(source) => Err(Error::io("look at", path, source)),
    }
}

impl Listing {
    /// Runs or log segments that no manifest speaks of are somebody's data: nothing is touched.
    fn refuse_without_manifest(&self) -> Result<()> {
        if self.has_manifest {
            return Ok(());
        }
        if let Some(file) = &self.legacy_log {
            return Err(Error::UnsupportedFormat {
                reason: "a log of lsm-db 1.x",
                file: file.clone(),
            });
        }
        match self.runs.iter().chain(&self.segments).next() {
            Some((_, file)) => Err(Error::corrupt_file(
                "runs or log segments without a manifest",
                file,
            )),
            None => Ok(()),
        }
    }

    /// A file whose id was never given out is not a leftover: the manifest is not the one that
    /// belongs to it, and nothing here may be judged by it.
    fn refuse_unknown_ids(&self, ceilings: Ceilings) -> Result<()> {
        let run = self.runs.iter().find(|(id, _)| *id >= ceilings.run_id);
        let segment = self
            .segments
            .iter()
            .find(|(id, _)| *id >= ceilings.segment_id);
        match run.or(segment) {
            Some((_, file)) => Err(Error::corrupt_file(
                "a file with an id that the manifest has never given out",
                file,
            )),
            None => Ok(()),
        }
    }
}

fn create_manifest(
    file_system: &Arc<dyn FileSystem>,
    directory: &Path,
    config: &LsmConfig,
) -> Result<Manifest> {
    let (mut database_id, mut seed) = ([0; 16], [0; 8]);
    let scheduler = config.chosen_scheduler();
    scheduler
        .fill_random(&mut database_id)
        .and_then(|()| scheduler.fill_random(&mut seed))
        .map_err(|source| Error::io("draw a database id for", directory, source))?;
    let identity = Identity {
        database_id,
        hash_seed: seed
            .iter()
            .fold(0, |all, byte| (all << 8) | u64::from(*byte)),
    };
    Manifest::create(Arc::clone(file_system), directory, identity).map_err(Error::from)
}

fn load_manifest(file_system: &Arc<dyn FileSystem>, directory: &Path) -> Result<Manifest> {
    let mut resolve = |run: &UnresolvedRun| long_keys(&**file_system, directory, run);
    Manifest::load(Arc::clone(file_system), directory, &mut resolve).map_err(Error::from)
}

/// The smallest and largest key of a run whose keys are too long for the manifest.
fn long_keys(
    file_system: &dyn FileSystem,
    directory: &Path,
    run: &UnresolvedRun,
) -> Result<(Bytes, Bytes)> {
    let path = directory.join(run_file_name(run.id));
    let damaged = |error| read_error(&error, &path);
    check_run_file(file_system, &path, run.file_len)?;
    let file = file_system
        .open(&path)
        .map_err(|source| Error::io("open a run", &path, source))?;
    let file = RunFile::open(SeamFile::new(file), run.file_len).map_err(damaged)?;
    let index = file.load_index().map_err(damaged)?;
    let largest = index
        .block_count()
        .checked_sub(1)
        .and_then(|last| index.last_key(last));
    let first = file.read_block(&index, 0).map_err(damaged)?;
    let empty = || Error::corrupt_file("a run that the manifest names has no entries", &path);
    let largest = Bytes::copy_from_slice(largest.ok_or_else(empty)?);
    Ok((first.key_bytes(0), largest))
}

fn check_run_file(file_system: &dyn FileSystem, path: &Path, expected_len: u64) -> Result<()> {
    match file_system.file_len(path) {
        Ok(len) if len == expected_len => Ok(()),
        Ok(_) => Err(Error::corrupt_file(
            "a run has another length than the manifest says",
            path,
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::corrupt_file(
            "a run that the manifest names is missing",
            path,
        )),
        Err(source) => Err(Error::io("look at a run", path, source)),
    }
}

/// Where a store stands.
struct Ground {
    directory: PathBuf,
    file_system: Arc<dyn FileSystem>,
    /// Runs that are kept open.
    files: SlotPool,
    lock: Arc<dyn FileLock>,
    pool: Pool,
}

fn build(
    ground: Ground,
    config: LsmConfig,
    manifest: Manifest,
    listing: Listing,
) -> Result<Arc<Engine>> {
    let Ground {
        directory,
        file_system,
        files,
        lock,
        pool,
    } = ground;
    let state = manifest.state().clone();
    let version = &state.version;
    listing.refuse_unknown_ids(state.ceilings)?;
    for (_, run) in version.runs() {
        let path = directory.join(run_file_name(run.id));
        check_run_file(&*file_system, &path, run.file_len)?;
    }
    let health = Arc::new(Health::default());
    let reaper = Reaper::new(
        Arc::clone(&file_system),
        Arc::clone(&lock),
        Arc::clone(&health),
        pool.clone(),
    );
    let capacity_bytes = config.memtable_capacity_bytes() as u64;
    let log_options = LogOptions {
        fs: Arc::clone(&file_system),
        dir: directory.clone(),
        database_id: manifest.identity().database_id,
        segment_bytes_max: capacity_bytes.max(SEGMENT_BYTES_MIN),
    };
    let (flushed, ceiling) = (state.flushed_seqno, state.ceilings.seqno);
    let cache_bytes = config.block_cache_capacity_bytes() as u64;
    let run_context = Arc::new(RunContext {
        file_system: Arc::clone(&file_system),
        directory: directory.clone(),
        reaper: reaper.clone(),
        filters: Filters::new(manifest.identity().hash_seed, &config, &pool, &health),
        files,
        parts: SlotPool::new(BlockCache::parts_bytes_max(cache_bytes)),
        blocks: BlockCache::new(cache_bytes),
        settled: AtomicBool::new(false),
        closing: AtomicBool::new(false),
    });
    let mut replay = Replay::new(flushed, ceiling, capacity_bytes, &run_context);
    let log = lsm_wal::recover(&log_options, &state.log, &mut |record| replay.take(&record))?;
    let (sealed, visible) = replay.finish(&log);

    let named = |id: u64| version.runs().any(|(_, run)| run.id == id);
    let known = |id: u64| id < state.ceilings.run_id;
    let sidecars = listing.sidecars.into_iter().filter(|(id, _)| known(*id));
    let leftovers = listing.runs.into_iter().chain(sidecars);
    let leftovers = leftovers.filter(|(id, _)| !named(*id));
    let leftovers: Vec<PathBuf> = leftovers.map(|(_, path)| path).collect();
    let log_is_clean = log.chain.is_empty() || (log.clean && !log.needs_rewrite());
    let believed = manifest.is_durable() || (manifest.was_clean() && log_is_clean);
    let is_owed = !believed
        || !leftovers.is_empty()
        || !listing.temporaries.is_empty()
        || !log.obsolete.is_empty();

    let make = |meta: &Arc<RunMeta>| Run::new(Arc::clone(meta), &run_context);
    let tree = Arc::new(Tree::new(Arc::clone(version), None, make));
    let replayed_ordinal = sealed.first().map_or(0, |logged| logged.ordinal);
    let filter = MemtableFilter::new(&run_context.filters, capacity_bytes);
    let active = Arc::new(LoggedMemtable::new(replayed_ordinal + 1, filter, &reaper));
    let log_end = log.end;
    run_context.settled.store(!is_owed, Ordering::Release);
    let owed = is_owed.then(|| Owed {
        replayed: sealed.first().cloned(),
        log,
        leftovers,
        temporaries: listing.temporaries,
        unclean: !believed,
        rewritten: None,
    });
    Ok(Engine::new(Parts {
        directory,
        file_system,
        pool,
        health,
        reaper,
        run_context,
        manifest,
        committer: Committer::new(Arc::clone(&active), config.wal_enabled()),
        unsettled: Unsettled::new(log_options, log_end, replayed_ordinal, owed),
        view: ReadView {
            active,
            sealed,
            tree,
            directory_lock: lock,
        },
        visible,
        config,
    }))
}
