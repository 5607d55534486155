//! [`MemtableCursor`]: an owned, seekable view of one snapshot of a memtable.
//!
//! A merge of one cursor for each front and each array, which there are few of: the smallest
//! key is found by comparing all. It keeps the parts that the memtable had at the latest seek, so what
//! the memtable turns them into meanwhile is no concern of it. It never blocks a writer.
//!
//! 1. While it goes forward every part that is not the current one stands at the first visible key
//!    that is not below the current key, or at none; backward, at the last that is not above it.
//! 2. Of the parts that stand at the current key the current one is the newest.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::array_cursor::ArrayCursor;
use crate::front_cursor::FrontCursor;
use crate::key::{cmp_same_head, key_head};
use crate::parts::Parts;
use crate::shared::Shared;

/// A seekable cursor over one snapshot of a [`Memtable`](crate::Memtable), in both directions.
///
/// It shows each key once, in ascending order, with its newest version at or below the snapshot's
/// seqno, tombstones included. It is `Send` and `'static`: it keeps what it reads alive and holds no
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
    seqno: u64,
    shared: Arc<Shared>,
    /// What `parts` are cursors of.
    walked: Arc<Parts>,
    /// Newest first.
    parts: Vec<PartCursor>,
    current: Option<usize>,
    direction: Direction,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

impl MemtableCursor {
    pub(crate) fn new(shared: Arc<Shared>, seqno: u64) -> Self {
        let walked = Arc::clone(&shared.parts());
        Self {
            seqno,
            shared,
            parts: part_cursors(&walked, seqno),
            walked,
            current: None,
            direction: Direction::Forward,
        }
    }

    /// Moves to the smallest key.
    pub fn seek_first(&mut self) {
        self.place(Direction::Forward, &[], PartCursor::seek_first);
    }

    /// Moves to the largest key.
    pub fn seek_last(&mut self) {
        self.place(Direction::Backward, &[], PartCursor::seek_last);
    }

    /// Moves to the first key at or after `key`.
    pub fn seek(&mut self, key: &[u8]) {
        self.place(Direction::Forward, key, |part| part.seek(key));
    }

    /// Moves to the last key at or before `key`.
    pub fn seek_for_prev(&mut self, key: &[u8]) {
        self.place(Direction::Backward, key, |part| part.seek_for_prev(key));
    }

    /// Moves to the next key, or past the end.
    #[inline]
    pub fn next(&mut self) {
        self.step(Direction::Forward);
    }

    /// Moves to the previous key, or past the start.
    #[inline]
    pub fn prev(&mut self) {
        self.step(Direction::Backward);
    }

    /// The key at the cursor; `None` if it is not positioned.
    #[inline]
    pub fn key(&self) -> Option<&[u8]> {
        self.current()?.key()
    }

    /// The value at the cursor; `None` for a tombstone, or if the cursor is not positioned.
    #[inline]
    pub fn value(&self) -> Option<&[u8]> {
        match &self.current()?.cursor {
            Cursor::Front(front) => front.slot()?.value.as_deref(),
            Cursor::Array(array) => array.place().and_then(|(array, at)| array.value(at)),
        }
    }

    /// The seqno of the version at the cursor; 0 if it is not positioned.
    #[inline]
    pub fn seqno(&self) -> u64 {
        match self.current().map(|part| &part.cursor) {
            Some(Cursor::Front(front)) => front.slot().map_or(0, |slot| slot.seqno),
            Some(Cursor::Array(array)) => array.place().map_or(0, |(array, at)| array.seqno(at)),
            None => 0,
        }
    }

    /// The key at the cursor as a handle, which shares a buffer of about its own size or of what was
    /// inserted; empty if the cursor is not positioned.
    pub fn key_bytes(&self) -> Bytes {
        let key = self.current().and_then(|part| match &part.cursor {
            Cursor::Front(front) => front.slot().map(|slot| slot.key.clone()),
            Cursor::Array(array) => array.place().map(|(array, at)| array.key_handle(at)),
        });
        key.unwrap_or_default()
    }

    /// The value at the cursor as a handle, as [`key_bytes`](Self::key_bytes) has it; `None` for a
    /// tombstone, or if the cursor is not positioned.
    pub fn value_bytes(&self) -> Option<Bytes> {
        match &self.current()?.cursor {
            Cursor::Front(front) => front.slot()?.value.clone(),
            Cursor::Array(array) => array.place().and_then(|(array, at)| array.value_handle(at)),
        }
    }

    #[cfg(test)]
    pub(crate) fn part_count(&self) -> usize {
        self.parts.len()
    }

    #[inline]
    fn current(&self) -> Option<&PartCursor> {
        self.parts.get(self.current?)
    }

    fn place(&mut self, direction: Direction, key: &[u8], mut seek: impl FnMut(&mut PartCursor)) {
        self.renew();
        // The fronts and one array are searched in any case.
        let in_vain = self
            .parts
            .len()
            .saturating_sub(self.walked.sealed.len() + 2);
        self.shared.searched(in_vain, key, self.seqno);
        self.direction = direction;
        for part in &mut self.parts {
            seek(part);
            part.note_head();
        }
        self.choose();
    }

    /// Goes on with the parts that the memtable has now, which answer as those did that it had, if they are
    /// fewer, or have fewer sealed fronts, and don't have many entries that are too new for it.
    #[inline]
    fn renew(&mut self) {
        let now = self.shared.parts();
        if !Arc::ptr_eq(&now, &self.walked) && is_better(&now, &self.walked, self.seqno) {
            self.walked = Arc::clone(&now);
            self.parts = part_cursors(&self.walked, self.seqno);
        }
    }

