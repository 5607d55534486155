//! A fixed set of lanes, on threads or stepped: what an engine submits its work to.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::stepped::Stepper;
use crate::threads::{self, Message};
use crate::{Kind, Scheduler};

/// A wait that can never end: the scheduler is stepped, nothing is left to run, and what is waited
/// for is not there. A bug in the caller, found instead of a hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalled;

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("waiting for something that no background task will do")
    }
}

impl std::error::Error for Stalled {}

/// Lanes of background work. Cheap to clone; the clones share the lanes.
///
/// The lanes live until [`shutdown`](Self::shutdown), not until the last clone is dropped, so
/// that a task may hold a clone of its own pool.
#[derive(Clone)]
pub struct Pool {
    scheduler: Scheduler,
    lanes: Arc<Lanes>,
    panics: Arc<AtomicU64>,
}

enum Lanes {
    Threads {
        // Taken by shutdown, lane by lane: a task submitted later is dropped.
        senders: RwLock<Vec<Option<Sender<Message>>>>,
        threads: Mutex<Vec<JoinHandle<()>>>,
    },
    Stepped {
        stepper: Arc<Stepper>,
        pool: u64,
    },
}

impl Pool {
    pub(crate) fn on_threads(
        scheduler: Scheduler,
        name: &str,
        lane_count: usize,
    ) -> io::Result<Self> {
        let panics = Arc::new(AtomicU64::new(0));
        let (mut senders, mut handles) = (Vec::new(), Vec::new());
        for lane in 0..lane_count {
            let (sender, handle) = threads::start(&scheduler, format!("{name}-{lane}"), &panics)?;
            senders.push(Some(sender));
            handles.push(handle);
        }
        let lanes = Lanes::Threads {
            senders: RwLock::new(senders),
            threads: Mutex::new(handles),
        };
        Ok(Self {
            scheduler,
            lanes: Arc::new(lanes),
            panics,
        })
    }

    pub(crate) fn stepped(scheduler: Scheduler, stepper: &Arc<Stepper>, lane_count: usize) -> Self {
        let panics = Arc::new(AtomicU64::new(0));
        let lanes = Lanes::Stepped {
            pool: stepper.add_pool(lane_count, &panics),
            stepper: Arc::clone(stepper),
        };
        Self {
            scheduler,
            lanes: Arc::new(lanes),
            panics,
        }
    }

    /// The scheduler this pool was made of.
    #[must_use]
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Queues `task` on `lane`, counted from 0. Dropped unrun if there is no such lane, or after
    /// [`shutdown`](Self::shutdown).
    pub fn submit(&self, lane: usize, task: impl FnOnce() + Send + 'static) {
        self.send(lane, Box::new(task), None);
    }

    /// Queues `task` on `lane` for when `delay` has passed. Dropped unrun by `shutdown`.
    pub fn submit_after(&self, lane: usize, delay: Duration, task: impl FnOnce() + Send + 'static) {
        self.send(lane, Box::new(task), Some(delay));
    }

    fn send(&self, lane: usize, task: crate::lane::Task, delay: Option<Duration>) {
        match &*self.lanes {
            Lanes::Threads { senders, .. } => {
                let message = match delay {
                    None => Message::Run(task),
                    Some(delay) => Message::RunAt(self.scheduler.now() + delay, task),
                };
                let senders = senders.read().unwrap_or_else(PoisonError::into_inner);
                let refused = match senders.get(lane).and_then(Option::as_ref) {
                    Some(sender) => sender.send(message).err().map(|error| error.0),
                    None => Some(message),
                };
                // The task may own what submits again when dropped: let go of the lock first.
                drop(senders);
                drop(refused);
            }
            Lanes::Stepped { stepper, pool } => {
                drop(stepper.submit(*pool, lane, task, delay));
            }
        }
    }

    /// Waits for what background work gives, and returns it.
    ///
    /// On threads that is one call of `block`, which waits as it likes and returns what was given.
    /// Stepped, other tasks run until `poll` returns it.
    ///
    /// # Errors
    /// [`Stalled`], on a stepped scheduler, when nothing is left to run and `poll` still returns
    /// `None`.
    pub fn wait<T>(
        &self,
        mut poll: impl FnMut() -> Option<T>,
        block: impl FnOnce() -> T,
    ) -> Result<T, Stalled> {
        match &self.scheduler.kind {
            Kind::Threads(_) => Ok(block()),
            Kind::Stepped(stepper) => loop {
                if let Some(given) = poll() {
                    return Ok(given);
                }
                if !stepper.step() {
                    return Err(Stalled);
                }
            },
        }
    }

    /// How many tasks have panicked so far.
    #[must_use]
    pub fn panic_count(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Runs what is queued, drops what is only delayed, joins the threads. Idempotent.
    ///
    /// Lanes end in their order, so a task may still submit to a lane with a higher number.
    /// Must not be called from one of the pool's own tasks.
    pub fn shutdown(&self) {
        match &*self.lanes {
            Lanes::Threads { senders, threads } => {
                let threads =
                    std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner));
                for (lane, thread) in threads.into_iter().enumerate() {
                    let sender = senders
                        .write()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get_mut(lane)
                        .and_then(Option::take);
                    if let Some(sender) = sender {
                        // A lane that has already ended needs no telling.
                        let _ = sender.send(Message::Stop);
                    }
                    // Panics of tasks are caught in the lane: there is nothing to learn here.
                    let _ = thread.join();
                }
            }
            Lanes::Stepped { stepper, pool } => stepper.remove_pool(*pool),
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("scheduler", &self.scheduler)
            .finish_non_exhaustive()
    }
}
