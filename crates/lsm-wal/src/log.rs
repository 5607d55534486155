//! The writer: appends groups of records to a chain of segments and makes them durable.
//!
//! Owned by one leader at a time; the caller puts it behind a mutex of its own. Never reads a file,
//! never overwrites one, and never picks a segment id.
//!
//! Invariants:
//! 1. `durable` is only ever set to a place before which everything was synced, in log order: a
//!    newer segment is synced after all older ones. Records and headers claim `durable`, nothing
//!    else, so a claim is true for ever.
//! 2. Bytes of a rejected group are cut off, and the cut is synced, before anything else is
//!    written; if that fails the log is poisoned. So no rejected record can be replayed, and none
//!    stands between good ones.
//! 3. A segment's successor states where the segment's good part ended. It ends for good then.
//! 4. After a failed sync nothing more is written or claimed by this value; nor after a panic out
//!    of the file system, which may leave the file longer than `end` says.

#[cfg(test)]
mod tests;

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use lsm_fs::File;

use crate::error::Error;
use crate::frame::{FrameBuffer, FrameKey, KIND_END};
use crate::position::Position;
use crate::segment::{self, LogOptions, SEGMENT_HEADER_LEN, SegmentHeader};

/// The first preallocation of a segment is an eighth of its bound, within these; each further one
/// doubles what is there. A small store shall not take the room ahead that its flushes need.
const PREALLOCATION_BYTES_FIRST: RangeInclusive<u64> = 64 << 10..=1 << 20;

/// The cause that is told after an operation panicked (invariant 4).
const INTERRUPTED: &str = "an operation on the log was interrupted by a panic";

/// The writing end of a log.
///
/// Creates no file until the first append. Dropping it syncs nothing and writes no mark: call
/// [`close`](Self::close).
///
/// ```
/// use std::path::Path;
/// use lsm_fs::{FileSystem, SimFs};
/// use lsm_wal::{FrameBuffer, KIND_DATA, Log, LogOptions};
/// # fn main() -> Result<(), lsm_wal::Error> {
/// let options = LogOptions {
///     dir: SimFs::new().open_dir(Path::new("/")).unwrap(),
///     database_id: [7; 16],
///     segment_bytes_max: 1 << 20,
/// };
/// let mut log = Log::new(options, None);
/// let mut group = FrameBuffer::new();
/// group.push(KIND_DATA, 0, 1, |payload| payload.extend_from_slice(b"hello"));
/// let end = log.append(&mut group, &mut || Ok(1))?;
/// assert_eq!(log.sync()?, end, "now it survives a power cut");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Log {
    options: LogOptions,
    /// Where the chain ends before `current`; everything up to it is durable.
    predecessor: Option<Position>,
    /// Segments before `current` with unsynced bytes, in log order.
    unsynced: Vec<OpenSegment>,
    current: Option<OpenSegment>,
    rotate: bool,
    durable: Option<Position>,
    last_segment: Option<u64>,
    last_seqno: Option<u64>,
    /// The cause of the failure that closed the log for writing.
    poisoned: Option<String>,
    /// Set while an operation runs. One that panicked leaves it set, and the log is poisoned.
    interrupted: bool,
}

#[derive(Debug)]
struct OpenSegment {
    id: u64,
    key: FrameKey,
    path: PathBuf,
    file: Arc<dyn File>,
    /// Where the good part ends, in bytes.
    end: u64,
    /// Whether there are bytes that were not synced.
    dirty: bool,
    /// How far the file is allocated, in bytes; `None` once preallocating failed.
    allocated: Option<u64>,
}

impl OpenSegment {
    fn position(&self) -> Position {
        Position::new(self.id, self.end)
    }

