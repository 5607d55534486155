//! `cargo xtask crash`: crashes and faults at every operation, and hostile files, round after round, with a progress
//! bar; or one case again.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lsm_tests::crash::campaign::{self, Options, Report};

use super::args::CrashArgs;

/// Runs sweeps and random scripts for the time given, then prints what was checked; or runs the
/// case given.
///
/// # Errors
///
/// The first broken promise, with the command that shows it again.
pub(crate) fn crash(args: &CrashArgs) -> Result<(), String> {
    if let Some(case) = &args.case {
        campaign::again(case, args.seed)?;
        println!("{case}: no promise is broken with seed {}", args.seed);
        return Ok(());
    }
    let options = Options {
        duration: Duration::from_secs(args.minutes.saturating_mul(60)),
        seed: args.seed,
    };
    println!("crash: {} min, seed {}", args.minutes, args.seed);
    let bar = ProgressBar::new(options.duration.as_secs()).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} s  {msg}")
            .map_err(|error| error.to_string())?,
    );
    let report = campaign::run(&options, &|progress| {
        bar.set_position(progress.elapsed.as_secs());
        bar.set_message(format!(
            "{} crashes, {} faults, {} hostile files, round {}, {}",
            progress.triples,
            progress.faults,
            progress.hostile,
            progress.rounds + 1,
            progress.scenario
        ));
    });
    bar.finish_and_clear();
    summarize(&report.map_err(|violation| format!("a promise is broken\n{violation}"))?);
    Ok(())
}

fn summarize(report: &Report) {
    let tally = &report.tally;
    for (scenario, count) in &tally.by_scenario {
        println!("{count:>9}  {scenario}");
    }
    println!(
        "{} different crashes (scenario, operation, image) in {} scenarios, and {} within a recovery",
        tally.triples(),
        tally.by_scenario.len(),
        tally.recovery_crashes
    );
    for ((kind, way), [tried, refused, failed]) in &report.hostile.by_kind {
        println!(
            "{tried:>9}  hostile files: {kind:?}, {way:?}; {refused} refused, reads failed in {failed}"
        );
    }
    println!(
        "{} operations failed, {} hostile files, {} random scripts, {} whole rounds; no promise is broken",
        tally.faults,
        report.hostile.cases(),
        tally.ordeals,
        report.rounds
    );
}
