//! The leveled policy: which compaction is worth most now.
//!
//! A pure function of the version, the options and what is running. Called after every change of
//! version, under the lock that guards claims; never reads a run, a clock or a random number, so
//! that a simulation can drive it with metadata alone.
//!
//! What is picked, in order:
//! 1. Levels by score. L0 gives all runs of one stretch of keys ([`l0`]), a deeper level the run
//!    that costs least per byte ([`deeper`]).
//! 2. A run above the last level of which half or more is tombstones, whatever its level's size:
//!    readers step over each of them.
//! 3. A stretch of L0 that is mostly tombstones, before L0 has reached its trigger: where little lies
//!    below that would be written again for them.
//! 4. A run at the last level to be rewritten in place: half tombstones, or many times the target
//!    size (adopted from another store).
//! 5. Neighbours of a level that are small for the files that they are ([`join`]).

mod deeper;
mod join;
pub(crate) mod l0;
mod manual;

pub use manual::OwedStep;

use std::sync::Arc;

use lsm_version::{RunId, RunMeta, Version};

use crate::claims::Claims;
use crate::job::Job;
use crate::options::PickerOptions;
use crate::owed::Owed;
use crate::targets::{Targets, l0_score};

/// How many times the target size a run at the last level has to be before it is split. Well above
/// a flushed memtable, which is moved down whole where nothing overlaps it.
const OVERSIZE_RUNS: u64 = 32;

/// What every step of a pick looks at.
pub(crate) struct Picker<'a> {
    version: &'a Version,
    options: &'a PickerOptions,
    claims: &'a Claims,
    set_aside: &'a dyn Fn(RunId) -> bool,
    targets: Targets,
}

/// The compaction that the leveled policy would start now, if any.
///
/// `set_aside` names runs found corrupt: they are never picked, and nothing is picked that would
/// have to land below an older one of them. The job conflicts with none of `claims`; claim it
/// before the lock is let go. Installing the job's edit and picking again, until the answer is
/// `None`, always ends.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use lsm_compact::{Claims, JobKind, PickerOptions, move_edit, pick};
/// use lsm_version::{RunMeta, Version, VersionEdit};
///
/// let run = |id, smallest: &'static str, largest: &'static str| {
///     Arc::new(RunMeta {
///         id, file_len: 1 << 20, entry_count: 1000, tombstone_count: 0, index_len: 4096,
///         index_crc: 0, smallest_key: smallest.into(), largest_key: largest.into(),
///     })
/// };
/// let flushed = vec![(0, run(1, "a", "f")), (0, run(2, "g", "m")), (0, run(3, "n", "z"))];
/// let version = Version::empty().apply(&VersionEdit { added: flushed, ..Default::default() })?;
///
/// let options = PickerOptions { l0_trigger: 3, ..PickerOptions::default() };
/// let job = pick(&version, &options, &Claims::new(), &|_| false).expect("three runs are enough");
/// assert_eq!(job.kind, JobKind::Move); // nothing overlaps: no byte is written again
/// let version = version.apply(&move_edit(&job))?;
/// assert!(version.level(0).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn pick(
    version: &Version,
    options: &PickerOptions,
    claims: &Claims,
    set_aside: &dyn Fn(RunId) -> bool,
) -> Option<Job> {
    if !options.is_on() {
        return None;
    }
    let picker = Picker::new(version, options, claims, set_aside);
    let l0_runs = picker.unblocked_l0_runs();
    picker
        .by_score(&l0_runs)
        .or_else(|| picker.by_tombstones())
        .or_else(|| picker.l0_tombstone_job(&l0_runs))
        .or_else(|| picker.in_place())
        .or_else(|| picker.join_job())
}

/// The compaction of L0 that readers would be spared something by, below its trigger; `None` if there is
/// none.
///
/// Each run of L0 is one more place to look into for every read. [`pick`] takes them at a number that
/// suits writers; where much is read and little written, some stay for good. This takes them however few
/// they are: those that can be moved first, then a stretch of overlapping keys, unless a fanout of their
/// bytes and more lies below. When that is worth what it costs, the caller has to judge: the bytes of the
/// job's inputs are what is read and written again, nothing if it is a move. As with [`pick`]: nothing
/// set aside, and no conflict with `claims`.
#[must_use]
pub fn pick_for_readers(
    version: &Version,
    options: &PickerOptions,
    claims: &Claims,
    set_aside: &dyn Fn(RunId) -> bool,
) -> Option<Job> {
    if !options.is_on() {
        return None;
    }
    let picker = Picker::new(version, options, claims, set_aside);
    picker.l0_job_for_readers(&picker.unblocked_l0_runs())
}

