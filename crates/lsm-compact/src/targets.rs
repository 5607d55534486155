//! How large each level should be, and by how much it is not.
//!
//! Sizes are computed from the deepest level upward, as in RocksDB's dynamic level sizes: data
//! settles in the last level, and levels above it come into use as it grows, each a fanout smaller
//! than the next. So at most 1/fanout of the data (and its square, …) is ever in two places, and a
//! small database has one level to read instead of six. Read by the picker and by `stats`.

use lsm_version::{Level, RunId, Version};

use crate::options::PickerOptions;
use crate::picker::l0;

/// The target size of each level of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Where L0 is compacted to. Levels between L0 and this one hold nothing.
    pub l0_output_level: usize,
    /// The last level. It has no target: it holds what there is.
    pub bottom_level: usize,
    /// Bytes by level, as many as there are levels. 0 for L0, which goes by its count, and for
    /// levels that should be empty, which drain into those below; `u64::MAX` for the last level.
    pub bytes: Vec<u64>,
}

impl Targets {
    /// The targets that follow from the size of the deepest level of `version`.
    ///
    /// A level is added above once the one below it would be more than `fanout / 2` times
    /// [`level_base_bytes`](PickerOptions::level_base_bytes): until then, merging L0 into it
    /// directly writes no more than another level would (`examples/simulate_ingest.rs`).
    #[must_use]
    pub fn of(version: &Version, options: &PickerOptions) -> Self {
        let bottom_level = options
            .last_level()
            .max(version.levels().len().saturating_sub(1));
        let mut bytes = vec![0; bottom_level + 1];
        let direct_bytes_max = options
            .base_bytes()
            .saturating_mul(options.level_fanout() / 2)
            .max(1);
        let mut first_level = bottom_level;
        let mut target = version.level(bottom_level).bytes();
        while first_level > 1 && target > direct_bytes_max {
            target /= options.level_fanout();
            first_level -= 1;
            bytes[first_level] = target;
        }
        bytes[bottom_level] = u64::MAX;
        let is_used = |level: &usize| !version.level(*level).is_empty();
        let l0_output_level = (1..first_level).find(is_used).unwrap_or(first_level);
        Self {
            l0_output_level,
            bottom_level,
            bytes,
        }
    }

    /// How full a level below L0 is: above 1.0 it has to give something to the next.
    pub(crate) fn score(&self, level: usize, bytes: u64, options: &PickerOptions) -> f64 {
        let target = self.bytes.get(level).copied().unwrap_or(u64::MAX);
        match (bytes, target) {
            (0, _) | (_, u64::MAX) => 0.0,
            // Should be empty, so anything is too much; more is more urgent.
            (_, 0) => 1.0 + ratio(bytes, options.base_bytes()),
            _ => ratio(bytes, target),
        }
    }
}

/// How urgent each level's compaction is, from L0 down to the deepest in use.
///
/// L0: its runs ÷ [`l0_trigger`](PickerOptions::l0_trigger). Deeper: its bytes ÷ its target. From
/// 1.0 on a level has work to do. The last level always scores 0.0, and so do all when the policy
/// is off. Takes no account of running jobs or of runs set aside.
#[must_use]
pub fn scores(version: &Version, options: &PickerOptions) -> Vec<f64> {
    if !options.is_on() {
        return vec![0.0; version.levels().len()];
    }
    let targets = Targets::of(version, options);
    let score = |(index, level): (usize, &std::sync::Arc<Level>)| match index {
        0 => l0_score(level.len(), options),
        _ => targets.score(index, level.bytes(), options),
    };
    version.levels().iter().enumerate().map(score).collect()
}

pub(crate) fn l0_score(runs: usize, options: &PickerOptions) -> f64 {
    ratio(runs as u64, options.l0_trigger.max(1) as u64)
}

/// The bytes that the policy would still have to move, each counted once per level that it has
/// left to descend.
///
/// For back-pressure, see [`pressure`](crate::pressure). It grows with the bytes in excess and has no
/// steps other than whole L0 runs: L0 counts for the runs beyond the trigger, and a deeper level
/// for its bytes beyond the target, with what comes down to it from above. Runs set aside, and
/// those that cannot be compacted because of them, are no debt: nothing that runs could reduce it.
/// 0 when the policy is off.
#[must_use]
pub fn debt_bytes(
    version: &Version,
    options: &PickerOptions,
    set_aside: &dyn Fn(RunId) -> bool,
) -> u64 {
    if !options.is_on() {
        return 0;
    }
    let targets = Targets::of(version, options);
    let mut coming_down = l0_excess_bytes(version, options, &targets, set_aside);
    let mut debt = coming_down;
    for level in targets.l0_output_level..targets.bottom_level {
        let target = targets.bytes.get(level).copied().unwrap_or(u64::MAX);
        let own = version.level(level).bytes();
        let excess = own.saturating_add(coming_down).saturating_sub(target);
        let own_excess = excess.min(own);
        let movable = movable_bytes_up_to(own_excess, version, level, set_aside);
        coming_down = (excess - own_excess).saturating_add(movable);
        debt = debt.saturating_add(coming_down);
    }
    debt
}

/// The number of L0 runs that an enabled policy can compact away; `None` when it is off.
///
/// For back-pressure, see [`pressure`](crate::pressure): an L0 that nothing will shrink must not slow
/// writers down. Runs set aside, and those that they block, do not count.
#[must_use]
pub fn l0_backlog_runs(
    version: &Version,
    options: &PickerOptions,
    set_aside: &dyn Fn(RunId) -> bool,
) -> Option<usize> {
    if !options.is_on() {
        return None;
    }
    let targets = Targets::of(version, options);
    Some(l0::unblocked(version, &targets, set_aside, None).len())
}

/// The bytes of the oldest L0 runs beyond the trigger.
fn l0_excess_bytes(
    version: &Version,
    options: &PickerOptions,
    targets: &Targets,
    set_aside: &dyn Fn(RunId) -> bool,
) -> u64 {
    let unblocked = l0::unblocked(version, targets, set_aside, None);
    let excess_runs = unblocked.len().saturating_sub(options.l0_trigger);
    let oldest = unblocked.iter().rev().take(excess_runs);
    oldest.map(|run| run.file_len).fold(0, u64::saturating_add)
}

/// How many bytes of `level` are not kept there by a run set aside, counted up to `limit`.
fn movable_bytes_up_to(
    limit: u64,
    version: &Version,
    level: usize,
    set_aside: &dyn Fn(RunId) -> bool,
) -> u64 {
    let below = version.level(level + 1);
    let mut bytes = 0_u64;
    for run in version.level(level).runs() {
        if bytes >= limit {
            break;
        }
        let reached = below.overlapping(&run.smallest_key, &run.largest_key);
        if !set_aside(run.id) && !below.runs()[reached].iter().any(|run| set_aside(run.id)) {
            bytes = bytes.saturating_add(run.file_len);
        }
    }
    bytes.min(limit)
}

/// Sizes far beyond 2⁵³ bytes lose their last digits, which no decision needs.
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
