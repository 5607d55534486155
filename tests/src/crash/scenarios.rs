//! The catalogue of scenarios: small scripts that between them go through everything a store does
//! to its files. One more costs a few lines.

use lsm_db::Durability::{self, Buffered, Sync};
use lsm_db::LsmConfig;

use super::{Ending, Scenario, Step};

mod compactions;
mod conditions;
mod legacy;
mod restarts;

/// All of them.
pub fn all() -> Vec<Scenario> {
    [
        writes(),
        memtables(),
        compactions::compactions(),
        conditions::conditions(),
        manifests(),
        restarts::restarts(),
        restarts::failures(),
        legacy::takeovers(),
    ]
    .concat()
}

/// The one of this name.
pub fn named(name: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}

/// A scenario without a beginning, swept from its first step; it always gets there.
fn scenario(name: &'static str, config: LsmConfig, steps: Vec<Step>) -> Scenario {
    Scenario {
        name,
        config,
        directory: None,
        before: Vec::new(),
        steps,
        swept_from: 0,
        reaches: |_| true,
    }
}

const VALUE_BYTES: usize = 40;

fn put(key: u8, durability: Durability) -> Step {
    Step::Write(vec![(key, Some(VALUE_BYTES))], durability)
}

fn delete(key: u8, durability: Durability) -> Step {
    Step::Write(vec![(key, None)], durability)
}

/// One batch.
fn puts(keys: impl IntoIterator<Item = u8>, value_bytes: usize, durability: Durability) -> Step {
    let writes = keys.into_iter().map(|key| (key, Some(value_bytes)));
    Step::Write(writes.collect(), durability)
}

fn deletes(keys: impl IntoIterator<Item = u8>) -> Step {
    Step::Write(keys.into_iter().map(|key| (key, None)).collect(), Sync)
}

fn reopen(ending: Ending) -> Step {
    Step::Reopen(ending)
}

/// No compaction but on demand.
fn plain() -> LsmConfig {
    LsmConfig::new().compaction_trigger(usize::MAX)
}

/// Two runs in level 0 start a compaction.
fn eager() -> LsmConfig {
    LsmConfig::new()
        .compaction_trigger(2)
        .run_bytes_target(1 << 20)
}

fn writes() -> Vec<Scenario> {
    vec![
        scenario("first-open", plain(), vec![]),
        scenario(
            "single-writes",
            plain(),
            vec![
                put(1, Sync),
                put(2, Sync),
                put(1, Sync),
                delete(2, Sync),
                put(3, Sync),
            ],
        ),
        scenario(
            "buffered-writes",
            plain(),
            vec![
                put(1, Buffered),
                put(2, Buffered),
                delete(1, Buffered),
                put(3, Sync),
                put(2, Buffered),
                put(4, Buffered),
            ],
        ),
        scenario(
            "batches",
            plain(),
            vec![
                puts(0..6, VALUE_BYTES, Sync),
                Step::Write(
                    vec![(0, None), (3, Some(9)), (7, Some(0)), (5, None)],
                    Buffered,
                ),
                puts(2..9, VALUE_BYTES, Buffered),
                Step::Write(
                    vec![(1, Some(9)), (1, None), (8, Some(9)), (8, Some(5))],
                    Sync,
                ),
            ],
        ),
        scenario(
            "batches-over-many-sectors",
            plain(),
            vec![
                puts(0..30, 600, Buffered),
                puts(10..40, 600, Buffered),
                puts(0..40, 500, Sync),
                deletes(5..35),
            ],
        ),
        scenario(
            "record-larger-than-a-segment",
            plain(),
            vec![
                put(1, Sync),
                puts([2], 1_200_000, Buffered),
                put(3, Buffered),
                put(2, Sync),
            ],
        ),
        scenario(
            "sync",
            plain(),
            vec![
                put(1, Buffered),
                put(2, Buffered),
                Step::Sync,
                put(1, Buffered),
                Step::Sync,
                Step::Sync,
                delete(2, Buffered),
            ],
        ),
    ]
}

