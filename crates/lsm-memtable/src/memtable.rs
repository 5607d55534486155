//! [`Memtable`]: what writers, readers and the flush of an engine hold.
//!
//! It owns the parts that hold entries and the counters about them, turns a read into reads of its
//! parts, and decides when a front is full and who makes an array of it. It does no ordering of its own, knows no file,
//! no log, and no published seqno.
//!
//! Threads: one inserts at a time, by a lock; any number read, without one. The parts are replaced as
//! a whole before the first insert into a new front, so whoever has a seqno from somebody who inserted
//! it finds it in the parts that are loaded afterwards.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::cursor::MemtableCursor;
use crate::maintenance::Maintenance;
use crate::parts::{Disposal, HeldFront, Parts, Retired, sorted_batch};
use crate::shared::{Shared, Writer};

/// What an entry of the front costs beside the bytes of its key and value, as [`Memtable::bytes`]
/// counts it: an estimate of 120 bytes.
///
/// A node holds two [`Bytes`] handles (64 bytes on a 64-bit machine), the key's head and the seqno
/// (16), a reference count (8) and on average two tower pointers (16); the allocator adds its header
/// and rounding (12 on average with glibc), and one key in 32 is held a second time, as a landmark
/// for walking backwards (4).
pub const ENTRY_OVERHEAD_BYTES: u64 = 120;

/// A batch of so many entries is better sorted than inserted one by one: see
/// [`Memtable::insert_large_batch`].
pub const LARGE_BATCH_ENTRIES: usize = 64;

/// The front is full at so many entries.
const FRONT_ENTRIES_MAX: u64 = 8192;

/// The front is full at so many bytes, if not before, unless configured: what fits into a processor's
/// caches.
pub const FRONT_BYTES_MAX: u64 = 4 << 20;

/// A front of fewer becomes an array at once, if no other waits: that takes no longer than to have
/// somebody else do it.
const SEALED_ENTRIES_MIN: u64 = 32;

/// So many full fronts may wait for maintenance, each searched by every read meanwhile. Of more, the
/// writer makes arrays itself.
const SEALED_FRONTS_MAX: usize = 4;

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
    ///
    /// A small value may share memory with thousands of others: copy what is kept for long.
    pub value: Option<Bytes>,
}

/// A sorted in-memory buffer that keeps every version of every key.
///
/// Entries are ordered by user key ascending, then by seqno descending. A read names a seqno and
/// sees, of each key, the newest version at or below it.
///
/// # Concurrency
///
/// Inserts take turns, by a lock, under which what they are given runs: iterators, handles and
/// disposals must not insert themselves. Any number of threads read meanwhile, without locks, and never
/// wait for the writer. Seqnos come in ascending order: an insert at one that is below the largest so far
/// is the caller's mistake, and may hide newer versions.
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
    pub(crate) shared: Arc<Shared>,
    front_bytes_max: u64,
    disposal: Option<Disposal>,
    entry_count: AtomicU64,
    /// `u64::MAX` until the first insert, so that an empty memtable has smallest > largest.
    seqno_smallest: AtomicU64,
    seqno_largest: AtomicU64,
}

