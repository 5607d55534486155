//! Jobs on demand: a range of keys is brought to its final place, step by step.

use std::ops::Bound;

use lsm_version::{RunId, RunMeta};

use super::Picker;
use crate::job::Job;

impl Picker<'_> {
    /// See [`pick_range`](crate::pick_range). Every job brings a run of the range deeper or rids
    /// it of all its tombstones, so asking again and again ends.
    pub(super) fn in_range(
        &self,
        is_wanted: &dyn Fn(RunId) -> bool,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Option<Job> {
        let in_range = |run: &RunMeta| is_wanted(run.id) && run.overlaps(&(lower, upper));
        let l0_runs = self.unblocked_l0_runs();
        if let Some(job) = self.l0_job(&l0_runs, in_range) {
            return Some(job);
        }
        let reached = |level: usize| {
            let mut runs = self.version.level(level).runs().iter();
            runs.any(|run| in_range(run) && !(self.set_aside)(run.id))
        };
        let deepest = (1..=self.targets.bottom_level)
            .rev()
            .find(|level| reached(*level))?;
        (1..=deepest).find_map(|level| {
            // At the deepest level of the range a run may still lie above others outside of it;
            // then its tombstones are needed until it has joined them.
            let goes_down = |run: &RunMeta| {
                in_range(run) && (level < deepest || self.is_above_droppable(level, run))
            };
            let job = self.level_job(level, goes_down);
            if level < deepest {
                job
            } else {
                job.or_else(|| self.cleaned(level, in_range))
            }
        })
    }

    fn is_above_droppable(&self, level: usize, run: &RunMeta) -> bool {
        run.tombstone_count > 0 && self.lies_above_another(level, run)
    }

    /// A rewrite of a run whose tombstones are all droppable where it is.
    fn cleaned(&self, level: usize, in_range: impl Fn(&RunMeta) -> bool) -> Option<Job> {
        let runs = self.version.level(level).runs().iter();
        runs.filter(|run| run.tombstone_count > 0 && in_range(run))
            .filter(|run| !self.lies_above_another(level, run))
            .find_map(|run| self.rewrite(level, run))
    }
}
