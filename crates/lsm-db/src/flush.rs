//! Flush: a sealed memtable becomes a run of level 0.
//!
//! Runs on its own lane, oldest memtable first, so that runs enter the version in the order of
//! seals. The run and its name are durable before the edit that names it; the log segments go
//! only after that edit is durable.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use lsm_compact::Cursor;
use lsm_version::{LEGACY_LOG_FILE_NAME, RunMeta, VersionEdit};
use lsm_wal::{LogBounds, segment_file_name};

use crate::attempts::Attempts;
use crate::commit::Request;
use crate::engine::Engine;
use crate::run_writer::RunOutput;
use crate::source::Source;
use crate::sync::locked;
use crate::view::{LoggedMemtable, ReadView};
use crate::{Error, Result, lane};

/// What a failed flush leaves to the next.
#[derive(Debug, Default)]
pub(crate) struct FlushProgress {
    /// A run that was written for the memtable with this ordinal, but not yet installed.
    written: Mutex<Option<(u64, Arc<RunMeta>)>>,
    pub(crate) attempts: Attempts,
}

impl FlushProgress {
    fn take_written(&self, ordinal: u64) -> Option<Arc<RunMeta>> {
        let written = locked(&self.written).take()?;
        (written.0 == ordinal).then_some(written.1)
    }
}

impl Engine {
    /// Seals what is in memory and returns once its run is in the durable manifest.
    pub(crate) fn flush(self: &Arc<Self>) -> Result<()> {
        // Also with nothing to flush: Ok means that what was written can be recovered.
        self.health.check()?;
        // The attempt may end before its ticket is taken: the caller waits all the same.
        self.health.told_while_it_ran(self.seal_and_wait())
    }

    fn seal_and_wait(self: &Arc<Self>) -> Result<()> {
        self.settle()?;
        self.commit(Request::Seal)?;
        let Some(target) = self.view().sealed.first().map(|logged| logged.ordinal) else {
            return Ok(());
        };
        self.wait_for_flush(target)
    }

    /// Waits for the flush of the memtable with ordinal `target`, and of those before it. The first
    /// attempt at any of them that fails is the answer.
    pub(crate) fn wait_for_flush(self: &Arc<Self>, target: u64) -> Result<()> {
        // The ticket first: the attempt that is asked for must find it.
        let ticket = self.tickets.take(target);
        if ticket.answer().is_none() {
            self.submit_flush();
        }
        self.wait(&ticket)
    }

    /// Has the oldest sealed memtable flushed, unless a retry is going to.
    pub(crate) fn schedule_flush(self: &Arc<Self>) {
        if !self.flushes.attempts.retry_is_pending() {
            self.submit_flush();
        }
    }

    fn flush_attempts(&self) -> &Attempts {
        &self.flushes.attempts
    }

    fn submit_flush(self: &Arc<Self>) {
        let engine = Arc::clone(self);
        self.pool.submit(lane::FLUSH, move || {
            engine.poisoned_by_panic(|| engine.flush_oldest());
        });
    }

