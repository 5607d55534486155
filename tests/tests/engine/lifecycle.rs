//! Opening, closing, dropping and opening again.

use std::path::Path;

use lsm_db::{Durability, Error, Lsm, LsmConfig};
use lsm_fs::{CrashImage, FileSystem, RealFs};
use lsm_tests::TestResult;
use lsm_tests::directory::{read, runs, segments};
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, contents, key, value};

fn store() -> Machine {
    Machine::new(LsmConfig::new(), 0)
}

#[test]
fn a_new_directory_is_an_empty_store_and_stays_one() -> TestResult {
    let machine = store();
    for _ in 0..3 {
        let db = machine.open()?;
        assert_eq!(db.iter().count(), 0);
        assert_eq!(db.get("any")?, None);
        db.close()?;
    }
    Ok(())
}

#[test]
fn missing_ancestors_of_the_directory_are_created() -> TestResult {
    let dir = tempfile::tempdir()?;
    let nested = dir.path().join("a/b/c");
    let db = Lsm::open(&nested)?;
    db.put("k", "v")?;
    db.close()?;
    assert_eq!(Lsm::open(&nested)?.get("k")?, Some(b"v".to_vec()));
    Ok(())
}

#[test]
fn a_relative_path_is_relative_to_the_process() -> TestResult {
    // On the simulated disk the root is the working directory.
    let machine = store();
    let db = Lsm::open_with("here/store", machine.config())?;
    db.put("k", "v")?;
    drop(db);
    assert!(
        machine
            .disk
            .kind(Path::new("/here/store/MANIFEST"))?
            .is_some()
    );
    let db = Lsm::open_with("here/store", machine.config())?;
    assert_eq!(db.get("k")?, Some(b"v".to_vec()));
    Ok(())
}

#[test]
fn close_keeps_everything_and_a_drop_does_too() -> TestResult {
    for closes in [true, false] {
        let machine = store();
        let db = machine.open()?;
        db.put("in a run", "1")?;
        db.flush()?;
        db.put("in the log", "2")?;
        if closes {
            db.close()?;
        } else {
            drop(db);
        }
        let db = machine.open()?;
        assert_eq!(db.get("in a run")?, Some(b"1".to_vec()));
        assert_eq!(db.get("in the log")?, Some(b"2".to_vec()));
    }
    Ok(())
}

#[test]
fn a_drop_does_not_flush() -> TestResult {
    let machine = store();
    let db = machine.open()?;
    db.put("k", "v")?;
    drop(db);
    machine.settle();
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), 0);
    assert_eq!(segments(&machine.disk, machine.dir())?.len(), 1);
    Ok(())
}

#[test]
fn a_clean_close_makes_buffered_writes_durable() -> TestResult {
    for closes in [true, false] {
        let machine = Machine::new(LsmConfig::new().durability(Durability::Buffered), 0);
        let db = machine.open()?;
        db.put("k", "v")?;
        if closes {
            db.close()?;
        } else {
            drop(db);
        }
        let db = machine
            .after_power_cut(&CrashImage::NothingUnsynced)
            .open()?;
        assert_eq!(db.get("k")?, Some(b"v".to_vec()), "closes: {closes}");
    }
    Ok(())
}

/// The seqnos of a new handle stand above those of all before it, over log and runs (fault 17):
/// the newest write wins whatever mixture of handles, flushes and replays it went through.
#[test]
fn the_newest_write_wins_over_forty_reopens() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(3), 9);
    let mut model = Model::new();
    for age in 0..40 {
        let db = machine.open()?;
        check(&db, &model)?;
        for number in 0..20 {
            if (number + age) % 3 == 0 {
                db.put(key(number), value(number, age))?;
                model.insert(key(number), value(number, age));
            }
        }
        db.delete(key(age % 20))?;
        model.remove(&key(age % 20));
        match age % 4 {
            0 => db.flush()?,
            1 => machine.settle(),
            _ => {}
        }
        check(&db, &model)?;
        match age % 3 {
            0 => db.close()?,
            _ => drop(db),
        }
    }
    check(&machine.open()?, &model)
}

#[test]
fn a_flush_of_nothing_is_no_operation() -> TestResult {
    let machine = store();
    let db = machine.open()?;
    let untouched = read(&machine.disk, machine.dir())?;
    db.flush()?;
    assert_eq!(read(&machine.disk, machine.dir())?, untouched);
    db.put("k", "v")?;
    db.flush()?;
    machine.settle();
    let flushed = read(&machine.disk, machine.dir())?;
    db.flush()?;
    machine.settle();
    assert_eq!(read(&machine.disk, machine.dir())?, flushed);
    Ok(())
}

#[test]
fn flush_returns_once_the_run_is_in_a_durable_manifest() -> TestResult {
    let machine = Machine::new(LsmConfig::new().durability(Durability::Buffered), 0);
    let db = machine.open()?;
    db.put("k", "v")?;
    db.flush()?;
    let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
    assert_eq!(runs(&left.disk, left.dir())?.len(), 1);
    assert_eq!(left.open()?.get("k")?, Some(b"v".to_vec()));
    Ok(())
}

#[test]
fn a_flush_retires_the_log_it_made_obsolete() -> TestResult {
    let machine = store();
    let db = machine.open()?;
    for age in 0..5 {
        db.put("k", value(0, age))?;
        db.flush()?;
        machine.settle();
        assert_eq!(
            segments(&machine.disk, machine.dir())?,
            Vec::<std::path::PathBuf>::new()
        );
    }
    Ok(())
}

