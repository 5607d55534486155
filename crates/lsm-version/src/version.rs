//! The immutable list of levels, and how an edit turns one into the next.
//!
//! Read by every lookup and by the pickers; replaced by flushes and compactions. Pure: it holds
//! metadata only and never touches a file.
//!
//! Invariants, which [`Version::check`] verifies:
//! 1. There are at most [`LEVEL_COUNT_MAX`] levels and the deepest is not empty.
//! 2. A run id occurs once in the whole version and is at most [`RUN_ID_MAX`].
//! 3. A run's smallest key is not above its largest, it has no more tombstones than entries, and
//!    its index is not longer than its file.
//! 4. Below level 0, runs are sorted by key and disjoint.

use std::collections::HashMap;
use std::sync::Arc;

use crate::edit::{EditError, VersionEdit};
use crate::level::check_neighbours;
use crate::{Level, RUN_ID_MAX, RunId, RunMeta};

/// How many levels a version may have.
pub const LEVEL_COUNT_MAX: usize = 16;

static EMPTY_LEVEL: Level = Level::EMPTY;

/// A rule that a list of levels breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvariantViolation {
    /// A level deeper than any version has. Whoever made the edit is at fault.
    #[error("run {run} is placed at level {level}, but there are only {LEVEL_COUNT_MAX} levels")]
    LevelTooDeep {
        /// The level asked for.
        level: usize,
        /// The run placed there.
        run: RunId,
    },
    /// A run id that occurs twice. An id was reused, or a move forgot to remove the run.
    #[error("run {run} occurs both at level {level} and at level {other_level}")]
    DuplicateRun {
        /// The run.
        run: RunId,
        /// One level that holds it.
        level: usize,
        /// The level of its other occurrence; may be the same.
        other_level: usize,
    },
    /// Metadata that contradicts itself. Whoever described the run is at fault.
    #[error("run {run} at level {level} is misdescribed: {reason}")]
    Misdescribed {
        /// The level that holds the run.
        level: usize,
        /// The run.
        run: RunId,
        /// What contradicts what.
        reason: &'static str,
    },
    /// Two neighbours of a level below 0 that are out of order or share keys. A compaction placed
    /// an output where it may not go; reads of the shared keys could go wrong.
    #[error("runs {left} and {right} at level {level} overlap or are out of order")]
    Overlap {
        /// The level that holds both.
        level: usize,
        /// The run that comes first.
        left: RunId,
        /// The run after it.
        right: RunId,
    },
}

/// An immutable list of levels; cloning it copies one pointer per level.
///
/// Level 0 comes first. Levels deeper than the deepest populated one are absent from
/// [`levels`](Self::levels) and empty through [`level`](Self::level).
///
/// ```
/// use std::sync::Arc;
/// use lsm_version::{RunMeta, Version, VersionEdit};
///
/// let run = Arc::new(RunMeta { id: 1, file_len: 90, entry_count: 2, tombstone_count: 0,
///     index_len: 30, index_crc: 0, smallest_key: "d".into(), largest_key: "m".into() });
/// let edit = VersionEdit { added: vec![(1, run)], ..VersionEdit::default() };
/// let version = Version::empty().apply(&edit)?;
/// assert_eq!(version.level(1).find(b"k"), Some(0));
/// assert_eq!(version.level(1).find(b"z"), None);
/// # Ok::<(), lsm_version::EditError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    levels: Vec<Arc<Level>>,
}

impl Version {
    /// The version of a fresh database: no runs.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Takes levels as they are: level 0 newest first, deeper ones in any order.
    pub(crate) fn from_runs(levels: Vec<Vec<Arc<RunMeta>>>) -> Result<Self, InvariantViolation> {
        let mut built = Vec::with_capacity(levels.len());
        for (index, mut runs) in levels.into_iter().enumerate() {
            built.push(Arc::new(if index == 0 {
                Level::overlapping_runs(runs)
            } else {
                runs.sort_unstable_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
                Level::sorted_runs(runs)
            }));
        }
        let version = Self::from_levels(built);
        version.check()?;
        Ok(version)
    }

    fn from_levels(mut levels: Vec<Arc<Level>>) -> Self {
        while levels.last().is_some_and(|level| level.is_empty()) {
            levels.pop();
        }
        Self { levels }
    }

    /// The levels from level 0 down to the deepest one that holds a run.
    #[must_use]
    pub fn levels(&self) -> &[Arc<Level>] {
        &self.levels
    }

    /// The level at `index`; an empty one if there is none so deep.
    #[inline]
    #[must_use]
    pub fn level(&self, index: usize) -> &Level {
        self.levels.get(index).map_or(&EMPTY_LEVEL, Arc::as_ref)
    }

    /// Whether no level holds a run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// How many runs all levels hold together.
    #[must_use]
    pub fn run_count(&self) -> usize {
        self.levels.iter().map(|level| level.len()).sum()
    }

