//! [`Memtable`]: what writers, readers and the flush of an engine hold.
//!
//! It owns the parts that hold entries and the counters about them, and turns a read into reads of
//! its parts. It does no ordering of its own, knows no file, no log, and no published seqno.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::cursor::{MemtableCursor, Slot};
use crate::front::Front;

/// What an entry costs beside the bytes of its key and value, as [`Memtable::bytes`] counts it: an
/// estimate of 120 bytes.
///
/// A node holds two [`Bytes`] handles (64 bytes on a 64-bit machine), the key's head and the seqno
/// (16), a reference count (8) and on average two tower pointers (16); the allocator adds its header
/// and rounding (12 on average with glibc), and one key in 32 is held a second time, as a landmark
/// for walking backwards (4).
pub const ENTRY_OVERHEAD_BYTES: u64 = 120;

/// A version of a key, as a lookup finds it.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use lsm_memtable::{Found, Memtable};
///
/// let memtable = Memtable::new();
/// memtable.insert(4, Bytes::from("k"), None);
/// assert_eq!(memtable.get(b"k", 9), Some(Found { seqno: 4, value: None }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The seqno it was inserted with.
    pub seqno: u64,
    /// Its value; `None` is a tombstone: the key was deleted, and older sources must not be asked.
    pub value: Option<Bytes>,
}

/// A sorted in-memory buffer that keeps every version of every key.
///
/// Entries are ordered by user key ascending, then by seqno descending. A read names a seqno and
/// sees, of each key, the newest version at or below it.
///
/// # Concurrency
///
/// At most one thread inserts at a time (the leader of a commit group); any number of threads read
/// meanwhile, without locks, and never wait for the writer. Two threads that do insert at once
/// break no memory and lose no entry, but which of two equal (key, seqno) wins is then open.
///
/// An entry is visible to a read at its seqno as soon as it is inserted. For a batch to appear as a
/// whole, insert all of it under one seqno, *then* publish that seqno (a release store that readers
/// load with acquire), and let readers read only at published seqnos. What a read at a published
/// seqno returns never changes afterwards.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use bytes::Bytes;
/// use lsm_memtable::Memtable;
///
/// let memtable = Arc::new(Memtable::new());
/// memtable.insert(1, Bytes::from("apple"), Some(Bytes::from("green")));
/// memtable.insert(2, Bytes::from("apple"), Some(Bytes::from("red")));
///
/// let found = memtable.get(b"apple", 1).unwrap();
/// assert_eq!(found.value.as_deref(), Some(&b"green"[..]));
///
/// let mut cursor = memtable.cursor(2);
/// cursor.seek_first();
/// assert_eq!(cursor.key(), Some(&b"apple"[..]));
/// assert_eq!(cursor.value(), Some(&b"red"[..]));
/// ```
pub struct Memtable {
    front: Front,
    bytes: AtomicU64,
    entry_count: AtomicU64,
    /// `u64::MAX` until the first insert, so that an empty memtable has smallest > largest.
    seqno_smallest: AtomicU64,
    seqno_largest: AtomicU64,
}

impl Memtable {
    /// Creates an empty memtable.
    pub fn new() -> Self {
        Self {
            front: Front::new(),
            bytes: AtomicU64::new(0),
            entry_count: AtomicU64::new(0),
            seqno_smallest: AtomicU64::new(u64::MAX),
            seqno_largest: AtomicU64::new(0),
        }
    }

    /// Inserts version `seqno` of `key`: a value, or `None` for a tombstone.
    ///
    /// A later insert of the same key and seqno replaces the earlier one, which is what a batch
    /// needs whose later operation on a key overrides an earlier one. The caller publishes `seqno`
    /// after its last insert; nobody may be reading at it before.
    ///
    /// The memtable keeps the two handles, and through them the buffers they are slices of.
    pub fn insert(&self, seqno: u64, key: Bytes, value: Option<Bytes>) {
        self.insert_batch(seqno, std::iter::once((key, value)));
    }

