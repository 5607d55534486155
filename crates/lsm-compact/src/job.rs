//! What a compaction is, before it runs: which runs go where.
//!
//! Made by the pickers, claimed, run by [`run`](crate::run), installed by an edit. Plain data.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use lsm_version::{RunMeta, VersionEdit};

/// What is to be done with the inputs of a [`Job`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Read, merge, and write again.
    Merge,
    /// Change the level and nothing else: the files stay, only an edit is written.
    Move,
}

/// Runs to be replaced by their merge, deeper down; or neighbours of one level to be replaced by
/// fewer, where they are.
///
/// The inputs are runs of L0 or of one deeper level, and all runs of the output level that lie in
/// the way. No level between holds a run that overlaps them, and no older run that overlaps an
/// input is left in L0; so the outputs come to stand below nothing older.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Each input with its level, newest first: L0 in its order, then deeper levels by key.
    pub inputs: Vec<(u8, Arc<RunMeta>)>,
    /// Where the outputs go: below the inputs, or, when runs are only rewritten or joined, at their
    /// level.
    pub output_level: u8,
    /// Merge or move.
    pub kind: JobKind,
    /// No key of an input or output is below this.
    pub smallest_key: Bytes,
    /// No key of an input or output is above this.
    pub largest_key: Bytes,
}

impl Job {
    /// A job over `inputs`, or `None` if there are none.
    pub(crate) fn new(
        kind: JobKind,
        inputs: Vec<(u8, Arc<RunMeta>)>,
        output_level: u8,
    ) -> Option<Self> {
        let runs = || inputs.iter().map(|(_, run)| run);
        let smallest_key = runs().map(|run| &run.smallest_key).min()?.clone();
        let largest_key = runs().map(|run| &run.largest_key).max()?.clone();
        Some(Self {
            inputs,
            output_level,
            kind,
            smallest_key,
            largest_key,
        })
    }

    /// The levels that the job reads from, writes to or passes: first input to output.
    #[must_use]
    pub fn levels(&self) -> RangeInclusive<u8> {
        let first = self.inputs.iter().map(|(level, _)| *level).min();
        first.unwrap_or(self.output_level)..=self.output_level
    }

    /// Whether it only joins neighbours of one level, below which nothing else is in the job.
    pub(crate) fn is_join(&self) -> bool {
        let stays = |(level, _): &(u8, _)| *level == self.output_level;
        self.inputs.len() > 1 && self.inputs.iter().all(stays)
    }

    /// The inputs as sources of a merge, newest first: each L0 run by itself, each deeper level's
    /// runs together, ascending and disjoint, so that one cursor can go through them.
    pub fn sources(&self) -> impl Iterator<Item = &[(u8, Arc<RunMeta>)]> {
        self.inputs
            .chunk_by(|(above, _), (level, _)| above == level && *level > 0)
    }

    /// The length in bytes of the input files that are in L0.
    #[must_use]
    pub fn l0_input_bytes(&self) -> u64 {
        let from_l0 = self.inputs.iter().filter(|(level, _)| *level == 0);
        from_l0
            .map(|(_, run)| run.file_len)
            .fold(0, u64::saturating_add)
    }

    /// The length of all input files in bytes.
    #[must_use]
    pub fn input_bytes(&self) -> u64 {
        self.inputs
            .iter()
            .map(|(_, run)| run.file_len)
            .fold(0, u64::saturating_add)
    }
}

/// The edit that installs a finished merge: inputs out, `outputs` in.
///
/// The log, seqno and ceilings are left for the caller to fill in. A job that wrote nothing
/// (everything was deleted) has no outputs, and its edit only removes.
#[must_use]
pub fn edit_for(job: &Job, outputs: Vec<Arc<RunMeta>>) -> VersionEdit {
    VersionEdit {
        removed: job
            .inputs
            .iter()
            .map(|(level, run)| (*level, run.id))
            .collect(),
        added: outputs
            .into_iter()
            .map(|run| (job.output_level, run))
            .collect(),
        ..VersionEdit::default()
    }
}

/// The edit that carries out a [`JobKind::Move`]: the same runs, at the output level.
#[must_use]
pub fn move_edit(job: &Job) -> VersionEdit {
    debug_assert_eq!(
        job.kind,
        JobKind::Move,
        "only a move leaves its runs as they are"
    );
    edit_for(
        job,
        job.inputs.iter().map(|(_, run)| Arc::clone(run)).collect(),
    )
}