    /// The length of all run files in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = self.levels.iter().map(|level| level.bytes());
        bytes.fold(0, u64::saturating_add)
    }

    /// Every run with its level, newest first at level 0, then by level and key.
    pub fn runs(&self) -> impl Iterator<Item = (usize, &Arc<RunMeta>)> {
        let levels = self.levels.iter().enumerate();
        levels.flat_map(|(index, level)| level.runs().iter().map(move |run| (index, run)))
    }

    /// The version after `edit`: removals first, then additions.
    ///
    /// Only the runs matter here; log bounds, seqno and ceilings are judged by
    /// [`ManifestState::apply`](crate::ManifestState::apply). Each run added at level 0 becomes the
    /// newest there, in the edit's order; deeper, a run takes its place by key. Levels that the
    /// edit does not name are shared with `self`.
    ///
    /// # Errors
    /// [`EditError::MissingRun`] if a removed run is not at the stated level, and
    /// [`EditError::Invariant`] if the result would break a rule of [`check`](Self::check). The
    /// edit must not be made durable.
    pub fn apply(&self, edit: &VersionEdit) -> Result<Self, EditError> {
        for (level, id) in &edit.removed {
            check_level(usize::from(*level), *id)?;
        }
        self.check_added(edit)?;
        let mut levels = self.levels.clone();
        for index in 0..LEVEL_COUNT_MAX {
            let Some(level) = self.changed_level(index, edit)? else {
                continue;
            };
            if levels.len() <= index {
                levels.resize_with(index + 1, Arc::default);
            }
            if let Some(slot) = levels.get_mut(index) {
                *slot = Arc::new(level);
            }
        }
        let version = Self::from_levels(levels);
        debug_assert_eq!(version.check(), Ok(()));
        Ok(version)
    }

    /// What becomes of level `index`, or `None` if `edit` does not name it.
    fn changed_level(&self, index: usize, edit: &VersionEdit) -> Result<Option<Level>, EditError> {
        let removed = edit
            .removed
            .iter()
            .filter(|(at, _)| usize::from(*at) == index);
        let mut removed: Vec<RunId> = removed.map(|(_, id)| *id).collect();
        removed.sort_unstable();
        let added = edit
            .added
            .iter()
            .filter(|(at, _)| usize::from(*at) == index);
        let added: Vec<_> = added.map(|(_, run)| Arc::clone(run)).collect();
        if removed.is_empty() && added.is_empty() {
            return Ok(None);
        }
        let level = self.level(index);
        let changed = match index {
            0 => level.with_newest(&removed, added),
            _ => level.with_sorted(index, &removed, added),
        };
        changed.map(Some)
    }

    /// Invariants 1 to 3 for the runs that `edit` adds.
    fn check_added(&self, edit: &VersionEdit) -> Result<(), EditError> {
        if edit.added.is_empty() {
            return Ok(());
        }
        let mut ids = Vec::with_capacity(edit.added.len());
        for (level, run) in &edit.added {
            let level = usize::from(*level);
            check_level(level, run.id)?;
            check_run(level, run)?;
            ids.push((run.id, level));
        }
        ids.sort_unstable();
        let duplicate = |run, level, other_level| InvariantViolation::DuplicateRun {
            run,
            level,
            other_level,
        };
        for (&(run, level), &(next, other_level)) in ids.iter().zip(ids.iter().skip(1)) {
            if run == next {
                return Err(duplicate(run, level, other_level).into());
            }
        }
        let mut removed = edit.removed.clone();
        removed.sort_unstable();
        let is_removed = |level: usize, run: RunId| {
            u8::try_from(level).is_ok_and(|level| removed.binary_search(&(level, run)).is_ok())
        };
        // New ids are larger than old ones as a rule, so the smallest settles most comparisons.
        let smallest = ids.first().map_or(0, |(id, _)| *id);
        for (other_level, present) in self.runs() {
            if present.id < smallest {
                continue;
            }
            if let Ok(place) = ids.binary_search_by_key(&present.id, |(id, _)| *id)
                && !is_removed(other_level, present.id)
            {
                let level = ids.get(place).map_or(other_level, |(_, level)| *level);
                return Err(duplicate(present.id, level, other_level).into());
            }
        }
        Ok(())
    }

    /// Verifies that the levels are what readers and pickers rely on.
    ///
    /// Run ids are unique; each run's metadata agrees with itself; runs below level 0 are sorted
    /// and disjoint. Reads no file. Linear in the number of runs.
    ///
    /// # Errors
    /// The first rule found broken. A version that came through [`apply`](Self::apply) breaks none.
    pub fn check(&self) -> Result<(), InvariantViolation> {
        let mut seen = HashMap::with_capacity(self.run_count());
        for (level, run) in self.runs() {
            check_level(level, run.id)?;
            check_run(level, run)?;
            if let Some(other_level) = seen.insert(run.id, level) {
                let run = run.id;
                return Err(InvariantViolation::DuplicateRun {
                    run,
                    level,
                    other_level,
                });
            }
        }
        for (index, level) in self.levels.iter().enumerate().skip(1) {
            check_disjoint(index, level.runs())?;
        }
        Ok(())
    }
}

fn check_level(level: usize, run: RunId) -> Result<(), InvariantViolation> {
    if level < LEVEL_COUNT_MAX {
        Ok(())
    } else {
        Err(InvariantViolation::LevelTooDeep { level, run })
    }
}

fn check_run(level: usize, run: &RunMeta) -> Result<(), InvariantViolation> {
    let reason = if run.id > RUN_ID_MAX {
        "its id has more than ten digits"
    } else if run.smallest_key > run.largest_key {
        "its smallest key is above its largest"
    } else if run.tombstone_count > run.entry_count {
        "it has more tombstones than entries"
    } else if run.index_len > run.file_len {
        "its index is longer than its file"
    } else {
        return Ok(());
    };
    let run = run.id;
    Err(InvariantViolation::Misdescribed { level, run, reason })
}

fn check_disjoint(level: usize, runs: &[Arc<RunMeta>]) -> Result<(), InvariantViolation> {
    for (left, right) in runs.iter().zip(runs.iter().skip(1)) {
        check_neighbours(level, left, right)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
