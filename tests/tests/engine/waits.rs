//! Waits for background work: each is told what became of the work that it waits for.
//!
//! The searches run on threads: a stepped scheduler looks at a wait between two steps, and cannot
//! see what a waking thread sees. What they check does not depend on which thread is faster. How
//! often they would find the fault does, so each is made in rounds.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use lsm_db::{Error, Lsm, LsmConfig};
use lsm_fs::{Fault, FileSystem, Operation, Parked};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::key;
use lsm_version::{Manifest, UnresolvedRun};

/// Long enough for any machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A memtable with this capacity is full with two entries.
const CAPACITY_BYTES: usize = 4000;

/// So many entries fill two memtables, and begin a third.
const KEYS: usize = 5;

/// Rounds of each search. On the code that had the fault, a few were enough.
const ROUNDS: usize = 20;

const THREADS: usize = 64;

fn without_log() -> LsmConfig {
    LsmConfig::new()
        .wal(false)
        .memtable_capacity(CAPACITY_BYTES)
        .compaction_trigger(usize::MAX)
}

fn is_run(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst")
}

fn no_room_once() -> Fault {
    Fault::new(io::ErrorKind::StorageFull)
}

fn is_no_room(outcome: &lsm_db::Result<()>) -> bool {
    matches!(outcome, Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull)
}

/// A store without a log, with three memtables that hold `KEYS` keys. The first two are sealed,
/// and the create of the first one's run is held.
fn three_unflushed(machine: &Machine) -> Result<(Lsm, Parked), Box<dyn std::error::Error>> {
    let db = machine.open()?;
    let parked = machine.faults.park(Operation::CreateNew, is_run);
    for number in 0..KEYS {
        db.put(key(number), vec![b'v'; CAPACITY_BYTES * 3 / 5])?;
    }
    assert!(parked.wait_for_arrival_timeout(PATIENCE), "no flush began");
    let stats = db.stats();
    assert_eq!(stats.sealed_memtables, 2);
    assert!(stats.memtable_bytes > 0);
    Ok((db, parked))
}

/// Holds creates of runs from the `n`-th on, the next one being 0.
fn park_from(machine: &Machine, n: usize) -> Parked {
    let created = AtomicUsize::new(0);
    let filter = move |path: &Path| is_run(path) && created.fetch_add(1, Ordering::Relaxed) >= n;
    machine.faults.park(Operation::CreateNew, filter)
}

fn give_way(times: usize) {
    (0..times).for_each(|_| thread::yield_now());
}

/// The first flush fails once while `close` waits for three.
fn close_beside_a_failure(round: usize) -> TestResult {
    let machine = Machine::on_threads(without_log());
    let (db, first) = three_unflushed(&machine)?;
    machine
        .faults
        .fail_when(Operation::CreateNew, is_run, no_room_once());
    // The first is tried again; then the second is held, so that `close` wakes before the third.
    let second = park_from(&machine, 1);
    let closed = thread::scope(|scope| {
        let closing = scope.spawn(|| db.close());
        give_way(10 * (round % 10));
        first.release();
        while !closing.is_finished() && second.arrival_count() == 0 {
            thread::yield_now();
        }
        give_way(50);
        second.release();
        closing.join()
    });
    let closed = closed.map_err(|_| "close panicked")?;
    if closed.is_err() {
        assert!(is_no_room(&closed), "{closed:?}");
        return Ok(());
    }
    let db = machine.open()?;
    let kept = (0..KEYS).filter(|number| db.get(key(*number)).is_ok_and(|value| value.is_some()));
    assert_eq!(kept.count(), KEYS, "close said Ok and lost writes");
    Ok(())
}

/// `close` was woken by the failure, asked for the latest failure, which the success behind it had
/// cleared, and took that for the end of its own wait: it said Ok, wrote its clean marks, and what
/// was not flushed by then was in no run (fault 65).
#[test]
fn close_without_a_log_says_ok_only_if_every_memtable_is_in_a_run() -> TestResult {
    (0..ROUNDS).try_for_each(close_beside_a_failure)
}

/// As many threads as `THREADS` flush while the first flush fails once, and none writes. An Ok is
/// right only if nothing is left in memory.
fn flushes_beside_a_failure() -> TestResult {
    let machine = Machine::on_threads(without_log());
    let (db, first) = three_unflushed(&machine)?;
    machine
        .faults
        .fail_when(Operation::CreateNew, is_run, no_room_once());
    let second = park_from(&machine, 1);
    let (db, ready) = (&db, &Barrier::new(THREADS + 1));
    thread::scope(|scope| {
        let flush = || {
            ready.wait();
            let flushed = db.flush();
            let stats = db.stats();
            let left = stats.sealed_memtables > 0 || stats.memtable_bytes > 0;
            assert!(
                flushed.is_err() || !left,
                "flush said Ok with {} sealed memtables",
                stats.sealed_memtables
            );
            assert!(flushed.is_ok() || is_no_room(&flushed), "{flushed:?}");
        };
        let flushing: Vec<_> = (0..THREADS).map(|_| scope.spawn(flush)).collect();
        ready.wait();
        give_way(20);
        first.release();
        assert!(second.wait_for_arrival_timeout(PATIENCE), "no retry came");
        give_way(50);
        second.release();
        flushing
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "see the panic above"))
    })?;
    // The fault is over, and so is its report.
    db.flush()?;
    assert_eq!(db.stats().background_error, None);
    Ok(())
}

