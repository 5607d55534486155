//! Open handles and held locks of the simulated file system.
//!
//! Called through the seam. Lock order: a handle's logical end, then the disk.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::SharedDisk;
use super::disk::InodeId;
use super::links::LinksSeen;
use crate::{File, FileLock};

/// A handle on an inode, whatever its names are by now.
#[derive(Debug)]
pub(crate) struct SimFile {
    disk: SharedDisk,
    inode: InodeId,
    links: LinksSeen,
    /// Where the next append goes; `None` in a handle opened for reading.
    logical_end: Option<Mutex<u64>>,
}

impl SimFile {
    /// The caller has counted the handle.
    pub(super) fn for_reading(disk: SharedDisk, inode: InodeId, links: LinksSeen) -> Self {
        Self {
            disk,
            inode,
            links,
            logical_end: None,
        }
    }

    /// The caller has counted the handle.
    pub(super) fn for_appending(disk: SharedDisk, inode: InodeId, links: LinksSeen) -> Self {
        Self {
            disk,
            inode,
            links,
            logical_end: Some(Mutex::new(0)),
        }
    }

    /// What a failed fsync does: everything pending now counts as clean.
    pub(crate) fn fail_sync(&self) {
        self.disk.lock().fail_sync(self.inode);
    }

    /// What a failed write may do: `bytes`, as many as there is room for, are past the logical end,
    /// which has not moved.
    pub(crate) fn scribble(&self, bytes: &[u8]) {
        if let Ok(end) = self.logical_end() {
            // Without room it does nothing, which is what a failed write may do as well.
            let _ = self.disk.lock().write(self.inode, bytes, *end);
        }
    }

    fn logical_end(&self) -> io::Result<MutexGuard<'_, u64>> {
        let end = self
            .logical_end
            .as_ref()
            .ok_or(io::ErrorKind::PermissionDenied)?;
        Ok(end.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.disk.lock().file(self.inode)?.read_at(buf, offset))
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut end = self.logical_end()?;
        let written = self.disk.lock().write(self.inode, bytes, *end)?;
        *end += written as u64;
        Ok(written)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let _end = self.logical_end()?;
        self.disk.lock().grow(self.inode, len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut end = self.logical_end()?;
        self.disk.lock().cut(self.inode, len)?;
        *end = len.min(*end);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().file(self.inode)?.live_len())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.lock().sync_file(self.inode)
    }

    fn is_linked(&self) -> io::Result<bool> {
        Ok(self.links.any())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.lock().release(self.inode);
    }
}

/// A held lock on a file or a directory; it keeps a file's inode alive as a handle does.
#[derive(Debug)]
pub(super) struct SimLock {
    disk: SharedDisk,
    inode: InodeId,
}

impl SimLock {
    /// The caller has taken the lock.
    pub(super) fn new(disk: SharedDisk, inode: InodeId) -> Self {
        Self { disk, inode }
    }
}

impl FileLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.lock().unlock(self.inode);
    }
}
