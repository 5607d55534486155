//! The real file system with a stopwatch: when the threads that write were inside one of its calls.
//!
//! A writer may wait for the disk in its own call, or in that of the leader that commits for it. So
//! that such time can be told from time that the engine makes it wait, the calls of all writers are
//! noted, if they were long enough to matter.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lsm_fs::{DirEntry, EntryKind, File, FileLock, FileSystem, RealFs};

/// Shorter calls are not noted.
const NOTED_MIN: Duration = Duration::from_micros(500);
/// How many are remembered: those of some seconds.
const NOTED_MAX: usize = 100_000;

thread_local! {
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// From now on the calls of this thread count.
pub(super) fn this_thread_writes() {
    WRITES.with(|writes| writes.set(true));
}

type Noted = Arc<Mutex<VecDeque<(Instant, Instant)>>>;

#[derive(Debug, Clone, Default)]
pub(super) struct TimedFs {
    real: Arc<RealFs>,
    noted: Noted,
}

#[derive(Debug)]
struct TimedFile {
    file: Arc<dyn File>,
    noted: Noted,
}

fn timed<T>(noted: &Noted, call: impl FnOnce() -> T) -> T {
    if !WRITES.with(Cell::get) {
        return call();
    }
    let start = Instant::now();
    let outcome = call();
    let end = Instant::now();
    if end.duration_since(start) >= NOTED_MIN {
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push_back((start, end));
        if noted.len() > NOTED_MAX {
            noted.pop_front();
        }
    }
    outcome
}

impl TimedFs {
    /// How much of the time between `start` and `end` a writer was inside a call, however many were.
    pub(super) fn inside(&self, start: Instant, end: Instant) -> Duration {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut calls: Vec<_> = noted
            .iter()
            .map(|(from, to)| (*from.max(&start), *to.min(&end)))
            .filter(|(from, to)| from < to)
            .collect();
        drop(noted);
        calls.sort_unstable();
        let (mut inside, mut reached) = (Duration::ZERO, start);
        for (from, to) in calls {
            inside += to.saturating_duration_since(from.max(reached));
            reached = reached.max(to);
        }
        inside
    }

    fn wrapped(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(TimedFile {
            file,
            noted: Arc::clone(&self.noted),
        })
    }
}

impl FileSystem for TimedFs {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        timed(&self.noted, || self.real.open(path)).map(|file| self.wrapped(file))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        timed(&self.noted, || self.real.create_new(path)).map(|file| self.wrapped(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        timed(&self.noted, || self.real.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        timed(&self.noted, || self.real.hard_link(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        timed(&self.noted, || self.real.remove_file(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        timed(&self.noted, || self.real.list(dir))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        timed(&self.noted, || self.real.kind(path))
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        timed(&self.noted, || self.real.file_len(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        timed(&self.noted, || self.real.create_dir(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        timed(&self.noted, || self.real.sync_dir(dir))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        timed(&self.noted, || self.real.lock(path))
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_overlapping_calls_counts_once_and_only_within_the_span() {
        let fs = TimedFs::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let calls = [(0, 10), (5, 20), (30, 40), (90, 200)];
        let calls = calls.map(|(from, to)| (at(from), at(to)));
        fs.noted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(calls);
        assert_eq!(
            fs.inside(at(2), at(100)),
            Duration::from_millis(18 + 10 + 10)
        );
        assert_eq!(fs.inside(at(50), at(60)), Duration::ZERO);
    }
}
