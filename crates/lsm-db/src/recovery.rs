//! Open: from what is on disk to an engine that reads and writes.
//!
//! 1. Nothing is created, changed or removed before the directory is known to be ours or empty.
//! 2. The manifest is read, the runs it names are checked by name and length, the log is replayed.
//!    Reads can be answered from then on, whatever else fails.
//! 3. After an unclean close what was read may exist only in the page cache. It is written again
//!    (the manifest, and the part of the log that no durable claim covers) before anything is
//!    unlinked or acknowledged as durable: [`Engine::settle`]. Without room that waits, and so do
//!    writes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use lsm_format::{ReadError, RunFile};
use lsm_fs::{EntryKind, FileLock, FileSystem};
use lsm_scheduler::Pool;
use lsm_version::{
    FileKind, Identity, LOCK_FILE_NAME, Manifest, UnresolvedRun, VersionEdit, run_file_name,
};
use lsm_wal::{LogOptions, Position, Record, RecoveredLog, segment_file_name};

use crate::commit::{Committer, insert};
use crate::engine::{Engine, Parts};
use crate::health::Health;
use crate::reaper::Reaper;
use crate::run::{Run, RunContext, SeamFile, read_error};
use crate::sync::locked;
use crate::view::{LoggedMemtable, ReadView, Tree};
use crate::{Error, LsmConfig, Result, lane};

/// Replayed memtables are split at this size at least, however small the configured capacity.
const REPLAY_BYTES_MIN: u64 = 4 << 20;

/// Segments grow to this size at least before a new one is started.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// What an open still owes the disk, and where the log goes on once it is paid.
#[derive(Debug)]
pub(crate) struct Unsettled {
    owed: AtomicBool,
    debt: Mutex<Option<Debt>>,
    log_options: LogOptions,
    log_end: OnceLock<Option<Position>>,
    /// The ordinal of the last memtable that was replayed; 0 if nothing was.
    pub(crate) replayed_ordinal: u64,
}

#[derive(Debug)]
struct Debt {
    log: RecoveredLog,
    replayed: Option<Arc<LoggedMemtable>>,
    leftovers: Vec<PathBuf>,
    temporaries: Vec<PathBuf>,
    unclean: bool,
}

impl Unsettled {
    pub(crate) fn log_options(&self) -> &LogOptions {
        &self.log_options
    }

    /// Where the recovered log ends, once that is settled.
    pub(crate) fn log_end(&self) -> Option<Position> {
        self.log_end.get().copied().flatten()
    }
}

/// What lies in the directory.
#[derive(Debug, Default)]
struct Listing {
    has_manifest: bool,
    data_file: Option<PathBuf>,
    legacy_log: Option<PathBuf>,
    runs: Vec<(u64, PathBuf)>,
    temporaries: Vec<PathBuf>,
}

/// Opens the store in `directory`.
pub(crate) fn open(directory: &Path, config: LsmConfig) -> Result<Arc<Engine>> {
    let file_system = config.chosen_file_system();
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
        create_manifest(&file_system, directory, &config)?
    };
    let pool = config
        .chosen_scheduler()
        .pool("lsm", lane::COUNT)
        .map_err(|source| Error::io("start the workers of", directory, source))?;
    let built = build(
        directory,
        config,
        &file_system,
        lock,
        &pool,
        manifest,
        listing,
    );
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
        None => lsm_fs::create_dir_all_synced(file_system, directory)
            .map_err(|error| Error::io("create the directory", directory, error.source)),
        Some(EntryKind::File) => Err(Error::io(
            "open the store: a file is in the place of its directory",
            directory,
            std::io::ErrorKind::NotADirectory.into(),
        )),
        Some(_) => list(file_system, directory)?.refuse_without_manifest(),
    }
}

