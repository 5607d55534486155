//! Settling: what an open owes the disk, and what a close leaves on it.
//!
//! After an unclean close, what recovery read may exist only in the page cache. It is written
//! again (the manifest, and the part of the log that no durable claim covers) before anything is
//! unlinked or acknowledged as durable. Without room that waits, and so do writes; reads don't.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use lsm_format::MAGIC;
use lsm_fs::{Directory, FileName};
use lsm_version::{RunId, VersionEdit, run_unnamed_file_name};
use lsm_wal::{LogOptions, Position, RecoveredLog, segment_file_name};

use crate::engine::Engine;
use crate::sync::locked;
use crate::view::LoggedMemtable;
use crate::{Error, Result};

/// How many names are tried for an unnamed run of `lsm-db` 1.x.
const UNNAMED_NAMES_MAX: u32 = 100;

/// What an open still owes the disk, and where the log goes on once it is paid.
#[derive(Debug)]
pub(crate) struct Unsettled {
    is_owed: AtomicBool,
    owed: Mutex<Option<Owed>>,
    log_options: LogOptions,
    log_end: OnceLock<Option<Position>>,
    latest: Mutex<Option<Arc<Error>>>,
    /// The ordinal of the last memtable that was replayed; 0 if nothing was.
    pub(crate) replayed_ordinal: u64,
    /// How many runs of `lsm-db` 1.x came that nothing named.
    pub(crate) unnamed_runs: usize,
}

#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) log: RecoveredLog,
    pub(crate) replayed: Option<Arc<LoggedMemtable>>,
    pub(crate) leftovers: Vec<FileName>,
    /// Leftovers under ids that were never given out, and soon may be.
    pub(crate) strays: Vec<FileName>,
    pub(crate) temporaries: Vec<FileName>,
    pub(crate) unclean: bool,
    /// The segment that the tail was written to again, and where it ends.
    pub(crate) rewritten: Option<(u64, Position)>,
    /// Files to be made durable before our manifest takes the place of one of `lsm-db` 1.x.
    pub(crate) relied_on: Option<Vec<FileName>>,
    /// Files that `lsm-db` 1.x may still want until our manifest is in place.
    pub(crate) files_of_1x: Vec<FileName>,
    /// Runs of `lsm-db` 1.x that nothing named, under their old names still.
    pub(crate) unnamed: Vec<(u64, FileName)>,
}

impl Unsettled {
    /// `owed`: `None` if the disk is as it should be, and the log goes on at `log_end`.
    pub(crate) fn new(
        log_options: LogOptions,
        log_end: Option<Position>,
        replayed_ordinal: u64,
        unnamed_runs: usize,
        owed: Option<Owed>,
    ) -> Self {
        let known_end = OnceLock::new();
        if owed.is_none() {
            known_end.get_or_init(|| log_end);
        }
        Self {
            is_owed: AtomicBool::new(owed.is_some()),
            owed: Mutex::new(owed),
            log_options,
            log_end: known_end,
            latest: Mutex::new(None),
            replayed_ordinal,
            unnamed_runs,
        }
    }

    /// Why it could not be settled so far.
    pub(crate) fn error(&self) -> Option<Arc<Error>> {
        locked(&self.latest).clone()
    }

    pub(crate) fn log_options(&self) -> &LogOptions {
        &self.log_options
    }

    /// Where the recovered log ends, once that is settled.
    pub(crate) fn log_end(&self) -> Option<Position> {
        self.log_end.get().copied().flatten()
    }
}

impl Engine {
    /// Starts what an open leaves to the background.
    pub(crate) fn begin(self: &Arc<Self>) {
        // Lack of room, or any other trouble with writing, must not keep the data from being
        // read: whoever writes meets it again.
        let _ = self.settle();
        if self.unsettled.replayed_ordinal > 0 {
            self.schedule_flush();
        }
        self.serve_l0_readers();
        self.schedule_compaction();
    }

    /// Pays what the open owes: see the module. Cheap once that is done.
    pub(crate) fn settle(&self) -> Result<()> {
        if !self.unsettled.is_owed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut owed = locked(&self.unsettled.owed);
        let paid = owed.as_mut().map_or(Ok(()), |owed| self.pay(owed));
        *locked(&self.unsettled.latest) = match &paid {
            Ok(()) => None,
            Err(error) => Some(Arc::new(error.duplicate())),
        };
        paid?;
        *owed = None;
        self.unsettled.is_owed.store(false, Ordering::Release);
        self.run_context.settled.store(true, Ordering::Release);
        Ok(())
    }

    fn pay(&self, owed: &mut Owed) -> Result<()> {
        // Nothing ever names a temporary file, so these may go first, and make room.
        for name in owed.temporaries.drain(..) {
            let _ = self.directory.unlink(&name);
        }
        if owed.unclean {
            match self.write_again(owed) {
                Err(error) if error.is_no_room() && self.drop_unfinished_runs(owed) => {
                    self.write_again(owed)?;
                }
                written => written?,
            }
        } else {
            self.unsettled.log_end.get_or_init(|| owed.log.end);
        }
        self.remove_strays(&mut owed.strays)?;
        // Now, and not in the background: a filter of ours may soon take the name of one of these.
        for name in owed.files_of_1x.drain(..) {
            if self.health.may_unlink() {
                let _ = self.directory.unlink(&name);
            }
        }
        for (id, run) in owed.unnamed.drain(..) {
            if self.health.may_unlink() {
                self.rename_unnamed(id, &run);
            }
        }
        let mut unlinked = std::mem::take(&mut owed.leftovers);
        let obsolete = owed.log.obsolete.iter().chain(owed.log.superseded());
        unlinked.extend(obsolete.map(|id| segment_file_name(*id)));
        self.reaper.post(unlinked);
        Ok(())
    }

