use lsm_wal::Position;

use super::*;
use crate::testing::run;

fn base() -> ManifestState {
    let edit = VersionEdit {
        added: vec![(0, run(7, "a", "z"))],
        log: Some(LogBounds {
            retired_below: 3,
            floor: Some(3),
            ..LogBounds::default()
        }),
        flushed_seqno: Some(40),
        ceilings: Some(Ceilings {
            run_id: 100,
            segment_id: 10,
            seqno: 1000,
        }),
        legacy_log_end: Some(500),
        unnamed: vec![5],
        ..VersionEdit::default()
    };
    ManifestState::default().apply(&edit).unwrap()
}

#[track_caller]
fn check_refused(edit: &VersionEdit, expected: &str) {
    assert_eq!(base().apply(edit).unwrap_err().to_string(), expected);
}

fn ceilings(run_id: u64, segment_id: u64, seqno: u64) -> VersionEdit {
    let ceilings = Some(Ceilings {
        run_id,
        segment_id,
        seqno,
    });
    VersionEdit {
        ceilings,
        ..VersionEdit::default()
    }
}

fn log(bounds: LogBounds) -> VersionEdit {
    VersionEdit {
        log: Some(bounds),
        ..VersionEdit::default()
    }
}

#[test]
fn an_empty_edit_changes_nothing_but_the_mark() {
    assert!(VersionEdit::default().is_empty());
    assert_eq!(base().apply(&VersionEdit::default()).unwrap(), base());
    let clean = VersionEdit {
        clean: true,
        ..VersionEdit::default()
    };
    assert!(!clean.is_empty());
    let closed = base().apply(&clean).unwrap();
    assert!(closed.is_clean());
    assert!(!closed.apply(&VersionEdit::default()).unwrap().is_clean());
}

#[test]
fn every_field_of_an_edit_reaches_the_state() {
    let state = base();
    assert_eq!(state.version.run_count(), 1);
    assert_eq!((state.log.retired_below, state.log.floor), (3, Some(3)));
    assert_eq!(state.flushed_seqno, 40);
    assert_eq!(state.legacy_log_end, Some(500));
    assert!(state.unnamed.iter().eq(&[5]));
    assert_eq!(
        state.ceilings,
        Ceilings {
            run_id: 100,
            segment_id: 10,
            seqno: 1000
        }
    );
}

#[test]
fn a_log_of_1x_is_to_be_replayed_until_a_seqno_is_flushed() {
    let came = VersionEdit {
        legacy_log_end: Some(0),
        ..ceilings(1, 1, 2)
    };
    let came = ManifestState::default().apply(&came).unwrap();
    assert!(came.replays_legacy_log() && !came.has_spent_legacy_log());
    let flushed = VersionEdit {
        flushed_seqno: Some(1),
        ..VersionEdit::default()
    };
    let spent = came.apply(&flushed).unwrap();
    assert!(!spent.replays_legacy_log() && spent.has_spent_legacy_log());
    let none = ManifestState::default();
    assert!(!none.replays_legacy_log() && !none.has_spent_legacy_log());
}

#[test]
fn what_came_from_1x_stays_as_it_was() {
    let end = |end| VersionEdit {
        legacy_log_end: Some(end),
        ..VersionEdit::default()
    };
    assert_eq!(base().apply(&end(500)).unwrap(), base());
    check_refused(
        &end(499),
        "the end of the log of lsm-db 1.x must not change",
    );

    let aside = |runs: &[RunId]| VersionEdit {
        unnamed: runs.to_vec(),
        ..VersionEdit::default()
    };
    let more = base().apply(&aside(&[4, 6])).unwrap();
    assert!(more.unnamed.iter().eq(&[4, 5, 6]));
    check_refused(&aside(&[5]), "a run is unnamed twice");
    check_refused(&aside(&[7]), "an unnamed run is at a level");
    check_refused(
        &aside(&[100]),
        "unnamed run 100 is not below its ceiling 100",
    );
    let added = VersionEdit {
        added: vec![(1, run(5, "a", "b"))],
        ..VersionEdit::default()
    };
    check_refused(&added, "an unnamed run is at a level");
    let mark = VersionEdit {
        clean: true,
        ..aside(&[4])
    };
    check_refused(&mark, "the mark of a clean close must not change runs");
}

