//! The real file system with a stopwatch: when the threads that write were inside one of its calls.
//!
//! A writer may wait for the disk in its own call, or in that of the leader that commits for it. So
//! that such time can be told from time that the engine makes it wait, the calls of all writers are
//! noted, if they were long enough to matter. Closing a file is no call here: the system may take
//! long for it, if the file has lost its name, and a writer shall not be the one who waits.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lsm_fs::{DirEntry, Directory, EntryKind, File, FileLock, FileName, FileSystem, RealFs};

use super::spans::Spans;

thread_local! {
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// From now on the calls of this thread count.
pub(super) fn this_thread_writes() {
    WRITES.with(|writes| writes.set(true));
}

#[derive(Debug, Clone, Default)]
pub(super) struct TimedFs {
    real: Arc<RealFs>,
    noted: Arc<Spans>,
}

#[derive(Debug)]
struct TimedDirectory {
    real: Arc<dyn Directory>,
    noted: Arc<Spans>,
}

#[derive(Debug)]
struct TimedFile {
    file: Arc<dyn File>,
    noted: Arc<Spans>,
}

fn timed<T>(noted: &Spans, call: impl FnOnce() -> T) -> T {
    if !WRITES.with(Cell::get) {
        return call();
    }
    let start = Instant::now();
    let outcome = call();
    noted.note(start, Instant::now());
    outcome
}

impl TimedFs {
    /// How much of the time between `start` and `end` a writer was inside a call, however many were.
    pub(super) fn inside(&self, start: Instant, end: Instant) -> Duration {
        self.noted.within(start, end)
    }
}

impl FileSystem for TimedFs {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Directory>> {
        let real = timed(&self.noted, || self.real.open_dir(path))?;
        let noted = Arc::clone(&self.noted);
        Ok(Arc::new(TimedDirectory { real, noted }))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        timed(&self.noted, || self.real.kind(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        timed(&self.noted, || self.real.create_dir(path))
    }
}

impl TimedDirectory {
    fn wrapped(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(TimedFile {
            file,
            noted: Arc::clone(&self.noted),
        })
    }
}

impl Directory for TimedDirectory {
    fn path(&self) -> &Path {
        self.real.path()
    }

    fn open(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        timed(&self.noted, || self.real.open(name)).map(|file| self.wrapped(file))
    }

    fn create_new(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        timed(&self.noted, || self.real.create_new(name)).map(|file| self.wrapped(file))
    }

    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        timed(&self.noted, || self.real.rename(from, to))
    }

    fn hard_link(&self, from: &FileName, to_dir: &dyn Directory, to: &FileName) -> io::Result<()> {
        timed(&self.noted, || self.real.hard_link(from, to_dir, to))
    }

    fn unlink(&self, name: &FileName) -> io::Result<()> {
        timed(&self.noted, || self.real.unlink(name))
    }

    fn list(&self) -> io::Result<Vec<DirEntry>> {
        timed(&self.noted, || self.real.list())
    }

    fn kind(&self, name: &FileName) -> io::Result<Option<EntryKind>> {
        timed(&self.noted, || self.real.kind(name))
    }

    fn file_len(&self, name: &FileName) -> io::Result<u64> {
        timed(&self.noted, || self.real.file_len(name))
    }

    fn sync(&self) -> io::Result<()> {
        timed(&self.noted, || self.real.sync())
    }

    fn lock(&self, name: &FileName) -> io::Result<Box<dyn FileLock>> {
        timed(&self.noted, || self.real.lock(name))
    }

    fn lock_self(&self) -> io::Result<Box<dyn FileLock>> {
        timed(&self.noted, || self.real.lock_self())
    }

    fn is_linked(&self) -> io::Result<bool> {
        timed(&self.noted, || self.real.is_linked())
    }
}

impl File for TimedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        timed(&self.noted, || self.file.read_at(buf, offset))
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        timed(&self.noted, || self.file.append(bytes))
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        timed(&self.noted, || self.file.preallocate(len))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        timed(&self.noted, || self.file.truncate(len))
    }

    fn len(&self) -> io::Result<u64> {
        timed(&self.noted, || self.file.len())
    }

    fn sync(&self) -> io::Result<()> {
        timed(&self.noted, || self.file.sync())
    }

    fn is_linked(&self) -> io::Result<bool> {
        timed(&self.noted, || self.file.is_linked())
    }
}
