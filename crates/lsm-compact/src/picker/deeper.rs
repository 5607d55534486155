//! Jobs from the levels below L0, whose runs are disjoint: one run and what lies below it.

use std::ops::Range;
use std::sync::Arc;

use lsm_version::{Level, RunMeta};

use super::{Picker, is_tombstone_dense, level_number};
use crate::job::{Job, JobKind};

/// A run that could be compacted, and what that would cost.
struct Candidate {
    at: usize,
    below: Range<usize>,
    dense: bool,
    below_bytes: u64,
    run_bytes: u64,
}

impl Candidate {
    /// Dense runs first, then the fewest bytes below per byte of the run, then the smallest keys.
    fn is_better_than(&self, other: &Self) -> bool {
        let cost = |a: &Self, b: &Self| u128::from(a.below_bytes) * u128::from(b.run_bytes.max(1));
        (other.dense, cost(self, other), self.at) < (self.dense, cost(other, self), other.at)
    }
}

impl Picker<'_> {
    /// The best job that takes a `wanted` run of `level`, which is 1 or deeper, to the next.
    pub(super) fn level_job(&self, level: usize, wanted: impl Fn(&RunMeta) -> bool) -> Option<Job> {
        if level >= self.targets.bottom_level {
            return None;
        }
        let runs = self.version.level(level).runs();
        let mut best: Option<Candidate> = None;
        for (at, run) in runs.iter().enumerate() {
            if !wanted(run) {
                continue;
            }
            let Some(candidate) = self.candidate(level, at) else {
                continue;
            };
            if best
                .as_ref()
                .is_none_or(|best| candidate.is_better_than(best))
            {
                best = Some(candidate);
            }
        }
        self.candidate_job(level, &best?)
    }

    fn candidate_job(&self, level: usize, candidate: &Candidate) -> Option<Job> {
        let runs = self.version.level(level).runs();
        let last = self.targets.bottom_level;
        if let Some(target) = self.move_target(&runs[candidate.at], level + 1, last) {
            let inputs = vec![(level_number(level), Arc::clone(&runs[candidate.at]))];
            let moved = Job::new(JobKind::Move, inputs, level_number(target));
            if let Some(job) = moved.filter(|job| !self.claims.conflicts(job)) {
                return Some(job);
            }
        }
        let grown = self.grow(level, candidate);
        let inputs = |taken: Range<usize>| {
            runs[taken]
                .iter()
                .map(|run| (level_number(level), Arc::clone(run)))
                .collect()
        };
        self.with_output_runs(inputs(grown), level + 1)
            .or_else(|| self.with_output_runs(inputs(candidate.at..candidate.at + 1), level + 1))
    }

    /// What taking run `at` of `level` would cost; `None` if it may not be taken now.
    fn candidate(&self, level: usize, at: usize) -> Option<Candidate> {
        let run = &self.version.level(level).runs()[at];
        let below_level = self.version.level(level + 1);
        let below = below_level.overlapping(&run.smallest_key, &run.largest_key);
        let below_runs = &below_level.runs()[below.clone()];
        if (self.set_aside)(run.id) || below_runs.iter().any(|run| (self.set_aside)(run.id)) {
            return None;
        }
        let smallest = below_runs.first().map_or(&run.smallest_key, |first| {
            (&first.smallest_key).min(&run.smallest_key)
        });
        let largest = below_runs.last().map_or(&run.largest_key, |last| {
            (&last.largest_key).max(&run.largest_key)
        });
        let levels = level_number(level)..=level_number(level + 1);
        if self.claims.conflicts_span(&levels, smallest, largest) {
            return None;
        }
        Some(Candidate {
            at,
            dense: is_tombstone_dense(run),
            below_bytes: bytes_of(below_runs),
            below,
            run_bytes: run.file_len,
        })
    }

    /// Takes in neighbours that overlap nothing more below: they come for their own bytes only.
    fn grow(&self, level: usize, candidate: &Candidate) -> Range<usize> {
        let runs = self.version.level(level).runs();
        let below_level = self.version.level(level + 1);
        let mut bytes = candidate.run_bytes;
        let mut comes_along = |at: usize| {
            let run = &runs[at];
            let below = below_level.overlapping(&run.smallest_key, &run.largest_key);
            bytes = bytes.saturating_add(run.file_len);
            !below.is_empty()
                && candidate.below.start <= below.start
                && below.end <= candidate.below.end
                && bytes <= self.options.overlap_bytes_max()
                && !(self.set_aside)(run.id)
        };
        let mut taken = candidate.at..candidate.at + 1;
        while taken.start > 0 && comes_along(taken.start - 1) {
            taken.start -= 1;
        }
        while taken.end < runs.len() && comes_along(taken.end) {
            taken.end += 1;
        }
        taken
    }

    /// A merge of `inputs` with the runs of level `output` in their way; `None` if a running job is.
    pub(super) fn with_output_runs(
        &self,
        mut inputs: Vec<(u8, Arc<RunMeta>)>,
        output: usize,
    ) -> Option<Job> {
        let upper = Job::new(JobKind::Merge, inputs.clone(), level_number(output))?;
        let below = self.version.level(output);
        let below = &below.runs()[below.overlapping(&upper.smallest_key, &upper.largest_key)];
        debug_assert!(
            !below.iter().any(|run| (self.set_aside)(run.id)),
            "a run above one set aside was not held back"
        );
        inputs.extend(
            below
                .iter()
                .map(|run| (level_number(output), Arc::clone(run))),
        );
        Job::new(JobKind::Merge, inputs, level_number(output))
            .filter(|job| !self.claims.conflicts(job))
    }

    /// A job that writes a run again where it is, without its tombstones or in several pieces.
    pub(super) fn rewrite(&self, level: usize, run: &Arc<RunMeta>) -> Option<Job> {
        if (self.set_aside)(run.id) {
            return None;
        }
        let inputs = vec![(level_number(level), Arc::clone(run))];
        Job::new(JobKind::Merge, inputs, level_number(level))
            .filter(|job| !self.claims.conflicts(job))
    }

    /// The deepest level, from `first` to `last`, that `run` can be moved to as it is.
    ///
    /// Nothing may overlap it on the way or there. It must not come to lie above so much that the
    /// next job would be large; and a run whose tombstones nothing needs any more is better
    /// written again without them.
    pub(super) fn move_target(&self, run: &RunMeta, first: usize, last: usize) -> Option<usize> {
        let overlap = |level: usize| overlap_of(self.version.level(level), run);
        let is_bottom = |level: usize| level >= self.targets.bottom_level;
        let mut target = None;
        let mut level = first;
        while level <= last && overlap(level).is_empty() {
            let next = if is_bottom(level) {
                &[]
            } else {
                overlap(level + 1)
            };
            if bytes_of(next) > self.options.overlap_bytes_max() {
                break;
            }
            target = Some(level);
            level += 1;
        }
        let target = target?;
        let is_needed =
            || (target + 1..self.version.levels().len()).any(|level| !overlap(level).is_empty());
        (run.tombstone_count == 0 || is_needed()).then_some(target)
    }

    /// Whether a level below `level` holds a run that overlaps `run`.
    pub(super) fn lies_above_another(&self, level: usize, run: &RunMeta) -> bool {
        let mut deeper = self.version.levels().iter().skip(level + 1);
        deeper.any(|level| !overlap_of(level, run).is_empty())
    }
}

fn overlap_of<'l>(level: &'l Level, run: &RunMeta) -> &'l [Arc<RunMeta>] {
    &level.runs()[level.overlapping(&run.smallest_key, &run.largest_key)]
}

fn bytes_of(runs: &[Arc<RunMeta>]) -> u64 {
    runs.iter()
        .map(|run| run.file_len)
        .fold(0, u64::saturating_add)
}
