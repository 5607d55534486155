//! Operations on the names of the simulated disk.
//!
//! Called by `SimFs` and its directories, always under the one lock. A directory is the inode that a
//! handle holds, so what its path leads to by now makes no difference. In one that was removed no
//! name is found and none can be made.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::dir_node::{DirEdit, DirNode};
use super::disk::{Disk, Inode, InodeId};
use super::file_node::FileNode;
use crate::{DirEntry, FileName};

impl Disk {
    pub(super) fn lookup(&self, dir: InodeId, name: &FileName) -> io::Result<InodeId> {
        let found = self.dir(dir)?.get(name.as_os_str());
        Ok(found.ok_or(io::ErrorKind::NotFound)?)
    }

    pub(super) fn list(&self, dir: InodeId) -> io::Result<Vec<DirEntry>> {
        let names = self.dir(dir)?.live_names();
        Ok(names.map(|name| DirEntry { name: name.clone() }).collect())
    }

    /// The directory, unless it was removed: then no name can be made in it.
    fn linked_dir(&self, dir: InodeId) -> io::Result<&DirNode> {
        let node = self.dir(dir)?;
        match node.links.any() {
            true => Ok(node),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn require_free(&self, dir: InodeId, name: &FileName) -> io::Result<()> {
        match self.linked_dir(dir)?.get(name.as_os_str()) {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => Ok(()),
        }
    }

    pub(super) fn create_file(&mut self, dir: InodeId, name: &FileName) -> io::Result<InodeId> {
        self.require_free(dir, name)?;
        self.add(dir, name, Inode::File(FileNode::with_one_name()))
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            // The root, or something that ends in `..`: both exist or lead to nothing.
            self.resolve(path)?;
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        let dir = self.resolve_parent(parent)?;
        let name = FileName::try_from(name)?;
        self.require_free(dir, &name)?;
        self.add(dir, &name, Inode::Dir(DirNode::with_one_name()))?;
        Ok(())
    }

    fn add(&mut self, dir: InodeId, name: &FileName, inode: Inode) -> io::Result<InodeId> {
        let inode = self.add_inode(inode);
        let name = text(name);
        self.change_dir(dir, DirEdit::Add { name, inode })?;
        Ok(inode)
    }

    pub(super) fn hard_link(
        &mut self,
        from: (InodeId, &FileName),
        to: (InodeId, &FileName),
    ) -> io::Result<()> {
        let inode = self.lookup(from.0, from.1)?;
        self.file(inode)?;
        self.require_free(to.0, to.1)?;
        let name = text(to.1);
        self.change_dir(to.0, DirEdit::Add { name, inode })?;
        self.add_link(inode)
    }

    pub(super) fn unlink(&mut self, dir: InodeId, name: &FileName) -> io::Result<()> {
        let inode = self.lookup(dir, name)?;
        self.file(inode)?;
        let name = text(name);
        self.change_dir(dir, DirEdit::Remove { name, inode })?;
        self.drop_link(inode)
    }

    pub(super) fn rename(
        &mut self,
        dir: InodeId,
        from: &FileName,
        to: &FileName,
    ) -> io::Result<()> {
        let inode = self.lookup(dir, from)?;
        let replaced = self.dir(dir)?.get(to.as_os_str());
        if let Some(replaced) = replaced {
            if replaced == inode {
                // Two names of one file: POSIX wants both to stay.
                return Ok(());
            }
            self.require_replaceable(inode, replaced)?;
        }
        let (from, to) = (text(from), text(to));
        self.change_dir(dir, DirEdit::Rename { from, to, inode })?;
        replaced.map_or(Ok(()), |replaced| self.drop_link(replaced))
    }

    /// A file replaces a file, a directory an empty directory.
    fn require_replaceable(&self, inode: InodeId, replaced: InodeId) -> io::Result<()> {
        if self.file(inode).is_ok() {
            self.file(replaced)?;
        } else if self.dir(replaced)?.live_names().next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        Ok(())
    }

    /// Removes the directory at `path` and everything in it, as `std::fs::remove_dir_all` does.
    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (dir, name) = (self.resolve_parent(parent)?, FileName::try_from(name)?);
        let inode = self.lookup(dir, &name)?;
        self.dir(inode)?;
        self.remove_all(dir, &name)
    }

    fn remove_all(&mut self, dir: InodeId, name: &FileName) -> io::Result<()> {
        let inode = self.lookup(dir, name)?;
        if self.dir(inode).is_ok() {
            for entry in self.list(inode)? {
                self.remove_all(inode, &FileName::try_from(&*entry.name)?)?;
            }
        }
        let name = text(name);
        self.change_dir(dir, DirEdit::Remove { name, inode })?;
        self.drop_link(inode)
    }

    pub(super) fn sync_dir(&mut self, dir: InodeId) -> io::Result<()> {
        self.dir_mut(dir)?.sync();
        self.drop_unreachable();
        Ok(())
    }

    /// Takes the lock on a file, creating it if need be; counts as a handle.
    pub(super) fn lock_file(&mut self, dir: InodeId, name: &FileName) -> io::Result<InodeId> {
        let inode = match self.lookup(dir, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create_file(dir, name)?,
            found => found?,
        };
        self.file(inode)?;
        self.lock(inode)?;
        Ok(inode)
    }
}

fn text(name: &FileName) -> OsString {
    name.as_os_str().to_owned()
}
