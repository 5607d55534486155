//! The first failure of a directory's sync, kept: every later sync of that handle fails as well.
//!
//! Shared by the directories of all file systems. Decides nothing about what was lost.
//!
//! A kernel reports a failed write-back once for each open file. If two threads sync one directory,
//! one is told of the failure and the other may be told Ok, though the failure took the names of
//! both. So a sync runs under a lock of its own, and a failure is final for the handle.

use std::io;
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

/// Whether a sync of the directory has failed.
#[derive(Debug, Default)]
pub(crate) struct SyncLatch {
    failure: Mutex<Option<FirstFailure>>,
}

/// What the first failed sync was told.
#[derive(Debug, Clone, Error)]
#[error("an earlier sync of the directory failed: {message}")]
struct FirstFailure {
    kind: io::ErrorKind,
    message: String,
}

impl SyncLatch {
    /// Does `sync`, unless an earlier one failed. One at a time: a later caller learns first how the
    /// earlier one ended.
    ///
    /// # Errors
    /// The first failure: of `sync` itself, and from then on one of the same kind that tells it.
    pub(crate) fn run(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = &*failure {
            return Err(io::Error::new(first.kind, first.clone()));
        }
        sync().inspect_err(|error| {
            *failure = Some(FirstFailure {
                kind: error.kind(),
                message: error.to_string(),
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told_to_every_later_caller() {
        let latch = SyncLatch::default();
        latch.run(|| Ok(())).unwrap();
        let first = latch.run(|| Err(io::Error::new(io::ErrorKind::StorageFull, "no room")));
        assert_eq!(first.unwrap_err().to_string(), "no room");
        for _ in 0..2 {
            let later = latch.run(|| Ok(())).unwrap_err();
            assert_eq!(later.kind(), io::ErrorKind::StorageFull);
            assert_eq!(
                later.to_string(),
                "an earlier sync of the directory failed: no room"
            );
        }
    }
}
