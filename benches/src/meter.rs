//! Runs the part of an operation that is counted, and only that, under a name of its own.
//!
//! Operations call [`Meter::count`]; callgrind is told to collect only inside [`counted`]. Nothing
//! here reads a clock.

use std::hint::black_box;

use crate::BenchResult;

/// What callgrind collects in: `--toggle-collect` names it, so neither its name nor its place can
/// change without the gate's noticing that nothing was counted.
///
/// Not generic, so that there is one of it, and never inlined, so that it is there at all. What it
/// adds is a call for a whole loop.
#[inline(never)]
pub fn counted(work: &mut dyn FnMut()) {
    work();
    // A call in the last place could become a jump, and then nobody would see the return.
    black_box(());
}

/// Runs an operation many times and remembers how many.
#[derive(Debug, Default)]
pub struct Meter {
    times: u64,
}

impl Meter {
    /// How many operations were counted.
    #[must_use]
    pub fn times(&self) -> u64 {
        self.times
    }

    /// Runs `operation` so many times, counted. It returns whether it went as it was meant to.
    ///
    /// # Errors
    /// The first that the operation meets; and if one did not go as meant, because a count of
    /// something else is worse than none.
    pub fn count(
        &mut self,
        times: u64,
        mut operation: impl FnMut(u64) -> BenchResult<bool>,
    ) -> BenchResult {
        let mut outcome = Ok(());
        let mut good = 0;
        counted(&mut || {
            for number in 0..times {
                match operation(number) {
                    Ok(as_meant) => good += u64::from(black_box(as_meant)),
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
        });
        self.times += times;
        outcome?;
        if good == times {
            Ok(())
        } else {
            Err(format!("{} of {times} operations did not go as meant", times - good).into())
        }
    }

    /// Runs `operation` once, counted as `times` operations: a flush of so many entries.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn count_as(
        &mut self,
        times: u64,
        mut operation: impl FnMut() -> BenchResult<bool>,
    ) -> BenchResult {
        self.count(1, |_| operation())?;
        self.times += times - 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_and_one_that_goes_wrong_fails() -> BenchResult {
        let mut meter = Meter::default();
        meter.count(3, |_| Ok(true))?;
        meter.count_as(40, || Ok(true))?;
        assert_eq!(meter.times(), 43);
        assert!(meter.count(3, |number| Ok(number < 2)).is_err());
        assert!(meter.count(1, |_| Err("broken".into())).is_err());
        Ok(())
    }
}
