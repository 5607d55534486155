//! Building a run in memory.
//!
//! For runs that fit it, and for targets without files. [`RunStream`](crate::RunStream) is the
//! same encoder over a writer.

use alloc::vec::Vec;
use core::ops::Range;

use crate::block::Block;
use crate::encode::{Encoder, RunSummary};
use crate::entry::Entry;
use crate::error::Result;

/// Encodes entries, added in strictly ascending key order, into the bytes of a run.
///
/// The same entries always give the same bytes.
///
/// ```
/// use lsm_format::{Entry, RunReader, RunWriter};
///
/// let mut writer = RunWriter::new();
/// writer.put("apple", "red")?;
/// writer.delete("banana")?;
/// assert!(writer.put("apricot", "orange").is_err(), "out of order");
/// let run = writer.finish();
///
/// assert_eq!(RunReader::new(&run)?.get(b"banana")?, Some(Entry::Tombstone));
/// # Ok::<(), lsm_format::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RunWriter {
    encoder: Encoder,
}

impl Default for RunWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl RunWriter {
    /// Starts an empty run.
    #[must_use]
    pub fn new() -> Self {
        Self {
            encoder: Encoder::new(),
        }
    }

    /// Adds a key with its value.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`](crate::Error::OutOfOrder) unless `key` sorts after every key before
    /// it, [`Error::TooLong`](crate::Error::TooLong) over the length limits. Nothing is added,
    /// and the writer stays usable.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.encoder
            .push(key.as_ref(), Entry::Value(value.as_ref()))
    }

    /// Adds a tombstone for a key.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        self.encoder.push(key.as_ref(), Entry::Tombstone)
    }

    /// Adds the entries at the positions `range` of a decoded block, copied as they are.
    ///
    /// The bytes are those that adding them one by one would give. Positions past the end of the
    /// block are ignored, and so is an empty or inverted range.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`](crate::Error::OutOfOrder) unless the first of them sorts after every
    /// key before it; then nothing is added.
    pub fn push_range(&mut self, block: &Block, range: Range<usize>) -> Result<()> {
        self.encoder.push_range(block, range)
    }

    /// Returns how many values and tombstones were added.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.encoder.entry_count()
    }

    /// Returns the finished run. Without entries it is a valid, empty one.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.finish_with_summary().0
    }

    /// Returns the finished run and what it holds.
    #[must_use]
    pub fn finish_with_summary(self) -> (Vec<u8>, RunSummary) {
        let end = self.encoder.finish();
        let mut run = end.data;
        run.reserve_exact(end.index.len() + end.footer.len());
        run.extend_from_slice(&end.index);
        run.extend_from_slice(&end.footer);
        (run, end.summary)
    }
}
