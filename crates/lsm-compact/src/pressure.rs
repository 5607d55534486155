//! Back-pressure: how fast writers may go, as a function of how far behind the background is.
//!
//! One curve, smooth in everything it depends on, instead of thresholds at which writers start to
//! sleep: a rate, not a gate. The rate is that of all writers together: each takes the time of its
//! own bytes on one clock, see [`Turn`](crate::Turn). Pure: the caller counts and waits. It never
//! answers "for ever".

use std::time::Duration;

/// Where writers begin to feel the debt, and where it hurts most.
///
/// For each of three measures, a *soft* value up to which nothing is delayed, and a *hard* one at
/// which every write waits [`delay_max`](Self::delay_max). A hard value at or below its soft one
/// turns that measure off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PressureOptions {
    /// Compaction debt in bytes, as [`debt_bytes`](crate::debt_bytes) counts it: where delays begin.
    pub debt_bytes_soft: u64,
    /// Compaction debt in bytes: where delays are longest.
    pub debt_bytes_hard: u64,
    /// L0 runs: where delays begin. Each one costs every lookup a probe.
    pub l0_runs_soft: usize,
    /// L0 runs: where delays are longest.
    pub l0_runs_hard: usize,
    /// Bytes in sealed memtables that wait for their flush: where delays begin.
    pub unflushed_bytes_soft: u64,
    /// Bytes in sealed memtables that wait for their flush: where delays are longest.
    pub unflushed_bytes_hard: u64,
    /// The rate in bytes a second that the background is assumed to keep up with, see
    /// [`Outflow`](crate::Outflow).
    pub assumed_bytes_per_second: u64,
    /// The longest delay of one write.
    pub delay_max: Duration,
}

impl Default for PressureOptions {
    /// Delays from 1 GiB of debt, 4 L0 runs or 128 MiB unflushed; longest, 50 ms, at 16 GiB, 16
    /// runs or 512 MiB. 32 MiB/s are assumed.
    fn default() -> Self {
        Self {
            debt_bytes_soft: 1 << 30,
            debt_bytes_hard: 16 << 30,
            l0_runs_soft: 4,
            l0_runs_hard: 16,
            unflushed_bytes_soft: 128 << 20,
            unflushed_bytes_hard: 512 << 20,
            assumed_bytes_per_second: 32 << 20,
            delay_max: Duration::from_millis(50),
        }
    }
}

/// How far behind the background is: 0.0 where nobody is slowed down, 1.0 where everybody is as
/// far as can be.
///
/// It is the highest of the three measures, each as its way from soft (0.0) to hard (1.0).
/// Continuous, and monotone in each argument.
///
/// `l0_runs` is `None` when compaction is off: an L0 that nothing will shrink slows nobody down.
#[must_use]
pub fn pressure(
    debt_bytes: u64,
    l0_runs: Option<usize>,
    unflushed_bytes: u64,
    options: &PressureOptions,
) -> f64 {
    let debt = way(debt_bytes, options.debt_bytes_soft, options.debt_bytes_hard);
    let l0 = l0_runs.map_or(0.0, |runs| {
        way(
            runs as u64,
            options.l0_runs_soft as u64,
            options.l0_runs_hard as u64,
        )
    });
    let unflushed = way(
        unflushed_bytes,
        options.unflushed_bytes_soft,
        options.unflushed_bytes_hard,
    );
    debt.max(l0).max(unflushed).min(1.0)
}

/// The time that a write of `write_bytes` takes of all writers' time, under `pressure` p, where the
/// background keeps up with `sustained_bytes_per_second`.
///
/// It is what the bytes take at the sustained rate × (1 − p) ÷ p: nothing at 0.0, the sustained
/// rate at one half, ever less towards 1.0, so that the debt shrinks, and never more than
/// [`delay_max`](PressureOptions::delay_max). Continuous, and monotone in each argument.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use lsm_compact::{PressureOptions, pressure, share};
///
/// let options = PressureOptions::default();
/// let rate = f64::from(32 << 20);
/// let none = pressure(0, Some(4), 64 << 20, &options);
/// assert_eq!(share(1000, none, rate, &options), Duration::ZERO);
/// let halfway = pressure(0, Some(10), 64 << 20, &options);
/// assert_eq!(share(32 << 10, halfway, rate, &options), Duration::from_secs(1) / 1024);
/// let all = pressure(u64::MAX, Some(4), 64 << 20, &options);
/// assert_eq!(share(1000, all, rate, &options), options.delay_max);
/// ```
#[must_use]
pub fn share(
    write_bytes: u64,
    pressure: f64,
    sustained_bytes_per_second: f64,
    options: &PressureOptions,
) -> Duration {
    if pressure <= 0.0 {
        return Duration::ZERO;
    }
    if pressure >= 1.0 {
        return options.delay_max;
    }
    let seconds_at_sustained_rate = write_bytes as f64 / sustained_bytes_per_second.max(1.0);
    let seconds = seconds_at_sustained_rate * pressure / (1.0 - pressure);
    let delay_max_seconds = options.delay_max.as_secs_f64();
    if seconds >= delay_max_seconds {
        return options.delay_max;
    }
    Duration::try_from_secs_f64(seconds).unwrap_or(options.delay_max)
}

/// How far `value` is on its way from `soft` (0.0 or less) to `hard` (1.0 or more).
fn way(value: u64, soft: u64, hard: u64) -> f64 {
    if hard <= soft {
        return 0.0;
    }
    value.saturating_sub(soft) as f64 / (hard - soft) as f64
}

#[cfg(test)]
mod tests;
