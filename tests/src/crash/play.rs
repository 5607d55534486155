//! Plays a script on a stage, keeps the history of what was promised, and checks after every step
//! what must hold at any time.
//!
//! Called by the sweeps. An error of the store is a violation, unless a fault has struck. Then:
//!
//! 1. Reads go on, and show exactly what was acknowledged.
//! 2. A failed sync of the log or the manifest ends writing, and what ended stays ended.
//! 3. Lack of room ends nothing: it neither poisons nor keeps a store from opening.

mod commits;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use lsm_db::{Durability, Lsm};
use lsm_fs::{FileSystem, Operation};
use lsm_version::FileKind;

use super::aftermath::shows;
use super::book::{Book, Reached, SharedBook, read};
use super::script::{Ending, Scenario, Step, Trouble, key};
use super::stage::{Captured, Stage, Strike, UsedIds, Watcher};
use super::start::Start;
use super::{Crash, History};
use crate::describe;
use crate::machine::Machine;
use crate::model::contents;

/// Background steps in a row once a fault has struck; more than any script needs.
const STEPS_AFTER_A_FAULT: usize = 40;

/// A script being played.
pub(super) struct Play {
    pub stage: Stage,
    pub book: SharedBook,
    db: Option<Lsm>,
    pub commits: usize,
    reached: Reached,
    /// The variants of the errors that were answers to what the script did.
    pub met: RefCell<BTreeSet<&'static str>>,
}

/// The book of a scenario before its first step.
pub(super) fn new_book(scenario: &Scenario, start: &Start) -> SharedBook {
    let mut history = History::new(scenario.config.wal_enabled());
    history.resolve(start.model.clone(), true);
    Arc::new(Mutex::new(Book {
        history,
        config: scenario.config.clone(),
        step: 0,
    }))
}

impl Play {
    pub(super) fn begin(
        scenario: &Scenario,
        start: &Start,
        seed: u64,
        strike: Option<Strike>,
        watched: Option<(SharedBook, Watcher)>,
    ) -> Result<Self, String> {
        let (book, watcher) = match watched {
            Some((book, watcher)) => (book, Some(watcher)),
            None => (new_book(scenario, start), None),
        };
        let disk = start.disk.reopen_after_kill();
        let machine = Machine::with_disk(disk, scenario.config.clone(), seed);
        let mut play = Self {
            stage: Stage::new(machine, watcher, strike),
            book,
            db: None,
            commits: start.commits,
            reached: Reached::default(),
            met: RefCell::default(),
        };
        play.stage.notes().used = start.used.clone();
        play.open(Crash::Kill)?;
        Ok(play)
    }

    pub(super) fn steps(&mut self, steps: &[Step]) -> Result<(), String> {
        for (number, step) in steps.iter().enumerate() {
            read(&self.book).step = number;
            self.step(step)
                .and_then(|()| self.look())
                .map_err(|error| format!("step {number}, {step:?}: {error}"))?;
        }
        read(&self.book).step = steps.len();
        Ok(())
    }

    /// Background work ends; how far the script got.
    pub(super) fn settle(&mut self) -> Result<Reached, String> {
        self.run_background();
        self.look()
            .map_err(|error| format!("at the end: {error}"))?;
        self.count_handle()?;
        let notes = self.stage.notes();
        Ok(Reached {
            segments_created: notes.segments_created,
            runs_created: notes.runs_created,
            manifests_built: notes.manifests_built,
            manifest_appends: notes.manifest_appends,
            tails_rewritten: notes.tails_rewritten,
            removals: notes.removals,
            operations: self.stage.mutation_count(),
            ..self.reached.clone()
        })
    }

    /// After the disk is well again: the same handle takes writes and flushes, unless it has been
    /// poisoned; then it refuses them.
    pub(super) fn goes_on(&mut self) -> Result<(), String> {
        self.stage.heal();
        self.run_background();
        if self.is_poisoned()? {
            self.write(&[(250, Some(8))], Durability::Sync)?;
            return match self.is_poisoned()? {
                true => self.look(),
                false => Err("poison wore off".to_owned()),
            };
        }
        // A failure of background work is told to one writer, each kind once.
        let taken = (0..4).any(|_| {
            let before = self.commits_kept();
            let written = self.write(&[(250, Some(8))], Durability::Sync);
            written.is_ok() && self.commits_kept() != before
        });
        if !taken {
            return Err("takes no writes though the disk is well again".to_owned());
        }
        let flushed = self.db()?.flush().or_else(|_| {
            self.run_background();
            self.db.as_ref().map_or(Ok(()), Lsm::flush)
        });
        flushed.map_err(|error| format!("flushes no more: {}", describe(&error)))?;
        read(&self.book).history.all_durable();
        self.look()
    }

