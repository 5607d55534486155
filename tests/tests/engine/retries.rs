//! Background work that fails: how often it is tried again, what is final, and that nobody is told
//! Ok meanwhile.

use std::io;
use std::path::Path;
use std::time::Duration;

use lsm_db::{Error, Lsm, LsmConfig};
use lsm_fs::{CrashImage, Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::directory::runs;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, contents, key, value};

const EIO: i32 = 5;

fn once() -> Fault {
    Fault::from_raw_os_error(EIO)
}

fn is_run(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst")
}

/// A store with twenty keys in memory, its manifest written.
fn in_memory(machine: &Machine) -> lsm_db::Result<(Lsm, Model)> {
    let db = machine.open()?;
    for number in 0..20 {
        db.put(key(number), [value(number, 0), vec![b'.'; 500]].concat())?;
    }
    machine.settle();
    let model = contents(&db)?;
    Ok((db, model))
}

/// How often the creation of a run was tried since the trace was last taken.
fn runs_tried(machine: &Machine) -> usize {
    let trace = machine.faults.take_trace();
    let created = trace
        .iter()
        .filter(|event| event.operation == Operation::CreateNew && is_run(&event.path));
    created.count()
}

/// Each call of `flush` made an attempt, each attempt that failed counted towards giving up and
/// left a retry of its own: fifty calls in a moment poisoned the store, or made fifty retries.
#[test]
fn flushes_asked_for_in_one_moment_neither_poison_nor_multiply_the_retries() -> TestResult {
    for mended in [true, false] {
        let machine = Machine::new(LsmConfig::new(), 1);
        let (db, model) = in_memory(&machine)?;
        machine
            .faults
            .fail_when(Operation::CreateNew, is_run, once().for_good());
        let start = machine.scheduler.now();
        for call in 0..50 {
            let failed = db.flush();
            assert!(
                matches!(failed, Err(Error::Io { .. })),
                "call {call}: {failed:?}"
            );
        }
        assert_eq!(machine.scheduler.now(), start, "the moment has passed");
        let stats = db.stats();
        assert!(!stats.poisoned, "{:?}", stats.background_error);
        check(&db, &model)?;

        machine.faults.start_trace(100_000);
        if mended {
            machine.faults.clear_faults();
            machine.settle();
            assert!(runs_tried(&machine) <= 2);
            db.flush()?;
            assert_eq!(runs(&machine.disk, machine.dir())?.len(), 1);
            assert_eq!(db.stats().background_error, None);
        } else {
            machine.settle();
            let tried = runs_tried(&machine);
            assert!((8..=14).contains(&tried), "tried {tried} times");
            assert!(machine.scheduler.now() - start > Duration::from_secs(10));
            // What fails that long is given up; a first writer is told of the failure itself.
            assert!(db.put("k", "v").is_err());
            assert!(matches!(db.put("k", "v"), Err(Error::Poisoned { .. })));
        }
        check(&db, &model)?;
    }
    Ok(())
}

/// The same on a full disk: each call left a retry of its own, so that they grew without bound.
#[test]
fn flushes_asked_for_on_a_full_disk_are_tried_a_bounded_number_of_times() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let (db, model) = in_memory(&machine)?;
    machine
        .disk
        .set_capacity_bytes(Some(machine.disk.used_bytes() + 1000));
    for call in 0..200 {
        let failed = db.flush();
        let is_full = matches!(
            &failed,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull
        );
        assert!(is_full, "call {call}: {failed:?}");
    }
    machine.faults.start_trace(100_000);
    let until = machine.scheduler.now() + Duration::from_secs(10);
    while machine.scheduler.now() < until && machine.scheduler.step() {}
    let tried = runs_tried(&machine);
    assert!((5..=20).contains(&tried), "tried {tried} times");
    assert!(!db.stats().poisoned);
    check(&db, &model)?;

    machine.disk.set_capacity_bytes(None);
    machine.settle();
    assert_eq!(db.stats().background_error, None);
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), 1);
    db.put("room", "v")?;
    db.flush()?;
    db.delete("room")?;
    check(&db, &model)
}

