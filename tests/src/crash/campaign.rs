//! A campaign: sweeps and ordeals, round after round, each with the next seed, until the time is
//! up or a promise is broken.
//!
//! Run by `cargo xtask crash`. A quick pass goes through all scenarios first, so that a short
//! campaign has seen each. Then, in each round, every scenario is crashed at every operation in
//! every image, fails at every operation in every way, and random scripts run in between.

use std::time::{Duration, Instant};

use super::cuts::{self, Tally};
use super::{Scenario, Violation, faults, mixed, ordeals, scenarios};

/// Random scripts after each scenario, and how long they are at most.
const ORDEALS: u64 = 40;
const ORDEAL_STEPS_MAX: usize = 60;

/// How thorough a pass over a scenario is.
#[derive(Debug, Clone, Copy)]
struct Pass {
    images: usize,
    fault_stride: u64,
    ordeals: u64,
}

const QUICK: Pass = Pass {
    images: 3,
    fault_stride: 31,
    ordeals: 5,
};
const WHOLE: Pass = Pass {
    images: usize::MAX,
    fault_stride: 1,
    ordeals: ORDEALS,
};

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For how long.
    pub duration: Duration,
    /// The seed of the first round.
    pub seed: u64,
}

/// How far a campaign is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Time since it began.
    pub elapsed: Duration,
    /// Rounds finished.
    pub rounds: u64,
    /// Different (scenario, operation, image) checked.
    pub triples: usize,
    /// Operations that failed.
    pub faults: u64,
    /// The scenario that comes next.
    pub scenario: &'static str,
}

/// What a campaign without a violation did.
#[derive(Debug)]
pub struct Report {
    /// What was checked.
    pub tally: Tally,
    /// Rounds finished; each takes the seed after the one before.
    pub rounds: u64,
}

/// Runs until the time is up. `progress` is called before each scenario.
///
/// # Errors
/// The first broken promise.
pub fn run(options: &Options, progress: &dyn Fn(Progress)) -> Result<Report, Violation> {
    let begin = Instant::now();
    let stop_at = begin + options.duration;
    let mut tally = Tally::default();
    let mut rounds = 0;
    let mut pass = QUICK;
    loop {
        let seed = options.seed.wrapping_add(rounds);
        for scenario in scenarios::all() {
            progress(Progress {
                elapsed: begin.elapsed(),
                rounds,
                triples: tally.triples(),
                faults: tally.faults,
                scenario: scenario.name,
            });
            sweep(&scenario, seed, pass, stop_at, &mut tally)?;
            if Instant::now() >= stop_at {
                return Ok(Report { tally, rounds });
            }
        }
        rounds += u64::from(pass.fault_stride == 1);
        pass = WHOLE;
    }
}

fn sweep(
    scenario: &Scenario,
    seed: u64,
    pass: Pass,
    stop_at: Instant,
    tally: &mut Tally,
) -> Result<(), Violation> {
    let stop_at = Some(stop_at);
    let extent = cuts::Extent {
        images: pass.images,
        stop_at,
        ..cuts::Extent::FULL
    };
    cuts::sweep(scenario, seed, extent, tally)?;
    let extent = faults::Extent {
        stride: pass.fault_stride,
        stop_at,
    };
    faults::sweep(scenario, seed, extent, tally)?;
    // Each scenario's own seed, which the violation names.
    let named = scenario.name.bytes().map(u64::from).sum();
    ordeals::run(pass.ordeals, ORDEAL_STEPS_MAX, mixed(seed, named))?;
    tally.ordeals += pass.ordeals;
    Ok(())
}

/// Runs one case again, as a [`Violation`] names it: `cut/<scenario>/<operation>/<image>`,
/// `fault/<scenario>/<operation>/<trouble>`, either without its numbers for the whole sweep, or
/// `ordeals`.
///
/// # Errors
/// The broken promise, or that there is no such case.
pub fn again(case: &str, seed: u64) -> Result<(), String> {
    let unknown = || format!("no case `{case}`");
    let mut parts = case.split('/');
    let kind = parts.next().ok_or_else(unknown)?;
    let ran = if kind == "ordeals" {
        ordeals::run(ORDEALS, ORDEAL_STEPS_MAX, seed)
    } else {
        let scenario = parts
            .next()
            .and_then(scenarios::named)
            .ok_or_else(unknown)?;
        let numbers: Vec<u64> = parts.map_while(|number| number.parse().ok()).collect();
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        match (kind, numbers.as_slice()) {
            ("cut", numbers) => {
                let only = match numbers {
                    [operation, image] => Some((*operation, place(*image))),
                    _ => None,
                };
                let extent = cuts::Extent {
                    only,
                    ..cuts::Extent::FULL
                };
                cuts::sweep(&scenario, seed, extent, &mut Tally::default()).map(drop)
            }
            ("fault", [operation, trouble]) => {
                faults::again(&scenario, seed, *operation, place(*trouble))
            }
            ("fault", _) => {
                faults::sweep(&scenario, seed, faults::Extent::FULL, &mut Tally::default())
            }
            _ => return Err(unknown()),
        }
    };
    ran.map_err(|violation| violation.to_string())
}
