//! What must hold when the next process opens what a killed one left: everything acknowledged is
//! there, the write in flight all or nothing, and nothing else; the levels are as they must be, no
//! file is left over, writing goes on, and it opens again with the same.
//!
//! Called after each life. The parent's own background work is stepped, so that it is known when the
//! store is at rest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsm_db::{Batch, Lsm, Scheduler};
use lsm_fs::{FileSystem, RealFs};

use super::job::Shape;
use super::oracle::{Oracle, parents_writes};
use crate::crash::leftovers;
use crate::describe;
use crate::model::{Model, apply, check, contents};
use crate::random::Random;

/// More background tasks than any of these stores can have queued.
const STEPS_MAX: usize = 100_000;

/// A store that was killed, and what is known of it.
#[derive(Debug)]
pub struct Remains<'a> {
    /// Its directory.
    pub dir: &'a Path,
    /// How it is opened.
    pub shape: Shape,
    /// What was promised.
    pub oracle: &'a mut Oracle,
    /// What is drawn here.
    pub seed: u64,
}

impl Remains<'_> {
    /// Checks all of it, in place: what the parent writes stays, and the store is shut down.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn check(self) -> Result<(), String> {
        let (_, left) = check_in(self.dir, self.shape, self.oracle, self.seed)?;
        self.oracle.resolve(&left)
    }

    /// Checks all of it in a copy, so that the next child finds the store as the last one left it.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn check_copy(self, beside: &Path) -> Result<(), String> {
        let copied = copy(self.dir, beside);
        copied.map_err(|error| format!("copy {}: {error}", self.dir.display()))?;
        let (found, _) = check_in(beside, self.shape, self.oracle, self.seed)
            .map_err(|error| format!("in a copy: {error}"))?;
        self.oracle.resolve(&found)
    }
}

/// Returns what was found, and what is there at the end.
fn check_in(
    dir: &Path,
    shape: Shape,
    oracle: &Oracle,
    seed: u64,
) -> Result<(Model, Model), String> {
    let mut random = Random::new(seed);
    let mut store =
        Store::open(dir, shape, random.draw()).map_err(|error| format!("open: {error}"))?;
    let found = contents(&store.db).map_err(|error| describe(&error))?;
    oracle.explain(&found)?;
    store.shows(&found)?;
    if let Some(error) = store.db.stats().background_error {
        return Err(format!("nothing fails any more, but: {error}"));
    }
    if random.one_in(2) {
        store
            .is_at_rest(dir, &found)
            .map_err(|error| format!("settled: {error}"))?;
    }
    let mut model = found.clone();
    store.takes_writes(&mut model, random.draw(), shape.logged)?;
    if random.one_in(2) {
        store.end(&mut random)?;
        store = Store::open(dir, shape, random.draw())
            .map_err(|error| format!("second open: {error}"))?;
        store
            .shows(&model)
            .map_err(|error| format!("second open: {error}"))?;
    }
    store
        .is_at_rest(dir, &model)
        .map_err(|error| format!("at the end: {error}"))?;
    store.end(&mut random)?;
    Ok((found, model))
}

struct Store {
    db: Lsm,
    scheduler: Scheduler,
}

impl Store {
    fn open(dir: &Path, shape: Shape, seed: u64) -> Result<Self, String> {
        let scheduler = Scheduler::stepped(seed);
        let config = shape.config().scheduler(scheduler.clone());
        let db = Lsm::open_with(dir, config).map_err(|error| describe(&error))?;
        Ok(Self { db, scheduler })
    }

    fn shows(&self, model: &Model) -> Result<(), String> {
        check(&self.db, model).map_err(|error| describe(&*error))
    }

    fn is_at_rest(&self, dir: &Path, model: &Model) -> Result<(), String> {
        if self.scheduler.run_until_idle(STEPS_MAX) >= STEPS_MAX {
            return Err("background work goes on for ever".to_owned());
        }
        self.shows(model)?;
        let disk: Arc<dyn FileSystem> = Arc::new(RealFs::new());
        leftovers::check(&disk, dir)
    }

    fn takes_writes(&self, model: &mut Model, number: u64, logged: bool) -> Result<(), String> {
        let writes = parents_writes(number);
        let mut batch = Batch::new();
        for (key, value) in &writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let written = self.db.write(batch).and_then(|()| match logged {
            true => Ok(()),
            false => self.db.flush(),
        });
        written.map_err(|error| format!("takes no writes: {}", describe(&error)))?;
        apply(model, &writes);
        self.shows(model)
    }

    fn end(self, random: &mut Random) -> Result<(), String> {
        if random.one_in(2) {
            drop(self.db);
            return Ok(());
        }
        self.db
            .close()
            .map_err(|error| format!("close: {}", describe(&error)))
    }
}

/// Copies the files of a store, which has no folders in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    remove(to)?;
    if !from.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Removes a store, if there is one.
///
/// # Errors
/// The system's.
pub fn remove(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The place of the copy of a store.
pub fn beside(dir: &Path) -> PathBuf {
    dir.with_extension("copy")
}
