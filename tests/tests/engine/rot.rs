//! A rotten run in level 0, where it stands in the way of everything newer: what goes on, and what
//! is told of it.

use std::time::Duration;

use lsm_db::{Error, Lsm, LsmConfig};
use lsm_fs::{Fault, FileSystem, Operation};
use lsm_tests::TestResult;
use lsm_tests::directory::{damage, read_file, runs};
use lsm_tests::layout::layout;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check_get, key, value};

/// Flushes of overlapping runs; far more than level 0 may hold before writers are slowed.
const ROUNDS: usize = 60;

/// A store with one run of 200 keys in level 0, one of its blocks damaged, and its path.
fn one_rotten_run(
    trigger: usize,
) -> Result<(Machine, std::path::PathBuf), Box<dyn std::error::Error>> {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    for number in 0..200 {
        db.put(key(number), [value(number, 0), vec![b'.'; 100]].concat())?;
    }
    db.flush()?;
    db.close()?;
    let run = runs(&machine.disk, machine.dir())?.pop().ok_or("no run")?;
    let layout = layout(&read_file(&machine.disk, &run)?).ok_or("not a run")?;
    let block = layout.blocks.get(1).ok_or("one block only")?.bytes.start;
    damage(&machine.disk, &run, |bytes| bytes[block] ^= 1)?;
    let machine = machine.reconfigured(LsmConfig::new().compaction_trigger(trigger));
    Ok((machine, run))
}

/// Overwrites all of the rotten run's keys.
fn overwrite(db: &Lsm, model: &mut Model, age: usize) -> lsm_db::Result<()> {
    for number in 0..200 {
        db.put(key(number), value(number, age))?;
        model.insert(key(number), value(number, age));
    }
    db.flush()
}

/// Gets only: they end at the newest run that has the key, while an iterator meets every run.
fn check_gets(db: &Lsm, model: &Model) -> TestResult {
    let mut entries = model.iter();
    entries.try_for_each(|(key, value)| check_get(db, key, Some(value)))
}

/// A rotten run stopped its level for good, and what piled up behind it counted as work to wait
/// for: writers slowed down for ever. And the next flush that succeeded hid the damage (fault 64).
#[test]
fn a_rotten_run_slows_no_writer_and_is_told_of_until_it_is_gone() -> TestResult {
    let (machine, run) = one_rotten_run(2)?;
    let db = machine.open()?;
    let mut model = Model::new();
    for age in 1..=ROUNDS {
        overwrite(&db, &mut model, age)?;
        machine.settle();
        let stats = db.stats();
        assert!(stats.runs_set_aside >= 1, "round {age}: {stats}");
        let told = stats.background_error.as_deref().unwrap_or_default();
        assert!(told.contains("run-"), "round {age}: {told:?}");
        assert!(!stats.poisoned);
    }
    let stats = db.stats();
    assert_eq!(stats.stalled, Duration::ZERO, "{stats}");
    assert_eq!(stats.stalls, 0);
    check_gets(&db, &model)?;
    assert!(machine.disk.kind(&run)?.is_some(), "the rotten run went");
    drop(db);
    check_gets(&machine.open()?, &model)
}

/// A damaged run was set aside by the background, and then a compaction of its range found nothing
/// to do and said Ok.
#[test]
fn compacting_a_range_with_a_rotten_run_says_so_each_time_and_another_range_is_fine() -> TestResult
{
    for met_before in [true, false] {
        let (machine, run) = one_rotten_run(if met_before { 2 } else { usize::MAX })?;
        let db = machine.open()?;
        let mut model = Model::new();
        overwrite(&db, &mut model, 1)?;
        machine.settle();
        assert_eq!(db.stats().runs_set_aside, usize::from(met_before));
        for age in 0..3 {
            for number in 500..600 {
                db.put(key(number), value(number, age))?;
                model.insert(key(number), value(number, age));
            }
            db.flush()?;
        }
        for _ in 0..3 {
            let refused = db.compact_range(key(50)..key(60));
            let is_named =
                matches!(&refused, Err(Error::Corruption { file: Some(file), .. }) if *file == run);
            assert!(is_named, "met before {met_before}: {refused:?}");
            db.compact_range(key(500)..)?;
        }
        assert!(db.compact_range::<&[u8], _>(..).is_err());
        check_gets(&db, &model)?;
    }
    Ok(())
}

/// A run whose sector could not be read failed every compaction that met it, and after a few tries
/// each the store was poisoned; again after each reopening (fault 64).
#[test]
fn a_run_that_cannot_be_read_is_set_aside_and_writes_go_on() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(2), 1);
    let first = "run-0000000001.sst";
    machine.faults.fail_when(
        Operation::ReadAt,
        move |path| path.ends_with(first),
        Fault::from_raw_os_error(5).for_good(),
    );
    let db = machine.open()?;
    let mut model = Model::new();
    for age in 0..4 {
        overwrite(&db, &mut model, age)?;
    }
    machine.settle();
    let stats = db.stats();
    assert!(!stats.poisoned, "{stats}");
    assert_eq!(stats.runs_set_aside, 1, "{stats}");
    // While it is retried, one write is told; then they go on.
    let _ = db.put(key(0), value(0, 9));
    db.put(key(0), value(0, 10))?;
    model.insert(key(0), value(0, 10));
    check_gets(&db, &model)
}
