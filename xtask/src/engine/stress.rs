//! `cargo xtask stress`: a long run of the concurrent test, with a progress bar.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lsm_tests::stress::{self, Options};

use super::scratch::Scratch;
use crate::StressArgs;

/// Of the counter, by each of its threads.
const INCREMENTS: u64 = 10_000;

/// Runs writers and scanners for the time given, then prints what they did.
///
/// # Errors
///
/// The first difference from the models, or the engine's own error.
pub(crate) fn stress(args: &StressArgs) -> Result<(), String> {
    let scratch = Scratch::new(args.dir.as_deref())?;
    let options = Options {
        dir: scratch.database().to_path_buf(),
        duration: Duration::from_secs(args.seconds),
        increments: INCREMENTS,
        seed: args.seed,
    };
    println!(
        "stress: {} writers and {} scanners for {} s, seed {}",
        stress::WRITERS,
        stress::SCANNERS,
        args.seconds,
        args.seed
    );
    let bar = ProgressBar::new(args.seconds).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} s  {msg}")
            .map_err(|error| error.to_string())?,
    );
    let report = stress::run(&options, &|progress| {
        bar.set_position(progress.elapsed.as_secs());
        bar.set_message(format!(
            "{} operations, {} scans",
            progress.operations, progress.scans
        ));
    });
    bar.finish_and_clear();
    let report = scratch.close(report.map_err(|error| format!("seed {}: {error}", args.seed)))?;

    println!(
        "{} operations and {} scans, all right; {} entries compared, twice",
        report.operations, report.scans, report.entries
    );
    println!(
        "{} threads counted to {}, {} times too late",
        stress::COUNTERS,
        report.count,
        report.retries
    );
    println!("{}", report.stats);
    Ok(())
}
