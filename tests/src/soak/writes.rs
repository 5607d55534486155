//! What a writer does next, and what it has done: drawn from a seed and its own model, so that the
//! process that runs it and the one that watches it agree without a word about values.
//!
//! The child draws an operation, carries it out and says so; the supervisor draws the same one then,
//! and has the same model. Never touches a store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::keys::{COUNTERS, mixed, number_of, place_of};
use super::profile::Shape;
use crate::random::Random;

/// Places of one writer's keys with the version of each value; absent keys are not in it.
pub(super) type Places = BTreeMap<u32, u64>;

/// Keys that a quarter of all picks fall on.
const HOT_KEYS: u32 = 64;
const BATCH_CHANGES_MAX: usize = 24;
/// Single keys written along with the markers.
const COMPANIONS: usize = 6;

/// One writer, as its acknowledged operations left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) writer: usize,
    /// How many different keys were ever picked.
    pub(super) keys: u32,
    /// That of the newest operation. Never used again, so that an older value is known as such.
    pub(super) version: u64,
    /// Of the marker keys; 0 is absent.
    pub(super) marker: u64,
    /// Items appended to the queue.
    pub(super) appended: u64,
    /// Sent by itself, because it is large.
    #[serde(skip)]
    pub(super) places: Places,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Put,
    Delete,
    Batch,
    /// By a condition on the key's value, which is met.
    Swap,
    /// The same with a condition that is not met: changes nothing.
    Mistaken,
    /// Of a shared counter.
    Increment(usize),
    /// Of the next claim that nobody has.
    Claim,
    /// Of an item, to the queue.
    Append,
    /// Of the queue's first item.
    Take,
}

/// An operation that was drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Op {
    pub(super) kind: Kind,
    pub(super) version: u64,
    /// Places, and whether they are put or deleted, in order; a later one of a place wins.
    pub(super) changes: Vec<(u32, bool)>,
    /// Whether all markers are put or deleted with it.
    pub(super) markers: Option<bool>,
    /// Acknowledged as durable, whatever the store's default.
    pub(super) is_sync: bool,
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The queue was too long, or empty: nothing was tried.
    Skipped,
    Claimed {
        claim: u64,
        won: bool,
    },
    Took {
        producer: usize,
        number: u64,
    },
}

/// The seed of a writer's choices in one life of the child.
pub(super) fn stream(seed: u64, life: u64, writer: usize) -> Random {
    Random::new(mixed(seed ^ mixed(life << 8 | writer as u64)))
}

impl State {
    pub(super) fn new(writer: usize) -> Self {
        Self {
            writer,
            keys: 0,
            version: 0,
            marker: 0,
            appended: 0,
            places: Places::new(),
        }
    }

    /// The next operation.
    pub(super) fn draw(&self, random: &mut Random, shape: &Shape) -> Op {
        let weights = &shape.writes;
        let mut op = Op {
            kind: Kind::Batch,
            version: self.version + 1,
            changes: Vec::new(),
            markers: None,
            is_sync: random.one_in(400),
        };
        let mut picks = Picks {
            random,
            shape,
            keys: self.keys,
        };
        let kinds = [
            weights.put,
            weights.delete,
            weights.batch,
            weights.markers,
            weights.stretch,
            weights.swap,
            weights.increment,
            weights.claim,
            weights.queue,
        ];
        match weighted(picks.random, &kinds) {
            0 => {
                op.kind = Kind::Put;
                op.changes.push((picks.place(), true));
            }
            1 => {
                op.kind = Kind::Delete;
                op.changes.push((picks.place(), false));
            }
            2 => {
                let count = 1 + picks.random.below(BATCH_CHANGES_MAX);
                op.changes = (0..count).map(|_| picks.change()).collect();
            }
            3 => {
                op.changes = (0..COMPANIONS).map(|_| picks.change()).collect();
                op.markers = Some(!picks.random.one_in(8));
            }
            4 => {
                let from = place_of(u32::try_from(picks.random.draw() >> 32).unwrap_or(0));
                let count = 1 + picks.random.below(shape.stretch_keys_max);
                let stretch = self.places.range(from..).take(count);
                op.changes = stretch.map(|(place, _)| (*place, false)).collect();
            }
            5 => {
                op.kind = match picks.random.one_in(3) {
                    true => Kind::Mistaken,
                    false => Kind::Swap,
                };
                op.changes.push(picks.change());
            }
            6 => op.kind = Kind::Increment(picks.random.below(COUNTERS)),
            7 => op.kind = Kind::Claim,
            _ => {
                op.kind = match self.writer.is_multiple_of(2) {
                    true => Kind::Append,
                    false => Kind::Take,
                }
            }
        }
        op
    }

