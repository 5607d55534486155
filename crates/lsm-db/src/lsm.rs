//! The handle: every public operation, each a few lines over the engine. The reads are in [`reads`].

mod reads;

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use lsm_format::Entry;

use crate::commit::Request;
use crate::engine::Engine;
use crate::snapshot::owned_bounds;
use crate::{Batch, Durability, Error, LsmConfig, Result, Stats, recovery};

/// An ordered map from keys to values, both bytes, in a directory.
///
/// One handle a directory; share it between threads by reference or in an `Arc`. Keys are ordered
/// as bytes. Every read sees a consistent state: all of a batch or nothing of it, and every write
/// acknowledged before the read began.
///
/// Dropping the handle ends background work and syncs the log; nothing acknowledged is lost. It
/// does not flush, except that with the log switched off it tries to; [`close`](Self::close) does
/// the same and says how it went.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// let store = lsm_db::Lsm::open(dir.path())?;
/// store.put("ada", "1815")?;
/// assert_eq!(store.get("ada")?, Some(b"1815".to_vec()));
/// store.delete("ada")?;
/// assert_eq!(store.get("ada")?, None);
/// # Ok::<(), lsm_db::Error>(())
/// ```
pub struct Lsm {
    engine: Arc<Engine>,
}

impl Lsm {
    /// Opens the store in `dir`, making the directory if it is absent, with the default
    /// configuration.
    ///
    /// What a crash left is recovered: a prefix of all writes in the order they were committed,
    /// with every write in it that was acknowledged as durable.
    ///
    /// `dir` is resolved once, here. The store stays in that directory if the process changes its
    /// working directory, and if the directory is renamed or another one takes its place.
    ///
    /// A directory that `lsm-db` 1.x wrote is taken over, with all it holds; every run is read once
    /// for that, and 1.x refuses the directory afterwards. Take a copy first.
    ///
    /// # Errors
    /// [`Error::Locked`] if it is open already; [`Error::Corruption`] if what must be there isn't;
    /// [`Error::UnsupportedFormat`] for files of another format; [`Error::Io`]. In all these cases
    /// no data in the directory was removed.
    ///
    /// One error cannot be made up for by opening again: if the directory is new and the sync of
    /// its *parent* failed, its name may never become durable. Before the store holds anything,
    /// remove the directory, and open it again.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(dir, LsmConfig::new())
    }

    /// Opens the store in `dir` as [`open`](Self::open) does, configured.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub fn open_with(dir: impl AsRef<Path>, config: LsmConfig) -> Result<Self> {
        let engine = recovery::open(dir.as_ref(), config)?;
        Ok(Self { engine })
    }

    /// Gives `key` the value `value`, replacing any it had.
    ///
    /// Acknowledged as the configuration's [`Durability`] says.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a key or value over 2^30 bytes; otherwise as
    /// [`write`](Self::write).
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.write(Batch::of(key.as_ref(), Entry::Value(value.as_ref()))?)
    }

    /// Makes `key` absent; it need not be there.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.write(Batch::of(key.as_ref(), Entry::Tombstone)?)
    }

    /// Applies a batch: readers, and a recovery, see all of it or nothing of it.
    ///
    /// # Errors
    /// [`Error::ConditionFailed`] if it requires something that is not so, see
    /// [`Batch::require`]; [`Error::InvalidInput`] if the batch may not be written; [`Error::Io`] if the log or a
    /// stalled flush failed (with `StorageFull` the write was not applied, and writing resumes
    /// when there is room); [`Error::Poisoned`] after a failure that leaves open what is on disk.
    pub fn write(&self, batch: Batch) -> Result<()> {
        let config = &self.engine.config;
        let durability = if config.wal_enabled() {
            config.default_durability()
        } else {
            Durability::Buffered
        };
        self.submit(batch, durability)
    }

    /// Applies a batch, acknowledged as `durability` says.
    ///
    /// That goes for every answer to a batch with requirements, also [`Error::ConditionFailed`] and
    /// the answer to a batch without operations: with [`Durability::Sync`] all the writes that it
    /// depends on are on stable storage when it is given, so no crash can make it untrue. With
    /// [`Durability::Buffered`] a power cut may take back what was required to be there, or to be
    /// absent, together with everything committed after it.
    ///
    /// Requirements are judged while the batches that go to the log with this one wait. If a key's
    /// value is not in memory, that costs them its read too; if the read fails, this batch alone
    /// fails, with the error of [`get`](Self::get), and is not applied.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for [`Durability::Sync`] with the log switched off; otherwise as
    /// [`write`](Self::write).
    pub fn write_with(&self, batch: Batch, durability: Durability) -> Result<()> {
        if durability == Durability::Sync && !self.engine.config.wal_enabled() {
            return Err(Error::invalid(
                "a durable write needs the log, which is switched off",
            ));
        }
        self.submit(batch, durability)
    }

    fn submit(&self, batch: Batch, durability: Durability) -> Result<()> {
        batch.check()?;
        self.engine.throttle(batch.encoded().len() as u64)?;
        self.engine.commit(Request::Write(batch, durability))
    }

    /// Gives `key` the value `new` if it has the value `expected` now, in one step: `None` is
    /// "absent", and as `new` deletes it. Returns whether it did.
    ///
    /// `false` is an ordinary outcome, as in sled or etcd: somebody else was faster, or the caller
    /// was mistaken. To try again, read the key again. Acknowledged, either way, as
    /// [`write`](Self::write) does; for another durability or several keys see [`Batch::require`].
    ///
    /// # Errors
    /// As [`put`](Self::put); [`Error::Corruption`] or [`Error::Io`] if the key can't be read.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = lsm_db::Lsm::open(dir.path())?;
    /// // Adds one, whoever else does so at the same time.
    /// loop {
    ///     let found = store.get("count")?;
    ///     let bytes = found.as_deref().and_then(|value| value.try_into().ok());
    ///     let next = bytes.map_or(0, u64::from_be_bytes) + 1;
    ///     if store.compare_and_set("count", found.as_deref(), Some(&next.to_be_bytes()))? {
    ///         break;
    ///     }
    /// }
    /// assert!(!store.compare_and_set("count", None, Some(b"lost"))?);
    /// # Ok::<(), lsm_db::Error>(())
    /// ```
    pub fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        let mut batch = Batch::of(key.as_ref(), Entry::from(new))?;
        batch.require(key, expected);
        match self.write(batch) {
            Ok(()) => Ok(true),
            Err(Error::ConditionFailed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives `key` the value `value` if it is absent now, in one step. Returns whether it did.
    ///
    /// Of any number of callers at the same time, one is told `true`. Otherwise as
    /// [`compare_and_set`](Self::compare_and_set).
    ///
    /// # Errors
    /// As [`compare_and_set`](Self::compare_and_set).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = lsm_db::Lsm::open(dir.path())?;
    /// assert!(store.put_if_absent("leader", "ada")?);
    /// assert!(!store.put_if_absent("leader", "bob")?);
    /// assert_eq!(store.get("leader")?.as_deref(), Some(&b"ada"[..]));
    /// # Ok::<(), lsm_db::Error>(())
    /// ```
    pub fn put_if_absent(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        self.compare_and_set(key, None, Some(value.as_ref()))
    }

    /// Makes everything acknowledged so far durable. With the log switched off, flushes.
    ///
    /// # Errors
    /// [`Error::Io`] once if the sync fails, then [`Error::Poisoned`]: reopen to find out what is
    /// durable. [`Error::DirectoryGone`] once if the directory was removed, then the same.
    pub fn sync(&self) -> Result<()> {
        if self.engine.config.wal_enabled() {
            self.engine.commit(Request::Sync)?;
            self.engine.check_directory()
        } else {
            self.flush()
        }
    }

    /// Writes what is in memory as a run, and returns once that is in the durable manifest.
    /// Nothing in memory: does nothing.
    ///
    /// # Errors
    /// The first failure is returned at once; the data stays in memory and in the log, and the
    /// flush is tried again in the background. [`Error::DirectoryGone`] if the directory was removed:
    /// then writing has ended.
    pub fn flush(&self) -> Result<()> {
        self.engine.flush()?;
        self.engine.check_directory()
    }

    /// Flushes, and merges what the range holds now down to the deepest level that holds any of
    /// it, so that nothing of it that was deleted or overwritten is left. Returns when that is
    /// done; what is written meanwhile is not waited for.
    ///
    /// # Errors
    /// As [`flush`](Self::flush); a failed merge changes nothing.
    pub fn compact_range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Result<()> {
        let owned = |bound: Bound<Bytes>| bound.map(|key| key.to_vec());
        let (lower, upper) = owned_bounds(&range);
        self.engine.compact_range((owned(lower), owned(upper)))
    }

    /// What the store is made of, and what it has done since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Ends background work and closes the files, and says how it went; with the log switched off
    /// it flushes first.
    ///
    /// Snapshots, iterators and cursors that are still alive go on, and keep the directory locked.
    ///
    /// # Errors
    /// Whatever [`drop`] would have to swallow: a failed flush or sync, [`Error::DirectoryGone`] or
    /// [`Error::Poisoned`].
    pub fn close(self) -> Result<()> {
        self.shut_down()
        // Dropping comes next, finds the store closed, and does nothing more.
    }

    fn shut_down(&self) -> Result<()> {
        if self.engine.is_closing() {
            return Ok(());
        }
        let flushed = if self.engine.config.wal_enabled() {
            Ok(())
        } else {
            self.flush()
        };
        let closing = &self.engine.run_context.closing;
        closing.store(true, Ordering::Release);
        self.engine.pool.shutdown();
        flushed
            .and(self.engine.mark_clean())
            .and_then(|()| self.engine.check_directory())
    }
}

impl Drop for Lsm {
    fn drop(&mut self) {
        // There is nobody to tell; `close` is for those who want to know.
        let _ = self.shut_down();
    }
}

impl fmt::Debug for Lsm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lsm")
            .field("directory", &self.engine.directory.path())
            .finish_non_exhaustive()
    }
}
