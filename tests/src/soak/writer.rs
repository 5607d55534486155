//! One writer: carries out what was drawn, tells the supervisor, and reads its own keys in between.
//!
//! No other thread touches its keys, so its model is exact at every moment, and each of its reads is
//! compared with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lsm_db::{Batch, Durability, Error};

use super::audit::shown;
use super::child::Shared;
use super::frames::Word;
use super::held::Held;
use super::keys::{Key, MARKERS, QUEUE, mixed};
use super::meter::{Meter, Timed};
use super::profile::Profile;
use super::world::holder;
use super::writes::{Kind, Op, Outcome, State, stream};
use crate::describe;
use crate::random::Random;

/// No more items are appended while so many wait.
const QUEUE_ITEMS_MAX: u64 = 4_000;
/// How often a consumer tries to be the first before it does something else.
const TAKE_TRIES: usize = 64;

pub(super) struct Writer<'a> {
    pub(super) shared: &'a Shared,
    pub(super) state: State,
    /// Of writes: the supervisor draws from the same.
    stream: Random,
    /// Of everything else.
    pub(super) random: Random,
    pub(super) meter: Arc<Meter>,
    held: Held,
}

impl<'a> Writer<'a> {
    pub(super) fn new(shared: &'a Shared, state: State) -> Self {
        let (seed, life, writer) = (shared.plan.seed, shared.plan.life, state.writer);
        Self {
            stream: stream(seed, life, writer),
            random: Random::new(mixed(mixed(seed) ^ mixed(life << 8 | writer as u64))),
            meter: shared.meters.meter(),
            held: Held::new(shared.plan.hold_seconds_max),
            shared,
            state,
        }
    }

    pub(super) fn run(mut self) -> Result<(), String> {
        while !self.shared.is_stopping() {
            let shape = &self.shared.shape;
            let reads = self.state.keys > shape.keys_at_start;
            if reads && self.random.below(100) < shape.read_percent {
                self.read()?;
            } else {
                self.write()?;
            }
            self.held
                .look_after(self.shared, &self.state, &self.meter, &mut self.random)?;
        }
        self.held.let_go(self.shared)
    }

    fn write(&mut self) -> Result<(), String> {
        let op = self.state.draw(&mut self.stream, &self.shared.shape);
        let writer = self.state.writer;
        let markers = self.shared.markers.get(writer);
        let markers = markers.filter(|_| op.markers.is_some());
        if let Some((_, begun)) = markers {
            begun.store(op.version, Ordering::SeqCst);
        }
        let outcome = self
            .carry_out(&op)
            .map_err(|message| format!("operation {} ({:?}): {message}", op.version, op.kind))?;
        self.shared.say(&Word::Acknowledged {
            writer,
            version: op.version,
            outcome,
        })?;
        self.state.apply(&op, outcome);
        if let Some((acknowledged, _)) = markers {
            acknowledged.store(op.version, Ordering::SeqCst);
        }
        Ok(())
    }

    fn carry_out(&mut self, op: &Op) -> Result<Outcome, String> {
        match op.kind {
            Kind::Put | Kind::Delete => self.apply(op, Timed::Put),
            Kind::Batch => self.apply(op, Timed::Batch),
            Kind::Swap | Kind::Mistaken => self.swap(op),
            Kind::Increment(counter) => self.increment(counter),
            Kind::Claim => self.claim(op),
            Kind::Append => self.append(op),
            Kind::Take => self.take(),
        }
    }

    fn single(&self, place: u32) -> Key {
        let writer = self.state.writer;
        Key::Single { writer, place }
    }

    fn batch(&self, op: &Op) -> Batch {
        let shape = &self.shared.shape;
        let mut batch = Batch::new();
        for (place, is_put) in &op.changes {
            let key = self.single(*place);
            match is_put {
                true => batch.put(key.bytes(shape), key.value(op.version, shape)),
                false => batch.delete(key.bytes(shape)),
            }
        }
        for index in 0..op.markers.map_or(0, |_| MARKERS) {
            let writer = self.state.writer;
            let key = Key::Marker { writer, index };
            match op.markers {
                Some(true) => batch.put(key.bytes(shape), key.value(op.version, shape)),
                _ => batch.delete(key.bytes(shape)),
            }
        }
        batch
    }

    /// Writes a batch in the way that was drawn, and times it.
    fn commit(&self, batch: Batch, is_sync: bool, timed: Timed) -> lsm_db::Result<()> {
        let (db, choices) = (&self.shared.db, &self.shared.plan.choices);
        let timed = match choices.has_log && (is_sync || choices.is_sync) {
            true => Timed::SyncWrite,
            false => timed,
        };
        self.meter.time(timed, || match is_sync && choices.has_log {
            true => db.write_with(batch, Durability::Sync),
            false => db.write(batch),
        })
    }

    fn apply(&mut self, op: &Op, timed: Timed) -> Result<Outcome, String> {
        let batch = self.batch(op);
        let written = self.commit(batch, op.is_sync, timed);
        written.map_err(|error| describe(&error))?;
        Ok(Outcome::Done)
    }

