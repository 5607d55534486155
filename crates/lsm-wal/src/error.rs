//! What can go wrong with a log, where, and what the caller should do about it.

use std::io;
use std::path::PathBuf;

/// Why a log operation failed.
///
/// Cloning copies an I/O source by its operating-system code, or else by kind and message, so that
/// every member of a commit group can be given the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A write did not happen: the group was rejected and nothing of it is or will be in the log.
    /// Writing may be retried, typically when there is room again, with fresh seqnos.
    #[error("cannot {operation} {}", path.display())]
    WriteFailed {
        /// What was being done.
        operation: &'static str,
        /// The file or directory it was done to.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A sync (or the cutting-off of a failed write) failed, so nobody can tell what is on the
    /// disk. Final: the log is poisoned. Reopen and recover to learn the fate of what was pending.
    #[error("cannot {operation} {}, so the log is closed for writing", path.display())]
    SyncFailed {
        /// What was being done.
        operation: &'static str,
        /// The file or directory it was done to.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The directory, or the file being written, was removed by somebody else. Final: what was
    /// written to it is gone when this log is dropped. Reopen to see what is at the path now.
    #[error("{} was removed while the log was open", path.display())]
    DirectoryGone {
        /// The directory, or the file in it.
        path: PathBuf,
    },
    /// An earlier failure closed the log for writing. Reopen and recover.
    #[error("the log was closed for writing by an earlier failure: {cause}")]
    Poisoned {
        /// The earlier failure, as text.
        cause: String,
    },
    /// The caller's seqnos do not ascend. Nothing was written; this is a defect of the caller.
    #[error("seqno {got} does not follow {previous}")]
    SeqnoOrder {
        /// The last seqno that the log has.
        previous: u64,
        /// The seqno that was offered after it.
        got: u64,
    },
    /// Synced bytes have changed or are gone. Restore from a copy; opening would lose acknowledged
    /// writes.
    #[error("segment {segment} is damaged at offset {offset} of {}: {reason}", path.display())]
    Damaged {
        /// The segment's id.
        segment: u64,
        /// Where the bad bytes start, in bytes from the start of the file.
        offset: u64,
        /// The segment's file.
        path: PathBuf,
        /// How it is known to be damage and not a torn tail.
        reason: String,
    },
    /// A log of `lsm-db` 1.x has a bad record and a valid one after it, so it was not torn off
    /// there. Restore it from a copy; going on would lose acknowledged writes.
    #[error("the log of lsm-db 1.x is damaged at offset {offset} of {}: {reason}", path.display())]
    LegacyDamaged {
        /// Where the bad record starts, in bytes from the start of the file.
        offset: u64,
        /// The log.
        path: PathBuf,
        /// How it is known to be damage and not a torn tail.
        reason: String,
    },
    /// A segment that the log needs is not there. Restore the file; opening would lose
    /// acknowledged writes.
    #[error("segment {segment} is missing: {} does not exist", path.display())]
    MissingSegment {
        /// The segment's id.
        segment: u64,
        /// The file that should be there.
        path: PathBuf,
    },
    /// A record of a kind that this version does not know and must not skip. Use a newer version.
    #[error("unknown record kind {kind:#06x} at offset {offset} of {}", path.display())]
    UnknownKind {
        /// The record's kind.
        kind: u16,
        /// The record's offset in its file, in bytes.
        offset: u64,
        /// The segment's file.
        path: PathBuf,
    },
    /// The segment belongs to another database: it was copied here. Move it away.
    #[error("{} belongs to another database", path.display())]
    WrongDatabase {
        /// The segment's file.
        path: PathBuf,
    },
    /// The segment was written in another version of the format. Use the version that wrote it.
    #[error("{} has format version {version}, which this version cannot read", path.display())]
    UnsupportedVersion {
        /// The version found.
        version: u32,
        /// The segment's file.
        path: PathBuf,
    },
    /// Reading, listing or removing failed. Nothing was concluded from it: retry or give up.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file or directory it was done to.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The leader of this write's group panicked. Its fate is open until the log is reopened.
    #[error("the leader of the commit group panicked")]
    Abandoned,
}

impl Error {
    /// Whether the cause is a lack of room (disk or quota), so that it may pass by itself.
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        matches!(
            self.io_kind(),
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        ) && !self.is_final()
    }

    /// Whether the log stays closed for writing until it is reopened.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::SyncFailed { .. } | Self::DirectoryGone { .. } | Self::Poisoned { .. }
        )
    }

    fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::WriteFailed { source, .. }
            | Self::SyncFailed { source, .. }
            | Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// The message with that of its source, for storing as the cause of a poisoning.
    pub(crate) fn to_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

impl Clone for Error {
    fn clone(&self) -> Self {
        match self {
            Self::WriteFailed {
                operation,
                path,
                source,
            } => Self::WriteFailed {
                operation,
                path: path.clone(),
                source: copy_of(source),
            },
            Self::SyncFailed {
                operation,
                path,
                source,
            } => Self::SyncFailed {
                operation,
                path: path.clone(),
                source: copy_of(source),
            },
            Self::Io {
                operation,
                path,
                source,
            } => Self::Io {
                operation,
                path: path.clone(),
                source: copy_of(source),
            },
            Self::DirectoryGone { path } => Self::DirectoryGone { path: path.clone() },
            Self::Poisoned { cause } => Self::Poisoned {
                cause: cause.clone(),
            },
            Self::SeqnoOrder { previous, got } => Self::SeqnoOrder {
                previous: *previous,
                got: *got,
            },
            Self::Damaged {
                segment,
                offset,
                path,
                reason,
            } => Self::Damaged {
                segment: *segment,
                offset: *offset,
                path: path.clone(),
                reason: reason.clone(),
            },
            Self::LegacyDamaged {
                offset,
                path,
                reason,
            } => Self::LegacyDamaged {
                offset: *offset,
                path: path.clone(),
                reason: reason.clone(),
            },
            Self::MissingSegment { segment, path } => Self::MissingSegment {
                segment: *segment,
                path: path.clone(),
            },
            Self::UnknownKind { kind, offset, path } => Self::UnknownKind {
                kind: *kind,
                offset: *offset,
                path: path.clone(),
            },
            Self::WrongDatabase { path } => Self::WrongDatabase { path: path.clone() },
            Self::UnsupportedVersion { version, path } => Self::UnsupportedVersion {
                version: *version,
                path: path.clone(),
            },
            Self::Abandoned => Self::Abandoned,
        }
    }
}

fn copy_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Why a recovery stopped: the log's fault, or the visitor's wish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError<E> {
    /// The log could not be read, or is damaged. See [`Error`].
    #[error(transparent)]
    Log(#[from] Error),
    /// The visitor refused a record; this is what it returned.
    #[error("the visitor refused a record")]
    Visit(#[source] E),
}
