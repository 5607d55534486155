//! Compaction: what the picker chose is merged, written and installed as one edit.
//!
//! Runs on its own lane, one job after another. Inputs stay until the edit is durable; a job that
//! finds a damaged input sets it aside and changes nothing, and other jobs go on.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use lsm_compact::{
    ClaimId, Claims, Elision, Job, JobError, JobKind, JobOutput, Sink, Splitter, edit_for,
    move_edit, pick, pick_range,
};
use lsm_version::{RunId, RunMeta, Version, VersionEdit, run_file_name};

use crate::engine::Engine;
use crate::health::Verdict;
use crate::run::Run;
use crate::run_writer::RunOutput;
use crate::source::Source;
use crate::sync::locked;
use crate::view::Tree;
use crate::{Error, Result, lane};

/// Runs found damaged by a job: never picked again on this handle, and not counted as debt.
#[derive(Debug, Default)]
pub(crate) struct SetAside {
    runs: Mutex<BTreeSet<RunId>>,
    failures_in_a_row: AtomicU32,
}

impl SetAside {
    pub(crate) fn contains(&self, id: RunId) -> bool {
        locked(&self.runs).contains(&id)
    }

    pub(crate) fn len(&self) -> usize {
        locked(&self.runs).len()
    }
}

type Outcome = Arc<Mutex<Option<Result<()>>>>;

impl Engine {
    pub(crate) fn schedule_compaction(self: &Arc<Self>) {
        let engine = Arc::clone(self);
        self.pool.submit(lane::COMPACT, move || {
            engine.guarded(|| engine.compact_next());
        });
    }

    /// Runs one picked job, and comes back for the next.
    fn compact_next(self: &Arc<Self>) {
        if self.is_closing() || self.health.is_poisoned() {
            return;
        }
        let options = &self.picker_options;
        let claimed =
            self.claim_job(|version, claims, set_aside| pick(version, options, claims, set_aside));
        let Some((job, claim)) = claimed else {
            return;
        };
        match self.run_job(&job, claim) {
            Ok(()) => {
                self.set_aside.failures_in_a_row.store(0, Ordering::Relaxed);
                self.schedule_compaction();
            }
            Err(_) if self.is_closing() => {}
            Err(error @ Error::Corruption { .. }) => {
                self.set_inputs_aside(&job, &error);
                self.schedule_compaction();
            }
            Err(error) => {
                let attempts = self
                    .set_aside
                    .failures_in_a_row
                    .fetch_add(1, Ordering::Relaxed)
                    + 1;
                if self.health.background_failed(error, attempts) == Verdict::Retry {
                    let engine = Arc::clone(self);
                    self.pool
                        .submit_after(lane::COMPACT, Self::back_off(attempts), move || {
                            engine.guarded(|| engine.compact_next());
                        });
                }
            }
        }
    }

    /// Chooses a job and claims it, under one lock.
    fn claim_job(
        &self,
        choose: impl FnOnce(&Version, &Claims, &dyn Fn(RunId) -> bool) -> Option<Job>,
    ) -> Option<(Job, ClaimId)> {
        let mut claims = locked(&self.claims);
        let version = Arc::clone(&self.view().tree.version);
        let job = choose(&version, &claims, &|id| self.set_aside.contains(id))?;
        let claim = claims.claim(&job);
        Some((job, claim))
    }

    /// The damaged input, if the error names it; otherwise all of them.
    fn set_inputs_aside(&self, job: &Job, error: &Error) {
        let named = match error {
            Error::Corruption { file, .. } => file.as_ref().and_then(|path| path.file_name()),
            _ => None,
        };
        let is_named =
            |run: &RunMeta| named.is_some_and(|name| name == run_file_name(run.id).as_str());
        let any_named = job.inputs.iter().any(|(_, run)| is_named(run));
        let damaged = job
            .inputs
            .iter()
            .filter(|(_, run)| !any_named || is_named(run));
        locked(&self.set_aside.runs).extend(damaged.map(|(_, run)| run.id));
        self.health.note(error);
        self.note_debt();
    }

