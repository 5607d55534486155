//! Deleted space comes back by itself: a memtable that is mostly deletes is sealed when it is idle.
//!
//! Deletes free nothing while they wait in memory for a memtable to fill up, and after the last of
//! them that may be for ever. So [`SEAL_AFTER`] the last write the memtable is sealed, if deletes
//! are at least half of it. Its flush and the policy of compactions do the rest.
//!
//! 1. At most one task is pending. It is submitted when the active memtable becomes mostly deletes
//!    and none is pending. A store that is not deleted from has none, and wakes for nothing.
//! 2. A write does not move the task. The task that finds a later write submits itself again for
//!    the time that is left. One that finds other than deletes ends.
//! 3. The task never waits for the commit state: a leader that holds it may wait for a flush.

use std::sync::Arc;
use std::time::Duration;

use crate::commit::State;
use crate::engine::Engine;
use crate::lane;

/// How long after its last write a memtable that is mostly deletes is sealed.
///
/// Arbitrary: longer than the pauses of a program that goes on writing, so that it seals no more
/// than it would, and shorter than what the owner of a full disk waits for. An application that
/// deletes now and then has one small flush for each such pause.
const SEAL_AFTER: Duration = Duration::from_secs(60);

/// What the commit state knows of the pending task.
#[derive(Debug, Default)]
pub(crate) struct IdleSeal {
    is_pending: bool,
    /// When the latest group was written, by the scheduler's clock. Kept while a task is pending.
    last_write: Duration,
}

impl Engine {
    /// A group with `deletes` deletes is in the active memtable.
    #[inline]
    pub(crate) fn note_for_idle_seal(self: &Arc<Self>, state: &mut State, deletes: u64) {
        let (active, idle_seal) = state.idle_seal();
        if deletes == 0 && !idle_seal.is_pending {
            return;
        }
        active.add_deletes(deletes);
        let begins = !idle_seal.is_pending && active.is_mostly_deletes();
        if begins || idle_seal.is_pending {
            idle_seal.is_pending = true;
            idle_seal.last_write = self.pool.scheduler().now();
        }
        if begins {
            self.seal_when_idle(SEAL_AFTER);
        }
    }

    fn seal_when_idle(self: &Arc<Self>, delay: Duration) {
        let engine = Arc::clone(self);
        self.pool.submit_after(lane::FLUSH, delay, move || {
            engine.poisoned_by_panic(|| engine.seal_if_idle());
        });
    }

    fn seal_if_idle(self: &Arc<Self>) {
        if self.is_closing() || self.health.is_poisoned() {
            return;
        }
        let Some(mut state) = self.committer.lock_if_free() else {
            // Something is being written this moment.
            return self.seal_when_idle(SEAL_AFTER);
        };
        let (active, idle_seal) = state.idle_seal();
        let idle = self
            .pool
            .scheduler()
            .now()
            .saturating_sub(idle_seal.last_write);
        let left = SEAL_AFTER.saturating_sub(idle);
        let is_mostly_deletes = active.is_mostly_deletes();
        idle_seal.is_pending = is_mostly_deletes && !left.is_zero();
        if idle_seal.is_pending {
            self.seal_when_idle(left);
        } else if is_mostly_deletes {
            self.seal(&mut state);
        }
    }
}
