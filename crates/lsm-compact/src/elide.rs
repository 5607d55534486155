//! Which tombstones a job may leave out.
//!
//! A tombstone has done its work when nothing older can hold its key. It is never dropped for
//! being old, nor for being at the last level. Asked by the merge job, once per tombstone.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use lsm_version::{RunId, RunMeta, Version};

use crate::job::Job;

/// The older runs outside a job that a tombstone of the job may still have to hide.
///
/// These are the L0 runs older than the job's newest L0 input, and every run below the level of
/// the first input, the output level's other runs included. Runs that a later version adds are
/// newer than the job's inputs, or kept away by its [`Claims`](crate::Claims), so the version that
/// the job was picked from is enough.
#[derive(Debug)]
pub struct Elision {
    lanes: Vec<Lane>,
}

/// Runs in key order, disjoint, with the place where the last question was answered.
#[derive(Debug)]
struct Lane {
    runs: Vec<Arc<RunMeta>>,
    at: usize,
}

impl Lane {
    /// Whether a run spans `key`. Constant time, amortised, while keys ascend; logarithmic else.
    fn covers(&mut self, key: &[u8]) -> bool {
        let went_back = |run: &Arc<RunMeta>| key <= run.largest_key.as_ref();
        if self
            .at
            .checked_sub(1)
            .and_then(|at| self.runs.get(at))
            .is_some_and(went_back)
        {
            self.at = self
                .runs
                .partition_point(|run| run.largest_key.as_ref() < key);
        }
        while let Some(run) = self.runs.get(self.at) {
            if key <= run.largest_key.as_ref() {
                return run.smallest_key.as_ref() <= key;
            }
            self.at += 1;
        }
        false
    }
}

impl Elision {
    /// What `job`, picked from `version`, must not lose sight of.
    #[must_use]
    pub fn new(version: &Version, job: &Job) -> Self {
        let mut input_ids: Vec<RunId> = job.inputs.iter().map(|(_, run)| run.id).collect();
        input_ids.sort_unstable();
        let is_input = |run: &RunMeta| input_ids.binary_search(&run.id).is_ok();
        let overlaps = |run: &RunMeta| run.overlaps_span(&job.smallest_key, &job.largest_key);
        let first_level = usize::from(*job.levels().start());

        let mut lanes = Vec::new();
        if first_level == 0 {
            let l0 = version.level(0).runs().iter();
            let older = l0.skip_while(|run| !is_input(run));
            lanes.extend(
                older
                    .filter(|run| !is_input(run) && overlaps(run))
                    .map(|run| Lane {
                        runs: vec![Arc::clone(run)],
                        at: 0,
                    }),
            );
        }
        for level in version.levels().iter().skip(first_level + 1) {
            let reached = level.overlapping(&job.smallest_key, &job.largest_key);
            let runs = level.runs()[reached].iter();
            let runs: Vec<_> = runs.filter(|run| !is_input(run)).cloned().collect();
            if !runs.is_empty() {
                lanes.push(Lane { runs, at: 0 });
            }
        }
        Self { lanes }
    }

    /// Nothing older exists outside the job: every tombstone may go.
    ///
    /// For merging files that are all there is.
    #[must_use]
    pub fn over_nothing() -> Self {
        Self { lanes: Vec::new() }
    }

    /// Whether a tombstone of `key` hides nothing any more. Keys are asked in ascending order.
    ///
    /// `true` only if no older run outside the job spans the key. Another order gives the same
    /// answers, slower.
    pub fn drops_tombstone(&mut self, key: &[u8]) -> bool {
        !self.lanes.iter_mut().any(|lane| lane.covers(key))
    }
}
