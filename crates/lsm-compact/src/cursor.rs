//! The cursor: how every ordered source of entries is read, in this crate and by its callers.
//!
//! A memtable, a run, a level, a merge and a range of a merge are all cursors, so they nest.
//! Callers implement [`Cursor`] for what they store. This module never owns data: [`SliceCursor`]
//! borrows a sorted slice, for tests, examples and small tables in memory.

use std::convert::Infallible;

use bytes::Bytes;

/// The first eight bytes of a key as a big-endian integer, shorter keys padded with zeros.
///
/// Two different heads order as their keys do; equal heads decide nothing.
#[inline]
pub(crate) fn key_head(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let mut padded = [0; 8];
    for (to, from) in padded.iter_mut().zip(key) {
        *to = *from;
    }
    u64::from_be_bytes(padded)
}

/// A seekable position in a sorted sequence of entries, which lends the entry's bytes.
///
/// Keys ascend strictly by byte order, one entry per key. An entry is a value or a *tombstone*,
/// which says that the key is deleted. A cursor starts unpositioned; stepping past either end,
/// seeking where there is nothing, and every error leave it unpositioned, and then
/// [`next`](Cursor::next) and [`prev`](Cursor::prev) do nothing until the next seek.
///
/// The lent slices stay valid until the cursor is moved, so that a step costs neither an
/// allocation nor a reference count.
///
/// # Errors
///
/// Every method that moves may fail with the source's own error. The cursor is then
/// unpositioned: an entry is never skipped silently. A seek may be tried again.
///
/// # Examples
///
/// ```
/// use lsm_compact::{Cursor, SliceCursor};
///
/// let entries = [(b"a", Some(b"1")), (b"b", None), (b"d", Some(b"4"))];
/// let mut cursor = SliceCursor::new(&entries);
/// cursor.seek(b"b")?;
/// assert_eq!(cursor.key(), Some(&b"b"[..]));
/// assert_eq!(cursor.value(), None); // positioned, without a value: a tombstone
/// cursor.seek_for_prev(b"c")?;
/// assert_eq!(cursor.key(), Some(&b"b"[..]));
/// # Ok::<(), std::convert::Infallible>(())
/// ```
pub trait Cursor {
    /// What reading the source may fail with; [`Infallible`] for one in memory.
    type Error;

    /// Moves to the first entry.
    fn seek_first(&mut self) -> Result<(), Self::Error>;

    /// Moves to the last entry.
    fn seek_last(&mut self) -> Result<(), Self::Error>;

    /// Moves to the first entry whose key is `key` or greater.
    fn seek(&mut self, key: &[u8]) -> Result<(), Self::Error>;

    /// Moves to the last entry whose key is `key` or less.
    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), Self::Error>;

    /// Moves to the following entry; does nothing when not positioned.
    fn next(&mut self) -> Result<(), Self::Error>;

    /// Moves to the preceding entry; does nothing when not positioned.
    fn prev(&mut self) -> Result<(), Self::Error>;

    /// Whether an entry of `key` would be shown, if there is one: not where bounds leave it out.
    fn admits(&self, _key: &[u8]) -> bool {
        true
    }

    /// The key of the entry; `None` when not positioned.
    fn key(&self) -> Option<&[u8]>;

    /// The value of the entry; `None` for a tombstone, and when not positioned.
    fn value(&self) -> Option<&[u8]>;

    /// The key of the entry and its value, which is `None` for a tombstone; `None` when not
    /// positioned.
    ///
    /// Override it where both together cost less than one after the other.
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        Some((self.key()?, self.value()))
    }

    /// Whether the cursor is at an entry.
    ///
    /// Override it where that can be told without finding the key.
    fn is_positioned(&self) -> bool {
        self.key().is_some()
    }

    /// Whether the cursor is at a tombstone.
    ///
    /// Override it where that can be told without finding the value.
    fn is_tombstone(&self) -> bool {
        self.value().is_none() && self.is_positioned()
    }

    /// The key, owned; the default copies it.
    ///
    /// Override it where a reference count is enough.
    fn key_bytes(&self) -> Option<Bytes> {
        self.key().map(Bytes::copy_from_slice)
    }

    /// The value, owned; the default copies it.
    ///
    /// Override it where a reference count is enough.
    fn value_bytes(&self) -> Option<Bytes> {
        self.value().map(Bytes::copy_from_slice)
    }

    /// The entry, owned: as [`entry`](Cursor::entry), of [`key_bytes`](Cursor::key_bytes) and
    /// [`value_bytes`](Cursor::value_bytes).
    fn entry_bytes(&self) -> Option<(Bytes, Option<Bytes>)> {
        Some((self.key_bytes()?, self.value_bytes()))
    }

    /// How many calls of [`next`](Cursor::next) in a row surely succeed and stay below `limit`.
    ///
    /// A lower bound, answered from what is at hand: a cursor over blocks compares `limit` with the
    /// last key of its block and answers with the entries left in it. A merge uses the answer to
    /// step without comparing. The default, 0, is always right; an answer too high breaks the
    /// order of the merge.
    fn steps_below(&self, limit: &[u8]) -> usize {
        let _ = limit;
        0
    }

    /// How many calls of [`prev`](Cursor::prev) in a row surely succeed and stay above `limit`.
    ///
    /// The mirror image of [`steps_below`](Cursor::steps_below).
    fn steps_above(&self, limit: &[u8]) -> usize {
        let _ = limit;
        0
    }
}

