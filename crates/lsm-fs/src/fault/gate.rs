//! Held operations: a gate that calls wait at until a test opens it.
//!
//! Threads: the callers of the file system wait here; the test opens. A gate's own lock is taken
//! last and held only to look at two numbers, never across a call.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::control::Control;
use super::event::{Event, Operation};
use super::rule::PathFilter;

/// Operations that are being held; dropping it lets them go.
///
/// Made by [`FaultFs::park`](crate::FaultFs::park).
pub struct Parked {
    gate: Arc<Gate>,
    control: Arc<Control>,
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked")
            .field("operation", &self.gate.operation)
            .field("arrival_count", &self.arrival_count())
            .finish_non_exhaustive()
    }
}

impl Parked {
    pub(super) fn new(control: Arc<Control>, operation: Operation, filter: PathFilter) -> Self {
        let state = Mutex::new(GateState {
            arrivals: 0,
            is_open: false,
        });
        let gate = Arc::new(Gate {
            operation,
            filter,
            state,
            changed: Condvar::new(),
        });
        control.with(|control| control.gates.push(Arc::clone(&gate)));
        Self { gate, control }
    }

    /// Waits until at least one operation is held, for as long as it takes.
    pub fn wait_for_arrival(&self) {
        let gate = &*self.gate;
        let state = gate.lock();
        drop(gate.changed.wait_while(state, |state| state.arrivals == 0));
    }

    /// Waits until at least one operation is held, or `timeout` has passed; says whether one is.
    ///
    /// For a test that would rather fail than hang.
    pub fn wait_for_arrival_timeout(&self, timeout: Duration) -> bool {
        let gate = &*self.gate;
        let state = gate.lock();
        let waited = gate
            .changed
            .wait_timeout_while(state, timeout, |state| state.arrivals == 0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.arrivals > 0
    }

    /// How many operations are being held.
    pub fn arrival_count(&self) -> u64 {
        self.gate.lock().arrivals
    }

    /// Lets all held operations go, and holds no more.
    pub fn release(self) {}
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.control
            .with(|control| control.gates.retain(|gate| !Arc::ptr_eq(gate, &self.gate)));
        self.gate.open();
    }
}

/// Where operations of one kind wait.
pub(super) struct Gate {
    operation: Operation,
    filter: PathFilter,
    state: Mutex<GateState>,
    changed: Condvar,
}

struct GateState {
    arrivals: u64,
    is_open: bool,
}

impl Gate {
    pub(super) fn holds(&self, event: &Event<'_>) -> bool {
        event.is(self.operation, &self.filter)
    }

    /// Waits until the gate is open.
    pub(super) fn pass(&self) {
        let mut state = self.lock();
        state.arrivals += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.is_open));
    }

    fn open(&self) {
        self.lock().is_open = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
