//! A durable log of opaque records, ready to use: the log, its recovery and group commit put
//! together for programs that have no manifest of their own.
//!
//! Called by such programs. An engine with a manifest uses the parts instead. Never interprets a
//! record, and never unlinks a file that is not one of its segments.
//!
//! Threads: any number append; one leads at a time and holds `state` while it writes and syncs.
//! Lock order: the queue's locks are taken inside `state`, never the other way round.
//!
//! Without a manifest the segment files alone say what the log is, so:
//! 1. The lowest segment present is the floor. Segments are retired oldest first, each name's end
//!    made durable before the next, so that no crash leaves a gap.
//! 2. Segments that a recovery discards stay until a newer one exists: the newest header is the
//!    chain's head and must find its predecessors. So ids never go backwards either.
//! 3. The last record stays, on stable storage, whatever is retired: it alone tells the next open
//!    which seqnos were given. So a retired record's seqno is never given again.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lsm_fs::{FileLock, FileName, FileSystem, create_dir_all_synced, lock_directory};

use crate::commit_queue::{CommitQueue, Lead};
use crate::error::{Error, RecoverError};
use crate::frame::{FRAME_HEADER_LEN, FrameBuffer, KIND_DATA};
use crate::log::Log;
use crate::names::{segment_file_name, segment_temporary_file_name};
use crate::pacer::GroupPacer;
use crate::position::{LogBounds, Position};
use crate::recovery::{self, Record, RecoveredLog, chain};
use crate::segment::{self, LogOptions};

/// A group takes no further member once it has this many bytes of payload.
const GROUP_BYTES_MAX: usize = 1 << 20;

const LOCK_FILE_NAME: FileName = FileName::constant("LOCK");

/// When an append returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// Once the record is on stable storage: it survives a power cut.
    #[default]
    Sync,
    /// Once the operating system has the record: it survives a kill of the process, not a power
    /// cut. A later sync, of another record too, makes it durable.
    Buffered,
}

/// How a [`Wal`] is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WalOptions {
    /// 16 random bytes for a log that is created; one that exists keeps its own.
    pub database_id: [u8; 16],
    /// A segment does not grow past this many bytes, except to hold a single larger group.
    pub segment_bytes_max: u64,
}

impl WalOptions {
    /// Segments of up to 64 MiB. `database_id` should be 16 random bytes; it is used only if there
    /// is no log yet.
    #[must_use]
    pub fn new(database_id: [u8; 16]) -> Self {
        Self {
            database_id,
            segment_bytes_max: 64 << 20,
        }
    }
}

/// What a [`Wal`] held when it was opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct Replay {
    /// The records, in the order in which they were appended.
    pub records: Vec<Record>,
    /// Whether the log was closed properly before.
    pub clean: bool,
}

/// Where an appended record is, and what it is called for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Appended {
    /// The record's seqno, which is its identity: a recovery finds it again as [`Record::seqno`].
    /// Seqnos ascend in the order of the log.
    ///
    /// No two records of a log have the same. Only a record that was lost leaves its seqno to another:
    /// one whose append failed, or a `Buffered` one that a power cut took.
    pub seqno: u64,
    /// Where the record starts, for as long as this handle lives. Its segment is what
    /// [`retire_before`](Wal::retire_before) takes.
    ///
    /// Don't keep it: a recovery writes the tail of the log again in a new segment. It tells the new
    /// place as [`Record::position`].
    pub position: Position,
}

/// A durable log of opaque records, for any number of threads.
///
/// Records are acknowledged in the order in which they are in the log. One process, one handle:
/// the directory is locked. Dropping it closes it, as [`close`](Self::close) does, but swallows
/// errors.
///
/// ```
/// use std::{path::Path, sync::Arc};
/// use lsm_fs::SimFs;
/// use lsm_wal::{Durability, Wal, WalOptions};
/// # fn main() -> Result<(), lsm_wal::Error> {
/// let fs = Arc::new(SimFs::new());
/// let dir = Path::new("/queue");
/// let (wal, replay) = Wal::open(fs.clone(), dir, WalOptions::new([7; 16]))?;
/// assert!(replay.records.is_empty());
/// wal.append(b"job 1", Durability::Sync)?;
/// wal.close()?;
///
/// let (_wal, replay) = Wal::open(fs, dir, WalOptions::new([0; 16]))?;
/// assert_eq!(replay.records[0].payload, &b"job 1"[..]);
/// # Ok(())
/// # }
/// ```
pub struct Wal {
    queue: CommitQueue<Request, Result<Appended, Error>>,
    state: Mutex<State>,
    /// Held until the last use of the directory.
    _lock: Box<dyn FileLock>,
}

