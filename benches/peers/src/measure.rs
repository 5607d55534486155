//! Clocks around operations: rates within a budget of time, and latencies.
//!
//! Cells call it. A loop is cut off when its budget is spent, so that an engine that is a thousand
//! times slower than the others yields a figure and not an evening; what was done is counted.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Result;

/// What was done, and in which time.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub operations: usize,
    pub elapsed: Duration,
    /// Time of processors that this process took for it, its background threads included. It says
    /// less than the time that passed, but hardly depends on what else the machine does.
    pub processor: Duration,
}

impl Done {
    pub fn per_second(self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Microseconds of processor time for each operation.
    pub fn processor_micros(self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / (self.operations as f64).max(1.0)
    }

    /// The same, counted as other operations: keys instead of batches, say.
    pub fn of(self, operations: usize) -> Self {
        Self { operations, ..self }
    }
}

/// A clock for what passes and one for what the process takes.
#[derive(Clone, Copy)]
pub struct Clock {
    start: Instant,
    processor: Duration,
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

impl Clock {
    pub fn start() -> Self {
        Self {
            processor: processor_time(),
            start: Instant::now(),
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// So many operations since the start.
    pub fn done(&self, operations: usize) -> Done {
        Done {
            operations,
            elapsed: self.start.elapsed(),
            processor: processor_time().saturating_sub(self.processor),
        }
    }
}

/// Runs `operation(0)`, `operation(1)`, … up to `count`, or until the budget is spent.
///
/// The clock is read between pieces that grow until they take a millisecond, so that reading it
/// costs a fast operation nothing and a slow one is stopped in time.
pub fn paced(
    count: usize,
    budget: Duration,
    mut operation: impl FnMut(usize) -> Result<()>,
) -> Result<Done> {
    let clock = Clock::start();
    let mut done = 0;
    let mut piece = 1;
    let mut before = Duration::ZERO;
    while done < count && before < budget {
        let end = (done + piece).min(count);
        for index in done..end {
            operation(index)?;
        }
        done = end;
        let now = clock.elapsed();
        if now - before < Duration::from_millis(1) {
            piece *= 2;
        }
        before = now;
    }
    Ok(clock.done(done))
}

/// Percentiles of latencies, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Latencies as they come, in nanoseconds, to three digits.
pub struct Latencies(Histogram<u64>);

impl Latencies {
    pub fn new() -> Result<Self> {
        Ok(Self(Histogram::new(3)?))
    }

    pub fn record(&mut self, latency: Duration) -> Result<()> {
        Ok(self.0.record(latency.as_nanos() as u64)?)
    }

    pub fn add(&mut self, other: &Self) -> Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    pub fn percentiles(&self) -> Latency {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1_000.0;
        Latency {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max() as f64 / 1_000.0,
        }
    }
}

/// As [`paced`], with the latency of each operation; reads the clock once an operation, which costs
/// some 30 nanoseconds of each.
pub fn timed(
    count: usize,
    budget: Duration,
    mut operation: impl FnMut(usize) -> Result<()>,
) -> Result<(Done, Latencies)> {
    let mut latencies = Latencies::new()?;
    let clock = Clock::start();
    let mut before = Duration::ZERO;
    let mut done = 0;
    while done < count && before < budget {
        operation(done)?;
        done += 1;
        let now = clock.elapsed();
        latencies.record(now - before)?;
        before = now;
    }
    Ok((clock.done(done), latencies))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_within_its_budget_does_all_and_each_once() -> Result<()> {
        let mut seen = Vec::new();
        let done = paced(1_000, Duration::from_secs(60), |index| {
            seen.push(index);
            Ok(())
        })?;
        assert_eq!(done.operations, 1_000);
        assert!(seen.iter().copied().eq(0..1_000));
        Ok(())
    }

    #[test]
    fn a_loop_without_a_budget_does_nothing() -> Result<()> {
        assert_eq!(paced(1_000, Duration::ZERO, |_| Ok(()))?.operations, 0);
        let (done, latencies) = timed(5, Duration::from_secs(60), |_| Ok(()))?;
        assert_eq!(done.operations, 5);
        assert!(latencies.percentiles().p50 <= latencies.percentiles().max);
        Ok(())
    }
}
