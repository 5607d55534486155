//! What a failing disk does to a store: writes end where they must, reads never do.

use std::io;
use std::path::Path;

use lsm_db::{Durability, Error, Lsm, LsmConfig};
use lsm_fs::{ByPath, CrashImage, Fault, FileSystem, Operation};
use lsm_tests::TestResult;
use lsm_tests::directory::runs;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, check_get, contents, key, value};

const EIO: i32 = 5;

fn dead() -> Fault {
    Fault::from_raw_os_error(EIO).for_good()
}

fn once() -> Fault {
    Fault::from_raw_os_error(EIO)
}

fn name_starts(start: &'static str) -> impl Fn(&Path) -> bool + Send + Sync + 'static {
    move |path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(start))
    }
}

/// A store with ten keys in a run and ten in the log.
fn half_flushed(machine: &Machine) -> Result<(Lsm, Model), Error> {
    let db = machine.open()?;
    for number in 0..20 {
        db.put(key(number), value(number, 0))?;
        if number == 9 {
            db.flush()?;
        }
    }
    machine.settle();
    let model = contents(&db)?;
    Ok((db, model))
}

/// fsync failed, the retry succeeded, the pages were already clean (fault 15); a transient error
/// followed by a clean close persisted a broken state (fault 38).
#[test]
fn a_failed_sync_of_the_log_ends_writing_until_reopened_and_reads_go_on() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 0);
    let (db, model) = half_flushed(&machine)?;

    machine
        .faults
        .fail_when(Operation::Sync, name_starts("wal-"), once());
    let failed = db.put("fate unknown", "v");
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    // The disk is well again, and that changes nothing.
    for _ in 0..3 {
        let refused = db.put("later", "v");
        assert!(
            matches!(refused, Err(Error::Poisoned { .. })),
            "{refused:?}"
        );
    }
    assert!(matches!(db.delete("later"), Err(Error::Poisoned { .. })));
    assert!(db.sync().is_err());
    machine.settle();
    // Nothing of the failed write is published.
    check(&db, &model)?;
    assert!(db.close().is_err(), "close reports what ended writing");

    let db = machine.open()?;
    let mut recovered = contents(&db)?;
    recovered.remove(b"fate unknown".as_slice());
    assert_eq!(recovered, model);
    db.put("later", "v")?;
    check_get(&db, b"later", Some(&b"v".to_vec()))
}

#[test]
fn what_was_acknowledged_before_a_failed_sync_survives_a_power_cut_after_it() -> TestResult {
    for seed in 0..10 {
        let machine = Machine::new(LsmConfig::new(), seed);
        let (db, model) = half_flushed(&machine)?;
        machine
            .faults
            .fail_when(Operation::Sync, name_starts("wal-"), once());
        assert!(db.put("fate unknown", "v").is_err());
        drop(db);
        machine.settle();
        for image in CrashImage::standard(seed) {
            let left = machine.after_power_cut(&image);
            let mut recovered = contents(&left.open()?)?;
            recovered.remove(b"fate unknown".as_slice());
            assert_eq!(recovered, model, "{image:?}");
        }
    }
    Ok(())
}

/// After a failed sync, recovery replayed bytes that were only in the page cache, unlinked on
/// their strength, and lost them at the power cut (fault 60).
#[test]
fn what_a_reopened_store_shows_after_a_failed_sync_survives_the_next_power_cut() -> TestResult {
    for seed in 0..10 {
        let machine = Machine::new(LsmConfig::new(), seed);
        let (db, _) = half_flushed(&machine)?;
        machine
            .faults
            .fail_when(Operation::Sync, name_starts("wal-"), once());
        assert!(db.put("fate unknown", "v").is_err());
        drop(db);
        let db = machine.open()?;
        db.put("acknowledged after", "v")?;
        let shown = contents(&db)?;
        machine.settle();
        for image in CrashImage::standard(seed) {
            let left = machine.after_power_cut(&image);
            assert_eq!(contents(&left.open()?)?, shown, "seed {seed}, {image:?}");
        }
    }
    Ok(())
}

