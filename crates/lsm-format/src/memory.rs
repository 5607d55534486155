//! A run that lies in memory, read by blocks.
//!
//! The [`BlockSource`] for runs that need no file: tests, devices, runs that came over a network.
//! It keeps no decoded block.

use alloc::sync::Arc;
use bytes::Bytes;

use crate::block::Block;
use crate::cursor::BlockSource;
use crate::error::{Error, Result};
use crate::footer::{Footer, split_run};
use crate::index::Index;

/// A whole run in memory, with its index decoded once: the simplest source of a cursor.
///
/// Cloning shares the bytes and the index.
#[derive(Debug, Clone)]
pub struct RunBytes {
    bytes: Bytes,
    footer: Footer,
    index: Arc<Index>,
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
        let handle = index.bounds(i)?.handle;
        // Of an index of another run the block may lie outside; then it has the wrong length.
        let range = usize::try_from(handle.offset)
            .ok()
            .zip(usize::try_from(handle.end()).ok());
        let bytes = range
            .and_then(|(start, end)| self.bytes.get(start..end))
            .unwrap_or_default();
        Block::decode(self.bytes.slice_ref(bytes), index, i).map(Arc::new)
    }
}
