//! Shared support for the tests of the assembled engine.
//!
//! The test binaries are few, by purpose: `engine` says how the store behaves, `model` compares it
//! with a sorted map under random operations, `hostile` gives it input and files that nobody
//! should, `crash` takes its power and fails its disk at every operation. What they share is here: a
//! simulated machine to open stores on, the model, a reader of run files that is not the engine's,
//! and directories as values.
//!
//! The libFuzzer programs need less of it, and a fuzzer's instrumented build of all would take long:
//! what they do not call is left out under `cfg(fuzzing)`, which is how they are built.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests arrange and inspect real directories"
)]

#[cfg(not(fuzzing))]
pub mod counter;
pub mod crash;
#[cfg(not(fuzzing))]
pub mod differential;
pub mod directory;
pub mod fuzz;
#[cfg(not(fuzzing))]
pub mod histories;
pub mod hostile;
pub mod layout;
pub mod life;
pub mod machine;
pub mod model;
#[cfg(not(fuzzing))]
pub mod placement;
#[cfg(all(unix, not(fuzzing)))]
pub mod processes;
pub mod random;
#[cfg(not(fuzzing))]
pub mod soak;
#[cfg(not(fuzzing))]
pub mod usage;
pub mod vectors;
pub mod walk;
mod watched;

/// The front page of the repository: its example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;

/// What a test returns, so that it can use `?`.
pub type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// An error with its causes, on one line.
#[must_use]
pub fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
