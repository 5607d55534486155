//! The commands that run the engine itself.
//!
//! Their figures mean something in a release build only, and the rest of this program should build
//! without the engine. So without the feature `engine` each command builds this program again,
//! optimised and with that feature, and hands over its arguments.

#[cfg(not(feature = "engine"))]
mod again;
mod args;
#[cfg(feature = "engine")]
mod crash;
#[cfg(feature = "engine")]
mod differential;
#[cfg(feature = "engine")]
mod extremes;
#[cfg(feature = "engine")]
mod load;
#[cfg(all(feature = "engine", not(unix)))]
mod no_processes;
#[cfg(all(feature = "engine", unix))]
mod processes;
#[cfg(feature = "engine")]
mod scratch;
#[cfg(feature = "engine")]
mod soak;

pub(crate) use args::Command;
#[cfg(all(feature = "engine", not(unix)))]
use no_processes as processes;

/// Runs a command, here or in a build that can.
///
/// # Errors
///
/// What the command found, or that it could not run.
#[cfg(feature = "engine")]
pub(crate) fn run(command: &Command) -> Result<(), String> {
    match command {
        Command::Soak(args) => soak::soak(args),
        Command::SoakChild => soak::soak_child(),
        Command::Crash(args) => crash::crash(args),
        Command::Differential(args) => differential::differential(args),
        Command::Extremes(args) => extremes::extremes(args),
        Command::Processes(args) => processes::processes(args),
        Command::ProcessesChild => processes::processes_child(),
        Command::Load(args) => load::load(args),
    }
}

/// Runs a command, here or in a build that can.
///
/// # Errors
///
/// If the build or the command failed; the reason has been printed by then.
#[cfg(not(feature = "engine"))]
pub(crate) fn run(_: &Command) -> Result<(), String> {
    again::run()
}
