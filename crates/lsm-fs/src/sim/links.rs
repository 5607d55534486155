//! How many names an inode has, for its handles to read without the disk's lock.
//!
//! A kernel answers `fstat` of an open file without a look at other files, so here as well it costs
//! little. The disk alone changes the count, under its lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of live names of an inode.
#[derive(Debug, Default)]
pub(super) struct Links(Arc<AtomicUsize>);

/// The same number, as a handle sees it.
#[derive(Debug)]
pub(super) struct LinksSeen(Arc<AtomicUsize>);

impl Links {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(count)))
    }

    pub(super) fn seen(&self) -> LinksSeen {
        LinksSeen(Arc::clone(&self.0))
    }

    pub(super) fn any(&self) -> bool {
        is_positive(&self.0)
    }

    pub(super) fn add_one(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes one away, and stays at none.
    pub(super) fn drop_one(&mut self) {
        let count = self.0.load(Ordering::Acquire);
        self.0.store(count.saturating_sub(1), Ordering::Release);
    }
}

/// A copy of an inode lies on another disk, where its names are counted anew.
impl Clone for Links {
    fn clone(&self) -> Self {
        Self::new(self.0.load(Ordering::Acquire))
    }
}

impl LinksSeen {
    pub(super) fn any(&self) -> bool {
        is_positive(&self.0)
    }
}

fn is_positive(count: &AtomicUsize) -> bool {
    count.load(Ordering::Acquire) > 0
}