/// A log error discarded, a later sync said Ok (fault 14).
#[test]
fn a_failed_sync_of_buffered_writes_is_reported_and_final() -> TestResult {
    let machine = Machine::new(LsmConfig::new().durability(Durability::Buffered), 0);
    let db = machine.open()?;
    db.put("k", "v")?;
    machine
        .faults
        .fail_when(Operation::Sync, name_starts("wal-"), once());
    assert!(matches!(db.sync(), Err(Error::Io { .. })));
    assert!(db.sync().is_err(), "Ok would mean recoverable");
    assert!(matches!(db.put("k", "w"), Err(Error::Poisoned { .. })));
    assert_eq!(db.get("k")?, Some(b"v".to_vec()));
    Ok(())
}

/// The error of close ignored (fault 7).
#[test]
fn close_reports_that_it_could_not_sync_and_drop_stays_silent() -> TestResult {
    let machine = Machine::new(LsmConfig::new().durability(Durability::Buffered), 0);
    let db = machine.open()?;
    db.put("k", "v")?;
    machine.faults.fail_nth(0, dead());
    assert!(db.close().is_err());

    machine.faults.clear_faults();
    let db = machine.open()?;
    db.put("k", "w")?;
    machine.faults.fail_nth(0, dead());
    drop(db);
    machine.faults.clear_faults();
    assert!(machine.open()?.get("k")?.is_some());
    Ok(())
}

/// A failed batch left half a record, and later acknowledged batches were lost behind it
/// (fault 13).
#[test]
fn a_torn_write_is_not_applied_and_later_writes_survive() -> TestResult {
    for torn_at in [0, 1, 30, 60, 100] {
        let machine = Machine::new(LsmConfig::new(), 1);
        let (db, mut model) = half_flushed(&machine)?;
        let no_room = Fault::new(io::ErrorKind::StorageFull).short_write(torn_at);
        machine
            .faults
            .fail_when(Operation::Append, name_starts("wal-"), no_room);
        let refused = db.put("torn", vec![1; 1000]);
        assert!(refused.is_err(), "torn at {torn_at}");
        assert_eq!(db.get("torn")?, None);
        for number in 100..103 {
            db.put(key(number), value(number, 0))?;
            model.insert(key(number), value(number, 0));
        }
        check(&db, &model)?;
        for image in CrashImage::standard(torn_at as u64) {
            let left = machine.after_power_cut(&image);
            check(&left.open()?, &model)
                .map_err(|error| format!("{torn_at}, {image:?}: {error}"))?;
        }
        drop(db);
        check(&machine.open()?, &model)?;
    }
    Ok(())
}

/// A write of zero bytes retried for ever (fault 39).
#[test]
fn a_write_of_zero_bytes_is_an_error_and_not_retried_for_ever() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let (db, model) = half_flushed(&machine)?;
    let zero = Fault::new(io::ErrorKind::WriteZero)
        .short_write(0)
        .for_good();
    machine
        .faults
        .fail_when(Operation::Append, name_starts("wal-"), zero);
    assert!(db.put("k", "v").is_err());
    check(&db, &model)
}

/// A failed flush dropped the memtable and later its log, with acknowledged writes in it
/// (fault 43).
#[test]
fn a_failed_flush_is_returned_and_its_memtable_stays_readable_until_it_is_on_disk() -> TestResult {
    let operations = [Operation::CreateNew, Operation::Append, Operation::Sync];
    for operation in operations {
        let machine = Machine::new(LsmConfig::new(), 1);
        let (db, model) = half_flushed(&machine)?;
        machine
            .faults
            .fail_when(operation, name_starts("run-"), once());
        let failed = db.flush();
        assert!(
            matches!(failed, Err(Error::Io { .. })),
            "{operation:?}: {failed:?}"
        );
        check(&db, &model)?;
        check(&machine.after_kill().open()?, &model)?;
        // The background goes on trying, and it works.
        machine.settle();
        check(&db, &model)?;
        db.flush()?;
        assert_eq!(
            runs(&machine.disk, machine.dir())?.len(),
            2,
            "{operation:?}"
        );
        let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
        check(&left.open()?, &model)?;
    }
    Ok(())
}

