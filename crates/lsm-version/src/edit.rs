//! What one step of a database's life changes: runs in, runs out, and what the log still holds.
//!
//! Made by flushes, compactions, recovery and a clean close; applied by
//! [`ManifestState::apply`](crate::ManifestState::apply), made durable by
//! [`Manifest::commit`](crate::Manifest::commit). Plain data: it knows nothing of files.

use std::sync::Arc;

use lsm_wal::LogBounds;

use crate::{InvariantViolation, RunId, RunMeta};

/// One atomic change of a database's durable state. The default changes nothing.
///
/// Removals are applied before additions, so that a move names the same run in both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionEdit {
    /// Runs that leave the version, each with the level it is at.
    pub removed: Vec<(u8, RunId)>,
    /// Runs that enter it, each with its level: at level 0 from oldest to newest, each becoming
    /// the newest in turn; deeper in any order, as the key decides.
    pub added: Vec<(u8, Arc<RunMeta>)>,
    /// What the write-ahead log still holds, replacing what was known.
    pub log: Option<LogBounds>,
    /// Every write up to this seqno is in a run, so replay skips it; never lowered.
    pub flushed_seqno: Option<u64>,
    /// New ceilings; lowered only by a clean edit.
    pub ceilings: Option<Ceilings>,
    /// A log of `lsm-db` 1.x (`wal.log`) came with this database, and this is where its good part
    /// ended, see [`ManifestState::legacy_log_end`](crate::ManifestState::legacy_log_end). Never
    /// changed.
    pub legacy_log_end: Option<u64>,
    /// Run files that `lsm-db` 1.x left and named nowhere, see
    /// [`ManifestState::unnamed`](crate::ManifestState::unnamed): these more.
    pub unnamed: Vec<RunId>,
    /// Whether this is the mark of a clean close: all before it is claimed to be durable, and
    /// nothing comes after it from this handle. Such an edit changes no runs.
    pub clean: bool,
}

impl VersionEdit {
    /// Whether the edit changes nothing at all; committing it would be idle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The ids from which on none was ever given out.
///
/// Ids are reserved in blocks: a ceiling is raised durably first, then the ids below it are given
/// out from memory. After a crash, counting starts at the ceiling, so none is used twice. A clean
/// edit may lower the ceilings to the exact next ids, so that nothing is wasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ceilings {
    /// Every run id below this may have been given out.
    pub run_id: u64,
    /// Every segment id below this may have been given out.
    pub segment_id: u64,
    /// Every seqno below this may have been given out.
    pub seqno: u64,
}

impl Default for Ceilings {
    /// Nothing was given out: counting starts at 1, so that 0 can stand for "none yet".
    fn default() -> Self {
        Self {
            run_id: 1,
            segment_id: 1,
            seqno: 1,
        }
    }
}

/// Why an edit does not fit the state it was applied to.
///
/// Always a fault of the caller, or of the bytes the edit was decoded from. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A run to be removed is not where the edit says. The job that made the edit worked on
    /// another version: abort it.
    #[error("run {run} to be removed is not at level {level}")]
    MissingRun {
        /// Where the edit says that the run is.
        level: usize,
        /// The run.
        run: RunId,
    },
    /// The version would break a rule. Don't commit; the run or its placement is wrong.
    #[error(transparent)]
    Invariant(#[from] InvariantViolation),
    /// A value that only grows would shrink. Compute the edit from the current state.
    #[error("{what} would go back from {from} to {to}")]
    Lowered {
        /// Which value.
        what: &'static str,
        /// What it is.
        from: u64,
        /// What the edit says.
        to: u64,
    },
    /// An id in use that was not reserved. Raise the ceiling durably before giving ids out.
    #[error("{what} {value} is not below its ceiling {ceiling}")]
    NotReserved {
        /// Which id.
        what: &'static str,
        /// The id.
        value: u64,
        /// The ceiling that would hold.
        ceiling: u64,
    },
    /// No ids are left. The database can be read but no longer grow.
    #[error("no {what} are left")]
    Exhausted {
        /// Which id.
        what: &'static str,
    },
    /// The edit contradicts itself. Whoever made it is at fault.
    #[error("{reason}")]
    Contradiction {
        /// What contradicts what.
        reason: &'static str,
    },
}
