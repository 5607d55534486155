//! Conditions on writes: what a batch may require, what its answer is worth, and many threads that
//! all want to be the one.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lsm_db::{Batch, Durability, Error, Lsm, LsmConfig, Required};
use lsm_fs::{CrashImage, Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::counter::{self, Tally};
use lsm_tests::machine::Machine;
use lsm_tests::model::{Write, check, contents, key, value};
use lsm_tests::placement::everywhere;

fn requiring(requires: &[(&str, Option<&str>)]) -> Batch {
    let mut batch = Batch::new();
    for (key, expected) in requires {
        batch.require(key, expected.map(str::as_bytes));
    }
    batch
}

/// The key that a failed condition names.
fn unmet(answer: lsm_db::Result<()>) -> Result<String, String> {
    match answer {
        Err(Error::ConditionFailed { key, .. }) => Ok(String::from_utf8_lossy(&key).into_owned()),
        other => Err(format!("no failed condition but {other:?}")),
    }
}

fn buffered() -> LsmConfig {
    LsmConfig::new().durability(Durability::Buffered)
}

#[test]
fn a_batch_is_applied_only_if_everything_it_requires_is_so() -> TestResult {
    let db = Machine::new(LsmConfig::new(), 1).open()?;
    db.put("a", "1")?;
    let mut batch = requiring(&[("a", Some("1")), ("b", None)]);
    batch.put("b", "2");
    batch.delete("a");
    db.write(batch.clone())?;
    assert_eq!((db.get("a")?, db.get("b")?), (None, Some(b"2".to_vec())));

    assert_eq!(unmet(db.write(batch))?, "a", "the first that is unmet");
    let mut batch = requiring(&[("a", None), ("b", Some("3"))]);
    batch.put("a", "never");
    assert_eq!(unmet(db.write(batch))?, "b", "all must be met");
    assert_eq!((db.get("a")?, db.get("b")?), (None, Some(b"2".to_vec())));
    Ok(())
}

#[test]
fn requirements_are_judged_before_the_batchs_own_operations_wherever_they_stand() -> TestResult {
    let db = Machine::new(LsmConfig::new(), 1).open()?;
    let mut batch = Batch::new();
    batch.put("a", "1");
    batch.require("a", None);
    db.write(batch)?;
    assert_eq!(db.get("a")?, Some(b"1".to_vec()));
    Ok(())
}

#[test]
fn requirements_that_contradict_each_other_are_never_met() -> TestResult {
    let db = Machine::new(LsmConfig::new(), 1).open()?;
    for present in [false, true] {
        let batch = requiring(&[("a", Some("1")), ("a", None)]);
        assert_eq!(unmet(db.write(batch))?, "a", "{present}");
        db.put("a", "1")?;
    }
    Ok(())
}

#[test]
fn an_empty_value_is_not_absence_and_a_prefix_not_the_value() -> TestResult {
    let db = Machine::new(LsmConfig::new(), 1).open()?;
    db.put("empty", "")?;
    db.put("long", "value")?;
    db.write(requiring(&[
        ("empty", Some("")),
        ("absent", None),
        ("", None),
    ]))?;
    assert_eq!(unmet(db.write(requiring(&[("empty", None)])))?, "empty");
    assert_eq!(
        unmet(db.write(requiring(&[("absent", Some(""))])))?,
        "absent"
    );
    assert_eq!(
        unmet(db.write(requiring(&[("long", Some("val"))])))?,
        "long"
    );
    Ok(())
}

#[test]
fn a_batch_of_requirements_alone_is_a_check_that_writes_nothing() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    db.put("a", "1")?;
    let (mutations, stats) = (machine.faults.mutation_count(), db.stats());
    let check = requiring(&[("a", Some("1"))]);
    assert!(check.is_empty());
    db.write(check)?;
    assert_eq!(unmet(db.write(requiring(&[("a", None)])))?, "a");
    assert_eq!(machine.faults.mutation_count(), mutations);
    assert_eq!(db.stats().user_bytes, stats.user_bytes);
    Ok(())
}

