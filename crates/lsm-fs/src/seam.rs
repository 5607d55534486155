//! The seam itself: what a storage engine may ask of a file system, and nothing more.
//!
//! Called by the log, the manifest, the run files and the facade. Files are append-only: nothing
//! that was written is ever overwritten in place, so no implementation needs to model that.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: a symbolic link, a device, a socket.
    Other,
}

/// One name in a directory, as [`FileSystem::list`] returns it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name within its directory, without a path.
    pub name: OsString,
}

/// A file system, as far as a storage engine needs one.
///
/// Paths are taken as given; relative ones are relative to the process. Every method may be called
/// from any thread. Errors are those of [`io::Error`], with the kind that `std::fs` would give
/// (`NotFound`, `AlreadyExists`, `StorageFull`, …); callers add operation and path.
pub trait FileSystem: fmt::Debug + Send + Sync + 'static {
    /// Opens an existing regular file for reading only: what would change it is `PermissionDenied`.
    /// A symbolic link is refused where the platform can tell.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Creates a file that must not exist (`AlreadyExists` otherwise), for appending and reading,
    /// readable by its owner only where the platform has modes. The *name* is durable only after
    /// [`sync_dir`](Self::sync_dir) of its directory.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Renames a file atomically, replacing `to` if it exists. Durable after `sync_dir`; of both
    /// directories, if they differ. Directories are not renamed through this seam.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file at `from` a second name. `to` must not exist. Durable after `sync_dir`.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Open handles go on reading. Durable after `sync_dir`.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// What is at `path` (not following a symbolic link), or `None` if nothing is.
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>>;

    /// The length in bytes of the file at `path`.
    fn file_len(&self, path: &Path) -> io::Result<u64>;

    /// Creates one directory; its parent must exist (`AlreadyExists` if the directory does).
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes every name created, renamed or removed in `dir` so far durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the exclusive lock on the file at `path`, creating it if absent and never deleting
    /// it. Held until the returned value is dropped.
    ///
    /// # Errors
    /// `WouldBlock` if another handle, of this process or another, holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>>;
}

/// A held lock; dropping it releases.
pub trait FileLock: fmt::Debug + Send + Sync {}

/// An open file: appended by at most one writer, read by any number.
///
/// The handle that created the file keeps a *logical end*: where the next
/// [`append`](Self::append) goes. Preallocation moves the file's length, never the logical end.
pub trait File: fmt::Debug + Send + Sync + 'static {
    /// Reads at `offset` into `buf`; returns the number of bytes read, 0 at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes `bytes`, or a first part of them, at the logical end and moves it; returns how many
    /// bytes were written. On an error the logical end has not moved, though bytes past it may
    /// have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes the file at least `len` bytes long with its blocks allocated; new bytes read as zero.
    ///
    /// On an error (`StorageFull`, say) the file is as long as before, or could not be cut back.
    /// Appending goes on either way.
    fn preallocate(&self, len: u64) -> io::Result<()>;

    /// Cuts the file to `len` bytes and, if the logical end is past that, moves it there. A file
    /// that is no longer than `len` stays as it is.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// The file's length in bytes, preallocated ones included.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes all that was appended, and the length needed to read it, durable (`fdatasync`).
    ///
    /// A failure is final: the operating system may have dropped the pages and a later success
    /// says nothing about them. Don't retry.
    fn sync(&self) -> io::Result<()>;

    /// Appends all of `bytes`. `Interrupted` is retried; a write of zero bytes is `WriteZero`.
    ///
    /// On an error the logical end is wherever the last good part ended.
    fn append_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.append(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills `buf` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buf = buf.get_mut(read..).unwrap_or_default();
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
