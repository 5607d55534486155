//! A writer's reads of its own keys, each compared exactly with its model.
//!
//! Other writers' keys come by in ranges: of them each entry must be one that was written.

use std::ops::Bound;
use std::sync::atomic::Ordering;

use lsm_db::{Bytes, Cursor, Lsm, Range, Snapshot};

use super::audit::Audit;
use super::keys::{Key, bound, place_of};
use super::meter::Timed;
use super::profile::Shape;
use super::writer::Writer;
use super::writes::{State, weighted};
use crate::describe;
use crate::random::Random;

const KEYS_TOGETHER_MAX: usize = 16;

impl Writer<'_> {
    /// One read, of a kind drawn at random.
    pub(super) fn read(&mut self) -> Result<(), String> {
        let reads = &self.shared.shape.reads;
        let kinds = [reads.get, reads.multi_get, reads.range, reads.cursor];
        let (db, shape) = (&self.shared.db, &self.shared.shape);
        let (state, random) = (&self.state, &mut self.random);
        let (timed, kind) = match weighted(random, &kinds) {
            0 => (Timed::Get, "get"),
            1 => (Timed::MultiGet, "multi_get"),
            2 => (Timed::Range, "range"),
            _ => (Timed::Cursor, "cursor"),
        };
        let window = Window::draw(random, state, shape);
        let entries = match timed {
            Timed::Get => get(random, state, shape, |key, way| {
                self.meter.time(timed, || get_of(db, key, way))
            }),
            Timed::MultiGet => multi_get(random, state, shape, |keys| {
                self.meter.time(timed, || db.multi_get(keys))
            }),
            Timed::Range => self.meter.time(timed, || {
                if random.one_in(8) {
                    return window.scan(db, state, shape);
                }
                window.walk(db.range(window.bounds()), random, state, shape)
            }),
            _ => self
                .meter
                .time(timed, || window.step(db.cursor(), state, shape)),
        };
        let entries = entries
            .map_err(|message| format!("{kind} after operation {}: {message}", state.version))?;
        self.shared
            .meters
            .entries
            .fetch_add(entries, Ordering::Relaxed);
        Ok(())
    }
}

/// One read of a snapshot that is held.
pub(super) fn of_snapshot(
    snapshot: &Snapshot,
    random: &mut Random,
    state: &State,
    shape: &Shape,
) -> Result<u64, String> {
    let window = Window::draw(random, state, shape);
    match random.below(8) {
        0 => window.walk(snapshot.range(window.bounds()), random, state, shape),
        1 => window.step(snapshot.cursor(), state, shape),
        2 => multi_get(random, state, shape, |keys| snapshot.multi_get(keys)),
        _ => get(random, state, shape, |key, _| snapshot.get_bytes(key)),
    }
}

fn get_of(db: &Lsm, key: &[u8], way: usize) -> lsm_db::Result<Option<Bytes>> {
    match way {
        0 => Ok(db.get(key)?.map(Bytes::from)),
        _ => db.get_bytes(key),
    }
}

/// A key that is there, was, or never was.
fn any_key(random: &mut Random, state: &State) -> (Key, Option<u64>) {
    let place = place_of(u32::try_from(random.below(state.keys as usize + 2)).unwrap_or(0));
    let writer = state.writer;
    (
        Key::Single { writer, place },
        state.places.get(&place).copied(),
    )
}

fn get(
    random: &mut Random,
    state: &State,
    shape: &Shape,
    get: impl Fn(&[u8], usize) -> lsm_db::Result<Option<Bytes>>,
) -> Result<u64, String> {
    let (key, expected) = any_key(random, state);
    let found = get(&key.bytes(shape), random.below(2)).map_err(|error| describe(&error))?;
    judge(key, expected, found.as_deref(), shape)?;
    Ok(1)
}

fn multi_get(
    random: &mut Random,
    state: &State,
    shape: &Shape,
    multi_get: impl Fn(&[Vec<u8>]) -> lsm_db::Result<Vec<Option<Bytes>>>,
) -> Result<u64, String> {
    let count = 1 + random.below(KEYS_TOGETHER_MAX);
    let expected: Vec<_> = (0..count).map(|_| any_key(random, state)).collect();
    let keys: Vec<_> = expected.iter().map(|(key, _)| key.bytes(shape)).collect();
    let found = multi_get(&keys).map_err(|error| describe(&error))?;
    if found.len() != count {
        return Err(format!("{} answers for {count} keys", found.len()));
    }
    for ((key, expected), found) in expected.into_iter().zip(found) {
        judge(key, expected, found.as_deref(), shape)?;
    }
    Ok(count as u64)
}

fn judge(
    key: Key,
    expected: Option<u64>,
    found: Option<&[u8]>,
    shape: &Shape,
) -> Result<(), String> {
    let found = match found {
        Some(value) => Some(key.check(value, shape, &mut Vec::new())?),
        None => None,
    };
    if found == expected {
        return Ok(());
    }
    Err(format!("{key:?} has version {found:?}, not {expected:?}"))
}

/// A part of the key space, and how much of it to read.
#[derive(Debug, Clone, Copy)]
struct Window {
    lower: u32,
    upper: u32,
    entries_max: u64,
}

