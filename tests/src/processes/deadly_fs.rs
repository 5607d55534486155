//! The real file system, and a point in it where the process that uses it dies.
//!
//! Operations are told apart by what the store is doing: by the file, by what came before it on the
//! same thread, and by the lane of background work that makes it, which is in the thread's name. The
//! k-th operation of one phase is the last: SIGKILL, before it or after it. Changes nothing else.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;

use lsm_fs::{
    DirEntry, Directory, EntryKind, File, FileLock, FileName, FileSystem, Operation, RealFs,
};
use lsm_version::FileKind;

/// What a store can be in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// A sealed memtable becomes a run: all that the lane of flushes changes on the disk.
    Flush,
    /// Runs are merged: all that the lane of compactions changes.
    Compaction,
    /// A manifest is built beside and takes the place of the old one.
    Manifest,
    /// A new segment of the log is made.
    Rotation,
    /// The store is being opened; reads count too.
    Recovery,
    /// A file that is not needed any more is unlinked.
    Removal,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Flush,
        Self::Compaction,
        Self::Manifest,
        Self::Rotation,
        Self::Recovery,
        Self::Removal,
    ];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Compaction => "compaction",
            Self::Manifest => "manifest",
            Self::Rotation => "rotation",
            Self::Recovery => "recovery",
            Self::Removal => "removal",
        }
    }

    /// The phase of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

/// Where to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadly {
    /// In which phase.
    pub phase: Phase,
    /// At which of its operations, counted from 1.
    pub index: u32,
    /// Once that is done, rather than before.
    pub after: bool,
}

/// Where a process died.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Once the operation was done, rather than before.
    pub after: bool,
    /// The operation.
    pub operation: String,
    /// On what kind of file.
    pub file: String,
    /// The how-manieth of its phase.
    pub index: u32,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.after { "after" } else { "before" };
        write!(f, "{when} {} {} {}", self.operation, self.file, self.index)
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            [when @ ("before" | "after"), operation, file, index] => Ok(Self {
                after: when == "after",
                operation: operation.to_owned(),
                file: file.to_owned(),
                index: index.parse().map_err(|error| format!("{text}: {error}"))?,
            }),
            _ => Err(format!("not a point: {text}")),
        }
    }
}

/// Which lanes of the store's background work make which operations: by the names that the
/// scheduler gives to their threads.
const FLUSH_THREAD: &str = "lsm-0";
const COMPACTION_THREAD: &str = "lsm-1";

/// Watches the operations, and says when it is time.
#[derive(Debug)]
pub struct Watch {
    deadly: Option<Deadly>,
    state: Mutex<State>,
    /// Called last, with the point.
    farewell: fn(&Point) -> !,
}

#[derive(Debug, Default)]
struct State {
    opening: bool,
    /// Operations while opening.
    opened_after: u32,
    /// Operations of the deadly phase.
    count: u32,
    /// Who is making a segment, and its path.
    rotating: Option<(ThreadId, PathBuf)>,
    /// Who has just renamed a manifest into place.
    replacing: Option<ThreadId>,
    /// Whether the file that was made as `MANIFEST.tmp` is `MANIFEST` by now.
    manifest_in_place: bool,
}

/// An operation as the classifier sees it.
struct Seen<'a> {
    operation: Operation,
    path: &'a Path,
}

impl Watch {
    /// `farewell` is called once, at the point; it must end the process.
    pub fn new(deadly: Option<Deadly>, farewell: fn(&Point) -> !) -> Arc<Self> {
        Arc::new(Self {
            deadly,
            state: Mutex::default(),
            farewell,
        })
    }

    /// From now on the store is being opened.
    pub fn opening(&self) {
        self.with(|state| {
            state.opening = true;
            state.opened_after = 0;
        });
    }

    /// The store is open. Returns how many operations that took.
    pub fn opened(&self) -> u32 {
        self.with(|state| {
            state.opening = false;
            state.opened_after
        })
    }

