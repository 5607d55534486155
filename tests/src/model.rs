//! The model of a store, a sorted map, and how to compare a store with it.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use lsm_db::{Bytes, Lsm};

/// What a store should hold.
pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A write: a key, and its new value or `None` for a delete.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// Entries as a comparison wants them.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

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
pub fn collect(
    entries: impl Iterator<Item = lsm_db::Result<(Bytes, Bytes)>>,
) -> lsm_db::Result<Entries> {
    entries
        .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
        .collect()
}

/// Everything in the store, in order.
///
/// # Errors
/// The store's.
pub fn contents(db: &Lsm) -> lsm_db::Result<Model> {
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

/// Compares every kind of read with the model: each key's `get`, the keys beside it, and all of
/// it forwards, backwards and materialised. Says the first difference.
///
/// # Errors
/// The difference, or the store's own error.
pub fn check(db: &Lsm, model: &Model) -> Result<(), Box<dyn std::error::Error>> {
    let expected: Entries = model.clone().into_iter().collect();
    compare("iter()", &collect(db.iter())?, &expected)?;
    compare("scan(..)", &db.scan(..)?.collect::<Vec<_>>(), &expected)?;
    let mut backwards = collect(db.iter().rev())?;
    backwards.reverse();
    compare("iter().rev()", &backwards, &expected)?;
    for (key, value) in model {
        check_get(db, key, Some(value))?;
        let beside = [key.as_slice(), b"\0"].concat();
        check_get(db, &beside, model.get(&beside))?;
    }
    Ok(())
}

/// Compares one `get` with what it should answer.
///
/// # Errors
/// The difference, or the store's own error.
pub fn check_get(
    db: &Lsm,
    key: &[u8],
    expected: Option<&Vec<u8>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let found = db.get(key)?;
    if found.as_ref() == expected {
        return Ok(());
    }
    Err(format!(
        "get({}): found {}, expected {}",
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
pub fn compare(what: &str, found: &Entries, expected: &Entries) -> Result<(), String> {
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
