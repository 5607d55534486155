//! `cargo xtask bench`: how fast the store is.

mod peers;

use clap::Args;

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// What to measure, or `report` for the tables and plots of what was measured
    #[arg(value_parser = peers::SUITES)]
    suite: String,
    #[command(flatten)]
    peers: peers::PeersArgs,
}

/// Runs a suite, or reports.
///
/// # Errors
///
/// If something could not be built or run.
pub(crate) fn run(args: &BenchArgs) -> Result<(), String> {
    peers::run(&args.suite, &args.peers)
}
