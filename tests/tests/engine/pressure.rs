//! Back-pressure on the virtual clock: all writers together are slowed down, not each by itself.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lsm_db::{Durability, Lsm, LsmConfig};
use lsm_fs::{Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::key;

const CAPACITY_BYTES: usize = 8 << 20;
const VALUE_BYTES: usize = 8 << 10;
const WRITES: u64 = 16;

fn is_run(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst")
}

/// A store with three memtables that can't be flushed, for lack of room: pressure that stays.
fn under_pressure(machine: &Machine) -> Result<Arc<Lsm>, Box<dyn std::error::Error>> {
    let db = machine.open()?;
    db.put("first", "v")?;
    let no_room = Fault::new(io::ErrorKind::StorageFull).for_good();
    machine
        .faults
        .fail_when(Operation::CreateNew, is_run, no_room);
    for number in 0.. {
        if db.stats().sealed_memtables == 3 {
            break;
        }
        db.put(key(number), vec![b'v'; VALUE_BYTES])?;
    }
    Ok(Arc::new(db))
}

/// What passes on the virtual clock until each of `writers`, who all begin at the same moment, has
/// written its part of [`WRITES`].
fn passed(writers: u64, rest: Duration) -> Result<Duration, Box<dyn std::error::Error>> {
    let config = LsmConfig::new()
        .memtable_capacity(CAPACITY_BYTES)
        .durability(Durability::Buffered);
    let machine = Machine::new(config, 5);
    let db = under_pressure(&machine)?;
    let scheduler = &machine.scheduler;
    scheduler.sleep(rest);
    let lanes = scheduler.pool("writers", usize::try_from(writers)?)?;
    let written = Arc::new(AtomicU64::new(0));
    let start = scheduler.now();
    for writer in 0..writers {
        let (db, written) = (Arc::clone(&db), Arc::clone(&written));
        // While a writer waits the stepped scheduler runs other lanes: the next writer, at the same
        // moment.
        lanes.submit(usize::try_from(writer)?, move || {
            for number in 0..WRITES / writers {
                let put = db.put(key(usize::try_from(number).unwrap()), [0; VALUE_BYTES]);
                written.fetch_add(u64::from(put.is_ok()), Ordering::Relaxed);
            }
        });
    }
    while written.load(Ordering::Relaxed) < WRITES {
        assert!(scheduler.step(), "the writers are gone");
    }
    assert_eq!(db.stats().sealed_memtables, 3, "the pressure changed");
    Ok(scheduler.now() - start)
}

/// Each writer slept for its own bytes, so that sixteen were let through at sixteen times the rate,
/// and the backlog grew to where all were stopped.
#[test]
fn sixteen_writers_together_are_let_through_as_fast_as_one() -> TestResult {
    let alone = passed(1, Duration::ZERO)?;
    // 128 KiB at half of 32 MiB/s, or a little less.
    assert!(
        (Duration::from_millis(6)..Duration::from_millis(12)).contains(&alone),
        "{alone:?}"
    );
    for writers in [2, 4, 16] {
        let together = passed(writers, Duration::ZERO)?;
        let off = together.abs_diff(alone);
        assert!(
            off < Duration::from_millis(2),
            "{writers}: {together:?}, not {alone:?}"
        );
    }
    Ok(())
}

/// Time in which nobody wrote is not saved up for a burst.
#[test]
fn a_rest_before_them_lets_no_more_through() -> TestResult {
    let alone = passed(1, Duration::ZERO)?;
    for writers in [1, 16] {
        let rested = passed(writers, Duration::from_secs(1000))?;
        let off = rested.abs_diff(alone);
        assert!(off < Duration::from_millis(3), "{rested:?}, not {alone:?}");
    }
    Ok(())
}
