//! `cargo xtask model`: the models that loom explores, further than a test may take time for.
//!
//! The models are unit tests in modules named `models`, and run with every `cargo test` too. Here
//! they run optimised and with more preemptions. It never changes a model.

use std::process::Command;

use crate::{ModelArgs, workspace};

/// The crates that have models.
const PACKAGES: &[&str] = &["lsm-wal", "lsm-db"];

/// Runs the models in a release build.
///
/// # Errors
///
/// If the build or a model failed; the reason has been printed by then.
pub(crate) fn run(args: &ModelArgs) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--locked", "--release", "--lib"]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    let status = command
        .arg("models::")
        .env("LOOM_MAX_PREEMPTIONS", args.preemptions.to_string())
        .current_dir(workspace::root())
        .status()
        .map_err(|error| format!("cargo test: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("model: {status}"))
    }
}
