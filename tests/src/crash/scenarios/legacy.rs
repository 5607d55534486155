//! Scenarios that begin with a directory of `lsm-db` 1.x: its takeover, and what comes after.
//!
//! Part of the catalogue; plain data.

use lsm_db::Durability::{Buffered, Sync};

use super::{VALUE_BYTES, delete, eager, plain, put, puts, reopen, scenario};
use crate::crash::{Ending, Scenario, Step};

/// The takeover of each kind of directory, interrupted and failed at each of its operations.
pub(super) fn takeovers() -> Vec<Scenario> {
    let of = |name, directory, config, steps| Scenario {
        directory: Some(directory),
        ..scenario(name, config, steps)
    };
    let settled = || vec![Step::Settle];
    vec![
        Scenario {
            reaches: |reached| reached.manifests_built == 1 && reached.flushes == 0,
            ..of("legacy-flushed", "db-flushed", plain(), settled())
        },
        Scenario {
            reaches: |reached| reached.flushes == 1 && reached.runs == [1, 0, 0, 0, 0, 0, 1],
            ..of("legacy-compacted", "db-compacted", plain(), settled())
        },
        Scenario {
            reaches: |reached| reached.flushes == 1 && reached.runs == [1],
            ..of("legacy-with-log", "db-with-log", plain(), settled())
        },
        Scenario {
            reaches: |reached| reached.flushes == 1 && reached.runs.first() == Some(&5),
            ..of(
                "legacy-flushed-and-log",
                "db-flushed+db-with-log",
                plain(),
                settled(),
            )
        },
        Scenario {
            reaches: |reached| reached.compactions >= 1,
            ..of(
                "legacy-unnamed",
                "db-flushed+unnamed",
                eager(),
                vec![
                    reopen(Ending::Kill),
                    put(1, Sync),
                    Step::Flush,
                    reopen(Ending::Close),
                    put(2, Sync),
                    Step::Settle,
                ],
            )
        },
        of(
            "legacy-without-a-log-of-ours",
            "db-compacted",
            plain().wal(false),
            vec![put(1, Buffered), Step::Flush],
        ),
        Scenario {
            reaches: |reached| reached.flushes >= 2 && reached.segments_created >= 2,
            ..of(
                "legacy-and-then",
                "db-flushed+db-with-log",
                plain(),
                vec![
                    put(1, Sync),
                    delete(2, Buffered),
                    reopen(Ending::Kill),
                    puts(0..4, VALUE_BYTES, Sync),
                    Step::Flush,
                    put(2, Buffered),
                    reopen(Ending::Close),
                    put(3, Sync),
                ],
            )
        },
        Scenario {
            reaches: |reached| reached.compactions >= 1,
            ..of(
                "legacy-compacted-by-us",
                "db-flushed",
                eager(),
                vec![put(1, Sync), Step::Flush, Step::Settle],
            )
        },
    ]
}
