#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod builder;
mod concurrent;
mod filter;
mod hash;
mod sidecar;

pub use builder::{
    BuildError, FilterBuilder, KEYS_MAX, SCRATCH_BYTES_FIXED, SCRATCH_BYTES_PER_KEY,
};
pub use concurrent::ConcurrentFilter;
pub use filter::{Filter, FingerprintBits};
pub use hash::{KeyHash, KeyHasher};
pub use sidecar::{RunIdentity, SidecarError, decode, encode, sidecar_bytes_max};
