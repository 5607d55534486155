//! What a memtable shares with its cursors and its maintenance.
//!
//! It holds the parts that there are now, and says what maintenance there is to do: among others, when
//! searching in many arrays has cost readers as much as making one of them would. It inserts nothing.
//!
//! Threads: the parts are replaced under the writer's lock, by the thread that inserts or by maintenance
//! at the end of a step, which works without the lock. Meanwhile the writer merges none of the arrays
//! that a merge began with, which are the oldest, so that they are still there when it ends. A sealed
//! front may be an array by then, because the writer could not wait, and the step was for nothing.
//! Maintenance is asked for once at a time.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::array::Array;
use crate::key::key_head;
use crate::maintenance::Maintenance;
use crate::parts::{FrontTally, Parts, SealedFront};
use crate::superseded::Superseded;

/// One read in so many is counted, for as many: readers shall not all write to one place.
const COUNTED_EVERY: u64 = 16;

/// A search in an array takes about as long as merging so many entries of it.
const ENTRIES_PER_SEARCH: u64 = 2;

/// Fewer searches in vain are not worth a merge, however few entries there are.
const SEARCHES_MIN: u64 = 1024;

/// Takes maintenance, to run it elsewhere.
pub(crate) type StartMaintenance = Arc<dyn Fn(Maintenance) + Send + Sync>;

/// What maintenance does at a time.
pub(crate) enum Step {
    /// An array takes the place of the oldest sealed front.
    Flatten(SealedFront),
    /// One array takes the place of these.
    Merge(Range<usize>),
}

pub(crate) struct Shared {
    parts: ArcSwap<Parts>,
    writer: Mutex<Writer>,
    superseded: Mutex<Superseded>,
    bytes: AtomicU64,
    searches: Searches,
    /// How many of these pay for a merge.
    searches_max: AtomicU64,
    start_maintenance: Option<StartMaintenance>,
}

/// Arrays that reads have searched beyond the first, about, since they were last merged for it. On a
/// cache line that readers need for nothing else.
#[derive(Default)]
#[repr(align(64))]
struct Searches {
    count: AtomicU64,
    /// Maintenance was asked for that is neither done nor dropped.
    is_asked_for: AtomicBool,
}

/// What is kept account of by whoever changes the parts.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) front: FrontTally,
    /// Slack of entries that are handles in an array.
    pub(crate) kept_slack_bytes: u64,
    /// What was inserted last is all copies, and keeps no buffer alive.
    pub(crate) latest_is_copied: bool,
    /// So many of the oldest arrays are being merged, without the lock.
    pub(crate) being_merged: usize,
}

impl Shared {
    pub(crate) fn new(parts: Parts, start_maintenance: Option<StartMaintenance>) -> Self {
        Self {
            parts: ArcSwap::from_pointee(parts),
            writer: Mutex::default(),
            superseded: Mutex::default(),
            bytes: AtomicU64::new(0),
            searches: Searches::default(),
            searches_max: AtomicU64::new(u64::MAX),
            start_maintenance,
        }
    }

    pub(crate) fn start_maintenance(&self) -> Option<StartMaintenance> {
        self.start_maintenance.clone()
    }

    pub(crate) fn set_start_maintenance(&mut self, start: StartMaintenance) {
        self.start_maintenance = Some(start);
    }

    /// Whether somebody runs maintenance.
    pub(crate) fn is_maintained(&self) -> bool {
        self.start_maintenance.is_some()
    }

    pub(crate) fn parts(&self) -> Guard<Arc<Parts>> {
        self.parts.load()
    }

    pub(crate) fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_superseded(&self) -> MutexGuard<'_, Superseded> {
        self.superseded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// By who has the writer's lock, so that a load and a store are enough.
    pub(crate) fn add_bytes(&self, bytes: u64) {
        let before = self.bytes.load(Ordering::Relaxed);
        self.bytes.store(before + bytes, Ordering::Relaxed);
    }

    /// Publishes parts whose front the writer keeps account of.
    pub(crate) fn replace_parts(&self, writer: &Writer, parts: Parts) {
        let front_bytes = writer.front.bytes + writer.front.slack_bytes;
        let bytes =
            parts.array_bytes() + parts.sealed_bytes() + writer.kept_slack_bytes + front_bytes;
        let searches_max = match parts.arrays.len() {
            0 | 1 => u64::MAX,
            _ => (parts.merge_cost() / ENTRIES_PER_SEARCH).max(SEARCHES_MIN),
        };
        let parts = Arc::new(parts);
        let before = self.parts.swap(Arc::clone(&parts));
        self.bytes.store(bytes, Ordering::Relaxed);
        self.searches_max.store(searches_max, Ordering::Relaxed);
        self.lock_superseded().note_arrays(&before, &parts);
    }

    /// `array` takes the place of the sealed front that it was made of, if that is still there.
    pub(crate) fn end_flatten(&self, writer: &mut Writer, flattened: &SealedFront, array: Array) {
        let has_handles = array.has_handles();
        if let Some(parts) = self.parts.load().with_flattened(flattened, array) {
            if has_handles {
                writer.kept_slack_bytes += flattened.tally.slack_bytes;
            }
            self.lock_superseded()
                .note_front(&flattened.front, flattened.bytes());
            self.replace_parts(writer, parts);
        }
    }