/// A failed sync of the directory was retried like any other failure of a flush. But it may have
/// taken the names of others with it, a log segment's among them, and the retry would have said Ok
/// over them (fault 15).
#[test]
fn a_flush_whose_directory_sync_fails_is_final() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let (db, _) = in_memory(&machine)?;
    db.flush()?;
    db.put(key(3), value(3, 1))?;
    machine.settle();
    let model = contents(&db)?;
    machine
        .faults
        .fail_when(Operation::SyncDir, |_| true, once());
    let failed = db.flush();
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    machine.settle();
    // A first writer is told of the failure itself.
    assert!(db.put("later", "v").is_err());
    for _ in 0..3 {
        let refused = db.put("later", "v");
        assert!(
            matches!(refused, Err(Error::Poisoned { .. })),
            "{refused:?}"
        );
        assert!(matches!(db.flush(), Err(Error::Poisoned { .. })));
    }
    check(&db, &model)?;
    for image in CrashImage::standard(1) {
        check(&machine.after_power_cut(&image).open()?, &model)
            .map_err(|error| format!("{image:?}: {error}"))?;
    }
    assert!(db.close().is_err());

    let db = machine.open()?;
    machine.settle();
    check(&db, &model)?;
    db.flush()?;
    machine.settle();
    let named: usize = db.stats().levels.iter().map(|level| level.runs).sum();
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), named);
    check(&db, &model)
}

/// Everything that ends with Ok only if what was written can be recovered.
fn all_refuse(db: &Lsm, is_right: impl Fn(&Error) -> bool) -> TestResult {
    let outcomes = [
        ("flush", db.flush()),
        ("sync", db.sync()),
        ("compact_range", db.compact_range::<&[u8], _>(..)),
    ];
    for (what, outcome) in outcomes {
        match outcome {
            Err(error) if is_right(&error) => {}
            other => return Err(format!("{what}: {other:?}").into()),
        }
    }
    Ok(())
}

/// With nothing in memory there was nothing to do, so that a poisoned handle said Ok, and the
/// caller took what came before for durable (fault 14).
#[test]
fn a_poisoned_handle_with_nothing_in_memory_says_ok_to_nothing() -> TestResult {
    for wal in [true, false] {
        let config = LsmConfig::new().wal(wal).compaction_trigger(usize::MAX);
        let machine = Machine::new(config, 1);
        let db = machine.open()?;
        for age in 0..2 {
            db.put("k", value(0, age))?;
            db.flush()?;
        }
        machine.settle();
        let model = contents(&db)?;
        machine
            .faults
            .fail_when(Operation::SyncDir, |_| true, once());
        assert!(db.compact_range::<&[u8], _>(..).is_err());
        machine.settle();
        let stats = db.stats();
        assert!(stats.poisoned && stats.sealed_memtables == 0, "{stats:?}");
        all_refuse(&db, |error| matches!(error, Error::Poisoned { .. }))
            .map_err(|error| format!("log {wal}: {error}"))?;
        check(&db, &model)?;
        assert!(db.close().is_err());
        check(&machine.open()?, &model)?;
    }
    Ok(())
}

/// The same for a handle that could not settle: what it read may be in the page cache only.
#[test]
fn a_handle_that_could_not_settle_says_ok_to_nothing() -> TestResult {
    let killed = {
        let machine = Machine::new(LsmConfig::new().wal(false), 1);
        let db = machine.open()?;
        db.put("k", "v")?;
        db.flush()?;
        machine.settle();
        machine.after_kill()
    };
    let is_manifest = |path: &Path| path.ends_with("MANIFEST.tmp");
    killed
        .faults
        .fail_when(Operation::CreateNew, is_manifest, once().for_good());
    let db = killed.open()?;
    let stats = db.stats();
    assert!(stats.background_error.is_some());
    assert_eq!((stats.poisoned, stats.sealed_memtables), (false, 0));
    all_refuse(&db, |error| matches!(error, Error::Io { .. }))?;
    assert_eq!(db.get("k")?, Some(b"v".to_vec()));

    killed.faults.clear_faults();
    db.flush()?;
    db.sync()?;
    assert_eq!(db.stats().background_error, None);
    let left = killed.after_power_cut(&CrashImage::NothingUnsynced);
    assert_eq!(left.open()?.get("k")?, Some(b"v".to_vec()));
    Ok(())
}
