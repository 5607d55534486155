//! A broken promise, with all that is needed to see it again.
//!
//! Made by the sweeps, printed by tests and by `cargo xtask crash`.

use std::fmt;

/// Where a promise was broken, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The case: the kind of sweep, the scenario, the operation's number and the image or fault,
    /// as [`again`](super::campaign::again()) reads it.
    pub case: String,
    /// The seed of the sweep.
    pub seed: u64,
    /// What is wrong, and with which operation and image.
    pub message: String,
}

impl Violation {
    /// The command that shows it again.
    pub fn command(&self) -> String {
        format!(
            "cargo xtask crash --seed {} --case {}",
            self.seed, self.case
        )
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} with seed {}: {}", self.case, self.seed, self.message)?;
        write!(f, "again: {}", self.command())
    }
}

impl std::error::Error for Violation {}
