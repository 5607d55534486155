//! The view of a reader: what has been deleted is not there.
//!
//! Stands above a merge of *all* sources that could hold a key; above fewer, a dropped tombstone
//! would bring back what it hides.

use bytes::Bytes;

use crate::cursor::Cursor;

/// A cursor over the entries of another that are values: tombstones are stepped over.
///
/// Put it outside a [`RangeCursor`](crate::RangeCursor), not inside: then the end of the range
/// stops it also in the middle of a long stretch of tombstones.
///
/// # Errors
///
/// Those of the inner cursor, which leave it unpositioned.
///
/// # Examples
///
/// ```
/// use lsm_compact::{Cursor, LiveCursor, SliceCursor};
///
/// let entries = [("a", None), ("b", Some("2")), ("c", None)];
/// let mut live = LiveCursor::new(SliceCursor::new(&entries));
/// live.seek_first()?;
/// assert_eq!(live.key(), Some(&b"b"[..]));
/// live.next()?;
/// assert_eq!(live.key(), None);
/// assert_eq!(live.tombstones_skipped(), 2);
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Debug)]
pub struct LiveCursor<C> {
    inner: C,
    tombstones_skipped: u64,
}

impl<C: Cursor> LiveCursor<C> {
    /// A cursor over the values of `inner`, wherever that stands; seek before reading.
    #[must_use]
    pub fn new(inner: C) -> Self {
        Self {
            inner,
            tombstones_skipped: 0,
        }
    }

    /// The tombstones stepped over since the cursor was made: work that a reader did for nothing.
    #[must_use]
    pub fn tombstones_skipped(&self) -> u64 {
        self.tombstones_skipped
    }

    /// The cursor underneath.
    #[must_use]
    pub fn inner(&self) -> &C {
        &self.inner
    }

    #[inline]
    fn settle(&mut self, step: impl Fn(&mut C) -> Result<(), C::Error>) -> Result<(), C::Error> {
        while self.inner.is_tombstone() {
            self.tombstones_skipped += 1;
            step(&mut self.inner)?;
        }
        Ok(())
    }
}

impl<C: Cursor> Cursor for LiveCursor<C> {
    type Error = C::Error;

    fn seek_first(&mut self) -> Result<(), C::Error> {
        self.inner.seek_first()?;
        self.settle(C::next)
    }

    fn seek_last(&mut self) -> Result<(), C::Error> {
        self.inner.seek_last()?;
        self.settle(C::prev)
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), C::Error> {
        self.inner.seek(key)?;
        self.settle(C::next)
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), C::Error> {
        self.inner.seek_for_prev(key)?;
        self.settle(C::prev)
    }

    #[inline]
    fn next(&mut self) -> Result<(), C::Error> {
        self.inner.next()?;
        self.settle(C::next)
    }

    #[inline]
    fn prev(&mut self) -> Result<(), C::Error> {
        self.inner.prev()?;
        self.settle(C::prev)
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        self.inner.key()
    }

    #[inline]
    fn value(&self) -> Option<&[u8]> {
        self.inner.value()
    }

    #[inline]
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        self.inner.entry()
    }

    #[inline]
    fn is_positioned(&self) -> bool {
        self.inner.is_positioned()
    }

    fn key_bytes(&self) -> Option<Bytes> {
        self.inner.key_bytes()
    }

    fn value_bytes(&self) -> Option<Bytes> {
        self.inner.value_bytes()
    }

    fn entry_bytes(&self) -> Option<(Bytes, Option<Bytes>)> {
        self.inner.entry_bytes()
    }
}
