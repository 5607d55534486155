//! Pages: what an owner has many of, each in a place of its own, within bytes that all owners share.
//!
//! A file has thousands of blocks. A cache that finds them by key hashes, locks and probes for every
//! hit; an owner that knows its blocks by number can keep a place for each instead, and goes straight
//! there. What stays is chosen by S3-FIFO (Yang and others, SOSP 2023). Never loads anything itself, and
//! never looks into a page.
//!
//! Threads: any may do anything. A hit locks the page's own place for some nanoseconds; a page that
//! comes in takes the pool's lock, for the time it takes to choose what goes. No page is dropped under
//! it. Lock order: the pool, then a place.
//!
//! Invariants, all under the pool's lock:
//! 1. A place of an owner that lives holds a page exactly while one queue has an entry for it, once.
//! 2. `used_bytes` is what the pages weigh, those of owners that are being dropped included, and no page
//!    comes in that would take it above the capacity.

mod queues;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::counters::{CacheStats, Counters, Event};
use queues::Queues;

/// What each page is charged besides its weight: an entry in both queues, each of which may have just
/// doubled, and the header of its allocation.
pub const PAGE_OVERHEAD_BYTES: u64 = 96;

/// A page that leaves no room for another of its size is not kept.
const PAGES_MIN: u64 = 2;

/// As often as that is a page spared that was used meanwhile.
const USES_MAX: u8 = 3;

/// So many pages are spared to make room for one: readers wait meanwhile who have missed another. Then
/// pages go that were used.
const SPARED_MAX: usize = 256;

/// A place is locked for some nanoseconds, on a busy machine for some milliseconds. One that is locked
/// for longer belongs to a thread that is gone: that of a parent, which held it when this process was
/// forked off. Then its page is missed.
const HELD_MAX: Duration = Duration::from_millis(250);

/// The number of no eviction.
const NEVER: u32 = 0;

/// A capacity in bytes that the pages of many owners share.
///
/// Clones are the same pool. A page that was used once passes through a tenth of the capacity and
/// pushes out nothing that is used again and again: so a scan leaves the rest in place.
///
/// ```
/// use std::sync::Arc;
///
/// use lsm_cache::{PagePool, Pages};
///
/// let pool = PagePool::new(1 << 20);
/// // A file of 300 blocks.
/// let blocks: Pages<[u8; 4096]> = Pages::new(&pool, 300);
/// assert!(blocks.get(7).is_none());
/// blocks.insert(7, &Arc::new([7; 4096]), 4096);
/// assert_eq!(blocks.get(7).map(|block| block[0]), Some(7));
/// assert!(pool.used_bytes() > 4096);
///
/// drop(blocks); // The file is gone, and so is what was kept of it.
/// assert_eq!(pool.used_bytes(), 0);
/// ```
pub struct PagePool<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    queues: Mutex<Queues<T>>,
    capacity_bytes: AtomicU64,
    used_bytes: AtomicU64,
    /// Entries of the queues whose owners are gone. Below zero for a moment, if one is taken out of
    /// its queue before its owner has counted it.
    dead: AtomicIsize,
    counters: Counters,
}

impl<T> PagePool<T> {
    /// A pool of pages that weigh at most `capacity_bytes` together; with 0 it keeps none.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                queues: Mutex::default(),
                capacity_bytes: AtomicU64::new(capacity_bytes),
                used_bytes: AtomicU64::new(0),
                dead: AtomicIsize::new(0),
                counters: Counters::default(),
            }),
        }
    }

    /// What the pages may weigh together, each with [`PAGE_OVERHEAD_BYTES`].
    #[must_use]
    pub fn capacity_bytes(&self) -> u64 {
        self.shared.capacity_bytes.load(Ordering::Relaxed)
    }

    /// Gives the pool more bytes or fewer from now on; with fewer, pages go at once, those first that
    /// were used less.
    pub fn set_capacity(&self, capacity_bytes: u64) {
        let shared = &self.shared;
        let mut queues = shared.lock();
        shared
            .capacity_bytes
            .store(capacity_bytes, Ordering::Relaxed);
        // Many go at once: with a bound on how many are spared, those that are used would go too.
        let evicted = queues.make_room(shared, 0, usize::MAX);
        drop(queues);
        drop(evicted);
    }

    /// What the pages weigh together. Never above the capacity, but where that was lowered while an owner
    /// was being dropped, until it is.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.shared.used_bytes.load(Ordering::Relaxed)
    }

    /// What has happened so far. A page whose owner is gone counts as removed.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.shared.counters.stats()
    }
}

impl<T> Clone for PagePool<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> fmt::Debug for PagePool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagePool")
            .field("capacity_bytes", &self.capacity_bytes())
            .field("used_bytes", &self.used_bytes())
            .finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queues<T>> {
        self.queues.lock()
    }

    fn page_bytes_max(&self) -> u64 {
        self.capacity_bytes.load(Ordering::Relaxed) / PAGES_MIN
    }
}

/// The pages of one owner, by number. Dropping it lets go of all of them.
pub struct Pages<T> {
    table: Arc<Table<T>>,
}

/// What the queues know an owner by.
struct Table<T> {
    places: Box<[Mutex<Place<T>>]>,
    /// What its pages weigh, and how many there are.
    held_bytes: AtomicU64,
    held: AtomicUsize,
    pool: Arc<Shared<T>>,
}

struct Place<T> {
    page: Option<Arc<T>>,
    /// The eviction in which it last lost a page, or [`NEVER`].
    evicted_at: u32,
    /// Uses since it came in or was last spared, at most [`USES_MAX`].
    uses: u8,
}

