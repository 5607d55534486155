//! Stores in the shapes that reads depend on: all in memory, settled, in many layers.
//!
//! On a simulated disk, with background work that runs only when it is stepped, so that the same
//! store comes out every time. Writes are buffered unless an operation says otherwise.

use std::sync::Arc;

use lsm_db::{Batch, Durability, Lsm, LsmConfig, Scheduler};
use lsm_fs::SimFs;

use crate::BenchResult;
use crate::data::Pair;

const DIRECTORY: &str = "/store";

/// Pairs in one batch while a store is filled.
const BATCH_LEN: usize = 500;

/// More background tasks than filling a store of this size can queue.
const STEPS_MAX: usize = 100_000;

/// An open store with its background work at rest.
#[derive(Debug)]
pub struct Bench {
    /// The store.
    pub store: Lsm,
    /// What runs its background work.
    pub scheduler: Scheduler,
}

/// The configuration that everything is measured with, unless an operation says otherwise: the
/// defaults, but for buffered writes.
#[must_use]
pub fn config() -> LsmConfig {
    LsmConfig::new().durability(Durability::Buffered)
}

impl Bench {
    /// An empty store.
    ///
    /// # Errors
    /// The store's.
    pub fn open(config: LsmConfig) -> BenchResult<Self> {
        let scheduler = Scheduler::stepped(1);
        let config = config
            .file_system(Arc::new(SimFs::new()))
            .scheduler(scheduler.clone());
        let store = Lsm::open_with(DIRECTORY, config)?;
        let bench = Self { store, scheduler };
        bench.settle();
        Ok(bench)
    }

    /// A store that holds all `pairs` in its memtable.
    ///
    /// # Errors
    /// The store's.
    pub fn in_memory(pairs: &[Pair]) -> BenchResult<Self> {
        let bench = Self::open(config())?;
        bench.fill(pairs)?;
        Ok(bench)
    }

    /// A store that holds `pairs` in one run of a deeper level, and nothing else.
    ///
    /// # Errors
    /// The store's.
    pub fn settled(pairs: &[Pair], config: LsmConfig) -> BenchResult<Self> {
        let bench = Self::open(config)?;
        bench.fill(pairs)?;
        bench.store.compact_range::<&[u8], _>(..)?;
        bench.settle();
        Ok(bench)
    }

    /// A store that holds `deepest` in a deeper level, each of `layers` in a run of level 0 above
    /// it, and `newest` in the memtable.
    ///
    /// # Errors
    /// The store's.
    pub fn layered(deepest: &[Pair], layers: &[Vec<Pair>], newest: &[Pair]) -> BenchResult<Self> {
        let bench = Self::settled(deepest, config().compaction_trigger(usize::MAX))?;
        for layer in layers {
            bench.fill(layer)?;
            bench.store.flush()?;
            bench.settle();
        }
        bench.fill(newest)?;
        Ok(bench)
    }

    /// Writes `pairs` in batches.
    ///
    /// # Errors
    /// The store's.
    pub fn fill(&self, pairs: &[Pair]) -> BenchResult {
        for chunk in pairs.chunks(BATCH_LEN) {
            self.store.write(batch(chunk))?;
        }
        Ok(())
    }

    /// Reads every key once, so that indexes, filters and blocks are loaded.
    ///
    /// # Errors
    /// The store's; and if a key is absent.
    pub fn warm(&self, pairs: &[Pair]) -> BenchResult {
        for (key, _) in pairs {
            if !self.store.contains_key(key)? {
                return Err("a key that was written is absent".into());
            }
        }
        Ok(())
    }

    /// Runs the background work that there is.
    pub fn settle(&self) {
        self.scheduler.run_until_idle(STEPS_MAX);
    }
}

/// A batch that puts all of `pairs`.
#[must_use]
pub fn batch(pairs: &[Pair]) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in pairs {
        batch.put(key, value);
    }
    batch
}
