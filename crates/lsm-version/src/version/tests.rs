use super::*;
use crate::testing::run;

/// A version as text: one level a line, `id smallest largest` for each run, in order.
fn drawn(version: &Version) -> String {
    let mut text = String::new();
    for (index, level) in version.levels().iter().enumerate() {
        let runs = level.runs().iter().map(|run| {
            let (smallest, largest) = (run.smallest_key.as_ref(), run.largest_key.as_ref());
            let [smallest, largest] = [smallest, largest].map(String::from_utf8_lossy);
            format!("{}[{smallest}-{largest}]", run.id)
        });
        let runs: Vec<String> = runs.collect();
        text += &format!("L{index}: {}\n", runs.join(" "));
    }
    text
}

fn edit(removed: &[(u8, RunId)], added: &[(u8, RunId, &str, &str)]) -> VersionEdit {
    let added = added
        .iter()
        .map(|(level, id, smallest, largest)| (*level, run(*id, smallest, largest)));
    VersionEdit {
        removed: removed.to_vec(),
        added: added.collect(),
        ..VersionEdit::default()
    }
}

fn base() -> Version {
    let edit = edit(
        &[],
        &[
            (0, 7, "a", "z"),
            (0, 9, "c", "d"),
            (1, 5, "m", "p"),
            (1, 4, "a", "f"),
            (3, 1, "a", "z"),
        ],
    );
    Version::empty().apply(&edit).unwrap()
}

#[track_caller]
fn check_apply(edit: &VersionEdit, expected: &str) {
    let version = base();
    let before = version.clone();
    let found = match version.apply(edit) {
        Ok(next) => drawn(&next),
        Err(error) => error.to_string(),
    };
    assert_eq!(found.trim_end(), expected);
    assert_eq!(version, before, "apply is pure");
}

#[test]
fn level_0_is_newest_first_and_deeper_levels_are_sorted() {
    let expected = "L0: 9[c-d] 7[a-z]\nL1: 4[a-f] 5[m-p]\nL2: \nL3: 1[a-z]\n";
    assert_eq!(drawn(&base()), expected);
    assert_eq!(base().run_count(), 5);
    assert_eq!(base().bytes(), 5 * 1000 + 7 + 9 + 5 + 4 + 1);
}

#[test]
fn an_edit_changes_the_levels_it_names() {
    check_apply(
        &edit(&[], &[(0, 11, "b", "b"), (0, 10, "a", "a")]),
        "L0: 10[a-a] 11[b-b] 9[c-d] 7[a-z]\nL1: 4[a-f] 5[m-p]\nL2: \nL3: 1[a-z]",
    );
    check_apply(
        &edit(
            &[(0, 7), (0, 9), (1, 4)],
            &[(1, 12, "d", "l"), (1, 11, "a", "c"), (1, 13, "q", "z")],
        ),
        "L0: \nL1: 11[a-c] 12[d-l] 5[m-p] 13[q-z]\nL2: \nL3: 1[a-z]",
    );
    check_apply(
        &edit(&[(3, 1)], &[]),
        "L0: 9[c-d] 7[a-z]\nL1: 4[a-f] 5[m-p]",
    );
}

#[test]
fn a_move_names_the_run_in_both_lists() {
    check_apply(
        &edit(&[(1, 5)], &[(2, 5, "m", "p")]),
        "L0: 9[c-d] 7[a-z]\nL1: 4[a-f]\nL2: 5[m-p]\nL3: 1[a-z]",
    );
}

#[test]
fn an_edit_that_removes_everything_leaves_the_empty_version() {
    let edit = edit(&[(0, 7), (0, 9), (1, 5), (1, 4), (3, 1)], &[]);
    assert_eq!(base().apply(&edit), Ok(Version::empty()));
}

#[test]
fn a_run_that_is_not_there_cannot_be_removed() {
    check_apply(
        &edit(&[(1, 7)], &[]),
        "run 7 to be removed is not at level 1",
    );
    check_apply(
        &edit(&[(9, 7)], &[]),
        "run 7 to be removed is not at level 9",
    );
    check_apply(
        &edit(&[(1, 4), (1, 4)], &[]),
        "run 4 to be removed is not at level 1",
    );
    check_apply(
        &edit(&[(16, 7)], &[]),
        "run 7 is placed at level 16, but there are only 16 levels",
    );
}

