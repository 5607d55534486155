//! What each thread of a play asked for, when, and what it was told.
//!
//! Written by the threads while they work, read by the judge when they have ended. Decides nothing.
//! Times are numbers of one counter: a call is noted before it is made, an answer after it is there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lsm_db::Durability;

use crate::model::{Model, Write};

/// A moment in the order of all calls, answers and crashes of a play. Never zero.
pub(super) type Time = u64;

/// An answer that has not come.
pub(super) const PENDING: Time = Time::MAX;

/// The counter that gives times.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    /// Now: later than all that was given before, on any thread.
    pub(super) fn tick(&self) -> Time {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// None yet, or its thread ended before.
    None,
    Acknowledged,
    /// A condition was not met.
    Unmet,
    Failed,
}

/// What a commit writes beside its writer's own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    /// All of the shared keys, with a value that names the commit.
    Shared,
    /// The counter, from one less than this, under the condition that it has the value that was
    /// read.
    Count(u64),
}

/// One batch of one writer.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    /// Its number among those of the writer, over all lives; the first is 1.
    pub number: u64,
    /// What it does to the writer's own keys, the mark included.
    pub writes: Vec<Write>,
    pub beside: Beside,
    pub durability: Durability,
    pub called: Time,
    pub answered: Time,
    pub answer: Answer,
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "commit {} ({:?}, {:?}), called at {}",
            self.number, self.beside, self.durability, self.called
        )?;
        match self.answered {
            PENDING => f.write_str(", not answered"),
            answered => write!(f, ", {:?} at {answered}", self.answer),
        }
    }
}

/// An answer that says that everything acknowledged before its call is durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    pub by: &'static str,
    pub called: Time,
    pub answered: Time,
}

/// One life of the store: from an open to the end of the handle.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// What the open showed. No crash can take it.
    pub base: Model,
    /// Whether there is a log.
    pub logged: bool,
    /// By writer, in the order of their calls.
    pub commits: BTreeMap<usize, Vec<Commit>>,
    pub promises: Vec<Promise>,
}

impl Ledger {
    pub(super) fn new(base: Model, logged: bool) -> Self {
        Self {
            base,
            logged,
            ..Self::default()
        }
    }
}

/// The ledger of the life that is being played.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub clock: Clock,
    ledger: Mutex<Ledger>,
}

impl Shared {
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit is about to be called.
    pub(super) fn calls(&self, writer: usize, mut commit: Commit) {
        let mut ledger = self.ledger();
        commit.called = self.clock.tick();
        ledger.commits.entry(writer).or_default().push(commit);
    }

    /// The writer's last commit was answered.
    pub(super) fn answers(&self, writer: usize, answer: Answer) {
        let now = self.clock.tick();
        let mut ledger = self.ledger();
        let commits = ledger.commits.entry(writer).or_default();
        if let Some(commit) = commits.last_mut() {
            commit.answer = answer;
            commit.answered = now;
        }
    }

    /// A call that was made at `called` has said that all before it is durable.
    pub(super) fn promised(&self, by: &'static str, called: Time) {
        let answered = self.clock.tick();
        self.ledger().promises.push(Promise {
            by,
            called,
            answered,
        });
    }
}