#[test]
fn compare_and_set_and_put_if_absent_say_whether_they_did() -> TestResult {
    let db = Machine::new(LsmConfig::new(), 1).open()?;
    assert!(db.put_if_absent("k", "1")?);
    assert!(!db.put_if_absent("k", "2")?);
    assert!(!db.compare_and_set("k", None, Some(b"2"))?);
    assert!(!db.compare_and_set("k", Some(b"2"), None)?);
    assert_eq!(db.get("k")?, Some(b"1".to_vec()));
    assert!(db.compare_and_set("k", Some(b"1"), Some(b"2"))?);
    assert_eq!(db.get("k")?, Some(b"2".to_vec()));
    assert!(db.compare_and_set("k", Some(b"2"), None)?);
    assert_eq!(db.get("k")?, None);
    assert!(db.compare_and_set("k", None, None)?);
    Ok(())
}

#[test]
fn the_error_says_whether_absence_was_required() -> TestResult {
    let db = Machine::new(LsmConfig::new(), 1).open()?;
    db.put("there", "1")?;
    for (key, expected, required, told) in [
        (
            "there",
            None,
            Required::Absent,
            "has a value, and was required to be absent",
        ),
        (
            "there",
            Some("2"),
            Required::Value,
            "does not have the value required",
        ),
        (
            "gone",
            Some("2"),
            Required::Value,
            "does not have the value required",
        ),
    ] {
        let error = db.write(requiring(&[(key, expected)])).err().ok_or("met")?;
        assert_eq!(
            error.to_string(),
            format!("condition failed: the key \"{key}\" {told}")
        );
        let said = match error {
            Error::ConditionFailed { required, .. } => required,
            other => return Err(other.into()),
        };
        assert_eq!(said, required, "{key}");
    }
    Ok(())
}

#[test]
fn the_error_names_the_key_briefly_and_ends_nothing() -> TestResult {
    let db = Machine::new(LsmConfig::new(), 1).open()?;
    let mut batch = Batch::new();
    batch.require([b"\xff", vec![b'k'; 5000].as_slice()].concat(), Some(b"1"));
    let Err(error) = db.write(batch) else {
        return Err("the condition is not met".into());
    };
    assert_eq!((error.kind(), error.is_fatal()), ("ConditionFailed", false));
    let message = error.to_string();
    assert!(
        message.contains("\\xffkkk") && message.len() < 200,
        "{message}"
    );
    assert!(!db.stats().poisoned);
    db.put("k", "v")?;
    Ok(())
}

/// A right and a wrong condition on each key, and a change there and back, wherever it is.
fn judges_every_key(db: &Lsm, keys: impl Iterator<Item = Vec<u8>>) -> TestResult {
    for key in keys {
        let now = db.get(&key)?;
        let now = now.as_deref();
        let wrong = if now.is_some() { None } else { Some(&b""[..]) };
        let name = key.escape_ascii().to_string();
        for (expected, is_met) in [(now, true), (wrong, false), (Some(b"other"), false)] {
            let mut check = Batch::new();
            check.require(&key, expected);
            let answer = db.write(check);
            match answer {
                Ok(()) if is_met => {}
                Err(Error::ConditionFailed { key: named, .. }) if !is_met && named == key => {}
                other => return Err(format!("{name}: {is_met}, but {other:?}").into()),
            }
        }
        let there = db.compare_and_set(&key, now, Some(b"new"))?;
        let twice = db.compare_and_set(&key, now, Some(b"never"))?;
        let back = db.compare_and_set(&key, Some(b"new"), now)?;
        if (there, twice, back) != (true, false, true) {
            return Err(format!("{name}: {:?}", (there, twice, back)).into());
        }
    }
    Ok(())
}

#[test]
fn conditions_see_memtables_level_0_deeper_levels_and_tombstones() -> TestResult {
    let puts = (0..60).map(|number| (key(number), Some(value(number, 0))));
    let deletes = (0..60).step_by(3).map(|number| (key(number), None));
    let changes = (0..60).step_by(4);
    let changes = changes.map(|number| (key(number), Some(value(number, 1))));
    let writes: Vec<Write> = puts.chain(deletes).chain(changes).collect();
    // Those that were never there too.
    everywhere(&writes, |db, _| judges_every_key(db, (0..62).map(key)))
}

#[test]
fn conditions_see_sealed_memtables() -> TestResult {
    let machine = Machine::new(buffered().memtable_capacity(600), 1);
    let db = machine.open()?;
    for number in 0..24 {
        db.put(key(number), value(number, 0))?;
    }
    db.delete(key(0))?;
    assert!(db.stats().sealed_memtables > 1 && db.stats().flushes == 0);
    judges_every_key(&db, (0..26).map(key))
}

