#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cache;
mod counters;
mod hash;
mod pages;
mod policy;
mod slots;

pub use cache::{Cache, SHARD_BYTES_MIN};
pub use counters::{CacheStats, StripedCounts};
pub use hash::SeededHash;
pub use pages::{PAGE_OVERHEAD_BYTES, PagePool, Pages};
pub use slots::{Slot, SlotPool};