impl Window {
    fn draw(random: &mut Random, state: &State, shape: &Shape) -> Self {
        let lower = u32::try_from(random.draw() >> 32).unwrap_or(0);
        let entries_max = 1 + random.below(shape.range_entries_max) as u64;
        let keys = state.places.len() * shape.writers;
        let width = (1 << 32) / (keys as u64 + 1) * (entries_max + random.below(16) as u64);
        let width = match random.one_in(4) {
            true => u32::MAX,
            false => u32::try_from(width).unwrap_or(u32::MAX),
        };
        Self {
            lower,
            upper: lower.saturating_add(width),
            entries_max,
        }
    }

    fn bounds(&self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (
            Bound::Included(bound(self.lower)),
            Bound::Excluded(bound(self.upper)),
        )
    }

    /// Reads the window from one end, the other, or both by turns.
    fn walk(
        &self,
        mut range: Range,
        random: &mut Random,
        state: &State,
        shape: &Shape,
    ) -> Result<u64, String> {
        let mut expected = state.places.range(self.lower..self.upper);
        let (lower, upper) = (bound(self.lower), bound(self.upper));
        let (mut front, mut back) = (Audit::new(shape, false), Audit::new(shape, true));
        let from = random.below(3);
        while front.entries + back.entries < self.entries_max {
            let is_back = from == 1 || from == 2 && random.one_in(2);
            let (audit, entry) = match is_back {
                false => (&mut front, range.next()),
                true => (&mut back, range.next_back()),
            };
            let Some(entry) = entry else {
                return match expected.next() {
                    None => Ok(front.entries + back.entries),
                    Some(missed) => Err(format!(
                        "{self:x?}: place and version {missed:x?} are missed"
                    )),
                };
            };
            let (key, value) = entry.map_err(|error| describe(&error))?;
            if key < lower.as_slice() || key >= upper.as_slice() {
                return Err(format!("\"{}\" is outside the range", key.escape_ascii()));
            }
            if let (Key::Single { writer, place }, version) = audit.see(&key, &value)?
                && writer == state.writer
            {
                let expected = match is_back {
                    false => expected.next(),
                    true => expected.next_back(),
                };
                same(expected, place, version)?;
            }
        }
        Ok(front.entries + back.entries)
    }

    /// The window as `scan` has it, if that is small.
    fn scan(&self, db: &Lsm, state: &State, shape: &Shape) -> Result<u64, String> {
        let upper = self
            .lower
            .saturating_add((self.upper - self.lower).min(1 << 20));
        let scan = db.scan(bound(self.lower)..bound(upper));
        let scan = scan.map_err(|error| describe(&error))?;
        let mut expected = state.places.range(self.lower..upper);
        let mut audit = Audit::new(shape, false);
        for (key, value) in scan {
            if let (Key::Single { writer, place }, version) = audit.see(&key, &value)?
                && writer == state.writer
            {
                same(expected.next(), place, version)?;
            }
        }
        match expected.next() {
            None => Ok(audit.entries),
            Some(missed) => Err(format!(
                "scan {self:x?}: place and version {missed:x?} are missed"
            )),
        }
    }

    /// Steps a cursor on from the lower bound, back the same way, and on towards the front.
    fn step(&self, mut cursor: Cursor, state: &State, shape: &Shape) -> Result<u64, String> {
        let error = |error: lsm_db::Error| describe(&error);
        let mut keys = Vec::new();
        let mut expected = state.places.range(self.lower..);
        let mut ahead = Audit::new(shape, false);
        let mut is_there = cursor.seek(bound(self.lower)).map_err(error)?;
        while is_there && (keys.len() as u64) < self.entries_max {
            keys.push(cursor.key().unwrap_or_default().to_vec());
            see(&cursor, &mut ahead, state, |place, version| {
                same(expected.next(), place, version)
            })?;
            is_there = cursor.next().map_err(error)?;
        }
        if !is_there && let Some(missed) = expected.next() {
            return Err(format!("from {self:x?} to the end: {missed:x?} is missed"));
        }
        let mut expected = state.places.range(..self.lower).rev();
        let mut behind = Audit::new(shape, true);
        is_there = match keys.last() {
            Some(last) => cursor.seek_for_prev(last).map_err(error)?,
            None => cursor.seek_for_prev(bound(self.lower)).map_err(error)?,
        };
        while is_there && behind.entries < 2 * self.entries_max {
            let back = keys.pop();
            if back.is_some() && back.as_deref() != cursor.key() {
                let key = cursor.key().unwrap_or_default().escape_ascii();
                return Err(format!("on the way back: \"{key}\", not {:?}", back));
            }
            see(&cursor, &mut behind, state, |place, version| match back {
                Some(_) => Ok(()),
                None => same(expected.next(), place, version),
            })?;
            is_there = cursor.prev().map_err(error)?;
        }
        if !is_there && let Some(missed) = expected.next() {
            return Err(format!(
                "from {self:x?} to the front: {missed:x?} is missed"
            ));
        }
        Ok(ahead.entries + behind.entries)
    }
}

fn see(
    cursor: &Cursor,
    audit: &mut Audit<'_>,
    state: &State,
    mut own: impl FnMut(u32, u64) -> Result<(), String>,
) -> Result<(), String> {
    let Some((key, value)) = cursor.entry() else {
        return Err("a cursor that is somewhere has no entry".to_owned());
    };
    match audit.see(key, value)? {
        (Key::Single { writer, place }, version) if writer == state.writer => own(place, version),
        _ => Ok(()),
    }
}

fn same(expected: Option<(&u32, &u64)>, place: u32, version: u64) -> Result<(), String> {
    if expected == Some((&place, &version)) {
        return Ok(());
    }
    Err(format!(
        "place {place:08x} with version {version}, and the next must be {expected:x?}"
    ))
}
