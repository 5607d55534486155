//! One changed directory, and what must hold for the whole store on it.
//!
//! Opening may fail, reading may fail; but nothing panics or goes on for ever, a failed open
//! changes no file, foreign files stay as they are, and what is read was really written, unless
//! the checksums were made to fit the lie.

use std::cell::RefCell;
use std::collections::BTreeSet;

use lsm_db::{Error, Lsm, LsmConfig};
use lsm_fs::{FileSystem, SimFs};

use super::FileKind;
use super::image::{Image, dir, is_foreign};
use crate::describe;
use crate::directory::{Files, read};
use crate::machine::Machine;
use crate::model::{Entries, Model};

/// More operations of the file system than any trial takes that ends.
const OPERATIONS_MAX: u64 = 20_000;

/// A directory with files that somebody has changed.
pub(crate) struct Trial<'a> {
    pub(crate) image: &'a Image,
    /// The image's disk, changed.
    pub(crate) disk: SimFs,
    /// What was changed; a run, if it was several and a run among them.
    pub(crate) kind: FileKind,
    /// Whether the checksums were left as they were.
    pub(crate) is_honest: bool,
    /// Whether an older state may be shown: a manifest that was cut between two records cannot be
    /// told from one that ends there.
    pub(crate) may_be_older: bool,
    /// More entries than the files can hold.
    pub(crate) entries_max: usize,
    /// The errors that were met: the variant, and what it says first.
    pub(crate) met: RefCell<BTreeSet<(&'static str, &'static str)>>,
}

/// How far a trial got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The store did not open.
    Refused,
    /// It opened, and a read failed.
    ReadsFailed,
    /// It opened and everything was read.
    Read,
}

/// What a get answered; `None` if it failed.
type Answer = Option<Option<Vec<u8>>>;

/// What a store answered.
struct Answers {
    gets: Vec<(Vec<u8>, Answer)>,
    forward: Walk,
    backward: Walk,
}

/// Entries in the order in which they came.
struct Walk {
    entries: Entries,
    failed: bool,
}

impl<'a> Trial<'a> {
    /// A trial of this disk, which was the image's before it was changed.
    pub(crate) fn new(image: &'a Image, disk: SimFs, kind: FileKind, is_honest: bool) -> Self {
        let bytes = usize::try_from(disk.used_bytes()).unwrap_or(usize::MAX);
        Self {
            image,
            disk,
            kind,
            is_honest,
            may_be_older: !image.is_clean && kind != FileKind::Run,
            // An entry takes nine bytes at least.
            entries_max: bytes / 9 + 1,
            met: RefCell::default(),
        }
    }

