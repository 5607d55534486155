//! Where runs go that come from a store without levels.
//!
//! Called when such a store is taken over. Pure, and moves no byte: it says in which level each
//! run may stand as it is. What is too large where it lands is split by the policy afterwards.

use std::sync::Arc;

use lsm_version::RunMeta;

use crate::options::PickerOptions;

/// A level for each of `oldest_first`, in the order in which an edit adds them.
///
/// A run that overlaps none older goes to the last level, where data settles; the others stack up
/// in L0, by age. So a store that was one run, or disjoint ones, needs no compaction.
///
/// ```
/// use std::sync::Arc;
/// use lsm_compact::{PickerOptions, place_by_age};
/// use lsm_version::RunMeta;
///
/// let run = |id, smallest: &'static str, largest: &'static str| {
///     Arc::new(RunMeta { id, file_len: 90, entry_count: 2, tombstone_count: 0, index_len: 30,
///         index_crc: 0, smallest_key: smallest.into(), largest_key: largest.into() })
/// };
/// let placed = place_by_age([run(1, "a", "m"), run(2, "k", "p"), run(3, "x", "z")],
///     &PickerOptions::default());
/// let levels: Vec<_> = placed.iter().map(|(level, run)| (run.id, *level)).collect();
/// assert_eq!(levels, [(1, 6), (2, 0), (3, 6)]);
/// ```
#[must_use]
pub fn place_by_age(
    oldest_first: impl IntoIterator<Item = Arc<RunMeta>>,
    options: &PickerOptions,
) -> Vec<(u8, Arc<RunMeta>)> {
    let last_level = u8::try_from(options.last_level()).unwrap_or(1);
    let mut placed: Vec<(u8, Arc<RunMeta>)> = Vec::new();
    for run in oldest_first {
        let overlaps = |(_, older): &(u8, Arc<RunMeta>)| {
            older.overlaps_span(&run.smallest_key, &run.largest_key)
        };
        let level = if placed.iter().any(overlaps) {
            0
        } else {
            last_level
        };
        placed.push((level, run));
    }
    placed
}

#[cfg(test)]
mod tests {
    use lsm_version::{Version, VersionEdit};

    use super::*;

    fn run(id: u64, smallest: &'static str, largest: &'static str) -> Arc<RunMeta> {
        Arc::new(RunMeta {
            id,
            file_len: 90,
            entry_count: 2,
            tombstone_count: 0,
            index_len: 30,
            index_crc: 0,
            smallest_key: smallest.into(),
            largest_key: largest.into(),
        })
    }

    fn levels(runs: &[Arc<RunMeta>]) -> Vec<u8> {
        let added = place_by_age(runs.iter().cloned(), &PickerOptions::default());
        let levels = added.iter().map(|(level, _)| *level).collect();
        let version = Version::empty().apply(&VersionEdit {
            added,
            ..VersionEdit::default()
        });
        assert_eq!(version.map(|version| version.run_count()), Ok(runs.len()));
        levels
    }

    #[test]
    fn a_single_run_and_disjoint_ones_go_to_the_last_level() {
        assert_eq!(levels(&[]), [0; 0]);
        assert_eq!(levels(&[run(7, "a", "z")]), [6]);
        assert_eq!(
            levels(&[run(3, "m", "p"), run(1, "a", "b"), run(2, "x", "x")]),
            [6, 6, 6]
        );
    }

    #[test]
    fn a_run_that_overlaps_an_older_one_stands_above_it() {
        let runs = [
            run(1, "a", "m"),
            run(2, "m", "n"),
            run(3, "n", "o"),
            run(4, "p", "q"),
            run(5, "a", "z"),
        ];
        assert_eq!(levels(&runs), [6, 0, 0, 6, 0]);
    }
}
