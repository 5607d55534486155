//! Files by path, for programs that look at one now and then: tools, and tests.
//!
//! Each call opens the directory that the path lies in, and does one thing there. Never used by an
//! engine, which opens its directory once: between two of these calls a path may come to lead to
//! somewhere else.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::synced_dirs::parent_dir;
use crate::{DirEntry, Directory, File, FileLock, FileName, FileSystem, FsError, read_to_vec};

/// The operations of a [`Directory`] on single paths, for every [`FileSystem`].
///
/// ```
/// use std::path::Path;
/// use lsm_fs::{ByPath, SimFs};
///
/// let fs = SimFs::new();
/// fs.create_new(Path::new("/note"))?.append_all(b"hello")?;
/// fs.rename(Path::new("/note"), Path::new("/letter"))?;
/// assert_eq!(fs.file_len(Path::new("/letter"))?, 5);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A path that ends in no name (`/`, `..`) is `InvalidInput` where a file is asked for.
pub trait ByPath: FileSystem {
    /// [`Directory::open`].
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let (dir, name) = split(self, path)?;
        dir.open(&name)
    }

    /// [`Directory::create_new`].
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let (dir, name) = split(self, path)?;
        dir.create_new(&name)
    }

    /// [`Directory::rename`]; `CrossesDevices` unless both paths have the same parent.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if parent_dir(from) != parent_dir(to) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let (dir, name) = split(self, from)?;
        dir.rename(&name, &name_of(to)?)
    }

    /// [`Directory::hard_link`].
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_dir, from_name) = split(self, from)?;
        let (to_dir, to_name) = split(self, to)?;
        from_dir.hard_link(&from_name, &*to_dir, &to_name)
    }

    /// [`Directory::unlink`].
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = split(self, path)?;
        dir.unlink(&name)
    }

    /// [`Directory::list`] of the directory at `dir`.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.open_dir(dir)?.list()
    }

    /// [`Directory::file_len`].
    fn file_len(&self, path: &Path) -> io::Result<u64> {
        let (dir, name) = split(self, path)?;
        dir.file_len(&name)
    }

    /// [`Directory::sync`] of the directory at `dir`, through a handle of its own.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.open_dir(dir)?.sync()
    }

    /// [`read_to_vec`].
    ///
    /// # Errors
    /// What failed, and on which file.
    fn read_to_vec(&self, path: &Path, len_max: u64) -> Result<Vec<u8>, FsError> {
        let (dir, name) = split(self, path).map_err(FsError::context("open", path))?;
        read_to_vec(&*dir, &name, len_max)
    }

    /// [`Directory::lock`].
    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let (dir, name) = split(self, path)?;
        dir.lock(&name)
    }
}

impl<T: FileSystem + ?Sized> ByPath for T {}

/// The directory that `path` lies in, opened, and its name there.
fn split<T: FileSystem + ?Sized>(
    fs: &T,
    path: &Path,
) -> io::Result<(Arc<dyn Directory>, FileName)> {
    let name = name_of(path)?;
    let parent = parent_dir(path).ok_or(io::ErrorKind::InvalidInput)?;
    Ok((fs.open_dir(parent)?, name))
}

fn name_of(path: &Path) -> io::Result<FileName> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(FileName::try_from(name)?)
}
