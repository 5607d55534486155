//! Jobs from L0, where runs overlap and their order is their age.
//!
//! A run may leave L0 only together with all older runs that overlap it, or a reader would find
//! the older entry first. Runs are grouped into stretches of overlapping keys; a job takes one
//! stretch, so that disjoint stretches can go at once and none drags in the others' keys below.

use std::collections::BTreeSet;
use std::sync::Arc;

use lsm_version::{RunId, RunMeta, Version};

use super::{Picker, level_number};
use crate::claims::Claims;
use crate::job::{Job, JobKind};
use crate::spans::{Span, Spans};
use crate::targets::Targets;

/// Entries below that a merge may have to write again at most for each tombstone, if nothing but
/// tombstones calls for it.
const REWRITTEN_PER_TOMBSTONE: u64 = 2;

/// The L0 runs, newest first, that may be compacted: not set aside, nor touched by a running job,
/// nor held back by such a run at the level they would go to, nor newer than an overlapping one
/// that may not.
pub(crate) fn unblocked<'a>(
    version: &'a Version,
    targets: &Targets,
    set_aside: &dyn Fn(RunId) -> bool,
    claims: Option<&Claims>,
) -> Vec<&'a Arc<RunMeta>> {
    let output = version.level(targets.l0_output_level);
    let levels = 0..=level_number(targets.l0_output_level);
    let is_held = |run: &RunMeta| {
        let (smallest, largest) = (&run.smallest_key, &run.largest_key);
        let reached = output.overlapping(smallest, largest);
        set_aside(run.id)
            || output.runs()[reached].iter().any(|run| set_aside(run.id))
            || claims.is_some_and(|claims| claims.conflicts_span(&levels, smallest, largest))
    };
    let mut held = Spans::default();
    let mut free = Vec::new();
    for run in version.level(0).runs().iter().rev() {
        // The keys of the older runs that are held, as one set: however many those are.
        if !held.is_empty() && held.overlaps(&Span::of(run)) || is_held(run) {
            held.insert(Span::of(run));
        } else {
            free.push(run);
        }
    }
    free.reverse();
    free
}

