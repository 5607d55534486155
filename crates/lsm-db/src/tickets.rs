//! Tickets: how a caller waits for background work, and what it is told about it.
//!
//! A ticket names the work that answers it, and its answer is that work's own result. There are two
//! kinds of work:
//!
//! - *Ordinals* are done in order: attempt after attempt at 1, then at 2, and so on. A ticket for
//!   `n` is answered Ok by the success at `n` or beyond it, and with the error of the first attempt
//!   at `n` or before it that fails.
//! - A *piece* is done once. Its [`Promise`] answers its ticket, and no other.
//!
//! Called by the engine: `flush`, `close`, `compact_range`, writers that wait for room. Knows
//! nothing of what the work is, and runs none of it.
//!
//! Threads: any number that take tickets and wait; any number that answer. Locks: that of the
//! tickets, then that of one slot; nothing else is locked, and nothing called, under either.
//!
//! 1. A ticket leaves the list of the outstanding in the step that answers it. So it is answered
//!    once, and no wait ends in any other way.
//! 2. Ok for an ordinal is given only once a success at it or beyond it has been reported.
//! 3. A failure at `n` answers the outstanding tickets for `n` and beyond. A later success does not
//!    change an answer, nor does a failure take back what was done.
//! 4. The end answers all that is outstanding, and at once what is taken later: what is not done by
//!    then will never be.

#[cfg(test)]
mod models;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use lsm_wal::{StdSync, SyncShim};

/// What a ticket is answered with.
pub(crate) type Answer<E> = Result<(), E>;

/// Where tickets are taken and answered. `S` is what it is built on: leave it out.
pub(crate) struct Tickets<E, S: SyncShim = StdSync> {
    state: S::Mutex<State<E, S>>,
}

struct State<E, S: SyncShim> {
    /// The ordinals up to this one are done.
    done_through: u64,
    /// Where the latest attempt was made, and its error; `None` if it succeeded.
    failing: Option<(u64, E)>,
    /// The answer to all that is not done, once the end has come.
    ended: Option<E>,
    outstanding: Vec<Outstanding<E, S>>,
}

struct Outstanding<E, S: SyncShim> {
    /// What is waited for; `None`: a piece, which only its promise knows.
    ordinal: Option<u64>,
    slot: Arc<Slot<E, S>>,
}

/// Where the answer of one ticket is put.
struct Slot<E, S: SyncShim> {
    answer: S::Mutex<Option<Answer<E>>>,
    answered: S::Condvar,
}

/// The right to one answer.
#[must_use = "work is waited for by waiting for the ticket"]
pub(crate) struct Ticket<E, S: SyncShim = StdSync> {
    slot: Arc<Slot<E, S>>,
}

/// The duty to answer the ticket of one piece of work. If it is dropped before, the answer is the
/// error that it was made with.
pub(crate) struct Promise<E: Clone, S: SyncShim = StdSync> {
    tickets: Arc<Tickets<E, S>>,
    slot: Arc<Slot<E, S>>,
    abandoned: E,
}

impl<E, S: SyncShim> Slot<E, S> {
    fn new(answer: Option<Answer<E>>) -> Arc<Self> {
        Arc::new(Self {
            answer: S::mutex(answer),
            answered: S::condvar(),
        })
    }

    fn put(&self, answer: Answer<E>) {
        let mut slot = S::lock(&self.answer);
        debug_assert!(slot.is_none(), "a ticket is answered once");
        *slot = Some(answer);
        S::notify_one(&self.answered);
    }
}

impl<E: Clone, S: SyncShim> Ticket<E, S> {
    /// The answer, if it has been given.
    pub(crate) fn answer(&self) -> Option<Answer<E>> {
        S::lock(&self.slot.answer).clone()
    }

    /// Blocks the thread until the answer is given.
    pub(crate) fn wait(&self) -> Answer<E> {
        let mut slot = S::lock(&self.slot.answer);
        loop {
            match &*slot {
                Some(answer) => return answer.clone(),
                None => slot = S::wait(&self.slot.answered, slot),
            }
        }
    }
}

impl<E: Clone, S: SyncShim> Tickets<E, S> {
    /// A ticket that is answered Ok when all up to `ordinal` is done, or with the error of the
    /// first attempt at any of it that fails from now on.
    pub(crate) fn take(&self, ordinal: u64) -> Ticket<E, S> {
        S::lock(&self.state).take(Some(ordinal))
    }

