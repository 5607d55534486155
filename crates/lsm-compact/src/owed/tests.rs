use std::sync::Arc;

use super::*;
use crate::job::JobKind;
use crate::testing::{run_meta, version};

fn owed(version: &Version, lower: &str, upper: &str) -> Owed {
    Owed::new(
        version,
        Bound::Included(lower.as_bytes()),
        Bound::Excluded(upper.as_bytes()),
    )
}

fn job(runs: &[(u8, &Arc<RunMeta>)], output_level: u8) -> Job {
    let inputs = runs.iter().map(|(level, run)| (*level, Arc::clone(run)));
    Job::new(JobKind::Merge, inputs.collect(), output_level).unwrap()
}

#[test]
fn a_run_of_level_zero_is_owed_with_all_older_ones_that_overlap_it() {
    let [newest, newer, in_range, older, apart] = [
        (5, "p", "z"),
        (4, "m", "p"),
        (3, "b", "m"),
        (2, "k", "r"),
        (1, "s", "t"),
    ]
    .map(|(id, smallest, largest)| run_meta(id, smallest, largest, 10));
    let runs = [&newest, &newer, &in_range, &older, &apart];
    let version = version(&runs.map(|run| (0, run)));
    let owed = owed(&version, "a", "c");
    assert_eq!(owed.l0_runs, BTreeSet::from([3, 2]));
    assert!(!owed.is_since_start(&newest));
}

#[test]
fn an_empty_or_inverted_range_and_one_over_nothing_owe_nothing() {
    let (upper, lower) = (run_meta(2, "a", "m", 10), run_meta(1, "c", "e", 10));
    let version = version(&[(0, &upper), (3, &lower)]);
    for (lower, upper) in [("d", "d"), ("e", "b"), ("n", "z")] {
        assert!(owed(&version, lower, upper).is_done(), "{lower}..{upper}");
    }
}

#[test]
fn a_level_owes_what_it_and_those_above_it_had_of_the_range() {
    let (upper, lower) = (run_meta(2, "d", "f", 10), run_meta(1, "a", "z", 10));
    let version = version(&[(1, &upper), (3, &lower)]);
    let owed = owed(&version, "b", "e");
    let span = |lower, upper: Bound<&[u8]>| {
        Some(Span {
            start: Edge::of_lower(Bound::Included(lower)),
            end: Edge::of_upper(upper),
        })
    };
    assert_eq!(owed.first(1), span(b"d", Bound::Excluded(b"e")));
    assert_eq!(owed.first(2), owed.first(1));
    assert_eq!(owed.first(3), span(b"b", Bound::Excluded(b"e")));
}

#[test]
fn a_job_discharges_only_where_nothing_above_is_owed() {
    let [above, first, second, below] =
        [(4, "a", "z"), (3, "a", "f"), (2, "g", "m"), (1, "a", "z")]
            .map(|(id, smallest, largest)| run_meta(id, smallest, largest, 10));
    let before = version(&[(0, &above), (1, &first), (1, &second), (2, &below)]);
    let mut owed = owed(&before, "a", "n");
    let descent = job(&[(1, &first), (2, &below)], 2);
    assert!(
        !owed.follow(&descent, &before),
        "level 0 may bring more there"
    );
    assert!(owed.follow(&job(&[(0, &above)], 1), &before));
    assert!(owed.follow(&descent, &before));
    assert!(!owed.follow(&descent, &before), "discharged once");
    // Where it is, a run may be written again as often as the policy likes: it still has to go down.
    assert!(!owed.follow(&job(&[(1, &second)], 1), &before));
    assert!(owed.follow(&job(&[(1, &second)], 2), &before));
}

#[test]
fn at_the_deepest_level_of_the_range_a_run_written_anew_is_done() {
    let (run, outside) = (run_meta(2, "a", "f", 10), run_meta(1, "k", "m", 10));
    let version = version(&[(2, &run), (3, &outside)]);
    let mut owed = owed(&version, "b", "g");
    assert_eq!(owed.current_level(), Some(2));
    assert!(owed.follow(&job(&[(2, &run)], 2), &version));
    let all = owed.range().clone();
    for level in 3..LEVEL_COUNT_MAX {
        assert_eq!(owed.current_level(), Some(level), "without a run, too");
        owed.discharge(level, &all);
    }
    assert!(owed.is_done());
}
