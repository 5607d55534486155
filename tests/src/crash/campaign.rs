//! A campaign: sweeps, ordeals, hostile files and plays on threads, round after round, each with the
//! next seed, until the time is up or a promise is broken.
//!
//! Run by `cargo xtask crash`. A quick pass goes through all scenarios first, so that a short
//! campaign has seen each. Then, in each round, every scenario is crashed at every operation in
//! every image and fails at every operation in every way; in between random scripts run, hostile
//! files are opened, and plays are played on threads: others in each round.

use std::time::{Duration, Instant};

use super::cuts::{self, Tally};
use super::{Scenario, Violation, faults, mixed, ordeals, scenarios, threads};
use crate::hostile::{self, FileKind, Way};

/// Random scripts after each scenario, and how long they are at most.
const ORDEALS: u64 = 40;
const ORDEAL_STEPS_MAX: usize = 60;

/// How thorough a pass over a scenario is.
#[derive(Debug, Clone, Copy)]
struct Pass {
    images: usize,
    fault_stride: u64,
    ordeals: u64,
    /// Hostile files after each scenario: of each kind, in each way.
    hostile: u64,
    /// Plays on threads after each scenario.
    plays: u64,
}

const QUICK: Pass = Pass {
    images: 3,
    fault_stride: 31,
    ordeals: 5,
    hostile: 4,
    plays: 5,
};
const WHOLE: Pass = Pass {
    images: usize::MAX,
    fault_stride: 1,
    ordeals: ORDEALS,
    hostile: 100,
    plays: 100,
};

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For how long.
    pub duration: Duration,
    /// The seed of the first round, and of the first play on threads.
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
    /// Hostile files tried.
    pub hostile: u64,
    /// Plays on threads.
    pub plays: u64,
    /// The scenario that comes next.
    pub scenario: &'static str,
}

/// What a campaign without a violation did.
#[derive(Debug)]
pub struct Report {
    /// What was checked.
    pub tally: Tally,
    /// Hostile files tried.
    pub hostile: hostile::Tally,
    /// What the plays on threads did: those of the first seed and of as many that follow.
    pub threads: threads::Tally,
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
    let mut hostile = hostile::Tally::default();
    let mut on_threads = threads::Tally::default();
    let mut rounds = 0;
    let mut pass = QUICK;
    loop {
        let seed = options.seed.wrapping_add(rounds);
        let files = stores_to_damage(seed)?;
        for (turn, scenario) in (0..).zip(scenarios::all()) {
            progress(Progress {
                elapsed: begin.elapsed(),
                rounds,
                triples: tally.triples(),
                faults: tally.faults,
                hostile: hostile.cases(),
                plays: on_threads.plays,
                scenario: scenario.name,
            });
            sweep(&scenario, seed, pass, stop_at, &mut tally)?;
            let numbers = turn * pass.hostile..(turn + 1) * pass.hostile;
            try_hostile_files(&files, numbers, stop_at, &mut hostile)?;
            let next = options.seed.wrapping_add(on_threads.plays);
            threads::run(next, pass.plays, Some(stop_at), &mut on_threads)?;
            if Instant::now() >= stop_at {
                return Ok(Report {
                    tally,
                    hostile,
                    threads: on_threads,
                    rounds,
                });
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

fn stores_to_damage(seed: u64) -> Result<hostile::Sweep, Violation> {
    hostile::Sweep::new(seed).map_err(|error| Violation {
        case: "hostile".to_owned(),
        seed,
        message: error.to_string(),
    })
}

/// Tries hostile files of each kind, changed in each way: the ones with these numbers, so that a
/// round goes on where the turn before left off. What can be counted is spread over all there is.
fn try_hostile_files(
    files: &hostile::Sweep,
    numbers: std::ops::Range<u64>,
    stop_at: Instant,
    tally: &mut hostile::Tally,
) -> Result<(), Violation> {
    // Every other file of a sequence is far from the one before, and none comes twice in a round.
    const SPREAD: u64 = 1_000_003;
    for number in numbers {
        for kind in FileKind::ALL {
            for way in Way::ALL {
                let count = files.count(kind, way);
                let number = match way {
                    Way::Forge => number,
                    _ if number >= count => continue,
                    _ => number * SPREAD % count,
                };
                if Instant::now() >= stop_at {
                    return Ok(());
                }
                files.try_case(hostile::Case { kind, way, number }, tally)?;
            }
        }
    }
    Ok(())
}

/// Runs one case again, as a [`Violation`] names it: `cut/<scenario>/<operation>/<image>`,
/// `fault/<scenario>/<operation>/<trouble>`, either without its numbers for the whole sweep, or
/// `ordeals`, or `hostile/<file kind>/<way>-<number>`, or `threads`, which is played again and again.
///
/// # Errors
/// The broken promise, or that there is no such case.
pub fn again(case: &str, seed: u64) -> Result<(), String> {
    let unknown = || format!("no case `{case}`");
    let mut parts = case.split('/');
    let kind = parts.next().ok_or_else(unknown)?;
    let ran = if kind == "ordeals" {
        ordeals::run(ORDEALS, ORDEAL_STEPS_MAX, seed)
    } else if kind == "threads" {
        threads::again(seed)
    } else if kind == "hostile" {
        let case = case.parse()?;
        let files = stores_to_damage(seed).map_err(|violation| violation.to_string())?;
        files
            .try_case(case, &mut hostile::Tally::default())
            .map(drop)
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
