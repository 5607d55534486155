//! The threads of a play: writers, each with keys of its own, and operators, who flush, sync, compact
//! and look.
//!
//! They note what they ask for and what they are told. An error is a finding, unless a fault has
//! struck; a writer's own keys have one right answer at any time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lsm_db::{Batch, Durability, Error, Lsm, Snapshot};

use super::super::script::key;
use super::keys::{COUNTER, Name, SHARED, counted, mark, own, own_prefix};
use super::ledger::{Answer, Beside, Commit, PENDING, Shared, Time};
use super::plan::{self, Call};
use super::weather::Weather;
use crate::describe;
use crate::model::{Model, Write, apply, collect, compare};
use crate::random::Random;

/// Calls that may fail one after the other before a thread gives up.
const FAILURES_MAX: u32 = 6;

/// What a reader saw, to be judged when all answers are known.
#[derive(Debug)]
pub(super) struct View {
    pub found: Model,
    pub from: Time,
    pub to: Time,
}

/// What the threads of a life share.
pub(super) struct Stage {
    pub shared: Arc<Shared>,
    pub weather: Arc<Weather>,
    pub logged: bool,
    /// When the handle first said that writing has stopped.
    pub poisoned_at: AtomicU64,
    pub views: Mutex<Vec<View>>,
    findings: Mutex<Vec<String>>,
}

impl Stage {
    pub(super) fn new(shared: Arc<Shared>, weather: Arc<Weather>, logged: bool) -> Self {
        Self {
            shared,
            weather,
            logged,
            poisoned_at: AtomicU64::new(PENDING),
            views: Mutex::default(),
            findings: Mutex::default(),
        }
    }

    pub(super) fn finds(&self, finding: String) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.push(finding);
    }

    pub(super) fn first_finding(&self) -> Option<String> {
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.first().cloned()
    }

    /// Notes an error, which nothing explains but a fault.
    pub(super) fn failed(&self, what: &str, error: &Error) {
        if matches!(error, Error::Poisoned { .. }) {
            let now = self.shared.clock.tick();
            self.poisoned_at.fetch_min(now, Ordering::SeqCst);
        }
        if !self.weather.luck.has_struck() {
            self.finds(format!("nothing failed, but {what}: {}", describe(error)));
        }
    }

    /// A call that makes everything durable that was acknowledged before it.
    pub(super) fn makes_durable(
        &self,
        by: &'static str,
        random: &mut Random,
        call: impl FnOnce() -> lsm_db::Result<()>,
    ) -> bool {
        let called = self.shared.clock.tick();
        match call() {
            Ok(()) => {
                self.shared.promised(by, called);
                self.weather.promised(by, random);
                true
            }
            Err(error) => {
                self.failed(by, &error);
                false
            }
        }
    }
}

/// A thread that writes.
pub(super) struct Writer {
    pub id: usize,
    /// The number of its last commit.
    number: u64,
    /// Its own keys as they must be.
    model: Model,
    random: Random,
}

impl Writer {
    pub(super) fn new(id: usize, base: &Model, seed: u64) -> Self {
        let prefix = own_prefix(id);
        let own = base.iter().filter(|(key, _)| key.starts_with(&prefix));
        Self {
            id,
            number: super::keys::named(id, base),
            model: own.map(|(k, v)| (k.clone(), v.clone())).collect(),
            random: Random::new(seed),
        }
    }

    pub(super) fn run(&mut self, db: &Lsm, calls: &[Call], stage: &Stage) {
        let mut failures = 0;
        for call in calls {
            if stage.weather.has_ended() || failures > FAILURES_MAX {
                return;
            }
            match self.call(db, call, stage) {
                true => failures = 0,
                false => failures += 1,
            }
        }
    }

    /// Whether it was done.
    fn call(&mut self, db: &Lsm, call: &Call, stage: &Stage) -> bool {
        match call {
            Call::Write(writes, beside, durability) => {
                let number = self.number + 1;
                let writes = writes.iter().map(|(name, len)| {
                    let value = len.map(|len| self.value(number, len));
                    (own(self.id, &key(*name)), value)
                });
                let writes = writes.collect();
                self.commit(db, writes, *beside, *durability, stage)
            }
            Call::LongKeys(bytes) => {
                let len = bytes.saturating_sub(own_prefix(self.id).len());
                let value = self.value(self.number + 1, 8);
                let long = |first: u8| (own(self.id, &vec![first; len]), Some(value.clone()));
                let writes = vec![long(b'a'), long(b'z')];
                self.commit(db, writes, plan::Beside::Nothing, Durability::Sync, stage)
            }
            Call::Look => {
                self.look(db, stage);
                true
            }
            other => operate(db, other, stage, &mut self.random),
        }
    }

    fn value(&self, number: u64, len: usize) -> Vec<u8> {
        let mut value = format!("{number} of {} ", self.id).into_bytes();
        value.resize(len, b'.');
        value
    }

