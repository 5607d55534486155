//! Compaction: what the picker chose is merged, written and installed as one edit.
//!
//! Runs on its own lane, one job after another. Inputs stay until the edit is durable; a job that
//! finds a damaged input sets it aside and changes nothing, and other jobs go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use lsm_compact::{
    ClaimId, Claims, Elision, Job, JobError, JobKind, JobOutput, Sink, Splitter, edit_for,
    move_edit, pick, pick_for_readers,
};
use lsm_version::{RunId, RunMeta, Version, VersionEdit, run_file_name};

use crate::attempts::Attempts;
use crate::engine::Engine;
use crate::run::Run;
use crate::run_blocks::Caching;
use crate::run_writer::RunOutput;
use crate::source::Source;
use crate::sync::locked;
use crate::view::Tree;
use crate::{Error, Result, lane};

/// Runs found damaged by a job: never picked again on this handle, and not counted as debt.
#[derive(Debug, Default)]
pub(crate) struct SetAside {
    runs: Mutex<BTreeMap<RunId, Arc<Error>>>,
}

impl SetAside {
    pub(crate) fn contains(&self, id: RunId) -> bool {
        locked(&self.runs).contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        locked(&self.runs).len()
    }

    /// What was found in one of them, if there is any.
    pub(crate) fn error(&self) -> Option<Arc<Error>> {
        locked(&self.runs).values().next().cloned()
    }

    /// What was found in this one, if it is one of them.
    pub(crate) fn error_of(&self, id: RunId) -> Option<Arc<Error>> {
        locked(&self.runs).get(&id).cloned()
    }
}

/// The keys of a job are its own as long as this is kept. However the job ends, they are given back.
#[derive(Debug)]
pub(crate) struct Claimed<'e> {
    claims: &'e Mutex<Claims>,
    id: ClaimId,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        locked(self.claims).release(self.id);
    }
}

/// Whether the lane is going to choose its next job.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    is_pending: AtomicBool,
}