struct Request {
    payload: Vec<u8>,
    durability: Durability,
}

impl Request {
    fn wants_sync(&self) -> bool {
        self.durability == Durability::Sync
    }
}

struct State {
    log: Log,
    /// What was recovered, while its tail still has to be written again: there was no room.
    pending: Option<RecoveredLog>,
    /// The largest id that was used or seen.
    last_segment: u64,
    last_seqno: u64,
    /// The segment that the last record is in; one without any may follow it.
    last_record_segment: Option<u64>,
    pacer: GroupPacer,
}

impl Wal {
    /// Opens the log in `dir`, creating the directory if needed, and gives back all its records in
    /// memory. For a log that may be large, use [`open_with`](Self::open_with).
    ///
    /// # Errors
    /// As for [`open_with`](Self::open_with).
    pub fn open(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        options: WalOptions,
    ) -> Result<(Self, Replay), Error> {
        let mut records = Vec::new();
        let (wal, clean) = Self::open_with(fs, dir, options, |record| records.push(record))?;
        Ok((wal, Replay { records, clean }))
    }

    /// Opens the log in `dir`, creating the directory if needed, and calls `visit` with each
    /// record in order. The second value is whether the log was closed properly before.
    ///
    /// Returns only once everything visited is durable, except on a full disk: then the log opens
    /// all the same, and the first append or sync that finds room makes up for it.
    ///
    /// # Errors
    /// - [`Error::Io`] with `WouldBlock` while another handle has the log open.
    /// - [`Error::Damaged`], [`Error::MissingSegment`]: synced records are lost; what was visited
    ///   is a part only. Nothing was changed on disk.
    /// - others as for [`recover`](crate::recover) and
    ///   [`rewrite_tail`](RecoveredLog::rewrite_tail).
    pub fn open_with(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        options: WalOptions,
        mut visit: impl FnMut(Record),
    ) -> Result<(Self, bool), Error> {
        create_dir_all_synced(&*fs, dir).map_err(|error| Error::Io {
            operation: error.operation,
            path: error.path,
            source: error.source,
        })?;
        let failed = |operation, path: &Path, source| Error::Io {
            operation,
            path: path.to_owned(),
            source,
        };
        let opened = fs.open_dir(dir);
        let dir = opened.map_err(|source| failed("open", dir, source))?;
        let lock = lock_directory(&*dir, &LOCK_FILE_NAME)
            .map_err(|source| failed("lock", &dir.path_of(&LOCK_FILE_NAME), source))?;
        let mut options = LogOptions {
            dir,
            database_id: options.database_id,
            segment_bytes_max: options.segment_bytes_max,
        };
        if let Some(database_id) = chain::stored_database_id(&options)? {
            options.database_id = database_id;
        }
        let lowest = chain::survey(&options)?.segments.first().copied();
        let bounds = LogBounds {
            retired_below: lowest.unwrap_or(0),
            ..LogBounds::default()
        };
        let mut last_record_segment = None;
        let mut visit = |record: Record| {
            last_record_segment = Some(record.position.segment);
            visit(record);
            Ok::<(), Infallible>(())
        };
        let recovered = match recovery::recover(&options, &bounds, &mut visit) {
            Ok(recovered) => recovered,
            Err(RecoverError::Log(error)) => return Err(error),
            Err(RecoverError::Visit(never)) => match never {},
        };
        let clean = recovered.clean;
        let mut state = State {
            last_segment: recovered.largest_segment_id.unwrap_or(0),
            last_seqno: recovered.last_seqno.unwrap_or(0),
            last_record_segment,
            log: Log::new(options, None),
            pending: Some(recovered),
            pacer: GroupPacer::new(),
        };
        match state.settle() {
            Err(error) if !error.is_no_room() => return Err(error),
            _ => {}
        }
        let wal = Self {
            queue: CommitQueue::new(),
            state: Mutex::new(state),
            _lock: lock,
        };
        Ok((wal, clean))
    }

