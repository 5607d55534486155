//! What is remembered of gaps: ranges of keys in which nothing has a value.
//!
//! Where much was deleted, in a queue above all, a reader steps over tombstone after tombstone, and
//! the next one over the same again. So a reader that has stepped over many in a row notes their
//! range here, and those after it seek to its end. Called by the cursors of all ranges (through
//! [`ReaderGaps`]), by the commit leader before each publication, and by `stats`. Never reads an
//! entry, does no I/O, and is nothing that an answer depends on: forgetting is always right.
//!
//! Threads: any number of readers, who look at an immutable list of gaps and wait for nobody; the
//! commit leader; and readers that note a gap, one at a time with the leader, by a lock held for a
//! few hundred comparisons at most. A reader that finds it taken does not note.
//!
//! A read is of the state at some seqno between its [`Moment`]'s two: it is surely as new as
//! `complete_through`, and shows nothing newer than `seqno` (see
//! [`Publication::read_moment`](crate::publication::Publication::read_moment)).
//!
//! 1. A gap that was found at seqno s, and is in the list, says: in the state at s nothing in it had
//!    a value, and nothing published since has put a value into it. So it holds for the states at s
//!    and later, up to the latest seqno that whoever loads the list has seen published.
//! 2. A read uses only gaps that were found at its `complete_through` or before: then 1 covers the
//!    state that it shows, whichever that is. It loads the list after its `seqno`, so all puts up to
//!    that have gone through the list (3). A state does not change, so a gap that is lost afterwards
//!    was right for it all the same.
//! 3. The leader takes out of the list what it is about to put, *before* it publishes. Deletes leave
//!    gaps as they are.
//! 4. A gap is noted as found at the reader's `seqno`, and only if nothing may have been put into it
//!    after its `complete_through`: then what the reader saw is still so at `seqno`. What was put is
//!    told by the latest puts, which the leader notes under the same lock; what it has yet to put,
//!    it will take out by 3.
//! 5. As long as nobody cares (`watch` without [`WATCHED`]), the leader notes no puts and only leaves
//!    the seqno that it is going to publish in `watch`, in one step with reading whether anybody
//!    cares. The first who wants to note sets the bit in one step with reading that seqno: either
//!    the leader sees the bit and goes by 3 and 4, or the reader sees the seqno. Up to that the
//!    latest puts are not all known, and a read that may be older notes nothing.
//! 6. The list is empty whenever the bit is not set. Only the leader clears it, under the lock.

mod known;
#[cfg(test)]
mod models;
mod reader;
mod recent;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::publication::{Moment, ViewCell};
use crate::sync::{locked, try_locked};

pub(crate) use known::Known;
use known::{EDGE_BYTES_MAX, Gap, IDLE_WRITES};
pub(crate) use reader::ReaderGaps;
use recent::RecentPuts;

/// Set in `watch` while the leader has to look at what it puts. All below is a seqno.
const WATCHED: u64 = 1 << 63;

/// A seqno as `watch` holds it. Those beyond, which no store comes to, all look like the last: who
/// reads at one of them notes nothing.
fn watch_seqno(seqno: u64) -> u64 {
    seqno.min(WATCHED - 1)
}

/// The gaps of a store. `S` is what it is built on: leave it out.
pub(crate) struct Gaps<S: Shim = Production> {
    watch: S::Word,
    known: S::Cell,
    changes: S::Lock<Changes>,
    /// Tombstones that readers have stepped over.
    stepped_over: AtomicU64,
}

/// What is behind the lock.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    puts: RecentPuts,
    /// Of commits up to this seqno not all puts are in `puts`.
    unknown_through: u64,
    /// The seqno at which the bit was set, or the list was last looked through.
    looked_at: u64,
    /// That of the latest commit, as far as is known here.
    latest: u64,
}

/// What the gaps are built on, as a parameter, so that a model checker's primitives can stand in
/// and explore the code that runs in production.
pub(crate) trait Shim {
    type Word: Word;
    type Cell: ViewCell<Known>;
    type Lock<T>: StateLock<T>;
}

/// A number that the leader and readers change at once.
pub(crate) trait Word {
    fn new(value: u64) -> Self;
    fn load(&self, ordering: Ordering) -> u64;
    fn store(&self, value: u64, ordering: Ordering);
    fn fetch_max(&self, value: u64, ordering: Ordering) -> u64;
    fn fetch_or(&self, value: u64, ordering: Ordering) -> u64;
}

/// Lets one at a time at a value.
pub(crate) trait StateLock<T> {
    fn new(value: T) -> Self;
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
    /// As `with`, or `None` at once if somebody else is at it.
    fn try_with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R>;
}

impl<S: Shim> Gaps<S> {
    /// None are known.
    pub(crate) fn new() -> Self {
        Self {
            watch: S::Word::new(0),
            known: S::Cell::new(Known::default()),
            changes: S::Lock::new(Changes::default()),
            stepped_over: AtomicU64::new(0),
        }
    }

    /// How many are known now.
    pub(crate) fn len(&self) -> usize {
        self.known.load().len()
    }

