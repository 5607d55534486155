//! The encoder behind every writer: entries in, the bytes of a run out.
//!
//! [`RunWriter`](crate::RunWriter) lets the bytes pile up in memory,
//! [`RunStream`](crate::RunStream) takes them away as blocks close. It decides where a block
//! ends and what the index and footer say, and never does I/O.

use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Range;

use crate::block::Block;
use crate::checksum::crc32c;
use crate::entry::{Entry, check_lengths, encode_entry};
use crate::error::{Error, Result};
use crate::footer::Footer;
use crate::index::{BlockHandle, encode_index_entry};
use crate::{BLOCK_BYTES_TARGET, FOOTER_LEN, MAGIC};

/// What a finished run holds: what its file does not say and whoever keeps it wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Values and tombstones.
    pub entry_count: u64,
    /// Tombstones alone.
    pub tombstone_count: u64,
    /// The length of the file in bytes.
    pub file_len: u64,
    /// The length of the index in bytes.
    pub index_len: u64,
    /// CRC-32C of the index: tells two runs apart.
    pub index_crc: u32,
    /// The first key; empty for an empty run.
    pub smallest_key: Bytes,
    /// The last key; empty for an empty run.
    pub largest_key: Bytes,
}

impl RunSummary {
    pub(crate) fn new(
        footer: &Footer,
        tombstone_count: u64,
        smallest_key: Bytes,
        largest_key: Bytes,
    ) -> Self {
        Self {
            entry_count: footer.entry_count,
            tombstone_count,
            file_len: footer
                .index_offset
                .saturating_add(footer.index_len)
                .saturating_add(FOOTER_LEN as u64),
            index_len: footer.index_len,
            index_crc: footer.index_crc,
            smallest_key,
            largest_key,
        }
    }
}

/// Turns entries into the bytes of a run.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    /// Header and blocks that were not taken away, then the open block.
    buf: Vec<u8>,
    /// How many bytes of the file came before `buf`.
    taken: u64,
    /// Where in `buf` the open block starts.
    block_start: usize,
    /// Where the last key lies: in `buf` while a block is open, else in `index`. So it is never
    /// copied for the sake of the next comparison.
    last_key: Range<usize>,
    index: Vec<u8>,
    entry_count: u64,
    tombstone_count: u64,
    smallest_key: Bytes,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self {
            buf: MAGIC.to_vec(),
            taken: 0,
            block_start: MAGIC.len(),
            last_key: 0..0,
            index: Vec::new(),
            entry_count: 0,
            tombstone_count: 0,
            smallest_key: Bytes::new(),
        }
    }

    pub(crate) fn entry_count(&self) -> u64 {
        self.entry_count
    }

    /// The length of header and blocks so far, the open one included.
    pub(crate) fn data_len(&self) -> u64 {
        self.taken + self.buf.len() as u64
    }
}

/// Taking the bytes away while the run grows, which only a stream does.
#[cfg(feature = "std")]
impl Encoder {
    /// The memory that bytes of the run may take without growing.
    #[cfg(test)]
    pub(crate) fn buffer_capacity(&self) -> usize {
        self.buf.capacity()
    }

    /// The memory that bytes of the run and of the index take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.buf.capacity() + self.index.capacity()
    }

    /// Tells whether `closed` has a block that was not taken away.
    #[inline]
    pub(crate) fn has_closed_block(&self) -> bool {
        self.block_start > if self.taken == 0 { MAGIC.len() } else { 0 }
    }

    /// The bytes that will not change: header and closed blocks.
    pub(crate) fn closed(&self) -> &[u8] {
        self.buf.get(..self.block_start).unwrap_or_default()
    }

    /// Forgets the bytes that `closed` returned, and gives back memory that one huge entry took.
    pub(crate) fn take_closed(&mut self) {
        const KEEP_BYTES_MAX: usize = 1 << 20;
        self.taken += self.block_start as u64;
        self.buf.drain(..self.block_start);
        self.last_key = match self.buf.is_empty() {
            true => self.last_key.clone(),
            false => self.last_key.start - self.block_start..self.last_key.end - self.block_start,
        };
        self.block_start = 0;
        if self.buf.capacity() > KEEP_BYTES_MAX {
            self.buf.shrink_to(2 * BLOCK_BYTES_TARGET);
        }
    }
}

