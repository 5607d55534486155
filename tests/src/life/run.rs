//! Runs a life against the model: every answer exact, and after a crash exactly one of the states
//! that the promises allow.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error as StdError;
use std::ops::Bound;

use lsm_db::{Batch, Durability, Error, Lsm};

use super::kept::{Kept, walk};
use super::{Deed, Life, Setup, World};
use crate::model::{
    Entries, Model, Write, apply, check, check_get, collect, compare, contents, entries_in,
};
use crate::walk::Walker;

pub(super) type Outcome = Result<(), Box<dyn StdError>>;

/// Lives the life.
///
/// # Errors
/// The first difference from the model, or an error of the store that no deed explains, with the
/// deed's number.
pub fn run<W: World>(world: W, life: &Life) -> Result<(), String> {
    let mut living =
        Living::begin(world, &life.setup).map_err(|error| format!("begin: {error}"))?;
    for (number, deed) in life.deeds.iter().enumerate() {
        living
            .do_deed(deed, number)
            .map_err(|error| format!("deed {number}, {deed:?}: {error}"))?;
    }
    living.end().map_err(|error| format!("at the end: {error}"))
}

struct Living<W> {
    world: W,
    setup: Setup,
    /// Always there between deeds.
    db: Option<Lsm>,
    /// What the store must show.
    model: Model,
    /// What no crash can take: the model as it was when last everything was durable.
    durable: Model,
    /// The commits since then, in order. A power cut leaves the first of them, however many.
    since: Vec<Vec<Write>>,
    kept: Kept,
    /// Keys appended so far.
    appended: usize,
}

impl<W: World> Living<W> {
    fn begin(world: W, setup: &Setup) -> Result<Self, Box<dyn StdError>> {
        let db = Some(world.open()?);
        Ok(Self {
            world,
            setup: setup.clone(),
            db,
            model: Model::new(),
            durable: Model::new(),
            since: Vec::new(),
            kept: Kept::default(),
            appended: 0,
        })
    }

