//! Small stores to damage: their directories as values, and all that they ever held.
//!
//! Made once from a seed on a simulated machine; each trial copies one and changes a file of it.

use std::collections::BTreeSet;
use std::error::Error;

use lsm_db::{Batch, LsmConfig};
use lsm_fs::{FileSystem, SimFs};

use super::FileKind;
use crate::directory::{Files, plant, read};
use crate::machine::Machine;
use crate::model::{Model, Write, apply, key, value};
use crate::vectors::plant_all;

/// What is not ours in the directory, nearly named like ours.
const FOREIGN: [&str; 3] = ["notes.txt", "run-1.sst", "x.tmp"];
const FOREIGN_DIR: &str = "run-4000000000.sst.tmp";

/// A store's directory after its process ended.
#[derive(Debug)]
pub struct Image {
    /// What it is called in messages.
    pub name: &'static str,
    /// All files, foreign ones too.
    pub files: Files,
    /// Every state that the store was in, in the order of the commits.
    pub states: Vec<Model>,
    /// Every key that was ever written.
    pub keys: BTreeSet<Vec<u8>>,
    /// Whether it was shut down cleanly, so that nothing may be lost to damage unnoticed.
    pub is_clean: bool,
    disk: SimFs,
}

impl Image {
    /// One of each: shut down cleanly; killed with a backlog; with keys too long for the manifest.
    ///
    /// # Errors
    /// The store's, if it cannot be made.
    pub fn all(seed: u64) -> Result<Vec<Self>, Box<dyn Error>> {
        Ok(vec![clean(seed)?, killed(seed)?, long_keys(seed)?])
    }

    /// A directory with these files, durable, that shows the last of these states.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn of_files(
        name: &'static str,
        files: Files,
        states: Vec<Model>,
    ) -> std::io::Result<Self> {
        let disk = SimFs::new();
        plant_all(&disk, dir(), &files)?;
        Ok(Self {
            name,
            files,
            keys: keys_of(&states),
            states,
            is_clean: false,
            disk,
        })
    }

    /// The names of the store's files of this kind.
    pub fn names(&self, kind: FileKind) -> impl Iterator<Item = &String> {
        self.files.keys().filter(move |name| kind.has(name))
    }

    /// A disk with this directory, some of its files changed.
    ///
    /// # Errors
    /// The disk's.
    pub fn disk_with(&self, changed: &[(String, Vec<u8>)]) -> std::io::Result<SimFs> {
        let disk = self.disk.reopen_after_kill();
        for (name, bytes) in changed {
            plant(&disk, &dir().join(name), bytes)?;
        }
        Ok(disk)
    }

    fn of(
        name: &'static str,
        machine: &Machine,
        states: Vec<Model>,
        is_clean: bool,
    ) -> Result<Self, Box<dyn Error>> {
        for foreign in FOREIGN {
            let content = format!("the content of {foreign}");
            plant(&machine.disk, &machine.path(foreign), content.as_bytes())?;
        }
        let inner = machine.path(FOREIGN_DIR);
        machine.disk.create_dir(&inner)?;
        plant(&machine.disk, &inner.join("inside"), b"inside")?;
        for (name, bytes) in read(&machine.disk, machine.dir())? {
            if FileKind::Log.has(&name) {
                // Preallocated zeros hold nothing, and a file without them is as good.
                let written = bytes
                    .iter()
                    .rposition(|&byte| byte != 0)
                    .map_or(0, |at| at + 1);
                let len = (written.next_multiple_of(8) + 64).min(bytes.len());
                plant(&machine.disk, &machine.path(&name), &bytes[..len])?;
            }
        }
        Ok(Self {
            name,
            files: read(&machine.disk, machine.dir())?,
            keys: keys_of(&states),
            states,
            is_clean,
            disk: machine.disk.reopen_after_kill(),
        })
    }
}

fn keys_of(states: &[Model]) -> BTreeSet<Vec<u8>> {
    let keys = states.iter().flat_map(|state| state.keys().cloned());
    keys.collect()
}

/// Where every image's store is.
pub(crate) fn dir() -> &'static std::path::Path {
    std::path::Path::new("/data/store")
}

/// Whether a file or directory is one that only its owner may touch.
pub(crate) fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name) || name.starts_with(FOREIGN_DIR)
}

/// A store that is written to while its states are noted.
struct Life {
    machine: Machine,
    db: lsm_db::Lsm,
    states: Vec<Model>,
}

impl Life {
    fn begin(config: LsmConfig, seed: u64) -> lsm_db::Result<Self> {
        let machine = Machine::new(config, seed);
        let db = machine.open()?;
        Ok(Self {
            machine,
            db,
            states: vec![Model::new()],
        })
    }

    fn write(&mut self, writes: &[Write]) -> lsm_db::Result<()> {
        let mut batch = Batch::new();
        for (key, value) in writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        self.db.write(batch)?;
        let mut next = self.states.last().cloned().unwrap_or_default();
        apply(&mut next, writes);
        self.states.push(next);
        Ok(())
    }
}

fn put(number: usize, age: usize) -> Write {
    (key(number), Some(value(number, age)))
}

/// Runs at several levels, some with tombstones, one of several blocks, and records in the log.
fn clean(seed: u64) -> Result<Image, Box<dyn Error>> {
    let mut life = Life::begin(LsmConfig::new().compaction_trigger(3), seed)?;
    for age in 0..5 {
        life.write(&[put(age, age), put(age + 1, age), (key(age + 3), None)])?;
        life.db.flush()?;
        life.machine.settle();
    }
    for number in 10..13 {
        life.write(&[(key(number), Some(vec![b'.'; 2100]))])?;
    }
    life.db.flush()?;
    life.machine.settle();
    life.write(&[put(1, 9), (key(2), None)])?;
    life.write(&[put(20, 9)])?;
    life.db.close()?;
    Image::of("clean", &life.machine, life.states, true)
}

/// A run, and a log of several segments that nobody has flushed.
fn killed(seed: u64) -> Result<Image, Box<dyn Error>> {
    let mut life = Life::begin(LsmConfig::new().memtable_capacity(400), seed)?;
    life.write(&[put(0, 0), put(1, 0), put(2, 0)])?;
    life.db.flush()?;
    life.machine.settle();
    for age in 1..10 {
        life.write(&[put(age % 4, age), put(age, age)])?;
        life.write(&[(key(age - 1), None)])?;
    }
    let machine = life.machine.after_kill();
    Image::of("killed", &machine, life.states, false)
}

/// A run whose keys are not in the manifest, so that opening reads it.
fn long_keys(seed: u64) -> Result<Image, Box<dyn Error>> {
    let mut life = Life::begin(LsmConfig::new(), seed)?;
    let long = |first: u8| [vec![first], vec![b'k'; 4100]].concat();
    life.write(&[put(0, 0), (long(b'a'), Some(b"v".to_vec()))])?;
    life.db.flush()?;
    life.write(&[(long(b'a'), None), (long(b'z'), Some(b"w".to_vec()))])?;
    life.db.flush()?;
    life.machine.settle();
    life.db.close()?;
    Image::of("long keys", &life.machine, life.states, true)
}