    /// Opens, reads, compacts, writes and opens again.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn run(&self) -> Result<Outcome, String> {
        let disk = self.disk.clone();
        let before = files(&disk)?;
        // What memory it takes shall be the files' doing, not the configuration's.
        let config = LsmConfig::new()
            .compaction_trigger(3)
            .memtable_capacity(1 << 20)
            .block_cache_capacity(1 << 20);
        let machine = Machine::with_disk(disk, config, 3);
        let outcome = match machine.open() {
            Err(error) => {
                self.is_fit(&error)?;
                machine.settle();
                unchanged(&before, &files(&machine.disk)?)?;
                Outcome::Refused
            }
            Ok(db) => self.opened(&machine, db)?,
        };
        let after = files(&machine.disk)?;
        let gone = before
            .iter()
            .find(|(name, bytes)| is_foreign(name) && after.get(*name) != Some(*bytes));
        if let Some((name, _)) = gone {
            return Err(format!("the foreign {name} was changed or removed"));
        }
        match machine.faults.operation_count() {
            count if count > OPERATIONS_MAX => Err(format!("it took {count} operations")),
            _ => Ok(outcome),
        }
    }

    fn opened(&self, machine: &Machine, db: Lsm) -> Result<Outcome, String> {
        let mut states: Vec<&Model> = match self.may_be_older {
            true => self.image.states.iter().collect(),
            false => self.image.states.last().into_iter().collect(),
        };
        let failed = self.reads(&db, &mut states)?;
        Self::tells_no_panic(&db)?;
        self.opens_again(&machine.after_kill(), &mut states)
            .map_err(|error| format!("killed at once: {error}"))?;
        machine.settle();
        self.reads(&db, &mut states)
            .map_err(|e| format!("settled: {e}"))?;
        if let Err(error) = db.compact_range::<&[u8], _>(..) {
            self.is_fit(&error)?;
        }
        machine.settle();
        self.reads(&db, &mut states)
            .map_err(|e| format!("compacted: {e}"))?;
        Self::tells_no_panic(&db)?;

        if let Err(error) = db.put(b"~added", b"v").and_then(|()| db.flush()) {
            self.note(&error);
            if self.is_honest {
                return Err(format!("takes no writes: {}", describe(&error)));
            }
        }
        machine.settle();
        Self::tells_no_panic(&db)?;
        drop(db);
        machine.settle();
        self.opens_again(machine, &mut states)?;
        machine.settle();
        Ok(match failed {
            true => Outcome::ReadsFailed,
            false => Outcome::Read,
        })
    }

    /// What opened once opens again: nothing that it wrote meanwhile is worse than what it found.
    fn opens_again(&self, machine: &Machine, states: &mut Vec<&Model>) -> Result<(), String> {
        let opened = machine.open();
        let db = opened.map_err(|error| format!("opens no second time: {}", describe(&error)))?;
        self.reads(&db, states)
            .map_err(|error| format!("opened again: {error}"))?;
        Self::tells_no_panic(&db)
    }

    /// Reads everything and holds it against the states that it may be from; keeps those that it
    /// is from. Whether any read failed.
    fn reads(&self, db: &Lsm, states: &mut Vec<&Model>) -> Result<bool, String> {
        let answers = self.answers(db)?;
        let failed = answers.forward.failed
            || answers.backward.failed
            || answers.gets.iter().any(|(_, answer)| answer.is_none());
        if self.is_honest {
            if failed && self.kind != FileKind::Run {
                return Err("a read failed though no run was touched".to_owned());
            }
            states.retain(|state| answers.are_from(state));
            if states.is_empty() {
                return Err("what is read was never the state".to_owned());
            }
        }
        Ok(failed)
    }

    fn answers(&self, db: &Lsm) -> Result<Answers, String> {
        let mut gets = Vec::new();
        for key in &self.image.keys {
            gets.push((key.clone(), self.answer(db.get(key))?));
        }
        Ok(Answers {
            gets,
            forward: self.walk(db.iter())?,
            backward: self.walk(db.iter().rev())?,
        })
    }

    fn answer<T>(&self, read: lsm_db::Result<T>) -> Result<Option<T>, String> {
        match read {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => self.is_fit(&error).map(|()| None),
        }
    }

    fn walk(
        &self,
        mut entries: impl Iterator<Item = lsm_db::Result<(lsm_db::Bytes, lsm_db::Bytes)>>,
    ) -> Result<Walk, String> {
        let entries_max = self.entries_max;
        let mut walk = Walk {
            entries: Vec::new(),
            failed: false,
        };
        for entry in entries.by_ref() {
            match self.answer(entry)? {
                Some((key, value)) => walk.entries.push((key.to_vec(), value.to_vec())),
                None => {
                    walk.failed = true;
                    break;
                }
            }
            if walk.entries.len() > entries_max {
                return Err(format!("an iterator went past {entries_max} entries"));
            }
        }
        if !walk.entries.is_sorted_by(|a, b| a.0 < b.0)
            && !walk.entries.is_sorted_by(|a, b| a.0 > b.0)
        {
            return Err("an iterator is out of order".to_owned());
        }
        match entries.next() {
            Some(_) => Err("an iterator went on past its end".to_owned()),
            None => Ok(walk),
        }
    }

    fn note(&self, error: &Error) {
        let says = match error {
            Error::Corruption { reason, .. } | Error::UnsupportedFormat { reason, .. } => reason,
            Error::Io { context, .. } => context,
            _ => "",
        };
        self.met.borrow_mut().insert((error.kind(), says));
    }

    /// Damage is told as damage, and never as a panic.
    fn is_fit(&self, error: &Error) -> Result<(), String> {
        self.note(error);
        let text = describe(error);
        let is_damage = matches!(
            error,
            Error::Corruption { .. } | Error::UnsupportedFormat { .. }
        );
        if text.contains("panicked") || (self.is_honest && !is_damage) {
            return Err(format!("fails with: {text}"));
        }
        Ok(())
    }

    fn tells_no_panic(db: &Lsm) -> Result<(), String> {
        match db.stats().background_error {
            Some(error) if error.contains("panicked") => Err(format!("the background: {error}")),
            _ => Ok(()),
        }
    }
}

impl Answers {
    /// Whether all that was answered is as `state` has it.
    fn are_from(&self, state: &Model) -> bool {
        let added = |entry: &&(Vec<u8>, Vec<u8>)| entry.0 != b"~added";
        let starts =
            |walk: &Walk, mut expected: Box<dyn Iterator<Item = (&Vec<u8>, &Vec<u8>)> + '_>| {
                let mut found = walk.entries.iter().filter(added);
                found.all(|(key, value)| expected.next() == Some((key, value)))
                    && (walk.failed || expected.next().is_none())
            };
        let gets = self.gets.iter().all(|(key, answer)| {
            answer
                .as_ref()
                .is_none_or(|found| found.as_ref() == state.get(key))
        });
        gets && starts(&self.forward, Box::new(state.iter()))
            && starts(&self.backward, Box::new(state.iter().rev()))
    }
}

fn files(disk: &dyn FileSystem) -> Result<Files, String> {
    let mut files = read(disk, dir()).map_err(|error| error.to_string())?;
    files.remove("LOCK");
    Ok(files)
}

fn unchanged(before: &Files, after: &Files) -> Result<(), String> {
    let differs = |(name, bytes): &(&String, &Vec<u8>)| after.get(*name) != Some(*bytes);
    match before.iter().find(differs) {
        Some((name, _)) => Err(format!("the open failed and changed or removed {name}")),
        None if before.len() != after.len() => Err("the open failed and left a file".to_owned()),
        None => Ok(()),
    }
}