    /// Compacts everything in a range to the deepest level that holds any of it.
    pub(crate) fn compact_range(
        self: &Arc<Self>,
        lower: Bound<Vec<u8>>,
        upper: Bound<Vec<u8>>,
    ) -> Result<()> {
        self.flush()?;
        let outcome: Outcome = Arc::default();
        let (engine, answer) = (Arc::clone(self), Arc::clone(&outcome));
        self.pool.submit(lane::COMPACT, move || {
            engine.guarded(|| {
                let result = engine.compact_all_of(&lower, &upper);
                *locked(&answer) = Some(result);
            });
        });
        self.wait_for(|| locked(&outcome).is_some() || self.health.is_poisoned())?;
        let result = locked(&outcome).take();
        result.unwrap_or_else(|| self.health.check())
    }

    fn compact_all_of(
        self: &Arc<Self>,
        lower: &Bound<Vec<u8>>,
        upper: &Bound<Vec<u8>>,
    ) -> Result<()> {
        fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
            bound.as_ref().map(Vec::as_slice)
        }
        loop {
            self.health.check()?;
            let options = &self.picker_options;
            let claimed = self.claim_job(|version, claims, set_aside| {
                let (lower, upper) = (as_slice(lower), as_slice(upper));
                pick_range(version, options, claims, set_aside, lower, upper)
            });
            match claimed {
                Some((job, claim)) => self.run_job(&job, claim)?,
                None => return Ok(()),
            }
        }
    }

    fn run_job(self: &Arc<Self>, job: &Job, claim: ClaimId) -> Result<()> {
        let settled = self.settle();
        let done = settled.and_then(|()| match job.kind {
            JobKind::Move => self.install_job(job, move_edit(job)),
            JobKind::Merge => self.merge(job),
        });
        locked(&self.claims).release(claim);
        done
    }

    fn merge(self: &Arc<Self>, job: &Job) -> Result<()> {
        let tree = Arc::clone(&self.view().tree);
        let mut sink = RunSink {
            engine: self,
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
                installed
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
    ) -> Result<JobOutput<Arc<RunMeta>>> {
        let sources = job_sources(job, tree)?;
        let elision = Elision::new(&tree.version, job);
        let splitter = Splitter::for_job(&tree.version, job, &self.picker_options);
        let stop = || self.is_closing() || self.health.is_poisoned();
        let merged = lsm_compact::run(sources, elision, splitter, sink, &stop);
        let merged = merged.map_err(|error| match error {
            JobError::Source(error) | JobError::Sink(error) => error,
            _ => Error::Io {
                context: "merge runs: the store is closing",
                path: None,
                source: std::io::ErrorKind::Interrupted.into(),
            },
        })?;
        if !merged.outputs.is_empty() {
            self.sync_directory()?;
        }
        Ok(merged)
    }

    fn install_job(&self, job: &Job, edit: VersionEdit) -> Result<()> {
        let kept: BTreeSet<RunId> = edit.added.iter().map(|(_, run)| run.id).collect();
        let mut manifest = locked(&self.manifest);
        self.commit_edit(&mut manifest, edit)?;
        let version = Arc::clone(&manifest.state().version);
        let view = self.view();
        for (_, input) in job.inputs.iter().filter(|(_, run)| !kept.contains(&run.id)) {
            if let Some(run) = view.tree.run(input.id) {
                run.retire();
            }
        }
        drop(view);
        self.change_view(|view| {
            let make = |meta: &Arc<RunMeta>| Run::new(Arc::clone(meta), &self.run_context);
            view.tree = Arc::new(Tree::new(version, Some(&view.tree), make));
        });
        drop(manifest);
        self.note_debt();
        Ok(())
    }
}

/// The job's inputs as cursors, newest first.
fn job_sources(job: &Job, tree: &Tree) -> Result<Vec<Source>> {
    let find = |meta: &RunMeta| {
        tree.run(meta.id).cloned().ok_or_else(|| Error::Io {
            context: "find a run of the job in the tree",
            path: None,
            source: std::io::ErrorKind::NotFound.into(),
        })
    };
    job.sources()
        .map(|inputs| {
            let runs: Result<Arc<[_]>> = inputs.iter().map(|(_, meta)| find(meta)).collect();
            runs.map(Source::level)
        })
        .collect()
}

/// Where a merge's entries go: runs, one after another.
struct RunSink<'e> {
    engine: &'e Engine,
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
                let output = RunOutput::create(self.engine)?;
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
