//! Back-pressure: what a writer waits, before it writes, for work that is behind.
//!
//! One smooth curve of the debt that compaction can reduce and of the memory that waits for its
//! flush says how fast all writers together may go; each takes its turn on one clock. At half the
//! curve that is as fast as compaction lately took bytes out of level 0. Where nothing is behind, a
//! writer looks at two numbers and goes on.
//!
//! Why no write waits for long, the time inside calls of the file system not counted:
//!
//! 1. Its turn is at most [`DELAY_MAX`] away, however much is behind and however many write. (So a
//!    rate that is lower than one write of each writer in that time can't be held. Those are very
//!    many writers, or very large batches.)
//! 2. It is then behind the group that is being committed, and in the next one, unless more than
//!    a group's bytes wait. A group is copied in a few milliseconds.
//! 3. The leader of a group takes no lock that is held over a call of the file system by somebody
//!    else (ids are reserved ahead, by the edits of flushes), frees no memtable and closes no file
//!    whose name is gone: the reaper does.
//! 4. Only where memory would grow without bound does a writer wait for a flush to end, however
//!    long the disk takes for it; if flushes are failing it gets their error instead. The curve ends
//!    at half as many memtables, so this takes writers that 1 does not hold, or memtables of a few
//!    writes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lsm_compact::{Outflow, PressureOptions, Turn, pressure, share};

use crate::engine::{Debt, Engine};
use crate::sync::locked;
use crate::{LsmConfig, Result};

/// Memtables that may wait for their flush before writers wait for one to end.
const SEALED_MAX: usize = 8;

/// A memtable's capacity as the curve sees it, at least: a tiny one shall not slow every write.
const CAPACITY_BYTES_MIN: u64 = 1 << 20;

/// The longest wait for a turn.
const DELAY_MAX: Duration = Duration::from_millis(50);

/// Writers are slowed down from the trigger on, when level 0 begins to have work to do, and as far
/// as can be at this many times as many runs. Halfway are two and a half times as many: one
/// job's worth and a half, which compaction merges within seconds when the writers stop.
const L0_HARD_TRIGGERS: usize = 4;

fn pressure_options(config: &LsmConfig) -> PressureOptions {
    let capacity_bytes = (config.memtable_capacity_bytes() as u64).max(CAPACITY_BYTES_MIN);
    let trigger = config.compaction_trigger_runs();
    PressureOptions {
        l0_runs_soft: trigger,
        l0_runs_hard: trigger.saturating_mul(L0_HARD_TRIGGERS),
        unflushed_bytes_soft: capacity_bytes,
        unflushed_bytes_hard: capacity_bytes.saturating_mul(SEALED_MAX as u64 / 2),
        delay_max: DELAY_MAX,
        ..PressureOptions::default()
    }
}

/// How far compaction is behind and how fast it is, and whose turn it is to write.
#[derive(Debug)]
pub(crate) struct Throttle {
    options: PressureOptions,
    outflow: Mutex<Outflow>,
    /// The outflow in bytes a second, as the bits of an `f64`.
    sustained_rate: AtomicU64,
    /// The pressure of the tree, as the bits of an `f64`.
    tree_pressure: AtomicU64,
    /// The time up to which turns are given out, in nanoseconds of the scheduler's clock.
    clock_nanos: AtomicU64,
    /// Whether any memtable waits for its flush. A writer that finds none does not load the view.
    has_sealed: AtomicBool,
}

impl Throttle {
    pub(crate) fn new(config: &LsmConfig) -> Self {
        let options = pressure_options(config);
        let outflow = Outflow::assumed(options.assumed_bytes_per_second);
        Self {
            sustained_rate: AtomicU64::new(outflow.bytes_per_second().to_bits()),
            outflow: Mutex::new(outflow),
            options,
            tree_pressure: AtomicU64::new(0.0_f64.to_bits()),
            clock_nanos: AtomicU64::new(0),
            has_sealed: AtomicBool::new(false),
        }
    }

    /// Keeps in step with the view. Call it under the lock that guards changes of the view.
    pub(crate) fn note_sealed(&self, has_sealed: bool) {
        self.has_sealed.store(has_sealed, Ordering::Relaxed);
    }

