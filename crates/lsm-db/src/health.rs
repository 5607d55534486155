//! What has gone wrong so far: the sticky failure that ends writing, and what background work
//! last ran into.
//!
//! Poison is set once and never lifted: a failed sync leaves open what is on disk, and only a new
//! recovery can tell. Reads never look here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::sync::locked;
use crate::{Error, Result};

/// After so many failures in a row, background work gives up; lack of room never counts.
const ATTEMPTS_MAX: u32 = 10;

#[derive(Debug, Default)]
pub(crate) struct Health {
    poison: OnceLock<Arc<str>>,
    unlinking_forbidden: AtomicBool,
    background_failures: AtomicU64,
    latest: Mutex<Option<Arc<Error>>>,
    unreported: Mutex<Option<Arc<Error>>>,
}

/// What to do after background work failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Retry,
    GiveUp,
}

impl Health {
    /// Ends writing for good. The first cause stays.
    pub(crate) fn poison(&self, cause: &Error) {
        self.poison.get_or_init(|| cause.in_full().into());
    }

    /// Ends writing, and unlinking too: an edit of unknown fate may or may not name a file.
    pub(crate) fn poison_and_keep_files(&self, cause: &Error) {
        self.unlinking_forbidden.store(true, Ordering::SeqCst);
        self.poison(cause);
    }

    pub(crate) fn may_unlink(&self) -> bool {
        !self.unlinking_forbidden.load(Ordering::SeqCst)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    /// The error that every write gets once writing has ended.
    pub(crate) fn check(&self) -> Result<()> {
        match self.poison.get() {
            Some(cause) => Err(Error::Poisoned {
                cause: Arc::clone(cause),
            }),
            None => Ok(()),
        }
    }

    /// Notes that background work failed for the `attempts`-th time in a row.
    pub(crate) fn background_failed(&self, error: Error, attempts: u32) -> Verdict {
        self.background_failures.fetch_add(1, Ordering::Relaxed);
        let no_room = error.is_no_room();
        let error = Arc::new(error);
        *locked(&self.latest) = Some(Arc::clone(&error));
        if no_room {
            return Verdict::Retry;
        }
        if attempts >= ATTEMPTS_MAX {
            self.poison(&error);
            return Verdict::GiveUp;
        }
        *locked(&self.unreported) = Some(error);
        Verdict::Retry
    }

    /// Keeps an error for the statistics that nobody has to act on.
    pub(crate) fn note(&self, error: &Error) {
        self.background_failures.fetch_add(1, Ordering::Relaxed);
        *locked(&self.latest) = Some(Arc::new(error.duplicate()));
    }

    /// Background work succeeded again: the next writer need not hear of what is over.
    pub(crate) fn background_recovered(&self) {
        *locked(&self.latest) = None;
        *locked(&self.unreported) = None;
    }

    /// The failure that no writer has been told of yet; it is told once.
    pub(crate) fn take_unreported(&self) -> Result<()> {
        match locked(&self.unreported).take() {
            Some(error) => Err(error.duplicate()),
            None => Ok(()),
        }
    }

    /// The failure that background work is retrying after, if it is.
    pub(crate) fn latest(&self) -> Option<Arc<Error>> {
        locked(&self.latest).clone()
    }

    pub(crate) fn background_failure_count(&self) -> u64 {
        self.background_failures.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;

    fn failure(kind: io::ErrorKind) -> Error {
        Error::io("write the run", Path::new("run"), kind.into())
    }

    #[test]
    fn background_work_that_keeps_failing_poisons_but_never_for_lack_of_room() {
        let health = Health::default();
        for attempt in 1..1000 {
            let verdict = health.background_failed(failure(io::ErrorKind::StorageFull), attempt);
            assert_eq!(verdict, Verdict::Retry);
        }
        assert!(health.check().is_ok());
        for attempt in 1..ATTEMPTS_MAX {
            let verdict = health.background_failed(failure(io::ErrorKind::Other), attempt);
            assert_eq!(verdict, Verdict::Retry);
        }
        let last = health.background_failed(failure(io::ErrorKind::Other), ATTEMPTS_MAX);
        assert_eq!(last, Verdict::GiveUp);
        assert!(matches!(health.check(), Err(Error::Poisoned { .. })));
    }

    #[test]
    fn a_background_failure_is_told_to_one_writer_and_not_after_it_is_over() {
        let health = Health::default();
        health.background_failed(failure(io::ErrorKind::Other), 1);
        assert!(health.take_unreported().is_err());
        assert!(health.take_unreported().is_ok());
        health.background_failed(failure(io::ErrorKind::Other), 2);
        health.background_recovered();
        assert!(health.take_unreported().is_ok());
        assert!(health.latest().is_none());
    }
}
