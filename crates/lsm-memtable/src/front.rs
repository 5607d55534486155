//! The front: a lock-free skiplist that takes the writes, and the landmarks that make it walkable
//! backwards.
//!
//! Called by the memtable only. It knows no published seqno and merges nothing.
//!
//! Stepping forward in the skiplist follows one pointer; stepping backward is a search from the
//! head, ten times as slow or worse. So one inserted key in [`LANDMARK_EVERY`], drawn at random
//! whatever the keys look like, is also put into a second, small skiplist. To walk backwards from a
//! key is then to find the landmark before it and to step forward from there.
//!
//! Threads: one inserts, any number read; there is no lock. Invariants:
//!
//! 1. A guard lives within one call; what leaves a call are cloned handles.
//! 2. A node never changes, and is unlinked only by the insert of an equal (key, seqno), at which no
//!    reader is yet. So every search finds what is published, and a reader that stands on an
//!    unlinked node (newer than its snapshot) goes on by key.
//! 3. Landmarks are hints: a missing one costs time and changes no answer.

use std::cell::Cell;
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam_epoch::{self as epoch, Guard};
use crossbeam_skiplist::SkipList;
use crossbeam_skiplist::base::Entry;

use crate::front_cursor::Slot;
use crate::key::{EntryKey, KeyView, Probe};
use crate::memtable::Found;

/// One inserted key in this many becomes a landmark; a power of two.
const LANDMARK_EVERY: u64 = 32;
/// A backward window keeps the last entries it met, at least half of this many.
const BACKWARD_KEPT_MAX: usize = 256;
/// Steps past the versions of one key before the rest is skipped by a search, which costs about as
/// much as these.
const VERSION_STEPS_MAX: usize = 8;
/// Inserts under one pin, so that a large batch does not hold back other threads' garbage.
const INSERTS_PER_PIN: usize = 64;

type Node<'l, 'g> = Entry<'l, 'g, EntryKey, Option<Bytes>>;

/// The skiplist that takes the writes, with its landmarks.
pub(crate) struct Front {
    list: SkipList<EntryKey, Option<Bytes>>,
    landmarks: SkipList<EntryKey, ()>,
    /// State of the generator that picks landmarks; written by the inserting thread only.
    draw: AtomicU64,
}

impl Front {
    pub(crate) fn new() -> Self {
        // The default collector, because pinning it is a thread-local operation; a collector of our
        // own would need a registered handle per thread and memtable.
        let collector = epoch::default_collector();
        Self {
            list: SkipList::new(collector.clone()),
            landmarks: SkipList::new(collector.clone()),
            draw: AtomicU64::new(0x9E37_79B9_7F4A_7C15),
        }
    }

    /// Inserts `entries` in order; returns how many did not replace an equal (key, seqno).
    pub(crate) fn insert_all(
        &self,
        seqno: u64,
        entries: impl Iterator<Item = (Bytes, Option<Bytes>)>,
    ) -> u64 {
        let mut guard = epoch::pin();
        let mut added = 0;
        for (index, (key, value)) in entries.enumerate() {
            if index % INSERTS_PER_PIN == INSERTS_PER_PIN - 1 {
                guard.repin();
            }
            let key = EntryKey::new(key, seqno);
            let landmark = self.draws_landmark().then(|| key.landmark());
            if self.insert(key, value, &guard) {
                added += 1;
            }
            // After the entry, though either order would do (invariant 3).
            if let Some(landmark) = landmark {
                self.landmarks
                    .get_or_insert(landmark, (), &guard)
                    .release(&guard);
            }
        }
        added
    }

    /// Returns whether the entry is new, and not a replacement.
    fn insert(&self, key: EntryKey, value: Option<Bytes>, guard: &Guard) -> bool {
        let replaced = Cell::new(false);
        let replace = |_: &Option<Bytes>| {
            replaced.set(true);
            true
        };
        self.list
            .compare_insert(key, value, replace, guard)
            .release(guard);
        if replaced.get() {
            // The old node holds a buffer; left in this thread's bag it could do so for ever.
            guard.flush();
        }
        !replaced.get()
    }