/// The same, and each of 64 callers was woken by failures that others had asked for (fault 65).
#[test]
fn flush_says_ok_to_each_of_many_callers_only_if_its_memtable_is_in_a_run() -> TestResult {
    (0..ROUNDS).try_for_each(|_| flushes_beside_a_failure())
}

/// A store with eight sealed memtables, the most that may wait for their flush before writers do.
fn eight_sealed(machine: &Machine) -> lsm_db::Result<Lsm> {
    let db = machine.open()?;
    for number in 0.. {
        if db.stats().sealed_memtables == 8 {
            break;
        }
        db.put(key(number), vec![b'v'; CAPACITY_BYTES * 3 / 5])?;
    }
    Ok(db)
}

#[test]
fn a_writer_waits_for_the_flush_that_makes_room_and_for_no_more() -> TestResult {
    for wal in [true, false] {
        let machine = Machine::new(without_log().wal(wal), 3);
        let db = eight_sealed(&machine)?;
        assert_eq!(db.stats().flushes, 0);
        db.put("k", "v")?;
        assert_eq!(db.stats().flushes, 1);
        assert_eq!(db.stats().stalls, 1);
    }
    Ok(())
}

#[test]
fn while_flushes_fail_a_writer_is_told_and_does_not_wait_for_room() -> TestResult {
    let machine = Machine::new(without_log(), 3);
    let db = eight_sealed(&machine)?;
    machine
        .faults
        .fail_when(Operation::CreateNew, is_run, no_room_once().for_good());
    let start = machine.scheduler.now();
    let creates = || machine.faults.count_of(Operation::CreateNew);
    let told = db.put("k", "v");
    assert!(is_no_room(&told), "{told:?}");
    // The next is told of the attempt that there was: it makes none, and waits for none.
    let tried = creates();
    let told = db.put("k", "v");
    assert!(is_no_room(&told), "{told:?}");
    assert_eq!((machine.scheduler.now(), creates()), (start, tried));
    assert_eq!(db.get("k")?, None);

    machine.faults.clear_faults();
    machine.settle();
    db.put("k", "v")?;
    assert_eq!(db.get("k")?, Some(b"v".to_vec()));
    Ok(())
}

fn manifest_is_clean(machine: &Machine) -> Result<bool, Box<dyn std::error::Error>> {
    // Only keys too long for the manifest would be asked for.
    let mut keys_of = |_: &UnresolvedRun| -> Result<_, Infallible> { Ok(Default::default()) };
    let directory = machine.disk.open_dir(machine.dir())?;
    Ok(Manifest::load(directory, &mut keys_of)?.was_clean())
}

/// `close` marked the manifest clean though its flush had failed, and what was in memory was gone.
#[test]
fn a_close_without_a_log_whose_flush_fails_says_so_and_marks_nothing_clean() -> TestResult {
    for drops in [false, true] {
        let machine = Machine::new(without_log(), 5);
        let db = machine.open()?;
        db.put("in a run", "v")?;
        db.flush()?;
        db.put("in memory", "v")?;
        machine
            .faults
            .fail_when(Operation::CreateNew, is_run, no_room_once());
        let tried = machine.faults.count_of(Operation::CreateNew);
        if drops {
            drop(db);
        } else {
            let closed = db.close();
            assert!(is_no_room(&closed), "{closed:?}");
        }
        // One attempt, and its retry went with the handle.
        machine.settle();
        assert_eq!(machine.faults.count_of(Operation::CreateNew), tried + 1);
        assert!(!manifest_is_clean(&machine)?, "drops: {drops}");

        let db = machine.open()?;
        assert_eq!(db.get("in a run")?, Some(b"v".to_vec()));
        assert_eq!(db.get("in memory")?, None);
        db.put("in memory", "v")?;
        db.close()?;
        assert!(manifest_is_clean(&machine)?);
    }
    Ok(())
}

/// A caller that wants nothing lost flushes until it is told Ok, and closes then.
#[test]
fn after_a_flush_that_failed_the_next_is_told_of_its_own() -> TestResult {
    let machine = Machine::new(without_log(), 7);
    let db = machine.open()?;
    db.put("k", "v")?;
    machine
        .faults
        .fail_when(Operation::CreateNew, is_run, no_room_once());
    let flushed = db.flush();
    assert!(is_no_room(&flushed), "{flushed:?}");
    db.flush()?;
    db.close()?;
    assert_eq!(machine.open()?.get("k")?, Some(b"v".to_vec()));
    Ok(())
}

/// A merge that failed was made good by `compact_range`, and the failure was reported for ever.
#[test]
fn a_failure_of_work_that_is_not_wanted_any_more_is_over() -> TestResult {
    let machine = Machine::new(without_log().compaction_trigger(2), 9);
    let db = machine.open()?;
    for age in 0..2 {
        db.put("k", age.to_string())?;
        db.flush()?;
    }
    machine
        .faults
        .fail_when(Operation::CreateNew, is_run, no_room_once().for_good());
    // When the clock has moved, nothing is left but the next retry.
    let start = machine.scheduler.now();
    while machine.scheduler.now() == start {
        assert!(machine.scheduler.step(), "no merge is tried again");
    }
    assert!(db.stats().background_failures > 0);
    machine.faults.clear_faults();
    db.compact_range::<&[u8], _>(..)?;
    machine.settle();
    assert_eq!(db.stats().background_error, None);
    Ok(())
}
