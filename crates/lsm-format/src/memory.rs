//! A run that lies in memory, read by blocks.
//!
//! The [`BlockSource`] for runs that need no file: tests, devices, runs that came over a network.
//! With `std` it keeps the blocks that it decoded; without, where memory is scarce, none.

#[cfg(feature = "std")]
#[path = "memory/kept.rs"]
mod kept;
#[cfg(not(feature = "std"))]
#[path = "memory/none_kept.rs"]
mod kept;

use alloc::sync::Arc;
use bytes::Bytes;

use crate::block::Block;
use crate::cursor::BlockSource;
use crate::error::{Error, Result};
use crate::footer::{Footer, split_run};
use crate::index::Index;
use kept::KeptBlocks;

/// A whole run in memory, with its index decoded once: the simplest source of a cursor.
///
/// With the feature `std` each block is decoded once, when it is first needed, and kept. So a seek
/// costs two searches, and not the check of a block as well. What is kept shares the bytes, and takes
/// at most 10 bytes for each entry and 150 for each block beside them. To read a run that lies in
/// memory without that, use [`RunReader`](crate::RunReader).
///
/// Cloning shares the bytes, the index and the blocks that are kept.
#[derive(Debug, Clone)]
pub struct RunBytes {
    bytes: Bytes,
    footer: Footer,
    index: Arc<Index>,
    kept: KeptBlocks,
}

impl RunBytes {
    /// Checks frame and index of a run. The blocks are checked when they are read.
    ///
    /// # Errors
    /// [`Error::Frame`], [`Error::IndexChecksum`] or [`Error::Index`]: these bytes are no run.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        let (footer, index) = split_run(&bytes)?;
        let index = Arc::new(Index::decode(bytes.slice_ref(index), &footer)?);
        Ok(Self {
            kept: KeptBlocks::new(index.block_count()),
            bytes,
            footer,
            index,
        })
    }

    /// Returns the footer.
    #[must_use]
    pub fn footer(&self) -> &Footer {
        &self.footer
    }
}

impl BlockSource for RunBytes {
    type Error = Error;

    fn index(&self) -> Result<Arc<Index>> {
        Ok(Arc::clone(&self.index))
    }

    fn block(&self, index: &Index, i: usize) -> Result<Arc<Block>> {
        // A block that another run's index has checked is no block of this run.
        if !core::ptr::eq(index, &*self.index) {
            return self.decode(index, i).map(Arc::new);
        }
        self.kept
            .get_or_keep(i, || self.decode(index, i).map(Arc::new))
    }
}

impl RunBytes {
    fn decode(&self, index: &Index, i: usize) -> Result<Block> {
        let handle = index.bounds(i)?.handle;
        // Of an index of another run the block may lie outside; then it has the wrong length.
        let range = usize::try_from(handle.offset)
            .ok()
            .zip(usize::try_from(handle.end()).ok());
        let bytes = range
            .and_then(|(start, end)| self.bytes.get(start..end))
            .unwrap_or_default();
        Block::decode(self.bytes.slice_ref(bytes), index, i)
    }
}

#[cfg(feature = "std")]
#[cfg(test)]
mod tests;
