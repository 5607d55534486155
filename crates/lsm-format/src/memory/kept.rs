//! The decoded blocks of a run in memory: each has a place, and fills it once.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::OnceLock;

use crate::block::Block;
use crate::error::Result;

/// Shared by the clones of a run. Any number of threads fill it.
#[derive(Debug, Clone)]
pub(super) struct KeptBlocks(Arc<[OnceLock<Arc<Block>>]>);

impl KeptBlocks {
    pub(super) fn new(block_count: usize) -> Self {
        let places: Vec<_> = (0..block_count).map(|_| OnceLock::new()).collect();
        Self(places.into())
    }

    /// Block `i`, which `decode` makes if it is not there yet. An error is not kept.
    #[inline]
    pub(super) fn get_or_keep(
        &self,
        i: usize,
        decode: impl FnOnce() -> Result<Arc<Block>>,
    ) -> Result<Arc<Block>> {
        let Some(place) = self.0.get(i) else {
            return decode();
        };
        if let Some(block) = place.get() {
            return Ok(Arc::clone(block));
        }
        // Two threads may decode it; both get the block of the first.
        let decoded = decode()?;
        Ok(Arc::clone(place.get_or_init(|| decoded)))
    }
}
