//! The state of the simulated disk: inodes, paths that lead to them, locks and room.
//!
//! Called by `SimFs` and its handles, always under the one lock. Files and directories are inodes,
//! apart from their names: a file may have several names, or none and be open still.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use super::dir_node::{DirEdit, DirNode};
use super::file_node::FileNode;
use super::links::Links;
use crate::EntryKind;

/// A file or a directory, whatever it is called. Never reused on one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(u64);

impl InodeId {
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

const ROOT: InodeId = InodeId(0);

#[derive(Debug, Clone)]
pub(super) enum Inode {
    File(FileNode),
    Dir(DirNode),
}

/// Everything, as of now.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    inodes: BTreeMap<InodeId, Inode>,
    /// Files without a live name or handle, kept while a crash could bring a name back.
    orphans: BTreeSet<InodeId>,
    locked: BTreeSet<InodeId>,
    next_inode: u64,
    next_sequence: u64,
    pub(super) capacity_bytes: Option<u64>,
}

impl Default for Disk {
    fn default() -> Self {
        let root = Inode::Dir(DirNode::with_one_name());
        Self::settled(BTreeMap::from([(ROOT, root)]), 1, None)
    }
}

impl Disk {
    /// A disk on which nothing is open, locked or pending.
    fn settled(
        inodes: BTreeMap<InodeId, Inode>,
        next_inode: u64,
        capacity_bytes: Option<u64>,
    ) -> Self {
        Self {
            inodes,
            orphans: BTreeSet::new(),
            locked: BTreeSet::new(),
            next_inode,
            next_sequence: 0,
            capacity_bytes,
        }
    }

    /// A new disk that holds what `rebuild` makes of this one's inodes, as far as the names that it
    /// gives lead to them.
    pub(super) fn rebuilt(&self, mut rebuild: impl FnMut(&Inode) -> Inode) -> Self {
        // In order of the numbers, so that what `rebuild` draws at random does not depend on which
        // names survive.
        let mut rebuilt: BTreeMap<InodeId, Inode> = self
            .inodes
            .iter()
            .map(|(&id, inode)| (id, rebuild(inode)))
            .collect();
        let mut links: BTreeMap<InodeId, usize> = BTreeMap::new();
        let mut reached = BTreeMap::new();
        let mut next = vec![ROOT];
        while let Some(id) = next.pop() {
            *links.entry(id).or_default() += 1;
            if let Some(inode) = rebuilt.remove(&id) {
                if let Inode::Dir(dir) = &inode {
                    next.extend(dir.durable().values());
                }
                reached.insert(id, inode);
            }
        }
        for (id, inode) in &mut reached {
            if let Inode::File(file) = inode {
                file.links = Links::new(links.get(id).copied().unwrap_or_default());
            }
        }
        Self::settled(reached, self.next_inode, self.capacity_bytes)
    }

    /// This disk as the next process finds it: nothing open, nothing locked, all else unchanged.
    pub(super) fn after_kill(&self) -> Self {
        let mut disk = self.clone();
        disk.locked.clear();
        for (&id, inode) in &mut disk.inodes {
            if let Inode::File(file) = inode {
                file.handles = 0;
                if !file.links.any() {
                    disk.orphans.insert(id);
                }
            }
        }
        disk.drop_unreachable();
        disk
    }

    pub(super) fn inodes(&self) -> impl Iterator<Item = &Inode> {
        self.inodes.values()
    }

    // Names ------------------------------------------------------------------------------------

