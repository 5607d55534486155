//! Directories whose names survive a power cut: created one by one, each synced into its parent.
//!
//! Called when a database is created or opened. Never removes anything.

use std::io;
use std::path::Path;

use crate::{ByPath, EntryKind, FileSystem, FsError};

/// The directory that holds the name `path`; `.` for a bare file name, `None` for a root.
pub(crate) fn parent_dir(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    })
}

/// Creates the directory `path` and whichever of its ancestors are missing, all of it durable.
///
/// When it returns, every directory it created has been synced, and so has the parent that holds
/// its name. Each is made durable before the next is created; so if an earlier call was cut short
/// by a kill, at most the deepest existing directory lacks its sync, and this call makes up for it.
/// (Where that one's parent may not be read, it is taken for somebody else's, and durable.)
/// A directory that exists is left as it is; a symbolic link on the way is taken for a directory.
/// An empty path is `NotFound`; the working directory is `.`.
///
/// # Errors
/// The call that failed and its path; `NotADirectory` if a file is in the way. What was created
/// before stays. Calling again is safe.
///
/// ```
/// use std::path::Path;
/// use lsm_fs::{CrashImage, FileSystem, SimFs, create_dir_all_synced};
///
/// let fs = SimFs::new();
/// create_dir_all_synced(&fs, Path::new("/var/lib/db"))?;
/// let after_crash = fs.crash(&CrashImage::NothingUnsynced);
/// assert!(after_crash.kind(Path::new("/var/lib/db"))?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create_dir_all_synced(fs: &dyn FileSystem, path: &Path) -> Result<(), FsError> {
    let mut missing = Vec::new();
    let mut deepest_existing = None;
    let mut next = Some(path);
    while let Some(dir) = next {
        match fs.kind(dir).map_err(FsError::context("inspect", dir))? {
            None => missing.push(dir),
            Some(EntryKind::File) => {
                let source = io::ErrorKind::NotADirectory.into();
                return Err(FsError::new("create directory", dir, source));
            }
            // A symbolic link is not followed here: if it does not lead to a directory, the first
            // call below it says so.
            Some(EntryKind::Directory | EntryKind::Other) => {
                deepest_existing = Some(dir);
                break;
            }
        }
        next = parent_dir(dir);
    }

    if let Some(parent) = deepest_existing.and_then(parent_dir) {
        match fs.sync_dir(parent) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                return Err(FsError::new("sync directory", parent, error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    for dir in missing.into_iter().rev() {
        match fs.create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(FsError::new("create directory", dir, error));
            }
            Ok(()) | Err(_) => {}
        }
        fs.sync_dir(dir)
            .map_err(FsError::context("sync directory", dir))?;
        if let Some(parent) = parent_dir(dir) {
            fs.sync_dir(parent)
                .map_err(FsError::context("sync directory", parent))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
