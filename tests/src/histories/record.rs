//! Operations with their times, as the history that the search reads and as text for people.

use std::time::Duration;

use todc_utils::linearizability::history::{Action, History};

use super::object::{Change, KEYS, Operation, Through};

/// One operation of one thread.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The number of the thread.
    pub(super) process: usize,
    /// The number of the group.
    pub(super) group: usize,
    pub(super) operation: Operation,
    /// When it was called, and when it was answered, since the round began.
    pub(super) called: Duration,
    pub(super) answered: Duration,
}

/// `records` between a write of what was there before and a read of what is there after, both of
/// which nothing overlaps.
pub(super) fn history(
    start: [Option<u64>; KEYS],
    records: &[Record],
    end: [Option<u64>; KEYS],
) -> History<Operation> {
    let mut events: Vec<(Duration, usize, Action<Operation>)> = Vec::new();
    for record in records {
        let operation = || record.operation.clone();
        events.push((record.called, record.process, Action::Call(operation())));
        events.push((
            record.answered,
            record.process,
            Action::Response(operation()),
        ));
    }
    // Of two events at one instant the call counts as the earlier: then the two overlap, and either
    // order is allowed.
    events.sort_by_key(|(at, _, action)| (*at, matches!(action, Action::Response(_))));
    let around = |operation: Operation| {
        [
            (0, Action::Call(operation.clone())),
            (0, Action::Response(operation)),
        ]
    };
    let events = events
        .into_iter()
        .map(|(_, process, action)| (process, action));
    let actions = around(first(start)).into_iter();
    let actions = actions.chain(events).chain(around(last(end)));
    History::from_actions(actions.collect())
}

fn first(start: [Option<u64>; KEYS]) -> Operation {
    Operation::Write(start.map(|value| value.map_or(Change::Delete, Change::Put)))
}

fn last(end: [Option<u64>; KEYS]) -> Operation {
    Operation::Read {
        through: Through::MultiGet,
        found: end,
    }
}

/// The same for people, a line for each operation.
pub(super) fn display(
    start: [Option<u64>; KEYS],
    records: &[Record],
    end: [Option<u64>; KEYS],
) -> String {
    let lines = records.iter().map(|record| {
        format!(
            "{:>10} to {:>10} ns, thread {}: {}",
            record.called.as_nanos(),
            record.answered.as_nanos(),
            record.process,
            record.operation
        )
    });
    let lines = std::iter::once(format!("before: {start:?}"))
        .chain(lines)
        .chain([format!("after: {end:?}")]);
    lines.collect::<Vec<_>>().join("\n")
}