    fn db(&self) -> Result<&Lsm, &'static str> {
        self.db.as_ref().ok_or("no handle is open")
    }

    fn do_deed(&mut self, deed: &Deed, number: usize) -> Outcome {
        let value = |len: usize| format!("{number:<len$}").into_bytes()[..len].to_vec();
        match deed {
            Deed::Put(key, len) => {
                let write = (key.clone(), Some(value(*len)));
                self.db()?.put(key, value(*len))?;
                self.committed(vec![write], self.setup.durability);
            }
            Deed::Delete(key) => {
                self.db()?.delete(key)?;
                self.committed(vec![(key.clone(), None)], self.setup.durability);
            }
            Deed::Batch(writes, durability) => {
                // Several values of one deed differ in their length alone, or not at all.
                let writes = writes
                    .iter()
                    .map(|(key, len)| (key.clone(), len.map(value)))
                    .collect();
                self.write(&[], writes, *durability)?;
            }
            Deed::Conditional(requires, writes, durability) => {
                let requires: Vec<Write> = requires
                    .iter()
                    .map(|(key, is_met)| (key.clone(), self.expectation(key, *is_met)))
                    .collect();
                let writes = writes
                    .iter()
                    .map(|(key, len)| (key.clone(), len.map(value)))
                    .collect();
                self.write(&requires, writes, *durability)?;
            }
            Deed::CompareAndSet(key, is_met, len) => {
                let (expected, new) = (self.expectation(key, *is_met), len.map(value));
                let db = self.db()?;
                let did = db.compare_and_set(key, expected.as_deref(), new.as_deref())?;
                self.tried(did, *is_met, (key.clone(), new))?;
            }
            Deed::PutIfAbsent(key, len) => {
                let is_absent = !self.model.contains_key(key);
                let did = self.db()?.put_if_absent(key, value(*len))?;
                self.tried(did, is_absent, (key.clone(), Some(value(*len))))?;
            }
            Deed::Append(count) => {
                let numbers = self.appended..self.appended + count;
                self.appended = numbers.end;
                let writes = numbers.map(|number| (appended_key(number), Some(value(20))));
                self.write(&[], writes.collect(), None)?;
            }
            Deed::Take(times, from_front) => {
                for _ in 0..*times {
                    self.take(*from_front)?;
                }
            }
            Deed::Sync => {
                self.db()?.sync()?;
                self.all_durable();
            }
            Deed::Flush => {
                self.db()?.flush()?;
                self.all_durable();
            }
            Deed::Compact(lower, upper) => {
                self.db()?.compact_range((lower.clone(), upper.clone()))?;
            }
            Deed::Step(times) => (0..*times).for_each(|_| self.world.step()),
            Deed::Settle => self.world.settle(),
            Deed::Get(key) => check_get(self.db()?, key, self.model.get(key))?,
            Deed::Walk(lower, upper, ends) => self.walk(lower, upper, ends)?,
            Deed::Scan(lower, upper) => {
                let range = (lower.clone(), upper.clone());
                let expected = entries_in(&self.model, &range);
                compare("scan", &self.db()?.scan(range)?.collect(), &expected)?;
            }
            Deed::Prefix(prefix, from_front) => self.prefix(prefix, *from_front)?,
            Deed::Hold => {
                let all = (Bound::Unbounded, Bound::Unbounded);
                self.hold(all, &[])?;
            }
            Deed::HoldRange(lower, upper, ends) => {
                self.hold((lower.clone(), upper.clone()), ends)?
            }
            Deed::ReadHeld(from_front) => self.kept.read_iterator(*from_front)?,
            Deed::HoldCursor => {
                let db = self.db.as_ref().ok_or("no handle is open")?;
                self.kept.keep_cursor(db, &self.model);
            }
            Deed::WanderHeld(which, moves) => self.kept.wander_cursor(*which, moves)?,
            Deed::Wander(moves) => Walker::new(self.db()?.cursor()).walk(moves, &self.model)?,
            Deed::Snapshot => {
                let db = self.db.as_ref().ok_or("no handle is open")?;
                self.kept.keep_snapshot(db, &self.model);
            }
            Deed::WanderKept(which, moves) => self.kept.wander_snapshot(*which, moves)?,
            Deed::ReadSnapshot(which, drops) => self.kept.read_snapshot(*which, *drops)?,
            Deed::Close => self.reopen(true)?,
            Deed::Reconfigure(setup) => self.reconfigure(setup)?,
            Deed::Drop => self.reopen(false)?,
            Deed::Kill => match self.world.after_kill() {
                Some(world) => self.crash(world, self.setup.wal)?,
                None => self.reopen(false)?,
            },
            Deed::PowerCut(seed) => match self.world.after_power_cut(*seed) {
                Some(world) => self.crash(world, false)?,
                None => self.reopen(false)?,
            },
        }
        Ok(())
    }

    /// What is required of a key: the value that it has, or another.
    fn expectation(&self, key: &[u8], is_met: bool) -> Option<Vec<u8>> {
        match self.model.get(key).cloned() {
            now if is_met => now,
            Some(now) if now.is_empty() => None,
            Some(mut now) => now.pop().map(|_| now),
            None => Some(Vec::new()),
        }
    }

    /// Whether a conditional write of one key happened, and whether it should have.
    fn tried(&mut self, did: bool, is_met: bool, write: Write) -> Outcome {
        if did != is_met {
            return Err(format!("answered {did}").into());
        }
        let writes = if did { vec![write] } else { Vec::new() };
        self.committed(writes, self.setup.durability);
        self.answered(self.setup.durability);
        Ok(())
    }

    /// An answer that depends on what was written is as durable as it was asked for.
    fn answered(&mut self, durability: Durability) {
        if durability == Durability::Sync && self.setup.wal {
            self.all_durable();
        }
    }

    /// A batch; without a log one that asks for durability is refused.
    fn write(
        &mut self,
        requires: &[Write],
        writes: Vec<Write>,
        durability: Option<Durability>,
    ) -> Outcome {
        let mut unmet = requires
            .iter()
            .filter(|(key, expected)| self.model.get(key) != expected.as_ref());
        let unmet = unmet.next().map(|(key, _)| key);
        let mut batch = Batch::new();
        for (key, expected) in requires {
            batch.require(key, expected.as_deref());
        }
        for (key, value) in &writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let result = match durability {
            Some(durability) => self.db()?.write_with(batch, durability),
            None => self.db()?.write(batch),
        };
        let durability = durability.unwrap_or(self.setup.durability);
        match result {
            Ok(()) if unmet.is_some() => return Err(format!("{unmet:?} is unmet").into()),
            Ok(()) if self.setup.wal || durability == Durability::Buffered => {
                self.committed(writes, durability);
                if !requires.is_empty() {
                    self.answered(durability);
                }
            }
            Err(Error::ConditionFailed { key, .. }) if unmet == Some(&key) => {
                self.answered(durability);
            }
            Err(Error::InvalidInput { .. })
                if !self.setup.wal && durability == Durability::Sync => {}
            Ok(()) => return Err("promised durability without a log".into()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn committed(&mut self, writes: Vec<Write>, durability: Durability) {
        apply(&mut self.model, &writes);
        // An empty batch is no commit: its acknowledgement says nothing about those before it.
        let is_commit = !writes.is_empty();
        self.since.push(writes);
        if is_commit && durability == Durability::Sync && self.setup.wal {
            self.all_durable();
        }
    }

    fn all_durable(&mut self) {
        self.durable = self.model.clone();
        self.since.clear();
    }

    fn walk(&self, lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>, ends: &[bool]) -> Outcome {
        let range = (lower.clone(), upper.clone());
        let mut expected = VecDeque::from(entries_in(&self.model, &range));
        walk(&mut self.db()?.range(range), &mut expected, ends)
    }

    /// Keeps an iterator that has gone some steps.
    fn hold(&mut self, range: (Bound<Vec<u8>>, Bound<Vec<u8>>), ends: &[bool]) -> Outcome {
        let db = self.db.as_ref().ok_or("no handle is open")?;
        self.kept.keep_iterator(db, &self.model, range, ends)
    }

    /// Takes the entry at one end, if there is one.
    fn take(&mut self, from_front: bool) -> Outcome {
        let (found, expected) = match from_front {
            true => (self.db()?.first()?, self.model.first_key_value()),
            false => (self.db()?.last()?, self.model.last_key_value()),
        };
        let found = found.map(|(key, value)| (key.to_vec(), value.to_vec()));
        if found.as_ref().map(|(key, value)| (key, value)) != expected {
            return Err(format!("found {found:?}, expected {expected:?}").into());
        }
        if let Some((key, _)) = found {
            self.db()?.delete(&key)?;
            self.committed(vec![(key, None)], self.setup.durability);
        }
        Ok(())
    }

    fn prefix(&self, prefix: &[u8], from_front: bool) -> Outcome {
        let mut expected: Entries = self
            .model
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let found = self.db()?.prefix(prefix);
        let found = if from_front {
            collect(found)?
        } else {
            expected.reverse();
            collect(found.rev())?
        };
        Ok(compare("prefix", &found, &expected)?)
    }

    /// Closes, and opens in another way.
    fn reconfigure(&mut self, setup: &Setup) -> Outcome {
        self.world.configure(setup.config());
        self.setup = setup.clone();
        self.reopen(true)
    }

    /// Ends the handle in an orderly way and opens again. What is kept holds the lock.
    fn reopen(&mut self, closes: bool) -> Outcome {
        let db = self.db.take().ok_or("no handle is open")?;
        if closes {
            db.close()?;
        } else {
            drop(db);
        }
        if self.kept.holds_the_lock() {
            match self.world.open() {
                Err(Error::Locked { .. }) => {}
                other => return Err(format!("what is kept holds no lock: {other:?}").into()),
            }
        }
        self.kept.read_all(true)?;
        self.all_durable();
        self.db = Some(self.world.open()?);
        check(self.db()?, &self.model)
    }

    /// Goes on in what is left after a crash: everything if `keeps_all`, else some first part of
    /// the commits since the last durable one.
    fn crash(&mut self, world: W, keeps_all: bool) -> Outcome {
        let old_world = std::mem::replace(&mut self.world, world);
        let old_db = self.db.replace(self.world.open()?);
        // The old process goes on for a while, in its own world: its readers must not mind.
        self.kept.read_all(false)?;
        drop(old_db);
        drop(old_world);

        if !keeps_all {
            self.model = self.surviving_state()?;
            // What a restart showed is on the disk, whatever it is.
            self.all_durable();
        }
        check(self.db()?, &self.model)
    }

    /// Finds the state that the store shows among those that the promises allow.
    fn surviving_state(&self) -> Result<Model, Box<dyn StdError>> {
        let found = contents(self.db()?)?;
        let mut state = self.durable.clone();
        let mut commits = self.since.iter();
        while state != found {
            let Some(commit) = commits.next() else {
                let differences = differences(&found, &self.model);
                return Err(format!("no prefix of the commit order; {differences}").into());
            };
            apply(&mut state, commit);
        }
        Ok(state)
    }

    fn end(&mut self) -> Outcome {
        check(self.db()?, &self.model)?;
        self.world.settle();
        check(self.db()?, &self.model)?;
        self.reopen(true)
    }
}

/// Between the other keys of lives.
fn appended_key(number: usize) -> Vec<u8> {
    format!("Appended {number:05}").into_bytes()
}

/// Where two states differ, for a message.
fn differences(found: &Model, newest: &Model) -> String {
    let keys: BTreeMap<&Vec<u8>, ()> = found.keys().chain(newest.keys()).map(|k| (k, ())).collect();
    let differing = keys
        .into_keys()
        .filter(|key| found.get(*key) != newest.get(*key));
    let shown: Vec<String> = differing
        .take(5)
        .map(|key| format!("{key:?}: {:?}, last {:?}", found.get(key), newest.get(key)))
        .collect();
    format!("against the last state: {}", shown.join("; "))
}
