//! [`MemtableCursor`]: an owned, seekable view of one snapshot of a memtable.
//!
//! The guards of the lock-free front cannot leave their thread, so none outlives a call: a cursor
//! holds a *window*, a few neighbouring entries in ascending order, and steps inside it; only at
//! its edges it asks the memtable for the next window, by the key it stands on. It never blocks a
//! writer, and holds no more than one window of handles.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::memtable::Memtable;

/// Entries in the first window of a move forward: enough for a short scan, cheap for a lookup.
const WINDOW_FIRST_FORWARD: usize = 4;
/// Entries in the first window of a move backward, where each is a search of its own.
const WINDOW_FIRST_BACKWARD: usize = 1;
/// How much each following window is larger.
const WINDOW_GROWTH: usize = 2;
/// Entries in the largest window: the search for it is then a small part of its cost.
const WINDOW_MAX: usize = 64;

/// One entry of a window.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) key: Bytes,
    pub(crate) value: Option<Bytes>,
    pub(crate) seqno: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Forward,
    Backward,
}

impl Direction {
    fn window_first(self) -> usize {
        match self {
            Direction::Forward => WINDOW_FIRST_FORWARD,
            Direction::Backward => WINDOW_FIRST_BACKWARD,
        }
    }
}

/// A seekable cursor over one snapshot of a [`Memtable`], in both directions.
///
/// It shows each key once, in ascending order, with its newest version at or below the snapshot's
/// seqno, tombstones included. It is `Send` and `'static`: it keeps the memtable alive and holds no
/// lock and no borrow.
///
/// A new cursor is not positioned, nor is one that was moved past either end: then `key` and
/// `value` are `None`, and `next` and `prev` do nothing until the next seek.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use bytes::Bytes;
/// use lsm_memtable::Memtable;
///
/// let memtable = Arc::new(Memtable::new());
/// for (seqno, key) in [(1, "a"), (2, "c"), (3, "e")] {
///     memtable.insert(seqno, Bytes::from(key), Some(Bytes::from("x")));
/// }
/// let mut cursor = memtable.cursor(2);
/// cursor.seek(b"b");
/// assert_eq!((cursor.key(), cursor.seqno()), (Some(&b"c"[..]), 2));
/// cursor.next();
/// assert_eq!(cursor.key(), None, "seqno 3 is newer than the snapshot");
/// ```
pub struct MemtableCursor {
    memtable: Arc<Memtable>,
    seqno: u64,
    /// Neighbouring entries, ascending; empty if the cursor is not positioned.
    window: Vec<Slot>,
    index: usize,
    /// Entries to ask for when the window is left in `direction`.
    window_next: usize,
    direction: Direction,
}

impl MemtableCursor {
    pub(crate) fn new(memtable: Arc<Memtable>, seqno: u64) -> Self {
        Self {
            memtable,
            seqno,
            window: Vec::new(),
            index: 0,
            window_next: WINDOW_FIRST_FORWARD,
            direction: Direction::Forward,
        }
    }

    /// Moves to the smallest key.
    pub fn seek_first(&mut self) {
        self.restart();
        self.load_after(Bound::Unbounded);
    }

    /// Moves to the largest key.
    pub fn seek_last(&mut self) {
        self.restart();
        self.load_before(Bound::Unbounded);
    }

    /// Moves to the first key at or after `key`.
    pub fn seek(&mut self, key: &[u8]) {
        self.restart();
        self.load_after(Bound::Included(key));
    }

    /// Moves to the last key at or before `key`.
    pub fn seek_for_prev(&mut self, key: &[u8]) {
        self.restart();
        self.load_before(Bound::Included(key));
    }

    /// Moves to the next key, or past the end.
    #[inline]
    pub fn next(&mut self) {
        if self.index + 1 < self.window.len() {
            self.index += 1;
        } else if let Some(last) = self.window.pop() {
            self.load_after(Bound::Excluded(&last.key));
        }
    }

    /// Moves to the previous key, or past the start.
    #[inline]
    pub fn prev(&mut self) {
        if self.index > 0 {
            self.index -= 1;
        } else if !self.window.is_empty() {
            let first = self.window.swap_remove(0);
            self.load_before(Bound::Excluded(&first.key));
        }
    }

    /// The key at the cursor; `None` if it is not positioned.
    #[inline]
    pub fn key(&self) -> Option<&[u8]> {
        self.slot().map(|slot| &slot.key[..])
    }

    /// The value at the cursor; `None` for a tombstone, or if the cursor is not positioned.
    #[inline]
    pub fn value(&self) -> Option<&[u8]> {
        self.slot().and_then(|slot| slot.value.as_deref())
    }

    /// The seqno of the version at the cursor; 0 if it is not positioned.
    #[inline]
    pub fn seqno(&self) -> u64 {
        self.slot().map_or(0, |slot| slot.seqno)
    }

    /// The key at the cursor as a handle that shares the memtable's buffer; empty if the cursor is
    /// not positioned.
    pub fn key_bytes(&self) -> Bytes {
        self.slot().map_or_else(Bytes::new, |slot| slot.key.clone())
    }

    /// The value at the cursor as a handle that shares the memtable's buffer; `None` for a
    /// tombstone, or if the cursor is not positioned.
    pub fn value_bytes(&self) -> Option<Bytes> {
        self.slot().and_then(|slot| slot.value.clone())
    }

    #[inline]
    fn slot(&self) -> Option<&Slot> {
        self.window.get(self.index)
    }

    /// Forgets how far earlier moves have grown the window.
    fn restart(&mut self) {
        self.window_next = self.direction.window_first();
    }

    fn load_after(&mut self, from: Bound<&[u8]>) {
        let count_max = self.grow(Direction::Forward);
        self.window.clear();
        self.index = 0;
        self.memtable
            .window_after(from, self.seqno, count_max, &mut self.window);
    }

    fn load_before(&mut self, to: Bound<&[u8]>) {
        let count_max = self.grow(Direction::Backward);
        self.window.clear();
        self.memtable
            .window_before(to, self.seqno, count_max, &mut self.window);
        self.index = self.window.len().saturating_sub(1);
    }

    /// The size of the window to load now. A change of direction starts small again, or a cursor
    /// that goes to and fro over an edge would load a large window at every move.
    fn grow(&mut self, direction: Direction) -> usize {
        if self.direction != direction {
            self.direction = direction;
            self.window_next = direction.window_first();
        }
        let count_max = self.window_next;
        self.window_next = (count_max * WINDOW_GROWTH).min(WINDOW_MAX);
        count_max
    }
}

impl fmt::Debug for MemtableCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemtableCursor")
            .field("seqno", &self.seqno)
            .field("key", &self.key())
            .field("memtable", &self.memtable)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
