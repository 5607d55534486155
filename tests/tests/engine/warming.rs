//! Once readers have missed a quarter of a run's blocks, the rest is read into the cache in the background:
//! ahead of them, at nobody's cost.

use lsm_db::{Lsm, LsmConfig, Stats};
use lsm_fs::{Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::directory::{damage, runs};
use lsm_tests::machine::Machine;
use lsm_tests::model::{key, value};

/// Keys of a run, two to a block.
const KEYS: usize = 400;
const BLOCKS: u64 = KEYS as u64 / 2;
/// The keys of a quarter of the blocks.
const QUARTER: usize = KEYS / 4;

fn large_value(number: usize) -> Vec<u8> {
    let mut large = value(number, 0);
    large.resize(2_100, b'.');
    large
}

fn write_run(db: &Lsm) -> TestResult {
    let mut batch = lsm_db::Batch::new();
    for number in 0..KEYS {
        batch.put(key(number), large_value(number));
    }
    db.write(batch)?;
    db.flush()?;
    Ok(())
}

/// A store with one run, no block of which is cached.
fn with_one_run(machine: &Machine) -> TestResult<Lsm> {
    let db = machine.open()?;
    write_run(&db)?;
    machine.settle();
    Ok(db)
}

fn read(db: &Lsm, numbers: impl Iterator<Item = usize>) -> TestResult {
    for number in numbers {
        assert_eq!(db.get(key(number))?, Some(large_value(number)));
    }
    Ok(())
}

fn is_warm(stats: &Stats) -> bool {
    stats.blocks_warmed > 0
}

#[test]
fn after_a_quarter_no_reader_has_to_read_a_block() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = with_one_run(&machine)?;
    read(&db, 0..QUARTER - 2)?;
    machine.settle();
    assert!(!is_warm(&db.stats()), "a block early");
    read(&db, 0..QUARTER)?;
    machine.settle();
    let warm = db.stats();
    assert_eq!(warm.blocks_read + warm.blocks_warmed, BLOCKS);
    read(&db, 0..KEYS)?;
    assert_eq!(db.stats().blocks_read, warm.blocks_read);
    Ok(())
}

#[test]
fn seeks_miss_as_gets_do() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 2);
    let db = with_one_run(&machine)?;
    for number in (0..KEYS).step_by(4) {
        assert!(db.cursor().seek(key(number))?);
    }
    machine.settle();
    assert!(is_warm(&db.stats()));
    Ok(())
}

/// Only what fits beside all that is there is read: nothing has to go for it.
#[test]
fn without_room_for_all_of_it_nothing_is_read() -> TestResult {
    let capacity = 600_000;
    let machine = Machine::new(LsmConfig::new().block_cache_capacity(capacity), 3);
    let db = with_one_run(&machine)?;
    read(&db, 0..KEYS)?;
    machine.settle();
    let stats = db.stats();
    assert!(!is_warm(&stats));
    assert!(stats.cache_bytes <= capacity as u64);
    Ok(())
}

#[test]
fn with_the_cache_off_nothing_is_read() -> TestResult {
    let machine = Machine::new(LsmConfig::new().block_cache_capacity(0), 4);
    let db = with_one_run(&machine)?;
    read(&db, 0..KEYS)?;
    machine.settle();
    assert!(!is_warm(&db.stats()));
    Ok(())
}

#[test]
fn what_a_merge_writes_is_as_warm_as_what_it_read() -> TestResult {
    for reads_before in [KEYS, QUARTER / 2] {
        let machine = Machine::new(LsmConfig::new(), 5);
        let db = with_one_run(&machine)?;
        read(&db, 0..reads_before)?;
        machine.settle();
        let before = db.stats();
        // A small run above it, so that a merge and no move is due.
        db.put(key(7), large_value(7))?;
        db.flush()?;
        db.compact_range::<&[u8], _>(..)?;
        machine.settle();
        let merged = db.stats();
        assert!(merged.compactions > before.compactions);
        let was_cached = reads_before == KEYS;
        let warmed = merged.blocks_warmed - before.blocks_warmed;
        assert_eq!(warmed, if was_cached { BLOCKS } else { 0 });
        read(&db, 0..KEYS)?;
        let is_free = db.stats().blocks_read == merged.blocks_read;
        assert_eq!(is_free, was_cached);
    }
    Ok(())
}

/// What can't be read ahead is the error of the reader who needs it, and of nobody else.
#[test]
fn a_failure_is_left_to_who_asks_for_the_block() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 6);
    let db = with_one_run(&machine)?;
    db.close()?;
    let run = runs(&machine.disk, machine.dir())?;
    let run = run.first().ok_or("no run")?;
    damage(&machine.disk, run, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    })?;
    let db = machine.open()?;
    read(&db, 0..QUARTER + 1)?;
    machine.settle();
    let stats = db.stats();
    assert_eq!((stats.background_failures, stats.runs_set_aside), (0, 0));
    read(&db, KEYS - 10..KEYS)?;
    assert_eq!(
        db.stats().blocks_read,
        stats.blocks_read,
        "behind the damage"
    );
    let failed = (0..KEYS).filter(|number| db.get(key(*number)).is_err());
    assert_eq!(failed.count(), 2, "the two of one block");
    db.put("goes", "on")?;
    Ok(())
}

#[test]
fn a_disk_that_fails_for_a_while_costs_nothing_but_the_warmth() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 7);
    let db = with_one_run(&machine)?;
    read(&db, 0..QUARTER + 1)?;
    let broken = Fault::new(std::io::ErrorKind::Other);
    machine
        .faults
        .fail_when(Operation::ReadAt, |_| true, broken);
    machine.settle();
    machine.faults.clear_faults();
    assert_eq!(db.stats().background_failures, 0);
    read(&db, 0..KEYS)
}

#[test]
fn a_store_that_closes_meanwhile_closes() -> TestResult {
    for steps in 0..4 {
        let machine = Machine::new(LsmConfig::new(), 8 + steps);
        let db = with_one_run(&machine)?;
        read(&db, 0..QUARTER + 1)?;
        for _ in 0..steps {
            machine.scheduler.step();
        }
        db.close()?;
        machine.settle();
        read(&machine.open()?, 0..KEYS)?;
    }
    Ok(())
}
