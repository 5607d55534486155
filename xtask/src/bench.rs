//! `cargo xtask bench`: how fast the store is, and whether it became slower.
//!
//! A suite is measured in time, on whatever machine this is. With `--check` nothing is timed: the
//! instructions of the hot operations are counted and held against the record, which is what the gate
//! does, because a count says the same on a busy machine.

mod instructions;
mod peers;
mod record;
mod valgrind;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::workspace::{self, run_cargo};

/// The suites that are ours alone.
const MICRO: &str = "micro";
const SWEEP: &str = "sweep";

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// What to measure, or `report` for the tables and plots of what was measured
    #[arg(
        value_parser = PossibleValuesParser::new(peers::SUITES.into_iter().chain([MICRO, SWEEP])),
        required_unless_present_any = ["check", "bless"],
        conflicts_with_all = ["check", "bless"]
    )]
    suite: Option<String>,
    /// Counts the instructions of the hot operations, and fails if one takes over 5 % more than is
    /// recorded
    #[arg(long)]
    check: bool,
    /// Records the counts as they are now, after showing what changed
    #[arg(long, conflicts_with = "check")]
    bless: bool,
    /// Counts only these operations, instead of all
    #[arg(long, value_name = "NAME", conflicts_with = "suite")]
    only: Vec<String>,
    #[command(flatten)]
    peers: peers::PeersArgs,
}

/// Runs a suite, reports, or counts.
///
/// # Errors
///
/// If something could not be built or run, or a count is not as recorded.
pub(crate) fn run(args: &BenchArgs) -> Result<(), String> {
    match args.suite.as_deref() {
        None => instructions::run(&args.only, args.bless),
        Some(MICRO) => micro(),
        Some(SWEEP) => sweep(&args.peers),
        Some(suite) => peers::run(suite, &args.peers),
    }
}

/// Each setting changed alone, beside the defaults.
fn sweep(args: &peers::PeersArgs) -> Result<(), String> {
    let root = workspace::root();
    run_cargo("build --quiet --locked --release --bin sweep", &[], &root)?;
    // Beside the program, which is on a disk, unless told otherwise.
    let release = root.join("target/release");
    let dir = args.dir().unwrap_or(&release);
    let program = release.join("sweep");
    let mut command = std::process::Command::new(&program);
    let status = command.arg(dir).arg(args.scale().to_string()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("sweep: {status}")),
        Err(error) => Err(format!("{}: {error}", program.display())),
    }
}

/// The micro-benchmarks of `benches/`.
fn micro() -> Result<(), String> {
    // Of the whole workspace, to share what its other optimised builds built.
    let benches = "bench --locked --bench *";
    run_cargo(benches, &[], &workspace::root())
}
