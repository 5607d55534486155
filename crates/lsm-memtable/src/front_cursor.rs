//! A cursor over the front, at one seqno.
//!
//! Used by [`MemtableCursor`](crate::MemtableCursor) alone, which merges it with the arrays'. The
//! guards of the lock-free front cannot leave their thread, so none outlives a call: a cursor
//! holds a *window*, a few neighbouring entries in ascending order, and steps inside it; only at
//! its edges it asks the front for the next window, by the key it stands on. It never blocks a
//! writer, and holds no more than one window of handles.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::parts::HeldFront;

/// Entries in the first window after a seek or a turn: of what a short scan reads the front, which is
/// small, has next to nothing.
const WINDOW_FIRST: usize = 1;
/// How much each following window is larger.
const WINDOW_GROWTH: usize = 4;
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

/// A seekable cursor over one snapshot of a front, in both directions.
pub(crate) struct FrontCursor {
    front: Arc<HeldFront>,
    seqno: u64,
    /// Neighbouring entries, ascending; empty if the cursor is not positioned.
    window: Vec<Slot>,
    index: usize,
    /// Entries to ask for when the window is left in `direction`.
    window_next: usize,
    direction: Direction,
}

impl FrontCursor {
    pub(crate) fn new(front: Arc<HeldFront>, seqno: u64) -> Self {
        Self {
            front,
            seqno,
            window: Vec::new(),
            index: 0,
            window_next: WINDOW_FIRST,
            direction: Direction::Forward,
        }
    }

    /// Moves to the smallest key.
    pub(crate) fn seek_first(&mut self) {
        self.restart();
        self.load_after(Bound::Unbounded);
    }

    /// Moves to the largest key.
    pub(crate) fn seek_last(&mut self) {
        self.restart();
        self.load_before(Bound::Unbounded);
    }

    /// Moves to the first key at or after `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) {
        self.restart();
        self.load_after(Bound::Included(key));
    }

    /// Moves to the last key at or before `key`.
    pub(crate) fn seek_for_prev(&mut self, key: &[u8]) {
        self.restart();
        self.load_before(Bound::Included(key));
    }

    /// Moves to the next key, or past the end.
    #[inline]
    pub(crate) fn next(&mut self) {
        if self.index + 1 < self.window.len() {
            self.index += 1;
        } else if let Some(last) = self.window.pop() {
            self.load_after(Bound::Excluded(&last.key));
        }
    }

    /// Moves to the previous key, or past the start.
    #[inline]
    pub(crate) fn prev(&mut self) {
        if self.index > 0 {
            self.index -= 1;
        } else if !self.window.is_empty() {
            let first = self.window.swap_remove(0);
            self.load_before(Bound::Excluded(&first.key));
        }
    }

    /// The entry at the cursor; `None` if it is not positioned.
    #[inline]
    pub(crate) fn slot(&self) -> Option<&Slot> {
        self.window.get(self.index)
    }

    /// Forgets how far earlier moves have grown the window.
    fn restart(&mut self) {
        self.window_next = WINDOW_FIRST;
    }

    fn load_after(&mut self, from: Bound<&[u8]>) {
        let count_max = self.grow(Direction::Forward);
        self.window.clear();
        self.index = 0;
        self.front
            .window_after(from, self.seqno, count_max, &mut self.window);
    }

    fn load_before(&mut self, to: Bound<&[u8]>) {
        let count_max = self.grow(Direction::Backward);
        self.window.clear();
        self.front
            .window_before(to, self.seqno, count_max, &mut self.window);
        self.index = self.window.len().saturating_sub(1);
    }

    /// The size of the window to load now. A change of direction starts small again, or a cursor
    /// that goes to and fro over an edge would load a large window at every move.
    fn grow(&mut self, direction: Direction) -> usize {
        if self.direction != direction {
            self.direction = direction;
            self.window_next = WINDOW_FIRST;
        }
        let count_max = self.window_next;
        self.window_next = (count_max * WINDOW_GROWTH).min(WINDOW_MAX);
        count_max
    }
}

#[cfg(test)]
mod tests;
