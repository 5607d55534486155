//! The simulated file system: in memory, deterministic, and it can lose power.
//!
//! Called by tests through the seam, as the real one is. Never touches a disk, a clock or a hash
//! map's order: the same calls give the same states, and the same seed the same crash.

mod content;
mod crash;
mod dir_node;
mod directory;
mod disk;
mod file_node;
mod handle;
mod image;
mod links;
mod names;
mod random;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::directory::SimDirectory;
use self::disk::Disk;
pub(crate) use self::handle::SimFile;
pub use self::image::CrashImage;
use crate::{Directory, EntryKind, FileSystem};

/// A simulated file system that knows what a power cut would leave of it.
///
/// Each file has its live bytes, its durable bytes and the writes between the two; each directory
/// its live names, its durable names and the operations between them. [`File::sync`](crate::File::sync) makes a
/// file's bytes and length durable, but not its name; [`Directory::sync`] makes a directory's
/// names durable, but not what they name. [`crash`](Self::crash) gives a new file system as the
/// disk may be found after a power cut now; a [`CrashImage`] says which of the unsynced pieces made
/// it. The root `/` exists; relative paths start there; there are no symbolic links, and no
/// permissions.
///
/// Clones share one disk. Every call is atomic.
///
/// ```
/// use std::path::Path;
/// use lsm_fs::{ByPath, CrashImage, FileSystem, SimFs};
///
/// let fs = SimFs::new();
/// let file = fs.create_new(Path::new("/log"))?;
/// file.append_all(b"hello")?;
/// file.sync()?;
///
/// // The bytes are safe, the name is not.
/// let after_crash = fs.crash(&CrashImage::NothingUnsynced);
/// assert_eq!(after_crash.kind(Path::new("/log"))?, None);
///
/// fs.sync_dir(Path::new("/"))?;
/// let after_crash = fs.crash(&CrashImage::NothingUnsynced);
/// assert_eq!(after_crash.file_len(Path::new("/log"))?, 5);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct SimFs {
    disk: SharedDisk,
}

/// One lock over the whole disk: operations are atomic, and totally ordered.
#[derive(Clone, Default)]
struct SharedDisk(Arc<Mutex<Disk>>);

/// A disk's content says nothing in a message, and would fill pages.
impl fmt::Debug for SharedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedDisk").finish_non_exhaustive()
    }
}

impl SharedDisk {
    fn new(disk: Disk) -> Self {
        Self(Arc::new(Mutex::new(disk)))
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// No other disk has it while this one exists.
    fn number(&self) -> u64 {
        Arc::as_ptr(&self.0).addr() as u64
    }
}

impl SimFs {
    /// An empty disk of unlimited room, with a durable root directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The file system as a power cut now may leave it, seen after the restart.
    ///
    /// `image` says which unsynced pieces of files, lengths and directory operations are found;
    /// what was synced always is. The result is independent of this one, which goes on: open
    /// handles stay with the old one. Nothing is pending and no lock is held in the new one; its
    /// capacity is the same.
    pub fn crash(&self, image: &CrashImage) -> Self {
        Self {
            disk: SharedDisk::new(crash::after_power_cut(&self.disk.lock(), image)),
        }
    }

    /// The file system as the next process finds it after this one was killed now: the page cache
    /// survives.
    ///
    /// Everything live is still live, what was pending is still pending (so a later power cut may
    /// take it), and what a failed sync lost is still lost. Locks are released. The result is
    /// independent of this one: what the old process does from here on does not show.
    pub fn reopen_after_kill(&self) -> Self {
        Self {
            disk: SharedDisk::new(self.disk.lock().after_kill()),
        }
    }

    /// Limits the disk to `capacity_bytes` for files' bytes, preallocated ones included; `None`
    /// takes the limit away.
    ///
    /// An append that does not fit writes the part that does; one of which nothing fits is
    /// `StorageFull`. Preallocation is all or nothing. Cutting a file gives room back at once,
    /// unlinking it once its last name and handle are gone. A limit below what is used now is
    /// allowed: nothing more fits then. Names cost nothing.
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        self.disk.lock().capacity_bytes = capacity_bytes;
    }

    /// How many bytes of the capacity are in use: the lengths of all files that have a name or an
    /// open handle.
    pub fn used_bytes(&self) -> u64 {
        self.disk.lock().used_bytes()
    }

    /// How many bytes of `path` would survive every power cut now, if its name does.
    ///
    /// For assertions such as "nothing was acknowledged beyond this".
    ///
    /// # Errors
    /// `NotFound` or `IsADirectory`.
    pub fn durable_len(&self, path: &Path) -> io::Result<u64> {
        let disk = self.disk.lock();
        let inode = disk.resolve(path)?;
        Ok(disk.file(inode)?.durable_len())
    }

    /// Does to the file or directory at `path` what a failed fsync does: everything pending on it
    /// now counts as clean, so that no later sync makes it durable.
    ///
    /// Reads go on showing it until a crash. A crash may still find it (the disk may have got that
    /// far), until a later sync of the same file succeeds; from then on it is lost for good. The
    /// caller is to report the failure to whoever asked for the sync;
    /// [`FaultFs::over_sim`](crate::FaultFs::over_sim) does both.
    ///
    /// # Errors
    /// `NotFound` if nothing is at `path`.
    pub fn fail_sync(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let inode = disk.resolve(path)?;
        disk.fail_sync(inode);
        Ok(())
    }

    /// Removes the directory at `path` with all that is in it, as `std::fs::remove_dir_all` does.
    ///
    /// Open handles go on: files can be read, appended to and synced; in the directory nothing is
    /// found and nothing can be created. Nothing of it is durable before the directories are synced.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or `InvalidInput` for a path that ends in no name.
    pub fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().remove_dir_all(path)
    }

    /// [`FileSystem::open_dir`], with the type of the handle known.
    pub(crate) fn open_directory(&self, path: &Path) -> io::Result<SimDirectory> {
        let disk = self.disk.lock();
        let inode = disk.resolve(path)?;
        let links = disk.dir(inode)?.links.seen();
        Ok(SimDirectory::new(self.disk.clone(), inode, links, path))
    }
}

impl FileSystem for SimFs {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Directory>> {
        Ok(Arc::new(self.open_directory(path)?))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        let disk = self.disk.lock();
        match disk.resolve(path) {
            Ok(inode) => Ok(Some(disk.kind(inode))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().create_dir(path)
    }
}

#[cfg(test)]
mod tests;
