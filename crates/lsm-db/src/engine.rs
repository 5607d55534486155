//! The store behind a handle: what its parts share, and how the view changes.
//!
//! Every change of view goes through [`Engine::change_view`], so that what the old one held is
//! freed by the reaper.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use lsm_compact::{Claims, PickerOptions, debt_bytes, l0_backlog_runs, pick_for_readers};
use lsm_fs::Directory;
use lsm_scheduler::Pool;
use lsm_version::{CommitError, Manifest, RunMeta, VersionEdit};
use lsm_wal::CommitQueue;

use crate::attempts::{Attempts, Then};
use crate::commit::{Committer, Request};
use crate::compaction::{Choice, SetAside};
use crate::flush::FlushProgress;
use crate::gaps::{Gaps, ReaderGaps};
use crate::health::Health;
use crate::held::{HeldView, HeldViews};
use crate::ids::Ids;
use crate::manual::Manuals;
use crate::publication::{Loaded, Publication};
use crate::reaper::Reaper;
use crate::run::{Run, RunContext};
use crate::settle::Unsettled;
use crate::stats::Counters;
use crate::sync::{locked, try_locked};
use crate::throttle::Throttle;
use crate::tickets::{Ticket, Tickets};
use crate::view::{ReadView, Tree};
use crate::{Error, LsmConfig, Result};

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) config: LsmConfig,
    pub(crate) picker_options: PickerOptions,
    pub(crate) directory: Arc<dyn Directory>,
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
    pub(crate) choice: Choice,
    pub(crate) manuals: Manuals,
    /// What readers start from. Its view is changed by [`Engine::change_view`].
    pub(crate) publication: Publication<ReadView>,
    /// Ranges in which nothing has a value, for readers to pass.
    pub(crate) gaps: Arc<Gaps>,
    /// The views that readers hold beyond a call.
    pub(crate) held_views: Arc<HeldViews>,
    /// Log segments below this one hold nothing that is not in a run.
    pub(crate) log_retired_below: AtomicU64,
    /// What callers wait with: its ordinals are those of the memtables whose runs are in the durable
    /// manifest.
    pub(crate) tickets: Arc<Tickets<Arc<Error>>>,
    debt: Mutex<Debt>,
    /// Whose turn it is to write, while background work is behind.
    pub(crate) throttle: Throttle,
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
    pub(crate) directory: Arc<dyn Directory>,
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
            throttle: Throttle::new(&parts.config),
            config: parts.config,
            directory: parts.directory,
            held_views: HeldViews::new(parts.pool.clone()),
            pool: parts.pool,
            tickets: Arc::clone(parts.health.tickets()),
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
            choice: Choice::default(),
            manuals: Manuals::default(),
            publication: Publication::new(parts.view, parts.visible),
            gaps: Arc::new(Gaps::new()),
            log_retired_below: AtomicU64::new(0),
            debt: Mutex::new(Debt::default()),
        });
        engine
            .throttle
            .note_sealed(!engine.view().sealed.is_empty());
        engine.note_debt();
        engine
    }

    /// The view of this moment, for those who don't read entries.
    pub(crate) fn view(&self) -> Loaded<ReadView> {
        self.publication.view()
    }

    /// The view and the seqno of this moment, to be kept.
    pub(crate) fn hold_view(&self) -> Arc<HeldView> {
        let (view, moment) = self.publication.read_owned();
        self.held_views.hold(view, moment, &self.gaps)
    }

    /// The view and the seqno of this moment, and what is known of gaps in it.
    pub(crate) fn read_with_gaps(&self) -> (Loaded<ReadView>, u64, ReaderGaps<&Gaps>) {
        let (view, moment) = self.publication.read_moment();
        (view, moment.seqno, ReaderGaps::new(&self.gaps, moment))
    }

    /// The tree of the manifest's current version. Call with the manifest's lock, which is what
    /// keeps the tree from changing meanwhile.
    pub(crate) fn next_tree(&self, manifest: &Manifest) -> Arc<Tree> {
        let version = Arc::clone(&manifest.state().version);
        let make = |level, meta: &Arc<RunMeta>| {
            Run::new(Arc::clone(meta), self.is_deepest(level), &self.run_context)
        };
        Arc::new(Tree::new(version, Some(&self.view().tree), make))
    }

    /// Whether nothing can come to lie below `level`.
    pub(crate) fn is_deepest(&self, level: usize) -> bool {
        level + 1 >= self.picker_options.level_count
    }

    /// Replaces the view by a changed copy.
    pub(crate) fn change_view(&self, change: impl FnOnce(&mut ReadView)) {
        let old = self.publication.change(|view| {
            change(view);
            self.throttle.note_sealed(!view.sealed.is_empty());
        });
        // What only the old view held may be large: readers and writers shall not pay for it.
        self.reaper.drop_later(old);
    }

    pub(crate) fn memtable_capacity_bytes(&self) -> u64 {
        self.config.memtable_capacity_bytes() as u64
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.run_context.closing.load(Ordering::Acquire)
    }

    /// Ends background work: what is being done is finished or given up, what is queued or waits
    /// for its retry is dropped, and nothing is waited for any more.
    pub(crate) fn end_work(&self) {
        self.run_context.closing.store(true, Ordering::Release);
        let closing = Error::closing("wait for background work: the store is closing");
        let closing = Arc::new(closing);
        self.tickets.end(&closing, Arc::clone(&closing));
        self.pool.shutdown();
    }

    /// Makes an edit durable. Call with the manifest's lock, and publish before letting go of it.
    pub(crate) fn commit_edit(
        &self,
        manifest: &mut MutexGuard<'_, Manifest>,
        mut edit: VersionEdit,
    ) -> Result<()> {
        self.health.check()?;
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

    /// Checks that neither the directory nor the manifest was removed. If one was, writing ends:
    /// whatever was written is not found again.
    pub(crate) fn check_names(&self) -> Result<()> {
        self.check_directory()?;
        // Who holds it makes an edit durable, and asks by itself.
        let Some(manifest) = try_locked(&self.manifest) else {
            return Ok(());
        };
        let checked = manifest.check_linked().map_err(Error::from);
        checked.inspect_err(|error| self.health.poison_and_keep_files(error))
    }

    /// Checks that the directory was not removed, as [`check_names`](Self::check_names) does.
    pub(crate) fn check_directory(&self) -> Result<()> {
        let path = self.directory.path();
        let error = match self.directory.is_linked() {
            Ok(true) => return Ok(()),
            Ok(false) => Error::DirectoryGone {
                path: path.to_path_buf(),
            },
            Err(source) => Error::io("look at the directory", path, source),
        };
        self.health.poison(&error);
        Err(error)
    }

    /// The error of `context`, which failed on `path`; or that the directory was removed, in which
    /// no name is found and none can be made.
    pub(crate) fn gone_or(&self, context: &'static str, path: &Path, source: io::Error) -> Error {
        if source.kind() == io::ErrorKind::NotFound
            && let Err(gone) = self.check_directory()
        {
            return gone;
        }
        Error::io(context, path, source)
    }

    /// Gives up runs that no edit names: none was tried, or it surely did not happen. (If its fate
    /// is unknown the reaper knows, and keeps them.)
    pub(crate) fn discard_runs(&self, ids: &[u64]) {
        let names = ids.iter().flat_map(|id| RunContext::names_of(*id));
        self.reaper.post(names.collect());
    }

    /// A panic in `work` ends here, and poisons the store like an I/O error.
    pub(crate) fn poisoned_by_panic(&self, work: impl FnOnce()) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(work)) else {
            return;
        };
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

    /// Has `work` tried again on its lane after a pause, unless that is pending already; gives up
    /// in the end.
    pub(crate) fn retry_later(
        self: &Arc<Self>,
        lane: usize,
        error: &Arc<Error>,
        attempts: fn(&Self) -> &Attempts,
        work: fn(&Arc<Self>),
    ) {
        match attempts(self).failed(error) {
            Then::Nothing => {}
            Then::GiveUp => self.health.poison(error),
            Then::RetryAfter(pause, retry) => {
                let engine = Arc::clone(self);
                self.pool.submit_after(lane, pause, move || {
                    if attempts(&engine).begin(retry) {
                        engine.poisoned_by_panic(|| work(&engine));
                    }
                });
            }
        }
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
            path: Some(self.directory.path().to_path_buf()),
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

    /// Keeps the figures that the tree decides in step with it: what slows writers down, and what
    /// readers have to pay for a compaction of level 0.
    pub(crate) fn note_debt(&self) {
        // The lock first: of two that note, the later one has the newer tree.
        let mut debt = locked(&self.debt);
        let view = self.view();
        let set_aside = |id| self.set_aside.contains(id);
        let (version, options) = (&view.tree.version, &self.picker_options);
        let for_readers = pick_for_readers(version, options, &Claims::default(), &set_aside);
        let l0_reads = &self.run_context.l0_reads;
        l0_reads.set_price(for_readers.as_ref());
        *debt = Debt {
            bytes: debt_bytes(version, options, &set_aside),
            l0_runs: l0_backlog_runs(version, options, &set_aside),
        };
        self.throttle.note_debt(&debt);
    }

    pub(crate) fn debt(&self) -> Debt {
        *locked(&self.debt)
    }

    /// Waits for the answer to `ticket`, which is the result.
    pub(crate) fn wait(&self, ticket: &Ticket<Arc<Error>>) -> Result<()> {
        let answer = self.pool.wait(|| ticket.answer(), || ticket.wait());
        let answer = answer.map_err(|stalled| Error::Io {
            context: "wait for background work",
            path: None,
            source: io::Error::other(stalled),
        })?;
        answer.map_err(|error| error.duplicate())
    }
}
