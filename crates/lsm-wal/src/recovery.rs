//! Reading a log after whatever happened to it: which segments count, where the good part ends,
//! what of it is durable, and whether a bad record is a torn tail or damage.
//!
//! Called once when a log is opened. Never writes to an existing file and unlinks nothing; the
//! only thing it ever writes is a new segment ([`RecoveredLog::rewrite_tail`]).
//!
//! What it leans on (the writer's invariants) and what follows:
//! 1. A claim is true for ever: it was made after the sync it speaks of. So a bad record before a
//!    place that any later valid header claims is damage, and one without such a claim behind it
//!    was never acknowledged as durable, nor was anything after it: the log ends there.
//! 2. A newer segment's header may be durable while an older segment's tail is lost (nothing was
//!    synced in between). Rule 1 settles it: the header claims no more than was durable, so the
//!    log ends in the older segment, and the newer ones are a discarded tail.
//! 3. The newest segment with a valid header is the chain's head: it was created knowing where the
//!    good part before it ended. Segments off its chain (an earlier discarded tail that came back,
//!    a rewrite that was repeated) hold nothing. Two segments may name the same predecessor.
//! 4. A segment without a valid header was half-created, unless a later header names it or it has
//!    a valid record: headers are synced before records are written, so then it is damage.
//! 5. What this process reads may be in the page cache only (the last process was killed, or its
//!    sync failed and the pages are clean but not on the disk). Only claims are believed, because
//!    they speak of completed syncs. The chain is continued from the best claim, and the records
//!    after it are written again and synced: from memory, for reading them twice may give two
//!    answers. Names are made durable before anything is concluded from them.
//! 6. The rewritten segment gets its name only after it was synced, so it is there as a whole or not
//!    at all. Its header claims no more than what was durable before: its *name* may be only in the
//!    page cache, whatever a later sync of the directory says, until the caller has recorded the
//!    new bounds. A crash before that finds the same records, through whichever of the two chains,
//!    and writes them again.
//! 7. The end mark is not a record: the chain is continued from before it, so a mark that was only
//!    in the page cache is missed by no one.

pub(crate) mod chain;
mod rewrite;
mod scan;
#[cfg(test)]
mod tests;

use bytes::Bytes;

#[cfg(doc)]
use crate::error::Error;
use crate::error::RecoverError;
use crate::frame::KIND_DATA;
use crate::position::{LogBounds, Position};
use crate::segment::LogOptions;

/// One record of a log, as recovery found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where the record starts, until the log is opened again: a recovery writes the tail of the log
    /// again in a new segment, and then this is where it was before. As a reference keep `seqno`.
    pub position: Position,
    /// Its seqno, which is its identity; seqnos ascend strictly over the whole log.
    pub seqno: u64,
    /// The keyspace that it is for.
    pub keyspace: u32,
    /// Its kind: [`KIND_DATA`] for every record that is visited.
    pub kind: u16,
    /// Its payload. Shares a read buffer of up to 1 MiB with its neighbours: copy it if you keep
    /// few of many.
    pub payload: Bytes,
}

/// What [`recover`] learnt about a log.
#[derive(Debug)]
pub struct RecoveredLog {
    /// Where the good part's last record ends, or what of the log is durable if no record lies
    /// behind that; `None` if there is nothing.
    pub end: Option<Position>,
    /// The best claim: everything before this place was synced before the crash. The records from
    /// here to `end` may be in the page cache only; [`rewrite_tail`](Self::rewrite_tail) makes
    /// them durable.
    pub durable: Option<Position>,
    /// Whether the log ends with the mark of a clean close.
    pub clean: bool,
    /// The segments that hold the log, oldest first. They are never written again.
    pub chain: Vec<u64>,
    /// Segment files that hold nothing: retired, discarded, half-created or off the chain. To be
    /// unlinked, but not before the log's new bounds are durable.
    pub obsolete: Vec<u64>,
    /// Temporary files of segments that never got their name, by segment id. To be unlinked.
    pub obsolete_temporaries: Vec<u64>,
    /// The last record's seqno; new ones must be larger.
    pub last_seqno: Option<u64>,
    /// The largest id of any segment file present, temporary ones included; new ids must be larger.
    pub largest_segment_id: Option<u64>,
    /// The records in `[durable, end)`, end marks excluded.
    tail: Vec<Record>,
}

