//! A machine under observation: its operations are numbered through all restarts, its file ids
//! are remembered, and one of its operations can be made to fail.
//!
//! Used by the player and by the checks after a crash. Judges only ids; the rest it notes down.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lsm_fs::{CrashImage, Event, Fault, Operation, SimFs};
use lsm_version::FileKind;

use super::script::Trouble;
use crate::machine::Machine;

/// Just before an operation of the file system, or at the end of a script.
pub(super) struct Moment<'a> {
    /// How many mutating operations came before, in all of the script.
    pub number: u64,
    /// The operation that is about to happen; `None` at the end.
    pub event: Option<&'a Event<'a>>,
    /// The disk as it is.
    pub disk: &'a SimFs,
    /// The ids used so far.
    pub used: &'a UsedIds,
}

/// Called at each moment. May look at the disk, and must not touch the machine.
pub(super) type Watcher = Arc<dyn Fn(&Moment<'_>) + Send + Sync>;

/// What is to fail, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    /// The mutating operation of this number.
    Mutation(u64, Trouble),
    /// The operation of this number among all, with `EIO`, once.
    Any(u64),
}

/// Ids of files that were ever created.
#[derive(Debug, Clone, Default)]
pub(super) struct UsedIds {
    runs: BTreeSet<u64>,
    segments: BTreeSet<u64>,
}

impl UsedIds {
    /// The ids in these names of files.
    pub(super) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut used = Self::default();
        for name in names {
            if let FileKind::Run(id) = FileKind::of(name.as_ref()) {
                used.runs.insert(id);
            }
        }
        used
    }

    /// Notes that a file is created; says so if its id was used before.
    pub(super) fn note(&mut self, event: &Event<'_>) -> Option<String> {
        if event.operation != Operation::CreateNew {
            return None;
        }
        let name = event.path.file_name()?;
        let is_new = match FileKind::of(name) {
            FileKind::Run(id) | FileKind::RunTemp(id) => self.runs.insert(id),
            FileKind::Segment(id) | FileKind::SegmentTemp(id) => self.segments.insert(id),
            _ => true,
        };
        (!is_new).then(|| format!("the id of {} was used before", name.display()))
    }
}

/// What a crash left in the middle of a recovery that went on in another world.
#[derive(Debug)]
pub(super) struct Captured {
    pub disk: SimFs,
    /// The ids used by then.
    pub used: UsedIds,
}

/// What was seen so far, on all machines of the script.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub used: UsedIds,
    pub reused: Option<String>,
    /// Whether a fault has struck.
    pub struck: Option<Operation>,
    /// Whether it was a sync of the log or the manifest, for this handle.
    pub final_failure: bool,
    /// Whether anything but a lack of room for bytes has struck.
    pub more_than_no_room: bool,
    /// Whether the name of the store's directory, or of one above it, is lost for good: the sync
    /// that was to make it durable failed, so no later one will, and nobody but its owner may
    /// remove a directory and make it anew. The open has said so; what is written below it after
    /// that goes with it.
    pub lost_directory: bool,
    /// Whether the disk is well again.
    healed: bool,
    /// Fail the next sync of such a file.
    fail_sync_of: Option<fn(FileKind) -> bool>,
    /// Whether what was built as a temporary manifest has been renamed into place. An open file
    /// goes by the name that it was created under.
    manifest_is_live: Arc<AtomicBool>,
    /// Crash at this operation, and what was left.
    pub capture: Option<(u64, CrashImage)>,
    pub captured: Option<Captured>,
    /// Whether the script's own checks are reading.
    pub looking: bool,
    /// The operations that only read, by their number among all, without the script's own.
    pub reads: Vec<u64>,
    pub segments_created: u64,
    pub runs_created: u64,
    pub manifests_built: u64,
    pub manifest_appends: u64,
    pub tails_rewritten: u64,
    pub removals: u64,
}

/// The machine of the moment.
pub(super) struct Stage {
    pub machine: Machine,
    notes: Arc<Mutex<Notes>>,
    watcher: Option<Watcher>,
    strike: Option<Strike>,
    /// How many mutating operations, and operations of any kind, earlier machines have seen.
    first: (u64, u64),
}

impl Stage {
    pub(super) fn new(machine: Machine, watcher: Option<Watcher>, strike: Option<Strike>) -> Self {
        let mut stage = Self {
            machine,
            notes: Arc::default(),
            watcher,
            strike,
            first: (0, 0),
        };
        stage.observe();
        stage
    }