    /// Takes note of an operation and what became of it.
    pub(super) fn apply(&mut self, op: &Op, outcome: Outcome) {
        self.version = op.version;
        for (place, _) in &op.changes {
            self.keys = self.keys.max(number_of(*place).saturating_add(1));
        }
        if outcome != Outcome::Done {
            return;
        }
        for (place, version) in op.effects() {
            match version {
                Some(version) => self.places.insert(place, version),
                None => self.places.remove(&place),
            };
        }
        self.marker = op.marker_after(self.marker);
        self.appended += u64::from(op.kind == Kind::Append);
    }
}

impl Op {
    /// The version that each changed place has afterwards; `None` is absent.
    pub(super) fn effects(&self) -> BTreeMap<u32, Option<u64>> {
        if self.kind == Kind::Mistaken {
            return BTreeMap::new();
        }
        let version = |is_put: bool| is_put.then_some(self.version);
        let changes = self.changes.iter();
        changes
            .map(|(place, is_put)| (*place, version(*is_put)))
            .collect()
    }

    /// The marker afterwards, if that was it before.
    pub(super) fn marker_after(&self, before: u64) -> u64 {
        match self.markers {
            None => before,
            Some(true) => self.version,
            Some(false) => 0,
        }
    }
}

/// Picks keys, new ones among them.
struct Picks<'a> {
    random: &'a mut Random,
    shape: &'a Shape,
    keys: u32,
}

impl Picks<'_> {
    fn place(&mut self) -> u32 {
        let grows = self.keys < self.shape.keys_max && self.random.one_in(self.shape.growth);
        if grows || self.keys <= self.shape.keys_at_start {
            self.keys += 1;
            return place_of(self.keys - 1);
        }
        let among = match self.random.one_in(4) {
            true => self.keys.min(HOT_KEYS),
            false => self.keys,
        };
        let number = self.random.below(among as usize);
        place_of(u32::try_from(number).unwrap_or(0))
    }

    /// Three puts for one delete.
    fn change(&mut self) -> (u32, bool) {
        (self.place(), !self.random.one_in(4))
    }
}

/// The index of one of these weights, as often as it says.
pub(super) fn weighted(random: &mut Random, weights: &[usize]) -> usize {
    let mut left = random.below(weights.iter().sum::<usize>().max(1));
    for (index, weight) in weights.iter().enumerate() {
        if left < *weight {
            return index;
        }
        left -= weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::super::profile::Profile;
    use super::*;

    #[test]
    fn two_who_draw_from_one_seed_have_the_same_model() {
        for profile in Profile::ALL {
            let shape = profile.shape();
            let mut states = [State::new(2), State::new(2)];
            for life in 0..3 {
                let mut streams = [stream(7, life, 2), stream(7, life, 2)];
                for _ in 0..2_000 {
                    let mut ops = Vec::new();
                    for (state, stream) in states.iter_mut().zip(&mut streams) {
                        let op = state.draw(stream, &shape);
                        state.apply(&op, Outcome::Done);
                        ops.push(op);
                    }
                    assert_eq!(ops[0], ops[1]);
                }
            }
            assert_eq!(states[0], states[1]);
            assert_eq!(states[0].version, 6_000);
            assert!(states[0].appended > 0 && !states[0].places.is_empty());
        }
    }

    #[test]
    fn what_did_not_happen_uses_up_its_version_and_nothing_else() {
        let mut state = State::new(0);
        let op = Op {
            kind: Kind::Append,
            version: 1,
            changes: Vec::new(),
            markers: None,
            is_sync: false,
        };
        state.apply(&op, Outcome::Skipped);
        assert_eq!((state.version, state.appended), (1, 0));
    }

    #[test]
    fn the_last_change_of_a_place_wins_and_a_mistaken_condition_changes_nothing() {
        let mut op = Op {
            kind: Kind::Batch,
            version: 9,
            changes: vec![(1, true), (2, false), (1, false), (2, true)],
            markers: Some(false),
            is_sync: false,
        };
        let effects: Vec<_> = op.effects().into_iter().collect();
        assert_eq!(effects, [(1, None), (2, Some(9))]);
        assert_eq!(op.marker_after(4), 0);
        op.kind = Kind::Mistaken;
        assert!(op.effects().is_empty());
    }
}
