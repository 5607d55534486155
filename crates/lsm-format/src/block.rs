//! One data block, decoded once and searched often.
//!
//! Made by whatever reads a run by blocks, and shared through a cache. The entries stay in the
//! encoded bytes; decoding checks all of them, so nothing after it can fail. It never reads a
//! file.

use bytes::Bytes;
use core::ops::Range;

use crate::entry::{ENTRY_OVERHEAD, Entry, counted_slice, parse_entry, validated_entry};
use crate::error::Result;
use crate::index::Index;
use crate::table::{KeyTable, KeyTableBuilder, common_prefix_len};

/// A checked data block: sorted entries, addressed by position.
///
/// Beside the bytes it keeps where each entry starts and eight bytes of each key, taken after
/// the prefix that all keys of the block share, so that a search ends at one comparison of whole
/// keys.
///
/// ```
/// use lsm_format::{Block, BlockSource, Entry, RunBytes, RunWriter};
///
/// let mut writer = RunWriter::new();
/// writer.put("user:1", "ada")?;
/// writer.put("user:2", "grace")?;
/// let run = RunBytes::new(writer.finish())?;
///
/// let index = run.index()?;
/// let block = run.block(&index, index.find(b"user:2"))?;
/// assert_eq!(block.get(b"user:2"), Some(Entry::Value(b"grace")));
/// assert_eq!(block.lower_bound(b"user:1x"), 1);
/// # Ok::<(), lsm_format::Error>(())
/// ```
#[derive(Debug)]
pub struct Block {
    bytes: Bytes,
    table: KeyTable,
    tombstone_count: usize,
}

impl Block {
    /// Decodes and checks the bytes of block `i` of `index`.
    ///
    /// Checked are length, checksum, tags, entry lengths, that keys strictly ascend, that the
    /// first is above the block before and the last is the one the index names.
    ///
    /// # Errors
    /// [`Error::BlockChecksum`](crate::Error::BlockChecksum) or
    /// [`Error::Block`](crate::Error::Block): the block is damaged, and nothing of it is
    /// returned. [`Error::NoSuchBlock`](crate::Error::NoSuchBlock) if `i` is not below the block
    /// count.
    pub fn decode(bytes: Bytes, index: &Index, i: usize) -> Result<Self> {
        let bounds = index.bounds(i)?;
        bounds.check_bytes(&bytes)?;
        // If the keys ascend from the first to the one the index names, every key between has the
        // prefix those two share. If they turn out not to, the table is thrown away.
        let prefix_len = common_prefix_len(counted_slice(&bytes, 0), bounds.last_key);
        let mut table =
            KeyTableBuilder::new(prefix_len, bytes.len(), estimated_entry_count(&bytes));
        let mut tombstone_count = 0;
        bounds.check_entries(&bytes, |offset, key, entry| {
            table.push(offset, key);
            tombstone_count += usize::from(entry.is_tombstone());
        })?;
        Ok(Self {
            table: table.finish(),
            bytes,
            tombstone_count,
        })
    }

    /// Returns the number of entries; never 0, since no block is empty.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Tells whether the block has no entries, which no decoded block does.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many of the entries are tombstones.
    #[inline]
    #[must_use]
    pub fn tombstone_count(&self) -> usize {
        self.tombstone_count
    }

    /// Returns the key at position `i`.
    ///
    /// `i` is below [`len`](Self::len); otherwise the key is empty (and debug builds panic).
    #[inline]
    #[must_use]
    pub fn key(&self, i: usize) -> &[u8] {
        debug_assert!(i < self.len(), "position {i} in a block of {}", self.len());
        self.table.key(&self.bytes, i)
    }

