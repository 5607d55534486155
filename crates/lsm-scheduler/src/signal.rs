//! A condition that one part of the engine waits for and another part makes true.
//!
//! The waiter checks its condition under the signal's lock, the notifier takes that lock after
//! the change, so no wake-up is lost. A notifier must hold no lock that a waiter's condition takes.

use std::sync::{Condvar, Mutex, PoisonError};

/// Wakes those who wait for a condition; see [`Pool::wait`](crate::Pool::wait).
#[derive(Debug, Default)]
pub struct Signal {
    lock: Mutex<()>,
    condvar: Condvar,
}

impl Signal {
    /// A signal that nobody waits for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has every waiter check its condition again. Call it after the change, with no lock held
    /// that a condition takes.
    pub fn notify(&self) {
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.condvar.notify_all();
    }

    pub(crate) fn block_until(&self, mut condition: impl FnMut() -> bool) {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !condition() {
            guard = self
                .condvar
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
