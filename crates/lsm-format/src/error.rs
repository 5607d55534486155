//! What can go wrong with the bytes of a run, and where.
//!
//! Every part of the codec returns this enum. It carries byte offsets and block numbers, never
//! file names: the codec does not know any.

use alloc::boxed::Box;

/// A `Result` whose error is [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// An entry that a run cannot hold, or bytes that are not a run.
///
/// [`is_corruption`](Error::is_corruption) tells the two apart: the first kind is the caller's
/// mistake and leaves a writer usable, the second is damage in what was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key or a value is longer than the format allows. Nothing was added; split or refuse it.
    #[error("{part} of {len} bytes is longer than the {max} bytes a run can hold")]
    TooLong {
        /// `"key"` or `"value"`.
        part: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The longest that is allowed, in bytes.
        max: usize,
    },

    /// A key did not sort after the one before it. Nothing was added; sort the input, and keep
    /// one entry per key.
    #[error("key {got:02x?} does not sort after {previous:02x?}")]
    OutOfOrder {
        /// The key that was added last.
        previous: Box<[u8]>,
        /// The key that was refused.
        got: Box<[u8]>,
    },

    /// A block was asked for that the index does not have. Ask for one below
    /// [`Index::block_count`](crate::Index::block_count).
    #[error("no block {block} in a run of {block_count}")]
    NoSuchBlock {
        /// The block asked for.
        block: u64,
        /// How many there are.
        block_count: u64,
    },

    /// The file is no run, or its header or footer is damaged. Nothing in it can be found:
    /// restore it from a copy.
    #[error("byte {offset}: {reason}")]
    Frame {
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },

    /// The index is not what was written. Nothing in the run can be found through it: restore
    /// the file from a copy.
    #[error("index at byte {offset}: checksum is {found:#010x} instead of {expected:#010x}")]
    IndexChecksum {
        /// Where in the file the index starts, in bytes.
        offset: u64,
        /// The checksum in the footer.
        expected: u32,
        /// The checksum of the bytes that are there.
        found: u32,
    },

    /// The index has the right checksum and breaks the format: a faulty or hostile writer made
    /// it. Refuse the file.
    #[error("index entry of block {block} at byte {offset}: {reason}")]
    Index {
        /// The block whose index entry is wrong.
        block: u64,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },

    /// A block is not what was written. The other blocks may still be read; restore the file
    /// from a copy.
    #[error(
        "block {block} at byte {offset}: checksum is {found:#010x} instead of {expected:#010x}"
    )]
    BlockChecksum {
        /// The block, counted from 0.
        block: u64,
        /// Where in the file it starts, in bytes.
        offset: u64,
        /// The checksum in the index.
        expected: u32,
        /// The checksum of the bytes that are there.
        found: u32,
    },

    /// A block has the right checksum and breaks the format: a faulty or hostile writer made it.
    /// Refuse the file.
    #[error("block {block}, byte {offset}: {reason}")]
    Block {
        /// The block, counted from 0.
        block: u64,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },

    /// A bare sequence of entries is damaged. Discard the sequence as a whole: what follows the
    /// damage cannot be found, and what precedes it is half of something.
    #[error("entry at byte {offset} of its sequence: {reason}")]
    Entry {
        /// Where in the sequence (not in a file), in bytes.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Error {
    /// Tells whether bytes that were read are damaged, as against a refused request.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        !matches!(
            self,
            Self::TooLong { .. } | Self::OutOfOrder { .. } | Self::NoSuchBlock { .. }
        )
    }

    /// Says what is wrong, without where: a fixed phrase, lowercase.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "key or value too long",
            Self::OutOfOrder { .. } => "keys must be added in strictly ascending order",
            Self::NoSuchBlock { .. } => "no such block",
            Self::IndexChecksum { .. } => "index checksum mismatch",
            Self::BlockChecksum { .. } => "block checksum mismatch",
            Self::Frame { reason, .. }
            | Self::Index { reason, .. }
            | Self::Block { reason, .. }
            | Self::Entry { reason, .. } => reason,
        }
    }

    /// Returns the byte in the file that the damage was found at.
    ///
    /// `None` for a refused request, and for [`Error::Entry`], whose offset counts from the start
    /// of a sequence that may lie anywhere.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Frame { offset, .. }
            | Self::IndexChecksum { offset, .. }
            | Self::Index { offset, .. }
            | Self::BlockChecksum { offset, .. }
            | Self::Block { offset, .. } => Some(*offset),
            Self::TooLong { .. }
            | Self::OutOfOrder { .. }
            | Self::NoSuchBlock { .. }
            | Self::Entry { .. } => None,
        }
    }

    /// Returns the block that is concerned, counted from 0, where it is one.
    #[must_use]
    pub fn block(&self) -> Option<u64> {
        match self {
            Self::NoSuchBlock { block, .. }
            | Self::Index { block, .. }
            | Self::BlockChecksum { block, .. }
            | Self::Block { block, .. } => Some(*block),
            _ => None,
        }
    }
}
