//! A snapshot that a writer holds for long, over flushes, compactions and the others' writes, with a
//! copy of its model; in the end the two are compared whole.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lsm_db::Snapshot;

use super::child::Shared;
use super::meter::Meter;
use super::reads;
use super::upkeep;
use super::verify;
use super::writes::State;
use crate::random::Random;

/// At most so long without one.
const PAUSE_MILLIS_MAX: usize = 8_000;
/// One that is younger when the run ends shows nothing that the reads did not.
const AGE_MIN: Duration = Duration::from_secs(3);
/// One in so many steps reads from it meanwhile.
const PROBE_ONE_IN: usize = 40;

pub(super) struct Held {
    seconds_max: u64,
    kept: Option<(Snapshot, State)>,
    /// When it was taken.
    since: Instant,
    /// When it is let go, or the next one is taken.
    until: Instant,
}

impl Held {
    pub(super) fn new(seconds_max: u64) -> Self {
        Self {
            seconds_max,
            kept: None,
            since: Instant::now(),
            until: Instant::now(),
        }
    }

    /// Takes one, reads from it, or compares it and lets it go, as the time has come.
    pub(super) fn look_after(
        &mut self,
        shared: &Shared,
        state: &State,
        meter: &Meter,
        random: &mut Random,
    ) -> Result<(), String> {
        let is_due = Instant::now() >= self.until;
        match &self.kept {
            Some((snapshot, then)) if !is_due => {
                if !random.one_in(PROBE_ONE_IN) {
                    return Ok(());
                }
                let entries = reads::of_snapshot(snapshot, random, then, &shared.shape);
                let entries = entries.map_err(|message| of(then, &message))?;
                shared.meters.entries.fetch_add(entries, Ordering::Relaxed);
            }
            Some(_) => {
                if random.one_in(4) {
                    upkeep::compact(shared, meter, random)?;
                }
                self.compare(shared, random.one_in(2))?;
                self.until = Instant::now() + millis(random.below(PAUSE_MILLIS_MAX));
            }
            None if is_due => {
                self.kept = Some((shared.db.snapshot(), state.clone()));
                self.since = Instant::now();
                let most = usize::try_from(self.seconds_max).unwrap_or(0) * 1000;
                // Short ones too: most are gone before the next kill.
                let most = 200 + random.below(most.max(1));
                self.until = Instant::now() + millis(random.below(most));
            }
            None => {}
        }
        Ok(())
    }

    /// Compares what is held, when the run ends.
    pub(super) fn let_go(mut self, shared: &Shared) -> Result<(), String> {
        if self.since.elapsed() < AGE_MIN {
            return Ok(());
        }
        self.compare(shared, false)
    }

    fn compare(&mut self, shared: &Shared, is_backward: bool) -> Result<(), String> {
        let Some((snapshot, then)) = self.kept.take() else {
            return Ok(());
        };
        let entries = verify::snapshot(&snapshot, &shared.shape, &then, is_backward);
        let entries = entries.map_err(|message| of(&then, &message))?;
        shared.meters.entries.fetch_add(entries, Ordering::Relaxed);
        shared.meters.snapshots.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn of(then: &State, message: &str) -> String {
    format!(
        "the snapshot taken after operation {}: {message}",
        then.version
    )
}

fn millis(millis: usize) -> Duration {
    Duration::from_millis(millis as u64)
}
