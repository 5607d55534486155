//! What can go wrong with a manifest: on the way to the disk, and on the way back.
//!
//! Returned by [`Manifest`](crate::Manifest) only.

use std::io;
use std::path::PathBuf;

use crate::{EditError, RunId};

/// Why an edit was not committed, told apart by what may be on the disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The edit does not fit the current state. Nothing was written; make the edit anew.
    #[error("the version edit was refused")]
    Invalid(#[source] EditError),
    /// The edit did not happen, now or after any crash, and the state is what it was. Commit again
    /// when the cause (such as a full disk) is gone; until then keep what the edit would release.
    #[error("cannot {operation} {}; the edit did not happen", path.display())]
    NotWritten {
        /// What was being done.
        operation: &'static str,
        /// The file it was done to.
        path: PathBuf,
        /// The file system's answer.
        source: io::Error,
    },
    /// Nobody can tell whether the edit is on the disk. Final: every later commit is
    /// [`Poisoned`](Self::Poisoned). Unlink nothing, neither the edit's inputs nor its outputs,
    /// and reuse no id, until the manifest has been loaded again.
    #[error("cannot {operation} {}; the fate of the edit is open until reopened", path.display())]
    FateUnknown {
        /// What was being done.
        operation: &'static str,
        /// The file or directory it was done to.
        path: PathBuf,
        /// The file system's answer.
        source: io::Error,
    },
    /// The directory, or the manifest in it, was removed by somebody else, so the edit will not be
    /// found again. Final: every later commit is [`Poisoned`](Self::Poisoned).
    #[error("{} was removed while the manifest was open", path.display())]
    DirectoryGone {
        /// The directory, or the manifest.
        path: PathBuf,
    },
    /// The fate of an earlier edit is unknown, so none can follow it. Load the manifest again.
    #[error("the manifest was closed for writing by an earlier failure: {cause}")]
    Poisoned {
        /// The earlier failure, as text.
        cause: String,
    },
    /// There is a manifest of this format already. Load it instead.
    #[error("{} exists already", path.display())]
    AlreadyExists {
        /// The manifest.
        path: PathBuf,
    },
}

impl CommitError {
    /// Whether the cause is a lack of room (disk or quota), so that a retry may succeed.
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        match self {
            Self::NotWritten { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }

    /// Whether no commit can succeed until the manifest has been loaded again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::FateUnknown { .. } | Self::DirectoryGone { .. } | Self::Poisoned { .. }
        )
    }
}

/// Why a manifest could not be loaded. Nothing was written or removed.
///
/// `E` is the error of the caller's own reads, when it looks up keys in a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError<E: std::error::Error + 'static> {
    /// There is no manifest. Create one, if the directory holds no files of a database.
    #[error("{} does not exist", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It is the text manifest of `lsm-db` 1.x. Read it with
    /// [`LegacyManifest`](crate::LegacyManifest) and [adopt](crate::Manifest::adopt) it.
    #[error("{} was written by lsm-db 1.x", path.display())]
    Legacy {
        /// The manifest.
        path: PathBuf,
    },
    /// The file does not start as a manifest does. It is somebody else's, or its first bytes are
    /// damaged: restore it from a copy.
    #[error("{} is not a manifest", path.display())]
    NotAManifest {
        /// The file.
        path: PathBuf,
    },
    /// It was written in another version of the format. Use the version that wrote it.
    #[error("{} has format version {version}, which this version cannot read", path.display())]
    UnsupportedVersion {
        /// The manifest.
        path: PathBuf,
        /// The version found.
        version: u32,
    },
    /// It holds a record that this version does not know and must not skip. Use a newer version.
    #[error("unknown record kind {kind:#06x} at offset {offset} of {}", path.display())]
    UnknownKind {
        /// The manifest.
        path: PathBuf,
        /// The record's offset in bytes.
        offset: u64,
        /// The record's kind.
        kind: u16,
    },
    /// Synced bytes have changed or are gone, or say what no writer says. Restore the manifest
    /// from a copy; opening would lose acknowledged writes.
    #[error("{} is damaged at offset {offset}: {reason}", path.display())]
    Damaged {
        /// The manifest.
        path: PathBuf,
        /// Where the bad bytes start.
        offset: u64,
        /// How it is known to be damage and not a torn tail.
        reason: String,
    },
    /// A file-system call failed. Nothing was concluded from it: retry or give up.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file it was done to.
        path: PathBuf,
        /// The file system's answer.
        source: io::Error,
    },
    /// The caller could not tell the keys of a run whose keys are too long for the manifest.
    #[error("cannot read the smallest and largest key of run {run}")]
    Resolve {
        /// The run.
        run: RunId,
        /// The caller's error.
        source: E,
    },
}