#[test]
fn without_a_log_conditions_are_judged_the_same() -> TestResult {
    let machine = Machine::new(LsmConfig::new().wal(false), 1);
    let db = machine.open()?;
    for number in (0..20).step_by(2) {
        db.put(key(number), value(number, 0))?;
    }
    judges_every_key(&db, (0..20).map(key))?;
    db.flush()?;
    judges_every_key(&db, (0..20).map(key))?;
    let asks_too_much = db.write_with(requiring(&[("k", None)]), Durability::Sync);
    assert!(matches!(asks_too_much, Err(Error::InvalidInput { .. })));
    Ok(())
}

/// Also if what it saw is in log segments that were never synced and are not written any more.
#[test]
fn what_an_answer_depends_on_survives_a_power_cut_if_it_was_asked_for_as_sync() -> TestResult {
    for (expected, memtable_bytes) in [(Some("1"), 1 << 20), (None, 1 << 20), (None, 1)] {
        let machine = Machine::new(buffered().memtable_capacity(memtable_bytes), 1);
        let db = machine.open()?;
        db.put("z", "before")?;
        db.put("k", "1")?;
        let answer = db.write_with(requiring(&[("k", expected)]), Durability::Sync);
        assert_eq!(answer.is_ok(), expected.is_some());
        let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
        check(&left.open()?, &contents(&db)?)?;
    }
    Ok(())
}

#[test]
fn a_power_cut_may_take_a_buffered_outcome_back() -> TestResult {
    let machine = Machine::new(buffered(), 1);
    let db = machine.open()?;
    db.write_with(Batch::new(), Durability::Sync)?;
    assert!(db.put_if_absent("k", "1")?);
    assert!(!db.put_if_absent("k", "2")?);
    assert_eq!(machine.after_kill().open()?.get("k")?, Some(b"1".to_vec()));
    let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
    assert!(left.open()?.put_if_absent("k", "2")?);
    Ok(())
}

#[test]
fn a_read_error_rejects_the_batch_and_the_next_try_succeeds() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    db.put("k", "1")?;
    db.flush()?;
    let is_run = |path: &Path| path.extension().is_some_and(|end| end == "sst");
    for operation in [Operation::Open, Operation::ReadAt] {
        let broken = Fault::from_raw_os_error(5);
        machine.faults.fail_when(operation, is_run, broken);
        let answer = db.compare_and_set("k", Some(b"1"), Some(b"2"));
        assert!(matches!(answer, Err(Error::Io { .. })), "{answer:?}");
        db.put("beside", "v")?;
    }
    assert!(!db.stats().poisoned);
    assert!(db.compare_and_set("k", Some(b"1"), Some(b"2"))?);
    Ok(())
}

#[test]
fn a_check_needs_no_room_but_a_handle_that_may_write() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    db.put("k", "1")?;
    let full = Fault::new(std::io::ErrorKind::StorageFull).for_good();
    machine.faults.fail_when(Operation::Append, |_| true, full);
    db.write(requiring(&[("k", Some("1"))]))?;
    assert!(!db.put_if_absent("k", "2")?);
    assert!(db.put_if_absent("new", "v").is_err(), "there is no room");
    machine.faults.clear_faults();

    let broken = Fault::from_raw_os_error(5);
    machine.faults.fail_when(Operation::Sync, |_| true, broken);
    assert!(db.put("k", "2").is_err());
    let refused = db.write(requiring(&[("k", Some("1"))]));
    assert!(
        matches!(refused, Err(Error::Poisoned { .. })),
        "{refused:?}"
    );
    Ok(())
}

/// Time for a few threads to get into the commit queue. If it is too short for one of them, the
/// test is weaker and no less right.
const TIME_TO_QUEUE: Duration = Duration::from_millis(20);

const CLAIMANTS: usize = 6;

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

/// What those hear who claim a key while the sync of another write hangs, so that they are one
/// group; `prepare` runs before it goes on.
fn claim_in_one_group(
    machine: &Machine,
    db: &Lsm,
    prepare: impl FnOnce(),
) -> Vec<lsm_db::Result<bool>> {
    let parked = machine.faults.park(Operation::Sync, is_segment);
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| db.put("first", "v"));
        parked.wait_for_arrival();
        let claimants: Vec<_> = (0..CLAIMANTS)
            .map(|number| scope.spawn(move || db.put_if_absent("claim", value(number, 0))))
            .collect();
        std::thread::sleep(TIME_TO_QUEUE);
        prepare();
        parked.release();
        assert!(matches!(leader.join(), Ok(Ok(()))));
        let joined = claimants
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join);
        joined.filter_map(Result::ok).collect()
    })
}

