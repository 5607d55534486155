//! The fault-injecting file system: any other one, under the control of a test.
//!
//! Called by tests through the seam, and by them directly to arm faults, park calls and read the
//! trace. Never fails, delays or changes a call that it was not told to.

mod control;
mod directory;
mod event;
mod file;
mod gate;
mod rule;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use self::control::Control;
use self::directory::{DirectoryTarget, FaultDirectory};
pub use self::event::{Event, Operation, TraceEvent};
pub use self::gate::Parked;
pub use self::rule::Fault;
use self::rule::Rule;
use crate::{Directory, EntryKind, FileSystem, SimFs};

/// A file system that does what the one under it does, until a test tells it otherwise.
///
/// It counts calls, fails the ones it is told to, holds calls until they are released, writes down
/// what happened, and calls a hook before each. Clones share all of that. Calls are told apart by
/// [`Operation`] and path; a file's path is its directory's, as that was opened, and its name.
///
/// # A counted sweep
///
/// ```
/// use std::io;
/// use std::path::Path;
/// use lsm_fs::{Fault, FaultFs, FileName, FileSystem, SimFs, write_file_atomically};
///
/// const TEMP: FileName = FileName::constant("a.tmp");
/// const TARGET: FileName = FileName::constant("a");
/// let scenario = |fs: &FaultFs| {
///     let dir = fs.open_dir(Path::new("/")).unwrap();
///     write_file_atomically(&*dir, &TEMP, &TARGET, b"new")
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
    /// use lsm_fs::{ByPath, FaultFs, Operation, SimFs};
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
}

impl FileSystem for FaultFs {
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Directory>> {
        let open = || match &self.base {
            Base::Any(fs) => fs.open_dir(path).map(DirectoryTarget::Any),
            Base::Sim(sim) => sim.open_directory(path).map(DirectoryTarget::Sim),
        };
        let event = Event::new(Operation::OpenDir, path);
        let target = self.control.run(event, open, || {})?;
        let control = Arc::clone(&self.control);
        Ok(Arc::new(FaultDirectory::new(target, path, control)))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        let kind = || self.base.fs().kind(path);
        let event = Event::new(Operation::Kind, path);
        self.control.run(event, kind, || {})
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let create = || self.base.fs().create_dir(path);
        let event = Event::new(Operation::CreateDir, path);
        self.control.run(event, create, || {})
    }
}

#[cfg(test)]
mod tests;
