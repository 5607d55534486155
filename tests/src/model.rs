//! The model of a store, a sorted map, and how to compare a store with it.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use lsm_db::{Bytes, Cursor, Lsm, Range, Result, Scan, Snapshot};

use crate::walk::{Move, Walker};

/// What a store should hold.
pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A write: a key, and its new value or `None` for a delete.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// Entries as a comparison wants them.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The reads that a handle and a snapshot have in common.
#[allow(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "each is the method of that name"
)]
pub trait Reads {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
    fn get_bytes(&self, key: &[u8]) -> Result<Option<Bytes>>;
    fn contains_key(&self, key: &[u8]) -> Result<bool>;
    fn multi_get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>>;
    fn first(&self) -> Result<Option<(Bytes, Bytes)>>;
    fn last(&self) -> Result<Option<(Bytes, Bytes)>>;
    fn is_empty(&self) -> Result<bool>;
    fn scan_all(&self) -> Result<Scan>;
    fn iter(&self) -> Range;
    fn cursor(&self) -> Cursor;
}

macro_rules! reads {
    ($($reader:ty),*) => {$(
        impl Reads for $reader {
            fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
                self.get(key)
            }

            fn get_bytes(&self, key: &[u8]) -> Result<Option<Bytes>> {
                self.get_bytes(key)
            }

            fn contains_key(&self, key: &[u8]) -> Result<bool> {
                self.contains_key(key)
            }

            fn multi_get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
                self.multi_get(keys)
            }

            fn first(&self) -> Result<Option<(Bytes, Bytes)>> {
                self.first()
            }

            fn last(&self) -> Result<Option<(Bytes, Bytes)>> {
                self.last()
            }

            fn is_empty(&self) -> Result<bool> {
                self.is_empty()
            }

            fn scan_all(&self) -> Result<Scan> {
                self.scan(..)
            }

            fn iter(&self) -> Range {
                self.iter()
            }

            fn cursor(&self) -> Cursor {
                self.cursor()
            }
        }
    )*};
}

reads!(Lsm, Snapshot);

/// A key of fixed width, so that keys order as their numbers do.
pub fn key(number: usize) -> Vec<u8> {
    format!("key-{number:06}").into_bytes()
}

/// A value that tells its key and its age apart from every other.
pub fn value(number: usize, age: usize) -> Vec<u8> {
    format!("value {number} of age {age}").into_bytes()
}

/// Applies writes to the model.
pub fn apply<'a>(model: &mut Model, writes: impl IntoIterator<Item = &'a Write>) {
    for (key, value) in writes {
        match value {
            Some(value) => model.insert(key.clone(), value.clone()),
            None => model.remove(key),
        };
    }
}

/// Everything that an iterator yields, up to its first error.
///
/// # Errors
/// The iterator's.
pub fn collect(entries: impl Iterator<Item = Result<(Bytes, Bytes)>>) -> Result<Entries> {
    entries
        .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
        .collect()
}

/// Everything in the store, in order.
///
/// # Errors
/// The store's.
pub fn contents(db: &Lsm) -> Result<Model> {
    Ok(collect(db.iter())?.into_iter().collect())
}

