//! Scenarios of compactions: merges of each kind, moves, and those that leave nothing.
//!
//! Part of the catalogue; plain data.

use lsm_db::Durability::{Buffered, Sync};

use super::{VALUE_BYTES, delete, deletes, eager, plain, put, puts, scenario};
use crate::crash::{Scenario, Step};

const LARGE_VALUE_BYTES: usize = 8 << 10;

/// A last level of more than 128 KiB: too large for level 0 to be merged into it directly, so that
/// there are levels in between.
fn deep(steps: Vec<Step>) -> Scenario {
    let config = eager()
        .run_bytes_target(64 << 10)
        .level_fanout(2)
        .memtable_capacity(64 << 10);
    let large = |keys| puts(keys, LARGE_VALUE_BYTES, Buffered);
    Scenario {
        before: vec![
            Step::Configure(config.clone().compaction_trigger(usize::MAX)),
            large(0..20),
            Step::Compact(0, 255),
            Step::Configure(config.clone()),
        ],
        ..scenario("deep", config, steps)
    }
}

/// Every kind of compaction.
pub(super) fn compactions() -> Vec<Scenario> {
    let overlapping = || {
        vec![
            puts([1, 3, 5], VALUE_BYTES, Sync),
            Step::Flush,
            puts([2, 3], VALUE_BYTES, Buffered),
            delete(1, Buffered),
            Step::Flush,
            Step::Settle,
            put(3, Buffered),
        ]
    };
    vec![
        Scenario {
            reaches: |reached| reached.compactions >= 1 && reached.runs.first() == Some(&0),
            ..scenario("merge-of-level-0", eager(), overlapping())
        },
        Scenario {
            reaches: |reached| reached.compactions >= 1 && reached.runs.last() >= Some(&3),
            ..scenario(
                "merge-into-several-runs",
                eager().run_bytes_target(1),
                overlapping(),
            )
        },
        Scenario {
            reaches: |reached| reached.compactions == 0 && reached.runs.last() == Some(&2),
            ..scenario(
                "trivial-move",
                // So small that nothing is joined afterwards.
                eager().run_bytes_target(400),
                vec![
                    puts(0..3, VALUE_BYTES, Sync),
                    Step::Flush,
                    puts(5..8, VALUE_BYTES, Sync),
                    Step::Flush,
                    Step::Settle,
                    put(6, Sync),
                ],
            )
        },
        Scenario {
            reaches: |reached| reached.compactions == 1 && reached.runs == [0, 0, 0, 0, 0, 0, 1],
            ..scenario(
                "join-of-neighbours",
                eager(),
                vec![
                    puts(0..3, VALUE_BYTES, Sync),
                    Step::Flush,
                    puts(5..8, VALUE_BYTES, Buffered),
                    Step::Flush,
                    Step::Settle,
                    put(4, Sync),
                ],
            )
        },
        Scenario {
            reaches: |reached| reached.compactions == 1 && reached.runs.is_empty(),
            ..scenario(
                "merge-to-nothing",
                eager(),
                vec![
                    puts(0..3, VALUE_BYTES, Sync),
                    Step::Flush,
                    deletes(0..3),
                    Step::Flush,
                    Step::Settle,
                ],
            )
        },
        Scenario {
            reaches: |reached| reached.compactions >= 1 && reached.runs == [1, 0, 0, 0, 0, 0, 1],
            ..scenario(
                "compaction-on-demand",
                plain(),
                vec![
                    puts(0..4, VALUE_BYTES, Sync),
                    Step::Flush,
                    puts(3..8, VALUE_BYTES, Buffered),
                    delete(2, Buffered),
                    Step::Compact(0, 4),
                    put(9, Buffered),
                    Step::Flush,
                ],
            )
        },
        Scenario {
            name: "merge-between-deeper-levels",
            // Two flushes are one merge out of level 0; the second one goes further down.
            reaches: |reached| reached.compactions >= 2 && reached.flushes == 2,
            ..deep(vec![
                puts(0..5, LARGE_VALUE_BYTES, Buffered),
                Step::Flush,
                puts(3..13, LARGE_VALUE_BYTES, Buffered),
                Step::Flush,
                Step::Settle,
            ])
        },
        Scenario {
            name: "tombstones-go-down",
            reaches: |reached| reached.compactions >= 1 && reached.runs.first() == Some(&0),
            ..deep(vec![
                deletes(3..12),
                Step::Flush,
                deletes(8..15),
                Step::Flush,
                Step::Settle,
            ])
        },
        Scenario {
            reaches: |reached| reached.compactions >= 2 && reached.flushes >= 5,
            ..scenario(
                "everything-in-the-background",
                eager().memtable_capacity(300).run_bytes_target(200),
                (0..24)
                    .map(|age: u8| match age % 6 {
                        5 => Step::Background(2),
                        4 => delete(age % 5, Buffered),
                        3 => put(age % 7, Sync),
                        _ => put(age % 7, Buffered),
                    })
                    .collect(),
            )
        },
    ]
}
