//! Writing a run to an `io::Write`, block by block.
//!
//! For flushes, compactions and exports: memory is one block and the index, whatever the size of
//! the run. It never opens, syncs or renames a file, and it never writes after a failed write.

use std::fmt;
use std::io;
use std::ops::Range;

use crate::block::Block;
use crate::encode::{Encoder, RunSummary};
use crate::entry::Entry;
use crate::error::Error;

/// The index goes out in writes of at most this many bytes.
const INDEX_WRITE_BYTES_MAX: usize = 256 << 10;

/// Why a [`RunStream`] did not take an entry, or did not finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The entry was refused: out of order, or too long. Nothing was added, and the stream stays
    /// usable: go on with the next entry, or give up.
    #[error("entry refused")]
    Entry(#[source] Error),

    /// The writer failed. How much of the block it took is unknown, so the stream is of no use
    /// any more: discard what was written and start a new run.
    #[error("write of a run failed")]
    Io(#[source] io::Error),

    /// An earlier write failed, and this stream writes no more. Discard it.
    #[error("an earlier write of this run failed")]
    Failed,
}

/// Encodes entries, pushed in strictly ascending key order, straight into a writer.
///
/// Memory is one block and the index (about 20 bytes plus a key for each 4 KiB). The bytes are
/// those of [`RunWriter`](crate::RunWriter). Each block is one call to the writer, so give it a
/// buffer of its own if calls are dear. Nothing is durable until you sync the file yourself.
///
/// ```
/// use lsm_format::{Entry, RunStream};
///
/// let mut stream = RunStream::new(Vec::new());
/// stream.push(b"apple", Entry::Value(b"red"))?;
/// stream.push(b"banana", Entry::Tombstone)?;
/// let (file, summary) = stream.finish()?;
/// assert_eq!(summary.entry_count, 2);
/// assert_eq!(summary.file_len, file.len() as u64);
/// assert_eq!(summary.largest_key, "banana");
/// # Ok::<(), lsm_format::WriteError>(())
/// ```
pub struct RunStream<W> {
    writer: W,
    encoder: Encoder,
    /// A write failed: what the writer holds is unknown.
    failed: bool,
}

impl<W> fmt::Debug for RunStream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunStream")
            .field("entry_count", &self.encoder.entry_count())
            .field("bytes_written", &self.encoder.data_len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl<W: io::Write> RunStream<W> {
    /// Starts a run. Nothing is written before the first block is full, or `finish`.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            encoder: Encoder::new(),
            failed: false,
        }
    }

    /// Adds an entry; writes a block if this one fills it.
    ///
    /// # Errors
    /// [`WriteError::Entry`] if the entry is refused, after which the stream goes on;
    /// [`WriteError::Io`] if the writer fails, after which it does not.
    #[inline]
    pub fn push(&mut self, key: &[u8], entry: Entry<'_>) -> Result<(), WriteError> {
        self.check_usable()?;
        self.encoder.push(key, entry).map_err(WriteError::Entry)?;
        self.write_closed()
    }

    /// Adds the entries at the positions `range` of a decoded block, copied as they are.
    ///
    /// The bytes are those that pushing them one by one would give, for the price of a copy.
    /// Positions past the end of the block are ignored, and so is an empty or inverted range.
    ///
    /// # Errors
    /// As [`push`](Self::push); out of order, nothing is added.
    pub fn push_range(&mut self, block: &Block, range: Range<usize>) -> Result<(), WriteError> {
        self.check_usable()?;
        self.encoder
            .push_range(block, range)
            .map_err(WriteError::Entry)?;
        self.write_closed()
    }

    /// Returns how many values and tombstones were added.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.encoder.entry_count()
    }

    /// Returns the length of header and blocks so far, the block in progress included.
    ///
    /// The file will be longer by the index, about one per cent, and the footer.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.encoder.data_len()
    }

    /// Returns the bytes of memory that the stream holds, its writer not counted: the block in progress
    /// and the index.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Encoder>() + self.encoder.memory_bytes()
    }

    /// Writes the last block, index and footer, flushes the writer, and hands it back.
    ///
    /// # Errors
    /// [`WriteError::Io`], or [`WriteError::Failed`] after an earlier one: there is no whole run;
    /// discard what was written.
    pub fn finish(mut self) -> Result<(W, RunSummary), WriteError> {
        self.check_usable()?;
        let end = self.encoder.finish();
        let pieces = [&end.data[..]]
            .into_iter()
            .chain(end.index.chunks(INDEX_WRITE_BYTES_MAX))
            .chain([&end.footer[..]]);
        for piece in pieces {
            self.writer.write_all(piece).map_err(WriteError::Io)?;
        }
        self.writer.flush().map_err(WriteError::Io)?;
        Ok((self.writer, end.summary))
    }

    fn check_usable(&self) -> Result<(), WriteError> {
        if self.failed {
            Err(WriteError::Failed)
        } else {
            Ok(())
        }
    }

    /// Writes the blocks that are closed. The usual case, none, is the first comparison.
    #[inline]
    fn write_closed(&mut self) -> Result<(), WriteError> {
        if !self.encoder.has_closed_block() {
            return Ok(());
        }
        self.write_blocks()
    }

    fn write_blocks(&mut self) -> Result<(), WriteError> {
        if let Err(error) = self.writer.write_all(self.encoder.closed()) {
            self.failed = true;
            return Err(WriteError::Io(error));
        }
        self.encoder.take_closed();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
