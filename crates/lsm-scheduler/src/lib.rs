#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod lane;
mod pool;
mod stepped;
mod threads;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use pool::{Pool, Stalled};
use stepped::Stepper;

/// How background work runs, and what time it is.
///
/// Cheap to clone. Two schedulers are equal only if one is a clone of the other.
///
/// # Examples
/// ```
/// use lsm_scheduler::Scheduler;
/// let a = Scheduler::stepped(7);
/// assert_eq!(a, a.clone());
/// assert_ne!(a, Scheduler::stepped(7));
/// ```
#[derive(Clone)]
pub struct Scheduler {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Threads(Arc<Instant>),
    Stepped(Arc<Stepper>),
}

impl Scheduler {
    /// Runs each lane of each pool on a thread of its own, by the real clock.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where the engine's clock is read"
    )]
    pub fn threads() -> Self {
        Self {
            kind: Kind::Threads(Arc::new(Instant::now())),
        }
    }

    /// Runs nothing by itself: tasks run when [`step`](Self::step) is called or somebody waits,
    /// in an order drawn from `seed`, by a virtual clock that starts at zero.
    #[must_use]
    pub fn stepped(seed: u64) -> Self {
        Self {
            kind: Kind::Stepped(Arc::new(Stepper::new(seed))),
        }
    }

    /// Whether this scheduler only moves when stepped.
    #[must_use]
    pub fn is_stepped(&self) -> bool {
        matches!(self.kind, Kind::Stepped(_))
    }

    /// Makes a pool of `lane_count` lanes; `name` names its threads.
    ///
    /// # Errors
    /// The operating system's, if a thread can't be started; then none of the pool's run.
    pub fn pool(&self, name: &str, lane_count: usize) -> io::Result<Pool> {
        match &self.kind {
            Kind::Threads(_) => Pool::on_threads(self.clone(), name, lane_count),
            Kind::Stepped(stepper) => Ok(Pool::stepped(self.clone(), stepper, lane_count)),
        }
    }

    /// Runs one task, if any is there; with none due, moves the clock to the next delayed one.
    ///
    /// Returns whether a task ran. Always `false` on threads, where tasks run by themselves.
    pub fn step(&self) -> bool {
        match &self.kind {
            Kind::Threads(_) => false,
            Kind::Stepped(stepper) => stepper.step(),
        }
    }

    /// Steps until no task is left, delayed ones included, or `steps_max` have run.
    ///
    /// Returns how many ran.
    pub fn run_until_idle(&self, steps_max: usize) -> usize {
        (0..steps_max).take_while(|_| self.step()).count()
    }

    /// Time since this scheduler was made. Never goes back.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.kind {
            Kind::Threads(start) => start.elapsed(),
            Kind::Stepped(stepper) => stepper.now(),
        }
    }

    /// Fills `bytes` with randomness: the operating system's, or, stepped, drawn from the seed.
    ///
    /// # Errors
    /// The operating system's, where it has no randomness to give.
    pub fn fill_random(&self, bytes: &mut [u8]) -> io::Result<()> {
        match &self.kind {
            Kind::Threads(_) => getrandom::fill(bytes).map_err(io::Error::from),
            Kind::Stepped(stepper) => {
                for chunk in bytes.chunks_mut(8) {
                    let drawn = stepper.draw().to_le_bytes();
                    chunk
                        .iter_mut()
                        .zip(drawn)
                        .for_each(|(to, from)| *to = from);
                }
                Ok(())
            }
        }
    }

    /// Lets `duration` pass: sleeps, or, stepped, runs one task and moves the virtual clock.
    pub fn sleep(&self, duration: Duration) {
        match &self.kind {
            Kind::Threads(_) => std::thread::sleep(duration),
            Kind::Stepped(stepper) => {
                let until = stepper.now() + duration;
                stepper.step_due();
                stepper.advance_to(until);
            }
        }
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Self::threads()
    }
}

impl PartialEq for Scheduler {
    fn eq(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Threads(a), Kind::Threads(b)) => Arc::ptr_eq(a, b),
            (Kind::Stepped(a), Kind::Stepped(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Scheduler {}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Threads(_) => "Scheduler(threads)",
            Kind::Stepped(_) => "Scheduler(stepped)",
        })
    }
}

#[cfg(test)]
mod tests;
