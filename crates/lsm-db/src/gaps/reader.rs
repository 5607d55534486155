//! The gaps as one cursor sees them: those that serve the moment it shows.

use std::ops::Deref;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use lsm_compact::KnownGaps;

use super::Gaps;
use crate::publication::Moment;

/// What a cursor over one moment asks and tells. `R` points to the store's gaps.
#[derive(Debug)]
pub(crate) struct ReaderGaps<R: Deref<Target = Gaps>> {
    gaps: R,
    moment: Moment,
    /// Counted here, so that readers do not all write to one place all the time.
    stepped_over: u64,
}

impl<R: Deref<Target = Gaps>> ReaderGaps<R> {
    pub(crate) fn new(gaps: R, moment: Moment) -> Self {
        Self {
            gaps,
            moment,
            stepped_over: 0,
        }
    }
}

impl<R: Deref<Target = Gaps>> KnownGaps for ReaderGaps<R> {
    fn end_around(&self, key: &[u8], is_tombstone: bool) -> Option<Bytes> {
        self.gaps.end_around(self.moment, key, is_tombstone)
    }

    fn start_around(&self, key: &[u8], is_tombstone: bool) -> Option<Bytes> {
        self.gaps.start_around(self.moment, key, is_tombstone)
    }

    fn found(&mut self, start: &[u8], end: &[u8], tombstones: u64) {
        self.gaps.note(self.moment, start, end, tombstones);
    }

    fn stepped_over(&mut self, tombstones: u64) {
        self.stepped_over += tombstones;
    }
}

impl<R: Deref<Target = Gaps>> Drop for ReaderGaps<R> {
    fn drop(&mut self) {
        if self.stepped_over > 0 {
            let total = &self.gaps.stepped_over;
            total.fetch_add(self.stepped_over, Ordering::Relaxed);
        }
    }
}
