//! Record framing: a 48-byte header with its own checksum, then an opaque payload.
//!
//! Written by [`FrameBuffer`], read by [`FrameReader`], searched by [`later_claim`]; called by the
//! log and by whoever keeps another append-only file in the same framing. Never opens a file and
//! never interprets a payload.
//!
//! Invariants:
//! 1. A header is bound to its database, file and offset by its checksum, so neither a stale
//!    record nor a payload that looks like one is ever taken for a record.
//! 2. A header claims only what was durable when it was written, and never beyond its own place.
//! 3. Headers start at multiples of 8, so a search looks at every eighth byte only, and reads
//!    headers only: it is linear in the file whatever the payload lengths say.

mod buffer;
mod reader;
mod search;
#[cfg(test)]
mod tests;

use std::fmt;

use crc32fast::Hasher;

pub use buffer::FrameBuffer;
pub use reader::{FrameReader, Step};
pub(crate) use search::find_header;
pub use search::{LaterClaim, later_claim};

use crate::position::Position;

/// The length of a record header in bytes.
pub const FRAME_HEADER_LEN: usize = 48;

/// Records start at multiples of this many bytes, and payloads are padded with zeros to it.
pub const FRAME_ALIGNMENT: usize = 8;

/// The kind of an ordinary record of the log.
pub const KIND_DATA: u16 = 1;

/// The kind of the mark that a clean close writes last: an empty payload, claiming all before it.
pub const KIND_END: u16 = 2;

/// Set in a kind that a reader must not skip if it does not know it.
pub const KIND_MUST_UNDERSTAND: u16 = 0x8000;

// Offsets of the header's fields; all little-endian.
const HEADER_CRC: usize = 0;
const PAYLOAD_CRC: usize = 4;
const PAYLOAD_LEN: usize = 8;
const SEQNO: usize = 16;
const DURABLE_SEGMENT: usize = 24;
const DURABLE_OFFSET: usize = 32;
const KEYSPACE: usize = 40;
const KIND: usize = 44;
const RESERVED: usize = 46;

/// What binds a file's record headers to it: the database's random id and the file's own id.
///
/// ```
/// use lsm_wal::{FrameBuffer, FrameKey, KIND_DATA, Position, decode_header};
/// let key = FrameKey::new([7; 16], 3);
/// let mut group = FrameBuffer::new();
/// group.push(KIND_DATA, 0, 41, |payload| payload.extend_from_slice(b"hello"));
/// group.seal(&key, 80, Position::default());
/// let header = group.as_bytes().first_chunk().unwrap();
/// assert_eq!(decode_header(&key, 80, header).unwrap().seqno, 41);
/// assert!(decode_header(&key, 88, header).is_none(), "bound to its offset");
/// assert!(decode_header(&FrameKey::new([7; 16], 4), 80, header).is_none(), "and to its file");
/// ```
#[derive(Clone)]
pub struct FrameKey {
    /// The checksum's state after database id and file id; cloned for each record.
    hasher: Hasher,
    file_id: u64,
}

impl FrameKey {
    /// The key for file `file_id` (a segment id, a generation) of the database `database_id`,
    /// which should be 16 random bytes, so that no payload can be made to look like a header.
    #[must_use]
    pub fn new(database_id: [u8; 16], file_id: u64) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&database_id);
        hasher.update(&file_id.to_le_bytes());
        Self { hasher, file_id }
    }

    /// The file's id, as given.
    #[must_use]
    pub fn file_id(&self) -> u64 {
        self.file_id
    }

    fn header_crc(&self, offset: u64, header: &[u8; FRAME_HEADER_LEN]) -> u32 {
        // One update over a contiguous copy: the offset in the place of the checksum's word, so
        // that the hardware path sees a single run of bytes.
        let mut covered = [0_u8; FRAME_HEADER_LEN + 4];
        let (head, tail) = covered.split_at_mut(8);
        head.copy_from_slice(&offset.to_le_bytes());
        tail.copy_from_slice(header.split_at(PAYLOAD_CRC).1);
        let mut hasher = self.hasher.clone();
        hasher.update(&covered);
        hasher.finalize()
    }
}

impl fmt::Debug for FrameKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FrameKey")
            .field("file_id", &self.file_id)
            .finish_non_exhaustive()
    }
}

/// A record's header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the record is: [`KIND_DATA`], [`KIND_END`], or a kind of the framing's user.
    pub kind: u16,
    /// The keyspace that the record is for; 0 where there is one only.
    pub keyspace: u32,
    /// The record's seqno.
    pub seqno: u64,
    /// Everything before this place was durable when the record was written.
    pub durable: Position,
    /// The payload's length in bytes, padding excluded. Not yet checked against the file.
    pub payload_len: u64,
    /// The payload's CRC-32.
    pub payload_crc: u32,
}

impl FrameHeader {
    /// Whether a reader that doesn't know this kind must give up rather than skip the record.
    #[must_use]
    pub fn must_understand(&self) -> bool {
        self.kind & KIND_MUST_UNDERSTAND != 0
    }

    /// The length in bytes of the whole record: header, payload and padding. `None` if that does
    /// not fit in 64 bits, so no file can hold it.
    #[must_use]
    pub fn record_len(&self) -> Option<u64> {
        self.payload_len
            .checked_next_multiple_of(FRAME_ALIGNMENT as u64)?
            .checked_add(FRAME_HEADER_LEN as u64)
    }
}

/// Decodes the header at `offset` of the file that `key` is for.
///
/// `None` if there is no valid header: its checksum does not match, or it says what no writer
/// writes (kind 0, reserved bits, a claim beyond its own place).
#[must_use]
pub fn decode_header(
    key: &FrameKey,
    offset: u64,
    bytes: &[u8; FRAME_HEADER_LEN],
) -> Option<FrameHeader> {
    let kind = u16::from_le_bytes(field(bytes, KIND)?);
    let reserved = u16::from_le_bytes(field(bytes, RESERVED)?);
    let durable = Position {
        segment: u64::from_le_bytes(field(bytes, DURABLE_SEGMENT)?),
        offset: u64::from_le_bytes(field(bytes, DURABLE_OFFSET)?),
    };
    // The cheap checks come first: in a search they settle nearly every place, zeros included.
    if kind == 0 || reserved != 0 || durable > Position::new(key.file_id, offset) {
        return None;
    }
    if u32::from_le_bytes(field(bytes, HEADER_CRC)?) != key.header_crc(offset, bytes) {
        return None;
    }
    Some(FrameHeader {
        kind,
        keyspace: u32::from_le_bytes(field(bytes, KEYSPACE)?),
        seqno: u64::from_le_bytes(field(bytes, SEQNO)?),
        durable,
        payload_len: u64::from_le_bytes(field(bytes, PAYLOAD_LEN)?),
        payload_crc: u32::from_le_bytes(field(bytes, PAYLOAD_CRC)?),
    })
}

/// The `N` bytes at `at`; `None` never happens for the constant offsets above.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Overwrites the bytes at `at` with `value`, if they are there.
fn set_field<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(slot) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *slot = value;
    }
}
