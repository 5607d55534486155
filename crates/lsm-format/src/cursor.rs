//! A cursor over one run: seek, step both ways, lend keys and values.
//!
//! What merges and scans are made of. A step inside a block costs neither an allocation nor a
//! reference count; blocks come from a [`BlockSource`], so the cursor knows nothing of caches and
//! files. It skips no tombstones: that is the merge's business.
//!
//! Invariants:
//! 1. The cursor is positioned exactly if `block` is there and `position` is below its length.
//! 2. `block` is block `block_number` of `index`, also while the cursor is not positioned.

use alloc::sync::Arc;
use bytes::Bytes;
use core::fmt;

use crate::block::Block;
use crate::entry::Entry;
use crate::index::Index;

/// Where a cursor gets its index and its blocks from: a file, memory, a cache before either.
pub trait BlockSource {
    /// Why a block could not be had.
    type Error;

    /// Returns the index of the run. A cursor asks once, at its first move.
    ///
    /// # Errors
    /// Whatever reading and [decoding](Index::decode) it gives.
    fn index(&self) -> Result<Arc<Index>, Self::Error>;

    /// Returns block `i` of the run, `i` being below the block count of `index`.
    ///
    /// # Errors
    /// Whatever reading and [decoding](Block::decode) it gives.
    fn block(&self, index: &Index, i: usize) -> Result<Arc<Block>, Self::Error>;
}

impl<S: BlockSource + ?Sized> BlockSource for &S {
    type Error = S::Error;

    fn index(&self) -> Result<Arc<Index>, Self::Error> {
        (**self).index()
    }

    fn block(&self, index: &Index, i: usize) -> Result<Arc<Block>, Self::Error> {
        (**self).block(index, i)
    }
}

impl<S: BlockSource + ?Sized> BlockSource for Arc<S> {
    type Error = S::Error;

    fn index(&self) -> Result<Arc<Index>, Self::Error> {
        (**self).index()
    }

    fn block(&self, index: &Index, i: usize) -> Result<Arc<Block>, Self::Error> {
        (**self).block(index, i)
    }
}

/// Where a cursor stands before its first move and after it ran off an end.
const NOWHERE: usize = usize::MAX;

/// Walks the entries of one run in both directions, lending keys and values.
///
/// A new cursor is not positioned. It is not positioned either after a seek that found nothing,
/// a step over either end, and an error; then [`key`](Self::key) is `None`, and steps do nothing.
///
/// ```
/// use lsm_format::{Entry, RunBytes, RunCursor, RunWriter};
///
/// let mut writer = RunWriter::new();
/// for (key, value) in [("a", "1"), ("c", "3"), ("e", "5")] {
///     writer.put(key, value)?;
/// }
/// let mut cursor = RunCursor::new(RunBytes::new(writer.finish())?);
/// cursor.seek(b"b")?;
/// assert_eq!(cursor.key(), Some(&b"c"[..]));
/// cursor.prev()?;
/// assert_eq!(cursor.entry(), Some(Entry::Value(b"1")));
/// cursor.prev()?;
/// assert_eq!(cursor.key(), None);
/// # Ok::<(), lsm_format::Error>(())
/// ```
pub struct RunCursor<S> {
    source: S,
    index: Option<Arc<Index>>,
    block: Option<Arc<Block>>,
    block_number: usize,
    position: usize,
}

impl<S> fmt::Debug for RunCursor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunCursor")
            .field("block", &self.block_number)
            .field("position", &self.block().map(|(_, position)| position))
            .finish_non_exhaustive()
    }
}

impl<S> RunCursor<S> {
    /// Makes a cursor that is not positioned. Reads nothing.
    pub fn new(source: S) -> Self {
        Self {
            source,
            index: None,
            block: None,
            block_number: 0,
            position: NOWHERE,
        }
    }

    /// Returns the source.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Tells whether the cursor is at an entry, without a look at it.
    #[inline]
    #[must_use]
    pub fn is_positioned(&self) -> bool {
        self.block().is_some()
    }

    /// Tells whether the cursor is at a tombstone.
    ///
    /// Answered for the whole block as a rule, without a look at the entry.
    #[inline]
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.block()
            .is_some_and(|(block, position)| block.is_tombstone(position))
    }

    /// Returns the current key, or `None` if the cursor is not positioned.
    #[inline]
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.block().map(|(block, position)| block.key(position))
    }

    /// Returns the current entry, or `None` if the cursor is not positioned.
    #[inline]
    #[must_use]
    pub fn entry(&self) -> Option<Entry<'_>> {
        self.block().map(|(block, position)| block.entry(position))
    }

    /// Returns the current key and entry, for less than the two calls cost apart.
    #[inline]
    #[must_use]
    pub fn key_and_entry(&self) -> Option<(&[u8], Entry<'_>)> {
        self.block()
            .map(|(block, position)| block.key_and_entry(position))
    }

    /// Returns the current key, sharing the memory of its block; `None` if not positioned.
    #[must_use]
    pub fn key_bytes(&self) -> Option<Bytes> {
        self.block()
            .map(|(block, position)| block.key_bytes(position))
    }

    /// Returns the current value, sharing the memory of its block.
    ///
    /// `None` for a tombstone, and if the cursor is not positioned.
    #[must_use]
    pub fn value_bytes(&self) -> Option<Bytes> {
        self.block()
            .and_then(|(block, position)| block.value_bytes(position))
    }

    /// Returns the current key and value, sharing the memory of their block, for less than the two
    /// calls cost apart; a value of `None` is a tombstone. `None` if not positioned.
    #[must_use]
    pub fn entry_bytes(&self) -> Option<(Bytes, Option<Bytes>)> {
        self.block()
            .map(|(block, position)| block.entry_bytes(position))
    }

    /// Returns the current block and the position in it, or `None` if not positioned.
    ///
    /// With [`skip_to`](Self::skip_to) a merge takes a stretch of entries straight from the
    /// block, without a call for each.
    #[inline]
    #[must_use]
    pub fn block(&self) -> Option<(&Arc<Block>, usize)> {
        self.block
            .as_ref()
            .filter(|block| self.position < block.len())
            .map(|block| (block, self.position))
    }

    /// Gives up the position; keeps the block, which the next seek may need again.
    fn unposition(&mut self) {
        self.position = NOWHERE;
    }
}