/// All conditions but the first depend on a member of their own group.
#[test]
fn of_many_who_claim_a_key_in_one_group_one_is_told_that_it_did() -> TestResult {
    for round in 0..8 {
        let machine = Machine::on_threads(LsmConfig::new());
        let db = machine.open()?;
        // Makes the segment: the next sync is a group's.
        db.put("before", "v")?;
        let answers = claim_in_one_group(&machine, &db, || {});
        let won = |answer: &&lsm_db::Result<bool>| matches!(answer, Ok(true));
        let lost = |answer: &&lsm_db::Result<bool>| matches!(answer, Ok(false));
        assert_eq!(
            answers.iter().filter(won).count(),
            1,
            "round {round}: {answers:?}"
        );
        let lost = answers.iter().filter(lost).count();
        assert_eq!(lost, CLAIMANTS - 1, "round {round}: {answers:?}");
        let winner = answers.iter().position(|answer| matches!(answer, Ok(true)));
        let winner = winner.map(|number| value(number, 0));
        assert_eq!(db.get("claim")?, winner, "round {round}");
    }
    Ok(())
}

/// Who lost the claim was told so before the winner's write was durable; then its sync failed, and
/// there was no winner (fault 63).
#[test]
fn a_failed_sync_is_the_answer_of_those_whose_condition_failed_too() -> TestResult {
    for round in 0..8 {
        let machine = Machine::on_threads(LsmConfig::new());
        let db = machine.open()?;
        // Makes the segment: the next sync is a group's.
        db.put("before", "v")?;
        let answers = claim_in_one_group(&machine, &db, || {
            let broken = Fault::from_raw_os_error(5).for_good();
            let syncs = std::sync::atomic::AtomicUsize::new(0);
            let is_later = move |path: &Path| {
                // The parked one is the leader's, and let through.
                is_segment(path) && syncs.fetch_add(1, Ordering::SeqCst) >= 1
            };
            machine.faults.fail_when(Operation::Sync, is_later, broken);
        });
        assert_eq!(answers.len(), CLAIMANTS);
        for answer in &answers {
            let has_cause = match answer {
                Err(Error::Io { source, .. }) => source.raw_os_error() == Some(5),
                Err(Error::Poisoned { cause, .. }) => cause.contains("os error 5"),
                _ => false,
            };
            assert!(has_cause, "round {round}: {answers:?}");
        }
        assert_eq!(db.get("claim")?, None);
    }
    Ok(())
}

const THREADS: usize = 8;

/// `cargo xtask soak` goes on with it, over kills of a process.
#[test]
fn a_counter_that_eight_threads_raise_is_exact_also_after_a_kill() -> TestResult {
    let machine = Machine::on_threads(buffered().memtable_capacity(64 << 10));
    let db = machine.open()?;
    let tally = Tally::default();
    counter::raise(&db, THREADS, 1250, &tally)?;
    assert_eq!(counter::count(&db)?, 10_000);
    let left = machine.after_kill();
    assert_eq!(counter::count(&left.open()?)?, 10_000);
    Ok(())
}

/// The power goes while the threads count. Each of them may have one increment under way.
#[test]
fn a_counter_never_falls_behind_what_was_acknowledged_as_sync() -> TestResult {
    let machine = Machine::on_threads(LsmConfig::new().memtable_capacity(4 << 10));
    let db = machine.open()?;
    let tally = Tally::default();
    let acknowledged = || tally.acknowledged.load(Ordering::SeqCst);
    std::thread::scope(|scope| -> TestResult {
        let counting = scope.spawn(|| counter::raise(&db, THREADS, 150, &tally));
        let mut cuts = 0;
        while cuts < 6 || !counting.is_finished() {
            for image in CrashImage::standard(cuts) {
                let least = acknowledged();
                let left = machine.after_power_cut(&image);
                let most = acknowledged() + THREADS as u64;
                let found = counter::count(&left.open()?)?;
                let allowed = least..=most;
                assert!(
                    allowed.contains(&found),
                    "{image:?}: {found} in {allowed:?}"
                );
            }
            cuts += 1;
        }
        counting.join().map_err(|_| "a thread panicked")??;
        Ok(())
    })?;
    let total = THREADS as u64 * 150;
    assert_eq!(counter::count(&db)?, total);
    let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
    assert_eq!(counter::count(&left.open()?)?, total);
    Ok(())
}
