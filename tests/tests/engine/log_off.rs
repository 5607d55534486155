//! Without a log: what is promised less, and what becomes of a log that was there before.

use lsm_db::{Batch, Durability, Error, LsmConfig};
use lsm_fs::{ByPath, CrashImage};
use lsm_tests::TestResult;
use lsm_tests::directory::segments;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, contents, key, value};

fn without_log() -> LsmConfig {
    LsmConfig::new().wal(false)
}

fn no_segments(machine: &Machine) -> TestResult {
    let segments = segments(&machine.disk, machine.dir())?;
    if segments.is_empty() {
        Ok(())
    } else {
        Err(format!("a log is there: {segments:?}").into())
    }
}

#[test]
fn no_log_is_written() -> TestResult {
    let machine = Machine::new(without_log().memtable_capacity(500), 0);
    let db = machine.open()?;
    for number in 0..50 {
        db.put(key(number), value(number, 0))?;
        no_segments(&machine)?;
    }
    assert_eq!(db.iter().count(), 50);
    Ok(())
}

#[test]
fn a_write_that_asks_for_durability_is_invalid_input_and_not_applied() -> TestResult {
    let machine = Machine::new(without_log(), 0);
    let db = machine.open()?;
    let mut batch = Batch::new();
    batch.put("k", "v");
    let refused = db.write_with(batch.clone(), Durability::Sync);
    assert!(
        matches!(refused, Err(Error::InvalidInput { .. })),
        "{refused:?}"
    );
    assert_eq!(db.get("k")?, None);
    db.write_with(batch, Durability::Buffered)?;
    assert_eq!(db.get("k")?, Some(b"v".to_vec()));
    Ok(())
}

#[test]
fn close_flushes_and_drop_tries_to() -> TestResult {
    for closes in [true, false] {
        let machine = Machine::new(without_log(), 0);
        let db = machine.open()?;
        db.put("k", "v")?;
        if closes {
            db.close()?;
        } else {
            drop(db);
        }
        let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
        assert_eq!(
            left.open()?.get("k")?,
            Some(b"v".to_vec()),
            "closes: {closes}"
        );
    }
    Ok(())
}

#[test]
fn sync_flushes() -> TestResult {
    let machine = Machine::new(without_log(), 0);
    let db = machine.open()?;
    db.put("flushed", "v")?;
    db.sync()?;
    db.put("not flushed", "v")?;
    let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
    let db = left.open()?;
    assert_eq!(db.get("flushed")?, Some(b"v".to_vec()));
    assert_eq!(db.get("not flushed")?, None);
    Ok(())
}

#[test]
fn an_existing_log_is_replayed_flushed_and_retired_before_the_first_write() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 0);
    let db = machine.open()?;
    for number in 0..20 {
        db.put(key(number), value(number, 0))?;
    }
    let model = contents(&db)?;
    drop(db);

    let machine = machine.reconfigured(without_log());
    let db = machine.open()?;
    check(&db, &model)?;
    let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
    check(&left.open()?, &model)?;

    // No background step is made but by the write, which waits until the log is needed no more.
    db.put(key(20), value(20, 0))?;
    let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
    for segment in segments(&left.disk, left.dir())? {
        left.disk.remove_file(&segment)?;
    }
    check(&left.open()?, &model)?;
    machine.settle();
    no_segments(&machine)
}

/// A log left by an earlier open replayed over newer runs, and old values came back (fault 53).
#[test]
fn old_values_do_not_come_back_when_the_log_is_switched_off_and_on() -> TestResult {
    let mut machine = Machine::new(LsmConfig::new(), 0);
    let mut model = Model::new();
    for age in 0..9 {
        let config = if age % 2 == 0 {
            LsmConfig::new()
        } else {
            without_log()
        };
        machine = machine.reconfigured(config);
        let db = machine.open()?;
        check(&db, &model).map_err(|error| format!("age {age}: {error}"))?;
        for number in 0..10 {
            if (number + age) % 4 != 0 {
                db.put(key(number), value(number, age))?;
                model.insert(key(number), value(number, age));
            }
        }
        db.delete(key(age))?;
        model.remove(&key(age));
        if age % 3 == 0 {
            drop(db);
        } else {
            db.close()?;
        }
        for image in CrashImage::standard(age as u64) {
            check(&machine.after_power_cut(&image).open()?, &model)
                .map_err(|error| format!("age {age}, {image:?}: {error}"))?;
        }
    }
    check(&machine.open()?, &model)
}

#[test]
fn a_kill_loses_at_most_what_was_not_flushed() -> TestResult {
    let machine = Machine::new(without_log(), 0);
    let db = machine.open()?;
    for number in 0..10 {
        db.put(key(number), value(number, 0))?;
    }
    db.flush()?;
    let flushed = contents(&db)?;
    for number in 0..10 {
        db.put(key(number), value(number, 1))?;
    }
    check(&machine.after_kill().open()?, &flushed)
}
