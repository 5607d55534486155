//! Slots: what an owner keeps loaded while there is room for it, and can load again.
//!
//! An engine has thousands of files, each with an open handle, an index, a filter. Keeping them
//! where they are used costs a reader one atomic load; keeping all of them costs too much. So each
//! owner has a [`Slot`], and the slots of a [`SlotPool`] share a limit: when what they hold weighs
//! more, the pool empties those that were not used since it last looked (the clock, or second
//! chance, algorithm). A slot never loads anything itself.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;

/// A limit that many [`Slot`]s share, in whatever unit their owners weigh in: bytes, open files.
///
/// Clones are the same pool.
///
/// # Concurrency
/// Any thread may do anything. Reading a slot takes no lock; filling one takes the pool's for a
/// moment, and may empty other slots. A value that a reader is using lives until the reader is
/// done, so what is alive may exceed the limit by what readers hold.
///
/// # Examples
/// ```
/// use lsm_cache::{Slot, SlotPool};
///
/// let pool = SlotPool::new(100);
/// let (first, second) = (Slot::new(&pool), Slot::new(&pool));
/// first.fill("an index", 60);
/// assert_eq!(first.with(|index| index.len()), Some(8));
///
/// second.fill("another", 60);
/// assert!(pool.used() <= 100);
/// assert_eq!(first.with(|index| index.len()), None); // It has to be loaded again.
/// ```
#[derive(Clone)]
pub struct SlotPool {
    shared: Arc<Shared>,
}

struct Shared {
    limit: AtomicU64,
    used: AtomicU64,
    evictions: AtomicU64,
    /// What the limit was before it had to be lowered, and how often a slot was filled since.
    wanted_limit: AtomicU64,
    fills_since_shrunk: AtomicU64,
    ring: Mutex<Ring>,
}

/// The clock: every slot that holds something, once, and some that are gone.
#[derive(Default)]
struct Ring {
    slots: VecDeque<Weak<dyn Clocked>>,
    /// With this many, those that are gone are swept out.
    sweep_at: usize,
}

const RING_SWEEP_MIN: usize = 64;

/// After a pool had to do with less, this many fills raise its limit by one again.
const FILLS_PER_STEP_BACK: u64 = 64;

impl Ring {
    fn push(&mut self, slot: Weak<dyn Clocked>) {
        if self.slots.len() >= self.sweep_at.max(RING_SWEEP_MIN) {
            self.slots.retain(|slot| slot.strong_count() > 0);
            self.sweep_at = self.slots.len() * 2;
        }
        self.slots.push_back(slot);
    }
}

/// What the clock asks of a slot, whatever it holds.
trait Clocked: Send + Sync {
    /// Whether it was used since it was last asked.
    fn take_used(&self) -> bool;
    /// Empties it. Returns what it weighed, and the value for the caller to drop; nothing if it was
    /// empty.
    fn evict(&self) -> Option<(u64, Arc<dyn Any + Send + Sync>)>;
}

impl SlotPool {
    /// A pool of slots that may hold `limit` together. With `u64::MAX` nothing is ever evicted.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                limit: AtomicU64::new(limit),
                used: AtomicU64::new(0),
                evictions: AtomicU64::new(0),
                wanted_limit: AtomicU64::new(limit),
                fills_since_shrunk: AtomicU64::new(0),
                ring: Mutex::default(),
            }),
        }
    }

    /// What its slots may hold together.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.shared.limit.load(Ordering::Relaxed)
    }

    /// Sets the limit, and evicts what is over it now.
    pub fn set_limit(&self, limit: u64) {
        self.shared.wanted_limit.store(limit, Ordering::Relaxed);
        self.shared.limit.store(limit, Ordering::Relaxed);
        self.shared.enforce();
    }

    /// What its slots hold together.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// Makes do with less: lowers the limit to three quarters of what is used now. Returns whether
    /// that evicted anything; if not, there is nothing more to give up.
    ///
    /// For limits that are not known beforehand and may change, such as the number of files that a
    /// process may have open. As slots are filled from then on, the limit goes back up to what it
    /// was, by one for every 64.
    pub fn shrink(&self) -> bool {
        let (used, before) = (self.used(), self.evictions());
        if used == 0 {
            return false;
        }
        let shared = &self.shared;
        shared
            .limit
            .fetch_min(used - used.div_ceil(4), Ordering::Relaxed);
        shared.fills_since_shrunk.store(0, Ordering::Relaxed);
        shared.enforce();
        self.evictions() > before
    }

    /// How many values were evicted so far to keep within the limit.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.shared.evictions.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for SlotPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotPool")
            .field("limit", &self.limit())
            .field("used", &self.used())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit.load(Ordering::Relaxed)
    }

    /// A limit that was lowered goes back up, slowly.
    fn step_back(&self) {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit >= self.wanted_limit.load(Ordering::Relaxed) {
            return;
        }
        let fills = self.fills_since_shrunk.fetch_add(1, Ordering::Relaxed) + 1;
        if fills.is_multiple_of(FILLS_PER_STEP_BACK) {
            self.limit.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Turns the clock until the limit holds: a slot that was used since it last came by is spared
    /// once. Two turns empty everything, so it ends.
    fn enforce(&self) {
        if !self.is_over() {
            return;
        }
        // Dropped after the lock: what a value does then is its own affair.
        let mut evicted = Vec::new();
        let mut ring = self.lock();
        let steps_max = ring.slots.len().saturating_mul(2);
        for _ in 0..steps_max {
            if !self.is_over() {
                break;
            }
            let Some(next) = ring.slots.pop_front() else {
                break;
            };
            // A slot that is gone has given back what it held.
            let Some(slot) = next.upgrade() else {
                continue;
            };
            if slot.take_used() {
                ring.slots.push_back(next);
                continue;
            }
            if let Some((weight, value)) = slot.evict() {
                self.used.fetch_sub(weight, Ordering::Relaxed);
                self.evictions.fetch_add(1, Ordering::Relaxed);
                evicted.push(value);
            }
        }
        drop(ring);
    }
}

/// A place for one value that its owner can load again.
pub struct Slot<T: Send + Sync + 'static> {
    cell: Arc<Cell<T>>,
    pool: SlotPool,
}

