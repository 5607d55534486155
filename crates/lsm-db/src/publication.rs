//! What readers start from: the current view and the last seqno that they may see.
//!
//! Called by the engine: every read begins here, commits publish here, and seals, flushes and
//! compactions change the view here. Never looks into a view, and does no I/O.
//!
//! Threads: any number of readers, who never wait; one publisher of seqnos at a time (the commit
//! leader); any number of changers, one at a time by a lock that is held for the change alone.
//!
//! What its callers owe, and what readers get for it:
//!
//! 1. A batch is in the memtables of the current view before its seqno is published: a seqno is
//!    never seen without its data, nor half a batch.
//! 2. A view with a new memtable is published before any of that memtable's seqnos, and the
//!    memtable before it gets no writes after that: a view that is older than the seqno it is read
//!    at is still a complete prefix.
//! 3. What enters a view without seqnos (a run) holds published batches only, and a read takes its
//!    view before its seqno: nothing in it is newer than the seqno.
//! 4. By 1 and 2, a view that was taken after a seqno was seen published has all up to that seqno,
//!    in memtables or runs: what such a read shows is at least as new.

#[cfg(test)]
pub(crate) mod models;

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Guard};

use crate::sync::locked;

/// The current view and the visible seqno. `S` is what it is built on: leave it out.
pub(crate) struct Publication<V, S: Shim = Production> {
    view: S::Cell<V>,
    visible: S::Seqno,
    change: S::Lock,
}

/// What a read shows: the state at some seqno between these two, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// All up to this seqno is there.
    pub(crate) complete_through: u64,
    /// The seqno to read at: nothing later is there.
    pub(crate) seqno: u64,
}

/// What a publication is built on, as a parameter, so that a model checker's primitives can stand
/// in and explore the code that runs in production.
pub(crate) trait Shim {
    type Cell<V>: ViewCell<V>;
    type Seqno: SeqnoCell;
    type Lock: ChangeLock;
}

/// Holds one view; loading acquires what the store of that view released.
pub(crate) trait ViewCell<V> {
    /// A view as long as it is looked at.
    type Loaded: Deref<Target = Arc<V>>;

    fn new(view: V) -> Self;
    fn load(&self) -> Self::Loaded;
    fn into_owned(loaded: Self::Loaded) -> Arc<V>;
    fn swap(&self, view: Arc<V>) -> Arc<V>;
}

/// A seqno that many read and one raises.
pub(crate) trait SeqnoCell {
    fn new(seqno: u64) -> Self;
    fn load(&self, ordering: Ordering) -> u64;
    fn store(&self, seqno: u64, ordering: Ordering);
}

/// Lets one caller in at a time.
pub(crate) trait ChangeLock: Default {
    fn with<R>(&self, work: impl FnOnce() -> R) -> R;
}

impl<V, S: Shim> Publication<V, S> {
    pub(crate) fn new(view: V, visible: u64) -> Self {
        Self {
            view: S::Cell::new(view),
            visible: S::Seqno::new(visible),
            change: S::Lock::default(),
        }
    }

    /// The view of this moment and the seqno to read it at, taken in this order. Cheap: for a read
    /// that ends within the call.
    #[inline]
    pub(crate) fn read(&self) -> (Loaded<V, S>, u64) {
        let view = self.view.load();
        (view, self.visible.load(Ordering::Acquire))
    }

    /// As [`read`](Self::read), and how new what is read surely is.
    #[inline]
    pub(crate) fn read_moment(&self) -> (Loaded<V, S>, Moment) {
        let complete_through = self.visible.load(Ordering::Acquire);
        let (view, seqno) = self.read();
        let moment = Moment {
            complete_through,
            seqno,
        };
        (view, moment)
    }

    /// As [`read_moment`](Self::read_moment), to be kept.
    pub(crate) fn read_owned(&self) -> (Arc<V>, Moment) {
        let (view, moment) = self.read_moment();
        (S::Cell::into_owned(view), moment)
    }

    /// The view of this moment, for those who don't read entries.
    #[inline]
    pub(crate) fn view(&self) -> Loaded<V, S> {
        self.view.load()
    }

    /// Lets readers see all up to `seqno`, which is in the view's memtables.
    pub(crate) fn publish(&self, seqno: u64) {
        self.visible.store(seqno, Ordering::Release);
    }

    /// Replaces the view by a changed copy, and returns the old one: what only that still held may
    /// be large, and the caller says who frees it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut V)) -> Arc<V>
    where
        V: Clone,
    {
        self.change.with(|| {
            let mut view = V::clone(&self.view.load());
            change(&mut view);
            self.view.swap(Arc::new(view))
        })
    }
}

/// A view that was loaded from a publication.
pub(crate) type Loaded<V, S = Production> = <<S as Shim>::Cell<V> as ViewCell<V>>::Loaded;

impl<V: fmt::Debug, S: Shim> fmt::Debug for Publication<V, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (view, seqno) = self.read();
        formatter
            .debug_struct("Publication")
            .field("view", &**view)
            .field("visible", &seqno)
            .finish_non_exhaustive()
    }
}

/// A wait-free cell, an atomic and a mutex.
#[derive(Debug)]
pub(crate) struct Production;

impl Shim for Production {
    type Cell<V> = ArcSwap<V>;
    type Seqno = AtomicU64;
    type Lock = Mutex<()>;
}

impl<V> ViewCell<V> for ArcSwap<V> {
    type Loaded = Guard<Arc<V>>;

    fn new(view: V) -> Self {
        Self::from_pointee(view)
    }

    #[inline]
    fn load(&self) -> Guard<Arc<V>> {
        // Without a reference count, as long as the thread looks at few views at once.
        Self::load(self)
    }

    fn into_owned(loaded: Guard<Arc<V>>) -> Arc<V> {
        Guard::into_inner(loaded)
    }

    fn swap(&self, view: Arc<V>) -> Arc<V> {
        Self::swap(self, view)
    }
}

impl SeqnoCell for AtomicU64 {
    fn new(seqno: u64) -> Self {
        Self::new(seqno)
    }

    #[inline]
    fn load(&self, ordering: Ordering) -> u64 {
        Self::load(self, ordering)
    }

    #[inline]
    fn store(&self, seqno: u64, ordering: Ordering) {
        Self::store(self, seqno, ordering);
    }
}

impl ChangeLock for Mutex<()> {
    fn with<R>(&self, work: impl FnOnce() -> R) -> R {
        let _one_at_a_time = locked(self);
        work()
    }
}
