//! One thread of a round: draws operations, performs them and notes what it was told, and when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lsm_db::{Batch, Durability, Error, Lsm};

use super::object::{Change, Group, KEYS, Operation, Through, decoded, encoded};
use super::record::Record;
use super::{describe, now};
use crate::random::Random;

pub(super) struct Client<'a> {
    db: &'a Lsm,
    groups: &'a [Group],
    next_value: &'a AtomicU64,
    random: Random,
    process: usize,
    /// When the round began.
    start: Instant,
    syncs: bool,
    /// What it last saw of each group: a condition that holds now and then needs a good guess.
    seen: Vec<[Option<u64>; KEYS]>,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        (db, groups, next_value): (&'a Lsm, &'a [Group], &'a AtomicU64),
        syncs: bool,
        seed: u64,
        process: usize,
        start: Instant,
    ) -> Self {
        Self {
            db,
            groups,
            next_value,
            random: Random::new(seed),
            process,
            start,
            syncs,
            seen: vec![[None; KEYS]; groups.len()],
        }
    }

    /// One operation, drawn at random.
    pub(super) fn step(&mut self) -> Result<Record, String> {
        let number = self.random.below(self.groups.len());
        let Some(group) = self.groups.get(number) else {
            return Err("there is no group".to_owned());
        };
        let asked = self.draw(number);
        if self.random.one_in(8) {
            std::thread::yield_now();
        }
        let called = now().duration_since(self.start);
        let operation = self.perform(group, asked)?;
        let answered = now().duration_since(self.start);
        self.remember(number, &operation);
        Ok(Record {
            process: self.process,
            group: number,
            operation,
            called,
            answered,
        })
    }

    /// An operation whose answer is still to come.
    fn draw(&mut self, number: usize) -> Operation {
        let key = self.random.below(KEYS);
        match self.random.below(16) {
            0..=3 => Operation::Get { key, found: None },
            4..=6 => Operation::Read {
                through: Through::ALL[self.random.below(Through::ALL.len())],
                found: [None; KEYS],
            },
            7..=10 => Operation::Write(self.draw_changes()),
            _ => Operation::Conditional {
                key,
                expected: match self.random.below(4) {
                    0 => None,
                    _ => self.seen.get(number).and_then(|seen| seen[key]),
                },
                changes: self.draw_changes(),
                did: false,
            },
        }
    }

    /// Of one key, or more.
    fn draw_changes(&mut self) -> [Change; KEYS] {
        let mut changes = [Change::Keep; KEYS];
        let some = self.random.below(KEYS);
        for (key, change) in changes.iter_mut().enumerate() {
            if key == some || self.random.one_in(3) {
                *change = match self.random.below(4) {
                    0 => Change::Delete,
                    _ => Change::Put(self.next_value.fetch_add(1, Ordering::Relaxed)),
                };
            }
        }
        changes
    }

    fn perform(&mut self, group: &Group, asked: Operation) -> Result<Operation, String> {
        let db = self.db;
        Ok(match asked {
            Operation::Get { key, .. } => {
                let value = db.get(&group.keys[key]).map_err(|error| describe(&error))?;
                let found = value.map(|value| decoded(&value)).transpose()?;
                Operation::Get { key, found }
            }
            Operation::Read { through, .. } => Operation::Read {
                through,
                found: group.read(db, through)?,
            },
            Operation::Write(changes) => {
                self.write(group, Batch::new(), &changes)?;
                Operation::Write(changes)
            }
            Operation::Conditional {
                key,
                expected,
                changes,
                ..
            } => {
                let mut batch = Batch::new();
                let value = expected.map(encoded);
                batch.require(&group.keys[key], value.as_deref());
                Operation::Conditional {
                    key,
                    expected,
                    changes,
                    did: self.write(group, batch, &changes)?,
                }
            }
        })
    }

    /// Whether the condition held that `batch` may have.
    fn write(
        &mut self,
        group: &Group,
        mut batch: Batch,
        changes: &[Change; KEYS],
    ) -> Result<bool, String> {
        for (key, change) in group.keys.iter().zip(changes) {
            match change {
                Change::Keep => {}
                Change::Put(value) => batch.put(key, encoded(*value)),
                Change::Delete => batch.delete(key),
            }
        }
        let durability = match self.random.below(64) {
            0 if self.syncs => Durability::Sync,
            _ => Durability::Buffered,
        };
        match self.db.write_with(batch, durability) {
            Ok(()) => Ok(true),
            Err(Error::ConditionFailed { .. }) => Ok(false),
            Err(error) => Err(describe(&error)),
        }
    }

    fn remember(&mut self, number: usize, operation: &Operation) {
        let Some(seen) = self.seen.get_mut(number) else {
            return;
        };
        match operation {
            Operation::Get { key, found } => seen[*key] = *found,
            Operation::Read { found, .. } => *seen = *found,
            Operation::Write(changes)
            | Operation::Conditional {
                changes, did: true, ..
            } => {
                for (seen, change) in seen.iter_mut().zip(changes) {
                    match change {
                        Change::Keep => {}
                        Change::Put(value) => *seen = Some(*value),
                        Change::Delete => *seen = None,
                    }
                }
            }
            Operation::Conditional { did: false, .. } => {}
        }
    }
}
