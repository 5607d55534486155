//! The lives of the child: how each is configured, how long it lasts and how it ends, from the seed.

use std::time::Duration;

use lsm_db::{Durability, LsmConfig};
use serde::{Deserialize, Serialize};

use super::profile::{Profile, Shape};
use crate::random::Random;

/// A store's configuration, as drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// `LsmConfig::memtable_capacity`.
    pub memtable_bytes: usize,
    /// `LsmConfig::run_bytes_target`.
    pub run_bytes: u64,
    /// `LsmConfig::level_fanout`.
    pub level_fanout: u64,
    /// `LsmConfig::compaction_trigger`.
    pub compaction_trigger: usize,
    /// `LsmConfig::filter_bits`.
    pub filter_bits: u32,
    /// `LsmConfig::block_cache_capacity`.
    pub cache_bytes: usize,
    /// `LsmConfig::max_open_files`.
    pub open_files: usize,
    /// Whether every write is acknowledged as durable.
    pub is_sync: bool,
    /// Whether there is a log. Without one a life ends with a flush, whatever comes then.
    pub has_log: bool,
}

impl Choices {
    pub(super) fn draw(random: &mut Random, shape: &Shape) -> Self {
        let is_big = shape.profile == Profile::BigValues;
        let is_durable = shape.all_sync;
        let mut one_of = |choices: &[usize]| {
            let at = random.below(choices.len());
            choices.get(at).copied().unwrap_or(0)
        };
        let memtable_bytes = match is_big {
            true => one_of(&[256 << 10, 4 << 20, 16 << 20]),
            false => one_of(&[64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20]),
        };
        Self {
            memtable_bytes,
            run_bytes: one_of(&[256 << 10, 1 << 20, 2 << 20]) as u64,
            level_fanout: one_of(&[3, 4, 8]) as u64,
            compaction_trigger: one_of(&[2, 4, 4, 8]),
            filter_bits: u32::try_from(one_of(&[0, 10, 10, 18])).unwrap_or(0),
            cache_bytes: one_of(&[0, 1 << 20, 16 << 20, 64 << 20]),
            open_files: one_of(&[8, 64, 512]),
            is_sync: is_durable || one_of(&[0, 0, 0, 0, 1]) == 1,
            has_log: is_durable || one_of(&[1, 1, 1, 1, 1, 1, 0]) == 1,
        }
    }

    pub(super) fn config(&self) -> LsmConfig {
        let durability = match self.is_sync {
            true => Durability::Sync,
            false => Durability::Buffered,
        };
        LsmConfig::new()
            .memtable_capacity(self.memtable_bytes)
            .run_bytes_target(self.run_bytes)
            .level_fanout(self.level_fanout)
            .compaction_trigger(self.compaction_trigger)
            .filter_bits(self.filter_bits)
            .block_cache_capacity(self.cache_bytes)
            .max_open_files(self.open_files)
            .durability(durability)
            .wal(self.has_log)
    }
}

/// How a life of the child ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// SIGKILL while all threads work.
    Kill,
    /// SIGKILL a moment after the open began.
    KillInRecovery,
    /// `close()`, once all threads have stopped.
    Close,
    /// The handle is dropped, once all threads have stopped.
    Drop,
}

/// One life, as planned.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) choices: Choices,
    pub(super) ending: Ending,
    /// From the moment that the threads begin; for [`Ending::KillInRecovery`] from that of the open.
    pub(super) duration: Duration,
    /// Whether the supervisor looks at the store before the child does, or leaves it to the child.
    pub(super) is_verified_here: bool,
    pub(super) is_backward: bool,
}

impl Life {
    /// The next life, of at most `left`.
    pub(super) fn draw(
        random: &mut Random,
        shape: &Shape,
        total: Duration,
        left: Duration,
    ) -> Self {
        let choices = Choices::draw(random, shape);
        let ending = match random.below(20) {
            0..=10 => Ending::Kill,
            11..=14 => Ending::KillInRecovery,
            15..=17 => Ending::Close,
            _ => Ending::Drop,
        };
        let third = u64::try_from(total.as_millis() / 3).unwrap_or(u64::MAX);
        let millis = match (ending, random.below(8)) {
            // From the first instant on, up to what a recovery takes.
            (Ending::KillInRecovery, _) => 0,
            (_, 0) => range(random, 1, 100),
            // A kill finds what the log lacks only in what was not flushed yet: so many are soon.
            (_, 1..=3) => range(random, 100, 2_000),
            (_, 4..=6) => range(random, 2_000, 8_000),
            _ => range(random, 12_000, 120_000),
        };
        let duration = match ending {
            Ending::KillInRecovery => {
                let magnitude = random.below(16);
                Duration::from_micros(range(random, 0, 2 << magnitude))
            }
            _ => Duration::from_millis(millis.min(third)).min(left),
        };
        Self {
            choices,
            ending,
            duration,
            is_verified_here: random.one_in(2),
            is_backward: random.one_in(2),
        }
    }
}

fn range(random: &mut Random, low: u64, high: u64) -> u64 {
    low + random.draw() % (high - low).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_plans_the_same_lives_of_all_kinds() {
        let plan = || {
            let mut random = Random::new(3);
            let (total, left) = (Duration::from_secs(600), Duration::from_secs(30));
            let shape = Profile::Mixed.shape();
            let lives = (0..200).map(|_| Life::draw(&mut random, &shape, total, left));
            lives.collect::<Vec<_>>()
        };
        let lives = plan();
        assert_eq!(format!("{lives:?}"), format!("{:?}", plan()));
        for ending in [
            Ending::Kill,
            Ending::KillInRecovery,
            Ending::Close,
            Ending::Drop,
        ] {
            assert!(lives.iter().any(|life| life.ending == ending), "{ending:?}");
        }
        let longest = lives.iter().map(|life| life.duration).max();
        assert_eq!(longest, Some(Duration::from_secs(30)));
        assert!(lives.iter().any(|life| !life.choices.has_log));
    }
}
