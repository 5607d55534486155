//! Hands a command over to a release build of this program that has the engine in it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::{CrashArgs, ExtremesArgs, LoadArgs, SoakArgs, workspace};

/// Runs `cargo xtask soak` in a release build.
///
/// # Errors
///
/// If the build or the command failed; the reason has been printed by then.
pub(crate) fn soak(args: &SoakArgs) -> Result<(), String> {
    let minutes = ["--minutes".into(), args.minutes.to_string().into()];
    let seed = ["--seed".into(), args.seed.to_string().into()];
    let profile = ["--profile".into(), args.profile.clone().into()];
    let report = args.report.iter();
    let report = report.flat_map(|path| ["--report".into(), path.into()]);
    let arguments = minutes.into_iter().chain(seed).chain(profile).chain(report);
    run_again("soak", arguments, args.dir.as_ref())
}

/// Only what has the engine starts a child.
///
/// # Errors
///
/// Always.
pub(crate) fn soak_child() -> Result<(), String> {
    Err("`cargo xtask soak` starts this itself".to_owned())
}

/// Runs `cargo xtask crash` in a release build.
///
/// # Errors
///
/// If the build or the command failed; the reason has been printed by then.
pub(crate) fn crash(args: &CrashArgs) -> Result<(), String> {
    let minutes = ["--minutes".into(), args.minutes.to_string().into()];
    let seed = ["--seed".into(), args.seed.to_string().into()];
    let case = args
        .case
        .iter()
        .flat_map(|case| ["--case".into(), case.into()]);
    run_again("crash", minutes.into_iter().chain(seed).chain(case), None)
}

/// Runs `cargo xtask extremes` in a release build.
///
/// # Errors
///
/// If the build or the command failed; the reason has been printed by then.
pub(crate) fn extremes(args: &ExtremesArgs) -> Result<(), String> {
    let minutes = ["--minutes".into(), args.minutes.to_string().into()];
    let only = args.only.iter();
    let only = only.flat_map(|name| ["--only".into(), name.into()]);
    let few_files = args.few_files.then(|| "--few-files".into());
    let arguments = minutes.into_iter().chain(only).chain(few_files);
    run_again("extremes", arguments, args.dir.as_ref())
}

/// Runs `cargo xtask load` in a release build.
///
/// # Errors
///
/// If the build or the command failed; the reason has been printed by then.
pub(crate) fn load(args: &LoadArgs) -> Result<(), String> {
    let entries = ["--entries".into(), args.entries.to_string().into()];
    run_again("load", entries.into_iter(), args.dir.as_ref())
}

fn run_again(
    name: &str,
    arguments: impl Iterator<Item = OsString>,
    dir: Option<&PathBuf>,
) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        // Of the whole workspace, as the gate's other optimised builds are, so as to share them.
        .args(["run", "--quiet", "--release", "--features", "xtask/engine"])
        .arg("--manifest-path")
        .arg(workspace::root().join("Cargo.toml"))
        .args(["--bin", "xtask"])
        .args(["--", name])
        .args(arguments);
    if let Some(dir) = dir {
        command.arg("--dir").arg(dir);
    }
    let status = command
        .status()
        .map_err(|error| format!("cargo run: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {status}"))
    }
}
