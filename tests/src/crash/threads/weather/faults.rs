//! The faults of a play: each strikes one operation of its class, by its number among those, or, for
//! good, all operations from that one on.
//!
//! Called by the rules of the faulty disk, under its lock, and so in the order in which operations
//! come. Notes what has struck.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lsm_fs::{Event, Fault, FaultFs, Operation, SimFs};
use lsm_version::FileKind;

use super::super::super::script::Trouble;
use super::super::super::stage::{kind_of, takes_room};

thread_local! {
    /// Whether the operation that this thread is in was struck.
    static STRUCK_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Every operation that changes the disk of an open store.
const MUTATING: [Operation; 9] = [
    Operation::CreateNew,
    Operation::Append,
    Operation::Preallocate,
    Operation::Truncate,
    Operation::Sync,
    Operation::Rename,
    Operation::HardLink,
    Operation::RemoveFile,
    Operation::SyncDir,
];

/// Which operations a fault may strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Class {
    AnyMutation,
    CreateRun,
    CreateSegment,
    AppendRun,
    AppendLog,
    AppendManifest,
    SyncRun,
    SyncLog,
    SyncManifest,
    SyncDirectory,
    RemoveFile,
}

impl Class {
    pub(in super::super) const ALL: [Self; 11] = [
        Self::AnyMutation,
        Self::CreateRun,
        Self::CreateSegment,
        Self::AppendRun,
        Self::AppendLog,
        Self::AppendManifest,
        Self::SyncRun,
        Self::SyncLog,
        Self::SyncManifest,
        Self::SyncDirectory,
        Self::RemoveFile,
    ];

