//! What the cache counts, without making its readers meet in one cache line.
//!
//! Each thread adds to one of a few lanes, each on a cache line of its own; reading adds the lanes
//! up. All accesses are `Relaxed`: the numbers are statistics, and order nothing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What has happened in a cache since it was made.
///
/// Taken while other threads go on, the numbers may be a few calls apart from each other. At rest
/// `inserted − evicted − removed` is the number of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Lookups that found their key, or waited for another thread that was loading it.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Entries that were let in.
    pub inserted: u64,
    /// Entries that had to go for others, or were replaced by a later value of their key.
    pub evicted: u64,
    /// Entries that were not let in because they are too large.
    pub rejected: u64,
    /// Entries that were removed, retained not, or purged.
    pub removed: u64,
}

const LANES: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Counters {
    lanes: [Lane; LANES],
}

/// Two cache lines, because processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane([AtomicU64; EVENTS]);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    Hit,
    Miss,
    Inserted,
    Evicted,
    Rejected,
    Removed,
}

const EVENTS: usize = 6;

impl Counters {
    #[inline]
    pub(crate) fn count(&self, event: Event) {
        self.add(event, 1);
    }

    #[inline]
    pub(crate) fn add(&self, event: Event, times: u64) {
        let lane = LANE.with(|lane| *lane) % LANES;
        if let Some(count) = self.lanes.get(lane).and_then(|l| l.0.get(event as usize)) {
            count.fetch_add(times, Ordering::Relaxed);
        }
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let sum = |event: Event| {
            let counts = self.lanes.iter().filter_map(|l| l.0.get(event as usize));
            counts
                .map(|count| count.load(Ordering::Relaxed))
                .fold(0, u64::wrapping_add)
        };
        CacheStats {
            hits: sum(Event::Hit),
            misses: sum(Event::Miss),
            inserted: sum(Event::Inserted),
            evicted: sum(Event::Evicted),
            rejected: sum(Event::Rejected),
            removed: sum(Event::Removed),
        }
    }
}

static NEXT_LANE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Threads take lanes in turn.
    static LANE: usize = NEXT_LANE.fetch_add(1, Ordering::Relaxed);
}
