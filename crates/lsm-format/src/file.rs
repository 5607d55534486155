//! Reading a run through anything that can be read at an offset.
//!
//! The caller opens the file and knows its length; this reads the footer, the index and blocks,
//! and checks them. It keeps no block and no index: that is a cache's business.

use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::block::Block;
use crate::cursor::BlockSource;
use crate::error::Error;
use crate::footer::{Footer, check_header, footer_offset};
use crate::index::Index;
use crate::{FOOTER_LEN, HEADER_LEN};

/// Something that can be read at an offset, as a file with `pread` or a slice of memory.
pub trait ReadAt {
    /// Fills `buf` with the bytes that start at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if there are not as many; else what the medium says. What `buf` then
    /// holds is not used.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self
            .get(start..)
            .and_then(|rest| rest.get(..buf.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }
}

impl ReadAt for Bytes {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for Arc<R> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for Box<R> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }
}

/// Why something could not be read from a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The medium failed, or memory for the bytes could not be had. It says nothing about the
    /// run: the read may be tried again.
    #[error("read of a run failed at byte {offset}")]
    Io {
        /// What the medium said.
        source: io::Error,
        /// Where in the file the read began, in bytes.
        offset: u64,
    },

    /// The bytes were read and are not what a run holds, or a block was asked for that it has
    /// not. The error says where, and what to do.
    #[error(transparent)]
    Format(#[from] Error),
}

/// An open run: its frame is checked, the rest is read and checked on request.
///
/// As a [`BlockSource`] it reads from the medium each time.
///
/// ```
/// use lsm_format::{Entry, RunFile, RunWriter};
///
/// let mut writer = RunWriter::new();
/// writer.put("apple", "red")?;
/// let file = writer.finish();
///
/// let run = RunFile::open(&file, file.len() as u64)?;
/// let index = run.load_index()?;
/// let block = run.read_block(&index, index.find(b"apple"))?;
/// assert_eq!(block.get(b"apple"), Some(Entry::Value(b"red")));
/// # Ok::<(), lsm_format::ReadError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RunFile<R> {
    reader: R,
    footer: Footer,
    file_len: u64,
}

impl<R: ReadAt> RunFile<R> {
    /// Checks header and footer of a file that is `file_len` bytes long, with two small reads.
    ///
    /// # Errors
    /// [`ReadError::Format`] if this is no run, [`ReadError::Io`] if it cannot be read.
    pub fn open(reader: R, file_len: u64) -> Result<Self, ReadError> {
        let footer_offset = footer_offset(file_len)?;
        let mut footer = [0; FOOTER_LEN];
        read_at(&reader, &mut footer, footer_offset)?;
        let footer = Footer::decode(&footer, file_len)?;
        let mut header = [0; HEADER_LEN];
        read_at(&reader, &mut header, 0)?;
        check_header(header)?;
        Ok(Self {
            reader,
            footer,
            file_len,
        })
    }

    /// Returns the footer.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Returns the length of the file in bytes.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Returns what the run is read through.
    pub fn reader(&self) -> &R {
        &self.reader
    }

    /// Reads and checks the index, with one read.
    ///
    /// # Errors
    /// [`ReadError::Format`] if it is damaged, [`ReadError::Io`] if it cannot be read.
    pub fn load_index(&self) -> Result<Index, ReadError> {
        let bytes = self.read(self.footer.index_offset, self.footer.index_len)?;
        Ok(Index::decode(bytes, &self.footer)?)
    }

    /// Reads and checks block `i`, with one read. `index` is that of this run.
    ///
    /// # Errors
    /// [`ReadError::Format`] if the block is damaged or does not exist, [`ReadError::Io`] if it
    /// cannot be read.
    pub fn read_block(&self, index: &Index, i: usize) -> Result<Block, ReadError> {
        let handle = index.bounds(i)?.handle;
        let bytes = self.read(handle.offset, u64::from(handle.len))?;
        Ok(Block::decode(bytes, index, i)?)
    }

