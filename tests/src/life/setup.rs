//! How the store of a life is opened: small numbers, so that a small store goes through everything
//! that a large one does, and now and then the smallest and the largest that there are.

use lsm_db::{Durability, LsmConfig};
use quickcheck::{Arbitrary, Gen};

use super::{one_in, pick};

/// The knobs of a store.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The seed of the scheduler's choices.
    pub seed: u64,
    /// See [`LsmConfig::memtable_capacity`].
    pub memtable_bytes: usize,
    /// See [`LsmConfig::compaction_trigger`].
    pub trigger_runs: usize,
    /// See [`LsmConfig::run_bytes_target`].
    pub run_bytes: u64,
    /// See [`LsmConfig::level_fanout`].
    pub fanout: u64,
    /// See [`LsmConfig::durability`].
    pub durability: Durability,
    /// See [`LsmConfig::wal`].
    pub wal: bool,
    /// See [`LsmConfig::block_cache_capacity`].
    pub cache_bytes: usize,
    /// See [`LsmConfig::filter_bits`].
    pub filter_bits: u32,
    /// See [`LsmConfig::max_open_files`].
    pub open_files: usize,
}

impl Setup {
    /// The configuration.
    pub fn config(&self) -> LsmConfig {
        LsmConfig::new()
            .memtable_capacity(self.memtable_bytes)
            .compaction_trigger(self.trigger_runs)
            .run_bytes_target(self.run_bytes)
            .level_fanout(self.fanout)
            .durability(self.durability)
            .wal(self.wal)
            .block_cache_capacity(self.cache_bytes)
            .filter_bits(self.filter_bits)
            .max_open_files(self.open_files)
    }

    /// As a store is opened by default.
    pub fn plain() -> Self {
        let defaults = LsmConfig::new();
        Self {
            seed: 0,
            memtable_bytes: defaults.memtable_capacity_bytes(),
            trigger_runs: defaults.compaction_trigger_runs(),
            run_bytes: 1 << 20,
            fanout: 10,
            durability: defaults.default_durability(),
            wal: defaults.wal_enabled(),
            cache_bytes: defaults.block_cache_capacity_bytes(),
            filter_bits: defaults.filter_bits_per_key(),
            open_files: defaults.open_files_max(),
        }
    }

    /// A small store, by numbers that all do something.
    fn usual(g: &mut Gen) -> Self {
        let wal = !one_in(g, 5);
        let durability = if wal && one_in(g, 2) {
            Durability::Sync
        } else {
            Durability::Buffered
        };
        Self {
            seed: u64::arbitrary(g),
            memtable_bytes: pick(g, &[0, 1, 100, 1000, 5000, 1 << 20]),
            trigger_runs: pick(g, &[2, 2, 3, 4, usize::MAX]),
            run_bytes: pick(g, &[1, 300, 2000, 1 << 20]),
            fanout: pick(g, &[2, 3, 10]),
            durability,
            wal,
            ..Self::plain()
        }
    }
}

impl Arbitrary for Setup {
    /// Half of all are usual; of the others each number is one of the smallest or the largest, one
    /// time in two.
    fn arbitrary(g: &mut Gen) -> Self {
        let usual = Self::usual(g);
        if one_in(g, 2) {
            return usual;
        }
        let sizes = [0, 1, 2, usize::MAX - 1, usize::MAX];
        let numbers = [0, 1, 2, u64::MAX - 1, u64::MAX];
        let mut size = |usual: usize| match one_in(g, 2) {
            true => pick(g, &sizes),
            false => usual,
        };
        Self {
            memtable_bytes: size(usual.memtable_bytes),
            trigger_runs: size(usual.trigger_runs),
            cache_bytes: size(usual.cache_bytes),
            open_files: size(usual.open_files),
            run_bytes: if one_in(g, 2) {
                pick(g, &numbers)
            } else {
                usual.run_bytes
            },
            fanout: if one_in(g, 2) {
                pick(g, &numbers)
            } else {
                usual.fanout
            },
            filter_bits: pick(g, &[0, 1, 8, 10, 16, u32::MAX]),
            ..usual
        }
    }
}
