//! The reads of the handle. One that ends within its call looks at the view of the moment; what
//! outlives its call is made of a snapshot. Nothing here waits for a write.

use std::ops::RangeBounds;

use bytes::Bytes;

use super::Lsm;
use crate::{Cursor, Range, Result, Scan, Snapshot};

impl Lsm {
    /// The value of `key`, or `None` if it is absent.
    ///
    /// # Errors
    /// [`Error::Corruption`](crate::Error::Corruption) or [`Error::Io`](crate::Error::Io) if the
    /// block that could hold the key can't be read; other keys are not affected.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let (view, seqno) = self.engine.publication.read();
        view.get_vec(key.as_ref(), seqno)
    }

    /// The value of `key`, or `None` if it is absent; without a copy if it is large.
    ///
    /// A value of 16 KiB or more shares the memory in which it was found, and keeps all of that
    /// alive: a block of a run, which is hardly larger than such a value, or, while the value is
    /// in a memtable, the group of writes that it came with, up to eight times the value. A shorter one is copied, and keeps nothing else.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = lsm_db::Lsm::open(dir.path())?;
    /// store.put("photo", vec![7; 1 << 20])?;
    /// let photo = store.get_bytes("photo")?.unwrap_or_default();
    /// let thumbnail = photo.slice(..100); // no copy either
    /// assert_eq!(thumbnail, vec![7; 100]);
    /// # Ok::<(), lsm_db::Error>(())
    /// ```
    pub fn get_bytes(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        let (view, seqno) = self.engine.publication.read();
        view.get_bytes(key.as_ref(), seqno)
    }

    /// Whether `key` has a value. It costs what [`get`](Self::get) does, less the copy.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        let (view, seqno) = self.engine.publication.read();
        view.contains_key(key.as_ref(), seqno)
    }

    /// The values of several keys at one moment: `None` for one that is absent, in the order of
    /// the keys, which may repeat. A batch is seen whole or not at all.
    ///
    /// # Errors
    /// The first that a key meets, as [`get`](Self::get); then there is no answer for any.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = lsm_db::Lsm::open(dir.path())?;
    /// store.put("a", "1")?;
    /// store.put("c", "3")?;
    /// let values = store.multi_get(["c", "b", "a"])?;
    /// assert_eq!(values, [Some("3".into()), None, Some("1".into())]);
    /// # Ok::<(), lsm_db::Error>(())
    /// ```
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Bytes>>> {
        let (view, seqno) = self.engine.publication.read();
        view.multi_get(keys, seqno)
    }

    /// The entry with the smallest key, or `None` if the store is empty. Kept, it keeps what
    /// [`get_bytes`](Self::get_bytes) says.
    ///
    /// # Errors
    /// As [`get`](Self::get), for the block where the entry is looked for.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = lsm_db::Lsm::open(dir.path())?;
    /// assert!(store.is_empty()?);
    /// store.put("b", "2")?;
    /// store.put("a", "1")?;
    /// assert_eq!(store.first()?, Some(("a".into(), "1".into())));
    /// assert_eq!(store.last()?, Some(("b".into(), "2".into())));
    /// # Ok::<(), lsm_db::Error>(())
    /// ```
    pub fn first(&self) -> Result<Option<(Bytes, Bytes)>> {
        let (view, seqno, gaps) = self.engine.read_with_gaps();
        view.first(seqno, gaps)
    }

    /// The entry with the largest key: see [`first`](Self::first).
    ///
    /// # Errors
    /// As [`first`](Self::first).
    pub fn last(&self) -> Result<Option<(Bytes, Bytes)>> {
        let (view, seqno, gaps) = self.engine.read_with_gaps();
        view.last(seqno, gaps)
    }

    /// Whether the store holds no entry. It looks for the first, past all that is deleted before
    /// it.
    ///
    /// # Errors
    /// As [`first`](Self::first).
    pub fn is_empty(&self) -> Result<bool> {
        let (view, seqno, gaps) = self.engine.read_with_gaps();
        view.is_empty(seqno, gaps)
    }

    /// The store as it is now, to be read later: see [`Snapshot`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.engine.hold_view())
    }

    /// The entries of a range, all at once, as they are now. Empty and inverted ranges give none.
    ///
    /// The result is in memory: use [`range`](Self::range) where it may be large.
    ///
    /// # Errors
    /// The first that reading the range meets, see [`get`](Self::get).
    pub fn scan<R: RangeBounds<Vec<u8>>>(&self, range: R) -> Result<Scan> {
        self.snapshot().scan(range)
    }

    /// The entries of a range as they are now, read as they are asked for, from both ends.
    ///
    /// Empty and inverted ranges give none.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = lsm_db::Lsm::open(dir.path())?;
    /// store.put("b", "2")?;
    /// let all: lsm_db::Result<Vec<_>> = store.range("a"..="b").collect();
    /// assert_eq!(all?, [("b".into(), "2".into())]);
    /// # Ok::<(), lsm_db::Error>(())
    /// ```
    pub fn range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Range {
        self.snapshot().range(range)
    }

    /// The entries whose keys start with `prefix`, as [`range`](Self::range) gives them.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        self.snapshot().prefix(prefix)
    }

    /// All entries, as [`range`](Self::range) gives them.
    pub fn iter(&self) -> Range {
        self.snapshot().iter()
    }

    /// A cursor over all entries as they are now, not yet positioned: see [`Cursor`].
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.snapshot().cursor()
    }
}
