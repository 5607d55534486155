//! Reading a file of records from front to back.
//!
//! Called by recovery and by other users of the framing. Never takes an I/O error for the end of
//! the file, and never allocates more than the file can hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use lsm_fs::File;

use super::{FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameHeader, FrameKey, decode_header};
use crate::error::Error;

/// How much is read at once, unless a record is larger.
const WINDOW_BYTES: usize = 1 << 20;

/// What [`FrameReader::next`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A whole, valid record.
    Record {
        /// Where the record starts, in bytes from the start of the file.
        offset: u64,
        /// Its header.
        header: FrameHeader,
        /// Its payload; shares a larger buffer with its neighbours.
        payload: Bytes,
    },
    /// No valid record starts here, though the file (or the limit) reaches further. Zeros of a
    /// preallocated tail are this, too. Reading stays here.
    Bad {
        /// Where a record should have started.
        offset: u64,
    },
    /// The file (or the limit) ends here, right behind the last record.
    End {
        /// The end.
        offset: u64,
    },
}

/// Reads records one after the other, in large chunks.
///
/// ```
/// use lsm_wal::{FrameBuffer, FrameKey, FrameReader, KIND_DATA, Position, Step};
/// use lsm_fs::{ByPath, SimFs};
/// use std::path::Path;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = FrameKey::new([1; 16], 1);
/// let mut group = FrameBuffer::new();
/// group.push(KIND_DATA, 0, 1, |payload| payload.extend_from_slice(b"one"));
/// group.seal(&key, 0, Position::default());
/// let path = Path::new("/frames");
/// let file = SimFs::new().create_new(path)?;
/// file.append_all(group.as_bytes())?;
///
/// let mut reader = FrameReader::new(file, path, key, 0, None)?;
/// assert!(matches!(reader.next()?, Step::Record { offset: 0, .. }));
/// assert_eq!(reader.next()?, Step::End { offset: 56 });
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameReader {
    file: Arc<dyn File>,
    path: PathBuf,
    key: FrameKey,
    offset: u64,
    /// Where reading ends: the stated end, or the file's.
    limit: u64,
    /// The readable part: the smaller of `limit` and the file's length.
    readable: u64,
    window: Bytes,
    window_start: u64,
}

impl FrameReader {
    /// Reads `file` from `start` on (a multiple of 8), up to `limit` or else to the end of the
    /// file. A file that ends before `limit` gives [`Step::Bad`] there. `path` is for errors.
    ///
    /// # Errors
    /// [`Error::Io`] if the file's length cannot be learnt.
    pub fn new(
        file: Arc<dyn File>,
        path: &Path,
        key: FrameKey,
        start: u64,
        limit: Option<u64>,
    ) -> Result<Self, Error> {
        debug_assert!(start.is_multiple_of(FRAME_ALIGNMENT as u64));
        let file_len = file.len().map_err(|source| Error::Io {
            operation: "measure",
            path: path.to_owned(),
            source,
        })?;
        let limit = limit.unwrap_or(file_len);
        Ok(Self {
            file,
            path: path.to_owned(),
            key,
            offset: start,
            limit,
            readable: limit.min(file_len),
            window: Bytes::new(),
            window_start: start,
        })
    }

    /// Where the next record starts, or should: in bytes from the start of the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record, or why there is none.
    ///
    /// # Errors
    /// [`Error::Io`] if reading failed; nothing may be concluded about the record then.
    #[expect(
        clippy::should_implement_trait,
        reason = "a step is fallible and ends in one of two ways, which `Iterator` cannot say"
    )]
    pub fn next(&mut self) -> Result<Step, Error> {
        let offset = self.offset;
        if offset == self.limit {
            return Ok(Step::End { offset });
        }
        let bad = Step::Bad { offset };
        let Some(header_bytes) = self.bytes_at(offset, FRAME_HEADER_LEN as u64)? else {
            return Ok(bad);
        };
        let Some(header) = header_bytes
            .first_chunk()
            .and_then(|bytes| decode_header(&self.key, offset, bytes))
        else {
            return Ok(bad);
        };
        // The header is genuine, but the file may have lost its end: look before allocating.
        let Some(record_len) = header.record_len() else {
            return Ok(bad);
        };
        let Some(record) = self.bytes_at(offset, record_len)? else {
            return Ok(bad);
        };
        let payload_end = usize::try_from(header.payload_len)
            .ok()
            .and_then(|len| len.checked_add(FRAME_HEADER_LEN));
        let Some((payload, padding)) = payload_end.and_then(|end| {
            (end <= record.len())
                .then(|| (record.slice(FRAME_HEADER_LEN..end), record.slice(end..)))
        }) else {
            return Ok(bad);
        };
        if crc32fast::hash(&payload) != header.payload_crc || padding.iter().any(|&byte| byte != 0)
        {
            return Ok(bad);
        }
        self.offset = offset + record_len;
        Ok(Step::Record {
            offset,
            header,
            payload,
        })
    }

    /// The `len` bytes at `offset`, or `None` if the readable part ends before.
    fn bytes_at(&mut self, offset: u64, len: u64) -> Result<Option<Bytes>, Error> {
        let available = self.readable.saturating_sub(offset);
        let Ok(len_here) = usize::try_from(len) else {
            return Ok(None);
        };
        if available < len {
            return Ok(None);
        }
        if let Some(bytes) = self.windowed(offset, len_here) {
            return Ok(Some(bytes));
        }
        let window_len = usize::try_from(available)
            .unwrap_or(usize::MAX)
            .min(len_here.max(WINDOW_BYTES));
        let mut window = vec![0; window_len];
        self.file
            .read_exact_at(&mut window, offset)
            .map_err(|source| Error::Io {
                operation: "read",
                path: self.path.clone(),
                source,
            })?;
        self.window = Bytes::from(window);
        self.window_start = offset;
        Ok(self.windowed(offset, len_here))
    }

    fn windowed(&self, offset: u64, len: usize) -> Option<Bytes> {
        let start = usize::try_from(offset.checked_sub(self.window_start)?).ok()?;
        let end = start.checked_add(len)?;
        (end <= self.window.len()).then(|| self.window.slice(start..end))
    }
}