    /// How many operations of the deadly phase there were.
    pub fn count(&self) -> u32 {
        self.with(|state| state.count)
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts an operation. Returns where the process is to die, if that is at this one.
    fn note(&self, seen: &Seen<'_>) -> Option<(Point, bool)> {
        let thread = std::thread::current();
        let (phases, file) = self.with(|state| {
            let file = kind_of_file(state.kind(seen));
            (state.phases(seen, thread.id(), thread.name()), file)
        });
        let deadly = self
            .deadly
            .filter(|deadly| phases.contains(&deadly.phase))?;
        let index = self.with(|state| {
            state.count += 1;
            state.count
        });
        (index == deadly.index).then(|| {
            let point = Point {
                after: deadly.after,
                operation: format!("{:?}", seen.operation),
                file: file.to_owned(),
                index,
            };
            (point, deadly.after)
        })
    }

    fn around<T>(&self, seen: &Seen<'_>, perform: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.note(seen) {
            None => perform(),
            Some((point, after)) => {
                if after {
                    let _ = perform();
                }
                (self.farewell)(&point)
            }
        }
    }
}

impl State {
    /// What the operation is done to. A file's path is the one it was opened under.
    fn kind(&self, seen: &Seen<'_>) -> FileKind {
        let by_handle = matches!(
            seen.operation,
            Operation::Append | Operation::Sync | Operation::Truncate | Operation::Preallocate
        );
        match seen
            .path
            .file_name()
            .map_or(FileKind::Foreign, FileKind::of)
        {
            FileKind::ManifestTemp if by_handle && self.manifest_in_place => FileKind::Manifest,
            kind => kind,
        }
    }

    /// The phases that an operation belongs to, most of them to none.
    fn phases(&mut self, seen: &Seen<'_>, thread: ThreadId, name: Option<&str>) -> Vec<Phase> {
        let mut phases = Vec::new();
        if self.opening {
            self.opened_after += 1;
            phases.push(Phase::Recovery);
        }
        if !seen.operation.is_mutating() {
            return phases;
        }
        match name {
            Some(FLUSH_THREAD) => phases.push(Phase::Flush),
            Some(COMPACTION_THREAD) => phases.push(Phase::Compaction),
            _ => {}
        }
        let kind = self.kind(seen);
        if kind == FileKind::ManifestTemp {
            phases.push(Phase::Manifest);
            match seen.operation {
                Operation::CreateNew => self.manifest_in_place = false,
                Operation::Rename => {
                    self.manifest_in_place = true;
                    self.replacing = Some(thread);
                }
                _ => {}
            }
        }
        if seen.operation == Operation::CreateNew && matches!(kind, FileKind::Segment(_)) {
            self.rotating = Some((thread, seen.path.to_owned()));
        }
        if let Some((_, segment)) = self.rotating.as_ref().filter(|(by, _)| *by == thread)
            && (segment == seen.path || seen.operation == Operation::SyncDir)
        {
            phases.push(Phase::Rotation);
        }
        if seen.operation == Operation::SyncDir {
            if self.replacing == Some(thread) {
                self.replacing = None;
                phases.push(Phase::Manifest);
            }
            self.rotating.take_if(|(by, _)| *by == thread);
        }
        if seen.operation == Operation::RemoveFile && !kind.is_temporary() {
            phases.push(Phase::Removal);
        }
        phases
    }
}

fn kind_of_file(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Run(_) | FileKind::RunTemp(_) => "run",
        FileKind::RunSidecar(_) | FileKind::RunSidecarTemp(_) => "sidecar",
        FileKind::Segment(_) => "segment",
        FileKind::SegmentTemp(_) => "segment.tmp",
        FileKind::Manifest => "manifest",
        FileKind::ManifestTemp => "manifest.tmp",
        FileKind::Lock => "lock",
        _ => "directory",
    }
}

/// The real file system under a watch.
#[derive(Debug, Clone)]
pub struct DeadlyFs {
    watch: Arc<Watch>,
}

impl DeadlyFs {
    /// All operations go past `watch`.
    pub fn new(watch: Arc<Watch>) -> Self {
        Self { watch }
    }
}

