//! The store behind a handle: what its parts share, and how the view changes.
//!
//! Every change of view goes through [`Engine::change_view`]: one short lock, no I/O inside.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use lsm_compact::{Claims, PickerOptions, PressureOptions, debt_bytes, l0_backlog_runs};
use lsm_fs::FileSystem;
use lsm_scheduler::{Pool, Signal};
use lsm_version::{CommitError, Manifest, RunMeta, VersionEdit};
use lsm_wal::CommitQueue;

use crate::attempts::Attempts;
use crate::commit::{Committer, Request};
use crate::compaction::SetAside;
use crate::flush::FlushProgress;
use crate::health::Health;
use crate::ids::Ids;
use crate::reaper::Reaper;
use crate::run::{Run, RunContext};
use crate::settle::Unsettled;
use crate::stats::Counters;
use crate::sync::locked;
use crate::throttle::pressure_options;
use crate::view::{ReadView, Tree};
use crate::{Error, LsmConfig, Result};

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) config: LsmConfig,
    pub(crate) picker_options: PickerOptions,
    pub(crate) pressure_options: PressureOptions,
    pub(crate) directory: PathBuf,
    pub(crate) file_system: Arc<dyn FileSystem>,
    pub(crate) pool: Pool,
    pub(crate) health: Arc<Health>,
    pub(crate) ids: Ids,
    pub(crate) reaper: Reaper,
    pub(crate) run_context: Arc<RunContext>,
    pub(crate) counters: Counters,
    pub(crate) queue: CommitQueue<Request, Result<()>>,
    pub(crate) committer: Committer,
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) unsettled: Unsettled,
    pub(crate) flushes: FlushProgress,
    pub(crate) compactions: Attempts,
    pub(crate) claims: Mutex<Claims>,
    pub(crate) set_aside: SetAside,
    /// The last seqno that readers may see.
    pub(crate) visible: AtomicU64,
    pub(crate) closing: AtomicBool,
    /// Log segments below this one hold nothing that is not in a run.
    pub(crate) log_retired_below: AtomicU64,
    /// Notified whenever a flush or a compaction ends, well or badly.
    pub(crate) progress: Signal,
    view: ArcSwap<ReadView>,
    view_change: Mutex<()>,
    debt: Mutex<Debt>,
}

/// What compaction still has to do: what slows writers down.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Debt {
    pub(crate) bytes: u64,
    /// `None`: compaction is off, and level 0 slows nobody.
    pub(crate) l0_runs: Option<usize>,
}