    /// A machine that goes on where another left off, as far as ids are concerned.
    pub(super) fn after(machine: Machine, used: UsedIds) -> Self {
        let stage = Self::new(machine, None, None);
        stage.notes().used = used;
        stage
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        lock(&self.notes)
    }

    /// How many mutating operations there have been.
    pub(super) fn mutation_count(&self) -> u64 {
        self.first.0 + self.machine.faults.mutation_count()
    }

    /// The same script goes on on this machine.
    pub(super) fn move_to(&mut self, machine: Machine) {
        self.first = (
            self.mutation_count(),
            self.first.1 + self.machine.faults.operation_count(),
        );
        self.machine.faults.remove_hook();
        self.machine = machine;
        let is_to_come = match self.strike {
            Some(Strike::Mutation(number, _)) => number >= self.first.0,
            Some(Strike::Any(number)) => number >= self.first.1,
            None => false,
        };
        if !is_to_come {
            self.strike = None;
        }
        {
            // What has struck the old machine is over, and somebody has made room on the new one.
            self.machine.disk.set_capacity_bytes(None);
            let mut notes = self.notes();
            notes.healed |= notes.struck.is_some() && !is_to_come;
            notes.fail_sync_of = None;
        }
        self.observe();
    }

    pub(super) fn strikes(&mut self, strike: Strike) {
        self.strike = Some(strike);
        {
            let mut notes = self.notes();
            notes.healed = false;
            notes.fail_sync_of = None;
        }
        self.observe();
    }

    pub(super) fn strike(&self) -> Option<Strike> {
        self.strike
    }

    /// The next sync of such a file fails.
    pub(super) fn fail_sync_of(&mut self, is_it: fn(FileKind) -> bool) {
        // An earlier one that has not struck is replaced.
        self.observe();
        {
            let mut notes = self.notes();
            notes.fail_sync_of = Some(is_it);
            notes.healed = false;
        }
        let eio = Fault::from_raw_os_error(5);
        let manifest_is_live = Arc::clone(&self.notes().manifest_is_live);
        self.machine.faults.fail_when(
            Operation::Sync,
            move |path| is_it(kind_of(path, manifest_is_live.load(Ordering::SeqCst))),
            eio,
        );
    }

    /// The disk is well again.
    pub(super) fn heal(&mut self) {
        self.strike = None;
        self.observe();
        self.machine.disk.set_capacity_bytes(None);
        let mut notes = self.notes();
        notes.healed = true;
        notes.fail_sync_of = None;
    }

    /// A new handle knows nothing of faults that are over: from now on errors need a new one.
    pub(super) fn forget_healed_faults(&self) {
        let mut notes = self.notes();
        if notes.healed {
            notes.struck = None;
            notes.more_than_no_room = false;
        }
    }

    /// What was left at the operation that was to be captured, if it came to that.
    pub(super) fn end_capture(&self) -> Option<Captured> {
        let mut notes = self.notes();
        notes.capture = None;
        notes.captured.take()
    }

    /// Tells the watcher of a moment between operations.
    pub(super) fn at_rest(&self) {
        let used = self.notes().used.clone();
        if let Some(watcher) = &self.watcher {
            watcher(&Moment {
                number: self.mutation_count(),
                event: None,
                disk: &self.machine.disk,
                used: &used,
            });
        }
    }

