#![doc = include_str!("../README.md")]
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod block;
mod checksum;
mod counted;
mod cursor;
mod encode;
mod entry;
mod error;
mod footer;
mod index;
mod memory;
mod reader;
mod table;
mod walk;
mod writer;

#[cfg(feature = "std")]
mod file;
#[cfg(feature = "std")]
mod stream;
#[cfg(feature = "std")]
mod verify;

pub use block::Block;
pub use checksum::crc32c;
pub use counted::CountedEntries;
pub use cursor::{BlockSource, RunCursor};
pub use encode::RunSummary;
pub use entry::{Entries, Entry, check_lengths, encode_entry, encoded_len};
pub use error::{Error, Result};
pub use footer::Footer;
pub use index::{BlockHandle, Index};
pub use memory::RunBytes;
pub use reader::{RunIter, RunReader};
pub use writer::RunWriter;

#[cfg(feature = "std")]
pub use file::{ReadAt, ReadError, RunFile};
#[cfg(feature = "std")]
pub use stream::{RunStream, WriteError};
#[cfg(feature = "std")]
pub use verify::verify;

/// The longest key an entry may have, in bytes (1 GiB).
///
/// Writers refuse a longer one with [`Error::TooLong`]; readers call it corruption.
pub const MAX_KEY_LEN: usize = 1 << 30;

/// The longest value an entry may have, in bytes (1 GiB).
///
/// Writers refuse a longer one with [`Error::TooLong`]; readers call it corruption.
pub const MAX_VALUE_LEN: usize = 1 << 30;

/// The bytes before the first data block: the magic `LSMTBL01`.
pub const HEADER_LEN: usize = 8;

/// The bytes of the footer, which ends the file.
pub const FOOTER_LEN: usize = 36;

/// The size in bytes at which a writer closes a data block.
///
/// A block is closed by the entry that makes it at least this long, so a block is shorter than
/// this plus its last entry.
pub const BLOCK_BYTES_TARGET: usize = 4096;

/// The eight bytes that open and close every run.
pub const MAGIC: [u8; 8] = *b"LSMTBL01";