    /// Bytes of memory that they take. Beside them are only the latest puts, in a few KiB.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.known.load().memory_bytes() as u64
    }

    /// Tombstones that readers have stepped over so far.
    pub(crate) fn stepped_over(&self) -> u64 {
        self.stepped_over.load(Ordering::Relaxed)
    }

    /// Takes out of the gaps what a commit puts. The leader calls it when all is in the memtables and
    /// before it publishes `seqno`, the commit's last.
    ///
    /// Costs one atomic operation, and never asks for the keys, as long as there are no gaps.
    pub(crate) fn before_publication<'k, P: Iterator<Item = &'k [u8]>>(
        &self,
        seqno: u64,
        puts: impl Fn() -> P,
    ) {
        let watch = self.watch.fetch_max(watch_seqno(seqno), Ordering::AcqRel);
        if watch & WATCHED != 0 {
            self.take_out(seqno, puts);
        }
    }

    /// Not inlined: the write path is to stay small while there are no gaps.
    #[inline(never)]
    fn take_out<'k, P: Iterator<Item = &'k [u8]>>(&self, seqno: u64, puts: impl Fn() -> P) {
        self.changes
            .with(|changes| self.take_out_of(changes, seqno, puts));
    }

    fn take_out_of<'k, P: Iterator<Item = &'k [u8]>>(
        &self,
        changes: &mut Changes,
        seqno: u64,
        puts: impl Fn() -> P,
    ) {
        changes.latest = seqno;
        let span = puts().fold(None, |span: Option<(&[u8], &[u8])>, key| {
            let (first, last) = span.unwrap_or((key, key));
            Some((first.min(key), last.max(key)))
        });
        let known = self.known.load();
        let mut next = None;
        if let Some((first, last)) = span {
            changes.puts.push(seqno, first, last);
            if known.meets(first, Some(last)) {
                let next = next.get_or_insert_with(|| Known::clone(&known));
                puts().for_each(|key| next.cut(key));
            }
        }
        if seqno.saturating_sub(changes.looked_at) >= IDLE_WRITES {
            changes.looked_at = seqno;
            let next = next.get_or_insert_with(|| Known::clone(&known));
            next.forget_idle(seqno);
            if next.is_empty() {
                self.known.swap(Arc::new(Known::default()));
                self.watch.store(watch_seqno(seqno), Ordering::Release);
                return;
            }
        }
        if let Some(next) = next {
            self.known.swap(Arc::new(next));
        }
    }

    /// Where a read of `moment` comes out that goes forward from `key`, if a gap holds that. A read that
    /// has met no tombstone there uses no gap: what it passes may have been compacted away long ago.
    pub(crate) fn end_around(
        &self,
        moment: Moment,
        key: &[u8],
        is_tombstone: bool,
    ) -> Option<Bytes> {
        if !self.is_watched() {
            return None;
        }
        let known = self.known.load();
        let end = known.end_around(key, moment.complete_through, is_tombstone);
        end.cloned()
    }

    /// The first key of a gap that holds `key`, for a read of `moment`.
    pub(crate) fn start_around(
        &self,
        moment: Moment,
        key: &[u8],
        is_tombstone: bool,
    ) -> Option<Bytes> {
        if !self.is_watched() {
            return None;
        }
        let known = self.known.load();
        let start = known.start_around(key, moment.complete_through, is_tombstone);
        start.cloned()
    }

    #[inline]
    fn is_watched(&self) -> bool {
        self.watch.load(Ordering::Relaxed) & WATCHED != 0
    }

    /// A read of `moment` found no value from `start` up to `end`, and stepped over so many
    /// tombstones to see that.
    pub(crate) fn note(&self, moment: Moment, start: &[u8], end: &[u8], tombstones: u64) {
        if start.len().max(end.len()) > EDGE_BYTES_MAX || start >= end {
            return;
        }
        let since = moment.complete_through;
        self.changes.try_with(|changes| {
            let watch = self.watch.load(Ordering::Relaxed);
            if watch & WATCHED == 0 {
                // Who is far behind would note nothing for long, and have writers pay for it.
                if watch.saturating_sub(since) > IDLE_WRITES {
                    return;
                }
                let publishing = self.watch.fetch_or(WATCHED, Ordering::AcqRel);
                changes.puts.clear();
                changes.unknown_through = publishing;
                changes.latest = publishing.max(moment.seqno);
                changes.looked_at = changes.latest;
            }
            if watch_seqno(since) < changes.unknown_through
                || since >= WATCHED - 1
                || changes.puts.may_have_put(since, start, end)
            {
                return;
            }
            let bytes = Bytes::copy_from_slice;
            let now = changes.latest.max(moment.seqno);
            let gap = Gap::new(bytes(start), bytes(end), moment.seqno, tombstones, now);
            let mut next = Known::clone(&self.known.load());
            if next.add(gap, now) {
                self.known.swap(Arc::new(next));
            }
        });
    }
}

impl<S: Shim> fmt::Debug for Gaps<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gaps")
            .field("known", &self.len())
            .field("stepped_over", &self.stepped_over())
            .finish_non_exhaustive()
    }
}

/// An atomic, a wait-free cell and a mutex.
#[derive(Debug)]
pub(crate) struct Production;

impl Shim for Production {
    type Word = AtomicU64;
    type Cell = ArcSwap<Known>;
    type Lock<T> = Mutex<T>;
}

impl Word for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    #[inline]
    fn load(&self, ordering: Ordering) -> u64 {
        Self::load(self, ordering)
    }

    fn store(&self, value: u64, ordering: Ordering) {
        Self::store(self, value, ordering);
    }

    #[inline]
    fn fetch_max(&self, value: u64, ordering: Ordering) -> u64 {
        Self::fetch_max(self, value, ordering)
    }

    fn fetch_or(&self, value: u64, ordering: Ordering) -> u64 {
        Self::fetch_or(self, value, ordering)
    }
}

impl<T> StateLock<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut locked(self))
    }

    fn try_with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        try_locked(self).map(|mut value| work(&mut value))
    }
}
