//! A short cut of the fuzzing, on stable and always the same: every input that is made by code or
//! committed, and mutations of them by a seeded generator, held against the promises of their target.
//! And what the committed inputs reach: every error that bytes can lead to.
//!
//! `cargo xtask fuzz` goes on with the same code under a coverage-guided fuzzer.

#![allow(
    clippy::disallowed_methods,
    reason = "tests read committed files and the sources of the errors"
)]

#[cfg(test)]
mod errors;
#[cfg(test)]
mod short_cut;
