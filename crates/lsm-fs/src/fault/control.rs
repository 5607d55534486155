//! What happens to each operation before and after it reaches the file system underneath.
//!
//! Called by `FaultFs` and its files. An operation is counted, then the hook sees it, then it waits
//! at the gates, then the rules judge it, then it happens or fails, then the trace has it, then the
//! hook behind it sees how it went.
//!
//! Threads: any. The state's lock is held while counting, matching and recording, never while a
//! hook runs, at a gate, or in the file system underneath.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::event::{Event, Operation, TraceEvent};
use super::gate::Gate;
use super::rule::{Rule, Verdict};

pub(super) type Hook = Arc<dyn Fn(&Event<'_>) + Send + Sync>;
pub(super) type HookAfter = Arc<dyn Fn(&Event<'_>, bool) + Send + Sync>;

/// The one state behind all clones of a `FaultFs` and all its files.
#[derive(Default)]
pub(super) struct Control {
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) operations: u64,
    pub(super) mutations: u64,
    /// How many handles have been given out.
    pub(super) handles: u64,
    pub(super) by_kind: BTreeMap<Operation, u64>,
    pub(super) rules: Vec<Rule>,
    pub(super) gates: Vec<Arc<Gate>>,
    pub(super) hook: Option<Hook>,
    pub(super) hook_after: Option<HookAfter>,
    pub(super) trace: Trace,
}

/// The operations that have ended, as many as were asked for.
#[derive(Debug, Default)]
pub(super) struct Trace {
    events: Vec<TraceEvent>,
    events_max: usize,
}

impl Trace {
    pub(super) fn start(&mut self, events_max: usize) {
        *self = Self {
            events: Vec::new(),
            events_max,
        };
    }

    pub(super) fn take(&mut self) -> Vec<TraceEvent> {
        std::mem::take(&mut self.events)
    }

    fn push(&mut self, event: &Event<'_>, ok: bool) {
        if self.events.len() < self.events_max {
            self.events.push(TraceEvent::new(event, ok));
        }
    }
}

impl Control {
    /// Reads or changes the state.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does `perform`, unless a fault is due; then `instead` happens, if the fault has no effect of
    /// its own. For everything but appends, which can be half done.
    pub(super) fn run<T>(
        &self,
        mut event: Event<'_>,
        perform: impl FnOnce() -> io::Result<T>,
        instead: impl FnOnce(),
    ) -> io::Result<T> {
        let result = match self.admit(&mut event) {
            Verdict::Proceed | Verdict::ShortWrite { .. } => perform(),
            Verdict::Fail(fault) => {
                if fault.takes_effect() {
                    perform().and_then(|_| Err(fault.error()))
                } else {
                    instead();
                    Err(fault.error())
                }
            }
        };
        self.record(&event, result.is_ok());
        result
    }

    /// Everything that comes before the operation; numbers the event.
    pub(super) fn admit(&self, event: &mut Event<'_>) -> Verdict {
        let hook = self.with(|state| {
            event.index = state.operations;
            state.operations += 1;
            if event.operation.is_mutating() {
                event.mutation_index = Some(state.mutations);
                state.mutations += 1;
            }
            *state.by_kind.entry(event.operation).or_default() += 1;
            state.hook.clone()
        });
        if let Some(hook) = hook {
            hook(event);
        }
        self.wait_at_gates(event);
        self.with(|state| {
            let rules = &mut state.rules;
            let mut verdicts = rules.iter_mut().map(|rule| rule.judge(event));
            let verdict = verdicts.find(|verdict| !matches!(verdict, Verdict::Proceed));
            rules.retain(|rule| !rule.is_spent());
            verdict.unwrap_or(Verdict::Proceed)
        })
    }

    /// Everything that comes after it.
    pub(super) fn record(&self, event: &Event<'_>, ok: bool) {
        let hook = self.with(|state| {
            state.trace.push(event, ok);
            state.hook_after.clone()
        });
        if let Some(hook) = hook {
            hook(event, ok);
        }
    }

    fn wait_at_gates(&self, event: &Event<'_>) {
        let gates: Vec<_> = self.with(|state| {
            state
                .gates
                .iter()
                .filter(|gate| gate.holds(event))
                .map(Arc::clone)
                .collect()
        });
        for gate in gates {
            gate.pass();
        }
    }
}
