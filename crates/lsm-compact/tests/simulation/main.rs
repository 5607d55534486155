//! The policy on small trees with real entries: whatever is flushed, picked, run at once, set aside
//! and finished in whatever order, every key reads as a plain map says, and the picking ends.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod tree;

use std::collections::HashSet;
use std::ops::Bound::{Excluded, Included, Unbounded};

use lsm_compact::{Owed, PickerOptions, debt_bytes};
use lsm_version::RunMeta;
use quickcheck::{Gen, QuickCheck};
use tree::{Step, Tree};

/// `roomy`: with a target of so many entries that the policy, too, joins neighbours.
fn options(roomy: bool) -> PickerOptions {
    PickerOptions {
        l0_trigger: 3,
        run_bytes_target: if roomy { 640 } else { 60 },
        level_base_bytes: 120,
        fanout: 4,
        level_count: 5,
    }
}

#[test]
fn no_order_of_jobs_changes_what_any_key_reads_as_and_picking_ends() {
    fn holds(steps: Vec<Step>, roomy: bool) {
        let mut tree = Tree::new(options(roomy));
        for step in &steps {
            tree.step(step);
        }
        tree.finish_all();
        tree.settle_demands();
        tree.settle();
        assert_eq!(
            debt_bytes(&tree.version, &tree.options, &|id| tree.aside.contains(&id)),
            0,
            "what is left to do is not debt: {:?}",
            tree.version
        );
    }
    QuickCheck::new()
        .rng(Gen::new(120))
        .tests(400)
        .quickcheck(holds as fn(Vec<Step>, bool));
}

#[test]
fn compacting_the_whole_range_leaves_one_level_without_tombstones() {
    fn holds(steps: Vec<Step>, roomy: bool) {
        let mut tree = Tree::new(options(roomy));
        tree.play_without_damage(&steps);
        tree.demands.clear();
        tree.demand(0, u8::MAX);
        // The bound of the whole range, which no key of a byte is.
        tree.demands[0].owed = Owed::new(&tree.version, Unbounded, Unbounded);
        tree.settle_demands();
        let levels = tree
            .version
            .levels()
            .iter()
            .filter(|level| !level.is_empty());
        assert!(levels.count() <= 1, "{:?}", tree.version);
        assert!(tree.version.runs().all(|(_, run)| run.tombstone_count == 0));
        let live = tree.model.values().flatten().count() as u64;
        assert_eq!(
            tree.version
                .runs()
                .map(|(_, run)| run.entry_count)
                .sum::<u64>(),
            live
        );
        tree.check_no_neighbours_fit_one_run();
    }
    QuickCheck::new()
        .rng(Gen::new(80))
        .tests(200)
        .quickcheck(holds as fn(Vec<Step>, bool));
}

#[test]
fn compacting_a_part_of_the_range_ends_and_leaves_nothing_droppable_in_it() {
    fn holds(steps: Vec<Step>, lower: u8, upper: u8) {
        let mut tree = Tree::new(options(false));
        tree.play_without_damage(&steps);
        // Another demand may bring keys of the range deeper when this is done with others.
        tree.demands.clear();
        tree.demand(lower, upper);
        tree.settle_demands();
        let in_range =
            |run: &RunMeta| run.overlaps(&(Included(&[lower][..]), Excluded(&[upper][..])));
        let reached: HashSet<_> = tree
            .version
            .runs()
            .filter(|(_, run)| in_range(run))
            .map(|(level, _)| level)
            .collect();
        assert!(
            reached.len() <= 1 && !reached.contains(&0),
            "{lower}..{upper} {:?}",
            tree.version
        );
        for (level, run) in tree.version.runs().filter(|(_, run)| in_range(run)) {
            assert_eq!(run.tombstone_count, 0, "level {level} {run:?}");
        }
    }
    QuickCheck::new()
        .rng(Gen::new(80))
        .tests(200)
        .quickcheck(holds as fn(Vec<Step>, u8, u8));
}

#[test]
fn a_queue_keeps_no_tombstones_below_its_first_level() {
    let mut tree = Tree::new(options(false));
    for head in 0..120_u8 {
        // Take two at the front, append two at the end.
        tree.flush(head.wrapping_mul(2), &[100, 101], false);
        let front = head.wrapping_mul(2);
        tree.flush_deletes(&[front, front.wrapping_add(1)]);
        tree.settle();
    }
    let deeper = tree.version.levels().iter().skip(1);
    assert_eq!(
        deeper.map(|level| level.tombstone_count()).sum::<u64>(),
        0,
        "{:?}",
        tree.version
    );
    assert!(
        tree.version
            .runs()
            .map(|(_, run)| run.entry_count)
            .sum::<u64>()
            < 120
    );
}

#[test]
fn what_was_deleted_leaves_nothing_behind_though_level_zero_is_below_its_trigger() {
    let mut tree = Tree::new(options(false));
    let keys: Vec<u8> = (0..240).collect();
    for chunk in keys.chunks(40) {
        tree.flush(0, chunk, false);
        tree.settle();
    }
    for chunk in keys.chunks(60) {
        tree.flush_deletes(chunk);
        tree.settle();
    }
    assert_eq!(tree.version.run_count(), 0, "{:?}", tree.version);
}

/// A demand was made of the outputs of all jobs too, and so never ended beside a writer. It is to take no
/// more steps than follow from the keys and the options.
#[test]
fn a_demand_ends_in_a_bounded_number_of_steps_whatever_is_written_beside_it() {
    fn holds(steps: Vec<Step>, writes: Vec<(u8, Vec<u8>, bool)>, lower: u8, upper: u8) {
        let mut tree = Tree::new(options(false));
        for step in &steps {
            tree.step(step);
        }
        tree.finish_all();
        tree.settle_demands();
        tree.demand(lower, upper);
        let l0_runs = tree.version.level(0).len();
        // Two jobs in a row of a level, the first of which does not end at a key that it was to end at,
        // have as many bytes as a stretch that a merge stops for: an eighth of 2 * 120 + 4 / 2 * 120. An
        // entry has ten, and there is one of a key in each of the two levels: so three keys or more.
        let jobs_per_level = 2 * 256 / 3 + 2;
        let steps_max = l0_runs + tree.options.level_count * jobs_per_level;
        let mut writes = writes.iter().cycle();
        for step in 0.. {
            assert!(step <= steps_max, "{step} steps: {:?}", tree.version);
            tree.start_owed(0);
            tree.finish_all();
            if tree.demands.is_empty() {
                break;
            }
            if let Some((first, keys, deletes)) = writes.next()
                && !keys.is_empty()
            {
                tree.flush(*first, keys, *deletes);
            }
            tree.start();
            tree.finish_all();
        }
    }
    QuickCheck::new()
        .rng(Gen::new(80))
        .tests(200)
        .quickcheck(holds as fn(Vec<Step>, Vec<(u8, Vec<u8>, bool)>, u8, u8));
}