    #[inline]
    fn step(&mut self, direction: Direction) {
        let Some(current) = self.current else {
            return;
        };
        if self.direction != direction {
            self.turn(direction, current);
        }
        // The older parts that stand at the current key are hidden by it, and go on with it. A newer
        // one that had the key would be the current part (2).
        let (newer, older) = self.parts.split_at_mut(current + 1);
        let Some(current) = newer.last_mut() else {
            return;
        };
        for part in older {
            if part.head == current.head && part.key() == current.key() {
                part.step(direction);
            }
        }
        current.step(direction);
        self.choose();
    }

    /// Places all parts but the current one for the other direction.
    #[cold]
    fn turn(&mut self, direction: Direction, current: usize) {
        self.direction = direction;
        let key = self.key_bytes();
        for (at, part) in self.parts.iter_mut().enumerate() {
            if at == current {
                continue;
            }
            match direction {
                Direction::Forward => part.seek(&key),
                Direction::Backward => part.seek_for_prev(&key),
            }
            part.note_head();
        }
    }

    fn choose(&mut self) {
        let mut best: Option<(usize, &PartCursor)> = None;
        for (at, part) in self.parts.iter().enumerate() {
            if !part.is_positioned {
                continue;
            }
            // Of equal keys the first, which is the newest.
            let is_better = best.is_none_or(|(_, other)| match self.direction {
                Direction::Forward => part.cmp_key(other) == Ordering::Less,
                Direction::Backward => part.cmp_key(other) == Ordering::Greater,
            });
            if is_better {
                best = Some((at, part));
            }
        }
        self.current = best.map(|(at, _)| at);
    }
}

/// Whether a cursor at `seqno` is better off with the parts `now` than with those before.
#[cold]
fn is_better(now: &Parts, before: &Parts, seqno: u64) -> bool {
    let sizes = |parts: &Parts| {
        let sealed = parts.sealed.iter().map(|sealed| sealed.tally.entries);
        let arrays = parts.visible_arrays(seqno);
        let entries = sealed.chain(arrays.map(|array| array.len() as u64));
        let (count, sum) = entries.fold((0, 0), |(count, sum), entries| (count + 1, sum + entries));
        ((count, parts.sealed.len()), sum)
    };
    let (parts, entries) = sizes(now);
    let (parts_before, entries_before) = sizes(before);
    parts < parts_before && entries / 2 <= entries_before
}

fn part_cursors(parts: &Parts, seqno: u64) -> Vec<PartCursor> {
    let sealed = parts.sealed.iter().map(|sealed| &sealed.front);
    let fronts = std::iter::once(&parts.front).chain(sealed);
    let fronts = fronts.map(|front| Cursor::Front(FrontCursor::new(Arc::clone(front), seqno)));
    let arrays = parts.visible_arrays(seqno);
    let arrays = arrays.map(|array| Cursor::Array(ArrayCursor::new(Arc::clone(array), seqno)));
    fronts.chain(arrays).map(PartCursor::new).collect()
}

/// A cursor over one part, with the head of the key it stands at.
struct PartCursor {
    cursor: Cursor,
    is_positioned: bool,
    head: u64,
}

enum Cursor {
    Front(FrontCursor),
    Array(ArrayCursor),
}

impl PartCursor {
    fn new(cursor: Cursor) -> Self {
        Self {
            cursor,
            is_positioned: false,
            head: 0,
        }
    }

    fn seek_first(&mut self) {
        match &mut self.cursor {
            Cursor::Front(front) => front.seek_first(),
            Cursor::Array(array) => array.seek_first(),
        }
    }

    fn seek_last(&mut self) {
        match &mut self.cursor {
            Cursor::Front(front) => front.seek_last(),
            Cursor::Array(array) => array.seek_last(),
        }
    }

    fn seek(&mut self, key: &[u8]) {
        match &mut self.cursor {
            Cursor::Front(front) => front.seek(key),
            Cursor::Array(array) => array.seek(key),
        }
    }

    fn seek_for_prev(&mut self, key: &[u8]) {
        match &mut self.cursor {
            Cursor::Front(front) => front.seek_for_prev(key),
            Cursor::Array(array) => array.seek_for_prev(key),
        }
    }

    #[inline]
    fn step(&mut self, direction: Direction) {
        match (&mut self.cursor, direction) {
            (Cursor::Front(front), Direction::Forward) => front.next(),
            (Cursor::Front(front), Direction::Backward) => front.prev(),
            (Cursor::Array(array), Direction::Forward) => array.next(),
            (Cursor::Array(array), Direction::Backward) => array.prev(),
        }
        self.note_head();
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        match &self.cursor {
            Cursor::Front(front) => front.slot().map(|slot| &slot.key[..]),
            Cursor::Array(array) => array.place().map(|(array, at)| array.key(at)),
        }
    }

    #[inline]
    fn note_head(&mut self) {
        let head = match &self.cursor {
            Cursor::Front(front) => front.slot().map(|slot| key_head(&slot.key)),
            Cursor::Array(array) => array.place().map(|(array, at)| array.head(at)),
        };
        self.is_positioned = head.is_some();
        self.head = head.unwrap_or_default();
    }

    /// Compares the keys at which both stand.
    #[inline]
    fn cmp_key(&self, other: &Self) -> Ordering {
        self.head.cmp(&other.head).then_with(|| {
            let (key, other) = (self.key(), other.key());
            cmp_same_head(key.unwrap_or_default(), other.unwrap_or_default())
        })
    }
}

impl fmt::Debug for MemtableCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemtableCursor")
            .field("seqno", &self.seqno)
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