    /// Returns the entry at position `i`.
    ///
    /// `i` is below [`len`](Self::len); otherwise it is a tombstone (and debug builds panic).
    #[inline]
    #[must_use]
    pub fn entry(&self, i: usize) -> Entry<'_> {
        debug_assert!(i < self.len(), "position {i} in a block of {}", self.len());
        self.key_and_entry(i).1
    }

    /// Returns key and entry at position `i`, for less than the two calls cost apart.
    ///
    /// Outside the block they are empty and a tombstone.
    #[inline]
    #[must_use]
    pub fn key_and_entry(&self, i: usize) -> (&[u8], Entry<'_>) {
        self.table
            .offset(i)
            .map_or((&[], Entry::Tombstone), |offset| {
                validated_entry(&self.bytes, offset)
            })
    }

    /// Tells whether the entry at position `i` is a tombstone.
    ///
    /// Most blocks hold none, and then no entry is looked at. `i` is below [`len`](Self::len).
    #[inline]
    #[must_use]
    pub fn is_tombstone(&self, i: usize) -> bool {
        self.tombstone_count > 0 && self.key_and_entry(i).1.is_tombstone()
    }

    /// Returns the position of the first key that is `key` or greater; `len` if there is none.
    #[inline]
    #[must_use]
    pub fn lower_bound(&self, key: &[u8]) -> usize {
        self.table
            .search(&self.bytes, key)
            .unwrap_or_else(|greater| greater)
    }

    /// Returns the position of the first key that is greater than `key`; `len` if there is none.
    #[inline]
    #[must_use]
    pub fn upper_bound(&self, key: &[u8]) -> usize {
        self.table
            .search(&self.bytes, key)
            .map_or_else(|greater| greater, |found| found + 1)
    }

    /// Returns the position of `key`, or `None` if the block does not hold it.
    #[inline]
    #[must_use]
    pub fn position(&self, key: &[u8]) -> Option<usize> {
        self.table.find_exact(&self.bytes, key)
    }

    /// Returns what the block holds for `key`, or `None` if it holds nothing.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        self.position(key).map(|i| self.key_and_entry(i).1)
    }

    /// Returns the key at position `i`, sharing the memory of the block.
    ///
    /// It keeps the whole block alive. Outside the block it is empty.
    #[must_use]
    pub fn key_bytes(&self, i: usize) -> Bytes {
        self.bytes.slice_ref(self.table.key(&self.bytes, i))
    }

    /// Returns the value at position `i`, sharing the memory of the block; `None` is a tombstone.
    ///
    /// It keeps the whole block alive. Outside the block it is `None`.
    #[must_use]
    pub fn value_bytes(&self, i: usize) -> Option<Bytes> {
        self.key_and_entry(i)
            .1
            .value()
            .map(|value| self.bytes.slice_ref(value))
    }

    /// Returns key and value at position `i`, sharing the memory of the block, for less than the two
    /// calls cost apart; a value of `None` is a tombstone.
    ///
    /// They keep the whole block alive. Outside the block they are empty and `None`.
    #[must_use]
    pub fn entry_bytes(&self, i: usize) -> (Bytes, Option<Bytes>) {
        let (key, entry) = self.key_and_entry(i);
        let share = |part| self.bytes.slice_ref(part);
        (share(key), entry.value().map(share))
    }

    /// Returns the bytes of memory that the block takes.
    ///
    /// A block cut from a larger read counts only itself, though it keeps the whole read alive.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + self.table.memory_bytes()
    }

    /// Where the entry at position `i` starts; the end of the block for `len` and beyond.
    #[inline]
    pub(crate) fn entry_offset(&self, i: usize) -> usize {
        self.table.offset(i).unwrap_or(self.bytes.len())
    }

    /// The encoded bytes of the entries in `range`.
    #[inline]
    pub(crate) fn encoded(&self, range: Range<usize>) -> &[u8] {
        self.bytes
            .get(self.entry_offset(range.start)..self.entry_offset(range.end))
            .unwrap_or_default()
    }
}

/// How many entries there are if all are as long as the first: a guess, bounded by the bytes.
fn estimated_entry_count(bytes: &[u8]) -> usize {
    let first = parse_entry(bytes, 0).map_or(bytes.len(), |(_, _, next)| next);
    bytes.len() / first.max(ENTRY_OVERHEAD) + 1
}

#[cfg(test)]
mod tests;
