//! The sticky failure that ends writing, and all waits for background work with it.
//!
//! Set once and never lifted: a failed sync leaves open what is on disk, and only a new recovery
//! can tell. Callers that wait at that moment are told the failure itself; later ones are told
//! that writing has ended. Reads never look here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::tickets::Tickets;
use crate::{Error, Result};

#[derive(Debug, Default)]
pub(crate) struct Health {
    poison: OnceLock<Poison>,
    unlinking_forbidden: AtomicBool,
    /// What callers wait with for the work of this store.
    tickets: Arc<Tickets<Arc<Error>>>,
}

/// What ended writing: as it is told to later callers, and as it was.
#[derive(Debug)]
struct Poison {
    cause: Arc<str>,
    failure: Arc<Error>,
}

impl Health {
    /// Ends writing for good. The first cause stays.
    pub(crate) fn poison(&self, cause: &Error) {
        let first = self.poison.get_or_init(|| Poison {
            cause: cause.in_full().into(),
            failure: Arc::new(cause.duplicate()),
        });
        let later = Error::Poisoned {
            cause: Arc::clone(&first.cause),
        };
        // A ticket that is taken between the two is answered by the end.
        self.tickets
            .end(&Arc::new(cause.duplicate()), Arc::new(later));
    }

    /// Ends writing, and unlinking too: an edit of unknown fate may or may not name a file.
    pub(crate) fn poison_and_keep_files(&self, cause: &Error) {
        self.unlinking_forbidden.store(true, Ordering::SeqCst);
        self.poison(cause);
    }

    /// The tickets that end with the health.
    pub(crate) fn tickets(&self) -> &Arc<Tickets<Arc<Error>>> {
        &self.tickets
    }

    pub(crate) fn may_unlink(&self) -> bool {
        !self.unlinking_forbidden.load(Ordering::SeqCst)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    pub(crate) fn cause(&self) -> Option<Arc<str>> {
        self.poison.get().map(|poison| Arc::clone(&poison.cause))
    }

    /// The answer to a call that began while writing went on: if writing has ended since, then what
    /// ended it.
    pub(crate) fn told_while_it_ran(&self, told: Result<()>) -> Result<()> {
        match (told, self.poison.get()) {
            (Err(Error::Poisoned { .. }), Some(poison)) => Err(poison.failure.duplicate()),
            (told, _) => told,
        }
    }

    /// The error that every write gets once writing has ended.
    pub(crate) fn check(&self) -> Result<()> {
        match self.cause() {
            Some(cause) => Err(Error::Poisoned { cause }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_first_cause_stays_and_is_told_in_full() {
        let health = Health::default();
        let failure = |kind: io::ErrorKind| Error::io("sync", Path::new("wal"), kind.into());
        let waiting = health.tickets().take(1);
        assert!(health.check().is_ok());
        health.poison(&failure(io::ErrorKind::Other));
        health.poison_and_keep_files(&failure(io::ErrorKind::StorageFull));
        assert!(!health.may_unlink());
        match health.check() {
            Err(Error::Poisoned { cause }) => assert_eq!(&*cause, "cannot sync (wal): other error"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            health.told_while_it_ran(health.check()),
            Err(Error::Io {
                context: "sync",
                ..
            })
        ));
        assert!(matches!(
            waiting.wait().map_err(|error| error.duplicate()),
            Err(Error::Io {
                context: "sync",
                ..
            })
        ));
        assert!(matches!(
            health.tickets().take(1).wait().map_err(|error| error.duplicate()),
            Err(Error::Poisoned { cause }) if &*cause == "cannot sync (wal): other error"
        ));
    }
}
