//! A power cut at each operation of a short life: opening, writing, flushing, compacting, closing.
//!
//! What was acknowledged as `Sync` is there, nothing is that was not written, and what is there is
//! a prefix of the commit order. The cut comes before each operation that changes the disk, in
//! every standard image; and again at each operation of the recovery from it.

use std::sync::{Arc, Mutex, PoisonError};

use lsm_db::{Durability, Lsm, LsmConfig};
use lsm_fs::{CrashImage, SimFs};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, Write, apply, check, contents, key, value};

/// The writes, in commit order. Keys come back, so that a lost or doubled write shows.
fn writes() -> Vec<Write> {
    (0..20)
        .map(|age| {
            let number = age * 5 % 8;
            let value = (age % 6 != 5).then(|| [value(number, age), vec![b'.'; age * 40]].concat());
            (key(number), value)
        })
        .collect()
}

fn config() -> LsmConfig {
    LsmConfig::new()
        .memtable_capacity(1500)
        .run_bytes_target(1000)
        .compaction_trigger(2)
}

/// How far the life got: writes made, and writes known to be durable.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    begun: usize,
    durable: usize,
}

/// Where the power was cut, what was left, and how far the store was.
struct Cut {
    place: String,
    disk: SimFs,
    progress: Progress,
}

/// Every second write is buffered; each synced one makes all before it durable.
fn live(machine: &Machine, progress: &Mutex<Progress>) -> lsm_db::Result<()> {
    let at = |change: &dyn Fn(&mut Progress)| {
        change(&mut progress.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let mut db = machine.open()?;
    for (number, (key, value)) in (1..).zip(writes()) {
        at(&|progress| progress.begun = number);
        let mut batch = lsm_db::Batch::new();
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        }
        let synced = number % 2 == 0;
        db.write_with(
            batch,
            if synced {
                Durability::Sync
            } else {
                Durability::Buffered
            },
        )?;
        if synced {
            at(&|progress| progress.durable = number);
        }
        match number {
            7 => db.flush()?,
            12 => {
                db.close()?;
                at(&|progress| progress.durable = number);
                db = machine.open()?;
            }
            16 => db.compact_range::<&[u8], _>(..)?,
            19 => {
                db.sync()?;
                at(&|progress| progress.durable = number);
            }
            _ => {}
        }
        machine.scheduler.step();
    }
    machine.settle();
    db.close()
}

/// Lives the life once and cuts the power before each mutating operation, in every image.
fn cuts() -> lsm_db::Result<Vec<Cut>> {
    let machine = Machine::new(config(), 1);
    let progress = Arc::new(Mutex::new(Progress::default()));
    let cuts = Arc::new(Mutex::new(Vec::new()));
    {
        let (disk, progress, cuts) = (
            machine.disk.clone(),
            Arc::clone(&progress),
            Arc::clone(&cuts),
        );
        machine.faults.on_operation(move |event| {
            let Some(index) = event.mutation_index else {
                return;
            };
            let progress = *progress.lock().unwrap_or_else(PoisonError::into_inner);
            let mut cuts = cuts.lock().unwrap_or_else(PoisonError::into_inner);
            for image in CrashImage::standard(index) {
                let place = format!(
                    "before operation {index}, {:?} of {}, {image:?}, {progress:?}",
                    event.operation,
                    event.path.display()
                );
                cuts.push(Cut {
                    place,
                    disk: disk.crash(&image),
                    progress,
                });
            }
        });
    }
    live(&machine, &progress)?;
    machine.faults.remove_hook();
    Ok(std::mem::take(
        &mut *cuts.lock().unwrap_or_else(PoisonError::into_inner),
    ))
}

/// Finds how many writes the store holds, if it is a prefix that has every durable one.
fn survived(db: &Lsm, progress: Progress) -> Result<usize, Box<dyn std::error::Error>> {
    let writes = writes();
    let found = contents(db)?;
    for len in progress.durable..=progress.begun {
        let mut model = Model::new();
        apply(&mut model, &writes[..len]);
        // Different prefixes may hold the same entries; the first will do.
        if found == model {
            check(db, &model)?;
            return Ok(len);
        }
    }
    Err(format!("no prefix of the commit order: {:?}", found.keys()).into())
}

#[test]
fn every_power_cut_leaves_a_prefix_with_every_durable_write() -> TestResult {
    let cuts = cuts()?;
    assert!(cuts.len() > 500, "only {} cuts", cuts.len());
    for Cut {
        place,
        disk,
        progress,
    } in cuts
    {
        let machine = Machine::with_disk(disk, config(), 2);
        let db = machine
            .open()
            .map_err(|error| format!("{place}: open: {error}"))?;
        let before = contents(&db)?;
        survived(&db, progress).map_err(|error| format!("{place}: {error}"))?;
        // Recovery is complete: the store takes writes, settles, and opens again with the same.
        db.put("after the cut", "v")
            .map_err(|error| format!("{place}: put: {error}"))?;
        machine.settle();
        drop(db);
        let db = machine
            .open()
            .map_err(|error| format!("{place}: second open: {error}"))?;
        let mut after = contents(&db)?;
        assert!(
            after.remove(b"after the cut".as_slice()).is_some(),
            "{place}"
        );
        assert_eq!(after, before, "{place}");
    }
    Ok(())
}

/// A crash during recovery: recovery is idempotent (fault 21). What the first recovery showed is
/// still there after the second, if the first was acknowledged by anything synced.
#[test]
fn a_power_cut_during_recovery_loses_nothing_either() -> TestResult {
    let cuts = cuts()?;
    // A stride coprime to the number of images, so that it meets each of them.
    for (
        number,
        Cut {
            place,
            disk,
            progress,
        },
    ) in cuts.into_iter().enumerate().step_by(43)
    {
        let machine = Machine::with_disk(disk, config(), 3);
        let again = Arc::new(Mutex::new(Vec::new()));
        {
            let (disk, again) = (machine.disk.clone(), Arc::clone(&again));
            machine.faults.on_operation(move |event| {
                let Some(index) = event.mutation_index else {
                    return;
                };
                let images = CrashImage::standard(index);
                let mut again = again.lock().unwrap_or_else(PoisonError::into_inner);
                let image = images[(again.len() + number) % images.len()];
                again.push((index, image, disk.crash(&image)));
            });
        }
        let db = machine
            .open()
            .map_err(|error| format!("{place}: {error}"))?;
        machine.settle();
        machine.faults.remove_hook();
        drop(db);
        let again = std::mem::take(&mut *again.lock().unwrap_or_else(PoisonError::into_inner));
        for (index, image, disk) in again {
            let place = format!("{place}, then in recovery before operation {index}, {image:?}");
            let machine = Machine::with_disk(disk, config(), 4);
            let db = machine
                .open()
                .map_err(|error| format!("{place}: open: {error}"))?;
            survived(&db, progress).map_err(|error| format!("{place}: {error}"))?;
        }
    }
    Ok(())
}
