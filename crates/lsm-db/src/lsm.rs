//! The handle: every public operation, each a few lines over the engine. The reads are in [`reads`].

mod reads;

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;

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
        let engine = self.engine_of_this_process()?;
        engine.throttle(batch.encoded().len() as u64)?;
        engine.commit(Request::Write(batch, durability))
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
    /// durable. [`Error::DirectoryGone`] once if the directory was removed, then the same. With the
    /// log switched off, as [`flush`](Self::flush).
    pub fn sync(&self) -> Result<()> {
        if self.engine.config.wal_enabled() {
            let engine = self.engine_of_this_process()?;
            engine.commit(Request::Sync)?;
            engine.check_directory()
        } else {
            self.flush()
        }
    }

    /// Writes what is in memory as a run, and returns once that is in the durable manifest.
    /// Nothing in memory: does nothing.
    ///
    /// # Errors
    /// The first failure of what this call waits for is returned at once. The data stays in memory,
    /// and in the log if there is one, and the flush is tried again in the background. Call again
    /// to wait for that. If the failure has ended writing, later calls get [`Error::Poisoned`].
    /// [`Error::DirectoryGone`] if the directory was removed: then writing has ended.
    pub fn flush(&self) -> Result<()> {
        let engine = self.engine_of_this_process()?;
        engine.flush()?;
        engine.check_directory()
    }

    /// Flushes, and merges what the range holds now down to the deepest level that holds any of
    /// it, so that nothing of it that was deleted or overwritten is left. Returns when that is
    /// done; what is written meanwhile is not waited for.
    ///
    /// Runs that need no merge are read through and checked, so each run of the range has been read
    /// whole, or written anew, when this returns `Ok`: it costs at least one read of the range. The
    /// space of what was replaced is back then too, unless a snapshot, iterator or cursor holds it.
    /// Several callers may have ranges that overlap; each waits for its own only. The policy's own
    /// compactions go on meanwhile, by turns. Works also if the policy is off.
    ///
    /// # Errors
    /// As [`flush`](Self::flush). [`Error::Corruption`] names a damaged run that lies in the range, or
    /// outside of it but in the way: the range is compacted up to its keys, or not at all, and the
    /// same call says so again. Compact the ranges beside it. Any other failed merge is returned
    /// once and changes nothing: call again.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = lsm_db::Lsm::open(dir.path())?;
    /// store.put("log/1", "old")?;
    /// store.delete("log/1")?;
    /// store.compact_range("log/".."log0")?;
    /// assert_eq!(store.stats().levels.iter().map(|level| level.entries).sum::<u64>(), 0);
    /// # Ok::<(), lsm_db::Error>(())
    /// ```
    pub fn compact_range<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Result<()> {
        let owned = |bound: Bound<Bytes>| bound.map(|key| key.to_vec());
        let (lower, upper) = owned_bounds(&range);
        let engine = self.engine_of_this_process()?;
        let compacted = engine.compact_range(&(owned(lower), owned(upper)));
        // In a directory that was removed the first run is missing: that says less.
        engine.check_directory()?;
        compacted
    }

    /// What the store is made of, and what it has done since it was opened.
    ///
    /// In a child that was forked off the process which opened the store, nothing is counted, and
    /// `background_error` says so.
    #[must_use]
    pub fn stats(&self) -> Stats {
        match self.engine_of_this_process() {
            Ok(engine) => engine.stats(),
            Err(error) => Stats::unknown(&error),
        }
    }

    /// Ends background work and closes the files, and says how it went; with the log switched off
    /// it flushes first.
    ///
    /// Snapshots, iterators and cursors that are still alive go on, and keep the directory locked.
    ///
    /// With the log switched off, Ok means that every write is in a run, and the first failure of a
    /// flush that this call waits for is returned. Retries of it end with the handle, so what no
    /// run holds by then is lost. To lose nothing, call [`flush`](Self::flush) until it says Ok,
    /// and close then. With a log, nothing acknowledged is lost: what was not flushed is read from
    /// the log by the next open.
    ///
    /// # Errors
    /// Whatever [`drop`] would have to swallow: a failed flush or sync, [`Error::DirectoryGone`] or
    /// [`Error::Poisoned`].
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let config = lsm_db::LsmConfig::new().wal(false);
    /// let store = lsm_db::Lsm::open_with(dir.path(), config)?;
    /// store.put("ada", "1815")?;
    /// store.flush()?; // can be called again if it fails …
    /// store.close()?; // … and then this has nothing left to lose
    /// # Ok::<(), lsm_db::Error>(())
    /// ```
    pub fn close(self) -> Result<()> {
        self.shut_down()
        // Dropping comes next, finds the store closed, and does nothing more.
    }

    /// The engine, for all that writes, waits or takes a lock: a child that was forked off has
    /// no use of it.
    #[inline]
    fn engine_of_this_process(&self) -> Result<&Arc<Engine>> {
        self.engine.run_context.check_process()?;
        Ok(&self.engine)
    }

    fn shut_down(&self) -> Result<()> {
        self.engine_of_this_process()?;
        if self.engine.is_closing() {
            return Ok(());
        }
        let flushed = if self.engine.config.wal_enabled() {
            Ok(())
        } else {
            self.flush()
        };
        self.engine.end_work();
        let marked = self.engine.mark_clean();
        flushed
            .and(marked)
            .and_then(|()| self.engine.check_directory())
    }
}

impl Drop for Lsm {
    fn drop(&mut self) {
        // There is nobody to tell; `close` is for those who want to know.
        if let Err(Error::ForkedProcess) = self.shut_down() {
            // Parts of the engine take locks or join threads when dropped: a child leaks them.
            std::mem::forget(Arc::clone(&self.engine));
        }
    }
}

impl fmt::Debug for Lsm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lsm")
            .field("directory", &self.engine.directory.path())
            .finish_non_exhaustive()
    }
}