#[test]
fn what_only_grows_is_never_lowered() {
    let edit = VersionEdit {
        flushed_seqno: Some(39),
        ..VersionEdit::default()
    };
    check_refused(&edit, "the flushed seqno would go back from 40 to 39");
    let edit = log(LogBounds {
        retired_below: 2,
        ..LogBounds::default()
    });
    check_refused(
        &edit,
        "the first segment not retired would go back from 3 to 2",
    );
    for (edit, expected) in [
        (
            ceilings(99, 10, 1000),
            "the run id ceiling would go back from 100 to 99",
        ),
        (
            ceilings(100, 9, 1000),
            "the segment id ceiling would go back from 10 to 9",
        ),
        (
            ceilings(100, 10, 999),
            "the seqno ceiling would go back from 1000 to 999",
        ),
    ] {
        check_refused(&edit, expected);
    }
}

#[test]
fn a_clean_edit_lowers_the_ceilings_to_the_exact_next_ids_and_no_further() {
    let clean = |edit: VersionEdit| VersionEdit {
        clean: true,
        ..edit
    };
    let next = base().apply(&clean(ceilings(8, 4, 41))).unwrap();
    assert_eq!(
        next.ceilings,
        Ceilings {
            run_id: 8,
            segment_id: 4,
            seqno: 41
        }
    );
    for (edit, expected) in [
        (ceilings(7, 4, 41), "run id 7 is not below its ceiling 7"),
        (
            ceilings(8, 3, 41),
            "floor segment 3 is not below its ceiling 3",
        ),
        (
            ceilings(8, 4, 40),
            "flushed seqno 40 is not below its ceiling 40",
        ),
    ] {
        check_refused(&clean(edit), expected);
    }
}

#[test]
fn ids_that_were_not_reserved_are_refused() {
    let edit = VersionEdit {
        added: vec![(0, run(100, "a", "b"))],
        ..VersionEdit::default()
    };
    check_refused(&edit, "run id 100 is not below its ceiling 100");
    let edit = VersionEdit {
        flushed_seqno: Some(1000),
        ..VersionEdit::default()
    };
    check_refused(&edit, "flushed seqno 1000 is not below its ceiling 1000");
    let edit = log(LogBounds {
        retired_below: 3,
        floor: Some(10),
        ..LogBounds::default()
    });
    check_refused(&edit, "floor segment 10 is not below its ceiling 10");
    let end = Some(Position {
        segment: 10,
        offset: 0,
    });
    let edit = log(LogBounds {
        retired_below: 3,
        end,
        ..LogBounds::default()
    });
    check_refused(
        &edit,
        "segment at the end of the log 10 is not below its ceiling 10",
    );
}

/// A manifest that called segments retired which were yet to come was accepted, and then each write
/// to the log was acknowledged and gone at the next open. Found by fuzzing.
#[test]
fn segments_that_were_never_given_out_are_not_retired() {
    let retired_below = |id| {
        log(LogBounds {
            retired_below: id,
            ..LogBounds::default()
        })
    };
    // The one that is given out next may be the first that is not retired.
    assert!(base().apply(&retired_below(10)).is_ok());
    check_refused(
        &retired_below(11),
        "retired segment 10 is not below its ceiling 10",
    );
    check_refused(
        &retired_below(u64::MAX),
        "retired segment 18446744073709551614 is not below its ceiling 10",
    );
}

#[test]
fn a_reservation_and_its_first_use_may_be_one_edit() {
    let edit = VersionEdit {
        added: vec![(0, run(100, "a", "b"))],
        ..ceilings(200, 10, 1000)
    };
    assert!(base().apply(&edit).is_ok());
}

#[test]
fn a_next_id_at_the_end_of_its_range_is_exhaustion_not_a_wrap() {
    assert!(base().apply(&ceilings(RUN_ID_MAX + 1, 10, 1000)).is_ok());
    for (edit, expected) in [
        (ceilings(RUN_ID_MAX + 2, 10, 1000), "no run ids are left"),
        (ceilings(100, u64::MAX, 1000), "no segment ids are left"),
        (ceilings(100, 10, u64::MAX), "no seqnos are left"),
    ] {
        check_refused(&edit, expected);
    }
}

#[test]
fn a_floor_that_is_retired_is_refused() {
    let edit = log(LogBounds {
        retired_below: 5,
        floor: Some(4),
        ..LogBounds::default()
    });
    check_refused(&edit, "the floor segment of the log is retired");
}

#[test]
fn the_mark_of_a_clean_close_changes_no_runs() {
    let expected = "the mark of a clean close must not change runs";
    let edit = VersionEdit {
        removed: vec![(0, 7)],
        clean: true,
        ..VersionEdit::default()
    };
    check_refused(&edit, expected);
    let edit = VersionEdit {
        added: vec![(1, run(8, "a", "b"))],
        clean: true,
        ..VersionEdit::default()
    };
    check_refused(&edit, expected);
}
