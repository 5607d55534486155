//! The engines, by name.

pub mod fjall;
#[cfg(feature = "lmdb")]
pub mod lmdb;
pub mod one_x;
pub mod ours;
pub mod redb;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
pub mod sled;
