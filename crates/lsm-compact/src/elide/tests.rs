use super::*;
use crate::job::JobKind;
use crate::testing::{run_meta, version};

/// Asks about every letter from a to h, ascending.
fn dropped(elision: &mut Elision) -> String {
    let mut letters = "abcdefgh".chars().filter(|letter| {
        let mut key = [0; 1];
        elision.drops_tombstone(letter.encode_utf8(&mut key).as_bytes())
    });
    letters.by_ref().collect()
}

fn job(inputs: &[(u8, &Arc<RunMeta>)], output_level: u8) -> Job {
    let inputs = inputs
        .iter()
        .map(|(level, run)| (*level, Arc::clone(run)))
        .collect();
    Job::new(JobKind::Merge, inputs, output_level).unwrap()
}

#[test]
fn at_the_bottom_of_everything_all_tombstones_go() {
    let (upper, lower) = (run_meta(2, "a", "h", 10), run_meta(1, "b", "g", 10));
    let version = version(&[(0, &upper), (3, &lower)]);
    let mut elision = Elision::new(&version, &job(&[(0, &upper), (3, &lower)], 3));
    assert_eq!(dropped(&mut elision), "abcdefgh");
}

#[test]
fn a_tombstone_stays_over_every_older_run_outside_the_job() {
    let input = run_meta(9, "a", "h", 10);
    let cases = [
        // An older L0 run.
        (vec![(0, run_meta(1, "b", "c", 10))], "adefgh"),
        // Runs of the output level that were not picked, and deeper ones; gaps between them.
        (
            vec![
                (1, run_meta(1, "c", "c", 10)),
                (1, run_meta(2, "e", "f", 10)),
            ],
            "abdgh",
        ),
        (
            vec![
                (2, run_meta(1, "a", "b", 10)),
                (4, run_meta(2, "g", "z", 10)),
            ],
            "cdef",
        ),
        (
            vec![
                (1, run_meta(1, "A", "Z", 10)),
                (1, run_meta(2, "i", "z", 10)),
            ],
            "abcdefgh",
        ),
    ];
    for (older, expected) in cases {
        let mut runs = vec![(0, &input)];
        runs.extend(older.iter().map(|(level, run)| (*level, run)));
        let elision = &mut Elision::new(&version(&runs), &job(&[(0, &input)], 1));
        assert_eq!(dropped(elision), expected, "{older:?}");
    }
}

#[test]
fn newer_runs_keep_no_tombstone() {
    let (newest, newer) = (run_meta(9, "a", "h", 10), run_meta(8, "a", "h", 10));
    let (upper, lower) = (run_meta(2, "a", "d", 10), run_meta(1, "c", "h", 10));
    let sibling = run_meta(3, "e", "f", 10);
    let version = version(&[
        (0, &newest),
        (0, &newer),
        (1, &upper),
        (1, &sibling),
        (2, &lower),
    ]);
    let mut elision = Elision::new(&version, &job(&[(1, &upper), (2, &lower)], 2));
    assert_eq!(dropped(&mut elision), "abcdefgh");

    let mut elision = Elision::new(
        &version,
        &job(&[(0, &newer), (1, &upper), (1, &sibling)], 1),
    );
    assert_eq!(dropped(&mut elision), "ab");
}

#[test]
fn a_run_rewritten_in_place_sees_only_what_is_deeper() {
    let (run, sibling) = (run_meta(2, "a", "d", 10), run_meta(3, "e", "h", 10));
    let deeper = run_meta(1, "b", "b", 10);
    let version = version(&[(1, &run), (1, &sibling), (2, &deeper)]);
    let mut elision = Elision::new(&version, &job(&[(1, &run)], 1));
    assert_eq!(dropped(&mut elision), "acdefgh");
}

#[test]
fn keys_out_of_order_get_the_same_answers() {
    let input = run_meta(9, "a", "h", 10);
    let older: Vec<_> = ["b", "d", "f"]
        .map(|key| run_meta(u64::from(key.as_bytes()[0]), key, key, 1))
        .into();
    let mut runs = vec![(0, &input)];
    runs.extend(older.iter().map(|run| (1, run)));
    let mut elision = Elision::new(&version(&runs), &job(&[(0, &input)], 1));
    for key in ["h", "b", "a", "f", "d", "b", "c", "f", "a"] {
        let is_older = ["b", "d", "f"].contains(&key);
        assert_eq!(elision.drops_tombstone(key.as_bytes()), !is_older, "{key}");
    }
}
