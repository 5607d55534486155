//! The seam itself: what a storage engine may ask of a file system, and nothing more.
//!
//! Called by the log, the manifest, the run files and the facade. Files are append-only: nothing
//! that was written is ever overwritten in place, so no implementation needs to model that.

use std::any::Any;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::FileName;

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

/// One name in a directory, as [`Directory::list`] returns it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name within its directory, without a path.
    pub name: OsString,
}

/// Which directory an open one is, among those that exist now: equal for two handles on the same one,
/// whatever paths they were opened under. One that is removed may leave its number to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DirectoryId {
    /// The number of its file system.
    pub file_system: u64,
    /// Its number there.
    pub node: u64,
}

/// A file system, as far as a storage engine needs one: where directories come from.
///
/// Paths are taken as given; relative ones are relative to the process at the moment of the call.
/// An empty path leads nowhere (`NotFound`). Every method may be called from any thread. Errors are
/// those of [`io::Error`], with the kind that `std::fs` would give (`NotFound`, `AlreadyExists`,
/// `StorageFull`, …); callers add operation and path.
///
/// What lies in a directory is reached through [`open_dir`](Self::open_dir). Programs that look at
/// single files by path use [`ByPath`](crate::ByPath).
pub trait FileSystem: fmt::Debug + Send + Sync + 'static {
    /// Opens the existing directory at `path`: `NotFound` if nothing is there, `NotADirectory` if
    /// something else is. A symbolic link to a directory is followed.
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Directory>>;

    /// What is at `path` (not following a symbolic link), or `None` if nothing is.
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>>;

    /// Creates one directory; its parent must exist (`AlreadyExists` if the directory does). The
    /// name is durable after a sync of the parent.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
}

/// An open directory: the thing itself, whatever its path leads to by now.
///
/// A directory that is renamed, or replaced by another one at its path, stays what it was: calls go
/// on to reach its own files. In one that was removed everything that needs a name is `NotFound`;
/// open files can still be appended to and synced, so ask [`is_linked`](Self::is_linked) after a
/// sync that is to be relied on.
///
/// Open a directory once and share the handle: a failed [`sync`](Self::sync) is final for all who
/// use it. Every method may be called from any thread.
pub trait Directory: Any + fmt::Debug + Send + Sync {
    /// The path under which it was opened, for messages.
    fn path(&self) -> &Path;

    /// Opens an existing regular file for reading only: what would change it is `PermissionDenied`.
    /// A symbolic link is refused where the platform can tell.
    fn open(&self, name: &FileName) -> io::Result<Arc<dyn File>>;

    /// Creates a file that must not exist (`AlreadyExists` otherwise), for appending and reading,
    /// readable by its owner only where the platform has modes. The *name* is durable only after
    /// [`sync`](Self::sync).
    fn create_new(&self, name: &FileName) -> io::Result<Arc<dyn File>>;

    /// Renames a file or a directory atomically. A file replaces a file, a directory an empty
    /// directory. Durable after [`sync`](Self::sync).
    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()>;

    /// Gives the file `from` a second name, `to` in `to_dir`, which must not exist. Durable after a
    /// sync of `to_dir`. `CrossesDevices` if `to_dir` is of another file system.
    fn hard_link(&self, from: &FileName, to_dir: &dyn Directory, to: &FileName) -> io::Result<()>;

    /// Removes a file's name. Open handles go on. Durable after [`sync`](Self::sync).
    fn unlink(&self, name: &FileName) -> io::Result<()>;

    /// The names in it, sorted; none if it was removed.
    fn list(&self) -> io::Result<Vec<DirEntry>>;

    /// What `name` stands for (not following a symbolic link), or `None` if for nothing.
    fn kind(&self, name: &FileName) -> io::Result<Option<EntryKind>>;

    /// The length in bytes of the file `name`.
    fn file_len(&self, name: &FileName) -> io::Result<u64>;

    /// Makes every name created, renamed or removed in it so far durable.
    ///
    /// One sync runs at a time. The first failure is final for the handle: every later sync fails,
    /// in every thread, because a failed one may have taken the names of all of them along.
    fn sync(&self) -> io::Result<()>;

    /// Takes the exclusive lock on the file `name`, creating it if absent and never deleting it.
    /// Held until the returned value is dropped.
    ///
    /// # Errors
    /// `WouldBlock` if another handle, of this process or another, holds it.
    fn lock(&self, name: &FileName) -> io::Result<Box<dyn FileLock>>;

    /// Takes the exclusive lock on the directory itself, apart from those on files in it.
    ///
    /// # Errors
    /// `WouldBlock` if it is held, through this handle or another. Any other error says that this
    /// file system has no such lock.
    fn lock_self(&self) -> io::Result<Box<dyn FileLock>>;

    /// Whether it still has a name. `false`: it was removed, and whatever is written into its files
    /// is gone with the last handle. A platform that cannot tell says `true`.
    fn is_linked(&self) -> io::Result<bool>;

    /// Which directory it is; `None` where that cannot be told. For messages: nothing is decided by it.
    fn id(&self) -> Option<DirectoryId> {
        None
    }

    /// Where `name` would be under the path that it was opened under, for messages.
    fn path_of(&self, name: &FileName) -> PathBuf {
        self.path().join(name)
    }
}

/// A held lock. Dropping it releases, by an explicit unlock: a copy of the handle that another
/// process has inherited does not keep the lock. Dropped in a forked child it releases nothing.
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

    /// Whether the file still has a name, in any directory. `false`: it was removed, and what is
    /// written to it is gone with the last handle. A platform that cannot tell says `true`.
    fn is_linked(&self) -> io::Result<bool>;

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