    /// Appends a record and returns its seqno, and where it starts.
    ///
    /// A program that refers to records keeps the seqno. The place is good until the log is opened
    /// again: see [`Appended`]. Appends that wait at the same time are written and synced together.
    ///
    /// ```
    /// # use std::{path::Path, sync::Arc};
    /// # use lsm_fs::SimFs;
    /// # use lsm_wal::{Durability, Wal, WalOptions};
    /// # fn main() -> Result<(), lsm_wal::Error> {
    /// # let (fs, dir) = (Arc::new(SimFs::new()), Path::new("/queue"));
    /// # let (wal, _) = Wal::open(fs.clone(), dir, WalOptions::new([7; 16]))?;
    /// let job = wal.append(b"job 1", Durability::Sync)?;
    /// # drop(wal);
    /// # let (_wal, replay) = Wal::open(fs, dir, WalOptions::new([0; 16]))?;
    /// // … and after the next open:
    /// assert_eq!(replay.records[0].seqno, job.seqno);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`Error::WriteFailed`]: the record is not in the log. Try again when there is room.
    /// - [`Error::SyncFailed`], [`Error::Poisoned`], [`Error::Abandoned`]: final; whether the
    ///   record is in the log shows when it is opened again.
    pub fn append(&self, payload: &[u8], durability: Durability) -> Result<Appended, Error> {
        let request = Request {
            payload: payload.to_vec(),
            durability,
        };
        self.queue
            .submit(request, |lead| self.commit(lead))
            .unwrap_or(Err(Error::Abandoned))
    }

    /// Makes every record appended so far durable.
    ///
    /// # Errors
    /// As for [`append`](Self::append); a failed sync is final.
    pub fn sync(&self) -> Result<(), Error> {
        let mut state = self.lock();
        state.settle()?;
        state.log.sync().map(drop)
    }

    /// Lets the next append start a new segment.
    pub fn rotate(&self) {
        self.lock().log.rotate();
    }

    /// Removes the segments below `segment`, except those from the last record's on: their records
    /// are not needed any more. Durable when it returns; a crash before may bring some back. What
    /// stays is made durable first.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::SyncFailed`] if a file could not be removed: repeat it. The errors
    /// of [`append`](Self::append) if what stays could not be made durable.
    pub fn retire_before(&self, segment: u64) -> Result<(), Error> {
        let mut state = self.lock();
        state.settle()?;
        let kept = state.log.end().map_or(0, |end| end.segment);
        let kept = kept.min(state.last_record_segment.unwrap_or(kept));
        let below = segment.min(kept);
        let options = state.log.options().clone();
        let segments = chain::survey(&options)?.segments;
        if segments.range(..below).next().is_some() {
            // Invariant 3.
            state.log.sync()?;
        }
        // Invariant 1.
        for &id in segments.range(..below) {
            remove(&options, &segment_file_name(id))?;
            segment::sync_dir(&options)?;
        }
        let retired = state.log.retire_below(below);
        drop(state);
        drop(retired);
        Ok(())
    }

    /// Syncs the log and ends it with a mark, so that any bad record found later is known to be
    /// damage; gives preallocated room back.
    ///
    /// # Errors
    /// [`Error::SyncFailed`], [`Error::Poisoned`]: unsynced records may be lost.
    /// [`Error::WriteFailed`]: there was no room for the mark, but everything that was appended is
    /// durable; what was in the log before it was opened may not be, if there was no room since.
    pub fn close(self) -> Result<(), Error> {
        self.lock().close()
    }

