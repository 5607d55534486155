//! The errors of the crates below, as the caller sees them; and this crate's, as `error-forge` does.

use std::io;

use lsm_version::{CommitError, LoadError};
use lsm_wal::RecoverError;

use crate::Error;

impl From<lsm_wal::Error> for Error {
    fn from(error: lsm_wal::Error) -> Self {
        use lsm_wal::Error as Log;
        let detail = error.to_string();
        match error {
            Log::WriteFailed {
                operation,
                path,
                source,
            }
            | Log::SyncFailed {
                operation,
                path,
                source,
            }
            | Log::Io {
                operation,
                path,
                source,
            } => Self::io(operation, &path, source),
            Log::DirectoryGone { path } => Self::DirectoryGone { path },
            Log::Poisoned { cause } => Self::Poisoned {
                cause: cause.into(),
            },
            Log::Damaged { offset, path, .. } => Self::Corruption {
                reason: "the log is damaged before the end of what was durable",
                detail: Some(detail.into()),
                file: Some(path),
                offset: Some(offset),
                block: None,
            },
            Log::LegacyDamaged { offset, path, .. } => Self::Corruption {
                reason: "the log of lsm-db 1.x is damaged before its end",
                detail: Some(detail.into()),
                file: Some(path),
                offset: Some(offset),
                block: None,
            },
            Log::MissingSegment { path, .. } => {
                Self::corrupt_file("a segment of the log is missing", &path)
            }
            Log::WrongDatabase { path } => {
                Self::corrupt_file("a log segment belongs to another database", &path)
            }
            Log::UnsupportedVersion { path, .. } => Self::UnsupportedFormat {
                reason: "a log segment of a later version",
                file: path,
            },
            Log::UnknownKind { path, .. } => Self::UnsupportedFormat {
                reason: "a log record of a later version, which must not be skipped",
                file: path,
            },
            other => Self::Io {
                context: "write the log",
                path: None,
                source: io::Error::other(other),
            },
        }
    }
}

impl From<RecoverError<Error>> for Error {
    fn from(error: RecoverError<Error>) -> Self {
        match error {
            RecoverError::Log(error) => error.into(),
            RecoverError::Visit(error) => error,
            other => Self::Io {
                context: "recover the log",
                path: None,
                source: io::Error::other(other.to_string()),
            },
        }
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NotWritten {
                operation,
                path,
                source,
            }
            | CommitError::FateUnknown {
                operation,
                path,
                source,
            } => Self::io(operation, &path, source),
            CommitError::DirectoryGone { path } => Self::DirectoryGone { path },
            CommitError::Poisoned { cause } => Self::Poisoned {
                cause: cause.into(),
            },
            other => Self::Io {
                context: "change the manifest",
                path: None,
                source: io::Error::other(other),
            },
        }
    }
}

impl From<LoadError<Error>> for Error {
    fn from(error: LoadError<Error>) -> Self {
        let detail = error.to_string();
        match error {
            LoadError::Missing { path } => Self::corrupt_file("the manifest is missing", &path),
            LoadError::Legacy { path } => Self::UnsupportedFormat {
                reason: "a manifest of lsm-db 1.x",
                file: path,
            },
            LoadError::NotAManifest { path } => {
                Self::corrupt_file("the manifest does not start as one", &path)
            }
            LoadError::UnsupportedVersion { path, .. } => Self::UnsupportedFormat {
                reason: "a manifest of another format version",
                file: path,
            },
            LoadError::UnknownKind { path, .. } => Self::UnsupportedFormat {
                reason: "a manifest record of a later version, which must not be skipped",
                file: path,
            },
            LoadError::Damaged { path, offset, .. } => Self::Corruption {
                reason: "the manifest is damaged",
                detail: Some(detail.into()),
                file: Some(path),
                offset: Some(offset),
                block: None,
            },
            LoadError::Io {
                operation,
                path,
                source,
            } => Self::io(operation, &path, source),
            LoadError::Resolve { source, .. } => source,
            other => Self::Io {
                context: "load the manifest",
                path: None,
                source: io::Error::other(other.to_string()),
            },
        }
    }
}

#[cfg(feature = "error-forge")]
impl error_forge::ForgeError for Error {
    fn kind(&self) -> &'static str {
        Self::kind(self)
    }

    fn caption(&self) -> &'static str {
        Self::caption(self)
    }

    fn is_fatal(&self) -> bool {
        Self::is_fatal(self)
    }
}

#[cfg(all(test, feature = "error-forge"))]
mod tests {
    use error_forge::ForgeError;

    use super::*;

    #[test]
    fn error_forge_sees_what_the_inherent_methods_say() {
        let error = Error::invalid("too long");
        let forged: &dyn ForgeError = &error;
        assert_eq!(forged.kind(), "InvalidInput");
        assert_eq!(forged.caption(), error.caption());
        assert!(!forged.is_fatal());
        let error = Error::ConditionFailed {
            key: b"k".to_vec(),
            required: crate::Required::Absent,
        };
        let forged: &dyn ForgeError = &error;
        assert_eq!(forged.kind(), "ConditionFailed");
        assert!(!forged.is_fatal());
    }
}