    /// By the writer: merges arrays of one size, if there are enough.
    pub(crate) fn merge_alike(&self, writer: &Writer) {
        if let Some(parts) = self.parts.load().with_alike_merged(writer.being_merged) {
            self.replace_parts(writer, parts);
        }
    }

    /// A read of `key` at `seqno` has searched so many arrays beyond the first.
    #[inline]
    pub(crate) fn searched(self: &Arc<Self>, arrays: usize, key: &[u8], seqno: u64) {
        if arrays > 0 && self.is_maintained() && is_counted(key, seqno) {
            self.note_searches(arrays as u64 * COUNTED_EVERY);
            if self.is_merge_paid() {
                self.ask_for_maintenance();
            }
        }
    }

    #[cold]
    pub(crate) fn note_searches(&self, searches: u64) {
        self.searches.count.fetch_add(searches, Ordering::Relaxed);
    }

    /// Whether reads have lost as much by searching many arrays as it costs to merge them.
    fn is_merge_paid(&self) -> bool {
        let searches = self.searches.count.load(Ordering::Relaxed);
        searches >= self.searches_max.load(Ordering::Relaxed)
    }

    /// Asks for maintenance if there is something to do.
    pub(crate) fn maintain(self: &Arc<Self>) {
        if self.next_step(&self.parts()).is_some() {
            self.ask_for_maintenance();
        }
    }

    /// Unless it was asked for already.
    fn ask_for_maintenance(self: &Arc<Self>) {
        if let Some(start) = &self.start_maintenance
            && !self.searches.is_asked_for.swap(true, Ordering::AcqRel)
        {
            start(Maintenance::of(self));
        }
    }

    /// What was asked for has ended: from now on it may be asked for again. If no step was taken, what reads
    /// have paid by now is forgotten, lest each of them asks.
    pub(crate) fn note_maintained(&self, has_stepped: bool) {
        if !has_stepped && self.is_merge_paid() {
            self.searches.count.store(0, Ordering::Relaxed);
        }
        // A swap, not a store: it synchronizes with the latest who found it asked for, so that the look for
        // more that follows sees what that one published.
        self.searches.is_asked_for.swap(false, Ordering::AcqRel);
    }

    /// Bytes of what the next step makes an array of.
    pub(crate) fn next_step_bytes(&self) -> u64 {
        let parts = self.parts.load();
        match self.next_step(&parts) {
            Some(Step::Flatten(sealed)) => sealed.bytes(),
            Some(Step::Merge(range)) => {
                let arrays = parts.arrays.get(range).unwrap_or_default();
                arrays.iter().map(|array| array.memory_bytes()).sum()
            }
            None => 0,
        }
    }

    fn next_step(&self, parts: &Parts) -> Option<Step> {
        if let Some(oldest) = parts.sealed.last() {
            return Some(Step::Flatten(oldest.clone()));
        }
        let alike = parts.alike();
        let all = || {
            let is_worth_it = parts.arrays.len() > 1 && self.is_merge_paid();
            // Not if cursors keep as much alive already as the arrays take.
            (is_worth_it && self.lock_superseded().bytes() <= parts.array_bytes())
                .then_some(0..parts.arrays.len())
        };
        alike.or_else(all).map(Step::Merge)
    }

    /// What is to be done next, to which parts; the writer leaves their arrays alone from now on if it is a
    /// merge. `None` if there is nothing to do, or a merge is under way.
    pub(crate) fn begin_step(&self) -> Option<(Arc<Parts>, Step)> {
        let mut writer = self.lock_writer();
        let parts = self.parts.load_full();
        if writer.being_merged > 0 {
            return None;
        }
        let step = self.next_step(&parts)?;
        if let Step::Merge(_) = step {
            writer.being_merged = parts.arrays.len();
        }
        Some((parts, step))
    }

    /// What was merged takes the place of those arrays of `before` that it was made of.
    pub(crate) fn end_merge(&self, before: &Parts, replaced: Range<usize>, merged: Array) {
        let is_all = replaced.len() == before.arrays.len();
        let writer = self.lock_writer();
        let parts = self.parts.load();
        if let Some(parts) = parts.with_merged(&before.arrays, replaced, merged) {
            self.replace_parts(&writer, parts);
        }
        if is_all {
            self.searches.count.store(0, Ordering::Relaxed);
        }
    }
}

/// Draws from the key, of which the ends differ where anything does, and from the seqno, so that it is
/// not always the same keys.
fn is_counted(key: &[u8], seqno: u64) -> bool {
    let tail = key.last_chunk().map_or(0, |tail| u64::from_be_bytes(*tail));
    let drawn = key_head(key) ^ tail.rotate_left(32) ^ seqno ^ key.len() as u64;
    // Fibonacci hashing: the upper bits depend on all.
    drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15) < u64::MAX / COUNTED_EVERY
}

#[cfg(test)]
pub(crate) mod tests;
