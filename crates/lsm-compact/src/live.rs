//! The view of a reader: what has been deleted is not there.
//!
//! Stands above a merge of *all* sources that could hold a key; above fewer, a dropped tombstone
//! would bring back what it hides. The one place where readers step over tombstones, and so the one
//! where they may be spared it by who remembers such stretches: a [`KnownGaps`].

use bytes::Bytes;

use crate::cursor::Cursor;

/// Tombstones in a row after which their range is first noted. A shorter stretch is not worth it.
const NOTED_MIN: u64 = 32;

/// Tombstones right behind a known gap that make it longer: few, as a queue leaves one at a time.
const EXTENSION_MIN: u64 = 3;

/// Tombstones in a row that come between two questions whether a gap is known here.
const ASKED_EVERY: u64 = 8;

/// An edge of what is noted has at most so many bytes: a key, or a key and a zero. Edges are copied.
const EDGE_BYTES_MAX: usize = 1 << 10;

/// The tombstone of a stretch at which that is first asked, and which is its edge when it is noted.
/// Single tombstones, the most common, cost nothing.
const ASKED_FIRST: u64 = 2;

/// What is remembered of *gaps*: ranges of keys in which nothing has a value.
///
/// A [`LiveCursor`] asks it before it seeks to a key, any key, and in the middle of a stretch of
/// tombstones; and it tells it of those that it has stepped over. All of it is about what the cursor
/// shows: an implementor that serves cursors over different states of a store has to tell them apart.
/// `()` remembers nothing.
pub trait KnownGaps {
    /// The first key behind a gap that holds `key`: greater than `key`. `is_tombstone`: the cursor
    /// stands at one of that key, so the gap spares it others; else it may spare nothing.
    fn end_around(&self, key: &[u8], is_tombstone: bool) -> Option<Bytes>;

    /// The first key of a gap that holds `key`: `key` or less.
    fn start_around(&self, key: &[u8], is_tombstone: bool) -> Option<Bytes>;

    /// Nothing from `start` up to `end`, itself left out, has a value; the cursor has stepped over
    /// so many tombstones there. No entry need have either key.
    fn found(&mut self, start: &[u8], end: &[u8], tombstones: u64);

    /// The cursor has stepped over so many tombstones, wherever they were.
    fn stepped_over(&mut self, tombstones: u64);
}

/// No memory.
impl KnownGaps for () {
    fn end_around(&self, _key: &[u8], _is_tombstone: bool) -> Option<Bytes> {
        None
    }

    fn start_around(&self, _key: &[u8], _is_tombstone: bool) -> Option<Bytes> {
        None
    }

    fn found(&mut self, _start: &[u8], _end: &[u8], _tombstones: u64) {}

    fn stepped_over(&mut self, _tombstones: u64) {}
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Reverse,
}

