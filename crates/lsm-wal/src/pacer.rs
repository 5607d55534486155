//! How long a commit leader should wait for the threads that were just answered, and they for it.
//!
//! Asked by commit leaders before they gather. A pure policy: it reads no clock and waits for
//! nothing; the leader tells it what it saw.

use std::time::Duration;

/// Waiting longer than this for company never pays, however slow the disk.
const LINGER_MAX: Duration = Duration::from_millis(1);

/// Sleeping and being woken takes about as long: who waits for no longer sync stays awake.
const QUICK_SYNC_MAX: Duration = Duration::from_micros(20);

/// After this many fruitless waits in a row, ever more groups go without one.
const MISSES_FREE: u32 = 2;

/// The longest run of groups that go without a wait, as a power of two.
const SKIPS_LOG2_MAX: u32 = 6;

/// Decides, from how long syncs take and whether waiting has paid, how long to
/// [`linger`](crate::Lead::linger).
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
/// ```
#[derive(Debug, Clone, Default)]
pub struct GroupPacer {
    /// A moving average of how long a sync takes; zero if the last group needed none.
    sync: Duration,
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
        if self.sync.is_zero() || waiting_count >= cohort_len {
            return None;
        }
        if self.skips_left > 0 {
            self.skips_left -= 1;
            return None;
        }
        Some((self.sync / 3).min(LINGER_MAX))
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
        self.sync = if self.sync.is_zero() {
            took
        } else {
            (self.sync * 7 + took) / 8
        };
    }

    /// A group was written without a sync: the next need not wait for company.
    pub fn not_synced(&mut self) {
        self.sync = Duration::ZERO;
    }

    /// Whether the groups to come, if they are as the last ones, are answered too soon for a sleep:
    /// what to [`foretell`](crate::Lead::foretell).
    #[must_use]
    pub fn is_quick(&self) -> bool {
        self.sync <= QUICK_SYNC_MAX
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
    fn groups_are_quick_without_a_sync_and_with_a_short_one() {
        assert!(GroupPacer::new().is_quick());
        let mut pacer = pacer();
        assert!(!pacer.is_quick());
        pacer.not_synced();
        assert!(pacer.is_quick());
        pacer.synced(QUICK_SYNC_MAX);
        assert!(pacer.is_quick());
        (0..16).for_each(|_| pacer.synced(SYNC));
        assert!(!pacer.is_quick());
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
