//! Measuring the store and its parts, without anybody to compare with.
//!
//! The micro-benchmarks in `benches/` answer one question each, in time. They share the same [`data`]
//! and the same [`stores`].

#![forbid(unsafe_code)]

pub mod data;
pub mod runs;
pub mod stores;

/// What set-ups and operations return, so that they can use `?`.
pub type BenchResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
