//! The errors of the helpers that do several file-system calls in one: which call failed, and where.
//!
//! The traits themselves return bare [`io::Error`]s; whoever calls them knows operation and path.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file-system call that failed: what was tried, on which path, and why.
///
/// Displayed as `cannot <operation> <path>`; the cause is its [`source`](std::error::Error::source)
/// and is not repeated in the message. The fields are public so that other crates can take it apart
/// into variants of their own.
///
/// ```
/// use std::io;
/// use lsm_fs::FsError;
///
/// let error = FsError::new("open", "/db/LOCK", io::ErrorKind::NotFound.into());
/// assert_eq!(error.to_string(), "cannot open /db/LOCK");
/// assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
/// ```
#[derive(Debug, Error)]
#[error("cannot {operation} {}", path.display())]
pub struct FsError {
    /// What was tried, as a verb that fits after "cannot": `"sync"`, `"create"`.
    pub operation: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// What the file system answered.
    #[source]
    pub source: io::Error,
}

impl FsError {
    /// An error of `operation` on `path`.
    pub fn new(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self {
            operation,
            path: path.into(),
            source,
        }
    }

    /// A function for `map_err` that adds `operation` and `path` to an [`io::Error`].
    ///
    /// ```
    /// use std::path::Path;
    /// use lsm_fs::{FileSystem, FsError, RealFs};
    ///
    /// let path = Path::new("/no/such/directory");
    /// let error = RealFs::new().open_dir(path).map_err(FsError::context("open", path)).unwrap_err();
    /// assert_eq!(error.to_string(), "cannot open /no/such/directory");
    /// ```
    pub fn context(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::new(operation, path, source)
    }
}

/// Why [`write_file_atomically`](crate::write_file_atomically) failed, told apart by what a caller
/// may still assume about the target.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum AtomicWriteError {
    /// The rename was never tried: the target is what it was before, now and after any crash.
    ///
    /// Go on with the old target; try again when the cause (such as a full disk) is gone.
    #[error("cannot {operation} {}; nothing was replaced", path.display())]
    NotWritten {
        /// What was tried, as a verb that fits after "cannot".
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the file system answered.
        source: io::Error,
    },
    /// The rename was tried, and it or the directory's sync failed: after a crash the target may
    /// hold either content.
    ///
    /// Rely on neither (delete nothing that either names) until the file has been read again after
    /// a restart.
    #[error("cannot {operation} {}; old or new content may be found after a crash", path.display())]
    FateUnknown {
        /// What was tried, as a verb that fits after "cannot".
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the file system answered.
        source: io::Error,
    },
}
