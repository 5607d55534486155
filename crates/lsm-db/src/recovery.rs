//! Open: from what is on disk to an engine that reads and writes.
//!
//! 1. Nothing but `LOCK` is created, changed or removed before the directory is known to be ours,
//!    empty, or fit to be taken over.
//! 2. The manifest is read, the runs it names are checked by name and length, the log is replayed.
//!    Reads can be answered from then on, whatever else fails.
//! 3. What that leaves to be written is settled afterwards: see [`crate::settle`].

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use lsm_cache::SlotPool;
use lsm_format::RunFile;
use lsm_fs::{Directory, EntryKind, FileLock, FileName, FileSystem, ReliefFs};
use lsm_scheduler::Pool;
use lsm_version::{
    Identity, LOCK_FILE_NAME, LoadError, Manifest, RunMeta, UnresolvedRun, run_file_name,
};
use lsm_wal::LogOptions;

use crate::adoption::{self, Legacy};
use crate::block_cache::BlockCache;
use crate::commit::Committer;
use crate::damage::Damage;
use crate::engine::{Engine, Parts};
use crate::filter::Filters;
use crate::health::Health;
use crate::job_memory::JobMemory;
use crate::l0_reads::L0Reads;
use crate::listing::{Listing, list};
use crate::reaper::Reaper;
use crate::replay::Replay;
use crate::run::{Run, RunContext, SeamFile, read_error};
use crate::settle::{Owed, Unsettled};
use crate::strays::removable_strays;
use crate::view::{LoggedMemtable, ReadView, Tree};
use crate::{Error, LsmConfig, Result, lane, open_stores};

/// Segments grow to this size at least before a new one is started.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// Between two tries to lock a directory that is locked. About what it takes to start a process.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// Opens the store in `directory`.
pub(crate) fn open(directory: &Path, config: LsmConfig) -> Result<Arc<Engine>> {
    let files = SlotPool::new(config.open_files_max() as u64);
    let relief = files.clone();
    let file_system = ReliefFs::new(config.chosen_file_system(), move || relief.shrink());
    // From here on the path is only looked at to make its names durable, and told in messages.
    let directory = prepare_directory(&file_system, directory)?;
    let lock = lock(&*directory, &config)?;
    let listing = list(&*directory)?;
    let (manifest, legacy) = manifest(&file_system, &directory, &config, &listing)?;
    let pool = config
        .chosen_scheduler()
        .pool("lsm", lane::COUNT)
        .map_err(|source| Error::io("start the workers of", directory.path(), source))?;
    let ground = Ground {
        directory,
        files,
        lock,
        pool: pool.clone(),
    };
    let built = build(ground, config, manifest, listing, legacy);
    match built {
        Ok(engine) => {
            open_stores::note(&*engine.directory, &engine.held_views, &engine.run_context);
            engine.begin();
            Ok(engine)
        }
        Err(error) => {
            pool.shutdown();
            Err(error)
        }
    }
}