/// Boxed cursors, so that a merge can take sources of different types.
impl<C: Cursor + ?Sized> Cursor for Box<C> {
    type Error = C::Error;

    fn seek_first(&mut self) -> Result<(), Self::Error> {
        (**self).seek_first()
    }

    fn seek_last(&mut self) -> Result<(), Self::Error> {
        (**self).seek_last()
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), Self::Error> {
        (**self).seek(key)
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), Self::Error> {
        (**self).seek_for_prev(key)
    }

    fn next(&mut self) -> Result<(), Self::Error> {
        (**self).next()
    }

    fn prev(&mut self) -> Result<(), Self::Error> {
        (**self).prev()
    }

    fn key(&self) -> Option<&[u8]> {
        (**self).key()
    }

    fn value(&self) -> Option<&[u8]> {
        (**self).value()
    }

    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        (**self).entry()
    }

    fn is_positioned(&self) -> bool {
        (**self).is_positioned()
    }

    fn is_tombstone(&self) -> bool {
        (**self).is_tombstone()
    }

    fn key_bytes(&self) -> Option<Bytes> {
        (**self).key_bytes()
    }

    fn value_bytes(&self) -> Option<Bytes> {
        (**self).value_bytes()
    }

    fn entry_bytes(&self) -> Option<(Bytes, Option<Bytes>)> {
        (**self).entry_bytes()
    }

    fn steps_below(&self, limit: &[u8]) -> usize {
        (**self).steps_below(limit)
    }

    fn steps_above(&self, limit: &[u8]) -> usize {
        (**self).steps_above(limit)
    }
}

/// A cursor over a sorted slice of keys and values; `None` for a value is a tombstone.
///
/// The keys must ascend strictly; this is the caller's to see to, and checked in debug builds.
/// Seeks are binary searches, O(log n).
#[derive(Debug)]
pub struct SliceCursor<'a, K, V> {
    entries: &'a [(K, Option<V>)],
    /// At `entries.len()` or beyond: not positioned.
    at: usize,
}

impl<K, V> Clone for SliceCursor<'_, K, V> {
    fn clone(&self) -> Self {
        Self {
            entries: self.entries,
            at: self.at,
        }
    }
}

impl<'a, K: AsRef<[u8]>, V: AsRef<[u8]>> SliceCursor<'a, K, V> {
    /// A cursor over `entries`, not yet positioned.
    #[must_use]
    pub fn new(entries: &'a [(K, Option<V>)]) -> Self {
        debug_assert!(
            entries.is_sorted_by(|a, b| a.0.as_ref() < b.0.as_ref()),
            "the keys of a slice cursor ascend strictly"
        );
        Self {
            entries,
            at: usize::MAX,
        }
    }

    fn entry(&self) -> Option<&'a (K, Option<V>)> {
        self.entries.get(self.at)
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Cursor for SliceCursor<'_, K, V> {
    type Error = Infallible;

    fn seek_first(&mut self) -> Result<(), Infallible> {
        self.at = 0;
        Ok(())
    }

    fn seek_last(&mut self) -> Result<(), Infallible> {
        self.at = self.entries.len().wrapping_sub(1);
        Ok(())
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), Infallible> {
        self.at = self.entries.partition_point(|entry| entry.0.as_ref() < key);
        Ok(())
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), Infallible> {
        self.at = self
            .entries
            .partition_point(|entry| entry.0.as_ref() <= key)
            .wrapping_sub(1);
        Ok(())
    }

    fn next(&mut self) -> Result<(), Infallible> {
        if self.at < self.entries.len() {
            self.at += 1;
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<(), Infallible> {
        if self.at < self.entries.len() {
            self.at = self.at.wrapping_sub(1);
        }
        Ok(())
    }

    fn key(&self) -> Option<&[u8]> {
        self.entry().map(|entry| entry.0.as_ref())
    }

    fn value(&self) -> Option<&[u8]> {
        self.entry()
            .and_then(|entry| entry.1.as_ref())
            .map(AsRef::as_ref)
    }

    fn steps_below(&self, limit: &[u8]) -> usize {
        let rest = self.entries.len().saturating_sub(self.at.saturating_add(1));
        farthest_inside(rest, |steps| {
            self.at
                .checked_add(steps)
                .and_then(|at| self.entries.get(at))
                .is_some_and(|entry| entry.0.as_ref() < limit)
        })
    }

    fn steps_above(&self, limit: &[u8]) -> usize {
        let rest = if self.at < self.entries.len() {
            self.at
        } else {
            0
        };
        farthest_inside(rest, |steps| {
            self.at
                .checked_sub(steps)
                .and_then(|at| self.entries.get(at))
                .is_some_and(|entry| entry.0.as_ref() > limit)
        })
    }
}

/// The largest of `rest`, `rest / 8`, `rest / 64`, … steps for which `inside` holds.
fn farthest_inside(mut rest: usize, inside: impl Fn(usize) -> bool) -> usize {
    while rest > 0 && !inside(rest) {
        rest /= 8;
    }
    rest
}
