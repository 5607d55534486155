//! What both kinds of pool share: a task, and the queue of one lane.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) type Task = Box<dyn FnOnce() + Send>;

/// Runs a task; a panic is counted and goes no further.
pub(crate) fn run(task: Task, panics: &AtomicU64) {
    if catch_unwind(AssertUnwindSafe(task)).is_err() {
        panics.fetch_add(1, Ordering::Relaxed);
    }
}

/// The tasks of one lane: those that may run now, in order, and those that are due later.
#[derive(Default)]
pub(crate) struct LaneQueue {
    ready: VecDeque<Task>,
    delayed: BTreeMap<(Duration, u64), Task>,
    submitted: u64,
}

impl LaneQueue {
    pub(crate) fn push(&mut self, task: Task, due: Option<Duration>) {
        match due {
            None => self.ready.push_back(task),
            Some(due) => {
                self.submitted += 1;
                self.delayed.insert((due, self.submitted), task);
            }
        }
    }

    /// The next task that may run at `now`.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Task> {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                break;
            }
            self.ready.push_back(first.remove());
        }
        self.ready.pop_front()
    }

    pub(crate) fn has_due(&self, now: Duration) -> bool {
        !self.ready.is_empty() || self.next_due().is_some_and(|due| due <= now)
    }

    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    pub(crate) fn drop_delayed(&mut self) -> Vec<Task> {
        std::mem::take(&mut self.delayed).into_values().collect()
    }
}
