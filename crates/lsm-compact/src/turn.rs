//! The clock that slowed writers share: whose turn it is, so that many are no faster than one.
//!
//! Asked by the engine for each write under pressure, with the [`share`](crate::share) of time that
//! the write takes. Pure: the engine keeps the clock, reads the time and sleeps. It never answers
//! "for ever".

use std::time::Duration;

/// How far writers may run ahead of the shared clock, and how far it stays behind the time when
/// they rest.
///
/// A wait below this is not worth going to sleep for: it is owed, and waited for together with what
/// comes next. And a pause saves up no more than this, whatever its length.
pub const TURN_SLACK: Duration = Duration::from_millis(1);

/// A write's turn: where it leaves the shared clock, and how long the writer waits for it.
///
/// All times are of one clock that never goes back; a shared clock that was never used is zero.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use lsm_compact::Turn;
///
/// let millis = Duration::from_millis;
/// let (now, longest) = (millis(1000), millis(50));
/// // Three writers at one moment, each of whose writes takes 10 ms: one after another.
/// let first = Turn::after(Duration::ZERO, now, millis(10), longest);
/// let second = Turn::after(first.clock, now, millis(10), longest);
/// let third = Turn::after(second.clock, now, millis(10), longest);
/// assert_eq!([first.wait, second.wait, third.wait], [millis(9), millis(19), millis(29)]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The shared clock from now on: the time up to which turns are given out.
    pub clock: Duration,
    /// How long the writer waits; zero, or at least [`TURN_SLACK`], and at most what was given as
    /// the longest.
    pub wait: Duration,
}

impl Turn {
    /// The turn of a write that takes `share` of all writers' time and comes `now`, when turns are
    /// given out up to `clock`.
    ///
    /// Turns follow each other without gaps while writers come faster than that, so the rate does
    /// not depend on how many they are or how well they sleep. Only when those that wait would have
    /// to wait for more than `longest` all together does it: then each waits for `longest`, and no more.
    #[must_use]
    pub fn after(clock: Duration, now: Duration, share: Duration, longest: Duration) -> Self {
        let start = clock.max(now.saturating_sub(TURN_SLACK));
        let end = start.saturating_add(share).min(now.saturating_add(longest));
        let ahead = end.saturating_sub(now);
        Self {
            clock: clock.max(end),
            wait: if ahead < TURN_SLACK {
                Duration::ZERO
            } else {
                ahead
            },
        }
    }
}

#[cfg(test)]
mod tests;