    /// Reads and checks neighbouring blocks with one large read, for reading ahead.
    ///
    /// The blocks share the memory of that read: all of it lives as long as one of them does. An
    /// empty or inverted range reads nothing.
    ///
    /// # Errors
    /// As [`read_block`](Self::read_block); if one block is damaged, none is returned.
    pub fn read_blocks(
        &self,
        index: &Index,
        blocks: Range<usize>,
    ) -> Result<Vec<Block>, ReadError> {
        let mut bytes = self.read_span(index, &blocks)?;
        blocks
            .map(|i| Ok(Block::decode(split_block(&mut bytes, index, i)?, index, i)?))
            .collect()
    }

    /// Reads neighbouring blocks with one large read, and gives out each with its number, checked, in
    /// memory of its own.
    ///
    /// For a cache: a block that goes frees what it took, and what a search in it touches lies together. A
    /// damaged block is an error in its place and costs none of the others. An empty or inverted range reads
    /// nothing.
    ///
    /// # Errors
    /// [`ReadError::Io`] if they cannot be read, [`ReadError::Format`] if they do not exist; then
    /// there is none.
    pub fn read_blocks_apart<'i>(
        &self,
        index: &'i Index,
        blocks: Range<usize>,
    ) -> Result<impl Iterator<Item = (usize, Result<Block, Error>)> + use<'i, R>, ReadError> {
        let mut bytes = self.read_span(index, &blocks)?;
        Ok(blocks.map(move |i| {
            let block = split_block(&mut bytes, index, i)
                .and_then(|block| Block::decode(Bytes::copy_from_slice(&block), index, i));
            (i, block)
        }))
    }

    /// The bytes of neighbouring blocks.
    fn read_span(&self, index: &Index, blocks: &Range<usize>) -> Result<Bytes, ReadError> {
        let last = blocks.end.checked_sub(1);
        let Some(last) = last.filter(|last| *last >= blocks.start) else {
            return Ok(Bytes::new());
        };
        let (offset, end) = (
            index.bounds(blocks.start)?.handle.offset,
            index.bounds(last)?.handle.end(),
        );
        self.read(offset, end.saturating_sub(offset))
    }

    /// Reads `len` bytes at `offset`, which the caller took from a checked footer or index.
    fn read(&self, offset: u64, len: u64) -> Result<Bytes, ReadError> {
        let mut buf = Vec::new();
        self.read_into(&mut buf, offset, len)?;
        Ok(buf.into())
    }

    /// Reads as `read` does, into a buffer that is used again.
    ///
    /// A file may be sparse and so as long as it says: the memory is asked for, not taken.
    pub(crate) fn read_into(
        &self,
        buf: &mut Vec<u8>,
        offset: u64,
        len: u64,
    ) -> Result<(), ReadError> {
        let out_of_memory = || ReadError::Io {
            source: io::ErrorKind::OutOfMemory.into(),
            offset,
        };
        let len = usize::try_from(len).map_err(|_| out_of_memory())?;
        buf.clear();
        buf.try_reserve_exact(len).map_err(|_| out_of_memory())?;
        buf.resize(len, 0);
        read_at(&self.reader, buf, offset)
    }
}

/// Cuts block `i` from the front of the bytes of a span.
fn split_block(bytes: &mut Bytes, index: &Index, i: usize) -> Result<Bytes, Error> {
    let len = index.bounds(i)?.handle.len as usize;
    Ok(bytes.split_to(len.min(bytes.len())))
}

fn read_at(reader: &impl ReadAt, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
    reader
        .read_exact_at(buf, offset)
        .map_err(|source| ReadError::Io { source, offset })
}

impl<R: ReadAt> BlockSource for RunFile<R> {
    type Error = ReadError;

    fn index(&self) -> Result<Arc<Index>, ReadError> {
        self.load_index().map(Arc::new)
    }

    fn block(&self, index: &Index, i: usize) -> Result<Arc<Block>, ReadError> {
        self.read_block(index, i).map(Arc::new)
    }
}

#[cfg(test)]
mod tests;