    fn holds(self, operation: Operation, kind: FileKind) -> bool {
        let is_run = matches!(kind, FileKind::Run(_) | FileKind::RunTemp(_));
        let is_segment = matches!(kind, FileKind::Segment(_));
        match self {
            Self::AnyMutation => true,
            Self::CreateRun => operation == Operation::CreateNew && is_run,
            Self::CreateSegment => operation == Operation::CreateNew && is_segment,
            Self::AppendRun => operation == Operation::Append && is_run,
            Self::AppendLog => operation == Operation::Append && is_segment,
            Self::AppendManifest => operation == Operation::Append && kind == FileKind::Manifest,
            Self::SyncRun => operation == Operation::Sync && is_run,
            Self::SyncLog => operation == Operation::Sync && is_segment,
            Self::SyncManifest => operation == Operation::Sync && kind == FileKind::Manifest,
            Self::SyncDirectory => operation == Operation::SyncDir,
            Self::RemoveFile => operation == Operation::RemoveFile,
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Mishap {
    Trouble(Trouble),
    /// It happens, and its caller is told that it failed.
    LostAnswer,
}

impl Mishap {
    fn is(self, trouble: Trouble) -> bool {
        self == Self::Trouble(trouble)
    }

    fn is_lack_of_room(self) -> bool {
        matches!(
            self,
            Self::Trouble(Trouble::NoRoom | Trouble::FullDisk | Trouble::ShortWrite(1..))
        )
    }

    /// As the disk's fault; of a full disk the operation itself finds out.
    fn fault(self) -> Fault {
        let own = match self {
            Self::Trouble(trouble) => trouble.fault(),
            Self::LostAnswer => Some(Fault::from_raw_os_error(5).after_the_effect()),
        };
        own.unwrap_or(Fault::new(std::io::ErrorKind::StorageFull))
    }
}

/// A fault to come.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct FaultPlan {
    pub class: Class,
    /// So many operations of the class are spared first, once faults are let loose.
    pub after: u64,
    pub mishap: Mishap,
    /// Let loose only when the handle is about to end.
    pub at_the_end: bool,
}

/// What has struck, and what is still to strike.
#[derive(Debug, Default)]
pub(in super::super) struct Luck {
    /// Whether faults strike; those of the end wait for `ending` too.
    loose: AtomicBool,
    ending: AtomicBool,
    has_struck: AtomicBool,
    final_failure: AtomicBool,
    more_than_no_room: AtomicBool,
    manifest_is_live: AtomicBool,
}

impl Luck {
    pub(super) fn new(faults: &FaultFs, disk: &SimFs, plans: &[FaultPlan]) -> Arc<Self> {
        let luck = Arc::new(Self {
            // Until this handle makes another one.
            manifest_is_live: AtomicBool::new(true),
            ..Self::default()
        });
        for plan in plans {
            let seen = Arc::new(AtomicU64::new(0));
            for operation in MUTATING {
                let (luck, seen, disk) = (Arc::clone(&luck), Arc::clone(&seen), disk.clone());
                let plan = *plan;
                let strikes = move |path: &Path| luck.strikes(plan, &seen, operation, path, &disk);
                faults.fail_when(operation, strikes, plan.mishap.fault());
            }
        }
        luck
    }

    /// Whether the fault strikes this operation, which may be the next of its class.
    fn strikes(
        &self,
        plan: FaultPlan,
        seen: &AtomicU64,
        operation: Operation,
        path: &Path,
        disk: &SimFs,
    ) -> bool {
        let is_let = self.loose.load(Ordering::SeqCst)
            && (!plan.at_the_end || self.ending.load(Ordering::SeqCst));
        let kind = kind_of(path, self.manifest_is_live.load(Ordering::SeqCst));
        let is_dead = plan.mishap.is(Trouble::DeadDisk) && seen.load(Ordering::SeqCst) > plan.after;
        if !is_let || !(is_dead || plan.class.holds(operation, kind)) {
            return false;
        }
        let number = seen.fetch_add(1, Ordering::SeqCst);
        if number != plan.after && !is_dead {
            return false;
        }
        let is_full = plan.mishap.is(Trouble::FullDisk);
        if is_full {
            disk.set_capacity_bytes(Some(disk.used_bytes()));
        }
        self.note(operation, kind, plan.mishap);
        !is_full
    }

    fn note(&self, operation: Operation, kind: FileKind, mishap: Mishap) {
        let is_full = mishap.is(Trouble::FullDisk);
        let is_only_room = is_full || (mishap.is_lack_of_room() && takes_room(operation));
        if !is_only_room {
            self.more_than_no_room.store(true, Ordering::SeqCst);
        }
        let is_final = matches!(kind, FileKind::Manifest | FileKind::Segment(_));
        if operation == Operation::Sync && is_final && !is_full {
            self.final_failure.store(true, Ordering::SeqCst);
        }
        self.has_struck.store(true, Ordering::SeqCst);
        STRUCK_HERE.set(true);
    }

    /// Whether the operation that this thread was in was struck.
    pub(super) fn take_struck_here() -> bool {
        STRUCK_HERE.take()
    }

    /// An open file goes by the name that it was created under.
    pub(super) fn follow_manifest(&self, event: &Event<'_>) {
        if kind_of(event.path, false) == FileKind::ManifestTemp {
            match event.operation {
                Operation::CreateNew => self.manifest_is_live.store(false, Ordering::SeqCst),
                Operation::Rename => self.manifest_is_live.store(true, Ordering::SeqCst),
                _ => {}
            }
        }
    }

    /// From now on faults strike.
    pub(in super::super) fn let_loose(&self) {
        self.loose.store(true, Ordering::SeqCst);
    }

    /// The handle is about to end.
    pub(in super::super) fn ends(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// The disk is well again, and has room.
    pub(in super::super) fn heal(&self, faults: &FaultFs, disk: &SimFs) {
        self.loose.store(false, Ordering::SeqCst);
        faults.clear_faults();
        disk.set_capacity_bytes(None);
    }

    pub(in super::super) fn has_struck(&self) -> bool {
        self.has_struck.load(Ordering::SeqCst)
    }

    /// The next handle of a life starts anew: what failed has ended the one before.
    pub(in super::super) fn forgets_failed_syncs(&self) {
        self.final_failure.store(false, Ordering::SeqCst);
    }

    /// Whether a sync of the log or the manifest has failed.
    pub(in super::super) fn final_failure(&self) -> bool {
        self.final_failure.load(Ordering::SeqCst)
    }

    /// Whether anything but a lack of room for bytes has struck.
    pub(in super::super) fn more_than_no_room(&self) -> bool {
        self.more_than_no_room.load(Ordering::SeqCst)
    }
}
