use lsm_fs::CrashImage;

use super::*;

const CUT: Crash = Crash::PowerCut(CrashImage::NothingUnsynced);

fn write(key: u8) -> Vec<Write> {
    vec![(vec![key], Some(vec![key]))]
}

fn state(keys: &[u8]) -> Model {
    keys.iter().map(|key| (vec![*key], vec![*key])).collect()
}

fn history(acknowledged: &[(u8, Durability)]) -> History {
    let mut history = History::new(true);
    for (key, durability) in acknowledged {
        history.begin(&write(*key));
        history.acknowledged(*durability);
    }
    history
}

#[test]
fn a_power_cut_may_take_the_newest_buffered_writes_and_nothing_before_a_synced_one() {
    use Durability::{Buffered, Sync};
    let history = history(&[(1, Buffered), (2, Sync), (3, Buffered), (4, Buffered)]);
    for allowed in [&[1, 2][..], &[1, 2, 3], &[1, 2, 3, 4]] {
        assert_eq!(history.explain(&state(allowed), CUT), Ok(()));
    }
    for lost in [&[][..], &[1], &[2], &[1, 2, 4], &[1, 2, 3, 4, 5]] {
        assert!(history.explain(&state(lost), CUT).is_err(), "{lost:?}");
    }
    assert!(history.explain(&state(&[1, 2, 3]), Crash::Kill).is_err());
    assert_eq!(history.explain(&state(&[1, 2, 3, 4]), Crash::Kill), Ok(()));
}

#[test]
fn a_kill_may_take_what_was_never_in_a_log() {
    let mut history = history(&[(1, Durability::Buffered)]);
    history.set_logged(false);
    assert_eq!(history.explain(&state(&[]), Crash::Kill), Ok(()));
}

#[test]
fn a_write_under_way_or_of_open_fate_may_be_found_and_a_rejected_one_may_not() {
    let mut history = history(&[(1, Durability::Sync)]);
    history.begin(&write(2));
    assert_eq!(history.explain(&state(&[1, 2]), CUT), Ok(()));
    assert_eq!(history.visible(), &state(&[1]));
    let mut rejected = history.clone();
    rejected.rejected();
    assert!(rejected.explain(&state(&[1, 2]), CUT).is_err());
    history.left_open();
    assert_eq!(history.explain(&state(&[1, 2]), Crash::Kill), Ok(()));
    assert_eq!(history.explain(&state(&[1]), Crash::Kill), Ok(()));
}

#[test]
fn what_a_settled_restart_has_shown_stays_and_what_an_unsettled_one_has_shown_may_go() {
    let mut history = history(&[(1, Durability::Sync), (2, Durability::Buffered)]);
    let mut unsettled = history.clone();
    history.resolve(state(&[1, 2]), true);
    assert!(history.explain(&state(&[1]), CUT).is_err());
    unsettled.resolve(state(&[1, 2]), false);
    assert_eq!(unsettled.explain(&state(&[1]), CUT), Ok(()));
    unsettled.begin(&write(3));
    unsettled.acknowledged(Durability::Buffered);
    assert!(unsettled.explain(&state(&[1]), CUT).is_err());
    assert_eq!(unsettled.explain(&state(&[1, 2]), CUT), Ok(()));
}

#[test]
fn an_answer_that_was_asked_for_as_sync_makes_what_it_saw_durable() {
    use Durability::{Buffered, Sync};
    let mut history = history(&[(1, Buffered), (2, Buffered)]);
    history.answered(Buffered);
    assert_eq!(history.explain(&state(&[1]), CUT), Ok(()));
    history.answered(Sync);
    assert!(history.explain(&state(&[1]), CUT).is_err());
    assert_eq!(history.explain(&state(&[1, 2]), CUT), Ok(()));
}
