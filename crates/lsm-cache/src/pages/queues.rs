//! Which page goes: S3-FIFO's two queues, and its memory of what has just gone.
//!
//! Used by the pool, under its lock. A page comes into the small queue, a tenth of the capacity. If
//! it is used again before it has passed through, it goes on to the main queue, where each use, up
//! to three, spares it for one round more; otherwise it leaves. The place of a page that leaves, from
//! either queue, remembers when. If it comes back before as many others have left as the main queue has
//! room for, it goes there at once: the paper's ghost queue, without a queue.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::{NEVER, Shared, Table, USES_MAX};
use crate::counters::Event;

/// The small queue's share of the capacity.
const SMALL_SHARE: u64 = 10;

/// With so many entries, those of owners that are gone are swept out when they are a quarter of all.
const SWEEP_MIN: usize = 64;

pub(super) struct Queues<T> {
    small: VecDeque<Entry<T>>,
    main: VecDeque<Entry<T>>,
    /// What the entries of `small` weigh, those of owners that are gone included.
    small_bytes: u64,
    /// The number of the next eviction: never [`NEVER`], and starting again after the last.
    evictions: u32,
}

/// A place that holds a page, unless its owner is gone.
struct Entry<T> {
    table: Weak<Table<T>>,
    number: u32,
    /// With the overhead.
    weight: u32,
}

impl<T> Default for Queues<T> {
    fn default() -> Self {
        Self {
            small: VecDeque::new(),
            main: VecDeque::new(),
            small_bytes: 0,
            evictions: NEVER + 1,
        }
    }
}

/// What the caller drops once it has let go of the lock.
pub(super) struct Evicted<T> {
    /// Whether there is room now. Not while an owner that is being dropped still has it.
    pub(super) is_enough: bool,
    pages: Vec<Arc<T>>,
    /// Owners that went while the pool looked at them.
    tables: Vec<Table<T>>,
}

impl<T> Queues<T> {
    /// Enters a place of `table` that is about to be filled, and last lost a page at `evicted_at`.
    pub(super) fn push(
        &mut self,
        table: &Arc<Table<T>>,
        number: u32,
        weight: u32,
        evicted_at: u32,
    ) {
        let entry = Entry {
            table: Arc::downgrade(table),
            number,
            weight,
        };
        let others_since = u64::from(self.evictions.wrapping_sub(evicted_at));
        let main_room = self.len() as u64 * (SMALL_SHARE - 1) / SMALL_SHARE;
        if evicted_at != NEVER && others_since <= main_room {
            self.main.push_back(entry);
        } else {
            self.small_bytes += u64::from(weight);
            self.small.push_back(entry);
        }
    }

    fn len(&self) -> usize {
        self.small.len() + self.main.len()
    }

    /// Evicts until `weight` more bytes fit, as far as there is anything to evict. Spares `spared_max`
    /// pages that were used, at most, and each of them no oftener than it was.
    #[must_use = "pages are dropped outside the lock"]
    pub(super) fn make_room(
        &mut self,
        shared: &Shared<T>,
        weight: u64,
        spared_max: usize,
    ) -> Evicted<T> {
        self.sweep(shared);
        // Who reads meanwhile could go on giving out uses for ever.
        let spared_max = spared_max.min(self.len() * usize::from(USES_MAX + 1));
        let mut evicted = Evicted {
            is_enough: true,
            pages: Vec::new(),
            tables: Vec::new(),
        };
        let capacity = shared.capacity_bytes.load(Ordering::Relaxed);
        let mut spared = 0;
        while shared.used_bytes.load(Ordering::Relaxed) > capacity.saturating_sub(weight) {
            let from_small = self.small_bytes > capacity / SMALL_SHARE || self.main.is_empty();
            let Some(entry) = self.pop(from_small) else {
                evicted.is_enough = false;
                break;
            };
            let Some(table) = entry.table.upgrade() else {
                shared.dead.fetch_sub(1, Ordering::Relaxed);
                continue;
            };
            if spared < spared_max && take_use(&table, entry.number, from_small) {
                spared += 1;
                self.main.push_back(entry);
            } else {
                evicted.pages.extend(self.evict(shared, &table, &entry));
            }
            evicted.tables.extend(Arc::into_inner(table));
        }
        evicted
    }

    fn pop(&mut self, from_small: bool) -> Option<Entry<T>> {
        if !from_small {
            return self.main.pop_front();
        }
        let entry = self.small.pop_front()?;
        self.small_bytes -= u64::from(entry.weight);
        Some(entry)
    }

    fn evict(&mut self, shared: &Shared<T>, table: &Table<T>, entry: &Entry<T>) -> Option<Arc<T>> {
        let mut place = table.place(entry.number)?.lock();
        place.evicted_at = self.evictions;
        self.evictions = self.evictions.checked_add(1).unwrap_or(NEVER + 1);
        let weight = u64::from(entry.weight);
        shared.used_bytes.fetch_sub(weight, Ordering::Relaxed);
        table.held_bytes.fetch_sub(weight, Ordering::Relaxed);
        table.held.fetch_sub(1, Ordering::Relaxed);
        shared.counters.count(Event::Evicted);
        place.page.take()
    }

    /// Entries of owners that are gone must not pile up where nothing is evicted.
    fn sweep(&mut self, shared: &Shared<T>) {
        let count = self.len();
        let dead = shared.dead.load(Ordering::Relaxed);
        if count < SWEEP_MIN || dead < isize::try_from(count / 4).unwrap_or(isize::MAX) {
            return;
        }
        for queue in [&mut self.small, &mut self.main] {
            queue.retain(|entry| entry.table.strong_count() > 0);
            queue.shrink_to(queue.len() * 2);
        }
        let weights = self.small.iter().map(|entry| u64::from(entry.weight));
        self.small_bytes = weights.sum();
        let swept = isize::try_from(count - self.len()).unwrap_or(isize::MAX);
        shared.dead.fetch_sub(swept, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl<T> Queues<T> {
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Weak<Table<T>>, u32)> {
        let entries = self.small.iter().chain(&self.main);
        entries.map(|entry| (&entry.table, entry.number))
    }

    pub(super) fn set_evictions(&mut self, evictions: u32) {
        self.evictions = evictions;
    }
}

/// Whether a page was used and is to be spared for it: in the small queue once and for all uses, in
/// the main queue once for each. One that is being used at this moment was.
fn take_use<T>(table: &Table<T>, number: u32, from_small: bool) -> bool {
    let Some(place) = table.place(number) else {
        return false;
    };
    let Some(mut place) = place.try_lock() else {
        return true;
    };
    let was_used = place.uses > 0;
    place.uses = if from_small {
        0
    } else {
        place.uses.saturating_sub(1)
    };
    was_used
}