/// Double open in one process (fault 40).
#[test]
fn a_second_handle_is_refused_as_locked_until_the_first_is_gone() -> TestResult {
    let dir = tempfile::tempdir()?;
    let db = Lsm::open(dir.path())?;
    db.put("k", "v")?;
    let refusal = Lsm::open(dir.path());
    assert!(
        matches!(&refusal, Err(Error::Locked { path, .. }) if path.ends_with("LOCK")),
        "{refusal:?}"
    );
    assert_eq!(db.get("k")?, Some(b"v".to_vec()));
    db.close()?;
    assert_eq!(Lsm::open(dir.path())?.get("k")?, Some(b"v".to_vec()));
    assert!(
        dir.path().join("LOCK").exists(),
        "the lock file is never deleted"
    );
    Ok(())
}

/// An iterator outlived its handle, the directory was opened again, and its runs vanished
/// (fault 58).
#[test]
fn an_iterator_holds_the_lock_after_its_handle_is_gone() -> TestResult {
    let config = LsmConfig::new().memtable_capacity(0).compaction_trigger(2);
    let machine = Machine::new(config, 4);
    let db = machine.open()?;
    for number in 0..20 {
        db.put(key(number), value(number, 0))?;
    }
    let model = contents(&db)?;
    let mut entries = db.iter();
    assert!(entries.next().transpose()?.is_some());
    db.close()?;
    machine.settle();
    assert!(matches!(machine.open(), Err(Error::Locked { .. })));
    assert_eq!(entries.by_ref().filter(Result::is_ok).count(), 19);
    drop(entries);
    machine.settle();
    check(&machine.open()?, &model)
}

#[test]
fn what_a_late_iterator_kept_from_being_unlinked_goes_at_the_next_open() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(0)
        .compaction_trigger(usize::MAX);
    let machine = Machine::new(config, 4);
    let db = machine.open()?;
    for number in 0..10 {
        db.put(key(number), value(number, 0))?;
    }
    machine.settle();
    let late = db.iter();
    db.compact_range::<&[u8], _>(..)?;
    db.close()?;
    machine.settle();
    assert_eq!(late.filter(Result::is_ok).count(), 10);
    let db = machine.open()?;
    machine.settle();
    let in_tree: usize = db.stats().levels.iter().map(|level| level.runs).sum();
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), in_tree);
    assert_eq!(db.iter().count(), 10);
    Ok(())
}

#[test]
fn an_unfinished_compaction_does_not_hold_up_a_close() -> TestResult {
    let dir = tempfile::tempdir()?;
    let config = LsmConfig::new()
        .memtable_capacity(1024)
        .compaction_trigger(2)
        .durability(Durability::Buffered);
    let db = Lsm::open_with(dir.path(), config)?;
    for number in 0..1500 {
        db.put(key(number), value(number, 0))?;
    }
    db.close()?;
    assert_eq!(Lsm::open(dir.path())?.iter().count(), 1500);
    Ok(())
}

#[cfg(unix)]
#[test]
fn files_are_readable_by_their_owner_only() -> TestResult {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir()?;
    let db = Lsm::open(dir.path().join("store"))?;
    db.put("k", "v")?;
    db.flush()?;
    db.put("k", "v")?;
    let mut seen = 0;
    for file in std::fs::read_dir(dir.path().join("store"))? {
        let file = file?;
        let mode = file.metadata()?.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", file.file_name());
        seen += 1;
    }
    assert!(
        seen >= 4,
        "LOCK, MANIFEST, a run and a segment, but saw {seen}"
    );
    Ok(())
}

#[test]
fn the_default_file_system_is_the_real_one() -> TestResult {
    let dir = tempfile::tempdir()?;
    let db = Lsm::open(dir.path())?;
    db.put("k", "v")?;
    db.flush()?;
    assert_eq!(runs(&RealFs::new(), dir.path())?.len(), 1);
    Ok(())
}

/// Writes halted for good after kill and reopen (fault 36).
#[test]
fn writes_go_on_after_a_kill_in_the_middle_of_a_backlog() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(300)
        .compaction_trigger(2);
    let mut machine = Machine::new(config, 6);
    let mut model = Model::new();
    for age in 0..6 {
        let db = machine.open()?;
        check(&db, &model)?;
        // Nobody steps the scheduler but writers that have to wait.
        for number in 0..150 {
            db.put(key(number), value(number, age))?;
            model.insert(key(number), value(number, age));
        }
        machine = machine.after_kill();
    }
    let db = machine.open()?;
    machine.settle();
    check(&db, &model)
}

/// What a flush has put into a run is in the log as well, which only the flush of the last
/// replayed memtable retires. Replayed again it would be written again, after each kill.
#[test]
fn what_a_run_holds_already_is_not_replayed_after_a_kill_in_the_middle_of_a_backlog() -> TestResult
{
    // Replay starts another memtable where a segment ends, from 4 MiB on.
    let config = LsmConfig::new()
        .memtable_capacity(4 << 20)
        .compaction_trigger(usize::MAX);
    let machine = Machine::new(config, 3);
    let db = machine.open()?;
    let mut model = Model::new();
    for number in 0..13 {
        let large = vec![b'.'; 1 << 20];
        db.put(key(number), &large)?;
        model.insert(key(number), large);
    }
    let machine = machine.after_kill();
    let db = machine.open()?;
    let backlog = db.stats().sealed_memtables;
    assert!(backlog >= 2, "{backlog} memtables");
    while db.stats().flushes == 0 {
        assert!(machine.scheduler.step(), "no flush is to come");
    }
    let machine = machine.after_kill();
    let db = machine.open()?;
    assert_eq!(db.stats().sealed_memtables, backlog - 1);
    machine.settle();
    check(&db, &model)
}
