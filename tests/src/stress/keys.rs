//! Which keys the writers use, and what a value tells about its key.
//!
//! The writers' keys interleave over the whole key space, so that every flush and compaction
//! holds some of each. A value starts with its key, so a scanner knows a value that got under
//! another key.

use crate::random::Random;

/// Keys of each writer that are written one by one.
pub(super) const NUMBERS: usize = 8_000;
/// Keys of each writer that are only ever written all together, in one batch, with one marker.
pub(super) const MARKERS: usize = 16;
const FILLER_BYTES_MAX: usize = 240;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Written by itself.
    Single,
    /// One of the keys that carry the marker of the writer with this number.
    Marker { writer: usize },
}

/// A key that is written by itself.
pub(super) fn single(writer: usize, number: usize) -> Vec<u8> {
    format!("{number:06}/{writer}").into_bytes()
}

/// One of a writer's marker keys, which are spread evenly between its others.
pub(super) fn marker(writer: usize, index: usize) -> Vec<u8> {
    let number = index * (NUMBERS / MARKERS);
    format!("{number:06}/{writer}/marker").into_bytes()
}

/// Reads a key of [`single`] or [`marker`]; `None` if it is neither.
pub(super) fn parse(key: &[u8]) -> Option<Kind> {
    let mut parts = std::str::from_utf8(key).ok()?.split('/');
    let _number: usize = parts.next()?.parse().ok()?;
    let writer: usize = parts.next()?.parse().ok()?;
    match (parts.next(), parts.next()) {
        (None, None) => Some(Kind::Single),
        (Some("marker"), None) => Some(Kind::Marker { writer }),
        _ => None,
    }
}

/// A value for the key, of a length and content of its own.
pub(super) fn single_value(key: &[u8], random: &mut Random) -> Vec<u8> {
    let filler_bytes = random.below(FILLER_BYTES_MAX);
    [key, b"=", &random.bytes(filler_bytes)].concat()
}

/// The value of every marker key of a batch.
pub(super) fn marker_value(key: &[u8], marker: u64) -> Vec<u8> {
    [key, b"=", marker.to_string().as_bytes()].concat()
}

/// What follows the key in a value; `None` if the value is another key's.
pub(super) fn payload<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    value.strip_prefix(key)?.strip_prefix(b"=")
}

/// The marker in a payload.
pub(super) fn parse_marker(payload: &[u8]) -> Option<u64> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_read_back() {
        assert_eq!(parse(&single(3, 77)), Some(Kind::Single));
        assert_eq!(parse(&marker(3, 15)), Some(Kind::Marker { writer: 3 }));
        assert_eq!(parse(b"foreign"), None);

        let key = marker(2, 1);
        let value = marker_value(&key, 40);
        assert_eq!(payload(&key, &value).and_then(parse_marker), Some(40));
        assert_eq!(payload(&single(2, 1), &value), None);
    }
}
