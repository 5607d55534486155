//! Scenarios of handles that end, orderly or not, and of what the next one has to make of it.
//!
//! Part of the catalogue; plain data.

use lsm_db::Durability::{Buffered, Sync};
use lsm_fs::CrashImage;

use super::{VALUE_BYTES, delete, eager, plain, put, puts, reopen, scenario};
use crate::crash::{Ending, Scenario, Step};

/// Handles that end in every way, and recoveries that are cut short.
pub(super) fn restarts() -> Vec<Scenario> {
    let lost = CrashImage::NothingUnsynced;
    let found = CrashImage::EverythingUnsynced;
    let torn = CrashImage::Sectors512 { seed: 5 };
    let without_log = || plain().wal(false);
    let a_life = || {
        vec![
            puts(0..5, VALUE_BYTES, Sync),
            Step::Flush,
            put(1, Sync),
            delete(3, Buffered),
            put(6, Buffered),
        ]
    };
    let then = |ending| [a_life(), vec![reopen(ending), put(2, Sync)]].concat();
    vec![
        scenario(
            "close",
            plain(),
            [a_life(), vec![reopen(Ending::Close)]].concat(),
        ),
        scenario(
            "reopen",
            plain(),
            [
                then(Ending::Close),
                vec![reopen(Ending::Drop), put(8, Buffered)],
            ]
            .concat(),
        ),
        Scenario {
            reaches: |reached| reached.tails_rewritten >= 1,
            ..scenario("recovery-after-a-kill", plain(), then(Ending::Kill))
        },
        Scenario {
            reaches: |reached| reached.tails_rewritten >= 1,
            ..scenario("recovery-of-a-tail", plain(), then(Ending::PowerCut(found)))
        },
        scenario(
            "recovery-without-a-tail",
            plain(),
            then(Ending::PowerCut(lost)),
        ),
        scenario(
            "recovery-of-a-torn-tail",
            plain(),
            then(Ending::PowerCut(torn)),
        ),
        scenario(
            "crash-early-in-recovery",
            plain(),
            then(Ending::PowerCutTwice(found, 2, torn)),
        ),
        scenario(
            "crash-late-in-recovery",
            plain(),
            then(Ending::PowerCutTwice(found, 7, found)),
        ),
        scenario(
            "crash-after-crash",
            plain(),
            [
                then(Ending::PowerCutTwice(found, 4, lost)),
                vec![
                    put(4, Buffered),
                    reopen(Ending::PowerCutTwice(torn, 5, CrashImage::RemovalsUndone)),
                    put(5, Buffered),
                    reopen(Ending::Kill),
                ],
            ]
            .concat(),
        ),
        Scenario {
            reaches: |reached| reached.segments_created == 0 && reached.runs == [4],
            ..scenario(
                "log-off",
                without_log(),
                vec![
                    put(1, Buffered),
                    puts(2..5, VALUE_BYTES, Buffered),
                    Step::Sync,
                    delete(3, Buffered),
                    Step::Flush,
                    put(1, Buffered),
                    reopen(Ending::Drop),
                    put(7, Buffered),
                    reopen(Ending::Close),
                ],
            )
        },
        Scenario {
            reaches: |reached| reached.segments_created >= 2 && reached.removals >= 1,
            ..scenario(
                "log-off-and-on",
                plain(),
                vec![
                    put(1, Sync),
                    put(2, Buffered),
                    Step::Configure(without_log()),
                    put(1, Buffered),
                    delete(2, Buffered),
                    Step::Flush,
                    put(3, Buffered),
                    Step::Configure(plain()),
                    put(2, Sync),
                    reopen(Ending::Kill),
                    put(1, Buffered),
                ],
            )
        },
    ]
}

/// Syncs that fail.
pub(super) fn failures() -> Vec<Scenario> {
    let cut = CrashImage::NothingUnsynced;
    let then_lose_power = || vec![put(4, Sync), reopen(Ending::PowerCut(cut)), put(5, Sync)];
    vec![
        Scenario {
            reaches: |reached| reached.poisoned,
            ..scenario(
                "failed-sync-of-the-log",
                plain(),
                [
                    vec![
                        put(1, Sync),
                        put(2, Buffered),
                        Step::FailLogSync,
                        puts(2..5, 300, Sync),
                        put(6, Sync),
                        reopen(Ending::Drop),
                    ],
                    then_lose_power(),
                ]
                .concat(),
            )
        },
        Scenario {
            reaches: |reached| reached.poisoned,
            ..scenario(
                "failed-sync-of-the-manifest",
                plain(),
                [
                    vec![
                        put(1, Sync),
                        put(2, Buffered),
                        Step::FailManifestSync,
                        Step::Flush,
                        put(3, Sync),
                        reopen(Ending::Drop),
                    ],
                    then_lose_power(),
                ]
                .concat(),
            )
        },
        Scenario {
            reaches: |reached| reached.poisoned,
            ..scenario(
                "failed-sync-of-a-compaction",
                eager(),
                [
                    vec![
                        puts(0..4, VALUE_BYTES, Sync),
                        Step::Flush,
                        puts(2..6, VALUE_BYTES, Buffered),
                        Step::Flush,
                        Step::FailManifestSync,
                        Step::Settle,
                        reopen(Ending::Drop),
                    ],
                    then_lose_power(),
                ]
                .concat(),
            )
        },
    ]
}
