//! An open directory of the real file system, and the locks taken through it.
//!
//! Called through the seam. Threads: any; `is_locked` is the only state, and an atomic.
//!
//! Invariants:
//! 1. The handle is opened once. No call resolves the path again.
//! 2. A lock is released by an explicit unlock, because a process that is being started may hold a
//!    copy of the handle; and only in the process that took it, because a forked child would release
//!    its parent's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::file::RealFile;
use super::platform::{self, DirectoryHandle};
use crate::sync_latch::SyncLatch;
use crate::{DirEntry, Directory, DirectoryId, EntryKind, File, FileLock, FileName};

#[derive(Debug)]
pub(super) struct RealDirectory {
    path: PathBuf,
    handle: Arc<Handle>,
    latch: SyncLatch,
    /// Whether the file system says how many names a file has: some say 0 of all.
    counts_links: bool,
}

/// The handle, shared with the lock on it.
#[derive(Debug)]
struct Handle {
    platform: DirectoryHandle,
    /// The operating system lets one handle take its lock twice.
    is_locked: AtomicBool,
}

impl RealDirectory {
    pub(super) fn open_dir(path: &Path) -> io::Result<Self> {
        let platform = DirectoryHandle::open_dir(path)?;
        let counts_links = platform::has_a_name(platform.file())?;
        Ok(Self {
            path: path.to_path_buf(),
            handle: Arc::new(Handle {
                platform,
                is_locked: AtomicBool::new(false),
            }),
            latch: SyncLatch::default(),
            counts_links,
        })
    }

    /// [`Directory::lock`], with the type of the lock known.
    pub(super) fn lock_file(&self, name: &FileName) -> io::Result<RealLock> {
        let file = self.handle.platform.open_lock(name)?;
        require_regular(&file)?;
        try_lock(&file)?;
        let owner = process::id();
        Ok(RealLock { file, owner })
    }

    /// What a child process inherits.
    #[cfg(test)]
    pub(super) fn handle_copy(&self) -> fs::File {
        self.handle.platform.file().try_clone().unwrap()
    }
}

impl Directory for RealDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        let file = self.handle.platform.open_read(name)?;
        require_regular(&file)?;
        Ok(Arc::new(RealFile::for_reading(file, self.counts_links)))
    }

    fn create_new(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        let file = self.handle.platform.create_new(name)?;
        Ok(Arc::new(RealFile::for_appending(file, self.counts_links)))
    }

    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        self.handle.platform.rename(from, to)
    }

    fn hard_link(&self, from: &FileName, to_dir: &dyn Directory, to: &FileName) -> io::Result<()> {
        let to_dir: &dyn std::any::Any = to_dir;
        let to_dir = to_dir
            .downcast_ref::<Self>()
            .ok_or(io::ErrorKind::CrossesDevices)?;
        let from_dir = &self.handle.platform;
        from_dir.hard_link(from, &to_dir.handle.platform, to)
    }

    fn unlink(&self, name: &FileName) -> io::Result<()> {
        self.handle.platform.unlink(name)
    }

    fn list(&self) -> io::Result<Vec<DirEntry>> {
        let mut entries: Vec<DirEntry> = self.handle.platform.list()?;
        entries.sort_unstable();
        Ok(entries)
    }

    fn kind(&self, name: &FileName) -> io::Result<Option<EntryKind>> {
        match self.handle.platform.inspect(name) {
            Ok((kind, _)) => Ok(Some(kind)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn file_len(&self, name: &FileName) -> io::Result<u64> {
        let (kind, len) = self.handle.platform.inspect(name)?;
        require_file(kind)?;
        Ok(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.latch.run(|| self.handle.platform.sync())
    }

    fn lock(&self, name: &FileName) -> io::Result<Box<dyn FileLock>> {
        Ok(Box::new(self.lock_file(name)?))
    }

    fn lock_self(&self) -> io::Result<Box<dyn FileLock>> {
        if self.handle.is_locked.swap(true, Ordering::AcqRel) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        try_lock(self.handle.platform.file()).inspect_err(|_| {
            self.handle.is_locked.store(false, Ordering::Release);
        })?;
        Ok(Box::new(RealDirectoryLock {
            handle: Arc::clone(&self.handle),
            owner: process::id(),
        }))
    }

    fn is_linked(&self) -> io::Result<bool> {
        Ok(!self.counts_links || platform::has_a_name(self.handle.platform.file())?)
    }

    fn id(&self) -> Option<DirectoryId> {
        platform::id(self.handle.platform.file())
    }
}

fn try_lock(file: &fs::File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// A device or a pipe under a database's file name would block or lie about its length.
fn require_regular(file: &fs::File) -> io::Result<()> {
    let metadata = file.metadata()?;
    require_file(match () {
        () if metadata.is_file() => EntryKind::File,
        () if metadata.is_dir() => EntryKind::Directory,
        () => EntryKind::Other,
    })
}

fn require_file(kind: EntryKind) -> io::Result<()> {
    match kind {
        EntryKind::File => Ok(()),
        EntryKind::Directory => Err(io::ErrorKind::IsADirectory.into()),
        EntryKind::Other => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )),
    }
}

/// The lock on a file. Invariant 2.
#[derive(Debug)]
pub(super) struct RealLock {
    file: fs::File,
    owner: u32,
}

#[cfg(test)]
impl RealLock {
    /// What a child process inherits.
    pub(super) fn handle_copy(&self) -> fs::File {
        self.file.try_clone().unwrap()
    }
}

impl FileLock for RealLock {}

impl Drop for RealLock {
    fn drop(&mut self) {
        if self.owner == process::id() {
            // If that fails, closing the file releases the lock a moment later.
            let _ = self.file.unlock();
        }
    }
}

/// The lock on a directory. Invariant 2.
#[derive(Debug)]
struct RealDirectoryLock {
    handle: Arc<Handle>,
    owner: u32,
}

impl FileLock for RealDirectoryLock {}

impl Drop for RealDirectoryLock {
    fn drop(&mut self) {
        if self.owner == process::id() {
            let _ = self.handle.platform.file().unlock();
            self.handle.is_locked.store(false, Ordering::Release);
        }
    }
}
