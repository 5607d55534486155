//! How long a commit leader should wait for the threads that were just answered, and whether those that
//! wait for it should sleep.
//!
//! Asked by commit leaders, the one before they gather and the other after. A pure policy: it reads no clock and waits for
//! nothing; the leader tells it what it saw.

use std::time::Duration;

/// Waiting longer than this for company never pays, however slow the disk.
const LINGER_MAX: Duration = Duration::from_millis(1);

/// Sleeping and being woken takes longer: nobody sleeps for a sync that takes no more, as in memory.
const QUICK_SYNC_MAX: Duration = Duration::from_micros(10);

/// After this many fruitless waits in a row, ever more groups go without one.
const MISSES_FREE: u32 = 2;

/// The longest run of groups that go without a wait, as a power of two.
const SKIPS_LOG2_MAX: u32 = 6;

/// Decides, from how long syncs take and whether waiting has paid, how long to
/// [`linger`](crate::Lead::linger) and what to [`foretell`](crate::Lead::foretell).
///
/// A wait costs at most a third of a sync, is asked for only if more submitters were around lately than
/// are waiting now, and is given up in growing steps while it brings nobody.
///
/// ```
/// use std::time::Duration;
/// use lsm_wal::GroupPacer;
/// let mut pacer = GroupPacer::new();
/// assert_eq!(pacer.linger(4, 1), None, "no sync seen yet");
/// pacer.synced(Duration::from_micros(300));
/// assert_eq!(pacer.linger(4, 1), Some(Duration::from_micros(100)));
/// assert_eq!(pacer.linger(1, 1), None, "nobody else to wait for");
/// assert!(pacer.is_quick(false));
/// assert!(!pacer.is_quick(true));
/// ```
#[derive(Debug, Clone, Default)]
pub struct GroupPacer {
    /// A moving average of how long a sync takes; none was seen before the first.
    sync: Option<Duration>,
    /// Whether the last group was synced.
    last_synced: bool,
    misses: u32,
    skips_left: u32,
}

impl GroupPacer {
    /// A pacer that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long to wait at most until `cohort_len` items wait, `waiting_count` doing so now;
    /// `None` to go ahead.
    pub fn linger(&mut self, cohort_len: usize, waiting_count: usize) -> Option<Duration> {
        if !self.last_synced || self.is_quick(true) || waiting_count >= cohort_len {
            return None;
        }
        let sync = self.sync?;
        if self.skips_left > 0 {
            self.skips_left -= 1;
            return None;
        }
        Some((sync / 3).min(LINGER_MAX))
    }

    /// The wait is over, and all that were waited for had come (`arrived`) or not.
    pub fn lingered(&mut self, arrived: bool) {
        if arrived {
            self.misses = 0;
            return;
        }
        self.misses = self.misses.saturating_add(1);
        if let Some(excess) = self.misses.checked_sub(MISSES_FREE) {
            self.skips_left = 1 << excess.min(SKIPS_LOG2_MAX);
        }
    }

    /// A group was synced in this time.
    pub fn synced(&mut self, took: Duration) {
        self.last_synced = true;
        let average = |sync: Duration| (sync * 7 + took) / 8;
        self.sync = Some(self.sync.map_or(took, average));
    }

    /// A group was written without a sync: the next need not wait for company.
    pub fn not_synced(&mut self) {
        self.last_synced = false;
    }

    /// Whether a group that is synced or not is answered sooner than who waits for it could sleep and
    /// be woken. Of a sync that none was seen of, nothing is promised.
    #[must_use]
    pub fn is_quick(&self, syncs: bool) -> bool {
        !syncs || self.sync.is_some_and(|sync| sync <= QUICK_SYNC_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(400);

    fn pacer() -> GroupPacer {
        let mut pacer = GroupPacer::new();
        pacer.synced(SYNC);
        pacer
    }

    #[test]
    fn a_wait_is_a_third_of_a_sync_and_bounded() {
        assert_eq!(pacer().linger(8, 1), Some(SYNC / 3));
        let mut slow = GroupPacer::new();
        slow.synced(Duration::from_secs(1));
        assert_eq!(slow.linger(8, 1), Some(LINGER_MAX));
    }

    #[test]
    fn buffered_groups_do_not_wait() {
        let mut pacer = pacer();
        pacer.not_synced();
        assert_eq!(pacer.linger(8, 1), None);
    }

    #[test]
    fn groups_are_quick_without_a_sync_and_with_a_short_one_that_was_seen() {
        let mut fresh = GroupPacer::new();
        assert!(fresh.is_quick(false));
        assert!(!fresh.is_quick(true));
        fresh.synced(QUICK_SYNC_MAX);
        assert!(fresh.is_quick(true));
        assert_eq!(
            fresh.linger(8, 1),
            None,
            "a wait takes longer than the sync"
        );
        let mut slow = pacer();
        slow.not_synced();
        assert!(slow.is_quick(false));
        assert!(!slow.is_quick(true), "as long as the last one took");
    }

    #[test]
    fn waiting_in_vain_becomes_rare_and_success_brings_it_back() {
        let mut pacer = pacer();
        let mut waits = 0;
        for _ in 0..1_000 {
            if pacer.linger(2, 1).is_some() {
                waits += 1;
                pacer.lingered(false);
            }
        }
        assert!((5..40).contains(&waits), "{waits}");
        while pacer.linger(2, 1).is_none() {}
        pacer.lingered(true);
        assert!(pacer.linger(2, 1).is_some());
        pacer.lingered(false);
        assert!(pacer.linger(2, 1).is_some(), "one miss is forgiven");
    }
}
