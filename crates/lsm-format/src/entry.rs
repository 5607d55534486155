//! One entry and its bytes: key length, key, tag, value length, value.
//!
//! Called by the encoder, by every reader of a block, and by whoever stores a plain sequence of
//! entries (a batch in a log). It never looks at the order of keys and never copies on reading.

use alloc::vec::Vec;

use crate::error::{Error, Result};
use crate::{MAX_KEY_LEN, MAX_VALUE_LEN};

const TAG_VALUE: u8 = 0;
const TAG_TOMBSTONE: u8 = 1;

/// The bytes of an entry besides its key and value: two lengths and a tag.
pub(crate) const ENTRY_OVERHEAD: usize = 4 + 1 + 4;

/// What a run holds for a key: a value, or the mark that it was deleted.
///
/// A key that the run does not hold at all is an `Option::None` around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry<'a> {
    /// The key has this value, which may be empty.
    Value(&'a [u8]),
    /// The key was deleted; an older run may still hold it.
    Tombstone,
}

impl<'a> Entry<'a> {
    /// Returns the value, or `None` for a tombstone.
    #[inline]
    #[must_use]
    pub fn value(self) -> Option<&'a [u8]> {
        match self {
            Self::Value(value) => Some(value),
            Self::Tombstone => None,
        }
    }

    /// Tells whether this is a tombstone.
    #[inline]
    #[must_use]
    pub fn is_tombstone(self) -> bool {
        matches!(self, Self::Tombstone)
    }
}

impl<'a> From<Option<&'a [u8]>> for Entry<'a> {
    /// `None` becomes a tombstone.
    fn from(value: Option<&'a [u8]>) -> Self {
        value.map_or(Self::Tombstone, Self::Value)
    }
}

/// Returns the bytes that an entry takes, given the lengths of its key and value.
///
/// The value of a tombstone has length 0.
#[inline]
#[must_use]
pub const fn encoded_len(key_len: usize, value_len: usize) -> usize {
    ENTRY_OVERHEAD
        .saturating_add(key_len)
        .saturating_add(value_len)
}

/// Checks that a key and its value are no longer than the format allows.
///
/// # Errors
/// [`Error::TooLong`] if the key is over [`MAX_KEY_LEN`] or the value over [`MAX_VALUE_LEN`].
#[inline]
pub fn check_lengths(key: &[u8], entry: Entry<'_>) -> Result<()> {
    if key.len() > MAX_KEY_LEN {
        return Err(Error::TooLong {
            part: "key",
            len: key.len(),
            max: MAX_KEY_LEN,
        });
    }
    match entry {
        Entry::Value(value) if value.len() > MAX_VALUE_LEN => Err(Error::TooLong {
            part: "value",
            len: value.len(),
            max: MAX_VALUE_LEN,
        }),
        _ => Ok(()),
    }
}

/// Appends the bytes of one entry to `buf`.
///
/// The caller has checked the lengths with [`check_lengths`]: an entry that fails it would be
/// written with wrong lengths (debug builds assert it).
///
/// ```
/// use lsm_format::{Entries, Entry, encode_entry, encoded_len};
///
/// let mut batch = Vec::new();
/// encode_entry(&mut batch, b"k", Entry::Value(b"value"));
/// encode_entry(&mut batch, b"gone", Entry::Tombstone);
/// assert_eq!(batch.len(), encoded_len(1, 5) + encoded_len(4, 0));
///
/// let entries = Entries::new(&batch).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(entries, [(&b"k"[..], Entry::Value(b"value")), (b"gone", Entry::Tombstone)]);
/// # Ok::<(), lsm_format::Error>(())
/// ```
#[inline]
pub fn encode_entry(buf: &mut Vec<u8>, key: &[u8], entry: Entry<'_>) {
    debug_assert!(
        check_lengths(key, entry).is_ok(),
        "lengths are checked before encoding"
    );
    let (tag, value) = match entry {
        Entry::Value(value) => (TAG_VALUE, value),
        Entry::Tombstone => (TAG_TOMBSTONE, &[][..]),
    };
    buf.reserve(encoded_len(key.len(), value.len()));
    buf.extend_from_slice(&len_u32(key).to_le_bytes());
    buf.extend_from_slice(key);
    buf.push(tag);
    buf.extend_from_slice(&len_u32(value).to_le_bytes());
    buf.extend_from_slice(value);
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "lengths are at most 2^30, checked by check_lengths"
)]
pub(crate) const fn len_u32(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}

