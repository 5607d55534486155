//! What the leveled policy is told: sizes and counts, no behaviour.

use lsm_version::LEVEL_COUNT_MAX;

/// How many times the target size of a run the runs below it may hold in its key range, before an
/// output is ended for it or a move refused: what bounds the next job.
pub(crate) const OVERLAP_RUNS_MAX: u64 = 10;

/// The shape that the leveled policy strives for.
///
/// Values that make no sense are read as the nearest that do: a fanout below 2 as 2, a level count
/// outside 2..=16 as its nearest end, a size of 0 as 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickerOptions {
    /// The number of L0 runs that starts a compaction. `usize::MAX` turns the policy off:
    /// [`pick`](crate::pick) answers `None` and no debt is counted; [`pick_owed`](crate::pick_owed)
    /// works all the same.
    pub l0_trigger: usize,
    /// The size in bytes at which a job ends one output run and begins the next.
    pub run_bytes_target: u64,
    /// The size in bytes of the first level below L0, from which the number of levels in use
    /// follows. Best about the bytes of `l0_trigger` L0 runs. The level's actual target lies
    /// between half of this and `fanout / 2` times as much, see [`Targets`](crate::Targets).
    pub level_base_bytes: u64,
    /// How many times larger each level is than the one above it.
    pub fanout: u64,
    /// The number of levels, L0 included; data settles in the last.
    pub level_count: usize,
}

impl Default for PickerOptions {
    /// Four L0 runs, runs of 16 MiB, a first level of about 64 MiB, fanout 10, seven levels.
    fn default() -> Self {
        Self {
            l0_trigger: 4,
            run_bytes_target: 16 << 20,
            level_base_bytes: 64 << 20,
            fanout: 10,
            level_count: 7,
        }
    }
}

impl PickerOptions {
    /// Whether the policy picks at all.
    pub(crate) fn is_on(&self) -> bool {
        self.l0_trigger != usize::MAX
    }

    pub(crate) fn run_target_bytes(&self) -> u64 {
        self.run_bytes_target.max(1)
    }

    pub(crate) fn overlap_bytes_max(&self) -> u64 {
        self.run_target_bytes().saturating_mul(OVERLAP_RUNS_MAX)
    }

    pub(crate) fn base_bytes(&self) -> u64 {
        self.level_base_bytes.max(1)
    }

    pub(crate) fn level_fanout(&self) -> u64 {
        self.fanout.max(2)
    }

    /// The index of the last level, where data settles.
    pub(crate) fn last_level(&self) -> usize {
        self.level_count.clamp(2, LEVEL_COUNT_MAX) - 1
    }
}