/// Why a job failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An input could not be read.
    Input(Error),
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Engine {
    fn compactions(&self) -> &Attempts {
        &self.compactions
    }

    /// Has the policy's next job run, unless a retry is going to.
    pub(crate) fn schedule_compaction(self: &Arc<Self>) {
        if !self.compactions.retry_is_pending() {
            self.choose_later();
        }
    }

    /// Has the lane choose what to do next, once for all who ask before it does.
    pub(crate) fn choose_later(self: &Arc<Self>) {
        if self.choice.is_pending.swap(true, Ordering::AcqRel) {
            return;
        }
        let engine = Arc::clone(self);
        self.pool.submit(lane::COMPACT, move || {
            engine.choice.is_pending.store(false, Ordering::Release);
            engine.poisoned_by_panic(|| engine.compact_next());
        });
    }

    /// Has readers ask for a compaction of level 0 when they have spent what it costs.
    pub(crate) fn serve_l0_readers(self: &Arc<Self>) {
        let (engine, pool) = (Arc::downgrade(self), self.pool.clone());
        self.run_context.l0_reads.when_due(move || {
            let engine = Weak::clone(&engine);
            pool.submit(lane::COMPACT, move || {
                // A cursor may be read when the handle is long gone.
                if let Some(engine) = engine.upgrade()
                    && !engine.compactions.retry_is_pending()
                {
                    engine.poisoned_by_panic(|| engine.compact_next());
                }
            });
        });
    }

    /// The job that the policy wants most, beside those that are claimed.
    pub(crate) fn next_job(&self, version: &Version, claims: &Claims) -> Option<Job> {
        let set_aside = |id| self.set_aside.contains(id);
        pick(version, &self.picker_options, claims, &set_aside)
    }

    /// Runs one job, and comes back for the next: by turns one that a caller waits for and one of the
    /// policy, as long as there are both. Any job may have made work for the policy.
    fn compact_next(self: &Arc<Self>) {
        if self.is_closing() || self.health.is_poisoned() {
            return;
        }
        match self.manuals.take_turn() {
            Some(manual) => self.compact_on_demand(&manual),
            None => {
                self.compact_for_policy();
                if !self.manuals.is_empty() {
                    self.choose_later();
                }
            }
        }
    }

    fn compact_for_policy(self: &Arc<Self>) {
        if self.compactions.retry_is_pending() {
            return;
        }
        let claimed = self.claim_job(|version, claims, _| self.next_job(version, claims));
        let Some((job, claim)) = claimed else {
            // Nothing is left to fail, whatever has failed before and was done in another way.
            self.compactions.succeeded();
            return self.compact_for_readers();
        };
        match self.run_job(&job, claim) {
            Ok(()) => {
                self.compactions.succeeded();
                self.schedule_compaction();
            }
            Err(_) if self.is_closing() || self.health.is_poisoned() => {}
            Err(Failure::Input(error)) if self.is_beyond_reading(&error) => {
                self.set_inputs_aside(&job, error);
                self.schedule_compaction();
            }
            Err(Failure::Input(error) | Failure::Other(error)) => {
                let error = Arc::new(error);
                self.retry_later(lane::COMPACT, &error, Self::compactions, Self::compact_next);
            }
        }
    }

    /// Runs the job that readers have paid for, if they have. It would be an improvement and nothing
    /// more, so a failure is no trouble to report, nor is it tried again before they have paid anew.
    fn compact_for_readers(self: &Arc<Self>) {
        let l0_reads = &self.run_context.l0_reads;
        if !l0_reads.is_due() {
            return;
        }
        let options = &self.picker_options;
        let claimed = self.claim_job(|version, claims, set_aside| {
            pick_for_readers(version, options, claims, set_aside)
        });
        let Some((job, claim)) = claimed else {
            return l0_reads.start_over();
        };
        match self.carry_out(&job, claim) {
            Ok(()) => self.schedule_compaction(),
            Err(Failure::Input(error @ Error::Corruption { .. })) => {
                self.set_inputs_aside(&job, error);
                self.schedule_compaction();
            }
            Err(_) => l0_reads.failed(),
        }
    }

    /// Damaged bytes stay damaged; a sector that can't be read is given a few tries. (A run that
    /// is missing is another matter: something is wrong with the store, not with a file.)
    pub(crate) fn is_beyond_reading(&self, error: &Error) -> bool {
        match error {
            Error::Corruption { .. } => true,
            Error::Io { path, source, .. } => {
                path.is_some()
                    && source.kind() != std::io::ErrorKind::NotFound
                    && self.compactions.is_last_attempt()
            }
            _ => false,
        }
    }

    /// Chooses a job and claims it, under one lock.
    pub(crate) fn claim_job(
        &self,
        choose: impl FnOnce(&Version, &Claims, &dyn Fn(RunId) -> bool) -> Option<Job>,
    ) -> Option<(Job, Claimed<'_>)> {
        let mut claims = locked(&self.claims);
        let version = Arc::clone(&self.view().tree.version);
        let job = choose(&version, &claims, &|id| self.set_aside.contains(id))?;
        let claimed = self.claim(&mut claims, &job);
        Some((job, claimed))
    }

    /// Claims the keys of a job, with the lock of the claims, which is let go of before the claim is.
    pub(crate) fn claim(&self, claims: &mut Claims, job: &Job) -> Claimed<'_> {
        Claimed {
            id: claims.claim(job),
            claims: &self.claims,
        }
    }

    /// The damaged input, if the error names it; otherwise all of them.
    pub(crate) fn set_inputs_aside(&self, job: &Job, error: Error) {
        let named = match &error {
            Error::Corruption { file: path, .. } | Error::Io { path, .. } => {
                path.as_ref().and_then(|path| path.file_name())
            }
            _ => None,
        };
        let is_named =
            |run: &RunMeta| named.is_some_and(|name| name == run_file_name(run.id).as_os_str());
        let any_named = job.inputs.iter().any(|(_, run)| is_named(run));
        let damaged = job
            .inputs
            .iter()
            .filter(|(_, run)| !any_named || is_named(run));
        let damaged: Vec<RunId> = damaged.map(|(_, run)| run.id).collect();
        let error = Arc::new(error);
        let damaged = damaged.into_iter().map(|id| (id, Arc::clone(&error)));
        locked(&self.set_aside.runs).extend(damaged);
        self.note_debt();
    }

    /// As [`carry_out`](Self::carry_out), and notes how fast it went, which is how fast writers may go.
    pub(crate) fn run_job(self: &Arc<Self>, job: &Job, claim: Claimed<'_>) -> Result<(), Failure> {
        let start = self.pool.scheduler().now();
        self.carry_out(job, claim)?;
        let took = self.pool.scheduler().now().saturating_sub(start);
        self.throttle.note_job(job.l0_input_bytes(), took);
        Ok(())
    }

    fn carry_out(self: &Arc<Self>, job: &Job, claim: Claimed<'_>) -> Result<(), Failure> {
        let settled = self.settle().map_err(Failure::from);
        let done = settled.and_then(|()| match job.kind {
            JobKind::Move => Ok(self.install_job(job, move_edit(job))?),
            JobKind::Merge => self.merge(job),
        });
        drop(claim);
        if done.is_ok() && job.l0_input_bytes() > 0 {
            self.run_context.l0_reads.done(job);
        }
        done
    }

    fn merge(self: &Arc<Self>, job: &Job) -> Result<(), Failure> {
        let tree = Arc::clone(&self.view().tree);
        let mut sink = RunSink {
            engine: self,
            is_deepest: self.is_deepest(usize::from(job.output_level)),
            current: None,
            created: Vec::new(),
        };
        match self.merge_into(job, &tree, &mut sink) {
            Ok(merged) => {
                let counters = &self.counters;
                let bytes: u64 = merged.outputs.iter().map(|run| run.file_len).sum();
                counters.compacted_bytes.fetch_add(bytes, Ordering::Relaxed);
                counters.compactions.fetch_add(1, Ordering::Relaxed);
                let created = std::mem::take(&mut sink.created);
                let installed = self.install_job(job, edit_for(job, merged.outputs));
                if installed.is_err() {
                    self.discard_runs(&created);
                }
                Ok(installed?)
            }
            Err(error) => {
                self.discard_runs(&sink.created);
                Err(error)
            }
        }
    }

    fn merge_into(
        self: &Arc<Self>,
        job: &Job,
        tree: &Tree,
        sink: &mut RunSink<'_>,
    ) -> Result<JobOutput<Arc<RunMeta>>, Failure> {
        let sources = job_sources(job, tree)?;
        let elision = Elision::new(&tree.version, job);
        let splitter = Splitter::for_job(&tree.version, job, &self.picker_options);
        let stop = || self.is_closing() || self.health.is_poisoned();
        let merged = lsm_compact::run(sources, elision, splitter, sink, &stop);
        let merged = merged.map_err(|error| match error {
            JobError::Source(error) => Failure::Input(error),
            JobError::Sink(error) => Failure::Other(error),
            _ => Failure::Other(Error::closing("merge runs: the store is closing")),
        })?;
        if !merged.outputs.is_empty() {
            self.sync_directory()?;
        }
        Ok(merged)
    }

    fn install_job(&self, job: &Job, edit: VersionEdit) -> Result<()> {
        let added = edit.added.clone();
        let kept: BTreeSet<RunId> = added.iter().map(|(_, run)| run.id).collect();
        let mut manifest = locked(&self.manifest);
        self.commit_edit(&mut manifest, edit)?;
        let old = Arc::clone(&self.view().tree);
        let tree = self.next_tree(&manifest);
        let mut cached_bytes = 0;
        for run in inputs_in(job, &old).flatten() {
            if !kept.contains(&run.meta().id) {
                cached_bytes += run.cached_bytes();
                run.retire();
            }
        }
        self.manuals.follow(&manifest, job);
        self.change_view(|view| view.tree = Arc::clone(&tree));
        drop(manifest);
        self.note_debt();
        if cached_bytes > job.input_bytes() / 2 {
            let outputs = added.iter();
            outputs
                .filter_map(|(level, output)| tree.run(usize::from(*level), output))
                .for_each(Run::warm_up);
        }
        Ok(())
    }
}

