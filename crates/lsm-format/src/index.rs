//! The index: for each block its last key, where it is, and its checksum.
//!
//! Decoded once per run by whatever reads it, and shared. Decoding checks everything about it
//! that can be checked without the blocks; afterwards its offsets and lengths are safe to read
//! by. It never reads a block.

use alloc::vec::Vec;
use bytes::Bytes;

use crate::HEADER_LEN;
use crate::MAX_KEY_LEN;
use crate::checksum::crc32c;
use crate::entry::{counted_slice, encoded_len, len_u32};
use crate::error::{Error, Result};
use crate::footer::Footer;
use crate::table::{KeyTable, KeyTableBuilder, common_prefix_len};
use crate::walk::BlockBounds;

/// The bytes of an index entry besides its key.
const INDEX_ENTRY_OVERHEAD: usize = 4 + HANDLE_LEN;
/// Block offset, length and checksum.
const HANDLE_LEN: usize = 8 + 4 + 4;

/// Where a block is in its file, and the checksum of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockHandle {
    /// Where it starts, in bytes from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u32,
    /// CRC-32C of its bytes.
    pub crc: u32,
}

impl BlockHandle {
    /// Returns the byte that follows the block.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }
}

/// The decoded index of a run: finds the one block that may hold a key.
///
/// The encoded bytes are kept as they are; beside them lie eight bytes of each last key in one
/// flat array, which settle most comparisons, and the position of each entry. That is about 36
/// bytes a block with keys of a few bytes.
#[derive(Debug)]
pub struct Index {
    bytes: Bytes,
    table: KeyTable,
}

impl Index {
    /// Decodes and checks an index: the bytes that `footer` points at.
    ///
    /// Checked are the length, the checksum, that last keys strictly ascend, and that the blocks
    /// follow each other without gap or overlap from the header to the index.
    ///
    /// # Errors
    /// [`Error::IndexChecksum`] or [`Error::Index`]: the file is damaged; nothing in it can be
    /// found through this index.
    pub fn decode(bytes: Bytes, footer: &Footer) -> Result<Self> {
        let table = decode_index(&bytes, footer)?;
        Ok(Self { bytes, table })
    }

    /// Returns how many blocks the run has; 0 for an empty run.
    #[inline]
    #[must_use]
    pub fn block_count(&self) -> usize {
        self.table.len()
    }

    /// Returns where block `i` is, or `None` if there is no such block.
    #[inline]
    #[must_use]
    pub fn handle(&self, i: usize) -> Option<BlockHandle> {
        handle_at(&self.bytes, &self.table, i)
    }

    /// Returns the last key of block `i`, or `None` if there is no such block.
    #[inline]
    #[must_use]
    pub fn last_key(&self, i: usize) -> Option<&[u8]> {
        last_key_at(&self.bytes, &self.table, i)
    }

    /// Returns the first block whose last key is `key` or greater: the only one that may hold it.
    ///
    /// It is [`block_count`](Self::block_count) if `key` sorts after the whole run.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &[u8]) -> usize {
        find_in(&self.bytes, &self.table, key)
    }

    /// Returns the bytes of memory that the index takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + self.table.memory_bytes()
    }

    pub(crate) fn bounds(&self, i: usize) -> Result<BlockBounds<'_>> {
        bounds_in(&self.bytes, &self.table, i)
    }
}

/// Appends an index entry.
pub(crate) fn encode_index_entry(buf: &mut Vec<u8>, last_key: &[u8], handle: BlockHandle) {
    buf.reserve(INDEX_ENTRY_OVERHEAD + last_key.len());
    buf.extend_from_slice(&len_u32(last_key).to_le_bytes());
    buf.extend_from_slice(last_key);
    buf.extend_from_slice(&handle.offset.to_le_bytes());
    buf.extend_from_slice(&handle.len.to_le_bytes());
    buf.extend_from_slice(&handle.crc.to_le_bytes());
}

/// Reads the index entry at byte `at`; returns it with the byte that follows it.
#[inline]
fn parse_index_entry(bytes: &[u8], at: usize) -> Result<(&[u8], BlockHandle, usize), &'static str> {
    let rest = bytes.get(at..).unwrap_or_default();
    let (key_len, rest) = rest
        .split_first_chunk()
        .ok_or("entry cut off in its key length")?;
    let key_len = u32::from_le_bytes(*key_len) as usize;
    if key_len > MAX_KEY_LEN {
        return Err("key length over the limit");
    }
    let (key, rest) = rest
        .split_at_checked(key_len)
        .ok_or("key runs past the end")?;
    let (handle, _) = rest
        .split_first_chunk()
        .ok_or("entry cut off after its key")?;
    Ok((
        key,
        decode_handle(*handle),
        at + INDEX_ENTRY_OVERHEAD + key_len,
    ))
}