/// What is wrong with an entry, and at which byte of the slice it was read from.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) at: usize,
    pub(crate) reason: &'static str,
}

/// Reads the entry that starts at byte `at`; returns it with the byte that follows it.
#[inline]
pub(crate) fn parse_entry(bytes: &[u8], at: usize) -> Result<(&[u8], Entry<'_>, usize), Flaw> {
    let flaw = |reason| Flaw { at, reason };
    let rest = bytes.get(at..).unwrap_or_default();
    let (key_len, rest) = rest
        .split_first_chunk()
        .ok_or(flaw("entry cut off in its key length"))?;
    let key_len = u32::from_le_bytes(*key_len) as usize;
    if key_len > MAX_KEY_LEN {
        return Err(flaw("key length over the limit"));
    }
    let (key, rest) = rest
        .split_at_checked(key_len)
        .ok_or(flaw("key runs past the end"))?;
    let (tag, rest) = rest
        .split_first()
        .ok_or(flaw("entry cut off before its tag"))?;
    let (value_len, rest) = rest
        .split_first_chunk()
        .ok_or(flaw("entry cut off in its value length"))?;
    let value_len = u32::from_le_bytes(*value_len) as usize;
    let entry = match *tag {
        TAG_VALUE if value_len > MAX_VALUE_LEN => return Err(flaw("value length over the limit")),
        TAG_VALUE => Entry::Value(
            rest.get(..value_len)
                .ok_or(flaw("value runs past the end"))?,
        ),
        TAG_TOMBSTONE if value_len == 0 => Entry::Tombstone,
        TAG_TOMBSTONE => return Err(flaw("tombstone with a value")),
        _ => return Err(flaw("unknown tag")),
    };
    Ok((key, entry, at + ENTRY_OVERHEAD + key_len + value_len))
}

/// Reads the entry that starts at byte `at` of bytes that were validated before.
///
/// It asks nothing twice that [`parse_entry`] asked once, so it costs half; damage reads as an empty
/// key with a tombstone.
#[inline]
pub(crate) fn validated_entry(bytes: &[u8], at: usize) -> (&[u8], Entry<'_>) {
    let parse = || {
        let (key_len, rest) = bytes.get(at..)?.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
        let ([tag, value_len @ ..], rest) = rest.split_first_chunk::<5>()?;
        let entry = if *tag == TAG_VALUE {
            Entry::Value(rest.get(..u32::from_le_bytes(*value_len) as usize)?)
        } else {
            Entry::Tombstone
        };
        Some((key, entry))
    };
    parse().unwrap_or((&[], Entry::Tombstone))
}

/// Reads a `u32` length at byte `at` and returns the bytes that it counts.
///
/// For bytes that were validated before: damage reads as an empty slice.
#[inline]
pub(crate) fn counted_slice(bytes: &[u8], at: usize) -> &[u8] {
    let Some((len, rest)) = bytes.get(at..).and_then(<[u8]>::split_first_chunk) else {
        return &[];
    };
    rest.get(..u32::from_le_bytes(*len) as usize)
        .unwrap_or_default()
}

/// Reads a plain sequence of entries, in whatever order they were written.
///
/// Yields `(key, entry)` borrowed from the slice and allocates nothing. After an error it yields
/// nothing more.
///
/// # Errors
/// [`Error::Entry`] where the bytes are no entry: a length that passes the end or the limit, an
/// unknown tag, a tombstone with a value.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Entries<'a> {
    /// Reads `bytes` from their start; nothing is checked before it is reached.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the byte at which the next entry starts.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a [u8], Entry<'a>)>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        match parse_entry(self.bytes, self.at) {
            Ok((key, entry, next)) => {
                self.at = next;
                Some(Ok((key, entry)))
            }
            Err(flaw) => {
                self.at = self.bytes.len();
                Some(Err(Error::Entry {
                    offset: flaw.at as u64,
                    reason: flaw.reason,
                }))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = self.bytes.len().saturating_sub(self.at);
        (usize::from(rest > 0), Some(rest.div_ceil(ENTRY_OVERHEAD)))
    }
}

impl core::iter::FusedIterator for Entries<'_> {}

#[cfg(test)]
mod tests;
