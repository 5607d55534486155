//! Compaction on demand: a range is brought to its final place, while the caller waits.
//!
//! 1. What has to get there is fixed when the call is made: the runs that overlap the range then,
//!    and whatever comes out of jobs that take them in, the policy's own jobs included. Runs that
//!    are flushed later do not count, or a busy store would never be done.
//! 2. One job at a time on the compaction lane, so that the policy's own jobs go on between them.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use lsm_compact::{Job, pick_range};
use lsm_version::RunId;

use crate::compaction::Failure;
use crate::engine::Engine;
use crate::sync::locked;
use crate::tickets::Promise;
use crate::{Error, Result, lane};

type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

#[derive(Debug)]
struct Manual {
    range: KeyRange,
    /// The runs that have to get to their final place.
    wanted: Mutex<BTreeSet<RunId>>,
}

impl Manual {
    fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let (lower, upper) = &self.range;
        (
            lower.as_ref().map(Vec::as_slice),
            upper.as_ref().map(Vec::as_slice),
        )
    }
}

/// The ranges that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Manuals {
    waiting: Mutex<Vec<Arc<Manual>>>,
}

impl Manuals {
    /// `job` was installed, and left the runs `outputs`: what was wanted is now in them.
    pub(crate) fn follow(&self, job: &Job, outputs: &BTreeSet<RunId>) {
        for manual in locked(&self.waiting).iter() {
            let mut wanted = locked(&manual.wanted);
            let inputs = job.inputs.iter();
            let taken = inputs.filter(|(_, run)| wanted.remove(&run.id)).count();
            if taken > 0 {
                wanted.extend(outputs);
            }
        }
    }
}

impl Engine {
    /// Compacts what overlaps a range now to the deepest level that holds any of it.
    pub(crate) fn compact_range(self: &Arc<Self>, range: KeyRange) -> Result<()> {
        self.flush()?;
        let manual = Arc::new(Manual {
            range,
            wanted: Mutex::default(),
        });
        {
            // Listed before it looks: no job can take a run away unseen.
            locked(&self.manuals.waiting).push(Arc::clone(&manual));
            let version = Arc::clone(&self.view().tree.version);
            let overlapping = version
                .runs()
                .filter(|(_, run)| run.overlaps(&manual.bounds()));
            locked(&manual.wanted).extend(overlapping.map(|(_, run)| run.id));
        }
        let (outcome, ticket) = self.tickets.promise(Arc::new(Error::closing(
            "compact a range: the store is closing",
        )));
        self.submit_manual(Arc::clone(&manual), outcome);
        let waited = self.wait(&ticket);
        locked(&self.manuals.waiting).retain(|other| !Arc::ptr_eq(other, &manual));
        waited
    }

    fn submit_manual(self: &Arc<Self>, manual: Arc<Manual>, outcome: Promise<Arc<Error>>) {
        let engine = Arc::clone(self);
        self.pool.submit(lane::COMPACT, move || {
            let mut compacted = None;
            engine.poisoned_by_panic(|| compacted = Some(engine.compact_some_of(&manual)));
            match compacted {
                Some(Ok(true)) => engine.submit_manual(manual, outcome),
                Some(Ok(false)) => outcome.answer(&Ok(())),
                Some(Err(error)) => outcome.answer(&Err(Arc::new(error))),
                // It panicked, and the end that came of that was the answer.
                None => {}
            }
        });
    }

    /// Returns whether there may be more to do.
    fn compact_some_of(self: &Arc<Self>, manual: &Manual) -> Result<bool> {
        self.health.check()?;
        let options = &self.picker_options;
        let (lower, upper) = manual.bounds();
        let is_wanted = |id: RunId| locked(&manual.wanted).contains(&id);
        let claimed = self.claim_job(|version, claims, set_aside| {
            pick_range(
                version, options, claims, set_aside, &is_wanted, lower, upper,
            )
        });
        let Some((job, claim)) = claimed else {
            // A damaged run that stands in the way leaves the work undone: say so.
            let version = Arc::clone(&self.view().tree.version);
            let runs = version.runs().map(|(_, run)| run);
            let overlapping = runs.filter(|run| run.overlaps(&(lower, upper)));
            return match self.set_aside.error_in(overlapping) {
                Some(error) => Err(error.duplicate()),
                None => Ok(false),
            };
        };
        match self.run_job(&job, claim) {
            Ok(()) => Ok(true),
            Err(Failure::Input(error)) if self.is_beyond_reading(&error) => {
                self.set_inputs_aside(&job, error.duplicate());
                Err(error)
            }
            Err(Failure::Input(error) | Failure::Other(error)) => Err(error),
        }
    }
}