impl Encoder {
    #[inline]
    pub(crate) fn push(&mut self, key: &[u8], entry: Entry<'_>) -> Result<()> {
        check_lengths(key, entry)?;
        self.check_order(key)?;
        self.begin(key);
        let key_start = self.buf.len() + 4;
        encode_entry(&mut self.buf, key, entry);
        self.last_key = key_start..key_start + key.len();
        self.entry_count += 1;
        self.tombstone_count += u64::from(entry.is_tombstone());
        self.close_full_block();
        Ok(())
    }

    /// Adds the entries of a decoded block, as if each were pushed, but copies whole stretches.
    pub(crate) fn push_range(&mut self, block: &Block, range: Range<usize>) -> Result<()> {
        let end = range.end.min(block.len());
        let mut start = range.start;
        if start >= end {
            return Ok(());
        }
        self.check_order(block.key(start))?;
        self.begin(block.key(start));
        while start < end {
            let room = BLOCK_BYTES_TARGET.saturating_sub(self.buf.len() - self.block_start);
            let stop = stretch_end(block, start..end, room);
            self.push_stretch(block, start..stop);
            start = stop;
        }
        Ok(())
    }

    /// Adds entries of which at most the last one fills the open block.
    fn push_stretch(&mut self, block: &Block, range: Range<usize>) {
        let last = range.end - 1;
        self.entry_count += range.len() as u64;
        if block.tombstone_count() > 0 {
            self.tombstone_count += range
                .clone()
                .filter(|&i| block.entry(i).is_tombstone())
                .count() as u64;
        }
        let base = self.buf.len();
        let key_start = base + block.entry_offset(last) - block.entry_offset(range.start) + 4;
        self.buf.extend_from_slice(block.encoded(range));
        self.last_key = key_start..key_start + block.key(last).len();
        self.close_full_block();
    }

    fn check_order(&self, key: &[u8]) -> Result<()> {
        if self.entry_count > 0 && key <= self.last_key() {
            return Err(Error::OutOfOrder {
                previous: self.last_key().into(),
                got: key.into(),
            });
        }
        Ok(())
    }

    fn begin(&mut self, key: &[u8]) {
        if self.entry_count == 0 {
            self.smallest_key = Bytes::copy_from_slice(key);
        }
    }

    fn last_key(&self) -> &[u8] {
        let holder = if self.buf.len() > self.block_start {
            &self.buf
        } else {
            &self.index
        };
        holder.get(self.last_key.clone()).unwrap_or_default()
    }

    #[inline]
    fn close_full_block(&mut self) {
        if self.buf.len() - self.block_start >= BLOCK_BYTES_TARGET {
            self.close_block();
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a block is under 4 KiB plus one entry of at most 2^31 + 9 bytes"
    )]
    fn close_block(&mut self) {
        let block = self.buf.get(self.block_start..).unwrap_or_default();
        if block.is_empty() {
            return;
        }
        let handle = BlockHandle {
            offset: self.taken + self.block_start as u64,
            len: block.len() as u32,
            crc: crc32c(block),
        };
        let last_key = self.buf.get(self.last_key.clone()).unwrap_or_default();
        let key_start = self.index.len() + 4;
        encode_index_entry(&mut self.index, last_key, handle);
        self.last_key = key_start..key_start + last_key.len();
        self.block_start = self.buf.len();
    }

    /// Closes the last block; then come the rest of the data, the index, and the footer.
    pub(crate) fn finish(mut self) -> Finished {
        self.close_block();
        let footer = Footer {
            entry_count: self.entry_count,
            index_offset: self.data_len(),
            index_len: self.index.len() as u64,
            index_crc: crc32c(&self.index),
        };
        let largest_key = Bytes::copy_from_slice(self.last_key());
        let summary = RunSummary::new(
            &footer,
            self.tombstone_count,
            self.smallest_key,
            largest_key,
        );
        Finished {
            data: self.buf,
            index: self.index,
            footer: footer.encode(),
            summary,
        }
    }
}

/// The end of a run, in the order in which it is written.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) data: Vec<u8>,
    pub(crate) index: Vec<u8>,
    pub(crate) footer: [u8; FOOTER_LEN],
    pub(crate) summary: RunSummary,
}

/// The end of the longest stretch from `range.start` in which only the last entry reaches `room`.
fn stretch_end(block: &Block, range: Range<usize>, room: usize) -> usize {
    let fills = block.entry_offset(range.start).saturating_add(room);
    let (mut low, mut high) = (range.start + 1, range.end);
    // The smallest end at or past `fills`, or the end of the range.
    while low < high {
        let middle = low.midpoint(high);
        if block.entry_offset(middle) >= fills {
            high = middle
        } else {
            low = middle + 1
        }
    }
    low
}

#[cfg(test)]
mod tests;
