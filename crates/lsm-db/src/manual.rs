//! Compaction on demand: a range is brought to its final place, while the caller waits.
//!
//! 1. What a call owes is fixed when it is made, and only shrinks: see [`Owed`]. Runs that are flushed
//!    later do not count, or a busy store would never be done.
//! 2. The books are changed only with the manifest's lock held: made, looked at beside the version to
//!    choose a step, and told of each job in the critical section that installs it, whoever asked for it.
//! 3. One step at a time on the compaction lane, by turns with the policy's jobs. So the lane makes
//!    its next choice after each, and the policy's next job is never left behind.
//! 4. A call leaves the books with its answer, whatever that is.
//! 5. `Ok` is answered when what was replaced has been unlinked, or is held by a reader's view.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use lsm_compact::{Cursor, Job, Owed, OwedStep, pick_owed};
use lsm_version::Manifest;

use crate::compaction::{Claimed, Failure, inputs_in, job_sources};
use crate::engine::Engine;
use crate::sync::locked;
use crate::tickets::Promise;
use crate::{Error, Result};

type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// What a call is told that a close came before.
const CLOSING: &str = "compact a range: the store is closing";

/// How many entries of a run are read between two looks at whether the store is closing.
const ENTRIES_BETWEEN_STOPS: u64 = 4096;

/// A range that a caller waits for.
#[derive(Debug)]
pub(crate) struct Manual {
    owed: Mutex<Owed>,
    outcome: Promise<Arc<Error>>,
}

/// The ranges that callers wait for.
#[derive(Debug, Default)]
pub(crate) struct Manuals {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// The one whose turn comes next first.
    waiting: VecDeque<Arc<Manual>>,
    is_policys_turn: bool,
}

impl Manuals {
    /// Owes what the manifest's version holds of a range.
    fn begin(
        &self,
        manifest: &MutexGuard<'_, Manifest>,
        range: &KeyRange,
        outcome: Promise<Arc<Error>>,
    ) -> Arc<Manual> {
        let (lower, upper) = range;
        let (lower, upper) = (lower.as_ref(), upper.as_ref());
        let (lower, upper) = (lower.map(Vec::as_slice), upper.map(Vec::as_slice));
        let manual = Arc::new(Manual {
            owed: Mutex::new(Owed::new(&manifest.state().version, lower, upper)),
            outcome,
        });
        locked(&self.queue).waiting.push_back(Arc::clone(&manual));
        manual
    }

    fn end(&self, manual: &Arc<Manual>) {
        let mut queue = locked(&self.queue);
        queue.waiting.retain(|other| !Arc::ptr_eq(other, manual));
    }

    pub(crate) fn is_empty(&self) -> bool {
        locked(&self.queue).waiting.is_empty()
    }

    /// Whether its books are still kept.
    fn has(&self, manual: &Manual) -> bool {
        let queue = locked(&self.queue);
        queue
            .waiting
            .iter()
            .any(|other| std::ptr::eq(&**other, manual))
    }

    /// The range whose turn it is; `None` if it is the policy's.
    pub(crate) fn take_turn(&self) -> Option<Arc<Manual>> {
        let mut queue = locked(&self.queue);
        queue.is_policys_turn = !queue.is_policys_turn && !queue.waiting.is_empty();
        if !queue.is_policys_turn {
            return None;
        }
        let first = queue.waiting.pop_front()?;
        queue.waiting.push_back(Arc::clone(&first));
        Some(first)
    }

    /// `job` was installed, and what it took down is not owed any more.
    pub(crate) fn follow(&self, manifest: &MutexGuard<'_, Manifest>, job: &Job) {
        let version = &manifest.state().version;
        for manual in &locked(&self.queue).waiting {
            locked(&manual.owed).follow(job, version);
        }
    }
}

impl Engine {
    /// Compacts what overlaps a range now to the deepest level that holds any of it.
    pub(crate) fn compact_range(self: &Arc<Self>, range: &KeyRange) -> Result<()> {
        self.flush()?;
        let closing = Arc::new(Error::closing(CLOSING));
        let (outcome, ticket) = self.tickets.promise(closing);
        let manual = self.manuals.begin(&locked(&self.manifest), range, outcome);
        self.choose_later();
        let waited = self.wait(&ticket);
        self.manuals.end(&manual);
        waited
    }

