//! Hands a command over to a release build of this program that has the engine in it.

use std::process::Command;

use crate::workspace;

/// Runs this program again, in such a build, with the arguments that it was given.
///
/// # Errors
///
/// If the build or the command failed; the reason has been printed by then.
pub(crate) fn run() -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        // Of the whole workspace, as the gate's other optimised builds are, so as to share them.
        .args(["run", "--quiet", "--release", "--features", "xtask/engine"])
        .arg("--manifest-path")
        .arg(workspace::root().join("Cargo.toml"))
        .args(["--bin", "xtask", "--"])
        .args(std::env::args_os().skip(1))
        .status()
        .map_err(|error| format!("cargo run: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("in the release build: {status}"))
    }
}