impl FileSystem for DeadlyFs {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Directory>> {
        let seen = Seen {
            operation: Operation::OpenDir,
            path,
        };
        let real = self.watch.around(&seen, || RealFs.open_dir(path))?;
        let watch = Arc::clone(&self.watch);
        Ok(Arc::new(DeadlyDirectory { watch, real }))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        let operation = Operation::Kind;
        let seen = Seen { operation, path };
        self.watch.around(&seen, || RealFs.kind(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let operation = Operation::CreateDir;
        let seen = Seen { operation, path };
        self.watch.around(&seen, || RealFs.create_dir(path))
    }
}

#[derive(Debug)]
struct DeadlyDirectory {
    watch: Arc<Watch>,
    real: Arc<dyn Directory>,
}

impl DeadlyDirectory {
    fn around<T>(
        &self,
        operation: Operation,
        name: &FileName,
        perform: impl FnOnce(&dyn Directory) -> io::Result<T>,
    ) -> io::Result<T> {
        let path = &*self.real.path_of(name);
        let seen = Seen { operation, path };
        self.watch.around(&seen, || perform(&*self.real))
    }

    /// An operation on the directory itself.
    fn around_all<T>(
        &self,
        operation: Operation,
        perform: impl FnOnce(&dyn Directory) -> io::Result<T>,
    ) -> io::Result<T> {
        let path = self.real.path();
        let seen = Seen { operation, path };
        self.watch.around(&seen, || perform(&*self.real))
    }

    fn file(&self, name: &FileName, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(DeadlyFile {
            watch: Arc::clone(&self.watch),
            path: self.real.path_of(name),
            file,
        })
    }
}

impl Directory for DeadlyDirectory {
    fn path(&self) -> &Path {
        self.real.path()
    }

    fn open(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        let file = self.around(Operation::Open, name, |dir| dir.open(name))?;
        Ok(self.file(name, file))
    }

    fn create_new(&self, name: &FileName) -> io::Result<Arc<dyn File>> {
        let file = self.around(Operation::CreateNew, name, |dir| dir.create_new(name))?;
        Ok(self.file(name, file))
    }

    fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        self.around(Operation::Rename, from, |dir| dir.rename(from, to))
    }

    fn hard_link(&self, from: &FileName, to_dir: &dyn Directory, to: &FileName) -> io::Result<()> {
        let link = |dir: &dyn Directory| dir.hard_link(from, to_dir, to);
        self.around(Operation::HardLink, from, link)
    }

    fn unlink(&self, name: &FileName) -> io::Result<()> {
        self.around(Operation::RemoveFile, name, |dir| dir.unlink(name))
    }

    fn list(&self) -> io::Result<Vec<DirEntry>> {
        self.around_all(Operation::List, |dir| dir.list())
    }

    fn kind(&self, name: &FileName) -> io::Result<Option<EntryKind>> {
        self.around(Operation::Kind, name, |dir| dir.kind(name))
    }

    fn file_len(&self, name: &FileName) -> io::Result<u64> {
        self.around(Operation::FileLen, name, |dir| dir.file_len(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.around_all(Operation::SyncDir, |dir| dir.sync())
    }

    fn lock(&self, name: &FileName) -> io::Result<Box<dyn FileLock>> {
        self.around(Operation::Lock, name, |dir| dir.lock(name))
    }

    fn lock_self(&self) -> io::Result<Box<dyn FileLock>> {
        self.around_all(Operation::LockDir, |dir| dir.lock_self())
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.around_all(Operation::IsLinked, |dir| dir.is_linked())
    }
}

#[derive(Debug)]
struct DeadlyFile {
    watch: Arc<Watch>,
    path: PathBuf,
    file: Arc<dyn File>,
}

impl DeadlyFile {
    fn around<T>(
        &self,
        operation: Operation,
        perform: impl FnOnce(&dyn File) -> io::Result<T>,
    ) -> io::Result<T> {
        let seen = Seen {
            operation,
            path: &self.path,
        };
        self.watch.around(&seen, || perform(&*self.file))
    }
}

impl File for DeadlyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.around(Operation::ReadAt, |file| file.read_at(buf, offset))
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.around(Operation::Append, |file| file.append(bytes))
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.around(Operation::Preallocate, |file| file.preallocate(len))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.around(Operation::Truncate, |file| file.truncate(len))
    }

    fn len(&self) -> io::Result<u64> {
        self.around(Operation::Len, File::len)
    }

    fn sync(&self) -> io::Result<()> {
        self.around(Operation::Sync, File::sync)
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.around(Operation::IsLinked, File::is_linked)
    }
}

#[cfg(test)]
mod tests;
