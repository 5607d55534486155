//! Lanes that run only when stepped: one queue for all pools of a scheduler, a seeded choice of
//! the lane that goes next, and a virtual clock.
//!
//! No lock is held while a task runs, so a task may submit, wait and step in turn. A lane whose
//! task is running (further up the stack, or on another thread) is passed over: lanes stay serial.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lane::{self, LaneQueue, Task};

pub(crate) struct Stepper {
    state: Mutex<State>,
}

struct State {
    lanes: Vec<Lane>,
    next_pool: u64,
    random: u64,
    now: Duration,
}

struct Lane {
    pool: u64,
    index: usize,
    queue: LaneQueue,
    running: bool,
    panics: Arc<AtomicU64>,
}

impl Stepper {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(State {
                lanes: Vec::new(),
                next_pool: 0,
                random: seed,
                now: Duration::ZERO,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_pool(&self, lane_count: usize, panics: &Arc<AtomicU64>) -> u64 {
        let mut state = self.state();
        let pool = state.next_pool;
        state.next_pool += 1;
        state.lanes.extend((0..lane_count).map(|index| Lane {
            pool,
            index,
            queue: LaneQueue::default(),
            running: false,
            panics: Arc::clone(panics),
        }));
        pool
    }

    /// Queues a task; gives it back if the pool is gone.
    pub(crate) fn submit(
        &self,
        pool: u64,
        index: usize,
        task: Task,
        delay: Option<Duration>,
    ) -> Result<(), Task> {
        let mut state = self.state();
        let due = delay.map(|delay| state.now + delay);
        match state.lane_mut(pool, index) {
            Some(lane) => {
                lane.queue.push(task, due);
                Ok(())
            }
            None => Err(task),
        }
    }

    /// Runs one task; with none due, moves the clock to the next delayed one first.
    pub(crate) fn step(&self) -> bool {
        if self.step_due() {
            return true;
        }
        let next = {
            let state = self.state();
            let idle = state.lanes.iter().filter(|lane| !lane.running);
            idle.filter_map(|lane| lane.queue.next_due()).min()
        };
        match next {
            Some(due) => {
                self.advance_to(due);
                self.step_due()
            }
            None => false,
        }
    }

    /// Runs one task that is due now, if there is one.
    pub(crate) fn step_due(&self) -> bool {
        self.step_where(|_| true)
    }

    fn step_where(&self, eligible: impl Fn(&Lane) -> bool) -> bool {
        let Some((pool, index, task, panics)) = self.state().take_due(eligible) else {
            return false;
        };
        lane::run(task, &panics);
        if let Some(lane) = self.state().lane_mut(pool, index) {
            lane.running = false;
        }
        true
    }

    pub(crate) fn now(&self) -> Duration {
        self.state().now
    }

    pub(crate) fn draw(&self) -> u64 {
        self.state().draw()
    }

    pub(crate) fn advance_to(&self, time: Duration) {
        let mut state = self.state();
        state.now = state.now.max(time);
    }

    /// Runs what the pool has queued, drops what is only delayed, and forgets its lanes.
    pub(crate) fn remove_pool(&self, pool: u64) {
        // Tasks may own things whose drop calls back in here: never drop them under the lock.
        let delayed: Vec<Task> = {
            let mut state = self.state();
            let lanes = state.lanes.iter_mut().filter(|lane| lane.pool == pool);
            lanes.flat_map(|lane| lane.queue.drop_delayed()).collect()
        };
        drop(delayed);
        while self.step_where(|lane| lane.pool == pool) {}
        let removed: Vec<Lane> = {
            let mut state = self.state();
            let (gone, kept) = std::mem::take(&mut state.lanes)
                .into_iter()
                .partition(|lane| lane.pool == pool);
            state.lanes = kept;
            gone
        };
        drop(removed);
    }
}

impl State {
    fn lane_mut(&mut self, pool: u64, index: usize) -> Option<&mut Lane> {
        self.lanes
            .iter_mut()
            .find(|lane| lane.pool == pool && lane.index == index)
    }

    fn take_due(
        &mut self,
        eligible: impl Fn(&Lane) -> bool,
    ) -> Option<(u64, usize, Task, Arc<AtomicU64>)> {
        let now = self.now;
        let may_run = |lane: &Lane| !lane.running && lane.queue.has_due(now) && eligible(lane);
        let count = self.lanes.iter().filter(|lane| may_run(lane)).count();
        if count == 0 {
            return None;
        }
        let chosen = usize::try_from(self.draw() % count as u64).unwrap_or(0);
        let lane = self
            .lanes
            .iter_mut()
            .filter(|lane| may_run(lane))
            .nth(chosen)?;
        let task = lane.queue.pop(now)?;
        lane.running = true;
        Some((lane.pool, lane.index, task, Arc::clone(&lane.panics)))
    }

    /// SplitMix64: small, seedable, and good enough to shuffle a handful of lanes.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