impl<T> Pages<T> {
    /// Places for `count` pages, all of them empty. In a pool that keeps nothing it has none.
    #[must_use]
    pub fn new(pool: &PagePool<T>, count: usize) -> Self {
        // They are numbered in 32 bits; what lies beyond is not kept.
        let most = u32::MAX as usize;
        let count = if pool.capacity_bytes() == 0 { 0 } else { count };
        let places = (0..count.min(most)).map(|_| {
            Mutex::new(Place {
                page: None,
                evicted_at: NEVER,
                uses: 0,
            })
        });
        Self {
            table: Arc::new(Table {
                places: places.collect(),
                held_bytes: AtomicU64::new(0),
                held: AtomicUsize::new(0),
                pool: Arc::clone(&pool.shared),
            }),
        }
    }

    /// The page of that number, if it is there; asking makes it stay longer.
    #[inline]
    #[must_use]
    pub fn get(&self, number: usize) -> Option<Arc<T>> {
        let place = self.table.places.get(number);
        let page = place.and_then(|place| {
            let mut place = place.try_lock_for(HELD_MAX)?;
            let page = place.page.clone()?;
            place.uses = (place.uses + 1).min(USES_MAX);
            Some(page)
        });
        self.table.pool.counters.count(match page {
            Some(_) => Event::Hit,
            None => Event::Miss,
        });
        page
    }

    /// Keeps a page, at the cost of those that were used less. If one of that number is there already,
    /// that stays: what a number stands for never changes. A page heavier than half of the
    /// capacity is not kept, and costs nobody else their place.
    ///
    /// `weight` is how many bytes it owns; [`PAGE_OVERHEAD_BYTES`] come on top.
    pub fn insert(&self, number: usize, page: &Arc<T>, weight: u64) {
        let (Some(place), Ok(number)) = (self.table.places.get(number), u32::try_from(number))
        else {
            return;
        };
        let pool = &self.table.pool;
        let weight = weight.saturating_add(PAGE_OVERHEAD_BYTES);
        let Ok(entry_weight) = u32::try_from(weight) else {
            return pool.counters.count(Event::Rejected);
        };
        let mut queues = pool.lock();
        if weight > pool.page_bytes_max() {
            drop(queues);
            return pool.counters.count(Event::Rejected);
        }
        if place.lock().page.is_some() {
            return;
        }
        let evicted = queues.make_room(pool, weight, SPARED_MAX);
        if evicted.is_enough {
            let evicted_at = place.lock().evicted_at;
            self.fill(&mut queues, (number, entry_weight), evicted_at, page);
        }
        drop(queues);
        drop(evicted);
    }

    /// Keeps a page that nobody has asked for yet, if there is room for it beside all that is there. Returns
    /// whether a page of that number is there now.
    ///
    /// Until it is used it is among the first to go, whatever was there of that number before. `weight` as
    /// for [`insert`](Self::insert).
    pub fn insert_if_room(&self, number: usize, page: &Arc<T>, weight: u64) -> bool {
        let (Some(place), Ok(number), Ok(entry_weight)) = (
            self.table.places.get(number),
            u32::try_from(number),
            u32::try_from(weight.saturating_add(PAGE_OVERHEAD_BYTES)),
        ) else {
            return false;
        };
        let pool = &self.table.pool;
        let mut queues = pool.lock();
        if place.lock().page.is_some() {
            return true;
        }
        let weight = u64::from(entry_weight);
        let used = pool.used_bytes.load(Ordering::Relaxed);
        let fits = weight <= pool.page_bytes_max()
            && used.saturating_add(weight) <= pool.capacity_bytes.load(Ordering::Relaxed);
        if fits {
            self.fill(&mut queues, (number, entry_weight), NEVER, page);
        }
        fits
    }

    /// Fills a place that is empty, for whose page there is room.
    fn fill(
        &self,
        queues: &mut Queues<T>,
        (number, weight): (u32, u32),
        evicted_at: u32,
        page: &Arc<T>,
    ) {
        let Some(place) = self.table.place(number) else {
            return;
        };
        let pool = &self.table.pool;
        let mut place = place.lock();
        queues.push(&self.table, number, weight, evicted_at);
        pool.used_bytes
            .fetch_add(u64::from(weight), Ordering::Relaxed);
        self.table
            .held_bytes
            .fetch_add(u64::from(weight), Ordering::Relaxed);
        self.table.held.fetch_add(1, Ordering::Relaxed);
        place.uses = 0;
        place.page = Some(Arc::clone(page));
        pool.counters.count(Event::Inserted);
    }

    /// Whether the page of that number is there. Asking is neither a use nor a hit or miss.
    #[must_use]
    pub fn holds(&self, number: usize) -> bool {
        let place = self.table.places.get(number);
        place.is_some_and(|place| place.lock().page.is_some())
    }

    /// What its pages weigh together, each with [`PAGE_OVERHEAD_BYTES`].
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.table.held_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of memory that the places themselves take, whatever they hold.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.table.places)
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("places", &self.table.places.len())
            .field("held", &self.table.held.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

impl<T> Table<T> {
    fn place(&self, number: u32) -> Option<&Mutex<Place<T>>> {
        self.places.get(number as usize)
    }
}

/// The pages go with it, and then what they weighed. Takes no lock: it may be the pool that drops an
/// owner last.
impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        drop(std::mem::take(&mut self.places));
        let held = *self.held.get_mut();
        self.pool
            .used_bytes
            .fetch_sub(*self.held_bytes.get_mut(), Ordering::Relaxed);
        let dead = isize::try_from(held).unwrap_or(isize::MAX);
        self.pool.dead.fetch_add(dead, Ordering::Relaxed);
        self.pool.counters.add(Event::Removed, held as u64);
    }
}

#[cfg(test)]
mod tests;