    fn flush_oldest(self: &Arc<Self>) {
        let oldest = self.view().sealed.last().cloned();
        let Some(oldest) = oldest else {
            return;
        };
        // Either has answered all tickets, or is about to.
        if self.is_closing() || self.health.is_poisoned() {
            return;
        }
        match self.flush_one(&oldest) {
            Ok(()) => {
                // What is told of failures first: a caller that is answered finds them over.
                self.flushes.attempts.succeeded();
                self.tickets.succeeded(oldest.ordinal);
                self.schedule_compaction();
                if !self.view().sealed.is_empty() {
                    self.schedule_flush();
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                self.retry_later(
                    lane::FLUSH,
                    &error,
                    Self::flush_attempts,
                    Self::flush_oldest,
                );
                self.tickets.failed(oldest.ordinal, &error);
            }
        }
    }

    fn flush_one(self: &Arc<Self>, logged: &Arc<LoggedMemtable>) -> Result<()> {
        self.settle()?;
        let run = match self.flushes.take_written(logged.ordinal) {
            Some(run) => run,
            None => self.write_memtable(logged)?,
        };
        if let Err(error) = self.install_flush(logged, &run) {
            // The run is whole and durable: only the edit has to be tried again.
            *locked(&self.flushes.written) = Some((logged.ordinal, run));
            return Err(error);
        }
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes the newest version of each key; the run and its name are durable on return.
    fn write_memtable(&self, logged: &Arc<LoggedMemtable>) -> Result<Arc<RunMeta>> {
        let mut output = RunOutput::create(self, false)?;
        let written = self
            .write_entries(logged, &mut output)
            .and_then(|()| output.finish())
            .and_then(|meta| self.sync_directory().map(|()| meta));
        match &written {
            Ok(meta) => {
                self.counters
                    .flushed_bytes
                    .fetch_add(meta.file_len, Ordering::Relaxed);
            }
            Err(_) => self.discard_runs(&[output.id()]),
        }
        written
    }

    fn write_entries(&self, logged: &Arc<LoggedMemtable>, output: &mut RunOutput) -> Result<()> {
        let mut cursor = Source::Memtable(logged.memtable.cursor(u64::MAX));
        cursor.seek_first()?;
        while let Some(key) = cursor.key() {
            output.push(key, cursor.value())?;
            cursor.next()?;
        }
        Ok(())
    }

    /// The edit, then the view, then the log.
    fn install_flush(&self, logged: &Arc<LoggedMemtable>, run: &Arc<RunMeta>) -> Result<()> {
        self.check_legacy_log(logged)?;
        let segments = logged.retired_segments();
        let mut manifest = locked(&self.manifest);
        let log = segments.last().map(|last| {
            let view = self.view();
            LogBounds {
                retired_below: last + 1,
                floor: next_newer(&view, logged).first_segment(),
                ..manifest.state().log
            }
        });
        let edit = VersionEdit {
            added: vec![(0, Arc::clone(run))],
            log,
            flushed_seqno: Some(logged.last_seqno()),
            ..VersionEdit::default()
        };
        self.commit_edit(&mut manifest, edit)?;
        let tree = self.next_tree(&manifest);
        self.change_view(|view| {
            view.sealed
                .retain(|sealed| sealed.ordinal != logged.ordinal);
            view.tree = tree;
        });
        drop(manifest);
        if let Some(last) = segments.last() {
            self.log_retired_below.store(last + 1, Ordering::Release);
        }
        self.note_debt();
        let segments = segments.iter().map(|id| segment_file_name(*id));
        let legacy_log = logged.legacy_log_len();
        let legacy_log = legacy_log.map(|_| LEGACY_LOG_FILE_NAME);
        let retired = segments.chain(legacy_log);
        self.reaper.post(retired.collect());
        Ok(())
    }

    /// A log of `lsm-db` 1.x that has grown since it was read holds what nobody has seen: it stays.
    /// One that is gone keeps nothing from being flushed: what it held is in memory, and nowhere else.
    fn check_legacy_log(&self, logged: &LoggedMemtable) -> Result<()> {
        let Some(len) = logged.legacy_log_len() else {
            return Ok(());
        };
        let path = self.directory.path_of(&LEGACY_LOG_FILE_NAME);
        match self.directory.file_len(&LEGACY_LOG_FILE_NAME) {
            Ok(now) if now > len => {
                let reason = "the log of lsm-db 1.x grows: a process of 1.x has it open";
                Err(Error::corrupt_file(reason, &path))
            }
            Ok(_) => Ok(()),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::io("look at", &path, source)),
        }
    }

    /// Makes names durable. A failure is final: it may have taken the names of others with it,
    /// a log segment's among them.
    pub(crate) fn sync_directory(&self) -> Result<()> {
        let synced = self.directory.sync();
        synced.map_err(|source| {
            let error = Error::io("sync the directory", self.directory.path(), source);
            self.health.poison(&error);
            error
        })
    }
}

/// The memtable that was started when `logged` was sealed.
fn next_newer(view: &ReadView, logged: &LoggedMemtable) -> Arc<LoggedMemtable> {
    let newer = view.sealed.iter().rev();
    let mut newer = newer.filter(|sealed| sealed.ordinal > logged.ordinal);
    Arc::clone(newer.next().unwrap_or(&view.active))
}
