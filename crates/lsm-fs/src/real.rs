//! The real file system: `std::fs`, and the only place with platform code.
//!
//! Called through the seam by everything that runs in production. Never follows a symbolic link in
//! the last component of a path that it opens, and never retries on its own what the seam leaves to
//! the caller.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use self::directory::RealDirectory;
use crate::{Directory, EntryKind, FileSystem};

mod directory;
mod file;

#[cfg_attr(
    any(target_os = "linux", target_os = "android"),
    path = "real/fallocate.rs"
)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    path = "real/no_fallocate.rs"
)]
mod fallocate;
#[cfg_attr(unix, path = "real/unix.rs")]
#[cfg_attr(windows, path = "real/windows.rs")]
mod platform;

/// Whether an operation failed because too many files are open, in this process or in all of them.
///
/// That says nothing of the file. Close some, as [`ReliefFs`](crate::ReliefFs) does, and try again.
///
/// ```
/// # #[cfg(unix)]
/// assert!(lsm_fs::is_too_many_open_files(&std::io::Error::from_raw_os_error(24))); // EMFILE
/// assert!(!lsm_fs::is_too_many_open_files(&std::io::ErrorKind::NotFound.into()));
/// ```
#[must_use]
pub fn is_too_many_open_files(error: &io::Error) -> bool {
    platform::is_too_many_open_files(error)
}

/// The file system of the operating system.
///
/// A directory is held by its descriptor, so that it stays the same one when its path leads to
/// another (on Windows, where names cannot be looked up through a handle, by its absolute path and
/// a handle that denies moving and deleting it). Files are created readable by their owner only
/// (mode 0600) and symbolic links are refused where the platform can; a file's `sync` is
/// `fdatasync`, a directory's `fsync` (`F_FULLFSYNC` on Apple's systems; Windows has no sync of a
/// directory), locks are [`std::fs::File::try_lock`], and preallocation is `fallocate` on Linux,
/// zeros elsewhere.
///
/// ```
/// use lsm_fs::{Directory, File, FileName, FileSystem, RealFs};
///
/// let temporary = tempfile::tempdir()?;
/// let dir = RealFs::new().open_dir(temporary.path())?;
/// let name = FileName::try_from("a")?;
/// let file = dir.create_new(&name)?;
/// file.append_all(b"hello")?;
/// file.sync()?;
/// dir.sync()?; // without this the name may be gone after a power cut
/// assert_eq!(dir.file_len(&name)?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RealFs;

impl RealFs {
    /// The file system of the operating system.
    pub const fn new() -> Self {
        Self
    }
}

impl FileSystem for RealFs {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Directory>> {
        Ok(Arc::new(RealDirectory::open_dir(path)?))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(EntryKind::File)),
            Ok(metadata) if metadata.is_dir() => Ok(Some(EntryKind::Directory)),
            Ok(_) => Ok(Some(EntryKind::Other)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }
}

#[cfg(test)]
mod tests;
