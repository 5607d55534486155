//! Files small enough to be read or replaced whole: a manifest, a marker, a sidecar.
//!
//! Called by whoever owns such a file. Never follows the seam with a call it does not need, and
//! never leaves a caller in doubt about whether a replacement happened.

use std::io;

use crate::{AtomicWriteError, Directory, FileName, FsError};

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
/// use lsm_fs::{FileName, FileSystem, SimFs, read_to_vec};
///
/// const NOTE: FileName = FileName::constant("note");
/// let dir = SimFs::new().open_dir(Path::new("/"))?;
/// dir.create_new(&NOTE)?.append_all(b"hello")?;
/// assert_eq!(read_to_vec(&*dir, &NOTE, 5)?, b"hello");
/// assert!(read_to_vec(&*dir, &NOTE, 4).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_to_vec(dir: &dyn Directory, name: &FileName, len_max: u64) -> Result<Vec<u8>, FsError> {
    let failed = |operation| move |source| FsError::new(operation, dir.path_of(name), source);
    let file = dir.open(name).map_err(failed("open"))?;
    let len = file.len().map_err(failed("read the length of"))?;
    let Some(len) = usize::try_from(len).ok().filter(|_| len <= len_max) else {
        return Err(failed("read")(io::ErrorKind::FileTooLarge.into()));
    };
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0).map_err(failed("read"))?;
    Ok(bytes)
}

/// Replaces the content of the file `target` in `dir` by `bytes`: after a crash it holds the old
/// content or the new, whole.
///
/// Writes `temp` (removing a stale one first), syncs it, renames it over `target` and syncs the
/// directory; when it returns `Ok`, the new content is durable. `target` need not exist. `temp`
/// must be a name that nothing else uses.
///
/// # Errors
/// [`NotWritten`](AtomicWriteError::NotWritten) if it failed before the rename: `target` is as it
/// was, and `temp` was removed if that was possible.
/// [`FateUnknown`](AtomicWriteError::FateUnknown) if the rename or the sync of the directory
/// failed: a crash may leave either content.
///
/// ```
/// use std::path::Path;
/// use lsm_fs::{CrashImage, FileName, FileSystem, SimFs, read_to_vec, write_file_atomically};
///
/// const TEMP: FileName = FileName::constant("CURRENT.tmp");
/// const TARGET: FileName = FileName::constant("CURRENT");
/// let fs = SimFs::new();
/// let dir = fs.open_dir(Path::new("/"))?;
/// write_file_atomically(&*dir, &TEMP, &TARGET, b"one")?;
/// write_file_atomically(&*dir, &TEMP, &TARGET, b"two")?;
/// let after_crash = fs.crash(&CrashImage::NothingUnsynced);
/// let found = read_to_vec(&*after_crash.open_dir(Path::new("/"))?, &TARGET, 100)?;
/// assert_eq!(found, b"two");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_file_atomically(
    dir: &dyn Directory,
    temp: &FileName,
    target: &FileName,
    bytes: &[u8],
) -> Result<(), AtomicWriteError> {
    let not_written = |operation, source| AtomicWriteError::NotWritten {
        operation,
        path: dir.path_of(temp),
        source,
    };
    match dir.unlink(temp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(not_written("remove stale", error));
        }
        Ok(()) | Err(_) => {}
    }
    write_synced(dir, temp, bytes).map_err(|(operation, source)| {
        // Frees the room it took. If that fails too, the next call removes it.
        let _ = dir.unlink(temp);
        not_written(operation, source)
    })?;

    let fate_unknown = |operation, path, source| AtomicWriteError::FateUnknown {
        operation,
        path,
        source,
    };
    dir.rename(temp, target)
        .map_err(|source| fate_unknown("replace", dir.path_of(target), source))?;
    dir.sync()
        .map_err(|source| fate_unknown("sync directory", dir.path().to_path_buf(), source))
}

/// Writes and syncs a new file; its handle is closed before it returns, so that platforms which
/// cannot rename an open file can rename this one.
fn write_synced(
    dir: &dyn Directory,
    name: &FileName,
    bytes: &[u8],
) -> Result<(), (&'static str, io::Error)> {
    let file = dir.create_new(name).map_err(|source| ("create", source))?;
    file.append_all(bytes).map_err(|source| ("write", source))?;
    file.sync().map_err(|source| ("sync", source))
}

#[cfg(test)]
mod tests;
