//! A file system that makes do with fewer open files when the process has too many.
//!
//! Used by an engine that keeps files open only to be faster. Changes nothing else, and retries
//! nothing else.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::real::is_too_many_open_files;
use crate::{DirEntry, Directory, DirectoryId, EntryKind, File, FileLock, FileName, FileSystem};

/// Wraps a file system: whatever fails because the process, or the system, has too many files
/// open asks for relief, and is tried again for as long as that closes anything.
///
/// An operation that failed for that reason has not begun, so trying it again is safe.
///
/// ```
/// use std::path::Path;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use lsm_fs::{ByPath, Fault, FaultFs, ReliefFs, SimFs};
///
/// let faulty = FaultFs::over_sim(SimFs::new());
/// faulty.fail_nth(0, Fault::from_raw_os_error(24)); // EMFILE, once
/// let asked = Arc::new(AtomicUsize::new(0));
/// let count = Arc::clone(&asked);
/// let fs = ReliefFs::new(Arc::new(faulty), move || count.fetch_add(1, Ordering::Relaxed) < 10);
/// fs.create_new(Path::new("/a"))?;
/// assert_eq!(asked.load(Ordering::Relaxed), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ReliefFs {
    inner: Arc<dyn FileSystem>,
    relief: Arc<Relief>,
}

/// Others may take what relief has freed; somebody who never gets a handle is told in the end.
const TRIES_MAX: usize = 100;

impl ReliefFs {
    /// `relieve` closes files and returns whether it closed any. It may be called on any thread, on
    /// one at a time, and must not call this file system.
    pub fn new(
        inner: Arc<dyn FileSystem>,
        relieve: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let relief = Relief {
            relieve: Box::new(relieve),
            reliefs: Mutex::new(0),
        };
        Self {
            inner,
            relief: Arc::new(relief),
        }
    }
}

/// Where handles come from when there are none left.
struct Relief {
    relieve: Box<dyn Fn() -> bool + Send + Sync>,
    /// One at a time asks for relief; this is how often it was given.
    reliefs: Mutex<u64>,
}

impl Relief {
    fn during<T>(&self, operation: impl Fn() -> io::Result<T>) -> io::Result<T> {
        for _ in 1..TRIES_MAX {
            let before = *self.reliefs();
            match operation() {
                Err(error) if is_too_many_open_files(&error) && self.is_given_since(before) => {}
                done => return done,
            }
        }
        operation()
    }

    /// Asks for relief, unless somebody else got some meanwhile: that may do for both.
    fn is_given_since(&self, before: u64) -> bool {
        let mut reliefs = self.reliefs();
        if *reliefs == before && (self.relieve)() {
            *reliefs += 1;
        }
        *reliefs > before
    }

    fn reliefs(&self) -> MutexGuard<'_, u64> {
        self.reliefs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ReliefFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReliefFs")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl FileSystem for ReliefFs {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Directory>> {
        let inner = self.relief.during(|| self.inner.open_dir(path))?;
        let relief = Arc::clone(&self.relief);
        Ok(Arc::new(ReliefDirectory { inner, relief }))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.inner.kind(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }
}

/// An open directory. What opens another file through it asks for relief as well.
struct ReliefDirectory {
    inner: Arc<dyn Directory>,
    relief: Arc<Relief>,
}

impl fmt::Debug for ReliefDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReliefDirectory")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl Directory for ReliefDirectory {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        self.relief.during(|| self.inner.open(name))
    }

    fn create_new(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        self.relief.during(|| self.inner.create_new(name))
    }

    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn hard_link(&self, from: &FileName, to_dir: &dyn Directory, to: &FileName) -> io::Result<()> {
        let to_dir: &dyn Any = to_dir;
        let to_dir = to_dir
            .downcast_ref::<Self>()
            .ok_or(io::ErrorKind::CrossesDevices)?;
        self.inner.hard_link(from, &*to_dir.inner, to)
    }

    fn unlink(&self, name: &FileName) -> io::Result<()> {
        self.inner.unlink(name)
    }

    fn list(&self) -> io::Result<Vec<DirEntry>> {
        self.relief.during(|| self.inner.list())
    }

    fn kind(&self, name: &FileName) -> io::Result<Option<EntryKind>> {
        self.inner.kind(name)
    }

    fn file_len(&self, name: &FileName) -> io::Result<u64> {
        self.inner.file_len(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn lock(&self, name: &FileName) -> io::Result<Box<dyn FileLock>> {
        self.relief.during(|| self.inner.lock(name))
    }

    fn lock_self(&self) -> io::Result<Box<dyn FileLock>> {
        self.inner.lock_self()
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.inner.is_linked()
    }

    fn id(&self) -> Option<DirectoryId> {
        self.inner.id()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{ByPath, Fault, FaultFs, SimFs};

    /// A file system on which every operation finds too many files open, until `rounds` of relief.
    fn crowded(rounds: u32) -> (ReliefFs, Arc<AtomicU32>) {
        let faulty = FaultFs::over_sim(SimFs::new());
        for nth in 0..u64::from(rounds) {
            faulty.fail_nth_of_all(nth, Fault::from_raw_os_error(24));
        }
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let fs = ReliefFs::new(Arc::new(faulty), move || {
            count.fetch_add(1, Ordering::Relaxed) < 5
        });
        (fs, asked)
    }

    #[test]
    fn what_lacked_a_handle_is_tried_again_while_relief_helps() {
        let (fs, asked) = crowded(1);
        assert!(fs.sync_dir(Path::new("/")).is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn without_relief_the_error_is_returned() {
        let faulty = FaultFs::over_sim(SimFs::new());
        faulty.fail_nth(0, Fault::from_raw_os_error(24).for_good());
        let fs = ReliefFs::new(Arc::new(faulty), || false);
        let created = fs.create_new(Path::new("/a"));
        assert_eq!(
            created.err().and_then(|error| error.raw_os_error()),
            Some(24)
        );
    }

    #[test]
    fn no_other_error_asks_for_relief() {
        let (fs, asked) = crowded(0);
        assert!(fs.open(Path::new("/absent")).is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }
}
