//! All that a manifest knows at one moment, and the rules by which an edit may change it.
//!
//! Called by the manifest for every commit, and by whoever wants to try an edit first. Pure.
//!
//! Invariants:
//! 1. The flushed seqno and the retired segments only grow. Ceilings only grow, save at a clean
//!    close, which states the exact next ids.
//! 2. Every id in use is below its ceiling: run ids of the version, the segments that the log
//!    bounds name or call retired, the flushed seqno.
//! 3. A floor segment is not retired.
//! 4. An unnamed run is at no level, and stays unnamed. Where the log of `lsm-db` 1.x ended, if
//!    one came, never changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use lsm_wal::LogBounds;

use crate::edit::{Ceilings, EditError, VersionEdit};
use crate::{RUN_ID_MAX, RunId, Version};

/// The durable state of a database: its version, and what it knows of its log and its ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ManifestState {
    /// The runs.
    pub version: Arc<Version>,
    /// What the write-ahead log still holds.
    pub log: LogBounds,
    /// Every write up to this seqno is in a run; 0 before the first flush.
    pub flushed_seqno: u64,
    /// The ids from which on none was ever given out.
    pub ceilings: Ceilings,
    /// Where the good part of a log of `lsm-db` 1.x (`wal.log`) ended, in bytes, when it came with
    /// this database: to be replayed at least that far while the flushed seqno is 0, and from then
    /// on a leftover if it is still there. Where none came, a file of that name is somebody else's;
    /// so is a shorter one, and where this is 0 one that is not empty.
    pub legacy_log_end: Option<u64>,
    /// Run files of `lsm-db` 1.x that came with this database and that nothing named: the only ones
    /// below the run id ceiling that are not leftovers, though they are at no level. Nothing vouches
    /// for the manifest that did not name them, so they are never removed.
    pub unnamed: Arc<BTreeSet<RunId>>,
    /// Whether the last edit was the mark of a clean close.
    pub(crate) clean: bool,
}

impl ManifestState {
    /// Whether a log of `lsm-db` 1.x is still to be replayed.
    #[must_use]
    pub fn replays_legacy_log(&self) -> bool {
        self.legacy_log_end.is_some() && self.flushed_seqno == 0
    }

    /// Whether there was a log of `lsm-db` 1.x and all of it is in a run.
    #[must_use]
    pub fn has_spent_legacy_log(&self) -> bool {
        self.legacy_log_end.is_some() && self.flushed_seqno > 0
    }

