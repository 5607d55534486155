//! No decoded blocks: there is no `std`, and memory is scarce.

use alloc::sync::Arc;

use crate::block::Block;
use crate::error::Result;

/// Nothing. Every block is decoded each time.
#[derive(Debug, Clone)]
pub(super) struct KeptBlocks;

impl KeptBlocks {
    pub(super) fn new(_block_count: usize) -> Self {
        Self
    }

    pub(super) fn get_or_keep(
        &self,
        _i: usize,
        decode: impl FnOnce() -> Result<Arc<Block>>,
    ) -> Result<Arc<Block>> {
        decode()
    }
}
