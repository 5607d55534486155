//! What a compaction on demand still owes: a set of runs and spans of keys that only shrinks.
//!
//! Kept by the caller of [`pick_owed`](crate::pick_owed) from the start of the compaction to its end.
//!
//! **The books.** For level 0: the ids of the runs that were there at the start and that reach into
//! the range, or that older-stands-below forces to go with them. For each deeper level: spans of
//! keys, at the start one that covers what this level and those above held of the range. Runs that
//! are flushed later have new ids, and are not owed.
//!
//! **How they shrink.** Levels are worked off from the top. The *current* level is the shallowest
//! that owes anything; only there is anything discharged:
//! 1. A run of level 0, when a job takes it out of level 0.
//! 2. The keys of a run, when a job of any caller or of the policy takes that run to a deeper level.
//! 3. Keys that no run of the level spans.
//! 4. The keys of a run at the deepest level that the range reaches, when it has been written anew
//!    there or read through, or was written since the start, and needs no rewriting.
//!
//! **Why nothing is lost.** While a level is current, no entry of the start lies above it in the
//! range. So by 2 and 3 every entry of the start sinks below a level before its keys are discharged
//! there, and by 4 it has met all others of its key: one is left, and no tombstone.
//!
//! **Why it ends.** Nothing is ever added to the books. A job works on the first keys of the current
//! level and takes at least one whole run, so (current level, runs of level 0 left, first key owed)
//! moves forward with each job: the potential. What a writer adds behind the first key is not owed
//! any more. What it adds before it is taken along, in jobs of a stated size that grows with the
//! tree ([`pick_owed`](crate::pick_owed)), so that their number does not grow with what is written.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::{Bound, Range};

use lsm_version::{LEVEL_COUNT_MAX, Level, RunId, RunMeta, Version};

use crate::job::Job;
use crate::spans::{Edge, Span, Spans};

/// What a compaction on demand still owes of its range. See the functions that take one:
/// [`pick_owed`](crate::pick_owed) says what to do next, [`follow`](Self::follow) is told of each
/// job that was installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    range: Span,
    /// Runs of level 0. With a run, all older ones that overlap it are here.
    l0_runs: BTreeSet<RunId>,
    /// By level; empty for level 0.
    levels: Vec<Spans>,
    /// The largest run id at the start: runs with larger ones were written since.
    newest_at_start: RunId,
}

/// How far a compaction on demand has come: current level, runs of level 0 left, first key owed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Progress(usize, Reverse<usize>, Edge);

