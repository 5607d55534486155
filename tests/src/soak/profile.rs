//! What a run of the soak is made of: how many threads, which operations how often, how large keys
//! and values are. Plain values; nothing here runs anything.

use serde::{Deserialize, Serialize};

/// A kind of consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// A little of everything that the others do.
    Mixed,
    /// Mostly puts and batches.
    Write,
    /// Mostly ranges, both ways, and cursors, over a larger store.
    Scan,
    /// More deletes than puts, stretches of deletes, and ranges over what they left.
    Delete,
    /// Values of up to 4 MiB and keys of up to 64 KiB.
    BigValues,
    /// Every write waits for the disk, on many threads.
    Durable,
    /// Producers append to an ordered queue, consumers take from its head; the store stays small.
    Queue,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Mixed,
        Self::Write,
        Self::Scan,
        Self::Delete,
        Self::BigValues,
        Self::Durable,
        Self::Queue,
    ];

    /// As the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Write => "write",
            Self::Scan => "scan",
            Self::Delete => "delete",
            Self::BigValues => "big-values",
            Self::Durable => "durable",
            Self::Queue => "queue",
        }
    }

    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// The numbers behind the name.
    pub(super) fn shape(self) -> Shape {
        let mixed = Shape {
            profile: self,
            writers: 8,
            scanners: 2,
            writes: Weights {
                put: 600,
                delete: 130,
                batch: 80,
                markers: 16,
                stretch: 1,
                swap: 60,
                increment: 16,
                claim: 4,
                queue: 60,
            },
            reads: ReadWeights {
                get: 100,
                multi_get: 12,
                range: 8,
                cursor: 4,
            },
            read_percent: 50,
            keys_at_start: 3_000,
            keys_max: 160_000,
            growth: 5,
            stretch_keys_max: 60,
            range_entries_max: 200,
            value_bytes: 360,
            large_value_bytes: 32 << 10,
            large_value_one_in: 400,
            long_keys: false,
            all_sync: false,
        };
        match self {
            Self::Mixed => mixed,
            Self::Write => Shape {
                scanners: 1,
                writes: Weights {
                    put: 1200,
                    delete: 60,
                    batch: 400,
                    queue: 4,
                    ..mixed.writes
                },
                read_percent: 15,
                ..mixed
            },
            Self::Scan => Shape {
                writers: 6,
                scanners: 4,
                reads: ReadWeights {
                    get: 10,
                    multi_get: 4,
                    range: 20,
                    cursor: 10,
                },
                read_percent: 25,
                keys_at_start: 15_000,
                growth: 3,
                range_entries_max: 4_000,
                ..mixed
            },
            Self::Delete => Shape {
                writes: Weights {
                    put: 420,
                    delete: 560,
                    stretch: 6,
                    ..mixed.writes
                },
                reads: ReadWeights {
                    range: 24,
                    cursor: 12,
                    ..mixed.reads
                },
                keys_at_start: 12_000,
                growth: 4,
                stretch_keys_max: 400,
                ..mixed
            },
            Self::BigValues => Shape {
                writers: 4,
                scanners: 1,
                keys_at_start: 0,
                keys_max: 2_000,
                growth: 3,
                stretch_keys_max: 20,
                range_entries_max: 60,
                value_bytes: 24 << 10,
                large_value_bytes: 4 << 20,
                large_value_one_in: 40,
                long_keys: true,
                ..mixed
            },
            Self::Durable => Shape {
                writers: 32,
                scanners: 1,
                read_percent: 20,
                keys_at_start: 0,
                keys_max: 20_000,
                growth: 2,
                all_sync: true,
                ..mixed
            },
            Self::Queue => Shape {
                scanners: 1,
                writes: Weights {
                    put: 4,
                    delete: 2,
                    batch: 2,
                    markers: 2,
                    stretch: 0,
                    swap: 2,
                    increment: 2,
                    claim: 1,
                    queue: 1000,
                },
                read_percent: 2,
                keys_at_start: 0,
                keys_max: 500,
                ..mixed
            },
        }
    }
}

/// How often a writer does what, relative to each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    pub(super) put: usize,
    pub(super) delete: usize,
    pub(super) batch: usize,
    pub(super) markers: usize,
    pub(super) stretch: usize,
    pub(super) swap: usize,
    pub(super) increment: usize,
    pub(super) claim: usize,
    pub(super) queue: usize,
}

/// How often a writer reads how, relative to each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadWeights {
    pub(super) get: usize,
    pub(super) multi_get: usize,
    pub(super) range: usize,
    pub(super) cursor: usize,
}

/// The numbers behind a profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) profile: Profile,
    pub(super) writers: usize,
    pub(super) scanners: usize,
    pub(super) writes: Weights,
    pub(super) reads: ReadWeights,
    /// Of a writer's steps, how many read.
    pub(super) read_percent: usize,
    /// Keys of each writer, absent ones among them.
    pub(super) keys_max: u32,
    /// So many are written before anything is read or deleted much: every pick is a new one.
    pub(super) keys_at_start: u32,
    /// One in so many picks of a key is a new one, until there are `keys_max`.
    pub(super) growth: usize,
    /// Keys deleted at once, in key order.
    pub(super) stretch_keys_max: usize,
    pub(super) range_entries_max: usize,
    /// Most values have up to so many bytes beside their header,
    pub(super) value_bytes: usize,
    /// and one in so many up to so many.
    pub(super) large_value_bytes: usize,
    pub(super) large_value_one_in: u64,
    pub(super) long_keys: bool,
    pub(super) all_sync: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_found_by_its_name_and_serialised_under_it() {
        for profile in Profile::ALL {
            assert_eq!(Profile::named(profile.name()), Some(profile));
            let json = serde_json::to_string(&profile).unwrap();
            assert_eq!(json, format!("\"{}\"", profile.name()));
        }
        assert_eq!(Profile::named("other"), None);
    }
}