fn list(file_system: &dyn FileSystem, directory: &Path) -> Result<Listing> {
    let entries = file_system
        .list(directory)
        .map_err(|source| Error::io("list the directory", directory, source))?;
    let mut listing = Listing::default();
    for entry in entries {
        let path = directory.join(&entry.name);
        match FileKind::of(&entry.name) {
            FileKind::Manifest => listing.has_manifest = true,
            FileKind::Run(id) => {
                listing.data_file.get_or_insert(path.clone());
                listing.runs.push((id, path));
            }
            FileKind::Segment(_) => {
                listing.data_file.get_or_insert(path);
            }
            FileKind::LegacyLog => listing.legacy_log = Some(path),
            FileKind::RunTemp(_) | FileKind::ManifestTemp | FileKind::SegmentTemp(_) => {
                listing.temporaries.push(path);
            }
            _ => {}
        }
    }
    // A foreign directory may carry any name; only files are ever ours to remove.
    let is_file = |path: &PathBuf| matches!(file_system.kind(path), Ok(Some(EntryKind::File)));
    listing.runs.retain(|(_, path)| is_file(path));
    listing.temporaries.retain(is_file);
    Ok(listing)
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
        match &self.data_file {
            Some(file) => Err(Error::corrupt_file(
                "runs or log segments without a manifest",
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

fn build(
    directory: &Path,
    config: LsmConfig,
    file_system: &Arc<dyn FileSystem>,
    lock: Arc<dyn FileLock>,
    pool: &Pool,
    manifest: Manifest,
    listing: Listing,
) -> Result<Arc<Engine>> {
    let version = Arc::clone(&manifest.state().version);
    for (_, run) in version.runs() {
        let path = directory.join(run_file_name(run.id));
        check_run_file(&**file_system, &path, run.file_len)?;
    }
    let log_options = LogOptions {
        fs: Arc::clone(file_system),
        dir: directory.to_path_buf(),
        database_id: manifest.identity().database_id,
        segment_bytes_max: (config.memtable_capacity_bytes() as u64).max(SEGMENT_BYTES_MIN),
    };
    let capacity_bytes = (config.memtable_capacity_bytes() as u64).max(REPLAY_BYTES_MIN);
    let mut replay = Replay::new(manifest.state().flushed_seqno, capacity_bytes);
    let bounds = manifest.state().log;
    let log = lsm_wal::recover(&log_options, &bounds, &mut |record| replay.take(&record))
        .map_err(Error::from)?;
    let (sealed, visible) = replay.finish(&log);

    let named = |id: u64| version.runs().any(|(_, run)| run.id == id);
    let leftovers = listing.runs.into_iter().filter(|(id, _)| !named(*id));
    let leftovers: Vec<PathBuf> = leftovers.map(|(_, path)| path).collect();
    let log_is_clean = log.chain.is_empty() || (log.clean && !log.needs_rewrite());
    let believed = manifest.is_durable() || (manifest.was_clean() && log_is_clean);
    let unclean = !believed;
    let owed = unclean
        || !leftovers.is_empty()
        || !listing.temporaries.is_empty()
        || !log.obsolete.is_empty();

    let health = Arc::new(Health::default());
    let reaper = Reaper::new(
        Arc::clone(file_system),
        Arc::clone(&lock),
        Arc::clone(&health),
        pool.clone(),
    );
    let run_context = Arc::new(RunContext {
        file_system: Arc::clone(file_system),
        directory: directory.to_path_buf(),
        reaper: reaper.clone(),
        blocks_read: std::sync::atomic::AtomicU64::new(0),
    });
    let make = |meta: &Arc<lsm_version::RunMeta>| Run::new(Arc::clone(meta), &run_context);
    let tree = Arc::new(Tree::new(version, None, make));
    let replayed_ordinal = sealed.first().map_or(0, |logged| logged.ordinal);
    let active = Arc::new(LoggedMemtable::new(replayed_ordinal + 1));
    let log_end = OnceLock::new();
    if !owed {
        log_end.get_or_init(|| log.end);
    }
    let unsettled = Unsettled {
        owed: AtomicBool::new(owed),
        log_options,
        log_end,
        replayed_ordinal,
        debt: Mutex::new(owed.then(|| Debt {
            replayed: sealed.first().cloned(),
            log,
            leftovers,
            temporaries: listing.temporaries,
            unclean,
        })),
    };
    Ok(Engine::new(Parts {
        directory: directory.to_path_buf(),
        file_system: Arc::clone(file_system),
        pool: pool.clone(),
        health,
        reaper,
        run_context,
        manifest,
        committer: Committer::new(Arc::clone(&active), config.wal_enabled()),
        unsettled,
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

/// Collects replayed records into memtables.
struct Replay {
    flushed_seqno: u64,
    capacity_bytes: u64,
    last_seqno: u64,
    segment: Option<u64>,
    memtables: Vec<LoggedMemtable>,
}

impl Replay {
    fn new(flushed_seqno: u64, capacity_bytes: u64) -> Self {
        Self {
            flushed_seqno,
            capacity_bytes,
            last_seqno: flushed_seqno,
            segment: None,
            memtables: Vec::new(),
        }
    }

    fn take(&mut self, record: &Record) -> Result<()> {
        if record.seqno <= self.flushed_seqno {
            return Ok(());
        }
        let new_segment = self.segment.replace(record.position.segment);
        let new_segment = new_segment != Some(record.position.segment);
        let full = |logged: &LoggedMemtable| logged.bytes() >= self.capacity_bytes;
        if self
            .memtables
            .last()
            .is_none_or(|last| new_segment && full(last))
        {
            let ordinal = self.memtables.len() as u64 + 1;
            self.memtables.push(LoggedMemtable::new(ordinal));
        }
        if let Some(logged) = self.memtables.last() {
            insert(logged, record.seqno, &record.payload, &record.payload)?;
            logged.wrote(None, record.seqno, 0);
        }
        self.last_seqno = record.seqno;
        Ok(())
    }

    /// The memtables, newest first, and the last seqno. The flush of the newest retires the log.
    fn finish(self, log: &RecoveredLog) -> (Vec<Arc<LoggedMemtable>>, u64) {
        let mut newest_first = self.memtables.into_iter().rev();
        let mut sealed = Vec::new();
        if let Some(newest) = newest_first.next() {
            newest.add_segments(log.chain.iter().copied());
            sealed.push(Arc::new(newest));
        }
        sealed.extend(newest_first.map(|older| Arc::new(older.keeping_log())));
        (sealed, self.last_seqno)
    }
}

impl Engine {
    /// Starts what an open leaves to the background.
    fn begin(self: &Arc<Self>) {
        // Lack of room, or any other trouble with writing, must not keep the data from being
        // read: whoever writes meets it again.
        if let Err(error) = self.settle() {
            self.health.note(&error);
        }
        if self.unsettled.replayed_ordinal > 0 {
            self.schedule_flush();
        }
        self.schedule_compaction();
    }

    /// Pays what the open owes: see the module's third point. Cheap once that is done.
    pub(crate) fn settle(&self) -> Result<()> {
        if !self.unsettled.owed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut debt = locked(&self.unsettled.debt);
        if let Some(owed) = debt.as_mut() {
            self.pay(owed)?;
            *debt = None;
            self.unsettled.owed.store(false, Ordering::Release);
        }
        Ok(())
    }

    fn pay(&self, debt: &mut Debt) -> Result<()> {
        // Nothing ever names a temporary file, so these may go first, and make room.
        for path in debt.temporaries.drain(..) {
            let _ = self.file_system.remove_file(&path);
        }
        if debt.unclean {
            match self.write_again(debt) {
                Err(error) if error.is_no_room() && self.drop_unfinished_runs(debt) => {
                    self.write_again(debt)?;
                }
                written => written?,
            }
        } else {
            self.unsettled.log_end.get_or_init(|| debt.log.end);
        }
        let mut unlinked = std::mem::take(&mut debt.leftovers);
        let obsolete = debt.log.obsolete.iter().chain(debt.log.superseded());
        unlinked.extend(obsolete.map(|id| self.directory.join(segment_file_name(*id))));
        self.reaper.post(unlinked);
        Ok(())
    }

    /// Makes room where there is none: a run without its end was never named by any manifest,
    /// durable or not, and is what a full disk leaves. Returns whether any was removed.
    fn drop_unfinished_runs(&self, debt: &mut Debt) -> bool {
        let before = debt.leftovers.len();
        debt.leftovers.retain(|path| {
            let whole = self.file_system.open(path).and_then(|file| {
                let len = file.len()?;
                Ok(RunFile::open(SeamFile::new(file), len))
            });
            let unfinished = matches!(whole, Ok(Err(ReadError::Format(_))));
            !(unfinished && self.file_system.remove_file(path).is_ok())
        });
        debt.leftovers.len() < before
    }

    fn write_again(&self, debt: &Debt) -> Result<()> {
        self.commit_edit(&mut locked(&self.manifest), VersionEdit::default())?;
        let mut rewritten = None;
        if debt.log.needs_rewrite() {
            let segment = self
                .take_segment_id()
                .map_err(|source| Error::io("reserve a log segment in", &self.directory, source))?;
            rewritten = debt
                .log
                .rewrite_tail(&self.unsettled.log_options, segment)
                .map_err(|error| self.log_failed(error))?;
            if let Some(replayed) = &debt.replayed {
                replayed.add_segments([segment]);
            }
        }
        let mut manifest = locked(&self.manifest);
        let bounds = debt.log.bounds(&manifest.state().log, rewritten);
        let edit = VersionEdit {
            log: Some(bounds),
            ..VersionEdit::default()
        };
        self.commit_edit(&mut manifest, edit)?;
        self.unsettled.log_end.get_or_init(|| bounds.end);
        Ok(())
    }

    /// Ends the log and the manifest with marks that claim all before them, so that the next open
    /// finds everything durable.
    pub(crate) fn mark_clean(&self) -> Result<()> {
        self.health.check()?;
        self.settle()?;
        let mut committer = self.committer.lock();
        let closed = match committer.log_if_started() {
            Some(log) => log.close().map_err(|error| self.log_failed(error))?,
            None => None,
        };
        let mut manifest = locked(&self.manifest);
        if closed.is_none() && (manifest.state().is_clean() || !manifest.is_durable()) {
            return Ok(());
        }
        let log = closed.map(|end| lsm_wal::LogBounds {
            end: Some(end),
            discarded_through: manifest.state().log.discarded_through.max(end.segment),
            ..manifest.state().log
        });
        let edit = VersionEdit {
            log,
            ceilings: Some(self.ids.next()),
            clean: true,
            ..VersionEdit::default()
        };
        self.commit_edit(&mut manifest, edit)
    }
}