    /// What `path` leads to. An empty path leads nowhere.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<InodeId> {
        if path.as_os_str().is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut trail = vec![ROOT];
        for component in path.components() {
            match component {
                Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
                Component::ParentDir => {
                    if trail.len() > 1 {
                        trail.pop();
                    }
                }
                Component::Normal(name) => {
                    let here = trail.last().copied().unwrap_or(ROOT);
                    let found = self.dir(here)?.get(name).ok_or(io::ErrorKind::NotFound)?;
                    trail.push(found);
                }
            }
        }
        Ok(trail.last().copied().unwrap_or(ROOT))
    }

    /// The directory at `path`, which may be the empty path of a relative name's parent.
    pub(super) fn resolve_parent(&self, path: &Path) -> io::Result<InodeId> {
        let dir = match path.as_os_str().is_empty() {
            true => ROOT,
            false => self.resolve(path)?,
        };
        self.dir(dir)?;
        Ok(dir)
    }

    // Locks ------------------------------------------------------------------------------------

    /// Takes the lock on a file or a directory; counts as a handle.
    pub(super) fn lock(&mut self, inode: InodeId) -> io::Result<()> {
        if !self.locked.insert(inode) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.acquire(inode);
        Ok(())
    }

    pub(super) fn unlock(&mut self, inode: InodeId) {
        self.locked.remove(&inode);
        self.release(inode);
    }

    // Inodes -----------------------------------------------------------------------------------

    pub(super) fn kind(&self, inode: InodeId) -> EntryKind {
        match self.inodes.get(&inode) {
            Some(Inode::Dir(_)) => EntryKind::Directory,
            Some(Inode::File(_)) | None => EntryKind::File,
        }
    }

    pub(super) fn file(&self, inode: InodeId) -> io::Result<&FileNode> {
        match self.inodes.get(&inode) {
            Some(Inode::File(file)) => Ok(file),
            Some(Inode::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file_mut(&mut self, inode: InodeId) -> io::Result<&mut FileNode> {
        match self.inodes.get_mut(&inode) {
            Some(Inode::File(file)) => Ok(file),
            Some(Inode::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn dir(&self, inode: InodeId) -> io::Result<&DirNode> {
        match self.inodes.get(&inode) {
            Some(Inode::Dir(dir)) => Ok(dir),
            Some(Inode::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn dir_mut(&mut self, inode: InodeId) -> io::Result<&mut DirNode> {
        match self.inodes.get_mut(&inode) {
            Some(Inode::Dir(dir)) => Ok(dir),
            Some(Inode::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn add_inode(&mut self, inode: Inode) -> InodeId {
        let id = InodeId(self.next_inode);
        self.next_inode += 1;
        self.inodes.insert(id, inode);
        id
    }

    fn next_sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }

    pub(super) fn change_dir(&mut self, dir: InodeId, edit: DirEdit) -> io::Result<()> {
        let sequence = self.next_sequence();
        self.dir_mut(dir)?.change(sequence, edit);
        Ok(())
    }

    /// Counts a handle on a file.
    pub(super) fn acquire(&mut self, inode: InodeId) {
        if let Ok(file) = self.file_mut(inode) {
            file.handles += 1;
        }
    }

    /// Gives a handle back.
    pub(super) fn release(&mut self, inode: InodeId) {
        if let Ok(file) = self.file_mut(inode) {
            file.handles -= 1;
            if !file.links.any() && file.handles == 0 {
                self.drop_unless_named(inode);
            }
        }
    }

    pub(super) fn add_link(&mut self, inode: InodeId) -> io::Result<()> {
        self.file_mut(inode)?.links.add_one();
        Ok(())
    }

    /// Counts a name less. A directory stays: handles may hold it, and crashes bring it back.
    pub(super) fn drop_link(&mut self, inode: InodeId) -> io::Result<()> {
        match self.inodes.get_mut(&inode) {
            Some(Inode::File(file)) => {
                file.links.drop_one();
                if !file.links.any() && file.handles == 0 {
                    self.orphans.insert(inode);
                }
            }
            Some(Inode::Dir(dir)) => dir.links.drop_one(),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
    }

    fn dirs(&self) -> impl Iterator<Item = &DirNode> {
        self.inodes.values().filter_map(|inode| match inode {
            Inode::Dir(dir) => Some(dir),
            Inode::File(_) => None,
        })
    }

    /// Forgets this file unless a crash could bring a name of it back.
    fn drop_unless_named(&mut self, inode: InodeId) {
        if self.dirs().any(|dir| dir.may_name(inode)) {
            self.orphans.insert(inode);
        } else {
            self.orphans.remove(&inode);
            self.inodes.remove(&inode);
        }
    }

    /// Forgets orphans that no crash could bring back.
    pub(super) fn drop_unreachable(&mut self) {
        if self.orphans.is_empty() {
            return;
        }
        // One pass over all names, however many orphans there are.
        let named: BTreeSet<InodeId> = self.dirs().flat_map(DirNode::named).collect();
        let gone: Vec<InodeId> = self.orphans.difference(&named).copied().collect();
        for inode in gone {
            self.orphans.remove(&inode);
            self.inodes.remove(&inode);
        }
    }

    // Bytes ------------------------------------------------------------------------------------

    pub(super) fn used_bytes(&self) -> u64 {
        self.inodes.values().fold(0, |sum, inode| match inode {
            Inode::File(file) if file.links.any() || file.handles > 0 => {
                sum.saturating_add(file.live_len())
            }
            Inode::File(_) | Inode::Dir(_) => sum,
        })
    }

    /// How many more bytes files may grow by.
    fn free_bytes(&self) -> u64 {
        let capacity = self.capacity_bytes;
        capacity.map_or(u64::MAX, |capacity| {
            capacity.saturating_sub(self.used_bytes())
        })
    }

    /// Writes `bytes`, or as many as there is room for, and returns how many.
    pub(super) fn write(&mut self, inode: InodeId, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let len = self.file(inode)?.live_len();
        let room = len.saturating_sub(offset).saturating_add(self.free_bytes());
        // No file is longer than a u64 can say.
        let room = room.min(u64::MAX - offset);
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let part = bytes.get(..fits).unwrap_or_default();
        if part.is_empty() {
            return if bytes.is_empty() {
                Ok(0)
            } else {
                Err(io::ErrorKind::StorageFull.into())
            };
        }
        let sequence = self.next_sequence();
        self.file_mut(inode)?.write(sequence, part, offset);
        Ok(fits)
    }

    pub(super) fn grow(&mut self, inode: InodeId, len: u64) -> io::Result<()> {
        let more = len.saturating_sub(self.file(inode)?.live_len());
        if more > self.free_bytes() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if more > 0 {
            let sequence = self.next_sequence();
            self.file_mut(inode)?.grow(sequence, len);
        }
        Ok(())
    }

    pub(super) fn cut(&mut self, inode: InodeId, len: u64) -> io::Result<()> {
        if len < self.file(inode)?.live_len() {
            let sequence = self.next_sequence();
            self.file_mut(inode)?.cut(sequence, len);
        }
        Ok(())
    }

    pub(super) fn sync_file(&mut self, inode: InodeId) -> io::Result<()> {
        self.file_mut(inode)?.sync();
        Ok(())
    }

    pub(super) fn fail_sync(&mut self, inode: InodeId) {
        match self.inodes.get_mut(&inode) {
            Some(Inode::File(file)) => file.fail_sync(),
            Some(Inode::Dir(dir)) => dir.fail_sync(),
            None => {}
        }
    }
}
