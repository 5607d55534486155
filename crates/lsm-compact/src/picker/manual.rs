//! Jobs on demand: what is owed of a range of keys is brought to its final place, level by level.
//!
//! What is owed, and why the work ends, is told in [`owed`](crate::owed). This file chooses the next
//! piece: always the first keys of the shallowest level that owes anything. If these can't go on,
//! nothing else is tried, so that what is done is always all up to a key.
//!
//! A piece has as many neighbouring runs as its bytes allow ([`Picker::demand_bytes_max`]), so the
//! number of jobs is independent of the number of runs, and all picks together look at each run a
//! bounded number of times.

use std::ops::Range;
use std::sync::Arc;

use lsm_version::{RunId, RunMeta};

use super::{Picker, level_number};
use crate::job::{Job, JobKind};
use crate::owed::{Owed, places_in};
use crate::spans::{Edge, Span};

/// A job on demand may read this part of the tree, if that is more than a job of the policy. So a
/// level takes about twice as many jobs as this, however many runs it has and whatever is written
/// meanwhile; and a job needs at most this part of the tree's bytes as additional space. Arbitrary:
/// large enough for jobs to be small beside the tree, small enough for a hundred thousand runs not to
/// be listed again for each few of them.
const DEMAND_JOBS: u64 = 64;

/// A merge also takes runs along that need none, if these are a stretch of less than this part of the
/// bytes of a job of the policy: to stop before each such stretch would make a job of each run.
const STRETCH_SHARE: u64 = 8;

/// What a compaction on demand does next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwedStep {
    /// Run this job, install its edit, and tell [`Owed::follow`].
    Job(Job),
    /// Read the runs of this job through. They stay as they are, so there is nothing to install; when
    /// they are whole, tell [`Owed::follow`]. Claim it meanwhile, as any job.
    Check(Job),
    /// This run was set aside, and stands in the way.
    Blocked(RunId),
    /// A running job is in the way: ask again when it has released its claim.
    Waiting,
    /// Nothing is owed any more.
    Done,
}

