//! A range as a double-ended iterator of owned entries.
//!
//! Each end is a cursor of its own, opened when it is first asked; they stop where they meet. The
//! iterator holds two positions and nothing of the range, however long that is.

use std::fmt;
use std::ops::Bound;

use bytes::Bytes;

use crate::cursor::Cursor;
use crate::live::{KnownGaps, LiveCursor};
use crate::range::RangeCursor;

/// Opens cursors over one unchanging view, as often as asked.
///
/// Every cursor must show the same entries. Any `Fn() -> Result<C, C::Error>` will do; implement
/// it for a type of your own where the iterator's type has to be named.
pub trait OpenCursor {
    /// What is opened: a merge of all sources, tombstones and all.
    type Cursor: Cursor;

    /// A memory of gaps in that view; `()` for none.
    type Gaps: KnownGaps;

    /// A new cursor, not positioned.
    ///
    /// # Errors
    ///
    /// Whatever the cursor itself may fail with; the iterator returns it and ends.
    fn open(&self) -> Result<Self::Cursor, <Self::Cursor as Cursor>::Error>;

    /// The memory of gaps, for one more cursor.
    fn gaps(&self) -> Self::Gaps;
}

impl<C: Cursor, F: Fn() -> Result<C, C::Error>> OpenCursor for F {
    type Cursor = C;
    type Gaps = ();

    fn open(&self) -> Result<C, C::Error> {
        self()
    }

    fn gaps(&self) {}
}

type ErrorOf<O> = <<O as OpenCursor>::Cursor as Cursor>::Error;

type Entry<O> = Result<(Bytes, Bytes), ErrorOf<O>>;

type End<O> = LiveCursor<RangeCursor<<O as OpenCursor>::Cursor>, <O as OpenCursor>::Gaps>;

/// The live entries between two bounds, from both ends, as owned keys and values.
///
/// Yields `Ok((key, value))` in ascending order from the front and descending from the back, each
/// entry once. Tombstones are dropped. A cursor is opened and seeked at the first call of `next`,
/// another at the first of `next_back`; an iterator never used reads nothing. Memory is that of
/// the two cursors.
///
/// # Errors
///
/// An error is yielded once and ends the iterator from both sides, so that nobody goes on past a
/// gap without noticing.
///
/// # Examples
///
/// ```
/// use std::ops::Bound;
///
/// use lsm_compact::{RangeIter, SliceCursor};
///
/// let entries = [("a", Some("1")), ("b", None), ("c", Some("3")), ("d", Some("4"))];
/// let open = || Ok::<_, std::convert::Infallible>(SliceCursor::new(&entries));
/// let mut range = RangeIter::new(open, Bound::Unbounded, Bound::Excluded("d".into()));
/// assert_eq!(range.next_back(), Some(Ok(("c".into(), "3".into()))));
/// assert_eq!(range.next(), Some(Ok(("a".into(), "1".into()))));
/// assert_eq!(range.next(), None);
/// assert_eq!(range.next_back(), None);
/// ```
pub struct RangeIter<O: OpenCursor> {
    // The ends are dropped before what they were opened from.
    /// Stands at the entry yielded last from this side; `None` before the first.
    front: Option<End<O>>,
    back: Option<End<O>>,
    /// `None` once the iterator has ended.
    open: Option<O>,
    lower: Bound<Bytes>,
    upper: Bound<Bytes>,
}

impl<O: OpenCursor> fmt::Debug for RangeIter<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeIter")
            .field("lower", &self.lower)
            .field("upper", &self.upper)
            .field("ended", &self.open.is_none())
            .finish_non_exhaustive()
    }
}

impl<O: OpenCursor> RangeIter<O> {
    /// An iterator over the live entries that the cursors of `open` show between the bounds.
    #[must_use]
    pub fn new(open: O, lower: Bound<Bytes>, upper: Bound<Bytes>) -> Self {
        Self {
            front: None,
            back: None,
            open: Some(open),
            lower,
            upper,
        }
    }

    fn open_end(&self) -> Result<Option<End<O>>, ErrorOf<O>> {
        let Some(open) = &self.open else {
            return Ok(None);
        };
        let range = RangeCursor::new(open.open()?, self.lower.clone(), self.upper.clone());
        Ok(Some(LiveCursor::with_gaps(range, open.gaps())))
    }

    fn step_front(&mut self) -> Result<(), ErrorOf<O>> {
        if let Some(front) = &mut self.front {
            return front.next();
        }
        self.front = self.open_end()?;
        self.front.as_mut().map_or(Ok(()), Cursor::seek_first)
    }

    fn step_back(&mut self) -> Result<(), ErrorOf<O>> {
        if let Some(back) = &mut self.back {
            return back.prev();
        }
        self.back = self.open_end()?;
        self.back.as_mut().map_or(Ok(()), Cursor::seek_last)
    }

    /// Whether the two ends stand at the same entry, or have passed each other. An end that was
    /// never opened is met nowhere; one that ran out ended the iterator.
    fn have_met(&self) -> bool {
        let (Some(front), Some(back)) = (&self.front, &self.back) else {
            return false;
        };
        matches!((front.key(), back.key()), (Some(front), Some(back)) if front >= back)
    }

    fn yield_from(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<(), ErrorOf<O>>,
        end: impl FnOnce(&Self) -> Option<&End<O>>,
    ) -> Option<Entry<O>> {
        self.open.as_ref()?;
        let stepped = step(self);
        let entry = match stepped {
            Err(error) => Some(Err(error)),
            Ok(()) if self.have_met() => None,
            Ok(()) => end(self).and_then(|end| {
                let (key, value) = end.entry_bytes()?;
                Some(Ok((key, value?)))
            }),
        };
        if !matches!(entry, Some(Ok(_))) {
            // What they hold (blocks, the view) is let go at once, not with the iterator.
            self.front = None;
            self.back = None;
            self.open = None;
        }
        entry
    }
}

impl<O: OpenCursor> Iterator for RangeIter<O> {
    type Item = Result<(Bytes, Bytes), <O::Cursor as Cursor>::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.yield_from(Self::step_front, |range| range.front.as_ref())
    }
}

impl<O: OpenCursor> DoubleEndedIterator for RangeIter<O> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.yield_from(Self::step_back, |range| range.back.as_ref())
    }
}

impl<O: OpenCursor> std::iter::FusedIterator for RangeIter<O> {}
