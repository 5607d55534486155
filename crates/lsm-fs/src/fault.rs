//! The fault-injecting file system: any other one, under the control of a test.
//!
//! Called by tests through the seam, and by them directly to arm faults, park calls and read the
//! trace. Never fails, delays or changes a call that it was not told to.

mod control;
mod event;
mod file;
mod gate;
mod rule;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use self::control::Control;
pub use self::event::{Event, Operation, TraceEvent};
use self::file::{FaultFile, Target};
pub use self::gate::Parked;
pub use self::rule::Fault;
use self::rule::Rule;
use crate::{DirEntry, EntryKind, File, FileLock, FileSystem, SimFs};

/// A file system that does what the one under it does, until a test tells it otherwise.
///
/// It counts calls, fails the ones it is told to, holds calls until they are released, writes down
/// what happened, and calls a hook before each. Clones share all of that. Calls are told apart by
/// [`Operation`] and path; a file's path is the one it was opened under.
///
/// # A counted sweep
///
/// ```
/// use std::io;
/// use std::path::Path;
/// use std::sync::Arc;
/// use lsm_fs::{Fault, FaultFs, FileSystem, RealFs, SimFs, write_file_atomically};
///
/// let scenario = |fs: &FaultFs| {
///     write_file_atomically(fs, Path::new("/a.tmp"), Path::new("/a"), b"new")
/// };
/// // How many mutating operations are there?
/// let fs = FaultFs::over_sim(SimFs::new());
/// scenario(&fs).unwrap();
/// let mutations = fs.mutation_count();
///
/// // Fail each of them: the caller has to hear of it.
/// for n in 0..mutations {
///     let fs = FaultFs::over_sim(SimFs::new());
///     fs.fail_nth(n, Fault::new(io::ErrorKind::StorageFull));
///     assert!(scenario(&fs).is_err(), "operation {n}");
/// }
/// ```
#[derive(Clone)]
pub struct FaultFs {
    base: Base,
    control: Arc<Control>,
}

/// What is underneath. A simulated one is known as such, because a failed sync does something to
/// it.
#[derive(Clone)]
enum Base {
    Any(Arc<dyn FileSystem>),
    Sim(SimFs),
}

impl Base {
    fn fs(&self) -> &dyn FileSystem {
        match self {
            Self::Any(fs) => &**fs,
            Self::Sim(sim) => sim,
        }
    }
}

impl fmt::Debug for FaultFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultFs")
            .field("base", &self.base.fs())
            .field("operation_count", &self.operation_count())
            .finish_non_exhaustive()
    }
}

impl FaultFs {
    /// Wraps `base`. An injected failure of a sync leaves `base` alone: it was never called.
    ///
    /// Over a simulated file system use [`over_sim`](Self::over_sim), which knows better.
    pub fn new(base: Arc<dyn FileSystem>) -> Self {
        Self::over(Base::Any(base))
    }

    /// Wraps a simulated file system; the caller keeps a clone of `sim` to crash it.
    ///
    /// An injected failure of a sync does to `sim` what a failed fsync does to a disk: what was
    /// pending counts as clean, and no later sync makes it durable
    /// ([`SimFs::fail_sync`]).
    pub fn over_sim(sim: SimFs) -> Self {
        Self::over(Base::Sim(sim))
    }

    fn over(base: Base) -> Self {
        Self {
            base,
            control: Arc::default(),
        }
    }

    /// Fails the `n`-th *mutating* operation from now, 0 being the next one.
    ///
    /// Which operations mutate: [`Operation::is_mutating`]. A fault [for good](Fault::for_good)
    /// fails every mutating operation from that one on.
    pub fn fail_nth(&self, n: u64, fault: Fault) {
        self.control.with(|state| {
            let first = state.mutations.saturating_add(n);
            state.rules.push(Rule::from_mutation(first, fault));
        });
    }

    /// Fails the `n`-th operation of *any* kind from now, reads too, 0 being the next one.
    ///
    /// A fault [for good](Fault::for_good) fails every operation from that one on.
    pub fn fail_nth_of_all(&self, n: u64, fault: Fault) {
        self.control.with(|state| {
            let first = state.operations.saturating_add(n);
            state.rules.push(Rule::from_operation(first, fault));
        });
    }

    /// Fails the next `operation` on a path for which `filter` is true; with a fault
    /// [for good](Fault::for_good), each one from now on.
    ///
    /// A rename or a hard link matches by either of its paths. `filter` must not call this file
    /// system.
    pub fn fail_when(
        &self,
        operation: Operation,
        filter: impl Fn(&Path) -> bool + Send + Sync + 'static,
        fault: Fault,
    ) {
        let rule = Rule::when(operation, Box::new(filter), fault);
        self.control.with(|state| state.rules.push(rule));
    }

    /// Disarms every fault that has not struck, those that strike for good, and the errors that
    /// short writes still owe: the disk is well again.
    pub fn clear_faults(&self) {
        self.control.with(|state| state.rules.clear());
    }

