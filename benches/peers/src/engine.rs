//! What the cells need of an engine. Each engine has a file of its own under `engines/`.
//!
//! The traits are generic and not `dyn`, so that nothing stands between a cell and an engine. An
//! adapter uses the fastest way that the engine documents for the job, and asks for the promise that
//! [`Options`] names; where an engine cannot give that promise, its options say so.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;

/// What every engine is asked for alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Durable: an acknowledged write is on stable storage. Otherwise it was handed to the operating
    /// system: it survives a kill of the process.
    pub durable: bool,
    pub cache_bytes: usize,
    /// Bytes of a memtable, or whatever an engine calls its write buffer; the B-trees have none.
    pub memtable_bytes: usize,
    /// Threads for background work; the B-trees have none.
    pub threads: usize,
    /// Leave all of the above but the durability to the engine's own defaults, compression included.
    pub defaults: bool,
    /// Leave runs where flushes put them: an unsettled tree that stays so. The B-trees have none.
    pub hold_compaction: bool,
    /// Write without a log, where an engine can: as `lsm-db` 1.1.0 does.
    pub no_log: bool,
}

/// One operation of a batch.
#[derive(Clone, Copy)]
pub enum Operation<'a> {
    Put(&'a [u8], &'a [u8]),
    Remove(&'a [u8]),
}

/// Where a scan begins and which way it goes.
#[derive(Clone, Copy)]
pub enum From<'a> {
    /// At the first key, forward.
    First,
    /// At the last key, backward.
    Last,
    /// At the first key that is not below this one, forward.
    Key(&'a [u8]),
}

/// An open database.
pub trait Engine: Sized + Sync {
    /// Answers reads of one thread; see [`Reader`].
    type Reader<'a>: Reader
    where
        Self: 'a;

    /// Makes a database in an empty folder, or opens the one that is there.
    fn open(dir: &Path, options: &Options) -> Result<Self>;

    /// What the options became in this engine's own words, and which promise it gives.
    fn describe(options: &Options) -> Vec<(&'static str, String)>;

    /// Writes a batch as one: all or nothing.
    fn write(&self, batch: &[Operation<'_>]) -> Result<()>;

    /// Writes one key.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(&[Operation::Put(key, value)])
    }

    /// Removes one key.
    fn remove(&self, key: &[u8]) -> Result<()> {
        self.write(&[Operation::Remove(key)])
    }

    /// Makes all that was written durable.
    fn sync(&self) -> Result<()>;

    /// Opens a snapshot, transaction or handle: whatever this engine reads with.
    fn reader(&self) -> Result<Self::Reader<'_>>;

    /// Finds the first key and removes it, as two steps or in one, whatever is faster. Says whether
    /// there was a key.
    fn pop_first(&self) -> Result<bool> {
        let mut first = Vec::new();
        let found = self.reader()?.scan(From::First, 1, |key, _| {
            first.extend_from_slice(key);
        })?;
        if found > 0 {
            self.remove(&first)?;
        }
        Ok(found > 0)
    }

    /// Returns when the background work that writes left behind is done. Memtables stay.
    fn wait_idle(&self) -> Result<()>;

    /// Writes the memtable to disk, then waits as [`wait_idle`](Self::wait_idle) does.
    fn settle(&self) -> Result<()>;

    /// Makes the database as small as the engine can on demand. Says whether it has such a thing.
    fn compact(&mut self) -> Result<bool>;

    /// How often the log was synced since the open, where the engine counts it.
    fn log_syncs(&self) -> Option<u64> {
        None
    }

    /// How many bytes of memory the engine says that it holds, where it says so.
    fn memory_told(&self) -> Option<u64> {
        None
    }

    /// How many data blocks were read from files since the open, where the engine counts it.
    fn blocks_read(&self) -> Option<u64> {
        None
    }

    /// Whether a file of this name is part of the log, which a settled database needs no more.
    fn is_log(_: &str) -> bool {
        false
    }

    /// Closes in order, so that the next open has nothing to recover.
    fn close(self) -> Result<()>;
}

/// Reads of one thread.
///
/// What is seen is what was there when it was made, or newer.
pub trait Reader {
    /// Finds a key and shows its value.
    fn get(&mut self, key: &[u8], see: impl FnMut(&[u8])) -> Result<bool>;

    /// Shows at most `limit` entries in order, and says how many: by the cheapest way there is.
    fn scan(
        &mut self,
        from: From<'_>,
        limit: usize,
        see: impl FnMut(&[u8], &[u8]),
    ) -> Result<usize>;

    /// The same by way of owned keys and values, where the engine has an iterator of those.
    fn scan_owned(
        &mut self,
        from: From<'_>,
        limit: usize,
        see: impl FnMut(&[u8], &[u8]),
    ) -> Result<usize> {
        self.scan(from, limit, see)
    }

    /// Shows the entries from `from` (included) to `to` (excluded), and says how many.
    fn range(&mut self, from: &[u8], to: &[u8], see: impl FnMut(&[u8], &[u8])) -> Result<usize>;
}
