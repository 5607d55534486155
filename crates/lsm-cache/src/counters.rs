//! What is counted where many threads pass, without making them meet in one cache line.
//!
//! Each thread adds to one of a few lanes, each on cache lines of its own; reading adds the lanes
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

/// `N` counts that many threads add to at once. Threads take one of 16 lanes in turn, each on cache
/// lines of its own: an addition takes no line from another thread, unless the two share a lane.
///
/// An addition costs a few nanoseconds; reading a count adds up all lanes. Counts wrap around, and order
/// nothing: of additions that go on meanwhile a sum has some.
///
/// ```
/// use lsm_cache::StripedCounts;
///
/// let counts = StripedCounts::<2>::default();
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| counts.add(1, 10));
///     }
/// });
/// assert_eq!([counts.sum(0), counts.sum(1)], [0, 40]);
/// ```
#[derive(Debug)]
pub struct StripedCounts<const N: usize> {
    lanes: [Lane<N>; LANES],
}

/// Two cache lines, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Lane<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for StripedCounts<N> {
    fn default() -> Self {
        let zeros = || Lane(std::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            lanes: std::array::from_fn(|_| zeros()),
        }
    }
}

impl<const N: usize> StripedCounts<N> {
    /// Adds to one of the counts, which are numbered from 0; there is nothing to add to from `N` on.
    /// Returns what the thread's lane had before: so whoever adds can tell, without reading all lanes,
    /// when it is time to look.
    #[inline]
    pub fn add(&self, count: usize, times: u64) -> u64 {
        let lane = LANE.with(|lane| *lane) % LANES;
        let count = self.lanes.get(lane).and_then(|lane| lane.0.get(count));
        count.map_or(0, |count| count.fetch_add(times, Ordering::Relaxed))
    }

    /// One of the counts.
    #[must_use]
    pub fn sum(&self, count: usize) -> u64 {
        let counts = self.lanes.iter().filter_map(|lane| lane.0.get(count));
        counts
            .map(|count| count.load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }
}

/// What is counted of a cache.
#[derive(Debug, Default)]
pub(crate) struct Counters(StripedCounts<EVENTS>);

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
        self.0.add(event as usize, times);
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let sum = |event: Event| self.0.sum(event as usize);
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
