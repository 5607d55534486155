//! The lock that makes a directory one handle's own: a file in it, and the directory itself.
//!
//! Called at open by programs that own a directory. Waits for nothing.

use std::io;

use crate::{Directory, FileLock, FileName};

/// Both locks; dropping releases them.
#[derive(Debug)]
struct DirectoryLock {
    _file: Box<dyn FileLock>,
    /// `None` where the file system has no lock on directories.
    _directory: Option<Box<dyn FileLock>>,
}

impl FileLock for DirectoryLock {}

/// Takes the lock on the file `name` in `dir`, and the one on `dir` itself where there is such a
/// thing. So a second handle is kept out also if the file was removed meanwhile.
///
/// # Errors
/// `WouldBlock` if either is held: then neither is kept. Otherwise as [`Directory::lock`].
///
/// ```
/// use std::path::Path;
/// use lsm_fs::{ByPath, FileName, FileSystem, SimFs, lock_directory};
///
/// const LOCK: FileName = FileName::constant("LOCK");
/// let fs = SimFs::new();
/// let held = lock_directory(&*fs.open_dir(Path::new("/"))?, &LOCK)?;
/// fs.remove_file(Path::new("/LOCK"))?; // "it looked stale"
/// let second = lock_directory(&*fs.open_dir(Path::new("/"))?, &LOCK);
/// assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn lock_directory(dir: &dyn Directory, name: &FileName) -> io::Result<Box<dyn FileLock>> {
    let file = dir.lock(name)?;
    let directory = match dir.lock_self() {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
        // Not available here: the file's lock has to do.
        Err(_) => None,
    };
    Ok(Box::new(DirectoryLock {
        _file: file,
        _directory: directory,
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{ByPath, Fault, FaultFs, FileSystem, Operation, SimFs};

    const LOCK: FileName = FileName::constant("LOCK");

    #[test]
    fn a_file_system_without_locks_on_directories_is_locked_by_the_file() {
        let fs = FaultFs::over_sim(SimFs::new());
        let unsupported = Fault::new(io::ErrorKind::Unsupported).for_good();
        fs.fail_when(Operation::LockDir, |_| true, unsupported);
        let dir = fs.open_dir(Path::new("/")).unwrap();
        let held = lock_directory(&*dir, &LOCK).unwrap();
        let second = lock_directory(&*dir, &LOCK).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        lock_directory(&*dir, &LOCK).unwrap();
    }

    #[test]
    fn a_lock_that_cannot_be_taken_whole_is_not_kept_in_part() {
        let fs = SimFs::new();
        let dir = fs.open_dir(Path::new("/")).unwrap();
        let directory_only = dir.lock_self().unwrap();
        let whole = lock_directory(&*dir, &LOCK).unwrap_err();
        assert_eq!(whole.kind(), io::ErrorKind::WouldBlock);
        drop(fs.lock(Path::new("/LOCK")).unwrap());
        drop(directory_only);
        lock_directory(&*dir, &LOCK).unwrap();
    }
}