    /// Whether the last edit was the mark of a clean close, with nothing after it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.clean
    }

    /// The state after `edit`, which shares every level that the edit does not touch.
    ///
    /// # Errors
    /// What [`Version::apply`] refuses; a flushed seqno, retired segment or (unless the edit is
    /// clean) ceiling that would shrink; an id in use that is not below its ceiling; another end of
    /// the log of 1.x; a run that is unnamed twice, or is at a level too; a clean edit that
    /// changes runs. The edit must be made anew.
    ///
    /// ```
    /// use lsm_version::{ManifestState, VersionEdit};
    /// let state = ManifestState::default();
    /// let mut edit = VersionEdit { flushed_seqno: Some(70), ..VersionEdit::default() };
    /// assert!(state.apply(&edit).is_err(), "seqnos up to 70 were never reserved");
    /// edit.ceilings = Some(lsm_version::Ceilings { seqno: 1000, ..state.ceilings });
    /// assert_eq!(state.apply(&edit)?.flushed_seqno, 70);
    /// # Ok::<(), lsm_version::EditError>(())
    /// ```
    pub fn apply(&self, edit: &VersionEdit) -> Result<Self, EditError> {
        let mut next = self.clone();
        next.apply_scalars(edit)?;
        if !edit.added.is_empty() || !edit.removed.is_empty() {
            next.version = Arc::new(self.version.apply(edit)?);
        }
        for (_, run) in &edit.added {
            next.check_run_id(run.id)?;
        }
        if !edit.unnamed.is_empty() || edit.clean && edit.ceilings.is_some() {
            // Only a clean edit can lower the ceiling below runs that were there before.
            for (_, run) in next.version.runs() {
                next.check_run_id(run.id)?;
            }
        }
        Ok(next)
    }

    /// Everything but the runs.
    pub(crate) fn apply_scalars(&mut self, edit: &VersionEdit) -> Result<(), EditError> {
        let runs_stay = edit.added.is_empty() && edit.removed.is_empty();
        if edit.clean && !(runs_stay && edit.unnamed.is_empty()) {
            // The mark may be taken for a torn tail if it rots; losing it must not lose a run.
            let reason = "the mark of a clean close must not change runs";
            return Err(EditError::Contradiction { reason });
        }
        if let Some(ceilings) = edit.ceilings {
            if !edit.clean {
                let (from, to) = (&self.ceilings, &ceilings);
                not_lowered("the run id ceiling", from.run_id, to.run_id)?;
                not_lowered("the segment id ceiling", from.segment_id, to.segment_id)?;
                not_lowered("the seqno ceiling", from.seqno, to.seqno)?;
            }
            self.ceilings = ceilings;
        }
        if let Some(log) = &edit.log {
            let (from, to) = (self.log.retired_below, log.retired_below);
            not_lowered("the first segment not retired", from, to)?;
            self.log = *log;
        }
        if let Some(seqno) = edit.flushed_seqno {
            not_lowered("the flushed seqno", self.flushed_seqno, seqno)?;
            self.flushed_seqno = seqno;
        }
        if let Some(end) = edit.legacy_log_end
            && *self.legacy_log_end.get_or_insert(end) != end
        {
            let reason = "the end of the log of lsm-db 1.x must not change";
            return Err(EditError::Contradiction { reason });
        }
        for run in &edit.unnamed {
            if !Arc::make_mut(&mut self.unnamed).insert(*run) {
                let reason = "a run is unnamed twice";
                return Err(EditError::Contradiction { reason });
            }
        }
        self.clean = edit.clean;
        self.check_scalars()
    }

    fn check_scalars(&self) -> Result<(), EditError> {
        let Ceilings {
            run_id,
            segment_id,
            seqno,
        } = self.ceilings;
        // One past the largest id is the ceiling at which nothing is left to give out; above it,
        // counting on would wrap or leave the file names' ten digits.
        not_exhausted("run ids", run_id, RUN_ID_MAX + 1)?;
        not_exhausted("segment ids", segment_id, u64::MAX - 1)?;
        not_exhausted("seqnos", seqno, u64::MAX - 1)?;
        reserved("flushed seqno", self.flushed_seqno, seqno)?;
        if let Some(run) = self.unnamed.last() {
            reserved("unnamed run", *run, run_id)?;
        }
        if let Some(floor) = self.log.floor {
            reserved("floor segment", floor, segment_id)?;
            if floor < self.log.retired_below {
                let reason = "the floor segment of the log is retired";
                return Err(EditError::Contradiction { reason });
            }
        }
        if let Some(end) = self.log.end {
            reserved("segment at the end of the log", end.segment, segment_id)?;
        }
        // Beyond it, segments that are still to come would count as discarded, or as retired.
        let discarded = self.log.discarded_through;
        reserved("discarded segment", discarded, segment_id)?;
        if let Some(retired) = self.log.retired_below.checked_sub(1) {
            reserved("retired segment", retired, segment_id)?;
        }
        Ok(())
    }

    pub(crate) fn check_run_id(&self, run: RunId) -> Result<(), EditError> {
        if self.unnamed.contains(&run) {
            let reason = "an unnamed run is at a level";
            return Err(EditError::Contradiction { reason });
        }
        reserved("run id", run, self.ceilings.run_id)
    }
}

fn not_lowered(what: &'static str, from: u64, to: u64) -> Result<(), EditError> {
    if to >= from {
        Ok(())
    } else {
        Err(EditError::Lowered { what, from, to })
    }
}

fn reserved(what: &'static str, value: u64, ceiling: u64) -> Result<(), EditError> {
    if value < ceiling {
        Ok(())
    } else {
        Err(EditError::NotReserved {
            what,
            value,
            ceiling,
        })
    }
}

fn not_exhausted(what: &'static str, ceiling: u64, ceiling_max: u64) -> Result<(), EditError> {
    if ceiling <= ceiling_max {
        Ok(())
    } else {
        Err(EditError::Exhausted { what })
    }
}

#[cfg(test)]
mod tests;