    /// As [`take`](Self::take), but if the latest attempt failed its error is the answer, at once.
    pub(crate) fn take_unless_failing(&self, ordinal: u64) -> Ticket<E, S> {
        let mut state = S::lock(&self.state);
        let failing = state.failing.as_ref().filter(|(at, _)| *at <= ordinal);
        match failing {
            Some((_, error)) if state.ended.is_none() => Ticket {
                slot: Slot::new(Some(Err(error.clone()))),
            },
            _ => state.take(Some(ordinal)),
        }
    }

    /// A piece of work: the promise goes with it, the ticket is to wait for it.
    pub(crate) fn promise(self: &Arc<Self>, abandoned: E) -> (Promise<E, S>, Ticket<E, S>) {
        let ticket = S::lock(&self.state).take(None);
        let promise = Promise {
            tickets: Arc::clone(self),
            slot: Arc::clone(&ticket.slot),
            abandoned,
        };
        (promise, ticket)
    }

    /// An attempt has done `ordinal`, and all before it is done.
    pub(crate) fn succeeded(&self, ordinal: u64) {
        let mut state = S::lock(&self.state);
        state.failing = None;
        state.done_through = state.done_through.max(ordinal);
        let done_through = state.done_through;
        state.answer(&Ok(()), |waiting| {
            waiting.ordinal.is_some_and(|wanted| wanted <= done_through)
        });
    }

    /// An attempt at `ordinal` has failed, and nothing beyond it can be done before it is.
    pub(crate) fn failed(&self, ordinal: u64, error: &E) {
        let mut state = S::lock(&self.state);
        state.failing = Some((ordinal, error.clone()));
        state.answer(&Err(error.clone()), |waiting| {
            waiting.ordinal.is_some_and(|wanted| wanted >= ordinal)
        });
    }

    /// No more work is done: what is outstanding is answered with `error`, what is not done and
    /// asked for later with `later`. Only the first end counts.
    pub(crate) fn end(&self, error: &E, later: E) {
        let mut state = S::lock(&self.state);
        if state.ended.is_none() {
            state.ended = Some(later);
            state.answer(&Err(error.clone()), |_| true);
        }
    }
}

impl<E: Clone, S: SyncShim> State<E, S> {
    fn take(&mut self, ordinal: Option<u64>) -> Ticket<E, S> {
        let is_done = ordinal.is_some_and(|wanted| wanted <= self.done_through);
        let known = match &self.ended {
            _ if is_done => Some(Ok(())),
            Some(error) => Some(Err(error.clone())),
            None => None,
        };
        let is_outstanding = known.is_none();
        let slot = Slot::new(known);
        if is_outstanding {
            self.outstanding.push(Outstanding {
                ordinal,
                slot: Arc::clone(&slot),
            });
        }
        Ticket { slot }
    }

    /// Answers the outstanding tickets that are `meant`.
    fn answer(&mut self, answer: &Answer<E>, meant: impl Fn(&Outstanding<E, S>) -> bool) {
        self.outstanding.retain(|waiting| {
            let is_meant = meant(waiting);
            if is_meant {
                waiting.slot.put(answer.clone());
            }
            !is_meant
        });
    }
}

impl<E: Clone, S: SyncShim> Promise<E, S> {
    /// Answers the ticket, unless it has been answered before.
    pub(crate) fn answer(&self, answer: &Answer<E>) {
        let mut state = S::lock(&self.tickets.state);
        state.answer(answer, |waiting| Arc::ptr_eq(&waiting.slot, &self.slot));
    }
}

impl<E: Clone, S: SyncShim> Drop for Promise<E, S> {
    fn drop(&mut self) {
        self.answer(&Err(self.abandoned.clone()));
    }
}

impl<E, S: SyncShim> Default for Tickets<E, S> {
    fn default() -> Self {
        Self {
            state: S::mutex(State {
                done_through: 0,
                failing: None,
                ended: None,
                outstanding: Vec::new(),
            }),
        }
    }
}

impl<E, S: SyncShim> fmt::Debug for Tickets<E, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = S::lock(&self.state);
        formatter
            .debug_struct("Tickets")
            .field("done_through", &state.done_through)
            .field("outstanding", &state.outstanding.len())
            .field("has_ended", &state.ended.is_some())
            .finish_non_exhaustive()
    }
}

impl<E: Clone, S: SyncShim> fmt::Debug for Promise<E, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Promise").finish_non_exhaustive()
    }
}
