//! Deleted, then idle: the space comes back without a call.

use std::time::Duration;

use lsm_db::{Batch, Durability, Lsm, LsmConfig};
use lsm_fs::{ByPath, Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{key, value};

const KEYS: usize = 10_000;

fn buffered() -> LsmConfig {
    LsmConfig::new().durability(Durability::Buffered)
}

fn bytes_on_disk(machine: &Machine) -> TestResult<u64> {
    let entries = machine.disk.list(machine.dir())?;
    let lens = entries.iter().map(|entry| {
        machine
            .disk
            .file_len(&machine.path(&entry.name.to_string_lossy()))
    });
    let lens: Result<Vec<u64>, _> = lens.collect();
    Ok(lens?.into_iter().sum())
}

/// Runs what is due, and lets time pass up to `until` in steps of a second.
fn pass_to(machine: &Machine, until: Duration) {
    while machine.scheduler.now() < until {
        machine.scheduler.sleep(Duration::from_secs(1));
    }
    // What is due now, and not what is due later.
    for _ in 0..1000 {
        machine.scheduler.sleep(Duration::ZERO);
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whatever there is to do is done now: no task waits for its time.
fn check_nothing_is_due(machine: &Machine) {
    let now = machine.scheduler.now();
    machine.settle();
    assert_eq!(machine.scheduler.now(), now);
}

fn filled(machine: &Machine) -> TestResult<Lsm> {
    let db = machine.open()?;
    for number in 0..KEYS {
        db.put(key(number), value(number, 0))?;
    }
    db.compact_range::<&[u8], _>(..)?;
    machine.settle();
    Ok(db)
}

/// Deleted, then idle, and the space never came back (fault 74).
#[test]
fn what_was_deleted_gives_its_space_back_without_a_call() -> TestResult {
    for wal in [true, false] {
        let machine = Machine::new(buffered().wal(wal), 1);
        let db = filled(&machine)?;
        let full = bytes_on_disk(&machine)?;
        for number in 0..KEYS {
            db.delete(key(number))?;
        }
        let idle_since = machine.scheduler.now();
        pass_to(&machine, idle_since + seconds(59));
        assert!(bytes_on_disk(&machine)? >= full, "wal {wal}: too early");
        assert!(db.stats().memtable_bytes > 0);
        pass_to(&machine, idle_since + seconds(61));
        let left = bytes_on_disk(&machine)?;
        assert!(left < 8 << 10, "wal {wal}: {left} of {full} bytes are left");
        assert_eq!(db.stats().flushes, 2, "wal {wal}: sealed once");
        assert_eq!(db.iter().count(), 0);
        // And then it rests.
        assert_eq!(machine.scheduler.run_until_idle(10), 0, "wal {wal}");
        db.close()?;
    }
    Ok(())
}

#[test]
fn what_was_deleted_of_a_larger_store_gives_its_space_back() -> TestResult {
    let machine = Machine::new(buffered().run_bytes_target(64 << 10), 1);
    let db = filled(&machine)?;
    let full = bytes_on_disk(&machine)?;
    for number in KEYS / 4..KEYS / 4 * 3 {
        db.delete(key(number))?;
    }
    machine.settle();
    let left = bytes_on_disk(&machine)?;
    assert!(left < full * 4 / 5, "{left} of {full} bytes are left");
    let tombstones: u64 = db.stats().levels.iter().map(|level| level.tombstones).sum();
    assert_eq!(tombstones, 0);
    assert_eq!(db.iter().count(), KEYS / 2);
    Ok(())
}

#[test]
fn a_write_puts_the_seal_off_and_it_comes_a_minute_after_the_last() -> TestResult {
    let machine = Machine::new(buffered(), 1);
    let db = filled(&machine)?;
    for number in 0..20 {
        db.delete(key(number))?;
    }
    let start = machine.scheduler.now();
    for second in [30, 80, 100] {
        pass_to(&machine, start + seconds(second));
        db.put("late", "v")?;
    }
    pass_to(&machine, start + seconds(159));
    assert_eq!(db.stats().flushes, 1);
    pass_to(&machine, start + seconds(161));
    assert_eq!(db.stats().flushes, 2);
    Ok(())
}

#[test]
fn a_memtable_that_is_no_longer_mostly_deletes_is_left_alone() -> TestResult {
    let machine = Machine::new(buffered(), 1);
    let db = filled(&machine)?;
    db.delete(key(1))?;
    for number in 0..5 {
        db.put(key(number), "again")?;
    }
    machine.settle();
    assert_eq!(db.stats().flushes, 1);
    // Until it is again.
    for number in 0..5 {
        db.delete(key(number))?;
    }
    machine.settle();
    assert_eq!(db.stats().flushes, 2);
    Ok(())
}

#[test]
fn a_batch_of_deletes_counts_as_many_deletes() -> TestResult {
    let machine = Machine::new(buffered(), 1);
    let db = machine.open()?;
    let mut puts = Batch::new();
    let mut deletes = Batch::new();
    for number in 0..200 {
        puts.put(key(number), "v");
        deletes.delete(key(number));
    }
    db.write(puts)?;
    check_nothing_is_due(&machine);
    db.write(deletes)?;
    machine.settle();
    assert_eq!(db.stats().flushes, 1);
    assert_eq!(db.stats().levels.len(), 0, "nothing is left of either");
    Ok(())
}

#[test]
fn a_store_that_is_not_deleted_from_has_nothing_due() -> TestResult {
    let machine = Machine::new(buffered(), 1);
    let db = filled(&machine)?;
    db.put("k", "v")?;
    assert!(
        !db.compare_and_set("k", None, None)?,
        "turned away, so not a delete"
    );
    check_nothing_is_due(&machine);
    Ok(())
}

#[test]
fn a_store_that_is_closed_before_a_seal_is_due_has_none() -> TestResult {
    for dropped in [true, false] {
        let machine = Machine::new(buffered(), 1);
        let db = filled(&machine)?;
        db.delete(key(1))?;
        if dropped {
            drop(db);
        } else {
            db.close()?;
        }
        assert_eq!(machine.scheduler.run_until_idle(10), 0);
        let db = machine.open()?;
        assert_eq!(db.get(key(1))?, None);
    }
    Ok(())
}

#[test]
fn a_poisoned_store_is_not_sealed() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = filled(&machine)?;
    db.delete(key(1))?;
    machine
        .faults
        .fail_when(Operation::Sync, |_| true, Fault::from_raw_os_error(5));
    assert!(db.delete(key(2)).is_err());
    assert!(db.stats().poisoned);
    machine.settle();
    assert_eq!(db.stats().sealed_memtables, 0);
    assert_eq!(db.stats().flushes, 1);
    Ok(())
}