    /// Inserts many entries under one seqno, in the order given.
    ///
    /// The same as calling [`insert`](Self::insert) for each, but the cost of entering the lock-free
    /// structure is paid once for many entries. Entries need not be sorted; ascending keys are
    /// faster, because the search paths of neighbours are still in the cache.
    pub fn insert_batch(
        &self,
        seqno: u64,
        entries: impl IntoIterator<Item = (Bytes, Option<Bytes>)>,
    ) {
        let mut bytes = 0;
        let mut inserted = 0;
        let added = self.front.insert_all(
            seqno,
            entries.into_iter().inspect(|(key, value)| {
                let value_bytes = value.as_ref().map_or(0, Bytes::len);
                bytes += key.len() as u64 + value_bytes as u64 + ENTRY_OVERHEAD_BYTES;
                inserted += 1;
            }),
        );
        if inserted == 0 {
            return;
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.entry_count.fetch_add(added, Ordering::Relaxed);
        self.seqno_smallest.fetch_min(seqno, Ordering::Relaxed);
        self.seqno_largest.fetch_max(seqno, Ordering::Relaxed);
    }

    /// Looks up the newest version of `key` at or below `seqno`.
    ///
    /// `None`: this memtable knows nothing of the key at that seqno, an older source may. A
    /// tombstone is `Some`, with `value: None`.
    pub fn get(&self, key: &[u8], seqno: u64) -> Option<Found> {
        self.front.get(key, seqno)
    }

    /// Creates a cursor that sees, of each key, the newest version at or below `seqno`, tombstones
    /// included.
    ///
    /// It keeps the memtable alive, and is not positioned until the first seek. `seqno` should be
    /// published: the cursor then shows one unchanging snapshot. Entries that are inserted later at
    /// or below `seqno` may or may not be seen.
    pub fn cursor(self: &Arc<Self>, seqno: u64) -> MemtableCursor {
        MemtableCursor::new(Arc::clone(self), seqno)
    }

    /// How many bytes the memtable holds: keys, values and [`ENTRY_OVERHEAD_BYTES`] for every insert
    /// so far, older and replaced versions included.
    ///
    /// It never shrinks. Keys and values count with their own lengths; if they are slices of larger
    /// buffers, the slack (record headers, neighbours that were not inserted) is the caller's to
    /// account for.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many entries the memtable holds: each (key, seqno) once, tombstones included.
    pub fn entry_count(&self) -> u64 {
        self.entry_count.load(Ordering::Relaxed)
    }

    /// Whether nothing was inserted yet.
    pub fn is_empty(&self) -> bool {
        self.entry_count() == 0
    }

    /// The smallest and the largest seqno inserted so far; `None` while empty.
    pub fn seqno_range(&self) -> Option<(u64, u64)> {
        let smallest = self.seqno_smallest.load(Ordering::Relaxed);
        let largest = self.seqno_largest.load(Ordering::Relaxed);
        (smallest <= largest).then_some((smallest, largest))
    }

    /// Appends to `into`, ascending, the first visible entries at or behind `from`.
    ///
    /// At least one if there is any, and no more than about `count_max`.
    pub(crate) fn window_after(
        &self,
        from: Bound<&[u8]>,
        seqno: u64,
        count_max: usize,
        into: &mut Vec<Slot>,
    ) {
        self.front.window_after(from, seqno, count_max, into);
    }

    /// Appends to `into`, ascending, the last visible entries at or before `to`.
    ///
    /// At least one if there is any; just one if `count_max` is one.
    pub(crate) fn window_before(
        &self,
        to: Bound<&[u8]>,
        seqno: u64,
        count_max: usize,
        into: &mut Vec<Slot>,
    ) {
        self.front.window_before(to, seqno, count_max, into);
    }
}

impl Default for Memtable {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memtable")
            .field("entry_count", &self.entry_count())
            .field("bytes", &self.bytes())
            .field("seqno_range", &self.seqno_range())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