    /// Removes them before their ids are given out, and makes that durable before any live run that
    /// one is a copy of can go: come back after a power cut, it would be a run of unknown origin.
    fn remove_strays(&self, strays: &mut Vec<FileName>) -> Result<()> {
        if strays.is_empty() {
            return Ok(());
        }
        self.health.check()?;
        while let Some(stray) = strays.last() {
            match self.directory.unlink(stray) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    let path = self.directory.path_of(stray);
                    return Err(Error::io("remove a leftover", &path, source));
                }
                _ => drop(strays.pop()),
            }
        }
        self.sync_directory()
    }

    /// Makes room where there is none: a run without its end was never named by any manifest,
    /// durable or not, and is what a full disk leaves. Returns whether any was removed.
    fn drop_unfinished_runs(&self, owed: &mut Owed) -> bool {
        let before = owed.leftovers.len();
        owed.leftovers.retain(|name| {
            let unfinished = matches!(has_its_end(&*self.directory, name), Ok(false));
            !(unfinished && self.directory.unlink(name).is_ok())
        });
        owed.leftovers.len() < before
    }

    fn write_again(&self, owed: &mut Owed) -> Result<()> {
        if let Some(relied_on) = &owed.relied_on {
            self.make_durable(relied_on)?;
            owed.relied_on = None;
        }
        {
            let mut manifest = locked(&self.manifest);
            if !manifest.is_durable() {
                self.commit_edit(&mut manifest, VersionEdit::default())?;
            }
        }
        if owed.log.needs_rewrite() && owed.rewritten.is_none() {
            let segment = self.take_segment_id().map_err(|source| {
                Error::io("reserve a log segment in", self.directory.path(), source)
            })?;
            let options = &self.unsettled.log_options;
            let rewritten = owed.log.rewrite_tail(options, segment);
            let end = rewritten.map_err(|error| self.log_failed(error))?;
            owed.rewritten = end.map(|end| (segment, end));
            if let Some(replayed) = &owed.replayed {
                replayed.add_segments([segment]);
            }
        }
        let mut manifest = locked(&self.manifest);
        let bounds = owed
            .log
            .bounds(&manifest.state().log, owed.rewritten.map(|(_, end)| end));
        let edit = VersionEdit {
            log: Some(bounds),
            ..VersionEdit::default()
        };
        self.commit_edit(&mut manifest, edit)?;
        self.unsettled.log_end.get_or_init(|| bounds.end);
        Ok(())
    }

    /// Makes durable what our manifest is going to name. Safe to repeat.
    fn make_durable(&self, relied_on: &[FileName]) -> Result<()> {
        self.health.check()?;
        for name in relied_on {
            let path = self.directory.path_of(name);
            let opened = self.directory.open(name);
            let file = opened.map_err(|source| Error::io("open", &path, source))?;
            match file.sync() {
                // Some platforms sync only what may be written; there 1.x has to be believed.
                Err(source) if source.kind() != io::ErrorKind::PermissionDenied => {
                    let error = Error::io("sync a file of lsm-db 1.x,", &path, source);
                    self.health.poison(&error);
                    return Err(error);
                }
                _ => {}
            }
        }
        self.sync_directory()
    }

    /// Gives an unnamed run a name that says so. The manifest keeps it from being taken for
    /// a leftover under its old one too, so whatever fails here is left to the next open.
    fn rename_unnamed(&self, id: RunId, run: &FileName) {
        for number in 0..UNNAMED_NAMES_MAX {
            let aside = run_unnamed_file_name(id, number);
            match self.directory.kind(&aside) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let _ = self.directory.rename(run, &aside);
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// Ends the log and the manifest with marks that claim all before them, so that the next open
    /// finds everything durable. Refuses to if it would not.
    pub(crate) fn mark_clean(&self) -> Result<()> {
        self.health.check()?;
        self.settle()?;
        let mut committer = self.committer.lock();
        // The leader's lock is held: nothing is written meanwhile.
        if !self.config.wal_enabled() && self.view().holds_writes() {
            return Err(Error::io(
                "close the store cleanly: writes are in memory only",
                self.directory.path(),
                io::ErrorKind::Other.into(),
            ));
        }
        let closed = match committer.log_if_started() {
            Some(log) => log.close().map_err(|error| self.log_failed(error))?,
            None => None,
        };
        let mut manifest = locked(&self.manifest);
        if closed.is_none() && (manifest.state().is_clean() || !manifest.is_durable()) {
            return Ok(());
        }
        let log = closed.map(|end| lsm_wal::LogBounds {
            end: Some(end),
            discarded_through: manifest.state().log.discarded_through.max(end.segment),
            ..manifest.state().log
        });
        let edit = VersionEdit {
            log,
            ceilings: Some(self.ids.next()),
            clean: true,
            ..VersionEdit::default()
        };
        self.commit_edit(&mut manifest, edit)
    }
}

/// Whether the file ends as a run does.
fn has_its_end(directory: &dyn Directory, name: &FileName) -> io::Result<bool> {
    let file = directory.open(name)?;
    let Some(at) = file.len()?.checked_sub(MAGIC.len() as u64) else {
        return Ok(false);
    };
    let mut end = [0; MAGIC.len()];
    file.read_exact_at(&mut end, at)?;
    Ok(end == MAGIC)
}

#[cfg(test)]
mod tests;