struct Cell<T> {
    held: ArcSwapOption<Held<T>>,
    used: AtomicBool,
    /// Whether the clock has it. Changed with the pool's lock only.
    in_ring: AtomicBool,
}

struct Held<T> {
    value: T,
    weight: u64,
}

impl<T: Send + Sync + 'static> Slot<T> {
    /// An empty slot of `pool`.
    #[must_use]
    pub fn new(pool: &SlotPool) -> Self {
        Self {
            cell: Arc::new(Cell {
                held: ArcSwapOption::empty(),
                used: AtomicBool::new(false),
                in_ring: AtomicBool::new(false),
            }),
            pool: pool.clone(),
        }
    }

    /// Reads the value, if the slot holds one, and notes that it was used. It may be evicted
    /// meanwhile, and is dropped then when `read` returns.
    #[inline]
    pub fn with<R>(&self, read: impl FnOnce(&T) -> R) -> Option<R> {
        let held = self.cell.held.load();
        let held = held.as_ref()?;
        // Looked at first: a write would take the cache line from other readers each time.
        if !self.cell.used.load(Ordering::Relaxed) {
            self.cell.used.store(true, Ordering::Relaxed);
        }
        Some(read(&held.value))
    }

    /// Puts `value` in, in place of what was there, and evicts from the pool what is over its
    /// limit then. A value that alone weighs more than the limit is not kept, and costs nobody else
    /// their place. `weight` is at least 1.
    pub fn fill(&self, value: T, weight: u64) {
        let weight = weight.max(1);
        let shared = &self.pool.shared;
        shared.step_back();
        if weight > shared.limit.load(Ordering::Relaxed) {
            self.clear();
            return;
        }
        shared.used.fetch_add(weight, Ordering::Relaxed);
        self.cell.used.store(true, Ordering::Relaxed);
        let held = Some(Arc::new(Held { value, weight }));
        let old = {
            let mut ring = shared.lock();
            if !self.cell.in_ring.swap(true, Ordering::Relaxed) {
                let cell: Weak<Cell<T>> = Arc::downgrade(&self.cell);
                ring.push(cell);
            }
            self.cell.held.swap(held)
        };
        if let Some(old) = old {
            shared.used.fetch_sub(old.weight, Ordering::Relaxed);
        }
        shared.enforce();
    }

    /// Takes the value out, for the caller to drop where that may take time.
    #[must_use]
    pub fn take(&self) -> Option<impl Send + 'static + use<T>> {
        let held = self.cell.held.swap(None)?;
        self.pool
            .shared
            .used
            .fetch_sub(held.weight, Ordering::Relaxed);
        Some(held)
    }

    /// Drops the value.
    pub fn clear(&self) {
        drop(self.take());
    }

    /// What the value weighs; 0 if the slot is empty.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.cell.held.load().as_ref().map_or(0, |held| held.weight)
    }
}

impl<T: Send + Sync + 'static> Clocked for Cell<T> {
    fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    fn evict(&self) -> Option<(u64, Arc<dyn Any + Send + Sync>)> {
        self.in_ring.store(false, Ordering::Relaxed);
        let held = self.held.swap(None)?;
        Some((held.weight, held))
    }
}

impl<T: Send + Sync + 'static> Drop for Slot<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("weight", &self.weight())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
