//! One segment file: its header, and how it comes into being.
//!
//! Called by the log (which creates segments), by recovery (which reads their headers and writes
//! the log's tail again into a new one). Never appends records.
//!
//! Invariants:
//! 1. A segment's header and name are durable before its first record is written, and before any
//!    later segment names it. So a valid record in a file proves that its header was once good.
//! 2. A header states only what was true: where the predecessor's good part ended, and what was
//!    durable.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsm_fs::{Directory, File, FileName};

use crate::error::Error;
use crate::names::segment_file_name;
use crate::position::Position;

/// The length of a segment's header in bytes: the offset of its first record.
pub const SEGMENT_HEADER_LEN: u64 = HEADER_BYTES as u64;

/// What a segment file starts with.
pub const SEGMENT_MAGIC: [u8; 8] = *b"LSMWAL01";

/// The version of the segment format that is read and written.
pub const SEGMENT_FORMAT_VERSION: u32 = 1;

const HEADER_BYTES: usize = 80;
const NO_PREDECESSOR: u64 = u64::MAX;

const VERSION: usize = 8;
const DATABASE_ID: usize = 16;
const SEGMENT: usize = 32;
const PREDECESSOR_SEGMENT: usize = 40;
const PREDECESSOR_OFFSET: usize = 48;
const DURABLE_SEGMENT: usize = 56;
const DURABLE_OFFSET: usize = 64;
const HEADER_CRC: usize = 76;

/// Where a log lives, whose it is, and how large its segments grow.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The directory of the segment files. Its own name must be durable.
    ///
    /// Share the handle with all that creates files in the directory: a failed sync of it is final
    /// for all of them.
    pub dir: Arc<dyn Directory>,
    /// The database's random id; records are keyed by it.
    pub database_id: [u8; 16],
    /// A group that would make a segment longer than this many bytes starts a new one; a group that
    /// is longer by itself gets a segment of its own. Preallocation is bounded by it.
    pub segment_bytes_max: u64,
}

impl LogOptions {
    /// The path of segment `id`'s file.
    #[must_use]
    pub fn segment_path(&self, id: u64) -> PathBuf {
        self.dir.path_of(&segment_file_name(id))
    }
}

/// What a segment's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) database_id: [u8; 16],
    pub(crate) segment: u64,
    /// Where the good part of the log ended when this segment was created.
    pub(crate) predecessor: Option<Position>,
    /// Everything before this place was durable when this segment got its name.
    pub(crate) durable: Position,
}

/// What the first bytes of a segment file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodedHeader {
    Valid(SegmentHeader),
    /// Genuine, but of another version of the format.
    OtherVersion(u32),
    /// Torn, half-written, or not a segment's header.
    Bad,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let predecessor = self.predecessor.unwrap_or(Position {
            segment: NO_PREDECESSOR,
            offset: 0,
        });
        let mut bytes = [0_u8; HEADER_BYTES];
        put(&mut bytes, 0, &SEGMENT_MAGIC);
        put(&mut bytes, VERSION, &SEGMENT_FORMAT_VERSION.to_le_bytes());
        put(&mut bytes, DATABASE_ID, &self.database_id);
        put(&mut bytes, SEGMENT, &self.segment.to_le_bytes());
        put(
            &mut bytes,
            PREDECESSOR_SEGMENT,
            &predecessor.segment.to_le_bytes(),
        );
        put(
            &mut bytes,
            PREDECESSOR_OFFSET,
            &predecessor.offset.to_le_bytes(),
        );
        put(
            &mut bytes,
            DURABLE_SEGMENT,
            &self.durable.segment.to_le_bytes(),
        );
        put(
            &mut bytes,
            DURABLE_OFFSET,
            &self.durable.offset.to_le_bytes(),
        );
        let crc = crc32fast::hash(bytes.split_at(HEADER_CRC).0);
        put(&mut bytes, HEADER_CRC, &crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> DecodedHeader {
        Self::decode_fields(bytes).unwrap_or(DecodedHeader::Bad)
    }

    fn decode_fields(bytes: &[u8; HEADER_BYTES]) -> Option<DecodedHeader> {
        let crc = u32::from_le_bytes(get(bytes, HEADER_CRC)?);
        if get(bytes, 0)? != SEGMENT_MAGIC || crc32fast::hash(bytes.split_at(HEADER_CRC).0) != crc {
            return None;
        }
        let version = u32::from_le_bytes(get(bytes, VERSION)?);
        if version != SEGMENT_FORMAT_VERSION {
            return Some(DecodedHeader::OtherVersion(version));
        }
        let position = |segment, offset| {
            Some(Position {
                segment: u64::from_le_bytes(get(bytes, segment)?),
                offset: u64::from_le_bytes(get(bytes, offset)?),
            })
        };
        let predecessor = position(PREDECESSOR_SEGMENT, PREDECESSOR_OFFSET)?;
        Some(DecodedHeader::Valid(Self {
            database_id: get(bytes, DATABASE_ID)?,
            segment: u64::from_le_bytes(get(bytes, SEGMENT)?),
            predecessor: (predecessor.segment != NO_PREDECESSOR).then_some(predecessor),
            durable: position(DURABLE_SEGMENT, DURABLE_OFFSET)?,
        }))
    }

    /// What is wrong with what a genuine header says, if anything: chains go strictly backwards,
    /// ends lie behind a header and at a record's place, and nothing is claimed for later segments.
    pub(crate) fn implausible(&self, id: u64) -> Option<String> {
        if self.segment != id {
            return Some(format!("the header is that of segment {}", self.segment));
        }
        if let Some(end) = self.predecessor
            && (end.segment >= id
                || end.offset < SEGMENT_HEADER_LEN
                || !end.offset.is_multiple_of(8))
        {
            return Some(format!("the header names {end} as its predecessor's end"));
        }
        if self.durable.segment > id {
            return Some(format!(
                "the header claims durability up to {}",
                self.durable
            ));
        }
        None
    }
}

