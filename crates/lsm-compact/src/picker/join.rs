//! Joins: adjacent runs of one level become fewer runs, where they are.
//!
//! A flush of one new key leaves a run of one entry, and a run that overlaps nothing is moved down
//! and never written again. Without joins a level would keep a file for each such flush.
//!
//! A join takes neighbours of one level, 1 or deeper. At that level nothing lies between them, and
//! its claim spans from the first key to the last, the gaps between the inputs included.
//!
//! **The rule** ([`Picker::join_job`]) bounds what joins write. A run weighs its bytes, or
//! the *least weight* w ([`weight_min`]) if that is more. A *row* is a list of neighbours of at most
//! F bytes together, a quarter of the target size. A row is joined if its largest run weighs no more
//! than its other runs together.
//! - *Writes.* Each join of an entry at least doubles the weight of the run that it lies in. F / w is
//!   at most 256 up to a target of 64 MiB, so eight joins take it to F. Beyond that w grows no more, and
//!   each doubling of the target adds one join. Of runs lighter than w a join writes at most w for each.
//! - *Runs at rest, added at one end.* Each run of a row outweighs all that came after it together.
//!   A row weighs less than 2 F then, so it holds at most log2(2 F / w) + 1 runs, which is ten up to
//!   a target of 64 MiB.
//! - *Runs at rest, in any order.* Let f(S) be the most runs of a row of weight S at rest. The largest
//!   outweighs those left and right of it: f(S) <= 1 + f(L) + f(R), L + R < S / 2. So
//!   f(S) < 2 sqrt(S / w), which for S = 2 F is 45. A level of D bytes is at most 2 D / F + 1 rows.
//!
//! Compaction on demand joins by a rule of its own, see [`manual`](super::manual): it writes what it
//! takes, so no two neighbours of its range stay that fit one run.

use std::sync::Arc;

use lsm_version::RunMeta;

use super::{Picker, level_number};
use crate::job::{Job, JobKind};
use crate::options::PickerOptions;

/// The policy's joins write at most the target size divided by this.
///
/// Why not up to the target: a memtable of the target's size, filled with entries of a few bytes in
/// ascending order, leaves runs of a quarter of it to a half, as it counts what surrounds an entry.
/// To join those would write a load twice that is written once today, and spare three files in four.
const ROW_SHARE: u64 = 4;

/// The least weight of a run is the target size divided by this. So an entry is joined at most
/// log2(1,024 / 4) times, up to a target of 64 MiB.
const WEIGHT_SHARE: u64 = 1024;

/// The least weight in bytes where the share of the target is smaller: what a file takes on most
/// file systems, however short it is.
const WEIGHT_BYTES: u64 = 4096;

/// The least weight is at most the target size divided by this, for targets below 64 KiB.
const WEIGHT_SHARE_MIN: u64 = 16;

/// The least weight is at most this, in bytes, for targets above 64 MiB. Each run is joined at least until
/// it weighs more: with a target of 64 GiB that would be 64 MiB written again for each small flush.
const WEIGHT_BYTES_MAX: u64 = 64 << 10;

/// What a run counts as at least, in bytes: a file costs a block, a sync and a manifest record.
fn weight_min(options: &PickerOptions) -> u64 {
    let target = options.run_target_bytes();
    let share = (target / WEIGHT_SHARE).min(WEIGHT_BYTES_MAX);
    share.max(WEIGHT_BYTES.min(target / WEIGHT_SHARE_MIN))
}

impl<'a> Picker<'a> {
    /// The policy's next join, of the shallowest level that has one.
    pub(super) fn join_job(&self) -> Option<Job> {
        (1..self.version.levels().len()).find_map(|level| {
            let places = 0..self.version.level(level).len();
            let mut rows = places.map(|first| {
                let row = self.row(level, first);
                &row[..self.worth_joining(row)]
            });
            let row = rows.find(|row| row.len() > 1)?;
            let level = level_number(level);
            let inputs = row.iter().map(|run| (level, Arc::clone(run))).collect();
            Job::new(JobKind::Merge, inputs, level)
        })
    }

    /// The neighbours from `first` on that a job may join.
    ///
    /// None is set aside or claimed, nor is what lies between them. As with a move, they must not come
    /// to lie above much more than they do; and none of them may come to be held back by a run below
    /// that is set aside.
    fn row(&self, level: usize, first: usize) -> &'a [Arc<RunMeta>] {
        let row_bytes_max = self.options.run_target_bytes() / ROW_SHARE;
        let runs = &self.version.level(level).runs()[first..];
        let number = level_number(level);
        let smallest = &runs[0].smallest_key;
        let mut bytes = runs[0].file_len;
        let mut follows = |pair: &[Arc<RunMeta>]| {
            let [run, next] = pair else { return false };
            bytes = bytes.saturating_add(next.file_len);
            let largest = &next.largest_key;
            bytes <= row_bytes_max
                && !(self.set_aside)(run.id)
                && !(self.set_aside)(next.id)
                && !self
                    .claims
                    .conflicts_span(&(number..=number), smallest, largest)
                && self.may_reach(level, smallest, largest)
        };
        let others = runs.windows(2).take_while(|pair| follows(pair)).count();
        &runs[..=others]
    }

    /// Whether a run of `level` may span these keys, for what lies below.
    fn may_reach(&self, level: usize, smallest: &[u8], largest: &[u8]) -> bool {
        let reached = |level| {
            let level = self.version.level(level);
            &level.runs()[level.overlapping(smallest, largest)]
        };
        let mut below = (level + 1..self.version.levels().len()).map(reached);
        let next_bytes = reached(level + 1).iter().map(|run| run.file_len);
        next_bytes.fold(0, u64::saturating_add) <= self.options.overlap_bytes_max()
            && !below.any(|runs| runs.iter().any(|run| (self.set_aside)(run.id)))
    }

    /// How many runs of a row, from its first, are worth joining: as many as there can be, so that the
    /// largest weighs no more than the others. 0 if there are none.
    fn worth_joining(&self, row: &[Arc<RunMeta>]) -> usize {
        let weight_min = weight_min(self.options);
        let (mut weight, mut largest, mut worth) = (0_u64, 0, 0);
        for (count, run) in (1..).zip(row) {
            let own = run.file_len.max(weight_min);
            weight = weight.saturating_add(own);
            largest = own.max(largest);
            if weight - largest >= largest {
                worth = count;
            }
        }
        worth
    }
}