/// The job's inputs in a tree, each in one step, as they stand in the order of their levels; `None` for
/// one that is not there.
pub(crate) fn inputs_in<'t>(
    job: &'t Job,
    tree: &'t Tree,
) -> impl Iterator<Item = Option<&'t Arc<Run>>> {
    let mut level_zero = tree.level_zero().iter();
    job.inputs.iter().map(move |(level, meta)| match level {
        0 => level_zero.find(|run| run.meta().id == meta.id),
        _ => tree.run(usize::from(*level), meta),
    })
}

/// The job's inputs as cursors, newest first.
pub(crate) fn job_sources(job: &Job, tree: &Tree) -> Result<Vec<Source>> {
    let missing = || Error::Io {
        context: "find a run of the job in the tree",
        path: None,
        source: std::io::ErrorKind::NotFound.into(),
    };
    let mut inputs = inputs_in(job, tree).map(|run| run.cloned().ok_or_else(missing));
    job.sources()
        .map(|source| {
            let runs: Result<Arc<[_]>> = inputs.by_ref().take(source.len()).collect();
            runs.map(|runs| Source::level(runs, Caching::Bypass))
        })
        .collect()
}

/// Where a merge's entries go: runs, one after another.
struct RunSink<'e> {
    engine: &'e Engine,
    is_deepest: bool,
    current: Option<RunOutput>,
    created: Vec<RunId>,
}

impl Sink for RunSink<'_> {
    type Output = Arc<RunMeta>;
    type Error = Error;

    fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let output = match &mut self.current {
            Some(output) => output,
            empty => {
                let output = RunOutput::create(self.engine, self.is_deepest)?;
                self.created.push(output.id());
                empty.insert(output)
            }
        };
        output.push(key, value)
    }

    fn output_bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, RunOutput::bytes)
    }

    fn finish_output(&mut self) -> Result<Option<Arc<RunMeta>>> {
        match self.current.take() {
            Some(mut output) => output.finish().map(Some),
            None => Ok(None),
        }
    }
}