/// What a compaction on demand does next about what it still owes.
///
/// Do it, tell [`Owed::follow`], and ask again, until the answer is [`OwedStep::Done`]. Then nothing
/// is left in the range of what was overwritten or deleted there at the start: each key that was not
/// written since has one entry at most, at the deepest level that the range reaches, and no
/// tombstone. No two runs of the start are left there that would fit one; and every run of the range
/// was read whole or written anew since the start. Neighbouring keys in the same runs come along.
/// Works also when the policy is off.
///
/// A job merges as many runs as have no more bytes together than a job of the policy out of level 0
/// may, or than a 64th of the tree, and one run of a level with all that it overlaps below if that is
/// more. So the number of jobs goes by bytes: it grows neither with the number of runs, nor without
/// end with what is written between the jobs.
///
/// As with [`pick`]: nothing set aside is touched, and no job conflicts with `claims`. Call it under
/// the lock that guards installing versions, with the version of the moment: keys that need no job
/// are discharged by looking at it.
///
/// # Examples
///
/// ```
/// use std::ops::Bound::Unbounded;
/// use std::sync::Arc;
///
/// use lsm_compact::{Claims, Owed, OwedStep, PickerOptions, edit_for, move_edit, pick_owed};
/// use lsm_version::{RunMeta, Version, VersionEdit};
///
/// let run = |id, smallest: &'static str, largest: &'static str| {
///     Arc::new(RunMeta {
///         id, file_len: 1 << 20, entry_count: 1000, tombstone_count: 0, index_len: 4096,
///         index_crc: 0, smallest_key: smallest.into(), largest_key: largest.into(),
///     })
/// };
/// let added = vec![(6, run(1, "a", "f")), (0, run(2, "c", "m"))];
/// let version = Version::empty().apply(&VersionEdit { added, ..Default::default() })?;
///
/// let (options, claims) = (PickerOptions::default(), Claims::new());
/// let mut owed = Owed::new(&version, Unbounded, Unbounded);
/// let OwedStep::Job(job) = pick_owed(&version, &options, &claims, &|_| false, &mut owed) else {
///     unreachable!("run 2 hides a part of run 1");
/// };
/// let version = version.apply(&edit_for(&job, vec![run(3, "a", "m")]))?;
/// owed.follow(&job, &version);
/// assert_eq!(pick_owed(&version, &options, &claims, &|_| false, &mut owed), OwedStep::Done);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pick_owed(
    version: &Version,
    options: &PickerOptions,
    claims: &Claims,
    set_aside: &dyn Fn(RunId) -> bool,
    owed: &mut Owed,
) -> OwedStep {
    Picker::new(version, options, claims, set_aside).owed_step(owed)
}

impl<'a> Picker<'a> {
    fn new(
        version: &'a Version,
        options: &'a PickerOptions,
        claims: &'a Claims,
        set_aside: &'a dyn Fn(RunId) -> bool,
    ) -> Self {
        Self {
            version,
            options,
            claims,
            set_aside,
            targets: Targets::of(version, options),
        }
    }

    fn unblocked_l0_runs(&self) -> Vec<&'a Arc<RunMeta>> {
        let (set_aside, claims) = (self.set_aside, Some(self.claims));
        l0::unblocked(self.version, &self.targets, set_aside, claims)
    }

    fn by_score(&self, l0_runs: &[&Arc<RunMeta>]) -> Option<Job> {
        let mut scored = vec![(l0_score(l0_runs.len(), self.options), 0)];
        scored.extend((1..self.targets.bottom_level).map(|level| {
            let bytes = self.version.level(level).bytes();
            (self.targets.score(level, bytes, self.options), level)
        }));
        // At its target a level is as it should be; L0 is not, at its trigger.
        scored.retain(|&(score, level)| score > 1.0 || level == 0 && score >= 1.0);
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.into_iter().find_map(|(_, level)| match level {
            0 => self.l0_job(l0_runs, self.l0_job_bytes_max()),
            _ => self.level_job(level, |_| true),
        })
    }

    fn by_tombstones(&self) -> Option<Job> {
        (1..self.targets.bottom_level).find_map(|level| self.level_job(level, is_tombstone_dense))
    }

    fn in_place(&self) -> Option<Job> {
        let level = self.targets.bottom_level;
        let oversize = self
            .options
            .run_target_bytes()
            .saturating_mul(OVERSIZE_RUNS);
        let runs = self.version.level(level).runs().iter();
        runs.filter(|run| is_tombstone_dense(run) || run.file_len > oversize && run.entry_count > 1)
            .find_map(|run| self.rewrite(level, run))
    }
}

/// Whether at least half of the run's entries are tombstones.
fn is_tombstone_dense(run: &RunMeta) -> bool {
    run.tombstone_count > 0 && run.tombstone_count >= run.entry_count.div_ceil(2)
}

/// A level as it stands in jobs and edits; there are never more than sixteen.
fn level_number(level: usize) -> u8 {
    u8::try_from(level).unwrap_or(u8::MAX)
}
