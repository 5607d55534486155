//! A group of keys as one object: what can be asked of it, and what each answer means for its state.

use std::fmt;

use lsm_db::{Lsm, Snapshot};
use todc_utils::specifications::Specification;

use super::describe;

/// Keys of a group.
pub(super) const KEYS: usize = 3;

/// The longest filler of a value, so that values differ in length.
const FILLER_BYTES_MAX: u64 = 200;

/// The keys of one group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) keys: [Vec<u8>; KEYS],
    prefix: Vec<u8>,
}

/// Which way all keys of a group are read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    MultiGet,
    Snapshot,
    Prefix,
    PrefixBackwards,
    Cursor,
}

impl Through {
    pub(super) const ALL: [Self; 5] = [
        Self::MultiGet,
        Self::Snapshot,
        Self::Prefix,
        Self::PrefixBackwards,
        Self::Cursor,
    ];
}

/// What a write does to one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Keep,
    Put(u64),
    Delete,
}

/// One operation with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    Get {
        key: usize,
        found: Option<u64>,
    },
    Read {
        through: Through,
        found: [Option<u64>; KEYS],
    },
    Write([Change; KEYS]),
    /// A write that requires the value of one key; whether it took place.
    Conditional {
        key: usize,
        expected: Option<u64>,
        changes: [Change; KEYS],
        did: bool,
    },
}

impl Group {
    pub(super) fn new(prefix: &[u8], number: usize) -> Self {
        let prefix = [prefix, format!("{number:03}/").as_bytes()].concat();
        let key = |index: usize| [prefix.as_slice(), index.to_string().as_bytes()].concat();
        Self {
            keys: std::array::from_fn(key),
            prefix,
        }
    }

    /// The values of all keys at one moment.
    pub(super) fn read(&self, db: &Lsm, through: Through) -> Result<[Option<u64>; KEYS], String> {
        let mut found = [None; KEYS];
        match through {
            Through::MultiGet => {
                let values = db.multi_get(&self.keys).map_err(|error| describe(&error))?;
                for (found, value) in found.iter_mut().zip(values) {
                    *found = value.map(|value| decoded(&value)).transpose()?;
                }
            }
            Through::Snapshot => found = self.read_one_by_one(&db.snapshot())?,
            Through::Prefix | Through::PrefixBackwards => {
                let mut entries = db.prefix(&self.prefix);
                while let Some(entry) = match through {
                    Through::Prefix => entries.next(),
                    _ => entries.next_back(),
                } {
                    let (key, value) = entry.map_err(|error| describe(&error))?;
                    self.note(&mut found, &key, &value)?;
                }
            }
            Through::Cursor => {
                let mut cursor = db.cursor();
                let mut is_at = cursor
                    .seek(&self.prefix)
                    .map_err(|error| describe(&error))?;
                while is_at
                    && let Some((key, value)) = cursor.entry()
                    && key.starts_with(&self.prefix)
                {
                    self.note(&mut found, key, value)?;
                    is_at = cursor.next().map_err(|error| describe(&error))?;
                }
            }
        }
        Ok(found)
    }

    fn read_one_by_one(&self, snapshot: &Snapshot) -> Result<[Option<u64>; KEYS], String> {
        let mut found = [None; KEYS];
        // Backwards, for a change: it is one moment whatever the order.
        for (found, key) in found.iter_mut().zip(&self.keys).rev() {
            let value = snapshot.get(key).map_err(|error| describe(&error))?;
            *found = value.map(|value| decoded(&value)).transpose()?;
        }
        Ok(found)
    }

    fn note(
        &self,
        found: &mut [Option<u64>; KEYS],
        key: &[u8],
        value: &[u8],
    ) -> Result<(), String> {
        let place = self.keys.iter().position(|known| known == key);
        match place.and_then(|place| found.get_mut(place)) {
            Some(found) if found.is_none() => {
                *found = Some(decoded(value)?);
                Ok(())
            }
            Some(_) => Err(format!("\"{}\" is there twice", key.escape_ascii())),
            None => Err(format!("\"{}\" was never written", key.escape_ascii())),
        }
    }
}

/// A value as it is stored: the number, and a filler that follows from it.
pub(super) fn encoded(value: u64) -> Vec<u8> {
    let number = value.to_le_bytes();
    let filler = number.iter().cycle();
    let bytes = usize::try_from(value % FILLER_BYTES_MAX).unwrap_or(0);
    number.iter().chain(filler.take(bytes)).copied().collect()
}

pub(super) fn decoded(bytes: &[u8]) -> Result<u64, String> {
    bytes
        .first_chunk()
        .map(|number| u64::from_le_bytes(*number))
        .filter(|value| encoded(*value) == bytes)
        .ok_or_else(|| format!("\"{}\" was never written", bytes.escape_ascii()))
}

impl Specification for Group {
    type State = [Option<u64>; KEYS];
    type Operation = Operation;

    fn init() -> Self::State {
        [None; KEYS]
    }

    fn apply(operation: &Operation, state: &Self::State) -> (bool, Self::State) {
        match operation {
            Operation::Get { key, found } => (state.get(*key) == Some(found), *state),
            Operation::Read { found, .. } => (state == found, *state),
            Operation::Write(changes) => (true, changed(state, changes)),
            Operation::Conditional {
                key,
                expected,
                changes,
                did,
            } => {
                let is_met = state.get(*key) == Some(expected);
                let next = if *did {
                    changed(state, changes)
                } else {
                    *state
                };
                (is_met == *did, next)
            }
        }
    }
}

fn changed(state: &[Option<u64>; KEYS], changes: &[Change; KEYS]) -> [Option<u64>; KEYS] {
    let mut next = *state;
    for (value, change) in next.iter_mut().zip(changes) {
        match change {
            Change::Keep => {}
            Change::Put(new) => *value = Some(*new),
            Change::Delete => *value = None,
        }
    }
    next
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get { key, found } => write!(f, "get {key}: {found:?}"),
            Self::Read { through, found } => write!(f, "read all, {through:?}: {found:?}"),
            Self::Write(changes) => write!(f, "write {changes:?}"),
            Self::Conditional {
                key,
                expected,
                changes,
                did,
            } => write!(f, "write {changes:?} if {key} is {expected:?}: {did}"),
        }
    }
}