impl RecoveredLog {
    /// Whether there are records that no claim covers, so that
    /// [`rewrite_tail`](Self::rewrite_tail) has something to do.
    #[must_use]
    pub fn needs_rewrite(&self) -> bool {
        !self.tail.is_empty()
    }

    /// The segments of the chain that hold nothing any more once the tail was rewritten.
    #[must_use]
    pub fn superseded(&self) -> &[u64] {
        if self.tail.is_empty() {
            return &[];
        }
        let kept = self
            .chain
            .partition_point(|&id| self.durable.is_some_and(|durable| id <= durable.segment));
        self.chain.get(kept..).unwrap_or_default()
    }

    /// The bounds to be recorded durably after this recovery, `rewritten` being what
    /// [`rewrite_tail`](Self::rewrite_tail) returned: where the log now ends, and that all other
    /// segments present after it are discarded.
    ///
    /// Only once they are recorded may [`obsolete`](Self::obsolete) and
    /// [`superseded`](Self::superseded) segments be unlinked. As long as the tail still has to be
    /// rewritten, the previous bounds stay in force and are returned.
    #[must_use]
    pub fn bounds(&self, previous: &LogBounds, rewritten: Option<Position>) -> LogBounds {
        if self.needs_rewrite() && rewritten.is_none() {
            return *previous;
        }
        LogBounds {
            retired_below: previous.retired_below,
            floor: previous.floor,
            end: rewritten.or(self.end),
            discarded_through: self
                .largest_segment_id
                .unwrap_or(0)
                .max(previous.discarded_through),
        }
    }
}

/// Reads a log: visits every data record of its good part, in order, and says what was found.
///
/// Writes nothing and unlinks nothing, so it can be repeated, and gives the same records again
/// unless a power cut in between took records that were never durable.
///
/// # Errors
/// - [`Error::Damaged`], [`Error::MissingSegment`]: synced data is not what it was. The records
///   visited so far are good, but they are not all: don't go on from them.
/// - [`Error::UnknownKind`], [`Error::UnsupportedVersion`], [`Error::WrongDatabase`]: not ours to
///   read.
/// - [`Error::Io`], [`Error::SyncFailed`]: the file system failed; nothing was concluded.
/// - [`RecoverError::Visit`]: what `visit` returned.
pub fn recover<E>(
    options: &LogOptions,
    bounds: &LogBounds,
    visit: &mut dyn FnMut(Record) -> Result<(), E>,
) -> Result<RecoveredLog, RecoverError<E>> {
    let files = chain::survey(options)?;
    let chain = chain::find(options, bounds, &files)?;
    let scan = scan::scan(options, bounds, &chain, visit)?;

    let durable = Some(scan.durable).filter(|&claim| claim > Position::default());
    // Without records behind it, the log goes on from what is durable: what else lies there
    // (an empty segment, an end mark) may be in the page cache only.
    let end = scan.tail_end.or(durable);
    let (kept, obsolete) = files.segments.iter().partition(|&&id| {
        end.is_some_and(|end| id <= end.segment)
            && chain.binary_search_by_key(&id, |member| member.id).is_ok()
    });
    Ok(RecoveredLog {
        end,
        durable,
        clean: scan.clean,
        chain: kept,
        obsolete,
        largest_segment_id: files.largest_id(),
        obsolete_temporaries: files.temporaries,
        last_seqno: scan.last_seqno,
        tail: scan.tail,
    })
}
