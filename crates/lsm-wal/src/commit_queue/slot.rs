//! Where one submitter waits for its answer, and what an enqueuer holds instead.
//!
//! Used by the queue, which fills each slot once with an answer, and with leadership before if its
//! owner can lead. A slot's lock is never held while another is taken.

use std::fmt;
use std::sync::Arc;

use super::Abandoned;
use crate::sync::{StdSync, SyncShim};

/// Where one item's owner waits for the answer, alone.
pub(super) struct Slot<R, S: SyncShim> {
    answer: S::Mutex<Answer<R>>,
    wake: S::Condvar,
}

pub(super) enum Answer<R> {
    /// `is_waited_for`: the owner sleeps until it is woken. To wake somebody costs a system call, and
    /// a leader that answers itself sleeps never.
    Pending {
        is_waited_for: bool,
    },
    /// The owner has been made the leader and must act.
    Lead,
    Ready(Result<R, Abandoned>),
    Taken,
}

impl<R> Answer<R> {
    const PENDING: Self = Self::Pending {
        is_waited_for: false,
    };
}

impl<R, S: SyncShim> Slot<R, S> {
    pub(super) fn new() -> Self {
        Self {
            answer: S::mutex(Answer::PENDING),
            wake: S::condvar(),
        }
    }

    pub(super) fn lock(&self) -> S::Guard<'_, Answer<R>> {
        S::lock(&self.answer)
    }

    pub(super) fn put(&self, answer: Answer<R>) {
        let before = std::mem::replace(&mut *self.lock(), answer);
        if matches!(
            before,
            Answer::Pending {
                is_waited_for: true
            }
        ) {
            S::notify_one(&self.wake);
        }
    }

    /// Waits for the answer (`Some`) or for leadership (`None`): if that is expected `soon`, awake at
    /// first.
    pub(super) fn wait(&self, soon: bool) -> Option<Result<R, Abandoned>> {
        // The next look, as long as there is one before the sleep.
        let mut turn = soon.then_some(0);
        let mut answer = self.lock();
        loop {
            match std::mem::replace(&mut *answer, Answer::PENDING) {
                Answer::Ready(result) => {
                    *answer = Answer::Taken;
                    return Some(result);
                }
                Answer::Taken => return Some(Err(Abandoned)),
                Answer::Lead => return None,
                Answer::Pending { .. } => {}
            }
            if let Some(now) = turn {
                drop(answer);
                turn = S::pause(now).then_some(now + 1);
                answer = self.lock();
            } else {
                *answer = Answer::Pending {
                    is_waited_for: true,
                };
                answer = S::wait(&self.wake, answer);
            }
        }
    }
}

/// The claim to one enqueued item's answer. Dropping it changes nothing for the item.
pub struct Ticket<R, S: SyncShim = StdSync> {
    pub(super) slot: Arc<Slot<R, S>>,
}

impl<R, S: SyncShim> Ticket<R, S> {
    /// Waits until a leader has answered the item. Somebody has to lead for that.
    ///
    /// # Errors
    /// [`Abandoned`] if the leader of the item's group ended without answering it.
    pub fn wait(self) -> Result<R, Abandoned> {
        // A ticket's slot is never handed leadership, so there is always an answer.
        self.slot.wait(false).unwrap_or(Err(Abandoned))
    }

    /// The answer if it is there; each answer is given once, then `None` again.
    #[must_use]
    pub fn try_take(&self) -> Option<Result<R, Abandoned>> {
        let mut answer = self.slot.lock();
        match std::mem::replace(&mut *answer, Answer::Taken) {
            Answer::Ready(result) => Some(result),
            other => {
                *answer = other;
                None
            }
        }
    }
}

impl<R, S: SyncShim> fmt::Debug for Ticket<R, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ticket").finish_non_exhaustive()
    }
}
