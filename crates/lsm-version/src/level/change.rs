//! A level made from another by an edit, in one pass over its runs.
//!
//! Called by [`Version::apply`](crate::Version::apply). A level may have a great many runs, of which
//! an edit changes a few: each run that stays is looked at once, for its id, and its keys not at
//! all.

use std::sync::Arc;

use super::{Level, head, shared_len};
use crate::{EditError, InvariantViolation, RunId, RunMeta};

/// What is left of a level, in order.
struct Kept {
    runs: Vec<Arc<RunMeta>>,
    /// Empty for level 0.
    largest_heads: Vec<u64>,
}

impl Level {
    /// Level 0 without `removed` (sorted), and with `added` as its newest, the newest last.
    pub(crate) fn with_newest(
        &self,
        removed: &[RunId],
        mut added: Vec<Arc<RunMeta>>,
    ) -> Result<Self, EditError> {
        let mut kept = self.without(0, removed)?;
        added.reverse();
        added.append(&mut kept.runs);
        Ok(Self::overlapping_runs(added))
    }

    /// Level `index`, which is below 0, without `removed` (sorted), and with `added` in their
    /// places. `added` may be in any order; what overlaps is refused.
    pub(crate) fn with_sorted(
        &self,
        index: usize,
        removed: &[RunId],
        mut added: Vec<Arc<RunMeta>>,
    ) -> Result<Self, EditError> {
        let kept = self.without(index, removed)?;
        added.sort_unstable_by(|a, b| a.smallest_key.cmp(&b.smallest_key));
        let run_count = kept.runs.len() + added.len();
        let mut runs: Vec<Arc<RunMeta>> = Vec::with_capacity(run_count);
        let mut largest_heads = Vec::with_capacity(run_count);
        let (mut kept_runs, mut kept_heads) =
            (kept.runs.into_iter(), kept.largest_heads.into_iter());
        for run in added {
            let later = kept_runs.as_slice();
            let skipped = later.partition_point(|other| other.smallest_key < run.smallest_key);
            runs.extend(kept_runs.by_ref().take(skipped));
            largest_heads.extend(kept_heads.by_ref().take(skipped));
            if let Some(left) = runs.last() {
                check_neighbours(index, left, &run)?;
            }
            if let Some(right) = kept_runs.as_slice().first() {
                check_neighbours(index, &run, right)?;
            }
            largest_heads.push(self.head_of(&run));
            runs.push(run);
        }
        runs.extend(kept_runs);
        largest_heads.extend(kept_heads);
        Ok(self.rebuilt(runs, largest_heads))
    }

    /// A level of `runs`, whose heads are `largest_heads` if the shared prefix is still the same.
    fn rebuilt(&self, runs: Vec<Arc<RunMeta>>, largest_heads: Vec<u64>) -> Self {
        let same_prefix = match (runs.first(), runs.last()) {
            (Some(first), Some(last)) => {
                let shared = shared_len(&first.smallest_key, &last.largest_key);
                first.smallest_key.get(..shared) == Some(&self.prefix)
            }
            _ => false,
        };
        if !same_prefix {
            return Self::sorted_runs(runs);
        }
        Self {
            bytes: super::bytes_of(&runs),
            prefix: self.prefix.clone(),
            largest_heads,
            runs,
        }
    }

    fn head_of(&self, run: &RunMeta) -> u64 {
        let rest = run.largest_key.get(self.prefix.len()..);
        head(rest.unwrap_or_default())
    }

    /// The runs save those in `removed`, which is sorted and must name present ones, once each.
    fn without(&self, index: usize, removed: &[RunId]) -> Result<Kept, EditError> {
        let stays = |run: &RunMeta| removed.binary_search(&run.id).is_err();
        let mut kept = Kept {
            runs: Vec::with_capacity(self.runs.len()),
            largest_heads: Vec::with_capacity(self.largest_heads.len()),
        };
        for (place, run) in self.runs.iter().enumerate() {
            if stays(run) {
                kept.runs.push(Arc::clone(run));
                kept.largest_heads.extend(self.largest_heads.get(place));
            }
        }
        if kept.runs.len() + removed.len() == self.runs.len() {
            return Ok(kept);
        }
        let is_missing = |id: &RunId| !self.runs.iter().any(|run| run.id == *id);
        let missing = removed.iter().copied().find(is_missing);
        // None is missing: then one is named twice, and gone the second time.
        let twice = removed.windows(2).find(|pair| pair.first() == pair.last());
        let run = missing.or_else(|| twice.and_then(|pair| pair.first().copied()));
        Err(EditError::MissingRun {
            level: index,
            run: run.unwrap_or_default(),
        })
    }
}

/// Whether `left` ends before `right` starts.
pub(crate) fn check_neighbours(
    level: usize,
    left: &RunMeta,
    right: &RunMeta,
) -> Result<(), InvariantViolation> {
    if left.largest_key < right.smallest_key {
        return Ok(());
    }
    let (left, right) = (left.id, right.id);
    Err(InvariantViolation::Overlap { level, left, right })
}