    fn sync(&mut self) -> Result<(), Error> {
        if self.dirty {
            self.file.sync().map_err(|source| Error::SyncFailed {
                operation: "sync",
                path: self.path.clone(),
                source,
            })?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Writes `bytes` at the end. On an error the caller has to repair.
    fn write(&mut self, bytes: &[u8], segment_bytes_max: u64) -> io::Result<()> {
        let end = self.end + bytes.len() as u64;
        if let Some(allocated) = self.allocated
            && let Some(target) = preallocation_target(end, allocated, segment_bytes_max)
        {
            // Only ever an optimisation, so a failure is no error; but it is not tried again.
            self.allocated = self.file.preallocate(target).is_ok().then_some(target);
        }
        self.dirty = true;
        self.file.append_all(bytes)?;
        self.end = end;
        Ok(())
    }
}

/// How far to preallocate a segment before it grows to `end`, or `None` to leave it as it is: it
/// reaches far enough, or it holds a group that is larger than a segment.
fn preallocation_target(end: u64, allocated: u64, segment_bytes_max: u64) -> Option<u64> {
    if end <= allocated || end > segment_bytes_max {
        return None;
    }
    let (least, most) = PREALLOCATION_BYTES_FIRST.into_inner();
    let first = (segment_bytes_max / 8).clamp(least, most);
    let doubled = allocated.saturating_mul(2).max(first);
    Some(doubled.max(end).min(segment_bytes_max))
}

impl Log {
    /// A log that continues the chain that ends at `predecessor`: where a recovery said it ends,
    /// everything before it being durable. `None` starts a new chain.
    #[must_use]
    pub fn new(options: LogOptions, predecessor: Option<Position>) -> Self {
        Self {
            options,
            predecessor,
            unsynced: Vec::new(),
            current: None,
            rotate: false,
            durable: predecessor,
            last_segment: predecessor.map(|end| end.segment),
            last_seqno: None,
            poisoned: None,
            interrupted: false,
        }
    }

    /// Appends a group at the log's end, in the file system's hands when this returns, but not
    /// durable before [`sync`](Self::sync). Returns where the log ends now: the group's records
    /// start `group.len()` bytes before.
    ///
    /// Seals `group` for its place. `next_segment_id` is asked when a new segment is needed, and
    /// must give a larger id than ever before; what it gave is burnt, also if the append fails.
    /// An empty group changes nothing.
    ///
    /// # Errors
    /// - [`Error::WriteFailed`]: the group was rejected as a whole and cut off. What was appended
    ///   before it is durable now. Try again when there is room, with fresh seqnos.
    /// - [`Error::SeqnoOrder`]: the seqnos don't ascend strictly; nothing was written.
    /// - [`Error::SyncFailed`], [`Error::Poisoned`]: final; the group's fate is open until the log
    ///   is recovered.
    /// - [`Error::DirectoryGone`]: final; no segment can be made in a directory that was removed, and
    ///   none follows one that was removed.
    pub fn append(
        &mut self,
        group: &mut FrameBuffer,
        next_segment_id: &mut dyn FnMut() -> io::Result<u64>,
    ) -> Result<Position, Error> {
        self.guarded(|log| log.try_append(group, next_segment_id))
    }

    fn try_append(
        &mut self,
        group: &mut FrameBuffer,
        next_segment_id: &mut dyn FnMut() -> io::Result<u64>,
    ) -> Result<Position, Error> {
        let last_seqno = group
            .check_seqnos(self.last_seqno)
            .map_err(|(previous, got)| Error::SeqnoOrder { previous, got })?;
        if group.is_empty() {
            return Ok(self.end().unwrap_or_default());
        }
        let group_len = group.len() as u64;
        if self.needs_new_segment(group_len) {
            self.start_segment(group_len, next_segment_id)?;
        }
        let durable = self.durable.unwrap_or_default();
        let Some(segment) = &mut self.current else {
            return Err(Error::Poisoned {
                cause: "no segment is open".to_owned(),
            });
        };
        group.seal(&segment.key, segment.end, durable);
        match segment.write(group.as_bytes(), self.options.segment_bytes_max) {
            Ok(()) => {
                self.last_seqno = last_seqno;
                Ok(segment.position())
            }
            Err(source) => {
                let path = segment.path.clone();
                self.cut_off_failed_write()?;
                Err(Error::WriteFailed {
                    operation: "append to",
                    path,
                    source,
                })
            }
        }
    }

    fn needs_new_segment(&self, group_len: u64) -> bool {
        match &self.current {
            None => true,
            Some(_) if self.rotate => true,
            Some(segment) => {
                segment.end > SEGMENT_HEADER_LEN
                    && segment.end.saturating_add(group_len) > self.options.segment_bytes_max
            }
        }
    }

    /// Creates the next segment. Unless that succeeds the log stays as it was.
    fn start_segment(
        &mut self,
        group_len: u64,
        next_segment_id: &mut dyn FnMut() -> io::Result<u64>,
    ) -> Result<(), Error> {
        let refused = |source| Error::WriteFailed {
            operation: "reserve a segment id in",
            path: self.options.dir.path().to_owned(),
            source,
        };
        // Once it is left it is not asked any more, and its records may not be synced yet.
        self.check_current()?;
        let id = next_segment_id().map_err(refused)?;
        if self.last_segment.is_some_and(|last| id <= last) || id == u64::MAX {
            return Err(refused(io::Error::new(
                io::ErrorKind::InvalidInput,
                "segment ids are not reused, and the largest is not used",
            )));
        }
        self.last_segment = Some(id);
        let header = SegmentHeader {
            database_id: self.options.database_id,
            segment: id,
            predecessor: self.end(),
            durable: self.durable.unwrap_or_default(),
        };
        let first_end = SEGMENT_HEADER_LEN.saturating_add(group_len);
        let allocated = preallocation_target(first_end, 0, self.options.segment_bytes_max)
            .unwrap_or(SEGMENT_HEADER_LEN);
        let file = segment::create(&self.options, &header, allocated)?;
        let started = OpenSegment {
            id,
            key: FrameKey::new(self.options.database_id, id),
            path: self.options.segment_path(id),
            file,
            end: SEGMENT_HEADER_LEN,
            dirty: false,
            allocated: Some(allocated),
        };
        // A segment without unsynced bytes needs no further sync and is let go.
        let previous = self.current.replace(started);
        self.unsynced
            .extend(previous.filter(|segment| segment.dirty));
        self.rotate = false;
        Ok(())
    }

    /// Restores invariant 2 after a write failed half-way.
    fn cut_off_failed_write(&mut self) -> Result<(), Error> {
        let Some(segment) = &mut self.current else {
            return Ok(());
        };
        segment.allocated = Some(segment.end);
        if let Err(source) = segment.file.truncate(segment.end) {
            return Err(Error::SyncFailed {
                operation: "cut off a failed write in",
                path: segment.path.clone(),
                source,
            });
        }
        // The next group goes to a new segment, whose header states where this one ended. A segment
        // that has no record yet is used again instead, or a full disk would fill with headers.
        self.rotate = segment.end > SEGMENT_HEADER_LEN;
        self.try_sync().map(drop)
    }

    /// Makes everything appended so far durable and returns where the log ends: the older segments
    /// first, in order. If nothing is unsynced it only asks whether the log still has its names.
    ///
    /// # Errors
    /// [`Error::SyncFailed`] and, from then on, [`Error::Poisoned`]: final. What was appended since
    /// the last success may or may not be found by the next recovery. [`Error::DirectoryGone`]: the
    /// current segment or the directory was removed; what was appended will not be found. Final.
    pub fn sync(&mut self) -> Result<Position, Error> {
        self.guarded(Self::try_sync)
    }

    fn try_sync(&mut self) -> Result<Position, Error> {
        for older in &mut self.unsynced {
            older.sync()?;
        }
        if let Some(current) = &mut self.current {
            current.sync()?;
        }
        // Also with nothing to sync: Ok means that what was synced before can be found.
        self.check_linked()?;
        self.unsynced.clear();
        let end = self.end();
        self.durable = end;
        Ok(end.unwrap_or_default())
    }

    /// Checks, after a sync, that what was synced can be found again: a removed file or directory is
    /// synced without an error. A segment that the next append leaves is an older one, and those are
    /// not asked: the caller may have retired and unlinked them.
    fn check_linked(&self) -> Result<(), Error> {
        segment::check_linked(&*self.options.dir)?;
        self.check_current()
    }

    /// The same of the current segment alone.
    fn check_current(&self) -> Result<(), Error> {
        match self.current.as_ref().filter(|_| !self.rotate) {
            Some(current) => segment::still_linked(&current.path, current.file.is_linked()),
            None => Ok(()),
        }
    }

    /// Lets the next append start a new segment, whatever room is left in the current one. Creates
    /// nothing by itself.
    pub fn rotate(&mut self) {
        self.rotate = self.current.is_some();
    }

    /// Forgets unsynced segments below `segment`: what they hold is durable elsewhere, and
    /// recovery will be told so ([`LogBounds::retired_below`](crate::LogBounds::retired_below)).
    /// Call it only once that is durable. The current segment is never forgotten.
    ///
    /// Returns their files, still open. Whoever closes the last handle of a file without a name
    /// waits until the file system has its room back, as long as the file is large: drop them where
    /// nobody waits.
    #[must_use = "closing them may take long"]
    pub fn retire_below(&mut self, segment: u64) -> Vec<Arc<dyn File>> {
        let is_retired = |older: &mut OpenSegment| older.id < segment;
        let retired = self.unsynced.extract_if(.., is_retired);
        retired.map(|segment| segment.file).collect()
    }

    /// Syncs everything and ends the log with a mark that claims all before it, so that from now
    /// on any bad record is damage; gives unused preallocated room back. Returns where the log's
    /// records end (the mark lies behind), or `None` if nothing was appended by this value.
    ///
    /// An append after it starts a new segment.
    ///
    /// # Errors
    /// - [`Error::WriteFailed`]: everything is durable, but there was no room for the mark.
    /// - [`Error::SyncFailed`], [`Error::DirectoryGone`], [`Error::Poisoned`]: final, see
    ///   [`sync`](Self::sync).
    pub fn close(&mut self) -> Result<Option<Position>, Error> {
        self.guarded(Self::try_close)
    }

    fn try_close(&mut self) -> Result<Option<Position>, Error> {
        if self.current.is_none() {
            return Ok(None);
        }
        let end = self.try_sync()?;
        let Some(segment) = &mut self.current else {
            return Ok(None);
        };
        let mut mark = FrameBuffer::new();
        mark.push(KIND_END, 0, 0, |_| {});
        mark.seal(&segment.key, segment.end, end);
        segment.dirty = true;
        if let Err(source) = segment.file.append_all(mark.as_bytes()) {
            let path = segment.path.clone();
            self.cut_off_failed_write()?;
            return Err(Error::WriteFailed {
                operation: "write the end mark to",
                path,
                source,
            });
        }
        // Zeros behind the mark do no harm, so failing to cut them off is no error.
        let _ = segment.file.truncate(segment.end + mark.len() as u64);
        segment.sync()?;
        self.check_linked()?;
        // The mark is not a record: the chain goes on from before it.
        self.predecessor = Some(end);
        self.current = None;
        self.rotate = false;
        Ok(Some(end))
    }

    /// The id of the segment that was appended to last, if this value has created one.
    #[must_use]
    pub fn current_segment(&self) -> Option<u64> {
        self.current.as_ref().map(|segment| segment.id)
    }

    /// Where the log ends; `None` if it has nothing.
    #[must_use]
    pub fn end(&self) -> Option<Position> {
        match &self.current {
            Some(segment) => Some(segment.position()),
            None => self.predecessor,
        }
    }

    /// Up to where the log is known to be durable.
    #[must_use]
    pub fn durable(&self) -> Option<Position> {
        self.durable
    }

    /// The length in bytes of the current segment's good part, header included; 0 without one.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |segment| segment.end)
    }

    /// Whether an earlier failure closed the log for writing.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.interrupted || self.poisoned.is_some()
    }

    /// Where the log lives, and its settings.
    #[must_use]
    pub fn options(&self) -> &LogOptions {
        &self.options
    }

    /// Runs an operation unless the log is poisoned, and poisons it if the operation's failure is
    /// final or it panics.
    fn guarded<T>(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.is_poisoned() {
            return Err(self.as_poisoned());
        }
        self.interrupted = true;
        let outcome = operation(self);
        self.interrupted = false;
        if let Err(error) = &outcome
            && error.is_final()
        {
            self.poisoned = Some(error.to_cause());
        }
        outcome
    }

    #[cold]
    fn as_poisoned(&self) -> Error {
        let cause = self.poisoned.as_deref().unwrap_or(INTERRUPTED);
        Error::Poisoned {
            cause: cause.to_owned(),
        }
    }
}