fn put(bytes: &mut [u8; HEADER_BYTES], at: usize, value: &[u8]) {
    if let Some(slot) = bytes.get_mut(at..at + value.len()) {
        slot.copy_from_slice(value);
    }
}

fn get<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Reads what segment `id`'s file starts with; a file too short for a header is `Bad`.
///
/// A header that is genuine but says what it cannot say is damage: it was not half-written.
pub(crate) fn read_header(
    options: &LogOptions,
    id: u64,
    path: &Path,
    file: &dyn File,
) -> Result<Option<SegmentHeader>, Error> {
    let Some(decoded) = read_decoded(path, file)? else {
        return Ok(None);
    };
    match decoded {
        DecodedHeader::Bad => Ok(None),
        DecodedHeader::OtherVersion(version) => Err(Error::UnsupportedVersion {
            version,
            path: path.to_owned(),
        }),
        DecodedHeader::Valid(header) if header.database_id != options.database_id => {
            Err(Error::WrongDatabase {
                path: path.to_owned(),
            })
        }
        DecodedHeader::Valid(header) => match header.implausible(id) {
            None => Ok(Some(header)),
            Some(reason) => Err(Error::Damaged {
                segment: id,
                offset: 0,
                path: path.to_owned(),
                reason,
            }),
        },
    }
}

/// Decodes what the file starts with; `None` if it is too short for a header.
fn read_decoded(path: &Path, file: &dyn File) -> Result<Option<DecodedHeader>, Error> {
    let mut bytes = [0_u8; HEADER_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(Some(SegmentHeader::decode(&bytes))),
        Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(source) => Err(Error::Io {
            operation: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

/// The database that the segment file at `path` says it belongs to, if it has a valid header.
pub(crate) fn read_database_id(path: &Path, file: &dyn File) -> Result<Option<[u8; 16]>, Error> {
    match read_decoded(path, file)? {
        Some(DecodedHeader::Valid(header)) => Ok(Some(header.database_id)),
        Some(DecodedHeader::OtherVersion(version)) => Err(Error::UnsupportedVersion {
            version,
            path: path.to_owned(),
        }),
        Some(DecodedHeader::Bad) | None => Ok(None),
    }
}

/// The offset of the first byte behind the header's place that is not zero.
pub(crate) fn find_non_zero(path: &Path, file: &dyn File) -> Result<Option<u64>, Error> {
    let mut window = vec![0; 1 << 16];
    let mut offset = SEGMENT_HEADER_LEN;
    loop {
        let read = match file.read_at(&mut window, offset) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(source) if source.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(Error::Io {
                    operation: "read",
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let bytes = window.get(..read).unwrap_or_default();
        if let Some(at) = bytes.iter().position(|&byte| byte != 0) {
            return Ok(Some(offset + at as u64));
        }
        offset += read as u64;
    }
}

/// Creates a segment's file, durably, with its header and up to `allocated` bytes preallocated.
///
/// A failure removes the half-created file as far as that is possible, so it is a clean rejection
/// of whatever needed the segment; only a failed sync is final.
pub(crate) fn create(
    options: &LogOptions,
    header: &SegmentHeader,
    allocated: u64,
) -> Result<Arc<dyn File>, Error> {
    let name = segment_file_name(header.segment);
    let file = create_with_header(options, header, &name)?;
    if allocated > SEGMENT_HEADER_LEN {
        // Only ever an optimisation: without it the file grows as it is written.
        let _ = file.preallocate(allocated);
    }
    file.sync().map_err(|source| Error::SyncFailed {
        operation: "sync",
        path: options.dir.path_of(&name),
        source,
    })?;
    sync_dir(options)?;
    Ok(file)
}

/// Creates the file `name` with the header in it, not synced. Nothing is left behind if the header
/// cannot be written.
pub(crate) fn create_with_header(
    options: &LogOptions,
    header: &SegmentHeader,
    name: &FileName,
) -> Result<Arc<dyn File>, Error> {
    let failed = |operation, source| Error::WriteFailed {
        operation,
        path: options.dir.path_of(name),
        source,
    };
    let file = match options.dir.create_new(name) {
        // No name can be made in a directory that was removed.
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            check_linked(&*options.dir)?;
            return Err(failed("create", source));
        }
        created => created.map_err(|source| failed("create", source))?,
    };
    if let Err(source) = file.append_all(&header.encode()) {
        // Best effort: a half-created segment that stays holds nothing.
        let _ = options.dir.unlink(name);
        return Err(failed("write", source));
    }
    Ok(file)
}

/// Checks that the directory was not removed: what is written into it then is gone.
pub(crate) fn check_linked(dir: &dyn Directory) -> Result<(), Error> {
    still_linked(dir.path(), dir.is_linked())
}

/// Checks what a directory or the file at `path` answered.
pub(crate) fn still_linked(path: &Path, is_linked: io::Result<bool>) -> Result<(), Error> {
    match is_linked {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::DirectoryGone {
            path: path.to_owned(),
        }),
        Err(source) => Err(Error::SyncFailed {
            operation: "look at",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Makes the names in the log's directory durable. A failure is final.
pub(crate) fn sync_dir(options: &LogOptions) -> Result<(), Error> {
    options.dir.sync().map_err(|source| Error::SyncFailed {
        operation: "sync",
        path: options.dir.path().to_owned(),
        source,
    })
}