    /// Holds every `operation` on a path for which `filter` is true, until the returned value is
    /// released or dropped.
    ///
    /// A held call has been counted and has not touched the file system; faults that are armed
    /// while it waits apply to it. `filter` must not call this file system.
    ///
    /// ```
    /// use std::path::Path;
    /// use lsm_fs::{FaultFs, FileSystem, Operation, SimFs};
    ///
    /// let fs = FaultFs::over_sim(SimFs::new());
    /// let file = fs.create_new(Path::new("/log"))?;
    /// let parked = fs.park(Operation::Sync, |path| path == Path::new("/log"));
    /// std::thread::scope(|scope| {
    ///     let sync = scope.spawn(|| file.sync());
    ///     parked.wait_for_arrival();
    ///     // Here the sync hangs, and everything else goes on.
    ///     assert!(fs.list(Path::new("/")).is_ok());
    ///     assert!(!sync.is_finished());
    ///     parked.release();
    ///     sync.join().unwrap()
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn park(
        &self,
        operation: Operation,
        filter: impl Fn(&Path) -> bool + Send + Sync + 'static,
    ) -> Parked {
        Parked::new(Arc::clone(&self.control), operation, Box::new(filter))
    }

    /// Calls `hook` before each operation, in the thread that makes it; it replaces an earlier one.
    ///
    /// The hook runs before the operation has any effect and before it is held or failed. It may
    /// call the file system under this one (to take a crash image, say), but not this one, which
    /// would call the hook again.
    pub fn on_operation(&self, hook: impl Fn(&Event<'_>) + Send + Sync + 'static) {
        self.control.with(|state| state.hook = Some(Arc::new(hook)));
    }

    /// Calls `hook` after each operation, in the thread that made it, with whether its caller is
    /// told that it succeeded; it replaces an earlier one.
    ///
    /// The hook runs when the operation has had its effect, and before its caller hears of it: a
    /// hook that sleeps holds back an answer, where [`on_operation`](Self::on_operation) holds back
    /// an effect. It may call the file system under this one, but not this one.
    pub fn after_operation(&self, hook: impl Fn(&Event<'_>, bool) + Send + Sync + 'static) {
        self.control
            .with(|state| state.hook_after = Some(Arc::new(hook)));
    }

    /// Takes both hooks away.
    pub fn remove_hook(&self) {
        self.control.with(|state| {
            state.hook = None;
            state.hook_after = None;
        });
    }

    /// Starts writing down operations as they end, up to `events_max` of them; what was written
    /// down before is dropped.
    ///
    /// When it is full, later events are not written down: a trace of `events_max` events may be
    /// incomplete.
    pub fn start_trace(&self, events_max: usize) {
        self.control.with(|state| state.trace.start(events_max));
    }

    /// Takes what was written down since the last call, in the order in which the operations ended;
    /// the trace goes on.
    pub fn take_trace(&self) -> Vec<TraceEvent> {
        self.control.with(|state| state.trace.take())
    }

    /// How many operations of any kind there have been, failed and held ones included.
    pub fn operation_count(&self) -> u64 {
        self.control.with(|state| state.operations)
    }

    /// How many mutating operations there have been: the N of a counted sweep.
    pub fn mutation_count(&self) -> u64 {
        self.control.with(|state| state.mutations)
    }

    /// How many operations of this kind there have been.
    pub fn count_of(&self, operation: Operation) -> u64 {
        self.control
            .with(|state| state.by_kind.get(&operation).copied().unwrap_or_default())
    }

    /// Does `perform`, unless a fault is due; then `instead` happens, if the fault has no effect of
    /// its own.
    fn run<T>(
        &self,
        event: Event<'_>,
        perform: impl FnOnce(&dyn FileSystem) -> io::Result<T>,
        instead: impl FnOnce(&Base),
    ) -> io::Result<T> {
        let base = &self.base;
        self.control
            .run(event, || perform(base.fs()), || instead(base))
    }

    fn wrap(&self, path: &Path, target: Target) -> Arc<dyn File> {
        Arc::new(FaultFile::new(target, path, Arc::clone(&self.control)))
    }
}

/// What an injected failure does to the file system, as a rule.
fn nothing(_: &Base) {}

impl FileSystem for FaultFs {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let open = || match &self.base {
            Base::Any(fs) => fs.open(path).map(Target::Any),
            Base::Sim(sim) => sim.open_file(path).map(Target::Sim),
        };
        let target = self.run(Event::new(Operation::Open, path), |_| open(), nothing)?;
        Ok(self.wrap(path, target))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let create = || match &self.base {
            Base::Any(fs) => fs.create_new(path).map(Target::Any),
            Base::Sim(sim) => sim.create_new_file(path).map(Target::Sim),
        };
        let target = self.run(
            Event::new(Operation::CreateNew, path),
            |_| create(),
            nothing,
        )?;
        Ok(self.wrap(path, target))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let event = Event::new(Operation::Rename, from).onto(to);
        self.run(event, |fs| fs.rename(from, to), nothing)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let event = Event::new(Operation::HardLink, from).onto(to);
        self.run(event, |fs| fs.hard_link(from, to), nothing)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.run(
            Event::new(Operation::RemoveFile, path),
            |fs| fs.remove_file(path),
            nothing,
        )
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.run(Event::new(Operation::List, dir), |fs| fs.list(dir), nothing)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.run(
            Event::new(Operation::Kind, path),
            |fs| fs.kind(path),
            nothing,
        )
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.run(
            Event::new(Operation::FileLen, path),
            |fs| fs.file_len(path),
            nothing,
        )
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.run(
            Event::new(Operation::CreateDir, path),
            |fs| fs.create_dir(path),
            nothing,
        )
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let event = Event::new(Operation::SyncDir, dir);
        self.run(
            event,
            |fs| fs.sync_dir(dir),
            |base| {
                if let Base::Sim(sim) = base {
                    // If nothing is there, nothing can be lost.
                    let _ = sim.fail_sync(dir);
                }
            },
        )
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        self.run(
            Event::new(Operation::Lock, path),
            |fs| fs.lock(path),
            nothing,
        )
    }
}

#[cfg(test)]
mod tests;
