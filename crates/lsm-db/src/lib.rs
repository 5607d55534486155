#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod adoption;
mod attempts;
mod batch;
mod block_cache;
mod commit;
mod compaction;
mod condition;
mod config;
mod cursor;
mod damage;
mod engine;
mod error;
mod filter;
mod flush;
pub mod format;
mod gaps;
mod health;
mod held;
mod idle_seal;
mod ids;
mod job_memory;
mod l0_reads;
mod lane;
mod leaf_errors;
mod legacy_log;
mod listing;
mod lsm;
mod manual;
mod open_stores;
mod publication;
mod range;
mod reaper;
mod recovery;
mod replay;
mod run;
mod run_blocks;
mod run_writer;
mod scan;
mod settle;
mod snapshot;
mod source;
mod stats;
mod strays;
mod sync;
mod throttle;
mod tickets;
mod view;

pub use bytes::Bytes;
pub use lsm_scheduler::Scheduler;

pub use crate::batch::{Batch, MAX_BATCH_BYTES};
pub use crate::config::{
    DEFAULT_BLOCK_CACHE_CAPACITY, DEFAULT_COMPACTION_TRIGGER, DEFAULT_MEMTABLE_CAPACITY,
    Durability, LsmConfig,
};
pub use crate::cursor::Cursor;
pub use crate::error::{Error, Holder, Required, Result};
pub use crate::lsm::Lsm;
pub use crate::range::Range;
pub use crate::scan::Scan;
pub use crate::snapshot::Snapshot;
pub use crate::stats::{DamagedFile, LevelStats, Stats};

/// The names that most programs need, in one `use`.
///
/// ```
/// use lsm_db::prelude::*;
/// # let dir = tempfile::tempdir()?;
/// let store = Lsm::open(dir.path())?;
/// # Ok::<(), Error>(())
/// ```
pub mod prelude {
    pub use crate::{Batch, Error, Lsm, LsmConfig, Result, Scan};
}
