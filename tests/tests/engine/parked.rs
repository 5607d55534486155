//! Readers never wait for the disk's writes: one operation of each kind hangs, and reads go on.

use std::sync::mpsc;
use std::time::Duration;

use lsm_db::{Lsm, LsmConfig};
use lsm_fs::Operation;
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{collect, key, value};

/// Long enough for any machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
const KEYS: usize = 1000;

/// A thousand gets and every kind of range.
fn read_everything(db: &Lsm) -> TestResult {
    for number in 0..KEYS {
        if db.get(key(number))?.is_none() {
            return Err(format!("key {number} is gone").into());
        }
    }
    let entries = collect(db.range(key(0)..key(KEYS)))?;
    assert_eq!(entries.len(), KEYS);
    assert_eq!(
        db.prefix("key-0005").rev().filter(Result::is_ok).count(),
        100
    );
    assert_eq!(db.scan(..key(KEYS))?.len(), KEYS);
    Ok(())
}

/// Writes, flushes and compacts, so that every kind of operation comes by.
fn make_work(db: &Lsm) -> lsm_db::Result<()> {
    for round in 0..3 {
        for number in (0..KEYS).step_by(100) {
            db.put(key(number), value(number, round + 1))?;
        }
        db.flush()?;
    }
    db.compact_range::<&[u8], _>(..)
}

fn reads_go_on_while_parked_in(operation: Operation) -> TestResult {
    let machine = Machine::on_threads(LsmConfig::new().compaction_trigger(2));
    let db = machine.open()?;
    // Old values in runs, newer ones in the memtable.
    for age in 0..4 {
        for number in (age..KEYS).step_by(age + 1) {
            db.put(key(number), value(number, age))?;
        }
        if age < 3 {
            db.flush()?;
        }
    }
    // A handle rewrites the manifest at its first edit, by renaming: that is still to come.
    db.close()?;
    let db = machine.open()?;
    let held_since_before = db.iter();

    let parked = machine.faults.park(operation, |_| true);
    let db = &db;
    std::thread::scope(|scope| {
        let work = scope.spawn(|| make_work(db));
        let arrived = parked.wait_for_arrival_timeout(PATIENCE);
        let (done, wait_until_done) = mpsc::channel();
        let reader = scope.spawn(move || {
            let result = read_everything(db).map_err(|error| error.to_string());
            // Nobody listens any more if it took too long.
            let _ = done.send(());
            result
        });
        let in_time = wait_until_done.recv_timeout(PATIENCE).is_ok();
        let held_count = held_since_before.filter(Result::is_ok).count();
        // Only now may anything fail: while operations hang, the scope could not end.
        parked.release();
        reader.join().map_err(|_| "the reader panicked")??;
        work.join().map_err(|_| "the writer panicked")??;
        assert!(arrived, "no {operation:?} came by");
        assert!(in_time, "readers waited for {operation:?}");
        assert_eq!(held_count, KEYS);
        TestResult::Ok(())
    })?;
    read_everything(db)
}

#[test]
fn reads_go_on_while_an_append_hangs() -> TestResult {
    reads_go_on_while_parked_in(Operation::Append)
}

#[test]
fn reads_go_on_while_a_sync_hangs() -> TestResult {
    reads_go_on_while_parked_in(Operation::Sync)
}

#[test]
fn reads_go_on_while_a_directory_sync_hangs() -> TestResult {
    reads_go_on_while_parked_in(Operation::SyncDir)
}

#[test]
fn reads_go_on_while_a_rename_hangs() -> TestResult {
    reads_go_on_while_parked_in(Operation::Rename)
}

#[test]
fn reads_go_on_while_an_unlink_hangs() -> TestResult {
    reads_go_on_while_parked_in(Operation::RemoveFile)
}

#[test]
fn reads_go_on_while_a_file_is_being_created() -> TestResult {
    reads_go_on_while_parked_in(Operation::CreateNew)
}

/// A reader that drops the last hold on a replaced run does not pay for its unlinking.
#[test]
fn dropping_an_old_iterator_does_not_wait_for_an_unlink() -> TestResult {
    let machine = Machine::on_threads(LsmConfig::new().compaction_trigger(usize::MAX));
    let db = machine.open()?;
    for age in 0..3 {
        for number in 0..100 {
            db.put(key(number), value(number, age))?;
        }
        db.flush()?;
    }
    let mut old = db.iter();
    assert!(old.next().transpose()?.is_some());
    db.compact_range::<&[u8], _>(..)?;
    let parked = machine.faults.park(Operation::RemoveFile, |_| true);
    std::thread::scope(|scope| {
        let (done, wait_until_done) = mpsc::channel();
        scope.spawn(move || {
            drop(old);
            // Nobody listens any more if it took too long.
            let _ = done.send(());
        });
        let in_time = wait_until_done.recv_timeout(PATIENCE).is_ok();
        let arrived = parked.wait_for_arrival_timeout(PATIENCE);
        parked.release();
        assert!(in_time, "the drop waited for an unlink");
        assert!(arrived, "nothing was unlinked");
    });
    Ok(())
}
