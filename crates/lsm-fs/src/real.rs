//! The real file system: `std::fs`, and the only place with platform code.
//!
//! Called through the seam by everything that runs in production. Never follows a symbolic link in
//! the last component of a path that it opens, and never retries on its own what the seam leaves to
//! the caller.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{DirEntry, EntryKind, File, FileLock, FileSystem};

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

/// Whether an operation failed because too many files are open.
pub(crate) fn is_too_many_open_files(error: &io::Error) -> bool {
    platform::is_too_many_open_files(error)
}

/// One write while zero-filling: large enough that the system call is not what it costs.
const ZEROS: &[u8] = &[0; 64 * 1024];

/// The file system of the operating system.
///
/// Files are created readable by their owner only (mode 0600) and symbolic links are refused where
/// the platform can; `sync` is `fdatasync` (`F_FULLFSYNC` on Apple's systems), `sync_dir` opens and
/// fsyncs the directory (a no-op on Windows, which has no such call), the lock is
/// [`std::fs::File::try_lock`], and preallocation is `fallocate` on Linux, zeros elsewhere.
///
/// ```
/// use lsm_fs::{File, FileSystem, RealFs};
///
/// let dir = tempfile::tempdir()?;
/// let fs = RealFs::new();
/// let file = fs.create_new(&dir.path().join("a"))?;
/// file.append_all(b"hello")?;
/// file.sync()?;
/// fs.sync_dir(dir.path())?; // without this the name may be gone after a power cut
/// assert_eq!(fs.file_len(&dir.path().join("a"))?, 5);
/// # Ok::<(), std::io::Error>(())
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
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = platform::open_read(path)?;
        require_regular(&file.metadata()?)?;
        Ok(Arc::new(RealFile {
            file,
            logical_end: None,
        }))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = platform::create_new(path)?;
        Ok(Arc::new(RealFile {
            file,
            logical_end: Some(Mutex::new(0)),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = fs::read_dir(dir)?
            .map(|entry| {
                Ok(DirEntry {
                    name: entry?.file_name(),
                })
            })
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort_unstable();
        Ok(entries)
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

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        let metadata = fs::symlink_metadata(path)?;
        require_regular(&metadata)?;
        Ok(metadata.len())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        platform::sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let file = platform::open_lock(path)?;
        require_regular(&file.metadata()?)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock {
                file,
                process: std::process::id(),
            })),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// A device or a pipe under a database's file name would block or lie about its length.
fn require_regular(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        Ok(())
    } else if metadata.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

/// A lock of the process that took it. A child that was started meanwhile has a copy of the file, with
/// which the lock would outlive a mere close.
#[derive(Debug)]
struct RealLock {
    file: fs::File,
    process: u32,
}

impl Drop for RealLock {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            // What fails here is done by the close that follows, unless a child has the file too.
            let _ = self.file.unlock();
        }
    }
}

impl FileLock for RealLock {}

#[derive(Debug)]
struct RealFile {
    file: fs::File,
    /// Where the next append goes; `None` in a handle opened for reading. Held while the file's
    /// length is being changed, so that zero-filling never runs over an append.
    logical_end: Option<Mutex<u64>>,
}

impl RealFile {
    fn logical_end(&self) -> io::Result<MutexGuard<'_, u64>> {
        let end = self
            .logical_end
            .as_ref()
            .ok_or(io::ErrorKind::PermissionDenied)?;
        Ok(end.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fill_with_zeros(&self, mut from: u64, to: u64) -> io::Result<()> {
        while from < to {
            let left = usize::try_from(to - from).unwrap_or(usize::MAX);
            let zeros = ZEROS.get(..left).unwrap_or(ZEROS);
            match platform::write_at(&self.file, zeros, from) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => from += written as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        platform::read_at(&self.file, buf, offset)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut end = self.logical_end()?;
        let written = platform::write_at(&self.file, bytes, *end)?;
        *end += written as u64;
        Ok(written)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let _end = self.logical_end()?;
        let len_before = self.len()?;
        if len <= len_before {
            return Ok(());
        }
        let done = match fallocate::allocate(&self.file, len_before, len) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.fill_with_zeros(len_before, len)
            }
            done => done,
        };
        if done.is_err() {
            // A full disk may have given a part: hand it back, others need it more. If that fails
            // too, the file is merely longer than it must be.
            let _ = self.file.set_len(len_before);
        }
        done
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut end = self.logical_end()?;
        if len < self.len()? {
            self.file.set_len(len)?;
        }
        *end = len.min(*end);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests;
