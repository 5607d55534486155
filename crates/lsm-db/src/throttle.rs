//! Back-pressure: what a writer waits, before it writes, for work that is behind.
//!
//! One smooth curve of the debt that compaction can reduce and of the memory that waits for its
//! flush. Only where memory would grow without bound does a writer wait for a flush to end; if
//! flushes are failing it gets their error instead.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lsm_compact::{PressureOptions, delay};

use crate::engine::Engine;
use crate::{LsmConfig, Result};

/// Memtables that may wait for their flush before writers wait for one to end.
const SEALED_MAX: usize = 8;

/// A memtable's capacity as the curve sees it, at least: a tiny one shall not slow every write.
const CAPACITY_BYTES_MIN: u64 = 1 << 20;

pub(crate) fn pressure_options(config: &LsmConfig) -> PressureOptions {
    let capacity_bytes = (config.memtable_capacity_bytes() as u64).max(CAPACITY_BYTES_MIN);
    let trigger = config.compaction_trigger_runs();
    PressureOptions {
        l0_runs_soft: trigger.saturating_mul(3),
        l0_runs_hard: trigger.saturating_mul(12),
        unflushed_bytes_soft: capacity_bytes,
        unflushed_bytes_hard: capacity_bytes.saturating_mul(SEALED_MAX as u64 / 2),
        ..PressureOptions::default()
    }
}

impl Engine {
    /// Slows a write of `bytes` down as far as background work is behind.
    pub(crate) fn throttle(self: &Arc<Self>, bytes: u64) -> Result<()> {
        self.health.check()?;
        let attempts = [&self.flushes.attempts, &self.compactions];
        if let Some(error) = attempts.iter().find_map(|lane| lane.take_unreported()) {
            return Err(error.duplicate());
        }
        let (sealed, sealed_bytes) = {
            let view = self.view();
            (view.sealed.len(), view.sealed_bytes())
        };
        if sealed >= SEALED_MAX {
            self.wait_for_room()?;
        }
        let (debt, options) = (self.debt(), &self.pressure_options);
        let delay = delay(debt.bytes, debt.l0_runs, sealed_bytes, bytes, options);
        if delay > Duration::ZERO {
            self.note_stall(delay);
            self.pool.scheduler().sleep(delay);
        }
        Ok(())
    }

    fn wait_for_room(self: &Arc<Self>) -> Result<()> {
        let start = self.pool.scheduler().now();
        self.wait_for(|| {
            self.view().sealed.len() < SEALED_MAX
                || self.flushes.attempts.latest().is_some()
                || self.health.is_poisoned()
        })?;
        self.note_stall(self.pool.scheduler().now().saturating_sub(start));
        self.health.check()?;
        if self.view().sealed.len() < SEALED_MAX {
            return Ok(());
        }
        // Not waiting for space: the retries go on, and so may the writer, later.
        match self.flushes.attempts.latest() {
            Some(error) => Err(error.duplicate()),
            None => Ok(()),
        }
    }

    fn note_stall(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counters.stalls.fetch_add(1, Ordering::Relaxed);
        self.counters
            .stalled_nanos
            .fetch_add(nanos, Ordering::Relaxed);
    }
}
