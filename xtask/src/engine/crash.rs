//! `cargo xtask crash`: crashes and faults at every operation, hostile files, and plays on threads, round
//! after round, with a progress bar; or one case again.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lsm_tests::crash::campaign::{self, Options, Report};
use lsm_tests::crash::threads::{self, Tally};

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
    if args.only.is_some() {
        return on_threads(options, &bar);
    }
    let report = campaign::run(&options, &|progress| {
        bar.set_position(progress.elapsed.as_secs());
        bar.set_message(format!(
            "{} crashes, {} faults, {} hostile files, {} plays, round {}, {}",
            progress.triples,
            progress.faults,
            progress.hostile,
            progress.plays,
            progress.rounds + 1,
            progress.scenario
        ));
    });
    bar.finish_and_clear();
    summarize(
        &report.map_err(|violation| format!("a promise is broken\n{violation}"))?,
        options.seed,
    );
    Ok(())
}

/// Plays between two looks at the clock by the progress bar.
const PLAYS_AT_A_TIME: u64 = 20;

/// Plays on threads, and nothing else, until the time is up.
fn on_threads(options: Options, bar: &ProgressBar) -> Result<(), String> {
    let begin = Instant::now();
    let stop_at = begin + options.duration;
    let mut tally = Tally::default();
    while Instant::now() < stop_at {
        let next = options.seed.wrapping_add(tally.plays);
        threads::run(next, PLAYS_AT_A_TIME, Some(stop_at), &mut tally)
            .map_err(|violation| format!("a promise is broken\n{violation}"))?;
        bar.set_position(begin.elapsed().as_secs());
        bar.set_message(format!("{} plays, {} crashes", tally.plays, tally.crashes));
    }
    bar.finish_and_clear();
    summarize_threads(&tally, options.seed);
    println!("no promise is broken");
    Ok(())
}

fn summarize_threads(tally: &Tally, seed: u64) {
    println!(
        "{} plays on threads, seeds {seed} to {}: {} handles ({} struck by a fault), {} batches, \
         {} snapshots, {} crashes",
        tally.plays,
        seed.wrapping_add(tally.plays).wrapping_sub(1),
        tally.lives,
        tally.struck,
        tally.commits,
        tally.views,
        tally.crashes
    );
}

fn summarize(report: &Report, seed: u64) {
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
    summarize_threads(&report.threads, seed);
    println!(
        "{} operations failed, {} hostile files, {} random scripts, {} whole rounds (seed {seed} and on); no promise is broken",
        tally.faults,
        report.hostile.cases(),
        tally.ordeals,
        report.rounds
    );
}