impl Picker<'_> {
    /// The best job from the unblocked L0 runs `runs`, newest first. A merge takes up to `bytes_max`
    /// out of L0, and more only to take as many runs as the trigger.
    ///
    /// A move is best, as it writes nothing; then the stretch of most runs; then that of the
    /// smallest keys.
    pub(super) fn l0_job(&self, runs: &[&Arc<RunMeta>], bytes_max: u64) -> Option<Job> {
        self.l0_job_if(runs, bytes_max, |_| true)
    }

    /// The bytes that a merge of the policy takes out of L0, if it has the runs of the trigger.
    pub(super) fn l0_job_bytes_max(&self) -> u64 {
        self.options.base_bytes().saturating_mul(2)
    }

    /// The best job that readers may ask for: merged with it is at most a fanout of what comes out of
    /// L0, so that they never have more written again than a deeper level has.
    pub(super) fn l0_job_for_readers(&self, runs: &[&Arc<RunMeta>]) -> Option<Job> {
        self.l0_job_if(runs, self.l0_job_bytes_max(), |merge| {
            let l0_bytes = merge.l0_input_bytes();
            let below_bytes = merge.input_bytes().saturating_sub(l0_bytes);
            below_bytes <= l0_bytes.saturating_mul(self.options.level_fanout())
        })
    }

    /// As [`l0_job`](Self::l0_job), of the merges that are worth it.
    fn l0_job_if(
        &self,
        runs: &[&Arc<RunMeta>],
        bytes_max: u64,
        is_worth_it: impl Fn(&Job) -> bool,
    ) -> Option<Job> {
        let mut stretches = stretches(runs);
        stretches.sort_by_key(|stretch| std::cmp::Reverse(stretch.len()));
        let alone = || {
            stretches
                .iter()
                .filter(|stretch| stretch.len() == 1)
                .flatten()
        };
        self.l0_move(alone().map(|&at| runs[at])).or_else(|| {
            stretches
                .iter()
                .find_map(|stretch| self.l0_merge(runs, stretch, bytes_max).filter(&is_worth_it))
        })
    }

    /// A merge of a stretch that is mostly tombstones, if they are worth it without any other reason.
    ///
    /// They are where all that lies below in their keys is in proportion to them, so that what is
    /// written again for them is too, however deep they have to go: a few deletes all over a large
    /// level wait for the trigger.
    pub(super) fn l0_tombstone_job(&self, runs: &[&Arc<RunMeta>]) -> Option<Job> {
        stretches(runs).iter().find_map(|stretch| {
            let merge = self.l0_merge(runs, stretch, self.l0_job_bytes_max())?;
            if !self.is_worth_its_tombstones(&merge) {
                return None;
            }
            let alone = stretch.first().filter(|_| stretch.len() == 1);
            let moved = alone.and_then(|&at| self.l0_move(std::iter::once(runs[at])));
            moved.or(Some(merge))
        })
    }

    fn is_worth_its_tombstones(&self, job: &Job) -> bool {
        let l0_inputs = || job.inputs.iter().filter(|(level, _)| *level == 0);
        let count = |of: fn(&RunMeta) -> u64| {
            let counts = l0_inputs().map(|(_, run)| of(run));
            counts.fold(0, u64::saturating_add)
        };
        let tombstones = count(|run| run.tombstone_count);
        let entries = count(|run| run.entry_count);
        tombstones > 0
            && tombstones >= entries.div_ceil(2)
            && self.entries_below(job) <= tombstones.saturating_mul(REWRITTEN_PER_TOMBSTONE)
    }

    /// The entries of all runs that span a part of the job's keys, from its output level down.
    fn entries_below(&self, job: &Job) -> u64 {
        let levels = self.version.levels().iter();
        let runs = levels.skip(job.output_level.into()).flat_map(|level| {
            let reached = level.overlapping(&job.smallest_key, &job.largest_key);
            &level.runs()[reached]
        });
        runs.map(|run| run.entry_count).fold(0, u64::saturating_add)
    }

    /// One move of as many as can go to the same level: each edit is a sync of the manifest.
    fn l0_move<'r>(&self, alone: impl Iterator<Item = &'r Arc<RunMeta>>) -> Option<Job> {
        let mut movable: Vec<(usize, &Arc<RunMeta>)> = alone
            .filter_map(|run| Some((self.l0_move_target(run)?, run)))
            .collect();
        let output = movable.first()?.0;
        movable.retain(|(target, _)| *target == output);
        // In the order of L0, as inputs are listed.
        let moved: BTreeSet<RunId> = movable.iter().map(|(_, run)| run.id).collect();
        let l0 = self.version.level(0).runs().iter();
        let inputs = l0.filter(|run| moved.contains(&run.id));
        let inputs = inputs.map(|run| (0, Arc::clone(run))).collect();
        let free = |job: &Job| !self.claims.conflicts(job);
        let output = level_number(output);
        Job::new(JobKind::Move, inputs, output)
            .filter(free)
            .or_else(|| {
                // A running job lies between the first and the last: one by one, then.
                movable.iter().find_map(|(_, run)| {
                    let alone = vec![(0, Arc::clone(run))];
                    Job::new(JobKind::Move, alone, output).filter(free)
                })
            })
    }

    fn l0_move_target(&self, run: &RunMeta) -> Option<usize> {
        let targets = &self.targets;
        self.move_target(run, targets.l0_output_level, targets.bottom_level)
    }

    /// The runs of a stretch, oldest first as many as a job may take, with what they overlap at
    /// the output level.
    fn l0_merge(&self, runs: &[&Arc<RunMeta>], stretch: &[usize], bytes_max: u64) -> Option<Job> {
        // Each run is older than those before it, so the rest of a stretch is closed over older
        // overlapping runs wherever it is cut.
        let mut bytes = 0_u64;
        let mut taken = 0;
        for &at in stretch.iter().rev() {
            bytes = bytes.saturating_add(runs[at].file_len);
            if taken >= self.options.l0_trigger.max(1) && bytes > bytes_max {
                break;
            }
            taken += 1;
        }
        let oldest = &stretch[stretch.len() - taken..];
        let output = self.targets.l0_output_level;
        let inputs: Vec<_> = oldest.iter().map(|&at| (0, Arc::clone(runs[at]))).collect();
        self.with_output_runs(inputs, output)
    }
}

/// Groups runs whose keys overlap, directly or through others. Each group lists places in `runs`,
/// ascending; groups are in key order.
fn stretches(runs: &[&Arc<RunMeta>]) -> Vec<Vec<usize>> {
    let mut by_key: Vec<usize> = (0..runs.len()).collect();
    by_key.sort_by(|&a, &b| runs[a].smallest_key.cmp(&runs[b].smallest_key));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut end: &[u8] = &[];
    for at in by_key {
        let run = runs[at];
        match groups.last_mut() {
            Some(group) if run.smallest_key.as_ref() <= end => group.push(at),
            _ => {
                groups.push(vec![at]);
                end = &run.largest_key;
            }
        }
        end = end.max(run.largest_key.as_ref());
    }
    for group in &mut groups {
        group.sort_unstable();
    }
    groups
}