/// Bounded retries, then poisoned with the cause (fault 37).
#[test]
fn a_flush_that_never_succeeds_ends_writing_and_not_reading_or_closing() -> TestResult {
    let machine = Machine::new(LsmConfig::new().memtable_capacity(100), 1);
    let db = machine.open()?;
    db.put("k", "v")?;
    machine
        .faults
        .fail_when(Operation::CreateNew, name_starts("run-"), dead());
    let mut refused = None;
    for number in 0..1000 {
        if let Err(error @ Error::Poisoned { .. }) = db.put(key(number), value(number, 0)) {
            refused = Some(error);
            break;
        }
        machine.settle();
    }
    let refused = refused.ok_or("writes went on for ever")?;
    assert!(refused.is_fatal());
    assert_eq!(db.get("k")?, Some(b"v".to_vec()));
    let acknowledged = contents(&db)?;
    assert!(db.close().is_err());
    machine.faults.clear_faults();
    check(&machine.open()?, &acknowledged)
}

/// A read error in a compaction lost the data of that input (fault 28).
#[test]
fn a_compaction_that_cannot_read_keeps_its_inputs() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    for age in 0..4 {
        for number in 0..200 {
            db.put(key(number), value(number, age))?;
        }
        db.flush()?;
    }
    machine.settle();
    let model = contents(&db)?;
    let before = runs(&machine.disk, machine.dir())?;
    machine
        .faults
        .fail_when(Operation::ReadAt, name_starts("run-"), dead());
    assert!(db.compact_range::<&[u8], _>(..).is_err());
    machine.settle();
    machine.faults.clear_faults();
    for run in before {
        assert!(
            runs(&machine.disk, machine.dir())?.contains(&run),
            "{run:?} went"
        );
    }
    check(&db, &model)?;
    drop(db);
    check(&machine.open()?, &model)
}

/// An error swallowed, a stale value returned; an iterator went on past its error (fault 29).
#[test]
fn a_read_error_is_returned_and_ends_the_iterator() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    for age in 0..2 {
        for number in 0..500 {
            db.put(key(number), value(number, age))?;
        }
        db.flush()?;
    }
    let newest = runs(&machine.disk, machine.dir())?.pop().ok_or("no run")?;
    machine
        .faults
        .fail_when(Operation::ReadAt, move |path| path == newest, dead());
    // Not the older run's value.
    assert!(matches!(db.get(key(300)), Err(Error::Io { .. })));
    assert!(db.scan(..).is_err());
    for mut entries in [db.iter(), db.range(key(100)..key(200))] {
        assert!(entries.any(|entry| entry.is_err()));
        assert!(entries.next().is_none());
        assert!(entries.next_back().is_none());
    }
    machine.faults.clear_faults();
    assert_eq!(db.get(key(300))?, Some(value(300, 1)));
    assert_eq!(db.iter().filter(Result::is_ok).count(), 500);
    Ok(())
}

/// An I/O error during replay taken for the end of the log (fault 22).
#[test]
fn an_io_error_during_replay_fails_the_open_and_loses_nothing() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let (db, model) = half_flushed(&machine)?;
    drop(db);
    let reads_of_log = {
        let before = machine.faults.operation_count();
        machine.open()?.close()?;
        machine.faults.operation_count() - before
    };
    assert!(reads_of_log > 0);
    for start in ["wal-", "MANIFEST"] {
        machine
            .faults
            .fail_when(Operation::ReadAt, name_starts(start), once());
        let failed = machine.open();
        assert!(
            matches!(failed, Err(Error::Io { .. })),
            "{start}: {failed:?}"
        );
        machine.faults.clear_faults();
        check(&machine.open()?, &model)?;
    }
    Ok(())
}

