//! What a child does to its store: actions drawn one by one from a seed, so that parent and child
//! know the same ones and no value has to cross the pipe.
//!
//! Called by the child, which does them, and by the oracle, which knows what they come to. Never
//! looks at what an earlier action did: any of them can be drawn by itself.

use lsm_db::{Batch, Durability, Error, Lsm, Result};

use crate::crash::mixed;
use crate::model::{Model, Write};
use crate::random::Random;

/// Keys of one lane.
const KEYS: usize = 40;

/// Bytes of a long key: under the limit up to which a manifest holds keys.
const LONG_KEY_BYTES: usize = 3000;

/// Which actions there are to draw from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taste {
    /// The seed of a life: no two lives write the same values.
    pub seed: u64,
    /// Whether keys are some 3000 bytes long, so that a manifest grows fast.
    pub long_keys: bool,
    /// Whether now and then a value has tens of kilobytes.
    pub large_values: bool,
    /// Whether an action may flush or compact by hand.
    pub by_hand: bool,
}

/// What a batch requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requires {
    /// Nothing.
    Nothing,
    /// That the key has the value which the child finds when it looks: always met, since nobody
    /// else writes there.
    Found(Vec<u8>),
    /// That the key has a value that nobody ever wrote: never met.
    NeverWritten(Vec<u8>),
    /// That the key is absent.
    Absent(Vec<u8>),
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A batch.
    Write {
        /// Its writes, in order.
        writes: Vec<Write>,
        /// On what condition.
        requires: Requires,
        /// When it is acknowledged, if there is a log.
        durability: Durability,
    },
    /// `sync()`.
    Sync,
    /// `flush()`.
    Flush,
    /// `compact_range(..)`.
    Compact,
}

/// What the store said to an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Done, and acknowledged.
    Done,
    /// The condition was not met.
    Unmet,
}

/// The key prefix of a lane.
pub fn lane_prefix(lane: u8) -> String {
    format!("{lane:03}/")
}

/// The lane that wrote a key, if any did.
pub fn lane_of(key: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(key.get(..4)?).ok()?;
    text.strip_suffix('/')?.parse().ok()
}

/// What is in each value of an action, and in no other's.
pub fn mark(taste: Taste, lane: u8, number: u32) -> String {
    format!("<{:x}.{lane}.{number}>", taste.seed)
}

/// Draws action `number` of a lane.
pub fn draw(taste: Taste, lane: u8, number: u32) -> Deed {
    let place = (u64::from(lane) << 32) | u64::from(number);
    let mut random = Random::new(mixed(taste.seed, place));
    match random.below(100) {
        0..2 => return Deed::Sync,
        2 if taste.by_hand && lane == 0 => return Deed::Flush,
        3 if taste.by_hand && lane == 0 => return Deed::Compact,
        _ => {}
    }
    let count = match random.below(4) {
        0 => 1 + random.below(6),
        _ => 1,
    };
    let writes = (0..count).map(|_| {
        let key = draw_key(taste, lane, &mut random);
        let is_delete = random.one_in(4);
        let value = (!is_delete).then(|| draw_value(taste, lane, number, &mut random));
        (key, value)
    });
    let writes = writes.collect();
    let key = draw_key(taste, lane, &mut random);
    let requires = match random.below(16) {
        0 => Requires::Found(key),
        1 => Requires::NeverWritten(key),
        2 => Requires::Absent(key),
        _ => Requires::Nothing,
    };
    let durability = match random.one_in(5) {
        true => Durability::Sync,
        false => Durability::Buffered,
    };
    Deed::Write {
        writes,
        requires,
        durability,
    }
}

fn draw_key(taste: Taste, lane: u8, random: &mut Random) -> Vec<u8> {
    let number = random.below(KEYS);
    let mut key = format!("{}{number:03}", lane_prefix(lane)).into_bytes();
    if taste.long_keys {
        key.resize(LONG_KEY_BYTES + number, b'k');
    }
    key
}