    /// Arms what is still to strike, and looks at every operation from now on.
    fn observe(&mut self) {
        let faults = &self.machine.faults;
        faults.clear_faults();
        let now = (
            self.mutation_count(),
            self.first.1 + faults.operation_count(),
        );
        match self.strike {
            Some(Strike::Mutation(number, trouble))
                if number >= now.0 || trouble == Trouble::DeadDisk =>
            {
                if let Some(fault) = trouble.fault() {
                    faults.fail_nth(number.saturating_sub(now.0), fault);
                }
            }
            Some(Strike::Any(number)) if number >= now.1 => {
                faults.fail_nth_of_all(number - now.1, Fault::from_raw_os_error(5));
            }
            _ => {}
        }
        let (notes, watcher) = (Arc::clone(&self.notes), self.watcher.clone());
        let (disk, strike, first) = (self.machine.disk.clone(), self.strike, self.first);
        let dir = self.machine.dir();
        faults.on_operation(move |event| {
            strike_if_due(&notes, &disk, strike, first, event, dir);
            let Some(index) = event.mutation_index else {
                let mut notes = lock(&notes);
                if !notes.looking {
                    notes.reads.push(first.1 + event.index);
                }
                return;
            };
            let number = first.0 + index;
            if let Some(watcher) = &watcher {
                let used = lock(&notes).used.clone();
                watcher(&Moment {
                    number,
                    event: Some(event),
                    disk: &disk,
                    used: &used,
                });
            }
            let mut notes = lock(&notes);
            if let Some((at, image)) = notes.capture
                && number >= at
                && notes.captured.is_none()
            {
                notes.captured = Some(Captured {
                    disk: disk.crash(&image),
                    used: notes.used.clone(),
                });
            }
            notes.take(event);
        });
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that a fault strikes this operation, and fills the disk if that is the fault.
fn strike_if_due(
    notes: &Mutex<Notes>,
    disk: &SimFs,
    strike: Option<Strike>,
    first: (u64, u64),
    event: &Event<'_>,
    dir: &Path,
) {
    let mut notes = lock(notes);
    if notes.healed {
        return;
    }
    let is_live = notes.manifest_is_live.load(Ordering::SeqCst);
    let kind = kind_of(event.path, is_live);
    let number = event.mutation_index.map(|index| first.0 + index);
    let mut fails = match strike {
        Some(Strike::Mutation(at, Trouble::DeadDisk)) => number >= Some(at),
        Some(Strike::Mutation(at, Trouble::FullDisk)) => {
            if number == Some(at) {
                disk.set_capacity_bytes(Some(disk.used_bytes()));
                notes.struck = Some(event.operation);
            }
            false
        }
        Some(Strike::Mutation(at, _)) => number == Some(at),
        Some(Strike::Any(at)) => first.1 + event.index == at,
        None => false,
    };
    if event.operation == Operation::Sync && notes.fail_sync_of.is_some_and(|is_it| is_it(kind)) {
        notes.fail_sync_of = None;
        fails = true;
    }
    if fails {
        notes.struck.get_or_insert(event.operation);
        notes.more_than_no_room |= !takes_room(event.operation) || !is_lack_of_room(strike);
        let is_above = event.path != dir && dir.starts_with(event.path);
        notes.lost_directory |= event.operation == Operation::SyncDir && is_above;
        let is_final = matches!(kind, FileKind::Manifest | FileKind::Segment(_));
        notes.final_failure |= event.operation == Operation::Sync && is_final;
    }
}

/// What is at a path, as far as its name says. An open file goes by the name that it was created
/// under, so a temporary manifest may be the one in place by now.
pub(super) fn kind_of(path: &Path, manifest_is_live: bool) -> FileKind {
    match path.file_name().map_or(FileKind::Foreign, FileKind::of) {
        FileKind::ManifestTemp if manifest_is_live => FileKind::Manifest,
        kind => kind,
    }
}

/// Whether the operation asks for room, so that a lack of it is a plain answer.
pub(super) fn takes_room(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Append | Operation::CreateNew | Operation::Preallocate
    )
}

fn is_lack_of_room(strike: Option<Strike>) -> bool {
    let Some(Strike::Mutation(_, trouble)) = strike else {
        return false;
    };
    matches!(trouble, Trouble::NoRoom | Trouble::ShortWrite(1..))
}

impl Notes {
    pub(super) fn is_healed(&self) -> bool {
        self.healed
    }

    fn take(&mut self, event: &Event<'_>) {
        if let Some(reused) = self.used.note(event) {
            self.reused.get_or_insert(reused);
        }
        let is_live = self.manifest_is_live.load(Ordering::SeqCst);
        let kind = kind_of(event.path, is_live);
        let is_temporary = |path| kind_of(path, false) == FileKind::ManifestTemp;
        match event.operation {
            Operation::CreateNew if is_temporary(event.path) => {
                self.manifest_is_live.store(false, Ordering::SeqCst);
            }
            Operation::Rename if is_temporary(event.path) => {
                self.manifests_built += 1;
                self.manifest_is_live.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
        let count = match (event.operation, kind) {
            (Operation::CreateNew, FileKind::Segment(_)) => &mut self.segments_created,
            (Operation::CreateNew, FileKind::Run(_) | FileKind::RunTemp(_)) => {
                &mut self.runs_created
            }
            (Operation::Append, FileKind::Manifest) => &mut self.manifest_appends,
            (Operation::Rename, FileKind::SegmentTemp(_)) => &mut self.tails_rewritten,
            (Operation::RemoveFile, _) => &mut self.removals,
            _ => return,
        };
        *count += 1;
    }
}
