//! How fast compaction takes bytes out of L0: the rate at which writers can be let through for long.
//!
//! Told by the engine of each job that is done, and asked when it is. Pure: it reads no clock.

use std::time::Duration;

/// Older work fades as newer work of this length is done.
const WINDOW_SECONDS: f64 = 30.0;
/// How much work the assumed rate counts for.
const ASSUMED_SECONDS: f64 = 5.0;
/// Moves write nothing and would count for any rate; what comes after them may have to be merged.
const RATE_MAX: f64 = (256_u64 << 20) as f64;

/// The bytes that left L0 per second of compaction, lately.
///
/// Jobs on deeper levels count with their time: they have to be done too. The rate is never below
/// what was assumed at the start. After long work on deep levels, while L0 needed none, it would
/// say nothing of how fast L0 can be drained; and if that is slower than assumed, the curve slows
/// writers down all the same, a few runs later.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use lsm_compact::Outflow;
///
/// let mut outflow = Outflow::assumed(32 << 20);
/// for _ in 0..100 {
///     outflow.note(256 << 20, Duration::from_secs(2));
///     outflow.note(0, Duration::from_secs(2));
/// }
/// let mebibytes_per_second = outflow.bytes_per_second() / f64::from(1 << 20);
/// assert!((60.0..68.0).contains(&mebibytes_per_second));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Outflow {
    assumed: f64,
    bytes: f64,
    seconds: f64,
}

impl Outflow {
    /// Nothing was seen yet, and this is assumed.
    #[must_use]
    pub fn assumed(bytes_per_second: u64) -> Self {
        let assumed = (bytes_per_second as f64).min(RATE_MAX);
        Self {
            assumed,
            bytes: assumed * ASSUMED_SECONDS,
            seconds: ASSUMED_SECONDS,
        }
    }

    /// A job is done that took `l0_bytes` out of L0, 0 if it was about deeper levels, and `took` so
    /// long.
    pub fn note(&mut self, l0_bytes: u64, took: Duration) {
        let bytes = l0_bytes as f64;
        self.bytes += bytes;
        self.seconds += took.as_secs_f64().max(bytes / RATE_MAX);
        let kept = WINDOW_SECONDS / self.seconds;
        if kept < 1.0 {
            self.bytes *= kept;
            self.seconds *= kept;
        }
    }

    /// The rate: at least what was assumed, and at most 256 MiB/s.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        (self.bytes / self.seconds).clamp(self.assumed, RATE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn mebibytes_per_second(outflow: &Outflow) -> f64 {
        outflow.bytes_per_second() / MIB as f64
    }

    #[track_caller]
    fn check(outflow: &Outflow, expected: f64) {
        let found = mebibytes_per_second(outflow);
        assert!((found - expected).abs() < 0.5, "{found}");
    }

    #[test]
    fn what_is_seen_takes_the_place_of_what_was_assumed_and_of_older_work() {
        let mut outflow = Outflow::assumed(32 * MIB);
        check(&outflow, 32.0);
        outflow.note(320 * MIB, Duration::from_secs(5));
        check(&outflow, 48.0);
        outflow.note(0, Duration::from_secs(2));
        check(&outflow, 40.0);
        for _ in 0..60 {
            outflow.note(160 * MIB, Duration::from_secs(2));
        }
        check(&outflow, 79.4);
        for _ in 0..60 {
            outflow.note(100 * MIB, Duration::from_secs(2));
        }
        check(&outflow, 50.6);
    }

    #[test]
    fn it_is_never_below_what_was_assumed_and_comes_back_from_long_work_elsewhere() {
        let mut outflow = Outflow::assumed(32 * MIB);
        outflow.note(0, Duration::from_secs(1_000_000));
        check(&outflow, 32.0);
        for _ in 0..30 {
            outflow.note(120 * MIB, Duration::from_secs(2));
        }
        assert!(mebibytes_per_second(&outflow) > 50.0);
    }

    #[test]
    fn moves_at_no_cost_count_for_a_bounded_rate_and_are_forgotten() {
        let mut outflow = Outflow::assumed(32 * MIB);
        for _ in 0..1000 {
            outflow.note(256 * MIB, Duration::ZERO);
        }
        check(&outflow, 256.0);
        for _ in 0..30 {
            outflow.note(80 * MIB, Duration::from_secs(2));
        }
        assert!(mebibytes_per_second(&outflow) < 80.0);
    }

    #[test]
    fn nothing_makes_it_anything_else_than_a_rate() {
        for assumed in [0, 1, u64::MAX] {
            let mut outflow = Outflow::assumed(assumed);
            for (bytes, took) in [
                (0, Duration::ZERO),
                (u64::MAX, Duration::ZERO),
                (u64::MAX, Duration::MAX),
                (0, Duration::MAX),
            ] {
                outflow.note(bytes, took);
                assert!((0.0..=RATE_MAX).contains(&outflow.bytes_per_second()));
            }
        }
    }
}