fn draw_value(taste: Taste, lane: u8, number: u32, random: &mut Random) -> Vec<u8> {
    let mut value = mark(taste, lane, number).into_bytes();
    let filler = match random.below(40) {
        0 if taste.large_values => 4000 + random.below(30_000),
        1..10 => 0,
        _ => random.below(500),
    };
    let letter = b'a' + u8::try_from(random.below(26)).unwrap_or(0);
    value.resize(value.len() + filler, letter);
    value
}

impl Deed {
    /// Whether its condition is met in a store that holds `model`.
    pub fn is_met(&self, model: &Model) -> bool {
        match self {
            Self::Write { requires, .. } => match requires {
                Requires::Nothing | Requires::Found(_) => true,
                Requires::NeverWritten(_) => false,
                Requires::Absent(key) => !model.contains_key(key),
            },
            _ => true,
        }
    }

    /// What it writes.
    pub fn writes(&self) -> &[Write] {
        match self {
            Self::Write { writes, .. } => writes,
            _ => &[],
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// The store's.
    pub fn perform(&self, db: &Lsm, logged: bool) -> Result<Answer> {
        let Self::Write {
            writes,
            requires,
            durability,
        } = self
        else {
            match self {
                Self::Sync => db.sync()?,
                Self::Flush => db.flush()?,
                _ => db.compact_range::<&[u8], _>(..)?,
            }
            return Ok(Answer::Done);
        };
        let mut batch = Batch::new();
        match requires {
            Requires::Nothing => {}
            Requires::Found(key) => batch.require(key, db.get(key)?.as_deref()),
            Requires::NeverWritten(key) => batch.require(key, Some(b"never written")),
            Requires::Absent(key) => batch.require(key, None),
        }
        for (key, value) in writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let written = match logged {
            true => db.write_with(batch, *durability),
            false => db.write(batch),
        };
        match written {
            Ok(()) => Ok(Answer::Done),
            Err(Error::ConditionFailed { .. }) => Ok(Answer::Unmet),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASTE: Taste = Taste {
        seed: 7,
        long_keys: false,
        large_values: true,
        by_hand: true,
    };

    #[test]
    fn an_action_is_the_same_each_time_it_is_drawn_and_others_are_others() {
        let drawn: Vec<Deed> = (0..200).map(|number| draw(TASTE, 1, number)).collect();
        for (number, deed) in (0..).zip(&drawn) {
            assert_eq!(&draw(TASTE, 1, number), deed);
        }
        let other = Taste { seed: 8, ..TASTE };
        let differing = (0..).zip(&drawn);
        let differing = differing.filter(|(number, deed)| draw(other, 1, *number) != **deed);
        assert!(differing.count() > 150);
    }

    #[test]
    fn every_kind_of_action_is_drawn_and_each_value_bears_its_mark() {
        let drawn: Vec<Deed> = (0..1000).map(|number| draw(TASTE, 0, number)).collect();
        for wanted in [Deed::Sync, Deed::Flush, Deed::Compact] {
            assert!(drawn.contains(&wanted), "{wanted:?}");
        }
        let mut conditions = [0; 4];
        for (number, deed) in (0..).zip(&drawn) {
            let Deed::Write { requires, .. } = deed else {
                continue;
            };
            conditions[match requires {
                Requires::Nothing => 0,
                Requires::Found(_) => 1,
                Requires::NeverWritten(_) => 2,
                Requires::Absent(_) => 3,
            }] += 1;
            for (key, value) in deed.writes() {
                assert_eq!(lane_of(key), Some(0));
                let mark = mark(TASTE, 0, number).into_bytes();
                assert!(value.as_ref().is_none_or(|value| value.starts_with(&mark)));
            }
        }
        assert!(conditions.iter().all(|count| *count > 20), "{conditions:?}");
    }
}
