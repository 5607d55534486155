//! Files small enough to be read or replaced whole: a manifest, a marker, a sidecar.
//!
//! Called by whoever owns such a file. Never follows the seam with a call it does not need, and
//! never leaves a caller in doubt about whether a replacement happened.

use std::io;
use std::path::Path;

use crate::synced_dirs::parent_dir;
use crate::{AtomicWriteError, FileSystem, FsError};

/// Reads a whole file of at most `len_max` bytes.
///
/// Nothing is allocated before the file's length has been checked against `len_max`, and never more
/// than the file holds.
///
/// # Errors
/// `NotFound` if there is no such file, `FileTooLarge` if it is longer than `len_max`, else what
/// the file system answered.
///
/// ```
/// use std::path::Path;
/// use lsm_fs::{FileSystem, SimFs, read_to_vec};
///
/// let fs = SimFs::new();
/// fs.create_new(Path::new("/note"))?.append_all(b"hello")?;
/// assert_eq!(read_to_vec(&fs, Path::new("/note"), 5)?, b"hello");
/// assert!(read_to_vec(&fs, Path::new("/note"), 4).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_to_vec(fs: &dyn FileSystem, path: &Path, len_max: u64) -> Result<Vec<u8>, FsError> {
    let file = fs.open(path).map_err(FsError::context("open", path))?;
    let len = file
        .len()
        .map_err(FsError::context("read the length of", path))?;
    let Some(len) = usize::try_from(len).ok().filter(|_| len <= len_max) else {
        return Err(FsError::new(
            "read",
            path,
            io::ErrorKind::FileTooLarge.into(),
        ));
    };
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)
        .map_err(FsError::context("read", path))?;
    Ok(bytes)
}

/// Replaces the content of `target` by `bytes`: after a crash it holds the old content or the new,
/// whole.
///
/// Writes `temp` (removing a stale one first), syncs it, renames it over `target` and syncs the
/// directory; when it returns `Ok`, the new content is durable. `target` need not exist. `temp`
/// must be a name that nothing else uses, in the same directory.
///
/// # Errors
/// [`NotWritten`](AtomicWriteError::NotWritten) if it failed before the rename: `target` is as it
/// was, and `temp` was removed if that was possible.
/// [`FateUnknown`](AtomicWriteError::FateUnknown) if the rename or the sync of the directory
/// failed: a crash may leave either content.
///
/// ```
/// use std::path::Path;
/// use lsm_fs::{CrashImage, SimFs, read_to_vec, write_file_atomically};
///
/// let (fs, target) = (SimFs::new(), Path::new("/CURRENT"));
/// write_file_atomically(&fs, Path::new("/CURRENT.tmp"), target, b"one")?;
/// write_file_atomically(&fs, Path::new("/CURRENT.tmp"), target, b"two")?;
/// let after_crash = fs.crash(&CrashImage::NothingUnsynced);
/// assert_eq!(read_to_vec(&after_crash, target, 100)?, b"two");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_file_atomically(
    fs: &dyn FileSystem,
    temp: &Path,
    target: &Path,
    bytes: &[u8],
) -> Result<(), AtomicWriteError> {
    let not_written = |operation, source| AtomicWriteError::NotWritten {
        operation,
        path: temp.to_path_buf(),
        source,
    };
    let Some(dir) = parent_dir(target).filter(|dir| parent_dir(temp) == Some(dir)) else {
        return Err(not_written("rename", io::ErrorKind::InvalidInput.into()));
    };

    match fs.remove_file(temp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(not_written("remove stale", error));
        }
        Ok(()) | Err(_) => {}
    }
    write_synced(fs, temp, bytes).map_err(|(operation, source)| {
        // Frees the room it took. If that fails too, the next call removes it.
        let _ = fs.remove_file(temp);
        not_written(operation, source)
    })?;

    let fate_unknown = |operation, path: &Path, source| AtomicWriteError::FateUnknown {
        operation,
        path: path.to_path_buf(),
        source,
    };
    fs.rename(temp, target)
        .map_err(|source| fate_unknown("replace", target, source))?;
    fs.sync_dir(dir)
        .map_err(|source| fate_unknown("sync directory", dir, source))
}

/// Writes and syncs a new file; its handle is closed before it returns, so that platforms which
/// cannot rename an open file can rename this one.
fn write_synced(
    fs: &dyn FileSystem,
    path: &Path,
    bytes: &[u8],
) -> Result<(), (&'static str, io::Error)> {
    let file = fs.create_new(path).map_err(|source| ("create", source))?;
    file.append_all(bytes).map_err(|source| ("write", source))?;
    file.sync().map_err(|source| ("sync", source))
}

#[cfg(test)]
mod tests;