#[test]
fn a_run_id_occurs_once() {
    check_apply(
        &edit(&[], &[(0, 4, "a", "b")]),
        "run 4 occurs both at level 0 and at level 1",
    );
    check_apply(
        &edit(&[], &[(0, 12, "a", "b"), (4, 12, "a", "b")]),
        "run 12 occurs both at level 0 and at level 4",
    );
}

#[test]
fn newer_runs_never_stand_behind_overlapping_ones_of_a_sorted_level() {
    for (smallest, largest) in [("f", "g"), ("a", "a"), ("b", "c"), ("0", "z"), ("e", "n")] {
        let error = base()
            .apply(&edit(&[], &[(1, 12, smallest, largest)]))
            .unwrap_err();
        let overlap = matches!(
            error,
            EditError::Invariant(InvariantViolation::Overlap { level: 1, .. })
        );
        assert!(overlap, "{smallest}..={largest}: {error}");
    }
    assert!(base().apply(&edit(&[], &[(1, 12, "f\0", "l")])).is_ok());
}

#[test]
fn a_misdescribed_run_is_refused() {
    let good = RunMeta::clone(&run(12, "g", "h"));
    let bad = [
        RunMeta {
            id: RUN_ID_MAX + 1,
            ..good.clone()
        },
        RunMeta {
            smallest_key: "i".into(),
            ..good.clone()
        },
        RunMeta {
            tombstone_count: good.entry_count + 1,
            ..good.clone()
        },
        RunMeta {
            index_len: good.file_len + 1,
            ..good.clone()
        },
    ];
    for run in bad {
        let edit = VersionEdit {
            added: vec![(2, Arc::new(run))],
            ..VersionEdit::default()
        };
        let error = base().apply(&edit).unwrap_err();
        let misdescribed = matches!(
            error,
            EditError::Invariant(InvariantViolation::Misdescribed { level: 2, .. })
        );
        assert!(misdescribed, "{error}");
    }
}

#[test]
fn check_finds_what_apply_would_have_refused() {
    let unsorted = Level::sorted_runs(vec![run(2, "m", "p"), run(1, "a", "c")]);
    let twice = Level::overlapping_runs(vec![run(1, "a", "c"), run(1, "a", "c")]);
    for (levels, expected) in [
        (
            vec![Level::EMPTY, unsorted],
            "runs 2 and 1 at level 1 overlap or are out of order",
        ),
        (vec![twice], "run 1 occurs both at level 0 and at level 0"),
    ] {
        let version = Version {
            levels: levels.into_iter().map(Arc::new).collect(),
        };
        assert_eq!(version.check().unwrap_err().to_string(), expected);
    }
}

#[test]
fn untouched_levels_are_shared() {
    let base = base();
    let next = base.apply(&edit(&[], &[(0, 12, "a", "b")])).unwrap();
    assert!(Arc::ptr_eq(&base.levels()[1], &next.levels()[1]));
    assert!(!Arc::ptr_eq(&base.levels()[0], &next.levels()[0]));
}

#[test]
fn a_level_that_does_not_exist_is_empty() {
    assert!(base().level(2).is_empty());
    assert!(base().level(1000).is_empty());
}

quickcheck::quickcheck! {
    fn a_changed_level_is_searched_as_one_made_at_once(changes: Vec<(u8, u8, bool)>) -> bool {
        // Keys with prefixes of several lengths in common, so that the shared one comes and goes.
        let key = |number: u8| match number % 4 {
            0 => format!("{number:03}"),
            _ => format!("100000000000{number:03}"),
        };
        let mut version = Version::empty();
        for (id, (first, second, remove)) in (1..).zip(changes) {
            let removed = version.level(1).runs().get(usize::from(second) % 8);
            let removed = removed.filter(|_| remove).map(|run| (1, run.id));
            let (a, b) = (key(first), key(second % 16));
            let (smallest, largest) = if a < b { (&a, &b) } else { (&b, &a) };
            let edit = VersionEdit {
                removed: removed.into_iter().collect(),
                added: vec![(1, run(id, smallest, largest))],
                ..VersionEdit::default()
            };
            let Ok(next) = version.apply(&edit) else {
                continue;
            };
            let runs = next.level(1).runs();
            let at_once = Level::sorted_runs(runs.to_vec());
            assert_eq!(format!("{:?}", next.level(1)), format!("{at_once:?}"));
            version = next;
        }
        true
    }
}