impl Picker<'_> {
    /// See [`pick_owed`](crate::pick_owed).
    pub(super) fn owed_step(&self, owed: &mut Owed) -> OwedStep {
        owed.keep_l0_runs(self.version.level(0));
        loop {
            let step = match owed.current_level() {
                None => Some(OwedStep::Done),
                Some(0) => Some(self.owed_in_level_zero(owed)),
                Some(level) => self.owed_in_level(level, owed),
            };
            // Without a step, keys were discharged that need none.
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// Only runs that are owed: they are closed over older overlapping ones, and newer ones can wait.
    fn owed_in_level_zero(&self, owed: &Owed) -> OwedStep {
        let mut runs = self.unblocked_l0_runs();
        runs.retain(|run| owed.owes_l0_run(run.id));
        let bytes_max = self.l0_job_bytes_max().max(self.demand_bytes_max());
        if let Some(job) = self.l0_job(&runs, bytes_max) {
            return OwedStep::Job(job);
        }
        let oldest_first = self.version.level(0).runs().iter().rev();
        let mut owed_runs = oldest_first.filter(|run| owed.owes_l0_run(run.id));
        let blocker = owed_runs.find_map(|run| {
            let aside = (self.set_aside)(run.id).then_some(run.id);
            aside.or_else(|| self.set_aside_in(self.targets.l0_output_level, run))
        });
        blocker.map_or(OwedStep::Waiting, OwedStep::Blocked)
    }

    /// The first run set aside of those of `level` that `run` overlaps.
    fn set_aside_in(&self, level: usize, run: &RunMeta) -> Option<RunId> {
        let level = self.version.level(level);
        let reached = level.overlapping(&run.smallest_key, &run.largest_key);
        let mut ids = level.runs()[reached].iter().map(|run| run.id);
        ids.find(|id| (self.set_aside)(*id))
    }

    fn owed_in_level(&self, level: usize, owed: &mut Owed) -> Option<OwedStep> {
        let span = owed.first(level)?;
        let runs = self.version.level(level).runs();
        let places = places_in(self.version.level(level), &span);
        let Some(first) = runs[places.clone()].first() else {
            owed.discharge(level, &span);
            return None;
        };
        owed.discharge(
            level,
            &Span {
                start: span.start,
                end: Edge::before(first.smallest_key.clone()),
            },
        );
        if (self.set_aside)(first.id) {
            return Some(OwedStep::Blocked(first.id));
        }
        let goes_down =
            owed.reaches_below(self.version, level) || self.is_needed_above(level, owed);
        if goes_down {
            return Some(self.descent(level, places, owed));
        }
        if self.is_to_rewrite(level, places.start, owed) {
            return Some(self.rewritten(level, places, owed));
        }
        if owed.is_since_start(first) {
            owed.discharge(level, &Span::of(first));
            return None;
        }
        Some(self.checked(level, places, owed))
    }

    /// Whether a run at the deepest level of the range lies above others outside of it and has tombstones,
    /// which are needed until it has joined these. Only the first and the last of the range can. All go
    /// down with it then, so that the range has one level.
    fn is_needed_above(&self, level: usize, owed: &Owed) -> bool {
        let runs = self.version.level(level);
        let in_range = &runs.runs()[places_in(runs, owed.range())];
        let mut ends = in_range.first().into_iter().chain(in_range.last());
        ends.any(|run| run.tombstone_count > 0 && self.lies_above_another(level, run))
    }

    /// A job that takes the first of the runs at `places` deeper, with those after it as far as they
    /// go the same way.
    fn descent(&self, level: usize, places: Range<usize>, owed: &Owed) -> OwedStep {
        let runs = &self.version.level(level).runs()[places];
        let Some(first) = runs.first() else {
            return OwedStep::Waiting;
        };
        let mut deepest = level + 1;
        while owed.reaches_below(self.version, deepest) {
            deepest += 1;
        }
        let target = |run: &RunMeta| self.move_target(run, level + 1, deepest);
        if let Some(output) = target(first) {
            let goes_too =
                |run: &&Arc<RunMeta>| !(self.set_aside)(run.id) && target(run) == Some(output);
            let count = runs.iter().take_while(goes_too).count();
            return self.step_of(runs, count, |runs| {
                Job::new(JobKind::Move, at_level(level, runs), level_number(output))
            });
        }
        match self.merged_together(level, runs, |run| target(run).is_some()) {
            Err(set_aside) => OwedStep::Blocked(set_aside),
            Ok(count) => self.step_of(runs, count, |runs| {
                self.with_output_runs(at_level(level, runs), level + 1)
            }),
        }
    }

    /// How many of `runs` one merge with the next level takes, at least one; or the run set aside that
    /// keeps the first from it.
    fn merged_together(
        &self,
        level: usize,
        runs: &[Arc<RunMeta>],
        can_move: impl Fn(&RunMeta) -> bool,
    ) -> Result<usize, RunId> {
        let below = self.version.level(level + 1);
        let bytes_max = self.demand_bytes_max();
        let (mut bytes, mut below_end, mut count) = (0_u64, 0, 0);
        let mut short_stretch_end = 0;
        let Some(first) = runs.first() else {
            return Ok(0);
        };
        for (place, run) in runs.iter().enumerate() {
            if place > 0 && place >= short_stretch_end && can_move(run) {
                let stretch = runs[place..].iter().take_while(|run| can_move(run));
                let sizes = stretch.map(|run| run.file_len);
                let (length, stretch_bytes) = sizes.fold((0, 0_u64), |(length, sum), bytes| {
                    (length + 1, sum.saturating_add(bytes))
                });
                if stretch_bytes >= self.stretch_bytes_min() {
                    break;
                }
                short_stretch_end = place + length;
            }
            // With the runs below that lie between this one and the one before it.
            let reached = below.overlapping(&first.smallest_key, &run.largest_key);
            let added = &below.runs()[reached.start.max(below_end)..reached.end.max(below_end)];
            let aside = added.iter().find(|run| (self.set_aside)(run.id));
            match aside {
                Some(aside) if count == 0 => return Err(aside.id),
                Some(_) => break,
                None if (self.set_aside)(run.id) => break,
                None => {}
            }
            let added = added.iter().map(|run| run.file_len);
            bytes = added.fold(bytes.saturating_add(run.file_len), u64::saturating_add);
            if count > 0 && bytes > bytes_max {
                break;
            }
            below_end = reached.end.max(below_end);
            count += 1;
        }
        Ok(count)
    }

    /// Whether the run at `place`, above nothing in its range, has to be written again: it has
    /// tombstones, or would fit one run with a neighbour in the range.
    fn is_to_rewrite(&self, level: usize, place: usize, owed: &Owed) -> bool {
        let runs = self.version.level(level).runs();
        runs[place].tombstone_count > 0
            || self.fits_next(level, place, owed)
            || (place > 0 && self.fits_next(level, place - 1, owed))
    }

    /// Whether the run at `place` and the next, both of which reach into the range, would fit one run.
    fn fits_next(&self, level: usize, place: usize, owed: &Owed) -> bool {
        let level = self.version.level(level);
        let in_range = places_in(level, owed.range());
        in_range.contains(&place)
            && in_range.contains(&(place + 1))
            && [place, place + 1]
                .iter()
                .all(|at| !(self.set_aside)(level.runs()[*at].id))
            && level.runs()[place]
                .file_len
                .saturating_add(level.runs()[place + 1].file_len)
                <= self.options.run_target_bytes()
    }

    /// A job that writes the first of the runs at `places` again where it is, with those after it that
    /// have to be, and with short stretches of clean ones between them. A neighbour before it that would
    /// fit one run with it comes along.
    fn rewritten(&self, level: usize, places: Range<usize>, owed: &Owed) -> OwedStep {
        let runs = self.version.level(level).runs();
        let joins_previous = places.start > 0 && self.fits_next(level, places.start - 1, owed);
        let start = places.start - usize::from(joins_previous);
        let mut end = places.start + 1;
        let mut bytes: u64 = runs[start..end].iter().map(|run| run.file_len).sum();
        let mut clean_bytes = 0_u64;
        let after = places.start + 1..places.end;
        for (place, run) in after.clone().zip(&runs[after]) {
            bytes = bytes.saturating_add(run.file_len);
            if (self.set_aside)(run.id) || bytes > self.demand_bytes_max() {
                break;
            }
            if self.is_to_rewrite(level, place, owed) {
                clean_bytes = 0;
                end = place + 1;
                continue;
            }
            clean_bytes = clean_bytes.saturating_add(run.file_len);
            if clean_bytes >= self.stretch_bytes_min() {
                break;
            }
        }
        let runs = &runs[start..end];
        // A run without tombstones is written for the sake of a neighbour, and not without it.
        let is_clean = runs.first().is_some_and(|run| run.tombstone_count == 0);
        let at_least = 1 + usize::from(joins_previous || is_clean);
        self.step_at_least(runs, runs.len(), at_least, |runs| {
            Job::new(JobKind::Merge, at_level(level, runs), level_number(level))
        })
    }

    /// The runs from the first of those at `places` on that stay as they are, and have to be read.
    fn checked(&self, level: usize, places: Range<usize>, owed: &Owed) -> OwedStep {
        let runs = self.version.level(level).runs();
        let mut bytes = 0_u64;
        let stays = |place: &usize| {
            let run = &runs[*place];
            bytes = bytes.saturating_add(run.file_len);
            *place == places.start
                || bytes <= self.demand_bytes_max()
                    && !(self.set_aside)(run.id)
                    && !owed.is_since_start(run)
                    && !self.is_to_rewrite(level, *place, owed)
        };
        let count = places.clone().take_while(stays).count();
        let runs = &runs[places];
        let step = self.step_of(runs, count, |runs| {
            Job::new(JobKind::Merge, at_level(level, runs), level_number(level))
        });
        match step {
            OwedStep::Job(job) => OwedStep::Check(job),
            other => other,
        }
    }

    /// The job over the first `count` of `runs`; over the first alone if a running job is in the way.
    fn step_of(
        &self,
        runs: &[Arc<RunMeta>],
        count: usize,
        job: impl Fn(&[Arc<RunMeta>]) -> Option<Job>,
    ) -> OwedStep {
        self.step_at_least(runs, count, 1, job)
    }

    fn step_at_least(
        &self,
        runs: &[Arc<RunMeta>],
        count: usize,
        at_least: usize,
        job: impl Fn(&[Arc<RunMeta>]) -> Option<Job>,
    ) -> OwedStep {
        let free = |count: usize| {
            let job = job(runs.get(..count)?)?;
            (!self.claims.conflicts(&job)).then_some(job)
        };
        let picked = free(count).or_else(|| free(at_least));
        picked.map_or(OwedStep::Waiting, OwedStep::Job)
    }

    /// The bytes of all inputs of a job on demand, if it has more than one run to bring down. No less
    /// than the target of a run: neighbours that fit one have to fit a job.
    fn demand_bytes_max(&self) -> u64 {
        self.policy_job_bytes_max()
            .max(self.options.run_target_bytes())
            .max(self.version.bytes() / DEMAND_JOBS)
    }

    /// The bytes from which on a stretch of runs that need no merge is not taken along by one.
    fn stretch_bytes_min(&self) -> u64 {
        self.policy_job_bytes_max() / STRETCH_SHARE
    }

    /// What a job of the policy out of level 0 may come to, with what lies below it.
    fn policy_job_bytes_max(&self) -> u64 {
        let below = self
            .options
            .base_bytes()
            .saturating_mul(self.options.level_fanout() / 2);
        self.l0_job_bytes_max().saturating_add(below)
    }
}

fn at_level(level: usize, runs: &[Arc<RunMeta>]) -> Vec<(u8, Arc<RunMeta>)> {
    let level = level_number(level);
    runs.iter().map(|run| (level, Arc::clone(run))).collect()
}
