//! What must hold after a crash: the store opens, shows what was promised, leaves nothing lying
//! about, reuses no id, takes writes, and opens again with the same.
//!
//! Called by the sweeps for each disk that a crash left. Changes only that disk.

use std::sync::Arc;

use lsm_db::{Batch, Durability, Lsm, LsmConfig};
use lsm_fs::{CrashImage, FileSystem, SimFs};

use super::stage::{Captured, Stage, UsedIds};
use super::{Crash, History, leftovers, mixed};
use crate::describe;
use crate::machine::Machine;
use crate::model::{Model, Write, apply, check, contents};
use crate::random::Random;

/// A disk after a crash, and what is known of its past.
#[derive(Clone)]
pub(super) struct Remains<'a> {
    /// The disk as the next process finds it.
    pub disk: SimFs,
    /// How it came to that.
    pub crash: Crash,
    /// What was promised.
    pub history: &'a History,
    /// How the store is opened.
    pub config: &'a LsmConfig,
    /// The ids of all files it ever had.
    pub used: UsedIds,
    /// What is drawn here: how the second handle ends.
    pub seed: u64,
}

impl Remains<'_> {
    /// Checks all of it.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub(super) fn check(self) -> Result<(), String> {
        let mut random = Random::new(self.seed);
        let machine = Machine::with_disk(self.disk, self.config.clone(), random.draw());
        let mut stage = Stage::after(machine, self.used);
        let db = open(&stage).map_err(|error| format!("open: {error}"))?;
        let found = contents(&db).map_err(|error| describe(&error))?;
        self.history.explain(&found, self.crash)?;
        if let Some(error) = db.stats().background_error {
            return Err(format!("nothing fails any more, but: {error}"));
        }
        if random.one_in(3) {
            // What was shown is durable, whether or not anybody wrote since.
            let image =
                *random_of(&CrashImage::standard(random.draw()), &mut random).ok_or("no image")?;
            let left = stage.machine.after_power_cut(&image);
            let db = left
                .open()
                .map_err(|error| format!("again: {}", describe(&error)))?;
            shows(&db, &found).map_err(|error| format!("shown, cut in {image:?}: {error}"))?;
        }
        shows(&db, &found)?;
        // Or the log goes on from what was replayed, and the next recovery has both to read.
        if random.one_in(2) {
            at_rest(&stage, &db, &found).map_err(|error| format!("settled: {error}"))?;
        }

        let model = takes_writes(&db, found, self.config.wal_enabled())?;
        end(&mut stage, db, &mut random)?;
        let db = open(&stage).map_err(|error| format!("second open: {error}"))?;
        at_rest(&stage, &db, &model).map_err(|error| format!("second open: {error}"))?;
        db.close()
            .map_err(|error| format!("close: {}", describe(&error)))?;
        match stage.notes().reused.take() {
            Some(reused) => Err(reused),
            None => Ok(()),
        }
    }

    /// Checks it once for each operation of its recovery, crashing again there, in an image drawn
    /// for each. Returns how many those were.
    ///
    /// # Errors
    /// The first promise that is broken, and where.
    pub(super) fn check_crashed_again(&self) -> Result<u64, String> {
        let mut number = 0;
        loop {
            let mut random = Random::new(mixed(self.seed, number));
            let image =
                *random_of(&CrashImage::standard(random.draw()), &mut random).ok_or("no image")?;
            let disk = self.disk.reopen_after_kill();
            let machine = Machine::with_disk(disk, self.config.clone(), self.seed);
            let stage = Stage::after(machine, self.used.clone());
            stage.notes().capture = Some((number, image));
            let place = || format!("and in recovery before operation {number}, {image:?}");
            let db = open(&stage).map_err(|error| format!("{}: {error}", place()))?;
            stage.machine.settle();
            drop(db);
            let Some(Captured { disk, used }) = stage.end_capture() else {
                return Ok(number);
            };
            let again = Remains {
                disk,
                // Nobody was shown anything yet: this is as if the power had gone at first.
                crash: Crash::PowerCut(image),
                used,
                seed: random.draw(),
                ..self.clone()
            };
            again
                .check_content()
                .map_err(|error| format!("{}: {error}", place()))?;
            number += 1;
        }
    }

    /// Only opens it and looks.
    fn check_content(self) -> Result<(), String> {
        let machine = Machine::with_disk(self.disk, self.config.clone(), self.seed);
        let stage = Stage::after(machine, self.used);
        let db = open(&stage).map_err(|error| format!("open: {error}"))?;
        let found = contents(&db).map_err(|error| describe(&error))?;
        self.history.explain(&found, self.crash)?;
        at_rest(&stage, &db, &found)?;
        match stage.notes().reused.take() {
            Some(reused) => Err(reused),
            None => Ok(()),
        }
    }
}

fn open(stage: &Stage) -> Result<Lsm, String> {
    stage.machine.open().map_err(|error| describe(&error))
}

fn random_of<'a, T>(choices: &'a [T], random: &mut Random) -> Option<&'a T> {
    choices.get(random.below(choices.len()))
}

pub(super) fn shows(db: &Lsm, model: &Model) -> Result<(), String> {
    check(db, model).map_err(|error| describe(&*error))
}

/// Background work ends, changes nothing that is read, and leaves no file over.
pub(super) fn at_rest(stage: &Stage, db: &Lsm, model: &Model) -> Result<(), String> {
    stage.machine.settle();
    shows(db, model)?;
    let disk: Arc<dyn FileSystem> = Arc::new(stage.machine.disk.clone());
    leftovers::check(&disk, stage.machine.dir())
}

/// Overwrites, deletes and adds, durably; returns what the store must hold then.
fn takes_writes(db: &Lsm, mut model: Model, logged: bool) -> Result<Model, String> {
    let mut keys = model.keys().cloned();
    let overwritten = keys.next().map(|key| (key, Some(b"overwritten".to_vec())));
    let deleted = keys.next_back().map(|key| (key, None));
    drop(keys);
    let added = (b"added".to_vec(), Some(b"v".to_vec()));
    let writes: Vec<Write> = [Some(added), overwritten, deleted]
        .into_iter()
        .flatten()
        .collect();
    let mut batch = Batch::new();
    for (key, value) in &writes {
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        }
    }
    let written = if logged {
        db.write_with(batch, Durability::Sync)
    } else {
        db.write(batch).and_then(|()| db.flush())
    };
    written.map_err(|error| format!("takes no writes: {}", describe(&error)))?;
    apply(&mut model, &writes);
    shows(db, &model)?;
    Ok(model)
}

/// Ends the handle, orderly or not; the last write was durable.
fn end(stage: &mut Stage, db: Lsm, random: &mut Random) -> Result<(), String> {
    match random.below(4) {
        0 => db
            .close()
            .map_err(|error| format!("close: {}", describe(&error)))?,
        1 => drop(db),
        2 => {
            let left = stage.machine.after_kill();
            stage.move_to(left);
        }
        _ => {
            let image = CrashImage::standard(random.draw());
            let image = random_of(&image, random).ok_or("no image")?;
            let left = stage.machine.after_power_cut(image);
            stage.move_to(left);
        }
    }
    Ok(())
}