impl Memtable {
    /// Creates an empty memtable.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared::new(Parts::of_front(HeldFront::new(None)), None)),
            front_bytes_max: FRONT_BYTES_MAX,
            disposal: None,
            entry_count: AtomicU64::new(0),
            seqno_smallest: AtomicU64::new(u64::MAX),
            seqno_largest: AtomicU64::new(0),
        }
    }

    /// This memtable, still empty, with a front that is full at `bytes` bytes, if it is not at 8,192
    /// entries. 4 MiB unless said otherwise; a smaller front suits a small memtable.
    #[must_use]
    pub fn with_front_bytes_max(self, bytes: u64) -> Self {
        debug_assert!(self.is_empty(), "configured before the first insert");
        Self {
            front_bytes_max: bytes,
            ..self
        }
    }

    /// This memtable, still empty, which hands fronts to `dispose` where it would drop them: freeing
    /// one takes a fraction of a millisecond, and the last to hold it may be a reader.
    #[must_use]
    pub fn with_disposal(self, dispose: impl Fn(Retired) + Send + Sync + 'static) -> Self {
        debug_assert!(self.is_empty(), "configured before the first insert");
        let disposal: Disposal = Arc::new(dispose);
        let parts = Parts::of_front(HeldFront::new(Some(Arc::clone(&disposal))));
        Self {
            shared: Arc::new(Shared::new(parts, self.shared.start_maintenance())),
            disposal: Some(disposal),
            ..self
        }
    }

    /// This memtable, still empty, which hands `start` its [`Maintenance`] whenever a front of some size is full, and
    /// whenever searching in many arrays has cost readers about as much as merging them would; one at a
    /// time. `start` is called by the insert or the read that notices, so it should have it run by another
    /// thread: run in place, it would take the insert's time, and a read in the iterator of an insert could wait for
    /// that insert.
    ///
    /// Without this, or if what is handed out is not run in time, inserts do what has to be done.
    ///
    /// # Examples
    ///
    /// ```
    /// use bytes::Bytes;
    /// use lsm_memtable::Memtable;
    ///
    /// let memtable = Memtable::new()
    ///     .with_maintenance(|maintenance| drop(std::thread::spawn(|| maintenance.run())));
    /// memtable.insert(1, Bytes::from("k"), None);
    /// assert!(memtable.get(b"k", 1).is_some());
    /// ```
    #[must_use]
    pub fn with_maintenance(mut self, start: impl Fn(Maintenance) + Send + Sync + 'static) -> Self {
        debug_assert!(self.is_empty(), "configured before the first insert");
        // Nobody else has it yet.
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.set_start_maintenance(Arc::new(start));
        }
        self
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
    /// faster, because the search paths of neighbours are still in the cache. For a batch of
    /// [`LARGE_BATCH_ENTRIES`] or more there is [`insert_large_batch`](Self::insert_large_batch).
    pub fn insert_batch(
        &self,
        seqno: u64,
        entries: impl IntoIterator<Item = (Bytes, Option<Bytes>)>,
    ) {
        let has_sealed = self.insert_in_front(&mut self.shared.lock_writer(), seqno, entries);
        if has_sealed {
            self.shared.maintain();
        }
    }

    /// Inserts many entries under one seqno, in the order given, by sorting them once.
    ///
    /// The outcome is that of [`insert_batch`](Self::insert_batch), but what is inserted never sees the
    /// lock-free structure: that costs a fraction, and makes no difference to readers but a good one.
    /// Small entries are copied; of a key and a value that have more than 4 KiB together, `share` is
    /// asked for handles. The seqno must be larger than any before, or the entries are inserted one by
    /// one after all.
    ///
    /// # Examples
    ///
    /// ```
    /// use bytes::Bytes;
    /// use lsm_memtable::Memtable;
    ///
    /// let words = ["pear", "apple", "quince", "fig"]; // and some hundred more
    /// let memtable = Memtable::new();
    /// let entries = words.map(|word| (word.as_bytes(), Some(&b"fruit"[..])));
    /// memtable.insert_large_batch(1, entries, Bytes::copy_from_slice);
    /// assert!(memtable.get(b"fig", 1).is_some());
    /// ```
    pub fn insert_large_batch<'a>(
        &self,
        seqno: u64,
        entries: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        mut share: impl FnMut(&'a [u8]) -> Bytes,
    ) {
        let entries: Vec<_> = entries.into_iter().collect();
        if entries.is_empty() {
            return;
        }
        let mut writer = self.shared.lock_writer();
        if !self.is_newer_than_all(seqno) {
            let entries = entries.into_iter();
            let shared = entries.map(|(key, value)| (share(key), value.map(&mut share)));
            self.insert_in_front(&mut writer, seqno, shared);
            return;
        }
        if writer.front.entries > 0 {
            self.seal_front(&mut writer);
        }
        self.flatten_sealed(&mut writer, 0);
        let array = sorted_batch(seqno, &entries, share);
        let added = array.len() as u64;
        writer.latest_is_copied = !array.has_handles();
        let parts = self.shared.parts().with_array(array);
        self.shared.replace_parts(&writer, parts);
        self.shared.merge_alike(&writer);
        self.note_inserted(seqno, added);
    }

    /// Returns whether a front waits for maintenance because of it.
    fn insert_in_front(
        &self,
        writer: &mut Writer,
        seqno: u64,
        entries: impl IntoIterator<Item = (Bytes, Option<Bytes>)>,
    ) -> bool {
        let is_full = self.front_is_full(writer) && self.is_newer_than_all(seqno);
        let may_wait = is_full && self.may_wait(writer);
        if is_full {
            if may_wait {
                self.flatten_sealed(writer, SEALED_FRONTS_MAX - 1);
            }
            self.seal_front(writer);
            if !may_wait {
                self.flatten_sealed(writer, 0);
            }
        }
        // Counted as they go in, so that a panic of the iterator leaves no entry unaccounted for.
        let tally = &mut writer.front;
        let (entries_before, bytes_before) = (tally.entries, tally.bytes);
        let added = self.shared.parts().front.insert_all(
            seqno,
            entries.into_iter().inspect(|(key, value)| {
                let value_bytes = value.as_ref().map_or(0, Bytes::len);
                tally.entries += 1;
                tally.bytes += key.len() as u64 + value_bytes as u64 + ENTRY_OVERHEAD_BYTES;
            }),
        );
        if tally.entries == entries_before {
            return may_wait;
        }
        let bytes = tally.bytes - bytes_before;
        writer.latest_is_copied = false;
        self.shared.add_bytes(bytes);
        self.note_inserted(seqno, added);
        may_wait
    }

    /// Counts bytes that the latest insert keeps alive beside its keys and values: what else is in the
    /// buffers that these are slices of. They are forgotten when all entries of the front have become
    /// copies, and not counted if those of the latest insert are.
    pub fn add_slack(&self, bytes: u64) {
        let mut writer = self.shared.lock_writer();
        let tally = if writer.latest_is_copied {
            return;
        } else if writer.front.entries > 0 {
            &mut writer.front.slack_bytes
        } else {
            &mut writer.kept_slack_bytes
        };
        *tally += bytes;
        self.shared.add_bytes(bytes);
    }

    fn front_is_full(&self, writer: &Writer) -> bool {
        writer.front.entries >= FRONT_ENTRIES_MAX || writer.front.bytes >= self.front_bytes_max
    }

    /// Whether the front, which is full, may wait for maintenance.
    fn may_wait(&self, writer: &Writer) -> bool {
        let is_worth_it = writer.front.entries >= SEALED_ENTRIES_MIN;
        self.shared.is_maintained() && (is_worth_it || !self.shared.parts().sealed.is_empty())
    }

    fn is_newer_than_all(&self, seqno: u64) -> bool {
        self.is_empty() || seqno > self.seqno_largest.load(Ordering::Relaxed)
    }

    /// A new front takes the place of the one that there is.
    fn seal_front(&self, writer: &mut Writer) {
        let tally = std::mem::take(&mut writer.front);
        let front = HeldFront::new(self.disposal.clone());
        let parts = self.shared.parts().with_front(front, tally);
        self.shared.replace_parts(writer, parts);
    }

    /// Makes arrays of the oldest sealed fronts until so many are left.
    fn flatten_sealed(&self, writer: &mut Writer, left: usize) {
        loop {
            let parts = self.shared.parts();
            let oldest = parts.sealed.get(left..).unwrap_or_default().last();
            let Some(oldest) = oldest else {
                return;
            };
            self.shared.end_flatten(writer, oldest, oldest.flatten());
            self.shared.merge_alike(writer);
        }
    }

    /// By who has the writer's lock, so that loads and stores are enough.
    fn note_inserted(&self, seqno: u64, added: u64) {
        let count = self.entry_count.load(Ordering::Relaxed);
        self.entry_count.store(count + added, Ordering::Relaxed);
        if seqno < self.seqno_smallest.load(Ordering::Relaxed) {
            self.seqno_smallest.store(seqno, Ordering::Relaxed);
        }
        if seqno > self.seqno_largest.load(Ordering::Relaxed) {
            self.seqno_largest.store(seqno, Ordering::Relaxed);
        }
    }

    /// Looks up the newest version of `key` at or below `seqno`.
    ///
    /// `None`: this memtable knows nothing of the key at that seqno, an older source may. A
    /// tombstone is `Some`, with `value: None`.
    pub fn get(&self, key: &[u8], seqno: u64) -> Option<Found> {
        let parts = self.shared.parts();
        let in_front = parts.front.get(key, seqno).or_else(|| {
            let mut sealed = parts.sealed.iter();
            sealed.find_map(|sealed| sealed.front.get(key, seqno))
        });
        in_front.or_else(|| {
            let mut searched = 0_usize;
            let found = parts.visible_arrays(seqno).find_map(|array| {
                searched += 1;
                array.get(key, seqno)
            });
            self.shared.searched(searched.saturating_sub(1), key, seqno);
            found
        })
    }

    /// Creates a cursor that sees, of each key, the newest version at or below `seqno`, tombstones
    /// included.
    ///
    /// It keeps the parts alive that the memtable had at its latest seek, and is not positioned until the
    /// first. `seqno` should be published: the cursor then shows one unchanging snapshot. Entries that are
    /// inserted later at or below `seqno` may or may not be seen.
    pub fn cursor(&self, seqno: u64) -> MemtableCursor {
        MemtableCursor::new(Arc::clone(&self.shared), seqno)
    }

    /// How many bytes the memtable holds: keys, values and what each entry costs beside them, which is
    /// [`ENTRY_OVERHEAD_BYTES`] in a front and 32 in an array; older versions included, replaced ones
    /// while they are in a front.
    ///
    /// It shrinks when a front becomes an array, and by all that was replaced in it. Keys and values count
    /// with their own lengths. In fronts, and where a key and its value have more than 4 KiB together, they are
    /// handles: if those are slices of larger buffers, the slack (record headers, neighbours that were
    /// not inserted) is the caller's to account for, with [`add_slack`](Self::add_slack).
    pub fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    /// Bytes of parts that were replaced by others and that cursors still keep alive, beside what
    /// [`bytes`](Self::bytes) counts: fronts that became arrays, and arrays that were merged.
    pub fn superseded_bytes(&self) -> u64 {
        self.shared.lock_superseded().bytes()
    }

    /// How many entries the memtable holds: each (key, seqno) once, tombstones included; twice, if it
    /// was inserted again after a large batch that had it.
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