/// Every operation of an open, failed once: it succeeds or returns an error, and the next open
/// has everything.
#[test]
fn an_open_that_fails_anywhere_can_be_repeated() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let (db, model) = half_flushed(&machine)?;
    // Killed, so that there is something to recover.
    let killed = || Machine::with_disk(machine.disk.reopen_after_kill(), LsmConfig::new(), 2);
    let first = killed();
    drop(first.open()?);
    first.settle();
    let operations = first.faults.operation_count();
    assert!(operations > 10);
    for n in 0..operations {
        let machine = killed();
        machine.faults.fail_nth_of_all(n, once());
        if let Ok(db) = machine.open() {
            machine.settle();
            check(&db, &model).map_err(|error| format!("operation {n}: {error}"))?;
        }
        machine.settle();
        machine.faults.clear_faults();
        let db = machine
            .open()
            .map_err(|error| format!("operation {n}, second open: {error}"))?;
        check(&db, &model).map_err(|error| format!("operation {n}, second open: {error}"))?;
        let cut = machine.after_power_cut(&CrashImage::NothingUnsynced);
        let db = cut
            .open()
            .map_err(|error| format!("operation {n}, cut: {error}"))?;
        check(&db, &model).map_err(|error| format!("operation {n}, cut: {error}"))?;
    }
    drop(db);
    Ok(())
}

/// A worker's panic wedged the store (fault 42): it poisons with its message; reads go on; `close`
/// returns.
#[test]
fn a_panic_in_the_background_ends_writing_with_its_message_and_nothing_hangs() -> TestResult {
    let machines = [
        Machine::new(LsmConfig::new(), 1),
        Machine::on_threads(LsmConfig::new()),
    ];
    for machine in machines {
        let (db, model) = half_flushed(&machine)?;
        let is_run = name_starts("run-");
        machine.faults.on_operation(move |event| {
            assert!(
                event.operation != Operation::CreateNew || !is_run(event.path),
                "a panic on purpose"
            );
        });
        assert!(db.flush().is_err());
        machine.faults.remove_hook();
        match db.put("k", "v") {
            Err(error @ Error::Poisoned { .. }) => {
                assert!(error.to_string().contains("a panic on purpose"), "{error}");
            }
            other => return Err(format!("not poisoned: {other:?}").into()),
        }
        check(&db, &model)?;
        assert!(db.close().is_err());
        check(&machine.open()?, &model)?;
    }
    Ok(())
}

/// What an open finds to be left over may be what an older manifest names, the one that a power cut
/// brings back: it goes only once recovery is durable.
#[test]
fn nothing_left_over_is_unlinked_while_recovery_could_not_be_written() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    db.put(key(0), value(0, 0))?;
    db.flush()?;
    db.put(key(1), value(1, 0))?;
    let machine = machine.after_kill();
    drop(db);
    let left_over = machine.path("run-0000000900.sst");
    machine.disk.create_new(&left_over)?.append_all(b"a run")?;
    machine.faults.fail_when(
        Operation::CreateNew,
        |path| path.ends_with("MANIFEST.tmp"),
        Fault::from_raw_os_error(5).for_good(),
    );
    let db = machine.open()?;
    machine.settle();
    assert_eq!(db.get(key(1))?, Some(value(1, 0)));
    assert!(machine.disk.kind(&left_over)?.is_some());
    machine.faults.clear_faults();
    drop(db);
    let db = machine.open()?;
    machine.settle();
    assert!(machine.disk.kind(&left_over)?.is_none());
    assert_eq!(db.get(key(1))?, Some(value(1, 0)));
    Ok(())
}