    /// Nobody else writes the key: it has the value of the model, and no other.
    fn swap(&mut self, op: &Op) -> Result<Outcome, String> {
        let shape = &self.shared.shape;
        let mut batch = self.batch(op);
        for (place, _) in &op.changes {
            let key = self.single(*place);
            let version = self.state.places.get(place).copied();
            let required = match (op.kind, version) {
                (Kind::Mistaken, None) => Some(key.value(op.version, shape)),
                (Kind::Mistaken, Some(version)) if version.is_multiple_of(2) => {
                    Some(key.value(version - 1, shape))
                }
                (Kind::Mistaken, Some(_)) => None,
                (_, version) => version.map(|version| key.value(version, shape)),
            };
            batch.require(key.bytes(shape), required.as_deref());
        }
        let is_met = op.kind == Kind::Swap;
        match self.commit(batch, op.is_sync, Timed::Condition) {
            Ok(()) if is_met => Ok(Outcome::Done),
            Err(Error::ConditionFailed { .. }) if !is_met => Ok(Outcome::Done),
            Ok(()) => Err("a condition that is not met let the batch through".to_owned()),
            Err(error) => Err(describe(&error)),
        }
    }

    /// Adds one, whoever else does so at the same time.
    fn increment(&mut self, counter: usize) -> Result<Outcome, String> {
        let (db, shape) = (&self.shared.db, &self.shared.shape);
        let key = Key::Counter(counter);
        let name = key.bytes(shape);
        loop {
            let found = db.get_bytes(&name).map_err(|error| describe(&error))?;
            let count = match &found {
                Some(value) => key.check(value, shape, &mut Vec::new())?,
                None => 0,
            };
            let next = key.value(count + 1, shape);
            let set = || db.compare_and_set(&name, found.as_deref(), Some(&next));
            let did = self.meter.time(Timed::Condition, set);
            if did.map_err(|error| describe(&error))? {
                return Ok(Outcome::Done);
            }
            self.shared.meters.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn claim(&mut self, op: &Op) -> Result<Outcome, String> {
        let (db, shape) = (&self.shared.db, &self.shared.shape);
        let claim = self.shared.claim.load(Ordering::SeqCst);
        let key = Key::Claim(claim);
        let value = key.value(holder(self.state.writer, op.version), shape);
        let put = || db.put_if_absent(key.bytes(shape), &value);
        let won = self.meter.time(Timed::Condition, put);
        let won = won.map_err(|error| describe(&error))?;
        self.shared.claim.fetch_max(claim + 1, Ordering::SeqCst);
        Ok(Outcome::Claimed { claim, won })
    }

    fn append(&mut self, op: &Op) -> Result<Outcome, String> {
        let (shared, shape) = (self.shared, &self.shared.shape);
        let taken = shared.taken.load(Ordering::Relaxed);
        let waiting = shared
            .appended
            .load(Ordering::Relaxed)
            .saturating_sub(taken);
        if waiting > QUEUE_ITEMS_MAX {
            self.idle();
            return Ok(Outcome::Skipped);
        }
        let number = self.state.appended;
        let producer = self.state.writer;
        let key = Key::Item { number, producer };
        let mut batch = Batch::new();
        batch.put(key.bytes(shape), key.value(number, shape));
        let written = self.commit(batch, op.is_sync, Timed::Put);
        written.map_err(|error| describe(&error))?;
        shared.appended.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::Done)
    }

    /// Takes the first item, as each consumer tries to. That a producer's items go in their order is
    /// required of the store itself.
    fn take(&mut self) -> Result<Outcome, String> {
        let (db, shape) = (&self.shared.db, &self.shared.shape);
        for _ in 0..TAKE_TRIES {
            let first = || db.prefix(QUEUE).next().transpose();
            let first = self.meter.time(Timed::Range, first);
            let Some((name, value)) = first.map_err(|error| describe(&error))? else {
                self.idle();
                return Ok(Outcome::Skipped);
            };
            let key = Key::parse(&name, shape);
            let Some(item @ Key::Item { number, producer }) = key else {
                return Err(format!("{} is no item of the queue", shown(&name)));
            };
            item.check(&value, shape, &mut Vec::new())?;
            let last = Key::Taken(producer);
            let last_name = last.bytes(shape);
            let before = number
                .checked_sub(1)
                .map(|before| last.value(before, shape));
            let mut batch = Batch::new();
            batch.require(&name, Some(&value));
            batch.require(&last_name, before.as_deref());
            batch.delete(&name);
            batch.put(&last_name, last.value(number, shape));
            match self.commit(batch, false, Timed::Condition) {
                Ok(()) => {
                    self.shared.taken.fetch_add(1, Ordering::Relaxed);
                    return Ok(Outcome::Took { producer, number });
                }
                Err(Error::ConditionFailed { key, .. }) if key == name => {
                    self.shared.meters.retries.fetch_add(1, Ordering::Relaxed);
                }
                Err(Error::ConditionFailed { .. }) => {
                    return Err(format!(
                        "item {number} of producer {producer} is the first, and the one before it was not taken"
                    ));
                }
                Err(error) => return Err(describe(&error)),
            }
        }
        Ok(Outcome::Skipped)
    }

    /// In a queue that is full or empty there is nothing else to do.
    fn idle(&self) {
        if self.shared.shape.profile == Profile::Queue {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}
