//! The failures of one lane of background work, and when it tries again.
//!
//! 1. At most one retry is pending. Requests that come meanwhile add none; one that somebody waits
//!    for may run early, and then counts for nothing but its own answer.
//! 2. A success ends the pause: what is left to do starts at once.
//! 3. Only attempts that waited their back-off count towards giving up, and lack of room never
//!    does: it ends by itself when room is made.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::Error;
use crate::sync::locked;

/// After so many failures in a row, each after its back-off, the store gives up (in about 20 s).
const ATTEMPTS_MAX: u32 = 12;

const BACK_OFF_MIN: Duration = Duration::from_millis(10);
const BACK_OFF_DOUBLINGS_MAX: u32 = 9;

#[derive(Debug, Default)]
pub(crate) struct Attempts {
    state: Mutex<State>,
    /// Changed under the state's lock; read without, because every writer asks.
    is_unreported: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    failures: u64,
    /// Since the last success: what the pauses grow with.
    in_a_row: u32,
    /// Those of them that count towards giving up.
    counted: u32,
    /// The retry that is pending, by number; one that is not pending any more does nothing.
    pending: Option<u64>,
    retries: u64,
    latest: Option<Arc<Error>>,
    /// The failure that no writer has been told of; that it is there is told by the flag above.
    unreported: Option<Arc<Error>>,
}

/// What follows a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// A retry is pending already.
    Nothing,
    RetryAfter(Duration, Retry),
    GiveUp,
}

/// A retry that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry(u64);

impl Attempts {
    pub(crate) fn retry_is_pending(&self) -> bool {
        locked(&self.state).pending.is_some()
    }

    /// The retry's time has come: whether it is still wanted.
    pub(crate) fn begin(&self, retry: Retry) -> bool {
        let mut state = locked(&self.state);
        let wanted = state.pending == Some(retry.0);
        if wanted {
            state.pending = None;
        }
        wanted
    }

