//! The log of `lsm-db` 1.x: one file of bare records, read once when its database is taken over.
//!
//! Called by whoever adopts such a database. Reads only, and never looks into a payload; what one
//! looks like is asked of the caller. Writes no such log.
//!
//! A record is `crc32c u32` over the rest of it, `length u32`, payload; all little-endian, from
//! offset 0 without gaps. Nothing binds a record to its place and nothing says what was durable,
//! so a bad record is told from a torn tail by what follows: with a valid record anywhere after
//! it, it is damage. Each record was synced before the next was written.

mod sums;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use lsm_fs::{Directory, File, FileName};

use self::sums::Sums;
use crate::error::{Error, RecoverError};

/// The bytes before a payload.
const HEADER_LEN: usize = 8;

/// The bytes of a header that its checksum does not cover.
const CRC_LEN: usize = 4;

/// The longest payload that `lsm-db` 1.x writes or reads.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;

const READ_BYTES_MIN: usize = 1 << 20;

/// How far the search for a later record goes at a time; it reads as far as the longest record that
/// starts there may reach.
const SEARCH_BYTES: usize = 64 << 20;

/// What was found at an offset.
enum Found {
    Record { payload: Bytes, next: u64 },
    Bad,
    End,
}

/// Reads a log of `lsm-db` 1.x: visits every payload of its good part, in order, each with the
/// offset of its record. Returns where the good part ends, in bytes.
///
/// `is_plausible` says whether bytes could be a payload; it need not be sure, and should be fast.
/// It is asked only after a bad record, to find out whether another follows.
///
/// Payloads are slices of what was read at a time: a mebibyte, or one record if that is longer.
/// Apart from those that `visit` keeps, memory is bounded by the longest record, 64 MiB; after a
/// bad record by twice that, and a checksum for each kilobyte. What follows a bad record is read
/// twice at most and costs a checksum of a few kilobytes for each of its bytes at most, whatever
/// it looks like.
///
/// # Errors
/// - [`Error::LegacyDamaged`]: a bad record with a valid one after it, at whatever offset. The
///   payloads visited so far are good, but they are not all.
/// - [`Error::Io`]: the file system failed; nothing was concluded.
/// - [`RecoverError::Visit`]: what `visit` returned.
pub fn read_legacy_log<E>(
    dir: &dyn Directory,
    name: &FileName,
    is_plausible: &dyn Fn(&[u8]) -> bool,
    visit: &mut dyn FnMut(u64, Bytes) -> Result<(), E>,
) -> Result<u64, RecoverError<E>> {
    let failed = |operation| {
        move |source| Error::Io {
            operation,
            path: dir.path_of(name),
            source,
        }
    };
    let file = dir.open(name).map_err(failed("open"))?;
    let len = file.len().map_err(failed("look at"))?;
    let mut window = Window::new(file, len);
    let mut at = 0;
    loop {
        match window.record(at).map_err(failed("read"))? {
            Found::Record { payload, next } => {
                visit(at, payload).map_err(RecoverError::Visit)?;
                at = next;
            }
            Found::End => return Ok(at),
            Found::Bad => break,
        }
    }
    let later = later_record(&mut window, at + 1, is_plausible).map_err(failed("read"))?;
    match later {
        None => Ok(at),
        Some(later) => Err(RecoverError::Log(Error::LegacyDamaged {
            offset: at,
            path: dir.path_of(name),
            reason: format!("a record follows at {later}"),
        })),
    }
}

/// Where a valid record starts, at `from` or later.
fn later_record(
    window: &mut Window,
    from: u64,
    is_plausible: &dyn Fn(&[u8]) -> bool,
) -> io::Result<Option<u64>> {
    let mut at = from;
    while at < window.len {
        let stretch = window.bytes(at, SEARCH_BYTES + HEADER_LEN + PAYLOAD_BYTES_MAX)?;
        // A value may look like a long record at every offset; a checksum of each anew would take
        // a square of time.
        let sums = Sums::new(&stretch);
        for start in 0..stretch.len().min(SEARCH_BYTES) {
            let Some((header, payload)) = stretch.get(start..).and_then(split_record) else {
                continue;
            };
            if !is_plausible(payload) {
                continue;
            }
            let end = start + HEADER_LEN + payload.len();
            if sums.of(start + CRC_LEN..end) == stated_crc(header) {
                return Ok(Some(at + start as u64));
            }
        }
        at += SEARCH_BYTES as u64;
    }
    Ok(None)
}

/// The header and the payload that `bytes` start with, if they are all there.
fn split_record(bytes: &[u8]) -> Option<(&[u8; HEADER_LEN], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
    let payload = rest.get(..payload_len(header)?)?;
    Some((header, payload))
}

fn payload_len(header: &[u8; HEADER_LEN]) -> Option<usize> {
    let len = u32::from_le_bytes(*header.last_chunk()?);
    let len = usize::try_from(len).ok()?;
    (len <= PAYLOAD_BYTES_MAX).then_some(len)
}

/// What the checksum of all after it is said to be.
fn stated_crc(header: &[u8; HEADER_LEN]) -> u32 {
    let [crc @ .., _, _, _, _] = *header;
    u32::from_le_bytes(crc)
}

fn is_valid(header: &[u8; HEADER_LEN], payload: &[u8]) -> bool {
    let [_, _, _, _, len @ ..] = *header;
    crc32c::crc32c_append(crc32c::crc32c(&len), payload) == stated_crc(header)
}

/// A stretch of the file, read once for many small records.
struct Window {
    file: Arc<dyn File>,
    len: u64,
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn new(file: Arc<dyn File>, len: u64) -> Self {
        Self {
            file,
            len,
            start: 0,
            bytes: Bytes::new(),
        }
    }

    fn record(&mut self, at: u64) -> io::Result<Found> {
        if at == self.len {
            return Ok(Found::End);
        }
        let header = self.bytes(at, HEADER_LEN)?;
        let Some(len) = header.first_chunk().and_then(payload_len) else {
            return Ok(Found::Bad);
        };
        let whole = self.bytes(at, HEADER_LEN + len)?;
        Ok(match split_record(&whole) {
            Some((header, payload)) if is_valid(header, payload) => Found::Record {
                payload: whole.slice(HEADER_LEN..),
                next: at + (HEADER_LEN + len) as u64,
            },
            _ => Found::Bad,
        })
    }

    /// `wanted` bytes from `at` on, or as many as the file has.
    fn bytes(&mut self, at: u64, wanted: usize) -> io::Result<Bytes> {
        let there = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = wanted.min(there);
        let skipped = at.checked_sub(self.start);
        let skipped = skipped.and_then(|skipped| usize::try_from(skipped).ok());
        if let Some(skipped) = skipped
            && let Some(end) = skipped.checked_add(wanted)
            && end <= self.bytes.len()
        {
            return Ok(self.bytes.slice(skipped..end));
        }
        self.bytes = Bytes::new();
        // What is allocated is there to be read.
        let mut buf = vec![0; wanted.max(READ_BYTES_MIN).min(there)];
        self.file.read_exact_at(&mut buf, at)?;
        (self.start, self.bytes) = (at, Bytes::from(buf));
        Ok(self.bytes.slice(..wanted))
    }
}

#[cfg(test)]
mod tests;
