//! A group of records, encoded once into one buffer.
//!
//! Filled by the commit leader, written by the log, then shared: the values that a memtable keeps
//! are slices of the very buffer that was written. Never written to a file by this module.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{
    DURABLE_OFFSET, DURABLE_SEGMENT, FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameKey, HEADER_CRC,
    KEYSPACE, KIND, PAYLOAD_CRC, PAYLOAD_LEN, SEQNO, field, set_field,
};
use crate::position::Position;

/// A group of records that will be written together.
///
/// [`push`](Self::push) appends a record's payload in place, behind room for its header;
/// [`seal`](Self::seal) completes the headers once the group's place in a file is known, and can
/// do so again for another place: payload checksums are computed only once.
///
/// ```
/// use lsm_wal::{FrameBuffer, FrameKey, KIND_DATA, Position};
/// let mut group = FrameBuffer::new();
/// let place = group.push(KIND_DATA, 0, 1, |payload| payload.extend_from_slice(b"value"));
/// group.seal(&FrameKey::new([0; 16], 1), 80, Position::default());
/// let bytes = group.into_bytes();
/// assert_eq!(bytes.slice(place), &b"value"[..]);
/// assert_eq!(bytes.len(), 48 + 8, "header, and the payload padded to 8");
/// ```
#[derive(Default)]
pub struct FrameBuffer {
    bytes: BytesMut,
    frame_count: usize,
    seqnos: Option<SeqnoSpan>,
}

/// The first and the last seqno of a group, and the first pair that did not ascend.
#[derive(Debug, Clone, Copy)]
struct SeqnoSpan {
    first: u64,
    last: u64,
    disorder: Option<(u64, u64)>,
}

impl FrameBuffer {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty group with room for `bytes` bytes, headers (48 a record) and padding included.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: BytesMut::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// An empty group that is made in `room`, as far as that goes: what `room` holds is forgotten.
    ///
    /// For many small groups whose bytes are kept: cut from one large allocation
    /// ([`BytesMut::split_off`]) each costs a reference count.
    #[must_use]
    pub fn in_room(mut room: BytesMut) -> Self {
        room.clear();
        Self {
            bytes: room,
            ..Self::default()
        }
    }

    /// Appends a record whose payload `write` appends to the buffer it is given; returns the
    /// payload's place in the buffer, which stays true for [`as_bytes`](Self::as_bytes) and
    /// [`into_bytes`](Self::into_bytes).
    ///
    /// `write` must only append. What it finds in the buffer belongs to other records: if it
    /// changes that, those records will not read back.
    pub fn push(
        &mut self,
        kind: u16,
        keyspace: u32,
        seqno: u64,
        write: impl FnOnce(&mut BytesMut),
    ) -> Range<usize> {
        debug_assert!(kind != 0, "kind 0 is what zeros look like");
        let start = self.bytes.len();
        let payload_start = start + FRAME_HEADER_LEN;
        self.bytes.resize(payload_start, 0);
        write(&mut self.bytes);
        debug_assert!(
            self.bytes.len() >= payload_start,
            "the payload writer only appends"
        );
        if self.bytes.len() < payload_start {
            self.bytes.resize(payload_start, 0);
        }
        let payload_end = self.bytes.len();
        let payload = self.bytes.get(payload_start..).unwrap_or_default();
        let payload_crc = crc32fast::hash(payload);
        let payload_len = payload.len() as u64;
        self.bytes
            .resize(payload_end.next_multiple_of(FRAME_ALIGNMENT), 0);
        if let Some(header) = self.bytes.get_mut(start..payload_start) {
            set_field(header, PAYLOAD_CRC, payload_crc.to_le_bytes());
            set_field(header, PAYLOAD_LEN, payload_len.to_le_bytes());
            set_field(header, SEQNO, seqno.to_le_bytes());
            set_field(header, KEYSPACE, keyspace.to_le_bytes());
            set_field(header, KIND, kind.to_le_bytes());
        }
        self.frame_count += 1;
        self.note_seqno(seqno);
        payload_start..payload_end
    }

    fn note_seqno(&mut self, seqno: u64) {
        match &mut self.seqnos {
            None => {
                self.seqnos = Some(SeqnoSpan {
                    first: seqno,
                    last: seqno,
                    disorder: None,
                });
            }
            Some(span) => {
                if seqno <= span.last {
                    span.disorder.get_or_insert((span.last, seqno));
                }
                span.last = seqno;
            }
        }
    }

    /// The length in bytes of all records so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The number of records so far.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.frame_count
    }

    /// Whether there is no record yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frame_count == 0
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.frame_count = 0;
        self.seqnos = None;
    }

    /// Completes every header for a group that will be written at `offset` (a multiple of 8) of
    /// the file that `key` is for, everything before `durable` being durable by now.
    ///
    /// May be called again, for another place.
    pub fn seal(&mut self, key: &FrameKey, offset: u64, durable: Position) {
        debug_assert!(offset.is_multiple_of(FRAME_ALIGNMENT as u64));
        debug_assert!(
            durable <= Position::new(key.file_id(), offset),
            "a record claims nothing beyond itself"
        );
        let mut rest: &mut [u8] = &mut self.bytes;
        let mut place = offset;
        while let Some((header, after)) = rest.split_first_chunk_mut::<FRAME_HEADER_LEN>() {
            set_field(header, DURABLE_SEGMENT, durable.segment.to_le_bytes());
            set_field(header, DURABLE_OFFSET, durable.offset.to_le_bytes());
            let crc = key.header_crc(place, header);
            set_field(header, HEADER_CRC, crc.to_le_bytes());
            let payload_len = field(header, PAYLOAD_LEN).map_or(0, u64::from_le_bytes);
            let padded_len = payload_len.next_multiple_of(FRAME_ALIGNMENT as u64);
            place += FRAME_HEADER_LEN as u64 + padded_len;
            let skip = usize::try_from(padded_len).unwrap_or(usize::MAX);
            rest = after.get_mut(skip..).unwrap_or_default();
        }
    }

    /// The group's bytes, as they are to be written once sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The group's bytes, to be shared without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes.freeze()
    }

    /// The last seqno pushed, if the group's seqnos ascend strictly and follow `previous`; the
    /// first offending pair `(previous, got)` otherwise. An empty group gives `previous` back.
    pub(crate) fn check_seqnos(&self, previous: Option<u64>) -> Result<Option<u64>, (u64, u64)> {
        let Some(span) = self.seqnos else {
            return Ok(previous);
        };
        match previous {
            Some(previous) if span.first <= previous => Err((previous, span.first)),
            _ => span.disorder.map_or(Ok(Some(span.last)), Err),
        }
    }
}

impl fmt::Debug for FrameBuffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FrameBuffer")
            .field("frames", &self.frame_count)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}