    /// The value of the key that [`goes_on`](Self::goes_on) writes; it changes with each write.
    fn commits_kept(&self) -> Option<Vec<u8>> {
        read(&self.book).history.visible().get(&key(250)).cloned()
    }

    /// Closes the handle.
    pub(super) fn end_handle(&mut self) -> Result<(), String> {
        self.finish(Ending::Close).map(drop)
    }

    pub(super) fn used(&self) -> UsedIds {
        self.stage.notes().used.clone()
    }

    fn db(&self) -> Result<&Lsm, String> {
        self.db
            .as_ref()
            .ok_or_else(|| "no handle is open".to_owned())
    }

    fn is_poisoned(&self) -> Result<bool, String> {
        Ok(self.db()?.stats().poisoned)
    }

    fn struck(&self) -> Option<Operation> {
        self.stage.notes().struck
    }

    /// An error is a violation, unless a fault has struck.
    fn forgive(&self, result: lsm_db::Result<()>) -> Result<bool, String> {
        let Err(error) = result else {
            return Ok(true);
        };
        self.met.borrow_mut().insert(error.kind());
        match self.struck() {
            Some(_) => Ok(false),
            None => Err(describe(&error)),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Write(writes, durability) => self.write(writes, *durability)?,
            Step::Conditional(requires, writes, durability) => {
                self.conditional(requires, writes, *durability)?;
            }
            Step::LongKeys(len) => {
                let long = |first: u8| vec![first; *len];
                let writes = [b'a', b'z'].map(|first| (long(first), Some(self.value(0, 8))));
                self.commit(&[], writes.to_vec(), Durability::Sync)?;
            }
            Step::Sync => self.makes_durable(Lsm::sync)?,
            Step::Flush => self.makes_durable(Lsm::flush)?,
            Step::Compact(from, to) => {
                self.makes_durable(|db| db.compact_range(key(*from)..=key(*to)))?;
            }
            Step::Background(times) => {
                for _ in 0..*times {
                    self.stage.machine.scheduler.step();
                }
            }
            Step::Settle => self.run_background(),
            Step::Reopen(ending) => self.reopen(*ending)?,
            Step::Configure(config) => {
                let machine = self.stage.machine.reconfigured(config.clone());
                read(&self.book).config = config.clone();
                self.reopen_on(machine)?;
            }
            Step::FailLogSync => {
                self.stage
                    .fail_sync_of(|kind| matches!(kind, FileKind::Segment(_)));
            }
            Step::FailManifestSync => {
                self.stage.fail_sync_of(|kind| kind == FileKind::Manifest);
            }
            Step::Fail(trouble, after) => {
                let number = self.stage.mutation_count() + after;
                self.stage.strikes(Strike::Mutation(number, *trouble));
            }
            Step::Heal => self.stage.heal(),
        }
        Ok(())
    }

    /// Runs background work until there is none. Once a fault has struck there may be some for
    /// ever (for want of room a flush is tried again and again), so only so many steps more.
    fn run_background(&self) {
        let mut after_a_fault = 0;
        while after_a_fault < STEPS_AFTER_A_FAULT {
            if self.struck().is_none() {
                if !self.stage.machine.scheduler.step() {
                    return;
                }
            } else if self.stage.notes().is_healed() {
                return self.stage.machine.settle();
            } else {
                self.stage.machine.scheduler.step();
                after_a_fault += 1;
            }
        }
    }

    fn makes_durable(&self, call: impl FnOnce(&Lsm) -> lsm_db::Result<()>) -> Result<(), String> {
        if self.forgive(call(self.db()?))? {
            read(&self.book).history.all_durable();
        }
        Ok(())
    }