/// What led to a tombstone.
#[derive(Debug, Clone, Copy)]
enum Origin<'k> {
    /// A step, or a seek to one of the ends.
    Here,
    /// A seek to this key.
    Sought(&'k [u8]),
    /// A seek to this far edge of a gap.
    Gap(&'k [u8]),
}

/// A cursor over the entries of another that are values: tombstones are stepped over.
///
/// Put it outside a [`RangeCursor`](crate::RangeCursor), not inside: then the end of the range
/// stops it also in the middle of a long stretch of tombstones.
///
/// With a memory of gaps ([`with_gaps`](Self::with_gaps)) it seeks past a long stretch of tombstones
/// that somebody has stepped over before.
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
pub struct LiveCursor<C, G = ()> {
    inner: C,
    gaps: G,
    tombstones_skipped: u64,
    /// The near edge of what was stepped over and is not yet noted, and room for the far one.
    edges: [Vec<u8>; 2],
}

impl<C: Cursor> LiveCursor<C> {
    /// A cursor over the values of `inner`, wherever that stands; seek before reading.
    #[must_use]
    pub fn new(inner: C) -> Self {
        Self::with_gaps(inner, ())
    }
}

impl<C: Cursor, G: KnownGaps> LiveCursor<C, G> {
    /// As [`new`](Self::new), with a memory of gaps, which must be about what `inner` shows.
    #[must_use]
    pub fn with_gaps(inner: C, gaps: G) -> Self {
        Self {
            inner,
            gaps,
            tombstones_skipped: 0,
            edges: [Vec::new(), Vec::new()],
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

    /// Seeks, to the far edge at once if it is known that nothing is before that.
    fn seek_and_settle(&mut self, direction: Direction, key: &[u8]) -> Result<(), C::Error> {
        let beyond = far_edge(&self.gaps, direction, key, false);
        let to = beyond.as_deref().unwrap_or(key);
        match direction {
            Direction::Forward => self.inner.seek(to)?,
            Direction::Reverse => self.inner.seek_for_prev(to)?,
        }
        let from = match &beyond {
            // What a range leaves out was not looked at.
            _ if !self.inner.admits(to) => Origin::Here,
            Some(edge) => Origin::Gap(edge),
            None => Origin::Sought(key),
        };
        self.settle(direction, from)
    }

    #[inline]
    fn settle(&mut self, direction: Direction, from: Origin<'_>) -> Result<(), C::Error> {
        if self.inner.is_tombstone() {
            return self.step_over(direction, from);
        }
        Ok(())
    }

    /// Goes on from a tombstone to the next value. Not inlined: a step from value to value, the most
    /// common, is to stay small.
    #[inline(never)]
    fn step_over(&mut self, direction: Direction, from: Origin<'_>) -> Result<(), C::Error> {
        let before = self.tombstones_skipped;
        let stepped = self.step_to_value(direction, from);
        self.gaps.stepped_over(self.tombstones_skipped - before);
        stepped
    }

    /// Steps, and passes what is known to hold no value.
    fn step_to_value(&mut self, direction: Direction, from: Origin<'_>) -> Result<(), C::Error> {
        let Self { inner, gaps, .. } = self;
        let mut stretch = Stretch::new(&mut self.edges, direction);
        match from {
            Origin::Here => {}
            Origin::Sought(key) => stretch.begin_at_sought(key),
            Origin::Gap(edge) => stretch.begin_behind(edge),
        }
        while inner.is_tombstone()
            && let Some(key) = inner.key()
        {
            self.tombstones_skipped += 1;
            stretch.count += 1;
            if stretch.count % ASKED_EVERY == ASKED_FIRST
                && let Some(beyond) = far_edge(gaps, direction, key, true)
            {
                // The least between two gaps is worth it: each costs a seek, and what is deleted
                // again and again within a gap leaves many.
                let is_worth_it = stretch.is_behind_gap || stretch.unnoted() >= EXTENSION_MIN;
                if is_worth_it && key.len() < EDGE_BYTES_MAX {
                    stretch.note(key, gaps);
                }
                stretch.begin_behind(&beyond);
                match direction {
                    Direction::Forward => inner.seek(&beyond)?,
                    Direction::Reverse => inner.seek_for_prev(&beyond)?,
                }
                continue;
            }
            if key.len() < EDGE_BYTES_MAX {
                if stretch.count >= ASKED_FIRST {
                    stretch.begin_at(key);
                }
                if stretch.count >= stretch.note_at {
                    stretch.note(key, gaps);
                }
            }
            match direction {
                Direction::Forward => inner.next()?,
                Direction::Reverse => inner.prev()?,
            }
        }
        Ok(())
    }
}

/// Tombstones in a row, since the last value or the last gap that was passed.
struct Stretch<'e> {
    direction: Direction,
    count: u64,
    /// How many there were when it was last noted, and at which to do that next.
    noted: u64,
    note_at: u64,
    /// The edge from which on it is not yet noted, once it has begun, and room for the other.
    edges: &'e mut [Vec<u8>; 2],
    has_begun: bool,
    is_behind_gap: bool,
}

impl<'e> Stretch<'e> {
    fn new(edges: &'e mut [Vec<u8>; 2], direction: Direction) -> Self {
        Self {
            direction,
            count: 0,
            noted: 0,
            note_at: NOTED_MIN,
            edges,
            has_begun: false,
            is_behind_gap: false,
        }
    }

    fn unnoted(&self) -> u64 {
        self.count - self.noted
    }

    /// The near edge is this tombstone, unless there is one already.
    fn begin_at(&mut self, key: &[u8]) {
        if !self.has_begun {
            let [near, _] = &mut *self.edges;
            set_edge(near, key, self.direction == Direction::Reverse);
            self.has_begun = true;
        }
    }

    /// The near edge is the key that was sought: between that and the first tombstone is nothing.
    fn begin_at_sought(&mut self, key: &[u8]) {
        if key.len() < EDGE_BYTES_MAX {
            self.begin_at(key);
        }
    }

    /// Begins anew at the far edge of a gap.
    fn begin_behind(&mut self, edge: &[u8]) {
        (self.count, self.noted, self.note_at) = (0, 0, EXTENSION_MIN);
        let [near, _] = &mut *self.edges;
        set_edge(near, edge, false);
        (self.has_begun, self.is_behind_gap) = (true, true);
    }

    /// Tells of all from the near edge to `key`, a tombstone, which is the near edge of what follows.
    fn note(&mut self, key: &[u8], gaps: &mut impl KnownGaps) {
        if !self.has_begun {
            return;
        }
        let [near, far] = &mut *self.edges;
        set_edge(far, key, self.direction == Direction::Forward);
        let (start, end) = match self.direction {
            Direction::Forward => (&*near, &*far),
            Direction::Reverse => (&*far, &*near),
        };
        gaps.found(start, end, self.count - self.noted);
        std::mem::swap(near, far);
        self.noted = self.count;
        // The longer the stretch, the seldomer: others profit from what is noted already.
        self.note_at = self.count + NOTED_MIN.max(self.count / 8);
    }
}

/// Where a cursor that goes in `direction` comes out of the gap around `key`, if one is known.
fn far_edge<G: KnownGaps>(
    gaps: &G,
    direction: Direction,
    key: &[u8],
    is_tombstone: bool,
) -> Option<Bytes> {
    match direction {
        Direction::Forward => gaps.end_around(key, is_tombstone),
        // At its first key there is nothing of it left to pass.
        Direction::Reverse => gaps
            .start_around(key, is_tombstone)
            .filter(|start| start < key),
    }
}

/// Sets an edge to `key`, or to the next greater one there can be.
fn set_edge(edge: &mut Vec<u8>, key: &[u8], is_behind: bool) {
    edge.clear();
    edge.extend_from_slice(key);
    if is_behind {
        edge.push(0);
    }
}

impl<C: Cursor, G: KnownGaps> Cursor for LiveCursor<C, G> {
    type Error = C::Error;

    fn admits(&self, key: &[u8]) -> bool {
        self.inner.admits(key)
    }

    fn seek_first(&mut self) -> Result<(), C::Error> {
        self.inner.seek_first()?;
        self.settle(Direction::Forward, Origin::Here)
    }

    fn seek_last(&mut self) -> Result<(), C::Error> {
        self.inner.seek_last()?;
        self.settle(Direction::Reverse, Origin::Here)
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), C::Error> {
        self.seek_and_settle(Direction::Forward, key)
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), C::Error> {
        self.seek_and_settle(Direction::Reverse, key)
    }

    #[inline]
    fn next(&mut self) -> Result<(), C::Error> {
        self.inner.next()?;
        self.settle(Direction::Forward, Origin::Here)
    }

    #[inline]
    fn prev(&mut self) -> Result<(), C::Error> {
        self.inner.prev()?;
        self.settle(Direction::Reverse, Origin::Here)
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

#[cfg(test)]
mod tests;
