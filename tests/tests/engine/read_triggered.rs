//! Level 0 below its trigger is compacted once readers have spent on it what that costs, and not before.

use lsm_db::{Lsm, LsmConfig};
use lsm_fs::Operation;
use lsm_tests::TestResult;
use lsm_tests::directory::{damage, runs};
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

/// A merge that nobody needs takes no room from those who do: it is not tried again by itself.
#[test]
fn without_room_it_is_given_up_and_paid_for_anew() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 6);
    let (db, mut model) = with_two_runs(&machine)?;
    db.put("one", "more")?;
    model.insert("one".into(), "more".into());
    let room = 10_000;
    let used = machine.disk.used_bytes();
    machine.disk.set_capacity_bytes(Some(used + room));
    let created = || machine.faults.count_of(Operation::CreateNew);
    let before = created();
    seek_often(&mut db.cursor(), READS)?;
    machine.settle();
    assert_eq!(created() - before, 1, "tried once");
    assert_eq!(l0_runs(&db), 2);
    let stats = db.stats();
    assert_eq!((stats.background_failures, stats.compactions), (0, 0));
    assert!(machine.disk.used_bytes() <= used, "it left something there");
    db.put("and", "another")?;
    model.insert("and".into(), "another".into());
    check(&db, &model)?;

    machine.disk.set_capacity_bytes(None);
    machine.settle();
    assert_eq!(l0_runs(&db), 2);
    seek_often(&mut db.cursor(), 2 * READS)?;
    machine.settle();
    assert_eq!(l0_runs(&db), 0);
    check(&db, &model)
}

#[test]
fn a_damaged_run_is_set_aside_and_readers_ask_no_more() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 7);
    let (db, _) = with_two_runs(&machine)?;
    db.close()?;
    let oldest = runs(&machine.disk, machine.dir())?;
    let oldest = oldest.first().ok_or("no run")?;
    damage(&machine.disk, oldest, |bytes| bytes[100] ^= 1)?;
    let db = machine.open()?;
    for _ in 0..2 {
        let mut cursor = db.cursor();
        for number in 0..READS {
            // None of them is in the first block, which is damaged.
            assert!(cursor.seek(key(100 + number * 37 % 100))?);
        }
        machine.settle();
    }
    let stats = db.stats();
    assert_eq!((l0_runs(&db), stats.compactions), (2, 0));
    assert!(stats.runs_set_aside > 0);
    assert_eq!(stats.background_failures, 0);
    Ok(())
}

/// Who reads what has been merged long ago pays for nothing that is there now.
#[test]
fn a_snapshot_of_old_runs_pays_for_no_new_ones() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 8);
    let (db, _) = with_two_runs(&machine)?;
    let mut old = db.cursor();
    old.seek_first()?;
    db.compact_range::<&[u8], _>(..)?;
    for age in 0..2 {
        db.put(key(age), "new")?;
        db.put(key(199), "new")?;
        db.flush()?;
    }
    assert_eq!(l0_runs(&db), 2);
    seek_often(&mut old, READS)?;
    machine.settle();
    assert_eq!(l0_runs(&db), 2);
    Ok(())
}
