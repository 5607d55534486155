//! Runs in memory, encoded and decoded, for whoever measures the codec alone.

use std::sync::Arc;

use bytes::Bytes;
use lsm_format::{Block, BlockSource, Index, RunBytes, RunWriter};

use crate::BenchResult;
use crate::data::{Pair, sorted_pairs};

/// A run of pairs that ascend.
///
/// # Errors
/// If they do not.
pub fn run_of(sorted: &[Pair]) -> BenchResult<Vec<u8>> {
    let mut writer = RunWriter::new();
    for (key, value) in sorted {
        writer.put(key, value)?;
    }
    Ok(writer.finish())
}

/// A run's index and its blocks, each as its bytes and decoded.
#[derive(Debug)]
pub struct DecodedRun {
    index: Arc<Index>,
    blocks: Vec<(Bytes, Arc<Block>)>,
}

impl DecodedRun {
    /// The run of `count` pairs of `seed`.
    ///
    /// # Errors
    /// Those of the codec.
    pub fn new(seed: u64, count: usize) -> BenchResult<Self> {
        let bytes = Bytes::from(run_of(&sorted_pairs(seed, count))?);
        let run = RunBytes::new(bytes.clone())?;
        let index = run.index()?;
        let mut blocks = Vec::new();
        for number in 0..index.block_count() {
            let handle = index.handle(number).ok_or("a block without a handle")?;
            let range = usize::try_from(handle.offset)?..usize::try_from(handle.end())?;
            blocks.push((bytes.slice(range), run.block(&index, number)?));
        }
        Ok(Self { index, blocks })
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The bytes of each block.
    pub fn encoded_blocks(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.blocks.iter().map(|(bytes, _)| bytes)
    }

    /// Each block, decoded.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = &Arc<Block>> {
        self.blocks.iter().map(|(_, block)| block)
    }

    /// The block that may hold `key`.
    #[must_use]
    pub fn block_of(&self, key: &[u8]) -> Option<&Arc<Block>> {
        self.blocks().nth(self.index.find(key))
    }
}
