//! Background work that panics: whatever it had marked as under way is not so for ever.
//!
//! Work that only saves readers time is tried again by the next reader that misses it. Work that writes
//! ends writing, and leaves nothing claimed.

use std::path::Path;

use lsm_db::{Lsm, LsmConfig};
use lsm_fs::{ByPath, FileSystem, Operation};
use lsm_tests::TestResult;
use lsm_tests::directory::runs;
use lsm_tests::machine::Machine;
use lsm_tests::model::{key, value};

/// Keys of a run, two to a block.
const KEYS: usize = 400;

fn large_value(number: usize) -> Vec<u8> {
    let mut large = value(number, 0);
    large.resize(2_100, b'.');
    large
}

fn is_run(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst")
}

/// Until the hook is removed, each such operation on a run panics.
fn panic_on(machine: &Machine, operation: Operation) {
    machine.faults.on_operation(move |event| {
        let is_it = event.operation == operation && is_run(event.path);
        assert!(!is_it, "a panic on purpose");
    });
}

fn with_one_run(config: LsmConfig) -> TestResult<(Machine, Lsm)> {
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    for number in 0..KEYS {
        db.put(key(number), large_value(number))?;
    }
    db.flush()?;
    machine.settle();
    Ok((machine, db))
}

/// The run stayed marked as one that is being read ahead, and never was again.
#[test]
fn a_run_whose_warming_panicked_is_warmed_when_readers_miss_more_of_it() -> TestResult {
    let (machine, db) = with_one_run(LsmConfig::new())?;
    let miss = |from: usize| -> TestResult {
        for number in from..from + KEYS / 4 {
            assert_eq!(db.get(key(number))?, Some(large_value(number)));
        }
        Ok(())
    };
    miss(0)?;
    panic_on(&machine, Operation::ReadAt);
    machine.settle();
    machine.faults.remove_hook();
    assert_eq!(db.stats().blocks_warmed, 0, "it was to panic");
    miss(KEYS / 4)?;
    machine.settle();
    assert!(db.stats().blocks_warmed > 0, "{}", db.stats());
    assert!(!db.stats().poisoned);
    Ok(())
}

/// The filter stayed marked as one that is being made, and the run was without one from then on.
#[cfg(feature = "bloom")]
#[test]
fn a_filter_whose_making_panicked_is_made_for_a_later_reader() -> TestResult {
    let (machine, db) = with_one_run(LsmConfig::new().compaction_trigger(usize::MAX))?;
    db.close()?;
    let run = runs(&machine.disk, machine.dir())?.pop().ok_or("no run")?;
    let sidecar = run.with_extension("sst.bloom");
    machine.disk.remove_file(&sidecar)?;
    let db = machine.open()?;
    let skips = || -> TestResult<u64> {
        let before = db.stats().filter_skips;
        assert_eq!(db.get("key-000001-absent")?, None);
        Ok(db.stats().filter_skips - before)
    };
    assert_eq!(skips()?, 0, "it has no filter yet");
    panic_on(&machine, Operation::ReadAt);
    machine.settle();
    machine.faults.remove_hook();
    assert_eq!(skips()?, 0, "it was to panic");
    machine.settle();
    assert_eq!(skips()?, 1);
    assert!(machine.disk.kind(&sidecar)?.is_some());
    Ok(())
}

/// A job that panicked kept its keys, and `compaction_pending` said for ever that it was at work.
#[test]
fn a_job_that_panicked_ends_writing_and_claims_nothing() -> TestResult {
    let (machine, db) = with_one_run(LsmConfig::new().compaction_trigger(usize::MAX))?;
    db.put(key(7), value(7, 1))?;
    db.flush()?;
    assert!(!db.stats().compaction_pending);
    panic_on(&machine, Operation::CreateNew);
    let called = db.compact_range::<&[u8], _>(..);
    machine.faults.remove_hook();
    let told = called
        .err()
        .map(|error| error.in_full())
        .unwrap_or_default();
    assert!(told.contains("a panic on purpose"), "{told}");
    machine.settle();
    let stats = db.stats();
    assert!(stats.poisoned && !stats.compaction_pending, "{stats}");
    assert_eq!(db.get(key(7))?, Some(value(7, 1)));
    Ok(())
}
