//! A full disk: writing resumes when there is room, without a reopen; reads never stop.

use std::io;

use lsm_db::{Durability, Error, LsmConfig};
use lsm_fs::{CrashImage, Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::directory::runs;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, contents, key, value};

fn is_full(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
}

/// Writes until the disk is full; returns what was acknowledged.
fn fill(machine: &Machine, db: &lsm_db::Lsm, model: &mut Model) -> TestResult {
    for number in 0..10_000 {
        match db.put(key(number), vec![b'x'; 1000]) {
            Ok(()) => model.insert(key(number), vec![b'x'; 1000]),
            Err(error) => {
                assert!(is_full(&error), "{error:?}");
                return check(db, model);
            }
        };
        machine.scheduler.step();
    }
    Err("the disk is never full".into())
}

/// A full disk latched for ever (fault 34).
#[test]
fn writing_resumes_when_there_is_room_without_a_reopen() -> TestResult {
    for durability in [Durability::Sync, Durability::Buffered] {
        for capacity in [20_000, 100_000] {
            let config = LsmConfig::new()
                .memtable_capacity(capacity)
                .durability(durability);
            let machine = Machine::new(config, 1);
            let db = machine.open()?;
            let mut model = Model::new();
            for round in 0..3 {
                machine
                    .disk
                    .set_capacity_bytes(Some(machine.disk.used_bytes() + 50_000));
                fill(&machine, &db, &mut model)?;
                // Still full, still readable, and the next write says so too.
                assert!(
                    db.put("one more", vec![0; 60_000])
                        .is_err_and(|error| is_full(&error))
                );
                check(&db, &model)?;
                machine.disk.set_capacity_bytes(None);
                machine.settle();
                db.put("round", value(round, 0))?;
                model.insert(b"round".to_vec(), value(round, 0));
                check(&db, &model)?;
                check(&machine.after_kill().open()?, &model)?;
            }
            db.sync()?;
            for image in CrashImage::standard(1) {
                check(&machine.after_power_cut(&image).open()?, &model)
                    .map_err(|error| format!("{image:?}: {error}"))?;
            }
            drop(db);
            check(&machine.open()?, &model)?;
        }
    }
    Ok(())
}

#[test]
fn a_flush_without_room_is_an_error_and_happens_when_there_is_room() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    for number in 0..50 {
        db.put(key(number), vec![1; 1000])?;
    }
    let model = contents(&db)?;
    machine
        .disk
        .set_capacity_bytes(Some(machine.disk.used_bytes() + 10_000));
    assert!(db.flush().is_err_and(|error| is_full(&error)));
    check(&db, &model)?;
    for _ in 0..200 {
        // Lack of room is retried for as long as it takes, and poisons nothing.
        machine.scheduler.step();
    }
    check(&db, &model)?;
    machine.disk.set_capacity_bytes(None);
    machine.settle();
    db.flush()?;
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), 1);
    check(&db, &model)
}

#[test]
fn a_compaction_without_room_keeps_its_inputs_and_leaves_nothing_behind() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    for age in 0..4 {
        for number in 0..50 {
            db.put(key(number), [value(number, age), vec![1; 1000]].concat())?;
        }
        db.flush()?;
    }
    machine.settle();
    let model = contents(&db)?;
    let before = runs(&machine.disk, machine.dir())?;
    machine
        .disk
        .set_capacity_bytes(Some(machine.disk.used_bytes() + 10_000));
    assert!(
        db.compact_range::<&[u8], _>(..)
            .is_err_and(|error| is_full(&error))
    );
    // What was written of the output takes room, and goes in the background.
    while machine.scheduler.step() {}
    assert_eq!(runs(&machine.disk, machine.dir())?, before);
    check(&db, &model)?;
    machine.disk.set_capacity_bytes(None);
    machine.settle();
    db.compact_range::<&[u8], _>(..)?;
    machine.settle();
    assert!(runs(&machine.disk, machine.dir())?.len() < before.len());
    check(&db, &model)
}

