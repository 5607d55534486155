//! Read views that somebody holds beyond a call: snapshots, iterators and cursors.
//!
//! The engine gives them out; [`Snapshot`](crate::Snapshot), [`Range`](crate::Range) and
//! [`Cursor`](crate::Cursor) share them by `Arc`. Each is registered as long as it lives, so that
//! `stats` can say how many there are, how old the oldest is, and what they keep in memory and on
//! the disk. A read that ends within its call is never registered, and takes no lock. Nothing here
//! slows a writer or holds back a flush or a compaction.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lsm_scheduler::Pool;
use slab::Slab;

use crate::gaps::{Gaps, ReaderGaps};
use crate::open_stores;
use crate::publication::Moment;
use crate::sync::{locked, try_locked};
use crate::view::ReadView;

/// A view, the moment to read it at, and the note that it is held.
pub(crate) struct HeldView {
    registry: Arc<HeldViews>,
    /// Where it is noted; `None` in a child that was forked off, if it could not be.
    key: Option<usize>,
    view: Arc<ReadView>,
    moment: Moment,
    gaps: Arc<Gaps>,
}

impl HeldView {
    pub(crate) fn view(&self) -> &ReadView {
        &self.view
    }

    pub(crate) fn seqno(&self) -> u64 {
        self.moment.seqno
    }

    /// What is known of gaps in it, for one more cursor.
    pub(crate) fn gaps(&self) -> ReaderGaps<Arc<Gaps>> {
        ReaderGaps::new(Arc::clone(&self.gaps), self.moment)
    }
}

impl Drop for HeldView {
    fn drop(&mut self) {
        let held = self.registry.lock();
        let removed = held.and_then(|mut held| held.try_remove(self.key?));
        // Outside the lock. Never the last: the field is dropped after this.
        drop(removed);
    }
}

impl fmt::Debug for HeldView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldView")
            .field("moment", &self.moment)
            .finish_non_exhaustive()
    }
}

/// The views that are held now.
#[derive(Debug)]
pub(crate) struct HeldViews {
    /// Has the clock, and knows whose the registry is.
    pool: Pool,
    held: Mutex<Slab<Registered>>,
}

#[derive(Debug, Clone)]
struct Registered {
    since: Duration,
    view: Arc<ReadView>,
}

/// Who holds how much: see [`Stats`](crate::Stats) for what each means.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldStats {
    pub(crate) views: usize,
    pub(crate) oldest: Option<Duration>,
    pub(crate) memtable_bytes: u64,
    pub(crate) run_bytes: u64,
}

impl Drop for HeldViews {
    fn drop(&mut self) {
        open_stores::forget_gone();
    }
}

impl HeldViews {
    /// None so far; ages are told by the clock of `pool`.
    pub(crate) fn new(pool: Pool) -> Arc<Self> {
        Arc::new(Self {
            pool,
            held: Mutex::default(),
        })
    }

    /// How many are held, and how long the oldest has been; `None` in a child that was forked off, where
    /// they are another process's.
    pub(crate) fn readers(&self) -> Option<(usize, Option<Duration>)> {
        if !self.pool.is_ours() {
            return None;
        }
        let held = locked(&self.held);
        let oldest = held.iter().map(|(_, held)| held.since).min();
        let count = held.len();
        drop(held);
        Some((count, oldest.map(|since| self.now().saturating_sub(since))))
    }

    /// The registry's lock. `None` in a child that was forked off while another thread held it, which
    /// does not exist there. Whose process this is is asked only where the lock is not free.
    fn lock(&self) -> Option<MutexGuard<'_, Slab<Registered>>> {
        try_locked(&self.held).or_else(|| self.pool.is_ours().then(|| locked(&self.held)))
    }

    fn now(&self) -> Duration {
        self.pool.scheduler().now()
    }

    /// Registers a view to be read at a moment, until the last clone of the answer is dropped.
    pub(crate) fn hold(
        self: &Arc<Self>,
        view: Arc<ReadView>,
        moment: Moment,
        gaps: &Arc<Gaps>,
    ) -> Arc<HeldView> {
        let registered = Registered {
            since: self.now(),
            view: Arc::clone(&view),
        };
        let key = self.lock().map(|mut held| held.insert(registered));
        Arc::new(HeldView {
            registry: Arc::clone(self),
            key,
            view,
            moment,
            gaps: Arc::clone(gaps),
        })
    }

    /// What is held, and what of it the view that `current` returns does not have. That is asked
    /// after the held ones were noted: a view that was made meanwhile must not look superseded.
    pub(crate) fn stats<V: std::ops::Deref<Target = Arc<ReadView>>>(
        &self,
        current: impl FnOnce() -> V,
    ) -> HeldStats {
        let held: Vec<Registered> = {
            let held = locked(&self.held);
            held.iter().map(|(_, held)| held.clone()).collect()
        };
        let current = current();
        let oldest = held.iter().map(|held| held.since).min();
        // Many readers of one moment share a view, and are looked into once.
        let views: HashMap<*const ReadView, &ReadView> = held
            .iter()
            .map(|held| (Arc::as_ptr(&held.view), &*held.view))
            .collect();
        let (mut memtables, mut runs) = (HashMap::new(), HashMap::new());
        for view in views.into_values() {
            memtables.extend(view.memtables_beside(&current));
            runs.extend(view.runs_beside(&current));
        }
        HeldStats {
            views: held.len(),
            oldest: oldest.map(|since| self.now().saturating_sub(since)),
            memtable_bytes: memtables.into_values().sum::<u64>() + current.superseded_bytes(),
            run_bytes: runs.into_values().sum(),
        }
    }
}
