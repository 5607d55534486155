//! Open directories of the fault-injecting file system.
//!
//! Called through the seam. Each call is one call on the directory underneath, or none.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::control::Control;
use super::event::{Event, Operation};
use super::file::{FaultFile, Target};
use crate::sim::SimDirectory;
use crate::sync_latch::SyncLatch;
use crate::{DirEntry, Directory, DirectoryId, EntryKind, File, FileLock, FileName};

/// The directory underneath. A simulated one is known as such, because a failed sync does something
/// to it.
pub(super) enum DirectoryTarget {
    Any(Arc<dyn Directory>),
    Sim(SimDirectory),
}

impl DirectoryTarget {
    fn directory(&self) -> &dyn Directory {
        match self {
            Self::Any(directory) => &**directory,
            Self::Sim(directory) => directory,
        }
    }

    fn open(&self, name: &FileName) -> io::Result<Target> {
        match self {
            Self::Any(directory) => directory.open(name).map(Target::Any),
            Self::Sim(directory) => directory.open_file(name).map(Target::Sim),
        }
    }

    fn create_new(&self, name: &FileName) -> io::Result<Target> {
        match self {
            Self::Any(directory) => directory.create_new(name).map(Target::Any),
            Self::Sim(directory) => directory.create_new_file(name).map(Target::Sim),
        }
    }

    fn fail_sync(&self) {
        match self {
            Self::Any(_) => {}
            Self::Sim(directory) => directory.fail_sync(),
        }
    }
}

pub(super) struct FaultDirectory {
    target: DirectoryTarget,
    path: PathBuf,
    control: Arc<Control>,
    /// An injected failure never reaches the latch underneath.
    latch: SyncLatch,
}

impl fmt::Debug for FaultDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultDirectory")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl FaultDirectory {
    pub(super) fn new(target: DirectoryTarget, path: &Path, control: Arc<Control>) -> Self {
        Self {
            target,
            path: path.to_path_buf(),
            control,
            latch: SyncLatch::default(),
        }
    }

    /// Does `perform` as an `operation` on `path`, unless a fault is due.
    fn run<T>(
        &self,
        operation: Operation,
        path: &Path,
        perform: impl FnOnce(&dyn Directory) -> io::Result<T>,
    ) -> io::Result<T> {
        let perform = || perform(self.target.directory());
        self.control
            .run(Event::new(operation, path), perform, || {})
    }

    fn wrap(&self, path: &Path, target: Target) -> Arc<dyn File> {
        Arc::new(FaultFile::new(target, path, Arc::clone(&self.control)))
    }
}

impl Directory for FaultDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        let path = self.path_of(name);
        let file = self.run(Operation::Open, &path, |_| self.target.open(name))?;
        Ok(self.wrap(&path, file))
    }

    fn create_new(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        let path = self.path_of(name);
        let create = |_: &dyn Directory| self.target.create_new(name);
        let file = self.run(Operation::CreateNew, &path, create)?;
        Ok(self.wrap(&path, file))
    }

    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        let (from_path, to_path) = (self.path_of(from), self.path_of(to));
        let event = Event::new(Operation::Rename, &from_path).onto(&to_path);
        let rename = || self.target.directory().rename(from, to);
        self.control.run(event, rename, || {})
    }

    fn hard_link(&self, from: &FileName, to_dir: &dyn Directory, to: &FileName) -> io::Result<()> {
        let (from_path, to_path) = (self.path_of(from), to_dir.path_of(to));
        let event = Event::new(Operation::HardLink, &from_path).onto(&to_path);
        let to_dir: &dyn Any = to_dir;
        let to_dir = to_dir.downcast_ref::<Self>();
        let link = || {
            let to_dir = to_dir.ok_or(io::ErrorKind::CrossesDevices)?;
            let target = to_dir.target.directory();
            self.target.directory().hard_link(from, target, to)
        };
        self.control.run(event, link, || {})
    }

    fn unlink(&self, name: &FileName) -> io::Result<()> {
        let path = self.path_of(name);
        self.run(Operation::RemoveFile, &path, |dir| dir.unlink(name))
    }

    fn list(&self) -> io::Result<Vec<DirEntry>> {
        self.run(Operation::List, &self.path, |dir| dir.list())
    }

    fn kind(&self, name: &FileName) -> io::Result<Option<EntryKind>> {
        let path = self.path_of(name);
        self.run(Operation::Kind, &path, |dir| dir.kind(name))
    }

    fn file_len(&self, name: &FileName) -> io::Result<u64> {
        let path = self.path_of(name);
        self.run(Operation::FileLen, &path, |dir| dir.file_len(name))
    }

    /// A sync that the latch refuses is no operation: nothing is asked of the directory underneath.
    fn sync(&self) -> io::Result<()> {
        let event = Event::new(Operation::SyncDir, &self.path);
        self.latch.run(|| {
            let sync = || self.target.directory().sync();
            self.control.run(event, sync, || self.target.fail_sync())
        })
    }

    fn lock(&self, name: &FileName) -> io::Result<Box<dyn FileLock>> {
        let path = self.path_of(name);
        self.run(Operation::Lock, &path, |dir| dir.lock(name))
    }

    fn lock_self(&self) -> io::Result<Box<dyn FileLock>> {
        self.run(Operation::LockDir, &self.path, |dir| dir.lock_self())
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.run(Operation::IsLinked, &self.path, |dir| dir.is_linked())
    }

    /// Is no operation: it reaches no disk.
    fn id(&self) -> Option<DirectoryId> {
        self.target.directory().id()
    }
}