    /// Takes the next step for a caller.
    pub(crate) fn compact_on_demand(self: &Arc<Self>, manual: &Arc<Manual>) {
        let (step, claim) = self.claim_step(manual);
        let done = match (step, claim) {
            (OwedStep::Job(job), Some(claim)) => self.run_owed(manual, &job, claim),
            (OwedStep::Check(job), Some(claim)) => self.check_owed(&job, claim),
            (OwedStep::Blocked(id), _) => Err(self.set_aside.error_of(id).map_or_else(
                || Error::corrupt_file("set aside", &self.run_context.run_path(id)),
                |error| error.duplicate(),
            )),
            (OwedStep::Done, _) => {
                self.manuals.end(manual);
                let manual = Arc::clone(manual);
                self.reaper
                    .after_all(move || manual.outcome.answer(&Ok(())));
                Ok(())
            }
            // The job in the way has the lane choose again when it ends.
            _ => return,
        };
        if let Err(error) = done {
            self.manuals.end(manual);
            manual.outcome.answer(&Err(Arc::new(error)));
        }
        self.choose_later();
    }

    /// Chooses the next step and claims it. Keys that need none are discharged by looking at the version,
    /// so that must not change meanwhile.
    fn claim_step(&self, manual: &Manual) -> (OwedStep, Option<Claimed<'_>>) {
        let manifest = locked(&self.manifest);
        let mut claims = locked(&self.claims);
        let version = &manifest.state().version;
        let set_aside = |id| self.set_aside.contains(id);
        let mut owed = locked(&manual.owed);
        let step = pick_owed(
            version,
            &self.picker_options,
            &claims,
            &set_aside,
            &mut owed,
        );
        let claim = match &step {
            OwedStep::Job(job) | OwedStep::Check(job) => Some(self.claim(&mut claims, job)),
            _ => None,
        };
        (step, claim)
    }

    fn run_owed(self: &Arc<Self>, manual: &Manual, job: &Job, claim: Claimed<'_>) -> Result<()> {
        let before = cfg!(debug_assertions).then(|| locked(&manual.owed).clone());
        let ran = self.run_job(job, claim);
        // If writing has ended meanwhile, the caller was told so, and its books are closed.
        debug_assert!(
            ran.is_err()
                || before.as_ref() != Some(&locked(&manual.owed))
                || !self.manuals.has(manual),
            "a job on demand discharged nothing: {job:?}"
        );
        ran.map_err(|failure| self.failed_on_demand(job, failure))
    }

    /// Reads runs that stay as they are, so that damage in them is found as a merge would.
    fn check_owed(&self, job: &Job, claim: Claimed<'_>) -> Result<()> {
        let checked = self.read_through(job);
        if checked.is_ok() {
            let manifest = locked(&self.manifest);
            self.manuals.follow(&manifest, job);
        }
        drop(claim);
        checked.map_err(|failure| self.failed_on_demand(job, failure))
    }

    fn read_through(&self, job: &Job) -> Result<(), Failure> {
        let tree = Arc::clone(&self.view().tree);
        for run in inputs_in(job, &tree).flatten() {
            self.stop_if_closing()?;
            run.check_frame().map_err(Failure::Input)?;
        }
        let mut entry_count = 0_u64;
        for mut source in job_sources(job, &tree)? {
            source.seek_first().map_err(Failure::Input)?;
            while source.is_positioned() {
                entry_count += 1;
                if entry_count.is_multiple_of(ENTRIES_BETWEEN_STOPS) {
                    self.stop_if_closing()?;
                }
                source.next().map_err(Failure::Input)?;
            }
        }
        Ok(())
    }

    fn stop_if_closing(&self) -> Result<()> {
        match self.is_closing() {
            true => Err(Error::closing(CLOSING)),
            false => Ok(()),
        }
    }

    /// The caller's answer to a job of its own that failed. What can't be read is set aside, as by any
    /// job.
    fn failed_on_demand(&self, job: &Job, failure: Failure) -> Error {
        match failure {
            Failure::Input(error) => {
                if self.is_beyond_reading(&error) {
                    self.set_inputs_aside(job, error.duplicate());
                }
                error
            }
            Failure::Other(error) => error,
        }
    }
}
