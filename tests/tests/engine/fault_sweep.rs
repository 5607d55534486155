//! One failing operation, at each place of a short life in turn: once and for good, a dead disk, a
//! full one, a torn write, and an answer that got lost.
//!
//! Whatever fails, reads go on and show exactly what was acknowledged; and after a reopen, and a
//! power cut, nothing acknowledged is missing. A write that failed may be there after the reopen
//! or not: its fate was open.

use std::collections::BTreeMap;
use std::io;

use lsm_db::{Batch, Durability, Lsm, LsmConfig};
use lsm_fs::{CrashImage, Fault};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, contents, key, value};

const WRITES: usize = 18;

fn config() -> LsmConfig {
    LsmConfig::new()
        .memtable_capacity(900)
        .run_bytes_target(1000)
        .compaction_trigger(2)
}

/// What became of the writes to each key, oldest first.
#[derive(Debug, Default)]
struct Fates {
    of: BTreeMap<Vec<u8>, Vec<(Vec<u8>, Fate)>>,
    /// What the handle must show.
    acknowledged: Model,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// Acknowledged as durable.
    Durable,
    /// Acknowledged, as buffered.
    Buffered,
    /// Not acknowledged.
    Open,
}

impl Fates {
    fn note(&mut self, key: Vec<u8>, value: Vec<u8>, fate: Fate) {
        if fate != Fate::Open {
            self.acknowledged.insert(key.clone(), value.clone());
        }
        if fate == Fate::Durable {
            // It brought every acknowledged write before it along.
            let writes = self.of.values_mut().flatten();
            writes
                .filter(|(_, fate)| *fate == Fate::Buffered)
                .for_each(|(_, fate)| *fate = Fate::Durable);
        }
        self.of.entry(key).or_default().push((value, fate));
    }

    /// Checks that a store holds, for each key, its newest write that must be there or a later
    /// one. `buffered_too`: whether buffered writes must be there.
    fn allow(&self, db: &Lsm, buffered_too: bool) -> Result<Model, Box<dyn std::error::Error>> {
        let found = contents(db)?;
        let must_be_there =
            |fate: Fate| fate == Fate::Durable || (buffered_too && fate == Fate::Buffered);
        for (key, writes) in &self.of {
            let newest = writes.iter().rposition(|(_, fate)| must_be_there(*fate));
            let allowed = &writes[newest.unwrap_or(0)..];
            let allows = match found.get(key) {
                Some(value) => allowed.iter().any(|write| write.0 == *value),
                None => newest.is_none(),
            };
            if !allows {
                return Err(format!("{:?} where {writes:?} were written", found.get(key)).into());
            }
        }
        match found.keys().find(|key| !self.of.contains_key(*key)) {
            Some(key) => Err(format!("{key:?} was never written").into()),
            None => Ok(found),
        }
    }
}

/// Goes on whatever fails; what the store says is taken at its word.
fn live(machine: &Machine, fates: &mut Fates) -> TestResult {
    let Ok(mut db) = machine.open() else {
        return Ok(());
    };
    for number in 0..WRITES {
        let (key, value) = (
            key(number * 5 % 7),
            [value(number, number), vec![b'.'; 60]].concat(),
        );
        let mut batch = Batch::new();
        batch.put(&key, &value);
        let durability = match number % 3 {
            0 => Durability::Buffered,
            _ => Durability::Sync,
        };
        let fate = match (db.write_with(batch, durability), durability) {
            (Ok(()), Durability::Sync) => Fate::Durable,
            (Ok(()), Durability::Buffered) => Fate::Buffered,
            (Err(_), _) => Fate::Open,
        };
        fates.note(key, value, fate);
        check(&db, &fates.acknowledged)?;
        // What these report is not asked here; only that what they leave is right.
        match number {
            5 => drop(db.flush()),
            9 => {
                drop(db.close());
                match machine.open() {
                    Ok(reopened) => db = reopened,
                    Err(_) => return Ok(()),
                }
                // From here on the handle shows what the reopen found.
                fates.acknowledged = fates.allow(&db, true)?;
            }
            13 => drop(db.compact_range::<&[u8], _>(..)),
            _ => {}
        }
        machine.scheduler.step();
        check(&db, &fates.acknowledged)?;
    }
    machine.settle();
    check(&db, &fates.acknowledged)?;
    drop(db.close());
    Ok(())
}

fn lives_with(fault: &Fault, n: u64) -> TestResult {
    let machine = Machine::new(config(), 1);
    machine.faults.fail_nth(n, fault.clone());
    let mut fates = Fates::default();
    live(&machine, &mut fates)?;
    machine.faults.clear_faults();

    // A power cut now, before anybody has looked: in the mildest and the harshest image.
    for image in [CrashImage::NothingUnsynced, CrashImage::EverythingUnsynced] {
        let left = machine.after_power_cut(&image);
        let db = left.open().map_err(|error| format!("{image:?}: {error}"))?;
        fates
            .allow(&db, false)
            .map_err(|error| format!("{image:?}: {error}"))?;
    }
    // The next open, and what it shows stays.
    let db = machine.open().map_err(|error| format!("reopen: {error}"))?;
    let shown = fates
        .allow(&db, true)
        .map_err(|error| format!("reopen: {error}"))?;
    db.put("after", "v")?;
    machine.settle();
    let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
    let mut after = contents(&left.open()?)?;
    after.remove(b"after".as_slice());
    if after != shown {
        return Err("what the reopen showed went with the power".into());
    }
    Ok(())
}

fn sweep(fault: &Fault) -> TestResult {
    let machine = Machine::new(config(), 1);
    live(&machine, &mut Fates::default())?;
    let mutations = machine.faults.mutation_count();
    assert!(mutations > 100, "only {mutations} operations");
    for n in 0..mutations {
        lives_with(fault, n).map_err(|error| format!("operation {n}, {fault:?}: {error}"))?;
    }
    Ok(())
}

const EIO: i32 = 5;

#[test]
fn an_io_error_once_at_every_operation() -> TestResult {
    sweep(&Fault::from_raw_os_error(EIO))
}

#[test]
fn a_disk_that_dies_at_every_operation() -> TestResult {
    sweep(&Fault::from_raw_os_error(EIO).for_good())
}

#[test]
fn a_full_disk_once_at_every_operation() -> TestResult {
    sweep(&Fault::new(io::ErrorKind::StorageFull))
}

#[test]
fn a_torn_write_at_every_operation() -> TestResult {
    sweep(&Fault::new(io::ErrorKind::StorageFull).short_write(17))
}

#[test]
fn a_lost_answer_at_every_operation() -> TestResult {
    sweep(&Fault::from_raw_os_error(EIO).after_the_effect())
}
