use lsm_db::Durability::{self, Buffered, Sync};
use lsm_fs::CrashImage;

use super::super::keys::{Name, mark, own};
use super::super::ledger::{PENDING, Promise};
use super::*;

const CUT: Seen = Seen::After(Crash::PowerCut(CrashImage::NothingUnsynced));
const KILL: Seen = Seen::After(Crash::Kill);

/// A ledger of commits that each write one key beside the mark.
fn ledger(logged: bool) -> Ledger {
    Ledger::new(Model::new(), logged)
}

fn commit(ledger: &mut Ledger, writer: usize, durability: Durability, times: (Time, Time)) {
    add(
        ledger,
        writer,
        durability,
        times,
        Answer::Acknowledged,
        Beside::Nothing,
    );
}

fn add(
    ledger: &mut Ledger,
    writer: usize,
    durability: Durability,
    (called, answered): (Time, Time),
    answer: Answer,
    beside: Beside,
) {
    let commits = ledger.commits.entry(writer).or_default();
    let number = commits.len() as u64 + 1;
    let key = own(writer, format!("{number}").as_bytes());
    commits.push(Commit {
        number,
        writes: vec![
            (key, Some(b"v".to_vec())),
            (mark(writer), Some(number.to_string().into_bytes())),
        ],
        beside,
        durability,
        called,
        answered,
        answer,
    });
}

/// The state with the first so many commits of each writer, those that were acknowledged and the
/// last of them.
fn state(ledger: &Ledger, counts: &[usize]) -> Model {
    let mut state = ledger.base.clone();
    for (writer, count) in counts.iter().enumerate() {
        let commits = ledger.commits.get(&writer).map_or(&[][..], Vec::as_slice);
        for (place, commit) in commits.iter().take(*count).enumerate() {
            if commit.answer == Answer::Acknowledged || place + 1 == *count {
                apply(&mut state, &commit.writes);
            }
        }
    }
    state
}

fn explain(ledger: &Ledger, at: Time, counts: &[usize], seen: Seen) -> Result<(), String> {
    let moment = Moment {
        ledger,
        from: at,
        to: at,
    };
    moment.explain_as(&state(ledger, counts), seen)
}

#[test]
fn a_power_cut_takes_buffered_commits_and_none_that_came_before_one_that_it_leaves() {
    let mut ledger = ledger(true);
    commit(&mut ledger, 0, Buffered, (1, 4));
    commit(&mut ledger, 1, Buffered, (2, 3));
    commit(&mut ledger, 1, Buffered, (5, 6));
    // The first two may have been in either order, and the third came after both.
    for allowed in [[0, 0], [1, 0], [0, 1], [1, 1], [1, 2]] {
        assert_eq!(explain(&ledger, 9, &allowed, CUT), Ok(()), "{allowed:?}");
    }
    let error = explain(&ledger, 9, &[0, 2], CUT).unwrap_err();
    assert!(error.contains("no prefix"), "{error}");
    assert!(explain(&ledger, 9, &[1, 1], KILL).is_err());
    assert_eq!(explain(&ledger, 9, &[1, 2], KILL), Ok(()));
    // While the last was under way a kill might take it, and before its call it is not there.
    assert_eq!(explain(&ledger, 5, &[1, 1], KILL), Ok(()));
    assert!(explain(&ledger, 4, &[1, 2], KILL).is_err());
}

#[test]
fn what_was_promised_stays() {
    let mut synced = ledger(true);
    commit(&mut synced, 0, Buffered, (1, 2));
    commit(&mut synced, 0, Sync, (3, 5));
    commit(&mut synced, 0, Buffered, (6, 7));
    assert!(explain(&synced, 9, &[1], CUT).is_err());
    assert_eq!(explain(&synced, 9, &[2], CUT), Ok(()));
    assert_eq!(explain(&synced, 4, &[0], CUT), Ok(()));

    let mut flushed = ledger(false);
    commit(&mut flushed, 0, Buffered, (1, 2));
    commit(&mut flushed, 0, Buffered, (4, 6));
    assert_eq!(explain(&flushed, 9, &[0], KILL), Ok(()));
    flushed.promises.push(Promise {
        by: "flush()",
        called: 5,
        answered: 8,
    });
    assert!(explain(&flushed, 9, &[0], KILL).is_err());
    // The second was acknowledged after the call, and before the answer nothing is promised.
    assert_eq!(explain(&flushed, 9, &[1], KILL), Ok(()));
    assert_eq!(explain(&flushed, 7, &[0], KILL), Ok(()));
}

