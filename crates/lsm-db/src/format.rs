//! The run format in memory, as `lsm-db` 1.x has it: build a run from sorted entries, read one
//! back.
//!
//! The codec is the crate `lsm-format`; here its errors are the store's own. Runs are
//! byte-identical to those of 1.x for the same entries.

pub use lsm_format::{Entry, MAX_KEY_LEN, MAX_VALUE_LEN, crc32c};

use crate::{Error, Result};

impl From<lsm_format::Error> for Error {
    fn from(error: lsm_format::Error) -> Self {
        if error.is_corruption() {
            Self::Corruption {
                reason: error.reason(),
                detail: None,
                file: None,
                offset: error.offset(),
                block: error.block(),
            }
        } else {
            Self::invalid(error.reason())
        }
    }
}

/// Builds a run in memory from entries in strictly ascending key order.
///
/// # Examples
/// ```
/// use lsm_db::format::{Entry, RunReader, RunWriter};
/// let mut writer = RunWriter::new();
/// writer.put("a", "1")?;
/// writer.delete("b")?;
/// let run = writer.finish();
/// let reader = RunReader::new(&run)?;
/// assert_eq!(reader.get(b"a")?, Some(Entry::Value(b"1")));
/// assert_eq!(reader.get(b"b")?, Some(Entry::Tombstone));
/// # Ok::<(), lsm_db::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct RunWriter {
    inner: lsm_format::RunWriter,
}

impl RunWriter {
    /// A run without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a value.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a key not above the last one, or a key or value over 2^30
    /// bytes. Nothing was appended.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.inner.put(key, value)?)
    }

    /// Appends a tombstone.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.inner.delete(key)?)
    }

    /// The number of entries so far, tombstones included.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.inner.entry_count()
    }

    /// Ends the run and returns its bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.inner.finish()
    }
}

/// Reads a run that is in memory; borrows its bytes.
///
/// # Errors
/// Every method answers a damaged part with [`Error::Corruption`]; other parts can still be read.
#[derive(Debug, Clone)]
pub struct RunReader<'a> {
    inner: lsm_format::RunReader<'a>,
}

impl<'a> RunReader<'a> {
    /// Checks the frame of a run: magic, footer, index.
    ///
    /// # Errors
    /// [`Error::Corruption`] if these are not whole.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        Ok(Self {
            inner: lsm_format::RunReader::new(bytes)?,
        })
    }

    /// The number of entries that the footer states; it is outside every checksum.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.inner.entry_count()
    }

    /// The entry of `key`; `None` if the run has none.
    ///
    /// # Errors
    /// [`Error::Corruption`] if the block that could hold it is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry<'a>>> {
        Ok(self.inner.get(key)?)
    }

    /// All entries, ascending by key.
    #[must_use]
    pub fn iter(&self) -> RunIter<'a, '_> {
        RunIter {
            inner: self.inner.iter(),
        }
    }
}

impl<'a, 'r> IntoIterator for &'r RunReader<'a> {
    type Item = Result<(&'a [u8], Entry<'a>)>;
    type IntoIter = RunIter<'a, 'r>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The entries of a run, ascending by key; an error ends it.
#[derive(Debug, Clone)]
pub struct RunIter<'a, 'r> {
    inner: lsm_format::RunIter<'a, 'r>,
}

impl<'a> Iterator for RunIter<'a, '_> {
    type Item = Result<(&'a [u8], Entry<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.inner.next().map(|entry| entry.map_err(Error::from))
    }
}

impl std::iter::FusedIterator for RunIter<'_, '_> {}
