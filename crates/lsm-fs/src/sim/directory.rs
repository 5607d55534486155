//! An open directory of the simulated file system.
//!
//! Called through the seam. Lock order: the latch of its sync, then the disk.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SharedDisk;
use super::disk::InodeId;
use super::handle::{SimFile, SimLock};
use super::links::LinksSeen;
use crate::sync_latch::SyncLatch;
use crate::{DirEntry, Directory, DirectoryId, EntryKind, File, FileLock, FileName};

/// A handle on a directory's inode, whatever its name is by now.
#[derive(Debug)]
pub(crate) struct SimDirectory {
    disk: SharedDisk,
    inode: InodeId,
    links: LinksSeen,
    path: PathBuf,
    latch: SyncLatch,
}

impl SimDirectory {
    pub(super) fn new(disk: SharedDisk, inode: InodeId, links: LinksSeen, path: &Path) -> Self {
        Self {
            disk,
            inode,
            links,
            path: path.to_path_buf(),
            latch: SyncLatch::default(),
        }
    }

    /// What a failed fsync does: everything pending now counts as clean.
    pub(crate) fn fail_sync(&self) {
        self.disk.lock().fail_sync(self.inode);
    }

    /// [`Directory::open`], with the type of the handle known.
    pub(crate) fn open_file(&self, name: &FileName) -> io::Result<SimFile> {
        let mut disk = self.disk.lock();
        let inode = disk.lookup(self.inode, name)?;
        let links = disk.file(inode)?.links.seen();
        disk.acquire(inode);
        Ok(SimFile::for_reading(self.disk.clone(), inode, links))
    }

    /// [`Directory::create_new`], with the type of the handle known.
    pub(crate) fn create_new_file(&self, name: &FileName) -> io::Result<SimFile> {
        let mut disk = self.disk.lock();
        let inode = disk.create_file(self.inode, name)?;
        let links = disk.file(inode)?.links.seen();
        disk.acquire(inode);
        Ok(SimFile::for_appending(self.disk.clone(), inode, links))
    }
}

impl Directory for SimDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(name)?))
    }

    fn create_new(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.create_new_file(name)?))
    }

    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        self.disk.lock().rename(self.inode, from, to)
    }

    fn hard_link(&self, from: &FileName, to_dir: &dyn Directory, to: &FileName) -> io::Result<()> {
        let to_dir: &dyn Any = to_dir;
        let to_dir = to_dir.downcast_ref::<Self>();
        let to_dir = to_dir.filter(|to_dir| self.disk.is(&to_dir.disk));
        let to_dir = to_dir.ok_or(io::ErrorKind::CrossesDevices)?;
        let mut disk = self.disk.lock();
        disk.hard_link((self.inode, from), (to_dir.inode, to))
    }

    fn unlink(&self, name: &FileName) -> io::Result<()> {
        self.disk.lock().unlink(self.inode, name)
    }

    fn list(&self) -> io::Result<Vec<DirEntry>> {
        self.disk.lock().list(self.inode)
    }

    fn kind(&self, name: &FileName) -> io::Result<Option<EntryKind>> {
        let disk = self.disk.lock();
        match disk.lookup(self.inode, name) {
            Ok(inode) => Ok(Some(disk.kind(inode))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn file_len(&self, name: &FileName) -> io::Result<u64> {
        let disk = self.disk.lock();
        let inode = disk.lookup(self.inode, name)?;
        Ok(disk.file(inode)?.live_len())
    }

    fn sync(&self) -> io::Result<()> {
        self.latch.run(|| self.disk.lock().sync_dir(self.inode))
    }

    fn lock(&self, name: &FileName) -> io::Result<Box<dyn FileLock>> {
        let inode = self.disk.lock().lock_file(self.inode, name)?;
        Ok(Box::new(SimLock::new(self.disk.clone(), inode)))
    }

    fn lock_self(&self) -> io::Result<Box<dyn FileLock>> {
        self.disk.lock().lock(self.inode)?;
        Ok(Box::new(SimLock::new(self.disk.clone(), self.inode)))
    }

    fn is_linked(&self) -> io::Result<bool> {
        Ok(self.links.any())
    }

    fn id(&self) -> Option<DirectoryId> {
        Some(DirectoryId {
            file_system: self.disk.number(),
            node: self.inode.number(),
        })
    }
}