/// The model's entries in a range. Unlike [`BTreeMap::range`] it takes inverted bounds.
pub fn entries_in(model: &Model, range: &impl RangeBounds<Vec<u8>>) -> Entries {
    model
        .iter()
        .filter(|(key, _)| range.contains(*key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The range of a bound pair, written the way the store's `range` and `scan` take it.
pub fn bounds(lower: Bound<Vec<u8>>, upper: Bound<Vec<u8>>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    (lower, upper)
}

/// Compares every kind of read with the model: each key and the one beside it, one by one and
/// together, the ends, and all of it forwards, backwards, materialised and by cursor. Says the
/// first difference.
///
/// # Errors
/// The difference, or the store's own error.
pub fn check(db: &impl Reads, model: &Model) -> Outcome {
    let expected: Entries = model.clone().into_iter().collect();
    compare("iter()", &collect(db.iter())?, &expected)?;
    compare("scan(..)", &db.scan_all()?.collect::<Vec<_>>(), &expected)?;
    let mut backwards = collect(db.iter().rev())?;
    backwards.reverse();
    compare("iter().rev()", &backwards, &expected)?;
    for (key, value) in model {
        check_get(db, key, Some(value))?;
        let beside = [key.as_slice(), b"\0"].concat();
        check_get(db, &beside, model.get(&beside))?;
    }
    check_together(db, model)?;
    check_ends(db, model)?;
    check_cursor(db, model)
}

/// All keys with one `multi_get`, and one that is absent between them.
fn check_together(db: &impl Reads, model: &Model) -> Outcome {
    let mut keys: Vec<Vec<u8>> = model.keys().rev().cloned().collect();
    keys.insert(keys.len() / 2, b"never written".to_vec());
    let found = db.multi_get(&keys)?;
    let expected = keys.iter().map(|key| model.get(key).map(Vec::as_slice));
    let found = found.iter().map(Option::as_deref);
    match found.eq(expected) {
        true => Ok(()),
        false => Err(format!("multi_get of {} keys differs", keys.len()).into()),
    }
}

fn check_ends(db: &impl Reads, model: &Model) -> Outcome {
    let owned = |entry: Option<(Bytes, Bytes)>| {
        let entry = entry.map(|(key, value)| (key.to_vec(), value.to_vec()));
        Entries::from_iter(entry)
    };
    let expected = |entry: Option<(&Vec<u8>, &Vec<u8>)>| {
        Entries::from_iter(entry.map(|(key, value)| (key.clone(), value.clone())))
    };
    let first = expected(model.first_key_value());
    compare("first()", &owned(db.first()?), &first)?;
    compare(
        "last()",
        &owned(db.last()?),
        &expected(model.last_key_value()),
    )?;
    match db.is_empty()? == model.is_empty() {
        true => Ok(()),
        false => Err(format!("is_empty() of {} entries", model.len()).into()),
    }
}

/// From one end to the other and back.
fn check_cursor(db: &impl Reads, model: &Model) -> Outcome {
    let steps = model.len();
    let forward = std::iter::once(Move::First).chain(vec![Move::Next; steps]);
    let backward = std::iter::once(Move::Last).chain(vec![Move::Prev; steps]);
    let mut walker = Walker::new(db.cursor());
    walker.walk(&forward.chain(backward).collect::<Vec<_>>(), model)
}

/// Compares the reads of one key with what they should answer.
///
/// # Errors
/// The difference, or the store's own error.
pub fn check_get(db: &impl Reads, key: &[u8], expected: Option<&Vec<u8>>) -> Outcome {
    let found = db.get(key)?;
    let bytes = db.get_bytes(key)?;
    let is_there = db.contains_key(key)?;
    if found.as_ref() == expected
        && bytes.as_deref() == expected.map(Vec::as_slice)
        && is_there == expected.is_some()
    {
        return Ok(());
    }
    Err(format!(
        "get({}), get_bytes or contains_key ({is_there}): found {}, expected {}",
        show(key),
        show_value(found.as_ref()),
        show_value(expected)
    )
    .into())
}

/// Compares entries with those expected, and says where they part.
///
/// # Errors
/// The first difference.
pub fn compare(what: &str, found: &Entries, expected: &Entries) -> std::result::Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let parts = found
        .iter()
        .zip(expected)
        .take_while(|(found, expected)| found == expected);
    let at = parts.count();
    let show_entry = |entries: &Entries| match entries.get(at) {
        Some((key, value)) => format!("{} = {}", show(key), show_value(Some(value))),
        None => "the end".to_owned(),
    };
    Err(format!(
        "{what}: entry {at} of {}: found {}, expected {}",
        expected.len(),
        show_entry(found),
        show_entry(expected)
    ))
}

fn show(bytes: &[u8]) -> String {
    let head = bytes.get(..40).unwrap_or(bytes);
    format!("\"{}\" ({} bytes)", head.escape_ascii(), bytes.len())
}

fn show_value(value: Option<&Vec<u8>>) -> String {
    value.map_or("nothing".to_owned(), |value| show(value))
}