impl Owed {
    /// All that `version` holds between `lower` and `upper`.
    ///
    /// Make it under the lock that guards installing versions, or [`follow`](Self::follow) may miss
    /// a job. An empty or inverted range owes nothing.
    #[must_use]
    pub fn new(version: &Version, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Self {
        let range = Span {
            start: Edge::of_lower(lower),
            end: Edge::of_upper(upper),
        };
        let mut owed = Self {
            l0_runs: BTreeSet::new(),
            levels: vec![Spans::default(); LEVEL_COUNT_MAX],
            newest_at_start: version.runs().map(|(_, run)| run.id).max().unwrap_or(0),
            range,
        };
        if owed.range.start < owed.range.end {
            owed.owe_level_zero(version);
            owed.owe_deeper_levels(version);
        }
        owed
    }

    /// A run may leave level 0 only with all older runs that overlap it, so these are owed too.
    fn owe_level_zero(&mut self, version: &Version) {
        let mut reached = Spans::default();
        reached.insert(self.range.clone());
        for run in version.level(0).runs() {
            let span = Span::of(run);
            if reached.overlaps(&span) {
                reached.insert(span);
                self.l0_runs.insert(run.id);
            }
        }
    }

    fn owe_deeper_levels(&mut self, version: &Version) {
        let in_range = |run: &&std::sync::Arc<RunMeta>| reaches_into(&self.range, run);
        let mut hull: Option<Span> = None;
        for level in 0..LEVEL_COUNT_MAX {
            let runs = version.level(level).runs();
            let ends: Vec<_> = match level {
                0 => runs.iter().filter(in_range).collect(),
                _ => {
                    let reached = &runs[places_in(version.level(level), &self.range)];
                    reached.first().into_iter().chain(reached.last()).collect()
                }
            };
            for span in ends.into_iter().map(|run| Span::of(run)) {
                hull = Some(match hull {
                    None => span,
                    Some(hull) => Span {
                        start: hull.start.min(span.start),
                        end: hull.end.max(span.end),
                    },
                });
            }
            if let (Some(hull), true) = (&hull, level > 0) {
                self.levels[level].insert(Span {
                    start: hull.start.clone().max(self.range.start.clone()),
                    end: hull.end.clone().min(self.range.end.clone()),
                });
            }
        }
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.current_level().is_none()
    }

    /// A job was installed, and `version` is what came of it: what it took down is not owed any
    /// more. Returns whether anything was.
    ///
    /// To be told of every job, the policy's too, in the critical section that installs its
    /// edit; and of a [`Check`](crate::OwedStep::Check) when it has been read through.
    pub fn follow(&mut self, job: &Job, version: &Version) -> bool {
        let Some(current) = self.current_level() else {
            return false;
        };
        let before = cfg!(debug_assertions).then(|| self.progress());
        let output = usize::from(job.output_level);
        let is_final = output == current && !self.reaches_below(version, current);
        let mut discharged = false;
        for (level, run) in &job.inputs {
            match usize::from(*level) {
                0 => discharged |= self.l0_runs.remove(&run.id),
                level if level == current && (level < output || is_final) => {
                    discharged |= self.levels[level].remove(&Span::of(run));
                }
                _ => {}
            }
        }
        debug_assert!(before <= cfg!(debug_assertions).then(|| self.progress()));
        discharged
    }

    /// The shallowest level that owes anything.
    pub(crate) fn current_level(&self) -> Option<usize> {
        if self.l0_runs.is_empty() {
            (1..LEVEL_COUNT_MAX).find(|level| !self.levels[*level].is_empty())
        } else {
            Some(0)
        }
    }

    fn progress(&self) -> Progress {
        let level = self.current_level().unwrap_or(LEVEL_COUNT_MAX);
        let first = self.levels.get(level).and_then(Spans::first);
        let edge = first.map_or_else(|| Edge::of_lower(Bound::Unbounded), |span| span.start);
        Progress(level, Reverse(self.l0_runs.len()), edge)
    }

    pub(crate) fn range(&self) -> &Span {
        &self.range
    }

    /// Whether a run of level 0 is owed.
    pub(crate) fn owes_l0_run(&self, id: RunId) -> bool {
        self.l0_runs.contains(&id)
    }

    /// Whether the run was written since the start.
    pub(crate) fn is_since_start(&self, run: &RunMeta) -> bool {
        run.id > self.newest_at_start
    }

    /// The first keys that `level` owes.
    pub(crate) fn first(&self, level: usize) -> Option<Span> {
        self.levels.get(level).and_then(Spans::first)
    }

    /// Discharges keys of the current level without a job.
    pub(crate) fn discharge(&mut self, level: usize, span: &Span) {
        debug_assert_eq!(
            self.current_level(),
            Some(level),
            "a level above still owes"
        );
        self.levels[level].remove(span);
    }

    /// Discharges runs that have left level 0: the levels below owe their keys.
    pub(crate) fn keep_l0_runs(&mut self, level_zero: &Level) {
        if !self.l0_runs.is_empty() {
            let present = level_zero.runs().iter().map(|run| run.id);
            self.l0_runs = present.filter(|id| self.l0_runs.contains(id)).collect();
        }
    }

    /// Whether a level below `level` has a run in the range.
    pub(crate) fn reaches_below(&self, version: &Version, level: usize) -> bool {
        let mut deeper = version.levels().iter().skip(level + 1);
        deeper.any(|level| !places_in(level, &self.range).is_empty())
    }
}

fn reaches_into(span: &Span, run: &RunMeta) -> bool {
    span.start.lies_before(&run.largest_key) && !span.end.lies_before(&run.smallest_key)
}

/// The places of the runs of a level below 0 that reach into a span, which is not empty.
pub(crate) fn places_in(level: &Level, span: &Span) -> Range<usize> {
    let runs = level.runs();
    let start = runs.partition_point(|run| !span.start.lies_before(&run.largest_key));
    let end = runs.partition_point(|run| !span.end.lies_before(&run.smallest_key));
    start..end.max(start)
}

#[cfg(test)]
mod tests;