    #[inline]
    fn has_sealed(&self) -> bool {
        self.has_sealed.load(Ordering::Relaxed)
    }

    /// Keeps the pressure in step with the tree.
    pub(crate) fn note_debt(&self, debt: &Debt) {
        let pressure = pressure(debt.bytes, debt.l0_runs, 0, &self.options);
        let bits = pressure.to_bits();
        self.tree_pressure.store(bits, Ordering::Relaxed);
    }

    /// Keeps the rate in step with what compaction does: a job took so long, and so many bytes out
    /// of level 0.
    pub(crate) fn note_job(&self, l0_bytes: u64, took: Duration) {
        let mut outflow = locked(&self.outflow);
        outflow.note(l0_bytes, took);
        let bits = outflow.bytes_per_second().to_bits();
        self.sustained_rate.store(bits, Ordering::Relaxed);
    }

    fn pressure(&self, unflushed_bytes: u64) -> f64 {
        let tree = f64::from_bits(self.tree_pressure.load(Ordering::Relaxed));
        tree.max(pressure(0, None, unflushed_bytes, &self.options))
    }

    /// Takes the next turn for a write of `bytes` that comes `now`. Returns how long to wait for it.
    fn take_turn(&self, bytes: u64, pressure: f64, now: Duration) -> Duration {
        let rate = f64::from_bits(self.sustained_rate.load(Ordering::Relaxed));
        let share = share(bytes, pressure, rate, &self.options);
        let mut clock_nanos = self.clock_nanos.load(Ordering::Relaxed);
        loop {
            let clock = Duration::from_nanos(clock_nanos);
            let turn = Turn::after(clock, now, share, self.options.delay_max);
            let next_nanos = u64::try_from(turn.clock.as_nanos()).unwrap_or(u64::MAX);
            // Nothing is published with a turn: it only must not be given out twice.
            match self.clock_nanos.compare_exchange_weak(
                clock_nanos,
                next_nanos,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return turn.wait,
                Err(taken_meanwhile) => clock_nanos = taken_meanwhile,
            }
        }
    }
}

impl Engine {
    /// Slows a write of `bytes` down as far as background work is behind.
    pub(crate) fn throttle(&self, bytes: u64) -> Result<()> {
        self.health.check()?;
        let attempts = [&self.flushes.attempts, &self.compactions];
        if let Some(error) = attempts.iter().find_map(|lane| lane.take_unreported()) {
            return Err(error.duplicate());
        }
        let sealed_bytes = if self.throttle.has_sealed() {
            self.wait_for_room()?
        } else {
            0
        };
        let pressure = self.throttle.pressure(sealed_bytes);
        if pressure <= 0.0 {
            return Ok(());
        }
        let scheduler = self.pool.scheduler();
        let wait = self.throttle.take_turn(bytes, pressure, scheduler.now());
        if wait > Duration::ZERO {
            self.note_stall(wait);
            scheduler.sleep(wait);
        }
        Ok(())
    }

    /// Waits while too many memtables are sealed. Returns the bytes of those that there were. If
    /// flushes are failing it does not wait for them to succeed: the retries go on, and so may the
    /// writer, later.
    fn wait_for_room(&self) -> Result<u64> {
        let (too_many, sealed_bytes) = {
            let view = self.view();
            // Newest first: once this one is flushed, one less than the maximum waits.
            let too_many = view.sealed.get(SEALED_MAX - 1).map(|logged| logged.ordinal);
            (too_many, view.sealed_bytes())
        };
        if let Some(ordinal) = too_many {
            let start = self.pool.scheduler().now();
            let flushed = self.wait(&self.tickets.take_unless_failing(ordinal));
            self.note_stall(self.pool.scheduler().now().saturating_sub(start));
            flushed?;
        }
        Ok(sealed_bytes)
    }

    fn note_stall(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counters.stalls.fetch_add(1, Ordering::Relaxed);
        self.counters
            .stalled_nanos
            .fetch_add(nanos, Ordering::Relaxed);
    }
}