/// The parts of an engine that recovery makes.
pub(crate) struct Parts {
    pub(crate) config: LsmConfig,
    pub(crate) directory: PathBuf,
    pub(crate) file_system: Arc<dyn FileSystem>,
    pub(crate) pool: Pool,
    pub(crate) health: Arc<Health>,
    pub(crate) reaper: Reaper,
    pub(crate) run_context: Arc<RunContext>,
    pub(crate) manifest: Manifest,
    pub(crate) committer: Committer,
    pub(crate) unsettled: Unsettled,
    pub(crate) view: ReadView,
    pub(crate) visible: u64,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let engine = Arc::new(Self {
            picker_options: parts.config.picker_options(),
            pressure_options: pressure_options(&parts.config),
            config: parts.config,
            directory: parts.directory,
            file_system: parts.file_system,
            pool: parts.pool,
            health: parts.health,
            ids: Ids::above(parts.manifest.state().ceilings),
            reaper: parts.reaper,
            run_context: parts.run_context,
            counters: Counters::default(),
            queue: CommitQueue::new(),
            committer: parts.committer,
            manifest: Mutex::new(parts.manifest),
            unsettled: parts.unsettled,
            flushes: FlushProgress::default(),
            compactions: Attempts::default(),
            claims: Mutex::new(Claims::default()),
            set_aside: SetAside::default(),
            visible: AtomicU64::new(parts.visible),
            closing: AtomicBool::new(false),
            log_retired_below: AtomicU64::new(0),
            progress: Signal::new(),
            view: ArcSwap::from_pointee(parts.view),
            view_change: Mutex::new(()),
            debt: Mutex::new(Debt::default()),
        });
        engine.note_debt();
        engine
    }

    /// The view of this moment, cheap: for a read that ends within the call.
    pub(crate) fn view(&self) -> arc_swap::Guard<Arc<ReadView>> {
        self.view.load()
    }

    /// The view of this moment and the seqno to read it at, in this order.
    pub(crate) fn view_and_seqno(&self) -> (Arc<ReadView>, u64) {
        let view = self.view.load_full();
        (view, self.visible.load(Ordering::Acquire))
    }

    /// The tree of the manifest's current version. Call with the manifest's lock, which is what
    /// keeps the tree from changing meanwhile.
    pub(crate) fn next_tree(&self, manifest: &Manifest) -> Arc<Tree> {
        let version = Arc::clone(&manifest.state().version);
        let make = |meta: &Arc<RunMeta>| Run::new(Arc::clone(meta), &self.run_context);
        Arc::new(Tree::new(version, Some(&self.view().tree), make))
    }

    /// Replaces the view by a changed copy.
    pub(crate) fn change_view(&self, change: impl FnOnce(&mut ReadView)) {
        let old = {
            let _one_at_a_time = locked(&self.view_change);
            let old = self.view.load();
            let mut view = ReadView {
                active: Arc::clone(&old.active),
                sealed: old.sealed.clone(),
                tree: Arc::clone(&old.tree),
                directory_lock: Arc::clone(&old.directory_lock),
            };
            change(&mut view);
            self.view.swap(Arc::new(view))
        };
        // What only the old view held may be large: readers and writers shall not pay for it.
        self.reaper.drop_later(old);
    }

    pub(crate) fn memtable_capacity_bytes(&self) -> u64 {
        self.config.memtable_capacity_bytes() as u64
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Makes an edit durable. Call with the manifest's lock, and publish before letting go of it.
    pub(crate) fn commit_edit(
        &self,
        manifest: &mut MutexGuard<'_, Manifest>,
        mut edit: VersionEdit,
    ) -> Result<()> {
        if self.health.is_poisoned() {
            self.health.check()?;
        }
        let wanted = if edit.clean { None } else { self.ids.wanted() };
        if let Some(ceilings) = wanted {
            edit.ceilings = Some(ceilings);
        }
        match manifest.commit(edit) {
            Ok(()) => {
                if let Some(ceilings) = wanted {
                    self.ids.reserved(ceilings);
                }
                Ok(())
            }
            Err(error) => {
                let fate_unknown = !matches!(
                    error,
                    CommitError::NotWritten { .. } | CommitError::Invalid { .. }
                );
                let error = Error::from(error);
                if fate_unknown {
                    self.health.poison_and_keep_files(&error);
                }
                Err(error)
            }
        }
    }

    /// Gives up runs that no edit names: none was tried, or it surely did not happen. (If its fate
    /// is unknown the reaper knows, and keeps them.)
    pub(crate) fn discard_runs(&self, ids: &[u64]) {
        let paths = ids.iter().map(|id| self.run_context.run_path(*id));
        self.reaper.post(paths.collect());
    }

    /// Runs background work or a leader's; a panic in it poisons the store like an I/O error, and whoever waits
    /// for progress looks again.
    pub(crate) fn guarded(&self, work: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            let message = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            self.health.poison(&Error::Io {
                context: "do the store's own work: it panicked",
                path: None,
                source: io::Error::other(message),
            });
        }
        self.progress.notify();
    }

    fn reserve(&self) -> Result<()> {
        let mut manifest = locked(&self.manifest);
        if self.ids.wanted().is_some() {
            self.commit_edit(&mut manifest, VersionEdit::default())?;
        }
        Ok(())
    }

    fn take<T>(&self, mut take: impl FnMut(&Ids) -> Option<T>) -> Result<T> {
        if let Some(taken) = take(&self.ids) {
            return Ok(taken);
        }
        self.reserve()?;
        take(&self.ids).ok_or_else(|| Error::Io {
            context: "reserve ids: they are exhausted",
            path: Some(self.directory.clone()),
            source: io::ErrorKind::Other.into(),
        })
    }

    pub(crate) fn take_run_id(&self) -> Result<u64> {
        self.take(Ids::take_run_id)
    }

    pub(crate) fn take_seqnos(&self, count: u64) -> Result<u64> {
        self.take(|ids| ids.take_seqnos(count))
    }

    pub(crate) fn take_segment_id(&self) -> io::Result<u64> {
        self.take(Ids::take_segment_id)
            .map_err(|error| match error {
                Error::Io { source, .. } => source,
                other => io::Error::other(other.in_full()),
            })
    }

    /// Keeps the figure that slows writers down in step with the tree.
    pub(crate) fn note_debt(&self) {
        let view = self.view();
        let set_aside = |id| self.set_aside.contains(id);
        let (version, options) = (&view.tree.version, &self.picker_options);
        *locked(&self.debt) = Debt {
            bytes: debt_bytes(version, options, &set_aside),
            l0_runs: l0_backlog_runs(version, options, &set_aside),
        };
    }

    pub(crate) fn debt(&self) -> Debt {
        *locked(&self.debt)
    }

    /// Waits until `condition` holds; background work notifies [`Engine::progress`].
    pub(crate) fn wait_for(&self, condition: impl FnMut() -> bool) -> Result<()> {
        self.pool
            .wait(&self.progress, condition)
            .map_err(|stalled| Error::Io {
                context: "wait for background work",
                path: None,
                source: io::Error::other(stalled),
            })
    }
}
