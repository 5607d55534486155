//! The failures of one lane of background work, and when it tries again.
//!
//! 1. At most one retry is pending. Requests that come meanwhile add none; one that somebody waits
//!    for may run early, and then counts for nothing but its own answer.
//! 2. Only attempts that waited their back-off count towards giving up, and lack of room never
//!    does: it ends by itself when room is made.

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
}

#[derive(Debug, Default)]
struct State {
    failures: u64,
    in_a_row: u32,
    retry_pending: bool,
    latest: Option<Arc<Error>>,
    unreported: bool,
}

/// What follows a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// A retry is pending already.
    Nothing,
    RetryAfter(Duration),
    GiveUp,
}

impl Attempts {
    pub(crate) fn retry_is_pending(&self) -> bool {
        locked(&self.state).retry_pending
    }

    /// The pending retry starts now.
    pub(crate) fn begin_retry(&self) {
        locked(&self.state).retry_pending = false;
    }

    pub(crate) fn succeeded(&self) {
        let mut state = locked(&self.state);
        state.in_a_row = 0;
        state.latest = None;
        state.unreported = false;
    }

    pub(crate) fn failed(&self, error: &Arc<Error>) -> Then {
        let mut state = locked(&self.state);
        state.failures += 1;
        state.latest = Some(Arc::clone(error));
        if state.retry_pending {
            return Then::Nothing;
        }
        if error.is_no_room() {
            // Does not add up, but the pauses grow all the same.
            state.in_a_row = (state.in_a_row + 1).min(ATTEMPTS_MAX - 1);
        } else {
            state.in_a_row += 1;
            state.unreported = true;
        }
        if state.in_a_row >= ATTEMPTS_MAX {
            return Then::GiveUp;
        }
        state.retry_pending = true;
        let doublings = (state.in_a_row - 1).min(BACK_OFF_DOUBLINGS_MAX);
        Then::RetryAfter(BACK_OFF_MIN * (1 << doublings))
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
        let mut state = locked(&self.state);
        std::mem::take(&mut state.unreported)
            .then(|| state.latest.clone())
            .flatten()
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

    #[test]
    fn what_keeps_failing_is_given_up_but_never_for_lack_of_room() {
        let attempts = Attempts::default();
        for _ in 0..1000 {
            let then = attempts.failed(&failure(io::ErrorKind::StorageFull));
            assert!(matches!(then, Then::RetryAfter(_)), "{then:?}");
            attempts.begin_retry();
        }
        attempts.succeeded();
        for _ in 1..ATTEMPTS_MAX {
            let then = attempts.failed(&failure(io::ErrorKind::Other));
            assert!(matches!(then, Then::RetryAfter(_)), "{then:?}");
            attempts.begin_retry();
        }
        assert_eq!(
            attempts.failed(&failure(io::ErrorKind::Other)),
            Then::GiveUp
        );
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        let attempts = Attempts::default();
        let mut pauses = Vec::new();
        while let Then::RetryAfter(pause) = attempts.failed(&failure(io::ErrorKind::Other)) {
            attempts.begin_retry();
            pauses.push(pause);
        }
        assert_eq!(pauses.first(), Some(&BACK_OFF_MIN));
        assert!(pauses.is_sorted());
        assert!(pauses.iter().sum::<Duration>() > Duration::from_secs(10));
        assert!(pauses.last() <= Some(&Duration::from_secs(6)));
    }

    #[test]
    fn attempts_made_while_a_retry_is_pending_neither_multiply_nor_count() {
        let attempts = Attempts::default();
        let first = attempts.failed(&failure(io::ErrorKind::Other));
        assert!(matches!(first, Then::RetryAfter(_)));
        for _ in 0..100 {
            assert_eq!(
                attempts.failed(&failure(io::ErrorKind::Other)),
                Then::Nothing
            );
        }
        attempts.begin_retry();
        let next = attempts.failed(&failure(io::ErrorKind::Other));
        assert_eq!(next, Then::RetryAfter(BACK_OFF_MIN * 2));
    }

    #[test]
    fn a_failure_is_told_to_one_writer_and_not_after_it_is_over() {
        let attempts = Attempts::default();
        attempts.failed(&failure(io::ErrorKind::Other));
        assert!(attempts.take_unreported().is_some());
        assert!(attempts.take_unreported().is_none());
        attempts.begin_retry();
        attempts.failed(&failure(io::ErrorKind::Other));
        attempts.succeeded();
        assert!(attempts.take_unreported().is_none());
        assert!(attempts.latest().is_none());
    }
}