    /// Leads one group: writes it, syncs it if any member asks, and answers all.
    fn commit(&self, mut lead: Lead<'_, Request, Result<Appended, Error>>) {
        let mut state = self.lock();
        let cohort = lead.cohort_len();
        if cohort > 1
            && let Some(timeout) = state.pacer.linger(cohort, lead.waiting_count())
        {
            let arrived = lead.linger(cohort, timeout);
            state.pacer.lingered(arrived);
        }
        let mut group_bytes = 0_usize;
        lead.gather(|request| {
            group_bytes = group_bytes.saturating_add(request.payload.len());
            group_bytes <= GROUP_BYTES_MAX
        });
        let syncs = lead.items().iter().any(Request::wants_sync);
        lead.foretell(state.pacer.is_quick(syncs));
        let answers = state.write_group(lead.items());
        drop(state);
        lead.complete(answers);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`; after it this does nothing.
        let _ = self.lock().close();
    }
}

impl fmt::Debug for Wal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        formatter
            .debug_struct("Wal")
            .field("dir", &state.log.options().dir.path())
            .field("end", &state.log.end())
            .finish_non_exhaustive()
    }
}

impl State {
    /// Writes the recovered tail again if that is still to be done, and removes what holds nothing.
    fn settle(&mut self) -> Result<(), Error> {
        let Some(recovered) = &self.pending else {
            return Ok(());
        };
        let options = self.log.options().clone();
        if recovered.needs_rewrite() {
            self.last_segment = self.last_segment.saturating_add(1);
        }
        let rewritten = recovered.rewrite_tail(&options, self.last_segment)?;
        if let Some(end) = rewritten {
            self.last_record_segment = Some(end.segment);
        }
        self.log = Log::new(options, rewritten.or(recovered.end));
        if let Some(recovered) = self.pending.take() {
            self.remove_leftovers(&recovered);
        }
        Ok(())
    }

    /// Best effort: what stays is off the chain, and the next open tries again.
    fn remove_leftovers(&self, recovered: &RecoveredLog) {
        let options = self.log.options();
        let segments = recovered.obsolete.iter().chain(recovered.superseded());
        // Invariant 2: if the tail was rewritten, that segment is the newest.
        let newest = self.log.end().map_or(0, |end| end.segment);
        for &id in segments.filter(|&&id| id < newest) {
            let _ = remove(options, &segment_file_name(id));
        }
        for &id in &recovered.obsolete_temporaries {
            let _ = remove(options, &segment_temporary_file_name(id));
        }
    }

    fn write_group(&mut self, requests: &[Request]) -> Vec<Result<Appended, Error>> {
        // Only a log that somebody else wrote comes near the end of the seqnos.
        if u64::MAX - self.last_seqno < requests.len() as u64 {
            let options = self.log.options();
            let rejected = Error::WriteFailed {
                operation: "append to the log in",
                path: options.dir.path().to_owned(),
                source: io::Error::other("no seqnos are left"),
            };
            return requests.iter().map(|_| Err(rejected.clone())).collect();
        }
        let bytes: usize = requests
            .iter()
            .map(|request| request.payload.len() + FRAME_HEADER_LEN + 8)
            .sum();
        let mut group = FrameBuffer::with_capacity(bytes);
        let mut starts = Vec::with_capacity(requests.len());
        for request in requests {
            self.last_seqno += 1;
            let place = group.push(KIND_DATA, 0, self.last_seqno, |payload| {
                payload.extend_from_slice(&request.payload);
            });
            starts.push((self.last_seqno, (place.start - FRAME_HEADER_LEN) as u64));
        }
        let sync = requests.iter().any(Request::wants_sync);
        match self.append(&mut group, sync) {
            Ok(end) => {
                self.last_record_segment = Some(end.segment);
                let base = end.offset - group.len() as u64;
                let appended = starts.iter().map(|(seqno, start)| Appended {
                    seqno: *seqno,
                    position: Position::new(end.segment, base + start),
                });
                appended.map(Ok).collect()
            }
            Err(error) => requests.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn append(&mut self, group: &mut FrameBuffer, sync: bool) -> Result<Position, Error> {
        self.settle()?;
        let last_segment = &mut self.last_segment;
        let end = self.log.append(group, &mut || {
            *last_segment = last_segment.saturating_add(1);
            Ok(*last_segment)
        })?;
        if sync {
            self.timed_sync()?;
        } else {
            self.pacer.not_synced();
        }
        Ok(end)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the clock only paces how long a group waits for company"
    )]
    fn timed_sync(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        self.log.sync()?;
        self.pacer.synced(start.elapsed());
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.settle()?;
        self.log.close().map(drop)
    }
}

fn remove(options: &LogOptions, name: &FileName) -> Result<(), Error> {
    options.dir.unlink(name).map_err(|source| Error::Io {
        operation: "remove",
        path: options.dir.path_of(name),
        source,
    })
}
