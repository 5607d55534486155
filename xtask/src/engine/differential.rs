//! `cargo xtask differential`: random lives of a store against a sorted map, seed after seed, with a
//! progress bar; or one life again.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lsm_tests::differential::{self, Tally};

use super::args::DifferentialArgs;

/// Seeds between two looks at the clock by the progress bar.
const SEEDS_AT_A_TIME: u64 = 10;

/// Lives lives for the time given, then prints which; or the life given.
///
/// # Errors
///
/// The first difference, with the command that shows it again.
pub(crate) fn differential(args: &DifferentialArgs) -> Result<(), String> {
    if let Some(case) = &args.case {
        differential::again(args.seed, case)?;
        println!("{case}: no difference with seed {}", args.seed);
        return Ok(());
    }
    println!("differential: {} min, seed {}", args.minutes, args.seed);
    let begin = Instant::now();
    let stop_at = begin + Duration::from_secs(args.minutes.saturating_mul(60));
    let bar = ProgressBar::new(args.minutes.saturating_mul(60)).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} s  {msg}")
            .map_err(|error| error.to_string())?,
    );
    let mut tally = Tally::default();
    while Instant::now() < stop_at {
        let next = args.seed.wrapping_add(tally.seeds);
        differential::run(next, SEEDS_AT_A_TIME, Some(stop_at), &mut tally)
            .map_err(|difference| format!("a difference\n{difference}"))?;
        bar.set_position(begin.elapsed().as_secs());
        bar.set_message(format!("{} seeds, {} deeds", tally.seeds, tally.deeds));
    }
    bar.finish_and_clear();
    println!(
        "seeds {} to {}, each stepped and on threads: {} deeds, no difference",
        args.seed,
        args.seed.wrapping_add(tally.seeds).wrapping_sub(1),
        tally.deeds
    );
    Ok(())
}