    /// What must hold after every step, and between any two operations of the file system.
    pub(super) fn look(&mut self) -> Result<(), String> {
        let model = read(&self.book).history.visible().clone();
        self.stage.notes().looking = true;
        let db = self.db()?;
        let shown = shows(db, &model).or_else(|error| {
            // One failed read is that read's, and no other's.
            let struck = self
                .struck()
                .is_some_and(|operation| !operation.is_mutating());
            if struck {
                shows(db, &model)
            } else {
                Err(error)
            }
        });
        self.stage.notes().looking = false;
        shown.map_err(|error| format!("reads: {error}"))?;

        let stats = db.stats();
        let notes = self.stage.notes();
        if let Some(reused) = &notes.reused {
            return Err(reused.clone());
        }
        if notes.final_failure && !stats.poisoned {
            return Err("a failed sync of the log or manifest has not ended writing".to_owned());
        }
        match (notes.struck, stats.background_error) {
            (None, Some(error)) => Err(format!("nothing failed, but: {error}")),
            (Some(_), _) if stats.poisoned && !notes.more_than_no_room => {
                Err("lack of room has ended writing".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn reopen(&mut self, ending: Ending) -> Result<(), String> {
        let crash = self.finish(ending)?;
        let Ending::PowerCutTwice(_, after, image) = ending else {
            return self.open(crash);
        };
        let before = read(&self.book).history.clone();
        let at = self.stage.mutation_count() + after;
        self.stage.notes().capture = Some((at, image));
        self.open(crash)?;
        let captured = self.stage.end_capture();
        let Some(Captured { disk, used }) = captured else {
            // Recovery was over by then.
            return Ok(());
        };
        let config = read(&self.book).config.clone();
        self.stage.move_to(Machine::with_disk(disk, config, after));
        self.db = None;
        self.stage.notes().used = used;
        read(&self.book).history = before;
        self.open(Crash::PowerCut(image))
    }

    fn reopen_on(&mut self, machine: Machine) -> Result<(), String> {
        let crash = self.finish(Ending::Close)?;
        self.stage.move_to(machine);
        let logged = read(&self.book).config.wal_enabled();
        let opened = self.open(crash);
        read(&self.book).history.set_logged(logged);
        opened
    }

    /// Ends the handle. Returns what the next open has come after.
    fn finish(&mut self, ending: Ending) -> Result<Crash, String> {
        self.count_handle()?;
        let was_poisoned = self.is_poisoned()?;
        let db = self.db.take().ok_or("no handle is open")?;
        match ending {
            Ending::Close => {
                let closed = db.close();
                let failed = was_poisoned || self.stage.notes().final_failure;
                if closed.is_ok() && failed {
                    return Err("close hides that writing had ended".to_owned());
                }
                if self.forgive(closed)? {
                    read(&self.book).history.all_durable();
                }
            }
            Ending::Drop => {
                drop(db);
                if self.struck().is_none() {
                    read(&self.book).history.all_durable();
                }
            }
            Ending::Kill => self.crash(Crash::Kill, db),
            Ending::PowerCut(image) | Ending::PowerCutTwice(image, ..) => {
                self.crash(Crash::PowerCut(image), db);
                read(&self.book).history.power_lost();
                return Ok(Crash::PowerCut(image));
            }
        }
        Ok(Crash::Kill)
    }

    /// What the old process does from here on stays with it.
    fn crash(&mut self, crash: Crash, db: Lsm) {
        let machine = match crash {
            Crash::Kill => self.stage.machine.after_kill(),
            Crash::PowerCut(image) => self.stage.machine.after_power_cut(&image),
        };
        self.stage.move_to(machine);
        drop(db);
    }

    fn open(&mut self, crash: Crash) -> Result<(), String> {
        self.stage.notes().final_failure = false;
        let manifest = self.stage.machine.path("MANIFEST");
        let is_there = self.stage.machine.disk.kind(&manifest);
        let is_there = is_there.is_ok_and(|kind| kind.is_some());
        let db = match self.stage.machine.open() {
            Ok(db) => db,
            Err(error) => {
                let is_full = matches!(
                    self.stage.strike(),
                    Some(Strike::Mutation(_, Trouble::FullDisk))
                );
                if self.struck().is_none() || (is_full && is_there) {
                    return Err(format!("open: {}", describe(&error)));
                }
                self.stage.heal();
                let again = self.stage.machine.open();
                again.map_err(|error| format!("open, well again: {}", describe(&error)))?
            }
        };
        self.stage.notes().looking = true;
        let found = contents(&db).or_else(|error| match self.struck() {
            Some(operation) if !operation.is_mutating() => contents(&db),
            _ => Err(error),
        });
        self.stage.notes().looking = false;
        let found = found.map_err(|error| describe(&error))?;
        let settled = db.stats().background_error.is_none();
        let mut book = read(&self.book);
        book.history.explain(&found, crash)?;
        book.history.resolve(found, settled);
        drop(book);
        self.db = Some(db);
        self.stage.forget_healed_faults();
        Ok(())
    }

    /// Adds what this handle has done.
    fn count_handle(&mut self) -> Result<(), String> {
        let stats = self.db()?.stats();
        self.reached.flushes += stats.flushes;
        self.reached.compactions += stats.compactions;
        self.reached.poisoned |= stats.poisoned;
        self.reached.runs = stats.levels.iter().map(|level| level.runs).collect();
        Ok(())
    }
}