    /// Shows `visit` every version of every key, in order.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&EntryKey, &Option<Bytes>)) {
        let guard = &epoch::pin();
        for node in self.list.iter(guard) {
            visit(node.key(), node.value());
        }
    }

    fn draws_landmark(&self) -> bool {
        // Marsaglia's xorshift64. One thread inserts at a time, so load and store suffice; if two
        // did, they would draw the same number.
        let mut draw = self.draw.load(Ordering::Relaxed);
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        self.draw.store(draw, Ordering::Relaxed);
        draw.is_multiple_of(LANDMARK_EVERY)
    }

    /// The newest version of `key` at or below `seqno`: the first entry at or behind (key, seqno).
    pub(crate) fn get(&self, key: &[u8], seqno: u64) -> Option<Found> {
        let guard = &epoch::pin();
        let probe = Probe::new(key, seqno);
        let node = self.first_from(Bound::Included(probe), guard)?;
        probe.cmp_user_key(node.key()).is_eq().then(|| Found {
            seqno: node.key().seqno(),
            value: node.value().clone(),
        })
    }

    /// Appends to `into`, ascending, the first visible entries at or behind `from`.
    ///
    /// At least one if there is any, and no more than about `count_max`.
    pub(crate) fn window_after(
        &self,
        from: Bound<&[u8]>,
        seqno: u64,
        count_max: usize,
        into: &mut Vec<Slot>,
    ) {
        let guard = &epoch::pin();
        // Seeking to (key, seqno) passes the versions newer than the snapshot, and (key, 0) is the
        // last place that a version of the key can have.
        let from = match from {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(key) => Bound::Included(Probe::new(key, seqno)),
            Bound::Excluded(key) => Bound::Excluded(Probe::new(key, 0)),
        };
        let count_end = into.len() + count_max;
        self.walk(from, seqno, guard, |node, visible| {
            if visible {
                into.push(slot(node));
            }
            if into.len() < count_end {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
    }

    /// Appends to `into`, ascending, the last visible entries at or before `to`.
    ///
    /// At least one if there is any; just one if `count_max` is one.
    pub(crate) fn window_before(
        &self,
        to: Bound<&[u8]>,
        seqno: u64,
        count_max: usize,
        into: &mut Vec<Slot>,
    ) {
        let guard = &epoch::pin();
        let to = match to {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(key) => Bound::Included(Probe::new(key, 0)),
            Bound::Excluded(key) => Bound::Excluded(Probe::new(key, u64::MAX)),
        };
        if count_max == 1 {
            let Some(oldest) = self.last_to(to, guard) else {
                return;
            };
            if oldest.key().seqno() <= seqno {
                into.push(slot(&self.newest_visible(oldest, seqno, guard)));
                return;
            }
        }
        self.walk_up_to(to, seqno, guard, into);
    }

    /// Given the oldest version of a key, visible at `seqno`, finds the newest visible one.
    fn newest_visible<'l: 'g, 'g>(
        &'l self,
        oldest: Node<'l, 'g>,
        seqno: u64,
        guard: &'g Guard,
    ) -> Node<'l, 'g> {
        let from = Bound::Included(oldest.key().probe(seqno));
        match self.first_from(from, guard) {
            Some(node) if node.key().same_user_key(oldest.key()) => node,
            // Only where a read at an unpublished seqno, against invariant 2, meets a replacement.
            _ => oldest,
        }
    }

    /// Collects what is visible between the nearest landmark before `to` and `to`; if that is
    /// nothing, from the landmark before it, and so on.
    fn walk_up_to<'l: 'g, 'g>(
        &'l self,
        mut to: Bound<Probe<'g>>,
        seqno: u64,
        guard: &'g Guard,
        into: &mut Vec<Slot>,
    ) {
        loop {
            let landmark = self.landmarks.upper_bound(view(&to), guard);
            let from = match &landmark {
                Some(landmark) => Bound::Included(landmark.key().probe(u64::MAX)),
                None => Bound::Unbounded,
            };
            self.walk(from, seqno, guard, |node, visible| {
                if is_behind(node.key(), &to) {
                    return ControlFlow::Break(());
                }
                if visible {
                    if into.len() == BACKWARD_KEPT_MAX {
                        into.drain(..BACKWARD_KEPT_MAX / 2);
                    }
                    into.push(slot(node));
                }
                ControlFlow::Continue(())
            });
            match landmark {
                Some(landmark) if into.is_empty() => {
                    to = Bound::Excluded(landmark.key().probe(u64::MAX));
                }
                _ => return,
            }
        }
    }

    /// Shows `visit` the entries from `from` on, ascending, with whether each is the newest version
    /// at or below `seqno` of its key, until it breaks. Most entries that are not are left out.
    fn walk<'l: 'g, 'g>(
        &'l self,
        from: Bound<Probe<'_>>,
        seqno: u64,
        guard: &'g Guard,
        mut visit: impl FnMut(&Node<'l, 'g>, bool) -> ControlFlow<()>,
    ) {
        let mut at = self.first_from(from, guard);
        while let Some(node) = at {
            let visible = node.key().seqno() <= seqno;
            if visit(&node, visible).is_break() {
                return;
            }
            at = self.pass_versions(&node, (!visible).then_some(seqno), guard);
        }
    }

    /// The first entry behind `node` that is of another key, or is a version of the same key at or
    /// below `seqno`. However many versions lie between, it takes a few steps and a search at most.
    fn pass_versions<'l: 'g, 'g>(
        &'l self,
        node: &Node<'l, 'g>,
        seqno: Option<u64>,
        guard: &'g Guard,
    ) -> Option<Node<'l, 'g>> {
        let mut at = node.clone();
        for _ in 0..VERSION_STEPS_MAX {
            at = at.next()?;
            let found = seqno.is_some_and(|seqno| at.key().seqno() <= seqno);
            if found || !at.key().same_user_key(node.key()) {
                return Some(at);
            }
        }
        self.first_from(
            match seqno {
                Some(seqno) => Bound::Included(node.key().probe(seqno)),
                None => Bound::Excluded(node.key().probe(0)),
            },
            guard,
        )
    }

    fn first_from<'l: 'g, 'g>(
        &'l self,
        from: Bound<Probe<'_>>,
        guard: &'g Guard,
    ) -> Option<Node<'l, 'g>> {
        self.list.lower_bound(view(&from), guard)
    }

    fn last_to<'l: 'g, 'g>(
        &'l self,
        to: Bound<Probe<'_>>,
        guard: &'g Guard,
    ) -> Option<Node<'l, 'g>> {
        self.list.upper_bound(view(&to), guard)
    }
}

fn view<'p>(bound: &'p Bound<Probe<'p>>) -> Bound<&'p (dyn KeyView + 'p)> {
    bound.as_ref().map(|probe| probe as &dyn KeyView)
}

/// Whether `key` lies behind the upper bound `to`.
fn is_behind(key: &EntryKey, to: &Bound<Probe<'_>>) -> bool {
    let key: &dyn KeyView = key;
    match view(to) {
        Bound::Unbounded => false,
        Bound::Included(to) => key > to,
        Bound::Excluded(to) => key >= to,
    }
}

/// What may outlive the guard (invariant 1).
fn slot(node: &Node<'_, '_>) -> Slot {
    Slot {
        key: node.key().user_key().clone(),
        value: node.value().clone(),
        seqno: node.key().seqno(),
    }
}

#[cfg(test)]
mod tests;
