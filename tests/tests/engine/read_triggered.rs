//! Level 0 below its trigger is compacted once readers have spent on it what that costs, and not before.

use lsm_db::{Lsm, LsmConfig};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, key, value};

/// More than any of the tests' stores needs for a compaction, in reads of two runs.
const READS: usize = 15_000;

/// Two runs of level 0 that overlap; the second hides a part of the first.
fn with_two_runs(machine: &Machine) -> TestResult<(Lsm, Model)> {
    let (db, mut model) = (machine.open()?, Model::new());
    for age in 0..2 {
        for number in (age..200).step_by(age + 1) {
            // A block has a few of them, so that most seeks enter another.
            let value = value(number, age).repeat(50);
            db.put(key(number), &value)?;
            model.insert(key(number), value);
        }
        db.flush()?;
    }
    machine.settle();
    assert_eq!(l0_runs(&db), 2);
    Ok((db, model))
}

fn l0_runs(db: &Lsm) -> usize {
    db.stats().levels.first().map_or(0, |level| level.runs)
}

fn seek_often(cursor: &mut lsm_db::Cursor, times: usize) -> TestResult {
    for number in 0..times {
        assert!(cursor.seek(key(number * 37 % 200))?);
    }
    Ok(())
}

#[test]
fn gets_in_vain_pay_for_it() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let (db, model) = with_two_runs(&machine)?;
    for number in 0..READS {
        // Between two keys, so that it is looked for in both runs.
        let absent = [key(number % 199), b"x".to_vec()].concat();
        assert_eq!(db.get(absent)?, None);
    }
    machine.settle();
    assert_eq!(l0_runs(&db), 0);
    check(&db, &model)
}

#[test]
fn seeks_pay_for_it_and_a_cursor_goes_on_as_it_was() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 2);
    let (db, model) = with_two_runs(&machine)?;
    let mut cursor = db.cursor();
    seek_often(&mut cursor, READS)?;
    machine.settle();
    assert_eq!(l0_runs(&db), 0);
    cursor.seek_first()?;
    for (key, value) in &model {
        assert_eq!(cursor.entry(), Some((key.as_slice(), value.as_slice())));
        cursor.next()?;
    }
    assert!(!cursor.is_valid());
    check(&db, &model)
}

#[test]
fn a_few_reads_leave_it_to_its_trigger() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 3);
    let (db, model) = with_two_runs(&machine)?;
    seek_often(&mut db.cursor(), 100)?;
    check(&db, &model)?;
    machine.settle();
    assert_eq!(l0_runs(&db), 2);
    Ok(())
}

#[test]
fn where_compaction_is_off_no_reader_starts_it() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 4);
    let (db, _) = with_two_runs(&machine)?;
    seek_often(&mut db.cursor(), READS)?;
    machine.settle();
    assert_eq!(l0_runs(&db), 2);
    Ok(())
}

#[test]
fn a_cursor_without_its_handle_starts_nothing() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 5);
    let (db, _) = with_two_runs(&machine)?;
    let mut cursor = db.cursor();
    db.close()?;
    seek_often(&mut cursor, READS)?;
    machine.settle();
    drop(cursor);
    assert_eq!(l0_runs(&machine.open()?), 2);
    Ok(())
}

/// A merge that fails for want of room is tried again, and the store goes on meanwhile.
#[test]
fn without_room_it_waits() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 6);
    let (db, model) = with_two_runs(&machine)?;
    machine
        .disk
        .set_capacity_bytes(Some(machine.disk.used_bytes()));
    seek_often(&mut db.cursor(), READS)?;
    // It is tried for ever.
    machine.scheduler.run_until_idle(100);
    assert_eq!(l0_runs(&db), 2);
    assert!(db.stats().background_failures > 0);
    check(&db, &model)?;
    machine.disk.set_capacity_bytes(None);
    machine.settle();
    assert_eq!(l0_runs(&db), 0);
    check(&db, &model)
}
