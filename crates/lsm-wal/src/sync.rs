//! The locks and condition variables that the commit queue is built on, as a parameter, so that a
//! model checker's can stand in for them and explore the code that runs in production.
//!
//! Called by the commit queue only. Adds nothing to the primitives: each operation of [`StdSync`] is
//! one call, but for the pause, which grows with its turn.

use std::ops::DerefMut;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{hint, thread};

/// The primitives under a [`CommitQueue`](crate::CommitQueue).
///
/// [`StdSync`] is the one to use. Implement it for a model checker's primitives, loom's for
/// instance, to explore every interleaving of code that is built on the queue; the queue's own
/// tests do so.
pub trait SyncShim {
    /// A lock around a value.
    type Mutex<T>;
    /// Access to the value, for as long as it lives.
    type Guard<'a, T: 'a>: DerefMut<Target = T>;
    /// Where the holder of a lock waits without it.
    type Condvar;

    /// An open lock.
    fn mutex<T>(value: T) -> Self::Mutex<T>;

    /// A condition nobody waits for yet.
    fn condvar() -> Self::Condvar;

    /// Waits for the lock and takes it, also if a holder panicked: the queue leaves nothing half
    /// changed under a lock.
    fn lock<T>(mutex: &Self::Mutex<T>) -> Self::Guard<'_, T>;

    /// Lets go of the lock, waits for a notification and takes the lock again. May wake up for no
    /// reason.
    fn wait<'a, T: 'a>(condvar: &Self::Condvar, guard: Self::Guard<'a, T>) -> Self::Guard<'a, T>;

    /// As [`wait`](Self::wait), but at most for `timeout`.
    fn wait_timeout<'a, T: 'a>(
        condvar: &Self::Condvar,
        guard: Self::Guard<'a, T>,
        timeout: Duration,
    ) -> Self::Guard<'a, T>;

    /// Wakes one that waits, if any does.
    fn notify_one(condvar: &Self::Condvar);

    /// Passes the time until the next look at something that will be there soon, without a lock. The
    /// first look was turn 0. `false`, at once, if there were looks enough: wait for a notification.
    ///
    /// Unless implemented, there is no second look.
    fn pause(turn: u32) -> bool {
        let _ = turn;
        false
    }
}

/// So many pauses, of at most 32 spins each: some 25 microseconds together where this was measured,
/// after which to be woken costs little beside the wait. None yields: beside threads that compute, who
/// yields gets the processor back when their slices are over, milliseconds later.
const PAUSES: u32 = 20;
const SPINS_LOG2_MAX: u32 = 5;

/// With one processor the leader does not run while another spins.
static CAN_SPIN: LazyLock<bool> =
    LazyLock::new(|| thread::available_parallelism().is_ok_and(|count| count.get() > 1));

/// The standard library's primitives.
#[derive(Debug, Clone, Copy, Default)]
pub struct StdSync;

impl SyncShim for StdSync {
    type Mutex<T> = Mutex<T>;
    type Guard<'a, T: 'a> = MutexGuard<'a, T>;
    type Condvar = Condvar;

    #[inline]
    fn mutex<T>(value: T) -> Mutex<T> {
        Mutex::new(value)
    }

    #[inline]
    fn condvar() -> Condvar {
        Condvar::new()
    }

    #[inline]
    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn wait<'a, T: 'a>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn wait_timeout<'a, T: 'a>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> MutexGuard<'a, T> {
        let waited = condvar.wait_timeout(guard, timeout);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    #[inline]
    fn notify_one(condvar: &Condvar) {
        condvar.notify_one();
    }

    fn pause(turn: u32) -> bool {
        let again = turn < PAUSES && *CAN_SPIN;
        if again {
            (0..1 << turn.min(SPINS_LOG2_MAX)).for_each(|_| hint::spin_loop());
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_few() {
        let turns = (0..).take_while(|&turn| StdSync::pause(turn)).count();
        let wanted = if *CAN_SPIN { PAUSES } else { 0 };
        assert_eq!(turns, wanted as usize);
    }
}