#[inline]
fn decode_handle(bytes: [u8; HANDLE_LEN]) -> BlockHandle {
    let [
        o0,
        o1,
        o2,
        o3,
        o4,
        o5,
        o6,
        o7,
        l0,
        l1,
        l2,
        l3,
        c0,
        c1,
        c2,
        c3,
    ] = bytes;
    BlockHandle {
        offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
        len: u32::from_le_bytes([l0, l1, l2, l3]),
        crc: u32::from_le_bytes([c0, c1, c2, c3]),
    }
}

/// Checks the bytes of an index and makes the table that searches them.
pub(crate) fn decode_index(bytes: &[u8], footer: &Footer) -> Result<KeyTable> {
    if footer.index_len != bytes.len() as u64 {
        return Err(Error::Index {
            block: 0,
            offset: footer.index_offset,
            reason: "length is not the footer's",
        });
    }
    let found = crc32c(bytes);
    if found != footer.index_crc {
        return Err(Error::IndexChecksum {
            offset: footer.index_offset,
            expected: footer.index_crc,
            found,
        });
    }
    // The first pass proves the keys ascending, so that the second may take their heads after
    // the prefix that the first and the last of them share.
    let (count, prefix_len) = check_index(bytes, footer)?;
    let mut table = KeyTableBuilder::new(prefix_len, bytes.len(), count);
    let mut at = 0;
    while let Ok((key, _, next)) = parse_index_entry(bytes, at) {
        table.push(at, key);
        at = next;
    }
    debug_assert_eq!(at, bytes.len(), "the first pass read it to the end");
    Ok(table.finish())
}

/// Returns the number of entries and the length of the prefix that all last keys share.
fn check_index(bytes: &[u8], footer: &Footer) -> Result<(usize, usize)> {
    let (mut at, mut block) = (0, 0);
    let mut block_offset = HEADER_LEN as u64;
    let (mut first, mut previous): (Option<&[u8]>, Option<&[u8]>) = (None, None);
    while at < bytes.len() {
        let flaw = |reason| Error::Index {
            block: block as u64,
            offset: footer.index_offset.saturating_add(at as u64),
            reason,
        };
        let (key, handle, next) = parse_index_entry(bytes, at).map_err(flaw)?;
        if previous.is_some_and(|previous| key <= previous) {
            return Err(flaw("last keys do not ascend"));
        }
        if handle.offset != block_offset {
            return Err(flaw("block does not start where the one before it ends"));
        }
        if (handle.len as usize) < encoded_len(key.len(), 0) {
            return Err(flaw("block too short for its last key"));
        }
        if handle.end() > footer.index_offset {
            return Err(flaw("block runs into the index"));
        }
        block_offset = handle.end();
        first = first.or(Some(key));
        previous = Some(key);
        block += 1;
        at = next;
    }
    if block_offset != footer.index_offset {
        return Err(Error::Index {
            block: block as u64,
            offset: footer.index_offset.saturating_add(at as u64),
            reason: "bytes before the index belong to no block",
        });
    }
    let prefix_len = first
        .zip(previous)
        .map_or(0, |(first, last)| common_prefix_len(first, last));
    Ok((block, prefix_len))
}

#[inline]
pub(crate) fn find_in(bytes: &[u8], table: &KeyTable, key: &[u8]) -> usize {
    table.search(bytes, key).unwrap_or_else(|greater| greater)
}

#[inline]
fn last_key_at<'a>(bytes: &'a [u8], table: &KeyTable, i: usize) -> Option<&'a [u8]> {
    table.offset(i).map(|offset| counted_slice(bytes, offset))
}

#[inline]
fn handle_at(bytes: &[u8], table: &KeyTable, i: usize) -> Option<BlockHandle> {
    let (_, handle, _) = parse_index_entry(bytes, table.offset(i)?).ok()?;
    Some(handle)
}

/// What the index says about block `i`, and so what the block must live up to.
pub(crate) fn bounds_in<'a>(
    bytes: &'a [u8],
    table: &KeyTable,
    i: usize,
) -> Result<BlockBounds<'a>> {
    let no_such_block = Error::NoSuchBlock {
        block: i as u64,
        block_count: table.len() as u64,
    };
    let at = table.offset(i).ok_or_else(|| no_such_block.clone())?;
    let (last_key, handle, _) = parse_index_entry(bytes, at).map_err(|_| no_such_block)?;
    let previous_last_key = i
        .checked_sub(1)
        .and_then(|before| last_key_at(bytes, table, before));
    Ok(BlockBounds {
        block: i as u64,
        handle,
        previous_last_key,
        last_key,
    })
}

#[cfg(test)]
mod tests;