fn memtables() -> Vec<Scenario> {
    vec![
        Scenario {
            reaches: |reached| reached.segments_created >= 4,
            ..scenario(
                "log-rotation",
                plain().memtable_capacity(150),
                vec![
                    put(1, Buffered),
                    put(2, Buffered),
                    put(1, Buffered),
                    put(3, Buffered),
                    put(4, Sync),
                    put(5, Buffered),
                    Step::Sync,
                ],
            )
        },
        Scenario {
            reaches: |reached| reached.flushes >= 3,
            ..scenario(
                "sealing",
                plain().memtable_capacity(1),
                vec![
                    put(1, Sync),
                    put(2, Buffered),
                    put(1, Sync),
                    Step::Background(2),
                    put(3, Buffered),
                    Step::Settle,
                    put(2, Buffered),
                ],
            )
        },
        Scenario {
            reaches: |reached| reached.flushes >= 3,
            ..scenario(
                "flush-beside-a-backlog",
                plain().memtable_capacity(150),
                vec![
                    puts([1, 2], VALUE_BYTES, Buffered),
                    puts([1, 3], VALUE_BYTES, Buffered),
                    puts([2, 4], VALUE_BYTES, Buffered),
                    put(5, Buffered),
                    Step::Background(2),
                    put(6, Buffered),
                    Step::Background(2),
                    put(7, Buffered),
                ],
            )
        },
        Scenario {
            reaches: |reached| reached.flushes == 3 && reached.runs == [3],
            ..scenario(
                "flush",
                plain(),
                vec![
                    puts(0..4, VALUE_BYTES, Sync),
                    put(5, Buffered),
                    Step::Flush,
                    delete(1, Buffered),
                    Step::Flush,
                    Step::Flush,
                    put(0, Buffered),
                    Step::Flush,
                    put(1, Buffered),
                ],
            )
        },
    ]
}

/// Many times the same.
fn repeated(times: usize, steps: Vec<Step>) -> Vec<Step> {
    std::iter::repeat_n(steps, times).flatten().collect()
}

fn manifests() -> Vec<Scenario> {
    // Both keys of each edit are this long, and it takes 1 MiB of edits to outgrow a snapshot.
    let long = repeated(82, vec![Step::LongKeys(4096), Step::Flush, Step::Settle]);
    // Two rounds take three run ids of a block of 1024, which is topped up at its half.
    let ids = repeated(339, vec![put(1, Buffered), Step::Settle]);
    vec![
        Scenario {
            reaches: |reached| reached.manifest_appends >= 6 && reached.manifests_built == 1,
            ..scenario(
                "manifest-growth",
                plain(),
                repeated(
                    4,
                    vec![put(1, Buffered), Step::Flush, put(2, Sync), Step::Flush],
                ),
            )
        },
        Scenario {
            swept_from: long.len(),
            reaches: |reached| reached.manifests_built >= 2,
            ..scenario(
                "manifest-rewrite",
                eager(),
                [
                    long,
                    repeated(4, vec![Step::LongKeys(4000), Step::Flush, Step::Settle]),
                ]
                .concat(),
            )
        },
        Scenario {
            swept_from: ids.len(),
            reaches: |reached| reached.runs_created > 512,
            ..scenario(
                "ceilings-raised",
                eager().memtable_capacity(1),
                [
                    ids,
                    repeated(5, vec![put(2, Sync), Step::Settle]),
                    vec![put(3, Sync)],
                ]
                .concat(),
            )
        },
        scenario(
            "ceilings-at-first-use",
            plain(),
            vec![
                put(1, Sync),
                reopen(Ending::Kill),
                Step::Flush,
                reopen(Ending::Close),
                put(2, Buffered),
                reopen(Ending::Kill),
                put(3, Sync),
                Step::Flush,
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_more_than_twenty_and_each_has_a_name_of_its_own() {
        let all = all();
        assert!(all.len() >= 20, "{}", all.len());
        let mut names: Vec<_> = all.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
    }
}