/// Of a mebibyte that was made free, the next segment of the log took all, ahead of need, and no
/// flush went through any more (fault 34). Seen on a real disk.
#[test]
fn the_log_leaves_a_flush_the_room_that_was_made_for_it() -> TestResult {
    let machine = Machine::new(LsmConfig::new().memtable_capacity(128 << 10), 1);
    let db = machine.open()?;
    for number in 0..50 {
        db.put(key(number), vec![1; 2000])?;
    }
    let model = contents(&db)?;
    let killed = machine.after_kill();
    killed
        .disk
        .set_capacity_bytes(Some(killed.disk.used_bytes()));
    let db = killed.open()?;
    assert!(db.flush().is_err_and(|error| is_full(&error)));
    let room = killed.disk.used_bytes() + (1 << 20) + (8 << 10);
    killed.disk.set_capacity_bytes(Some(room));
    db.put(key(0), vec![1; 2000])?;
    db.flush()?;
    check(&db, &model)
}

/// A full disk prevented the restart (fault 35).
#[test]
fn a_store_on_a_full_disk_opens_and_reads_after_a_kill() -> TestResult {
    let config = LsmConfig::new().memtable_capacity(20_000);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    machine.disk.set_capacity_bytes(Some(60_000));
    let mut model = Model::new();
    fill(&machine, &db, &mut model)?;

    let killed = machine.after_kill();
    killed
        .disk
        .set_capacity_bytes(Some(killed.disk.used_bytes()));
    let db = killed.open()?;
    check(&db, &model)?;
    let refused = db.put("no room", vec![0; 30_000]);
    assert!(refused.as_ref().is_err_and(is_full), "{refused:?}");
    check(&db, &model)?;
    killed.disk.set_capacity_bytes(None);
    killed.settle();
    db.put("room", "v")?;
    assert_eq!(db.get("room")?, Some(b"v".to_vec()));
    Ok(())
}

/// After a flush that was waited for had found room, the memtables behind it slept on until the
/// old retry's time had come, and writers with them (fault 36).
#[test]
fn one_flush_that_finds_room_wakes_all_that_wait_behind_it() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(1000)
        .wal(false)
        .compaction_trigger(usize::MAX);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    db.put(key(0), value(0, 0))?;
    db.flush()?;
    machine
        .disk
        .set_capacity_bytes(Some(machine.disk.used_bytes()));
    // Long enough for the pauses to have grown to seconds.
    for number in 0..30 {
        let _ = db.put(key(number), vec![b'x'; 400]);
    }
    for _ in 0..40 {
        machine.scheduler.step();
    }
    let sealed = db.stats().sealed_memtables;
    assert!(sealed > 1, "{sealed} sealed");
    machine.disk.set_capacity_bytes(None);
    let before = machine.scheduler.now();
    db.flush()?;
    assert_eq!(db.stats().sealed_memtables, 0);
    assert_eq!(
        machine.scheduler.now(),
        before,
        "a flush waited for a retry"
    );
    Ok(())
}

/// A disk that was full for long, then one failure of another kind: writing had ended for good.
#[test]
fn a_long_full_disk_does_not_count_against_the_failure_after_it() -> TestResult {
    let machine = Machine::new(LsmConfig::new().memtable_capacity(1000).wal(false), 1);
    let db = machine.open()?;
    db.put(key(0), value(0, 0))?;
    db.flush()?;
    machine
        .disk
        .set_capacity_bytes(Some(machine.disk.used_bytes()));
    for number in 0..10 {
        let _ = db.put(key(number), vec![b'x'; 400]);
    }
    for _ in 0..60 {
        machine.scheduler.step();
    }
    assert!(db.stats().background_failures > 12, "{}", db.stats());
    machine.disk.set_capacity_bytes(None);
    let no_more_files = Fault::from_raw_os_error(24);
    let is_run = |path: &std::path::Path| path.extension().is_some_and(|end| end == "sst");
    machine
        .faults
        .fail_when(Operation::CreateNew, is_run, no_more_files);
    machine.settle();
    assert!(!db.stats().poisoned, "{}", db.stats());
    db.flush()?;
    Ok(())
}