impl<S: BlockSource> RunCursor<S> {
    /// Moves to the first entry of the run; to none if the run is empty.
    ///
    /// # Errors
    /// Those of the source; then the cursor is not positioned. So for every move below.
    pub fn seek_first(&mut self) -> Result<(), S::Error> {
        self.load_index()?;
        self.enter(0, |_| 0)
    }

    /// Moves to the last entry of the run; to none if the run is empty.
    ///
    /// # Errors
    /// Those of the source; then the cursor is not positioned.
    pub fn seek_last(&mut self) -> Result<(), S::Error> {
        match self.load_index()?.block_count().checked_sub(1) {
            Some(last) => self.enter(last, |block| block.len() - 1),
            None => Ok(()),
        }
    }

    /// Moves to the first entry whose key is `key` or greater; to none if there is none.
    ///
    /// Reads one block at most, and none if the entry lies in the current one.
    ///
    /// # Errors
    /// Those of the source; then the cursor is not positioned.
    pub fn seek(&mut self, key: &[u8]) -> Result<(), S::Error> {
        let number = self.load_index()?.find(key);
        self.enter(number, |block| block.lower_bound(key))
    }

    /// Moves to the last entry whose key is `key` or less; to none if there is none.
    ///
    /// Reads two blocks at most.
    ///
    /// # Errors
    /// Those of the source; then the cursor is not positioned.
    pub fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), S::Error> {
        let index = self.load_index()?;
        let (number, block_count) = (index.find(key), index.block_count());
        if number == block_count {
            return self.seek_last();
        }
        // Past the last entry that is `key` or less; 0 if that one is in the block before.
        self.enter(number, |block| block.upper_bound(key))?;
        match self.position.checked_sub(1) {
            Some(position) => {
                self.position = position;
                Ok(())
            }
            None => self.leave_backwards(),
        }
    }

    /// Moves to the next entry; off the end to none. Does nothing if not positioned.
    ///
    /// # Errors
    /// Those of the source; then the cursor is not positioned.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "a cursor lends, which `Iterator` cannot"
    )]
    pub fn next(&mut self) -> Result<(), S::Error> {
        let Some((block, position)) = self.block() else {
            return Ok(());
        };
        if position + 1 < block.len() {
            self.position = position + 1;
            return Ok(());
        }
        self.enter(self.block_number + 1, |_| 0)
    }

    /// Moves to the previous entry; off the start to none. Does nothing if not positioned.
    ///
    /// # Errors
    /// Those of the source; then the cursor is not positioned.
    #[inline]
    pub fn prev(&mut self) -> Result<(), S::Error> {
        let Some((_, position)) = self.block() else {
            return Ok(());
        };
        match position.checked_sub(1) {
            Some(before) => {
                self.position = before;
                Ok(())
            }
            None => self.leave_backwards(),
        }
    }

    /// Moves to another position in the current block; at its length or past it, to the first
    /// entry of the next block. Does nothing if not positioned.
    ///
    /// # Errors
    /// Those of the source; then the cursor is not positioned.
    pub fn skip_to(&mut self, position: usize) -> Result<(), S::Error> {
        let Some((block, _)) = self.block() else {
            return Ok(());
        };
        if position < block.len() {
            self.position = position;
            return Ok(());
        }
        self.enter(self.block_number + 1, |_| 0)
    }

    fn leave_backwards(&mut self) -> Result<(), S::Error> {
        match self.block_number.checked_sub(1) {
            Some(before) => self.enter(before, |block| block.len() - 1),
            None => {
                self.unposition();
                Ok(())
            }
        }
    }

    /// Loads block `number`, unless it is the current one, and moves to the position that
    /// `choose` names. Past the last block the cursor is left not positioned.
    fn enter(
        &mut self,
        number: usize,
        choose: impl FnOnce(&Block) -> usize,
    ) -> Result<(), S::Error> {
        self.unposition();
        let Some(index) = self
            .index
            .as_ref()
            .filter(|index| number < index.block_count())
        else {
            return Ok(());
        };
        let block = match self.block.take() {
            Some(block) if self.block_number == number => block,
            _ => self.source.block(index, number)?,
        };
        self.position = choose(&block);
        self.block_number = number;
        self.block = Some(block);
        Ok(())
    }

    /// Returns the index, asking the source for it the first time.
    fn load_index(&mut self) -> Result<&Index, S::Error> {
        self.unposition();
        let index = match self.index.take() {
            Some(index) => index,
            None => self.source.index()?,
        };
        Ok(self.index.insert(index))
    }
}

#[cfg(test)]
mod tests;
