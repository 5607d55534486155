//! Measuring the store and its parts, without anybody to compare with.
//!
//! The micro-benchmarks in `benches/` answer one question each, in time: `cargo xtask bench micro`.
//! [`operations`] are the hot operations whose instructions are counted, which no noise of a machine
//! can blur: the program `count-instructions` runs one of them, and `cargo xtask bench --check` runs
//! that program under callgrind and compares with what is recorded in `instructions.toml`. Both use
//! the same [`data`] and the same [`stores`].

#![forbid(unsafe_code)]

pub mod data;
pub mod meter;
pub mod operations;
pub mod runs;
pub mod stores;

/// What set-ups and operations return, so that they can use `?`.
pub type BenchResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