    pub(crate) fn succeeded(&self) {
        let mut state = locked(&self.state);
        state.in_a_row = 0;
        state.counted = 0;
        // Work goes on at once, not when the pause of what is over ends.
        state.pending = None;
        state.latest = None;
        state.unreported = None;
        self.is_unreported.store(false, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, error: &Arc<Error>) -> Then {
        let mut state = locked(&self.state);
        state.failures += 1;
        state.latest = Some(Arc::clone(error));
        if state.pending.is_some() {
            return Then::Nothing;
        }
        state.in_a_row = state.in_a_row.saturating_add(1);
        if !error.is_no_room() {
            state.counted += 1;
            state.unreported = Some(Arc::clone(error));
            self.is_unreported.store(true, Ordering::Relaxed);
        }
        if state.counted >= ATTEMPTS_MAX {
            return Then::GiveUp;
        }
        state.retries += 1;
        state.pending = Some(state.retries);
        let doublings = (state.in_a_row - 1).min(BACK_OFF_DOUBLINGS_MAX);
        Then::RetryAfter(BACK_OFF_MIN * (1 << doublings), Retry(state.retries))
    }

    /// Whether the next failure that counts is one too many.
    pub(crate) fn is_last_attempt(&self) -> bool {
        locked(&self.state).counted + 1 >= ATTEMPTS_MAX
    }

    pub(crate) fn failure_count(&self) -> u64 {
        locked(&self.state).failures
    }

    /// What the last attempt failed with; `None` after one that succeeded.
    pub(crate) fn latest(&self) -> Option<Arc<Error>> {
        locked(&self.state).latest.clone()
    }

    /// The failure that no writer has been told of yet; it is told once.
    pub(crate) fn take_unreported(&self) -> Option<Arc<Error>> {
        if !self.is_unreported.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = locked(&self.state);
        self.is_unreported.store(false, Ordering::Relaxed);
        state.unreported.take()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;

    fn failure(kind: io::ErrorKind) -> Arc<Error> {
        Arc::new(Error::io("write a run", Path::new("run"), kind.into()))
    }

    /// Waits for the retry that a failure led to; `None` if it was given up.
    fn fail_and_wait(attempts: &Attempts, kind: io::ErrorKind) -> Option<Duration> {
        match attempts.failed(&failure(kind)) {
            Then::RetryAfter(pause, retry) => attempts.begin(retry).then_some(pause),
            Then::GiveUp => None,
            Then::Nothing => panic!("no retry was pending"),
        }
    }

    #[test]
    fn what_keeps_failing_is_given_up_but_never_for_lack_of_room() {
        let attempts = Attempts::default();
        for _ in 0..1000 {
            assert!(fail_and_wait(&attempts, io::ErrorKind::StorageFull).is_some());
        }
        // However long there was no room: that does not count for what comes after it.
        for _ in 1..ATTEMPTS_MAX {
            assert!(fail_and_wait(&attempts, io::ErrorKind::Other).is_some());
        }
        assert_eq!(
            attempts.failed(&failure(io::ErrorKind::Other)),
            Then::GiveUp
        );
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        let attempts = Attempts::default();
        let pauses: Vec<Duration> =
            std::iter::from_fn(|| fail_and_wait(&attempts, io::ErrorKind::Other)).collect();
        assert_eq!(pauses.first(), Some(&BACK_OFF_MIN));
        assert_eq!(pauses.get(1), Some(&(BACK_OFF_MIN * 2)));
        assert!(pauses.is_sorted());
        assert!(pauses.iter().sum::<Duration>() > Duration::from_secs(10));
        assert!(pauses.last() <= Some(&Duration::from_secs(6)));
    }

    #[test]
    fn attempts_made_while_a_retry_is_pending_neither_multiply_nor_count() {
        let attempts = Attempts::default();
        let first = attempts.failed(&failure(io::ErrorKind::Other));
        assert!(matches!(first, Then::RetryAfter(..)));
        for _ in 0..100 {
            let then = attempts.failed(&failure(io::ErrorKind::Other));
            assert_eq!(then, Then::Nothing);
        }
    }

    #[test]
    fn a_success_ends_the_pause_and_the_stale_retry_does_nothing() {
        let attempts = Attempts::default();
        let Then::RetryAfter(_, stale) = attempts.failed(&failure(io::ErrorKind::StorageFull))
        else {
            panic!("a retry follows");
        };
        attempts.succeeded();
        assert!(!attempts.retry_is_pending());
        let Then::RetryAfter(pause, fresh) = attempts.failed(&failure(io::ErrorKind::StorageFull))
        else {
            panic!("a retry follows");
        };
        assert_eq!(pause, BACK_OFF_MIN);
        assert!(!attempts.begin(stale));
        assert!(attempts.retry_is_pending());
        assert!(attempts.begin(fresh));
    }

    #[test]
    fn a_failure_is_told_to_one_writer_and_not_after_it_is_over() {
        let attempts = Attempts::default();
        assert!(fail_and_wait(&attempts, io::ErrorKind::Other).is_some());
        assert!(attempts.take_unreported().is_some());
        assert!(attempts.take_unreported().is_none());
        assert!(fail_and_wait(&attempts, io::ErrorKind::Other).is_some());
        attempts.succeeded();
        assert!(attempts.take_unreported().is_none());
        assert!(attempts.latest().is_none());
    }

    /// A lack of room is nothing to tell a writer of. It took the place of a failure that was, and
    /// the writer was told of the one for the other.
    #[test]
    fn a_writer_is_told_of_the_failure_that_counts_and_not_of_the_latest() {
        let attempts = Attempts::default();
        assert!(fail_and_wait(&attempts, io::ErrorKind::Other).is_some());
        assert!(fail_and_wait(&attempts, io::ErrorKind::StorageFull).is_some());
        let told = attempts.take_unreported();
        assert!(told.is_some_and(|error| !error.is_no_room()));
        assert!(attempts.latest().is_some_and(|error| error.is_no_room()));
    }
}
