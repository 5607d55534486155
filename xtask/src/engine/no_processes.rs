//! `cargo xtask processes` where processes are not killed as on Unix: it says so, and does nothing.

use super::args::ProcessesArgs;

const UNAVAILABLE: &str = "processes: this needs Unix, and its parts Linux";

/// Says that it cannot be done here.
///
/// # Errors
///
/// Always.
pub(crate) fn processes(_args: &ProcessesArgs) -> Result<(), String> {
    Err(UNAVAILABLE.to_owned())
}

/// As [`processes`].
///
/// # Errors
///
/// Always.
pub(crate) fn processes_child() -> Result<(), String> {
    Err(UNAVAILABLE.to_owned())
}
