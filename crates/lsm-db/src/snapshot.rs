//! A moment of the store, kept: every read of `Lsm`, answered as it was then.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use lsm_compact::prefix_bounds;

use crate::held::HeldView;
use crate::{Cursor, Range, Result, Scan};

/// The store as it was at one moment, for as many reads as wanted.
///
/// Made by [`Lsm::snapshot`](crate::Lsm::snapshot), at no cost that grows with the store. It has
/// every read of [`Lsm`](crate::Lsm), and they all agree with each other: whatever is written,
/// flushed or merged afterwards, the answers are those of the moment. Clones are cheap and show the
/// same moment; it may be shared between threads, and it outlives the handle.
///
/// While it lives, what it shows stays: memtables in memory and runs on the disk that have been
/// superseded since. [`Stats`](crate::Stats) tells how much that is. It slows no writer, and no
/// compaction asks about it. Until it is dropped, its clones, iterators and cursors too, the
/// directory can't be opened again.
///
/// # Errors
/// Every read may fail as [`Lsm::get`](crate::Lsm::get) does, and may be tried again.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = lsm_db::Lsm::open(dir.path())?;
/// store.put("balance", "100")?;
/// let before = store.snapshot();
/// store.put("balance", "70")?;
/// store.put("paid", "30")?;
/// assert_eq!(before.get("balance")?, Some(b"100".to_vec()));
/// assert_eq!(before.get("paid")?, None);
/// assert_eq!(store.get("paid")?, Some(b"30".to_vec()));
/// # Ok::<(), lsm_db::Error>(())
/// ```
#[derive(Clone)]
pub struct Snapshot {
    held: Arc<HeldView>,
}

impl Snapshot {
    pub(crate) fn new(held: Arc<HeldView>) -> Self {
        Self { held }
    }

    /// The value that `key` had, or `None` if it was absent.
    ///
    /// # Errors
    /// As [`Lsm::get`](crate::Lsm::get).
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.held.view().get_vec(key.as_ref(), self.held.seqno())
    }

    /// The value that `key` had, without a copy if it is large: see
    /// [`Lsm::get_bytes`](crate::Lsm::get_bytes).
    ///
    /// # Errors
    /// As [`Lsm::get`](crate::Lsm::get).
    pub fn get_bytes(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        let (view, seqno) = (self.held.view(), self.held.seqno());
        view.get_bytes(key.as_ref(), seqno)
    }

    /// Whether `key` had a value.
    ///
    /// # Errors
    /// As [`Lsm::get`](crate::Lsm::get).
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        let (view, seqno) = (self.held.view(), self.held.seqno());
        view.contains_key(key.as_ref(), seqno)
    }

    /// The values that `keys` had, in the order of the keys: see
    /// [`Lsm::multi_get`](crate::Lsm::multi_get).
    ///
    /// # Errors
    /// The first that a key meets, as [`Lsm::get`](crate::Lsm::get).
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Bytes>>> {
        self.held.view().multi_get(keys, self.held.seqno())
    }

    /// The entry that had the smallest key, or `None` if there was none.
    ///
    /// # Errors
    /// As [`Lsm::get`](crate::Lsm::get).
    pub fn first(&self) -> Result<Option<(Bytes, Bytes)>> {
        self.held.view().first(self.held.seqno(), self.held.gaps())
    }

    /// The entry that had the largest key, or `None` if there was none.
    ///
    /// # Errors
    /// As [`Lsm::get`](crate::Lsm::get).
    pub fn last(&self) -> Result<Option<(Bytes, Bytes)>> {
        self.held.view().last(self.held.seqno(), self.held.gaps())
    }

    /// Whether there was no entry.
    ///
    /// # Errors
    /// As [`Lsm::get`](crate::Lsm::get).
    pub fn is_empty(&self) -> Result<bool> {
        self.held
            .view()
            .is_empty(self.held.seqno(), self.held.gaps())
    }

    /// The entries of a range, all at once: see [`Lsm::scan`](crate::Lsm::scan).
    ///
    /// # Errors
    /// The first that reading the range meets, as [`Lsm::get`](crate::Lsm::get).
    pub fn scan<R: RangeBounds<Vec<u8>>>(&self, range: R) -> Result<Scan> {
        let owned = |entry: Result<(Bytes, Bytes)>| entry.map(|(k, v)| (k.to_vec(), v.to_vec()));
        let entries: Result<Vec<_>> = self.range(range).map(owned).collect();
        entries.map(Scan::new)
    }

    /// The entries of a range, read as they are asked for, from both ends: see
    /// [`Lsm::range`](crate::Lsm::range).
    pub fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Range {
        let (lower, upper) = owned_bounds(&range);
        self.range_of(lower, upper)
    }

    /// The entries whose keys start with `prefix`, as [`range`](Self::range) gives them.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        let (lower, upper) = prefix_bounds(prefix.as_ref());
        self.range_of(lower, upper)
    }

    /// All entries, as [`range`](Self::range) gives them.
    pub fn iter(&self) -> Range {
        self.range_of(Bound::Unbounded, Bound::Unbounded)
    }

    /// A cursor over all entries, not yet positioned: see [`Lsm::cursor`](crate::Lsm::cursor).
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(Arc::clone(&self.held))
    }

    fn range_of(&self, lower: Bound<Bytes>, upper: Bound<Bytes>) -> Range {
        Range::new(Arc::clone(&self.held), lower, upper)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("seqno", &self.held.seqno())
            .finish_non_exhaustive()
    }
}

/// The bounds of a range, with keys of their own.
pub(crate) fn owned_bounds<K: AsRef<[u8]>>(
    range: &impl RangeBounds<K>,
) -> (Bound<Bytes>, Bound<Bytes>) {
    let owned = |bound: Bound<&K>| bound.map(|key| Bytes::copy_from_slice(key.as_ref()));
    (owned(range.start_bound()), owned(range.end_bound()))
}
