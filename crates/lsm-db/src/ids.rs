//! Run ids, segment ids and seqnos: given out once, never again, not even across a crash.
//!
//! The manifest holds a ceiling for each; what is below it may have been given out. A block is
//! reserved at the first use and topped up with the edits of flushes and compactions, so that a
//! commit waits for a reservation only when it is the first after an open.

use std::sync::Mutex;

use lsm_version::{Ceilings, RUN_ID_MAX};

use crate::sync::locked;

const RUN_ID_BLOCK: u64 = 1 << 10;
const SEGMENT_ID_BLOCK: u64 = 1 << 10;
const SEQNO_BLOCK: u64 = 1 << 32;

#[derive(Debug)]
pub(crate) struct Ids {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: Ceilings,
    ceilings: Ceilings,
}

impl Ids {
    /// Nothing below `ceilings` is given out; the first use reserves.
    pub(crate) fn above(ceilings: Ceilings) -> Self {
        Self {
            state: Mutex::new(State {
                next: ceilings,
                ceilings,
            }),
        }
    }

    /// The next run id, or `None` if a reservation must come first.
    pub(crate) fn take_run_id(&self) -> Option<u64> {
        let mut state = locked(&self.state);
        let id = state.next.run_id;
        (id < state.ceilings.run_id).then(|| {
            state.next.run_id += 1;
            id
        })
    }

    /// The next segment id, or `None` if a reservation must come first.
    pub(crate) fn take_segment_id(&self) -> Option<u64> {
        let mut state = locked(&self.state);
        let id = state.next.segment_id;
        (id < state.ceilings.segment_id).then(|| {
            state.next.segment_id += 1;
            id
        })
    }

    /// The first of `count` seqnos in a row, or `None` if a reservation must come first.
    pub(crate) fn take_seqnos(&self, count: u64) -> Option<u64> {
        let mut state = locked(&self.state);
        let first = state.next.seqno;
        let end = first.checked_add(count)?;
        (end <= state.ceilings.seqno).then(|| {
            state.next.seqno = end;
            first
        })
    }

    /// The ceilings to reserve next, or `None` while more than half a block of each is left.
    pub(crate) fn wanted(&self) -> Option<Ceilings> {
        let state = locked(&self.state);
        let low = |next: u64, ceiling: u64, block: u64| ceiling - next < block / 2;
        let (next, now) = (state.next, state.ceilings);
        let any_low = low(next.run_id, now.run_id, RUN_ID_BLOCK)
            || low(next.segment_id, now.segment_id, SEGMENT_ID_BLOCK)
            || low(next.seqno, now.seqno, SEQNO_BLOCK);
        any_low.then(|| Ceilings {
            run_id: next.run_id.saturating_add(RUN_ID_BLOCK).min(RUN_ID_MAX + 1),
            segment_id: next.segment_id.saturating_add(SEGMENT_ID_BLOCK),
            seqno: next.seqno.saturating_add(SEQNO_BLOCK),
        })
    }

    /// `ceilings` are durable: what is below them may be given out.
    pub(crate) fn reserved(&self, ceilings: Ceilings) {
        let mut state = locked(&self.state);
        state.ceilings = Ceilings {
            run_id: state.ceilings.run_id.max(ceilings.run_id),
            segment_id: state.ceilings.segment_id.max(ceilings.segment_id),
            seqno: state.ceilings.seqno.max(ceilings.seqno),
        };
    }

    /// The first of each that was not given out: what a clean close records.
    pub(crate) fn next(&self) -> Ceilings {
        locked(&self.state).next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_out_before_it_is_reserved_and_nothing_twice() {
        let start = Ceilings {
            run_id: 7,
            segment_id: 3,
            seqno: 100,
        };
        let ids = Ids::above(start);
        assert_eq!(ids.take_run_id(), None);
        assert_eq!(ids.take_seqnos(1), None);
        let wanted = ids.wanted().unwrap();
        ids.reserved(wanted);
        assert_eq!(ids.wanted(), None);
        assert_eq!((ids.take_run_id(), ids.take_run_id()), (Some(7), Some(8)));
        assert_eq!(ids.take_segment_id(), Some(3));
        assert_eq!(
            (ids.take_seqnos(5), ids.take_seqnos(1)),
            (Some(100), Some(105))
        );
        assert_eq!(ids.take_seqnos(SEQNO_BLOCK), None);
        assert_eq!(ids.next().seqno, 106);
    }
}
