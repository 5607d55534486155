//! Scenarios of conditional writes: met and unmet, over memtables, runs and levels, and what their
//! answers promise.
//!
//! Part of the catalogue; plain data.

use lsm_db::Durability::{self, Buffered, Sync};

use super::{VALUE_BYTES, delete, eager, plain, put, scenario};
use crate::crash::{Scenario, Step};

/// A put of the keys `writes` if all of `requires` is met (true).
fn put_if<const N: usize>(
    requires: [(u8, bool); N],
    writes: &[u8],
    durability: Durability,
) -> Step {
    let writes = writes.iter().map(|key| (*key, Some(VALUE_BYTES)));
    Step::Conditional(requires.to_vec(), writes.collect(), durability)
}

/// A delete of `key` if it has the value that it has.
fn delete_if(key: u8, is_met: bool, durability: Durability) -> Step {
    Step::Conditional(vec![(key, is_met)], vec![(key, None)], durability)
}

/// Batches with requirements.
pub(super) fn conditions() -> Vec<Scenario> {
    vec![
        Scenario {
            reaches: |reached| reached.flushes >= 3 && reached.compactions >= 1,
            ..scenario(
                "conditions",
                eager(),
                vec![
                    put(1, Buffered),
                    put_if([(2, true)], &[2], Sync),
                    put_if([(1, true), (2, true)], &[1, 3], Buffered),
                    // Its answer, too, makes what it saw durable.
                    put_if([(3, false)], &[4], Sync),
                    delete_if(1, true, Buffered),
                    delete_if(2, false, Buffered),
                    Step::Flush,
                    // From a run: a tombstone and a value.
                    put_if([(1, true), (3, true)], &[1, 5], Buffered),
                    put_if([(5, true)], &[], Sync),
                    delete(3, Buffered),
                    Step::Flush,
                    Step::Settle,
                    // From a deeper level.
                    put_if([(2, true), (3, true)], &[2], Sync),
                    put_if([(1, true), (3, false)], &[6], Buffered),
                    put_if([(2, true), (6, true)], &[6, 7], Buffered),
                    Step::Flush,
                    put_if([(7, true)], &[7], Buffered),
                ],
            )
        },
        Scenario {
            reaches: |reached| reached.segments_created >= 4,
            ..scenario(
                "checks-over-rotated-segments",
                plain().memtable_capacity(150),
                vec![
                    put(1, Buffered),
                    put(2, Buffered),
                    put(1, Buffered),
                    put(3, Buffered),
                    put_if([(1, true)], &[], Sync),
                    put(4, Buffered),
                    put(5, Buffered),
                    put(4, Buffered),
                    put_if([(5, false)], &[6], Sync),
                    put_if([(5, true), (6, true)], &[6], Buffered),
                    put_if([(6, true)], &[], Buffered),
                    put_if([(1, true)], &[1], Sync),
                ],
            )
        },
    ]
}