#[test]
fn a_failed_commit_is_in_no_state_if_the_handle_went_on_and_else_in_no_view() {
    let mut ledger = ledger(true);
    commit(&mut ledger, 0, Buffered, (1, 2));
    add(
        &mut ledger,
        0,
        Sync,
        (3, 4),
        Answer::Failed,
        Beside::Nothing,
    );
    assert_eq!(explain(&ledger, 9, &[2], CUT), Ok(()));
    assert_eq!(explain(&ledger, 9, &[1], KILL), Ok(()));
    assert!(explain(&ledger, 9, &[2], Seen::Live).is_err());
    commit(&mut ledger, 1, Buffered, (5, 6));
    assert!(explain(&ledger, 9, &[2], CUT).is_err());
    // A crash in the middle of it is another matter.
    assert_eq!(explain(&ledger, 3, &[2], CUT), Ok(()));
    add(
        &mut ledger,
        1,
        Sync,
        (7, 8),
        Answer::Unmet,
        Beside::Count(1),
    );
    let error = explain(&ledger, 9, &[1, 2], CUT).unwrap_err();
    assert!(error.contains("not met"), "{error}");
    add(
        &mut ledger,
        0,
        Sync,
        (9, PENDING),
        Answer::None,
        Beside::Nothing,
    );
    assert_eq!(explain(&ledger, 9, &[3, 1], CUT), Ok(()));
}

#[test]
fn a_key_that_is_not_as_the_last_commit_left_it_is_found() {
    let mut ledger = ledger(true);
    ledger.base.insert(b"other".to_vec(), b"v".to_vec());
    commit(&mut ledger, 0, Buffered, (1, 2));
    let at = Moment {
        ledger: &ledger,
        from: 0,
        to: 9,
    };
    let whole = state(&ledger, &[1]);
    assert_eq!(at.explain_as(&whole, CUT), Ok(()));
    for key in whole.keys() {
        let mut less = whole.clone();
        less.remove(key);
        assert!(at.explain_as(&less, CUT).is_err(), "without {key:?}");
        let mut other = whole.clone();
        other.insert(key.clone(), b"7".to_vec());
        assert!(at.explain_as(&other, CUT).is_err(), "another {key:?}");
    }
}

#[test]
fn the_shared_keys_are_those_of_the_last_commit_that_wrote_them() {
    let mut ledger = ledger(true);
    let shared = Beside::Shared;
    add(
        &mut ledger,
        0,
        Buffered,
        (1, 4),
        Answer::Acknowledged,
        shared,
    );
    add(
        &mut ledger,
        1,
        Buffered,
        (2, 3),
        Answer::Acknowledged,
        shared,
    );
    add(
        &mut ledger,
        1,
        Buffered,
        (5, 6),
        Answer::Acknowledged,
        shared,
    );
    let at = Moment {
        ledger: &ledger,
        from: 0,
        to: 9,
    };
    let with = |counts: &[usize], writer: usize, number: u64| {
        let mut state = state(&ledger, counts);
        let name = Name {
            count: 0,
            writer,
            number,
        };
        for key in SHARED {
            state.insert(key.to_vec(), name.value());
        }
        state
    };
    assert_eq!(at.explain_as(&with(&[1, 1], 0, 1), CUT), Ok(()));
    assert_eq!(at.explain_as(&with(&[1, 1], 1, 1), CUT), Ok(()));
    assert_eq!(at.explain_as(&with(&[1, 2], 1, 2), CUT), Ok(()));
    // Written before the last, by one that is not there, or by none.
    assert!(at.explain_as(&with(&[1, 2], 0, 1), CUT).is_err());
    assert!(at.explain_as(&with(&[1, 1], 1, 2), CUT).is_err());
    assert!(at.explain_as(&state(&ledger, &[1, 1]), CUT).is_err());
    let mut half = with(&[1, 2], 1, 2);
    half.remove(SHARED[1]);
    let error = at.explain_as(&half, CUT).unwrap_err();
    assert!(error.contains("half a batch"), "{error}");
}

#[test]
fn each_count_is_raised_once_and_none_is_left_out() {
    let mut ledger = ledger(true);
    for (writer, count, times) in [(0, 1, (1, 2)), (1, 2, (3, 4)), (0, 3, (5, 6))] {
        let beside = Beside::Count(count);
        add(
            &mut ledger,
            writer,
            Buffered,
            times,
            Answer::Acknowledged,
            beside,
        );
    }
    let with = |ledger: &Ledger, counts: &[usize], count: u64, writer: usize, number: u64| {
        let mut state = state(ledger, counts);
        let name = Name {
            count,
            writer,
            number,
        };
        state.insert(COUNTER.to_vec(), name.value());
        let at = Moment {
            ledger,
            from: 0,
            to: 9,
        };
        at.explain_as(&state, CUT)
    };
    assert_eq!(with(&ledger, &[1, 1], 2, 1, 1), Ok(()));
    assert_eq!(with(&ledger, &[2, 1], 3, 0, 2), Ok(()));
    assert!(with(&ledger, &[2, 1], 2, 1, 1).is_err());
    assert!(with(&ledger, &[1, 0], 2, 1, 1).is_err());
    assert!(with(&ledger, &[2, 1], 3, 1, 1).is_err());
    // Two were told that they raised it to 3.
    let third = Beside::Count(3);
    add(
        &mut ledger,
        1,
        Buffered,
        (5, 7),
        Answer::Acknowledged,
        third,
    );
    let error = with(&ledger, &[2, 2], 3, 1, 2).unwrap_err();
    assert!(error.contains("twice"), "{error}");
}