    /// Whether it was acknowledged.
    pub(super) fn commit(
        &mut self,
        db: &Lsm,
        mut writes: Vec<Write>,
        beside: plan::Beside,
        durability: Durability,
        stage: &Stage,
    ) -> bool {
        self.number += 1;
        writes.push((mark(self.id), Some(self.number.to_string().into_bytes())));
        let mut batch = Batch::new();
        for (key, value) in &writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let Some(beside) = self.add_beside(db, &mut batch, beside, stage) else {
            return false;
        };
        let durability = match stage.logged {
            true => durability,
            false => Durability::Buffered,
        };
        let commit = Commit {
            number: self.number,
            writes: writes.clone(),
            beside,
            durability,
            called: 0,
            answered: PENDING,
            answer: Answer::None,
        };
        stage.shared.calls(self.id, commit);
        let result = db.write_with(batch, durability);
        let answer = match &result {
            Ok(()) => Answer::Acknowledged,
            Err(Error::ConditionFailed { .. }) => Answer::Unmet,
            Err(_) => Answer::Failed,
        };
        stage.shared.answers(self.id, answer);
        match &result {
            Ok(()) => {
                apply(&mut self.model, &writes);
                if durability == Durability::Sync {
                    stage.weather.promised("a durable write", &mut self.random);
                }
            }
            Err(Error::ConditionFailed { .. }) => {
                if !matches!(beside, Beside::Count(_)) {
                    stage.finds("a condition failed that was not made".to_owned());
                }
            }
            Err(error) => stage.failed("a write", error),
        }
        self.look_at_mark(db, stage);
        result.is_ok()
    }

    /// Adds what others write too; `None` if the counter cannot be read.
    fn add_beside(
        &self,
        db: &Lsm,
        batch: &mut Batch,
        beside: plan::Beside,
        stage: &Stage,
    ) -> Option<Beside> {
        let name = |count| Name {
            count,
            writer: self.id,
            number: self.number,
        };
        match beside {
            plan::Beside::Nothing => Some(Beside::Nothing),
            plan::Beside::Shared => {
                for key in SHARED {
                    batch.put(key, name(0).value());
                }
                Some(Beside::Shared)
            }
            plan::Beside::Count => {
                let now = match db.get(COUNTER) {
                    Ok(now) => now,
                    Err(error) => {
                        stage.finds(format!("get of the counter: {}", describe(&error)));
                        return None;
                    }
                };
                let count = now.as_deref().and_then(counted);
                let count = count.map_or(0, |name| name.count) + 1;
                batch.require(COUNTER, now.as_deref());
                batch.put(COUNTER, name(count).value());
                Some(Beside::Count(count))
            }
        }
    }

    fn look_at_mark(&self, db: &Lsm, stage: &Stage) {
        let mark = mark(self.id);
        match db.get(&mark) {
            Ok(found) if found.as_ref() == self.model.get(&mark) => {}
            other => stage.finds(format!(
                "writer {}'s mark after commit {}: {other:?}, expected {:?}",
                self.id,
                self.number,
                self.model.get(&mark)
            )),
        }
    }

    /// Its own keys, from either end.
    fn look(&mut self, db: &Lsm, stage: &Stage) {
        let range = db.prefix(own_prefix(self.id));
        let found = if self.random.one_in(2) {
            collect(range)
        } else {
            collect(range.rev()).map(|found| found.into_iter().rev().collect())
        };
        let expected = self.model.clone().into_iter().collect();
        let compared = found
            .map_err(|error| describe(&error))
            .and_then(|found| compare("its own keys", &found, &expected));
        if let Err(error) = compared {
            stage.finds(format!("writer {} reads: {error}", self.id));
        }
    }
}

/// Runs the calls of a thread that does not write.
pub(super) fn run_operator(db: &Lsm, calls: &[Call], stage: &Stage, seed: u64) {
    let mut random = Random::new(seed);
    let mut kept: Vec<(Snapshot, Model)> = Vec::new();
    for call in calls {
        if stage.weather.has_ended() {
            break;
        }
        match call {
            Call::Look => kept.extend(look(db, stage)),
            call => {
                operate(db, call, stage, &mut random);
            }
        }
    }
    for (snapshot, model) in kept {
        look_again(&snapshot, &model, stage);
    }
}

/// Takes a snapshot, and notes what it shows.
pub(super) fn look(db: &Lsm, stage: &Stage) -> Option<(Snapshot, Model)> {
    let from = stage.shared.clock.tick();
    let snapshot = db.snapshot();
    let to = stage.shared.clock.tick();
    let found = match collect(snapshot.iter()) {
        Ok(found) => Model::from_iter(found),
        Err(error) => {
            stage.finds(format!("a snapshot: {}", describe(&error)));
            return None;
        }
    };
    let view = View {
        found: found.clone(),
        from,
        to,
    };
    let mut views = stage.views.lock().unwrap_or_else(PoisonError::into_inner);
    views.push(view);
    Some((snapshot, found))
}

/// A snapshot shows the same for ever.
pub(super) fn look_again(snapshot: &Snapshot, model: &Model, stage: &Stage) {
    let expected = model.clone().into_iter().rev().collect();
    let compared = collect(snapshot.iter().rev())
        .map_err(|error| describe(&error))
        .and_then(|found| compare("backwards, and later", &found, &expected));
    if let Err(error) = compared {
        stage.finds(format!("a snapshot: {error}"));
    }
}

/// A call that any thread may make. Whether it was done.
fn operate(db: &Lsm, call: &Call, stage: &Stage, random: &mut Random) -> bool {
    match call {
        Call::Sync => stage.makes_durable("sync()", random, || db.sync()),
        Call::Flush => stage.makes_durable("flush()", random, || db.flush()),
        Call::Compact(from, to) => {
            let (lower, upper) = (own(0, &key(*from)), own(4, &key(*to)));
            stage.makes_durable("compact_range()", random, || match (*from, *to) {
                (0, 255) => db.compact_range::<&[u8], _>(..),
                _ => db.compact_range(lower..=upper),
            })
        }
        Call::Pause(micros) => {
            std::thread::sleep(Duration::from_micros(*micros));
            true
        }
        Call::Write(..) | Call::LongKeys(_) | Call::Look => true,
    }
}
