//! What a memtable shares with its cursors, and with whoever merges its arrays for readers.
//!
//! It holds the parts that there are now, and says when searching in many arrays has cost readers as
//! much as making one of them would: then it hands out an [`ArrayMerge`], for somebody to run who has
//! time. It inserts nothing.
//!
//! Threads: the parts are replaced under the writer's lock, by the thread that inserts or by a merge at
//! its end; a merge works without the lock. Meanwhile the writer merges none of the arrays that it began
//! with, which are the oldest, so that they are still there when it ends. One merge is asked for at a
//! time, and what reads did until its end is not counted for another.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::{ArcSwap, Guard};

use crate::array::{Array, merge};
use crate::key::key_head;
use crate::parts::Parts;
use crate::superseded::Superseded;

/// One read in so many is counted, for as many: readers shall not all write to one place.
const COUNTED_EVERY: u64 = 16;

/// A search in an array takes about as long as merging so many entries of it.
const ENTRIES_PER_SEARCH: u64 = 2;

/// Fewer searches in vain are not worth a merge, however few entries there are.
const SEARCHES_MIN: u64 = 1024;

/// Takes a merge of arrays that pays, to run it elsewhere.
pub(crate) type StartMerge = Arc<dyn Fn(ArrayMerge) + Send + Sync>;

pub(crate) struct Shared {
    parts: ArcSwap<Parts>,
    writer: Mutex<Writer>,
    superseded: Mutex<Superseded>,
    bytes: AtomicU64,
    searches: Searches,
    /// How many of these pay for a merge.
    searches_max: AtomicU64,
    start_merge: Option<StartMerge>,
}

/// Arrays that reads have searched beyond the first, about, since they were last merged for it. On a
/// cache line that readers need for nothing else.
#[derive(Default)]
#[repr(align(64))]
struct Searches {
    count: AtomicU64,
    /// A merge was asked for that is neither done nor dropped.
    is_merge_wanted: AtomicBool,
}

/// What the inserting thread keeps account of.
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

/// Of the front. Entries that replaced others count too.
#[derive(Default)]
pub(crate) struct FrontTally {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) slack_bytes: u64,
}

impl Shared {
    pub(crate) fn new(parts: Parts, start_merge: Option<StartMerge>) -> Self {
        Self {
            parts: ArcSwap::from_pointee(parts),
            writer: Mutex::default(),
            superseded: Mutex::default(),
            bytes: AtomicU64::new(0),
            searches: Searches::default(),
            searches_max: AtomicU64::new(u64::MAX),
            start_merge,
        }
    }

    pub(crate) fn start_merge(&self) -> Option<StartMerge> {
        self.start_merge.clone()
    }

    pub(crate) fn set_start_merge(&mut self, start: StartMerge) {
        self.start_merge = Some(start);
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
        let bytes = parts.array_bytes() + writer.kept_slack_bytes + front_bytes;
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

    /// A read of `key` at `seqno` has searched so many arrays beyond the first.
    #[inline]
    pub(crate) fn searched(self: &Arc<Self>, arrays: usize, key: &[u8], seqno: u64) {
        if arrays > 0 && self.start_merge.is_some() && is_counted(key, seqno) {
            self.count(arrays as u64 * COUNTED_EVERY);
        }
    }

    #[cold]
    fn count(self: &Arc<Self>, searches: u64) {
        let Searches {
            count,
            is_merge_wanted,
        } = &self.searches;
        let searches = count.fetch_add(searches, Ordering::Relaxed) + searches;
        if searches >= self.searches_max.load(Ordering::Relaxed)
            && !is_merge_wanted.swap(true, Ordering::Relaxed)
            && let Some(start) = &self.start_merge
        {
            start(ArrayMerge {
                shared: Arc::downgrade(self),
            });
        }
    }

    /// The parts whose arrays are to be merged; the writer leaves these alone from now on. `None` if there
    /// is nothing to do, or cursors keep as much alive already as the arrays take.
    fn begin_merge(&self) -> Option<Arc<Parts>> {
        let mut writer = self.lock_writer();
        let parts = self.parts.load_full();
        let is_crowded = self.lock_superseded().bytes() > parts.array_bytes();
        if writer.being_merged > 0 || parts.arrays.len() < 2 || is_crowded {
            return None;
        }
        writer.being_merged = parts.arrays.len();
        Some(parts)
    }

    /// What was merged takes the place of the arrays that the merge began with.
    fn end_merge(&self, before: &Parts, merged: Array) {
        let writer = self.lock_writer();
        if let Some(parts) = self.parts.load().with_merged(&before.arrays, merged) {
            self.replace_parts(&writer, parts);
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

/// A merge of a memtable's arrays into one, which by now costs less than what readers lose without it.
///
/// [`Memtable::with_array_merges`](crate::Memtable::with_array_merges) has it handed out, one at a time.
/// It may be dropped instead of run, and does nothing if the memtable is gone.
pub struct ArrayMerge {
    pub(crate) shared: Weak<Shared>,
}

impl ArrayMerge {
    /// The bytes of memory that the merged array will take at most, beside those it is made of until it is
    /// done. Values behind handles are counted, and not copied.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let shared = self.shared.upgrade();
        shared.map_or(0, |shared| shared.parts().array_bytes())
    }

    /// Merges the arrays that there are, which takes some hundred nanoseconds for each entry, and for that
    /// time their memory a second time. Reads and inserts go on meanwhile.
    pub fn run(self) {
        if let Some(shared) = self.shared.upgrade()
            && let Some(before) = shared.begin_merge()
        {
            let _under_way = UnderWay(&shared);
            let arrays: Vec<&Array> = before.arrays.iter().map(|array| &**array).collect();
            let merged = merge(&arrays);
            shared.end_merge(&before, merged);
        }
    }
}

/// However it ends, another may be asked for, and by reads from now on.
impl Drop for ArrayMerge {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.searches.count.store(0, Ordering::Relaxed);
            let is_wanted = &shared.searches.is_merge_wanted;
            is_wanted.store(false, Ordering::Relaxed);
        }
    }
}

/// A merge has begun. However it ends, the writer may merge all arrays again.
struct UnderWay<'s>(&'s Shared);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock_writer().being_merged = 0;
    }
}

impl fmt::Debug for ArrayMerge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayMerge").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
