//! The process that something was made in: how a child of `fork` finds out that it is one.
//!
//! A child has a copy of its parent's memory and one of its threads: the one that forked. Locks that
//! other threads held stay locked there for ever, and files are shared with the parent. So whatever
//! would take a lock, wait or write asks first whether it is in the process that it was made in.
//!
//! The system call that tells costs a tenth of a write that is not synced. A thread that was seen in
//! a process less than [`FORK_TIME_MIN`] ago is still in it, since it cannot have forked meanwhile.
//! Reading the clock is no system call, so a thread that writes in a loop makes none for this.

use std::cell::Cell;
use std::process;
use std::time::{Duration, Instant};

/// What a `fork` takes at least, from the call to the first instruction of the child.
///
/// An eighth of the shortest of 3,000 forks of a program with one thread and no data (76 µs; the
/// kernel copies page tables, and has to schedule the child). A larger value would save next to
/// nothing: calls that are further apart than this take long enough themselves.
const FORK_TIME_MIN: Duration = Duration::from_nanos(FORK_NANOS_MIN);
const FORK_NANOS_MIN: u64 = 10_000;

thread_local! {
    /// When this thread last asked, and what it was told. A child has that of its parent's thread.
    static SEEN: Cell<Option<Seen>> = const { Cell::new(None) };
}

/// A thread in a process.
#[derive(Debug, Clone, Copy)]
struct Seen {
    process: u32,
    at: Instant,
    /// Before this moment it cannot have come to another process.
    until: Instant,
}

impl Seen {
    fn new(process: u32, at: Instant) -> Option<Self> {
        let until = at.checked_add(FORK_TIME_MIN)?;
        Some(Self { process, at, until })
    }

    /// Whether the thread is still in that process. A child in a time namespace of its own may have
    /// an earlier clock.
    fn holds(&self, now: Instant) -> bool {
        self.at <= now && now < self.until
    }
}

/// The process that made this value.
///
/// ```
/// # #[cfg(unix)] {
/// use lsm_scheduler::Owner;
/// let owner = Owner::new();
/// assert!(owner.is_this_process());
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    process: u32,
}

impl Owner {
    /// This process.
    #[must_use]
    pub fn new() -> Self {
        Self {
            process: process::id(),
        }
    }

    /// Whether the caller runs in that process, and not in a child that was forked off it.
    ///
    /// Costs some tens of nanoseconds if this thread asked within the last ten microseconds, and a
    /// system call otherwise.
    #[must_use]
    #[inline]
    pub fn is_this_process(&self) -> bool {
        // Where there is no fork, no handle comes to another process.
        !cfg!(unix) || self.process == this_process()
    }
}

impl Default for Owner {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fork takes real time, whatever the clock of a stepped scheduler says"
)]
fn this_process() -> u32 {
    let now = Instant::now();
    let process = match SEEN.get() {
        Some(seen) if seen.holds(now) => seen.process,
        _ => process::id(),
    };
    SEEN.set(Seen::new(process, now));
    process
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the time that is judged")]
    fn a_thread_is_believed_where_it_was_only_for_less_than_a_fork_takes() {
        let now = Instant::now();
        let later = |nanos| now + Duration::from_nanos(nanos);
        let seen = Seen::new(7, later(1)).unwrap();
        assert!(seen.holds(later(1)));
        assert!(seen.holds(later(FORK_NANOS_MIN)));
        assert!(!seen.holds(later(FORK_NANOS_MIN + 1)));
        assert!(!seen.holds(now), "an earlier clock");
    }

    #[test]
    fn another_process_is_not_this_one() {
        let owner = Owner::new();
        assert!(owner.is_this_process() && owner.is_this_process());
        let other = Owner {
            process: owner.process ^ 1,
        };
        assert_eq!(other.is_this_process(), cfg!(not(unix)));
    }
}