/// Takes the lock on `LOCK` and on the directory itself, so that a removed `LOCK` lets nobody in.
/// Waits for them as long as the configuration says.
fn lock(directory: &dyn Directory, config: &LsmConfig) -> Result<Arc<dyn FileLock>> {
    let path = || directory.path_of(&LOCK_FILE_NAME);
    let scheduler = config.chosen_scheduler();
    let start = scheduler.now();
    loop {
        match lsm_fs::lock_directory(directory, &LOCK_FILE_NAME) {
            Ok(lock) => return Ok(Arc::from(lock)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(source) => return Err(Error::io("lock", &path(), source)),
        }
        let waited = scheduler.now().saturating_sub(start);
        let left = config.lock_timeout_duration().saturating_sub(waited);
        if left.is_zero() {
            return Err(Error::Locked {
                path: path(),
                holder: open_stores::holder_of(directory),
            });
        }
        scheduler.sleep(left.min(LOCK_PAUSE));
    }
}

/// Opens the directory, and makes it if it is absent; refuses what its names tell not to be ours
/// before anything is touched.
fn prepare_directory(file_system: &dyn FileSystem, directory: &Path) -> Result<Arc<dyn Directory>> {
    let kind = file_system
        .kind(directory)
        .map_err(|source| Error::io("look at", directory, source))?;
    match kind {
        None => create_directory(file_system, directory)?,
        Some(EntryKind::File) => {
            return Err(Error::io(
                "open the store: a file is in the place of its directory",
                directory,
                io::ErrorKind::NotADirectory.into(),
            ));
        }
        Some(_) => {}
    }
    let opened = file_system.open_dir(directory);
    let opened = opened.map_err(|source| Error::io("open the directory", directory, source))?;
    if kind.is_some() {
        adoption::refuse_without_manifest(&list(&*opened)?)?;
    }
    Ok(opened)
}

/// Makes the directory and its missing ancestors, and makes all their names durable.
fn create_directory(file_system: &dyn FileSystem, directory: &Path) -> Result<()> {
    lsm_fs::create_dir_all_synced(file_system, directory)
        .map_err(|error| Error::io("create the directory", &error.path, error.source))
}

/// The manifest that is there, or takes the place of one of `lsm-db` 1.x, or a new one.
fn manifest(
    file_system: &dyn FileSystem,
    directory: &Arc<dyn Directory>,
    config: &LsmConfig,
    listing: &Listing,
) -> Result<(Manifest, Legacy)> {
    if listing.has_manifest {
        let mut resolve = |run: &UnresolvedRun| long_keys(&**directory, run);
        match Manifest::load(Arc::clone(directory), &mut resolve) {
            Ok(manifest) => {
                let legacy = Legacy::of_adopted(&manifest, &**directory, listing)?;
                return Ok((manifest, legacy));
            }
            Err(LoadError::Legacy { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    } else {
        adoption::refuse_without_manifest(listing)?;
    }
    // An earlier open, or 1.x, may have made the directory before its name was durable.
    create_directory(file_system, directory.path())?;
    let identity = new_identity(directory.path(), config)?;
    if listing.has_manifest || listing.legacy_log.is_some() {
        let options = config.picker_options();
        adoption::adopt(directory, identity, &options, listing)
    } else {
        let manifest = Manifest::create(Arc::clone(directory), identity)?;
        Ok((manifest, Legacy::default()))
    }
}

fn new_identity(directory: &Path, config: &LsmConfig) -> Result<Identity> {
    let (mut database_id, mut seed) = ([0; 16], [0; 8]);
    let scheduler = config.chosen_scheduler();
    scheduler
        .fill_random(&mut database_id)
        .and_then(|()| scheduler.fill_random(&mut seed))
        .map_err(|source| Error::io("draw a database id for", directory, source))?;
    Ok(Identity {
        database_id,
        hash_seed: seed
            .iter()
            .fold(0, |all, byte| (all << 8) | u64::from(*byte)),
    })
}

/// The smallest and largest key of a run whose keys are too long for the manifest.
fn long_keys(directory: &dyn Directory, run: &UnresolvedRun) -> Result<(Bytes, Bytes)> {
    let name = run_file_name(run.id);
    let path = directory.path_of(&name);
    let damaged = |error| read_error(&error, &path);
    check_run_file(directory, &name, run.file_len)?;
    let file = directory
        .open(&name)
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

fn check_run_file(directory: &dyn Directory, name: &FileName, expected_len: u64) -> Result<()> {
    let path = || directory.path_of(name);
    match directory.file_len(name) {
        Ok(len) if len == expected_len => Ok(()),
        Ok(_) => Err(Error::corrupt_file(
            "a run has another length than the manifest says",
            &path(),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::missing_run(&path())),
        Err(source) => Err(Error::io("look at a run", &path(), source)),
    }
}

/// Where a store stands.
struct Ground {
    directory: Arc<dyn Directory>,
    /// Runs that are kept open.
    files: SlotPool,
    lock: Arc<dyn FileLock>,
    pool: Pool,
}

fn build(
    ground: Ground,
    config: LsmConfig,
    manifest: Manifest,
    mut listing: Listing,
    legacy: Legacy,
) -> Result<Arc<Engine>> {
    let Ground {
        directory,
        files,
        lock,
        pool,
    } = ground;
    let state = manifest.state().clone();
    let version = &state.version;
    let strays = removable_strays(&*directory, &listing, version, state.ceilings)?;
    for (_, run) in version.runs() {
        check_run_file(&*directory, &run_file_name(run.id), run.file_len)?;
    }
    let health = Arc::new(Health::default());
    let reaper = Reaper::new(
        Arc::clone(&directory),
        Arc::clone(&lock),
        Arc::clone(&health),
        pool.clone(),
    );
    let capacity_bytes = config.memtable_capacity_bytes() as u64;
    let log_options = LogOptions {
        dir: Arc::clone(&directory),
        database_id: manifest.identity().database_id,
        segment_bytes_max: capacity_bytes.max(SEGMENT_BYTES_MIN),
    };
    let (flushed, ceiling) = (state.flushed_seqno, state.ceilings.seqno);
    let cache_bytes = config.block_cache_capacity_bytes() as u64;
    let run_context = Arc::new(RunContext {
        directory: Arc::clone(&directory),
        reaper: reaper.clone(),
        pool: pool.clone(),
        filters: Filters::new(manifest.identity().hash_seed, &config, &pool, &health),
        files,
        parts: SlotPool::new(BlockCache::parts_bytes_max(cache_bytes)),
        blocks: BlockCache::new(cache_bytes),
        jobs: JobMemory::default(),
        damage: Damage::default(),
        l0_reads: L0Reads::default(),
        settled: AtomicBool::new(false),
        closing: AtomicBool::new(false),
    });
    let mut replay = Replay::new(flushed, ceiling, capacity_bytes, &run_context);
    replay.take_legacy(legacy.writes, legacy.log_len);
    let log = lsm_wal::recover(&log_options, &state.log, &mut |record| replay.take(&record))?;
    if legacy.is_replayed && !log.chain.is_empty() {
        return Err(Error::corrupt_file(
            "a log beside one of lsm-db 1.x, which has to be retired before",
            directory.path(),
        ));
    }
    let (sealed, visible) = replay.finish(&log);

    let named: HashSet<u64> = version.runs().map(|(_, run)| run.id).collect();
    let known = |id: u64| id < state.ceilings.run_id;
    listing.runs.retain(|(id, _)| known(*id));
    let (beside, alone): (Vec<_>, Vec<_>) = listing
        .sidecars
        .into_iter()
        .filter(|(id, _)| known(*id))
        .partition(|(id, _)| named.contains(id));
    let of_no_level = listing
        .runs
        .into_iter()
        .filter(|(id, _)| !named.contains(id));
    let (unnamed, left): (Vec<_>, Vec<_>) =
        of_no_level.partition(|(id, _)| state.unnamed.contains(id));
    let leftovers = left.into_iter().chain(alone);
    let leftovers: Vec<FileName> = leftovers.map(|(_, name)| name).collect();
    let spent = legacy.log_is_spent;
    let filters_of_1x = beside.into_iter().filter(|_| legacy.relied_on.is_some());
    let spent_log = listing.legacy_log.into_iter().filter(|_| spent);
    let files_of_1x: Vec<FileName> = filters_of_1x
        .map(|(_, name)| name)
        .chain(spent_log)
        .collect();
    let log_is_clean = log.chain.is_empty() || (log.clean && !log.needs_rewrite());
    let believed = manifest.is_durable() || (manifest.was_clean() && log_is_clean);
    let is_owed = !believed
        || !leftovers.is_empty()
        || !files_of_1x.is_empty()
        || !unnamed.is_empty()
        || !listing.temporaries.is_empty()
        || !log.obsolete.is_empty()
        || !strays.is_empty();

    let level_count = config.picker_options().level_count;
    let make = |level: usize, meta: &Arc<RunMeta>| {
        Run::new(Arc::clone(meta), level + 1 >= level_count, &run_context)
    };
    let tree = Arc::new(Tree::new(Arc::clone(version), None, make));
    let replayed_ordinal = sealed.first().map_or(0, |logged| logged.ordinal);
    let active = LoggedMemtable::new(replayed_ordinal + 1, capacity_bytes, &run_context);
    let active = Arc::new(active);
    let log_enabled = config.wal_enabled();
    // Writes that no log will hold must not come before what an old log holds; and a log of
    // lsm-db 1.x is retired before there is one of ours.
    let precedes_writes = replayed_ordinal > 0 && (!log_enabled || legacy.is_replayed);
    let flushed_first = precedes_writes.then_some(replayed_ordinal);
    let log_end = log.end;
    run_context.settled.store(!is_owed, Ordering::Release);
    let owed = is_owed.then(|| Owed {
        replayed: sealed.first().cloned(),
        log,
        leftovers,
        strays,
        temporaries: listing.temporaries,
        unclean: !believed,
        rewritten: None,
        relied_on: legacy.relied_on,
        files_of_1x,
        unnamed,
    });
    Ok(Engine::new(Parts {
        directory,
        pool,
        health,
        reaper,
        run_context,
        manifest,
        committer: Committer::new(Arc::clone(&active), log_enabled, flushed_first),
        unsettled: Unsettled::new(
            log_options,
            log_end,
            replayed_ordinal,
            state.unnamed.len(),
            owed,
        ),
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
