//! The fault sweep: a scenario is played once for each of its operations and each kind of trouble,
//! and that operation fails.
//!
//! The player checks what must hold while it goes on. Then the disk is well again: the same handle
//! takes writes, unless it has been poisoned and refuses them; and after a power cut, a kill or
//! nothing at all, the next one has everything that was acknowledged.

use std::time::Instant;

use lsm_fs::CrashImage;

use super::aftermath::Remains;
use super::book::read;
use super::cuts::{Tally, caught};
use super::play::Play;
use super::script::Trouble;
use super::stage::Strike;
use super::start::Start;
use super::{Crash, Scenario, Violation, mixed};

/// How much of a sweep is done.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// One operation in so many; which, is drawn from the seed and differs by kind of trouble.
    pub stride: u64,
    /// When to stop, whatever is left.
    pub stop_at: Option<Instant>,
}

impl Extent {
    /// Every operation.
    pub const FULL: Self = Self {
        stride: 1,
        stop_at: None,
    };
}

/// Sweeps one scenario.
///
/// # Errors
/// The first promise that was broken.
pub fn sweep(
    scenario: &Scenario,
    seed: u64,
    extent: Extent,
    tally: &mut Tally,
) -> Result<(), Violation> {
    let failed = |message| Violation {
        case: format!("fault/{}", scenario.name),
        seed,
        message,
    };
    let start = Start::of(scenario, seed).map_err(failed)?;
    let survey = survey(scenario, &start, seed).map_err(failed)?;
    let mutations = survey.first_swept..survey.mutations;
    for (kind, trouble) in (0..).zip(Trouble::ALL) {
        for number in mutations.clone() {
            let strike = Strike::Mutation(number, trouble);
            if mixed(seed, number * 8 + kind).is_multiple_of(extent.stride) {
                if extent.is_over() {
                    return Ok(());
                }
                run(scenario, &start, seed, strike)?;
                tally.faults += 1;
            }
        }
    }
    for number in survey.reads {
        if mixed(seed, number * 8 + 7).is_multiple_of(extent.stride) {
            if extent.is_over() {
                return Ok(());
            }
            run(scenario, &start, seed, Strike::Any(number))?;
            tally.faults += 1;
        }
    }
    Ok(())
}

impl Extent {
    fn is_over(&self) -> bool {
        self.stop_at
            .is_some_and(|stop_at| Instant::now() >= stop_at)
    }
}

/// Plays one case again: the number of a kind of trouble, or one past the last for a failed read.
///
/// # Errors
/// The promise that is broken.
pub fn again(scenario: &Scenario, seed: u64, number: u64, trouble: usize) -> Result<(), Violation> {
    let start = Start::of(scenario, seed).map_err(|message| Violation {
        case: format!("fault/{}", scenario.name),
        seed,
        message,
    })?;
    let strike = match Trouble::ALL.get(trouble) {
        Some(trouble) => Strike::Mutation(number, *trouble),
        None => Strike::Any(number),
    };
    run(scenario, &start, seed, strike)
}

/// Which operations a scenario makes when nothing fails.
struct Survey {
    first_swept: u64,
    mutations: u64,
    reads: Vec<u64>,
}

fn survey(scenario: &Scenario, start: &Start, seed: u64) -> Result<Survey, String> {
    let mut play = Play::begin(scenario, start, seed, None, None)?;
    let (way_there, swept) = scenario.steps.split_at(scenario.swept_from);
    play.steps(way_there)?;
    let (first_swept, first_read) = match scenario.swept_from {
        0 => (0, 0),
        _ => (play.stage.mutation_count(), play.stage.notes().reads.len()),
    };
    play.steps(swept)?;
    play.settle()?;
    play.end_handle()?;
    let reads = play.stage.notes().reads.split_off(first_read);
    Ok(Survey {
        first_swept,
        mutations: play.stage.mutation_count(),
        reads,
    })
}

fn run(scenario: &Scenario, start: &Start, seed: u64, strike: Strike) -> Result<(), Violation> {
    caught(|| live(scenario, start, seed, strike)).map_err(|message| {
        let (number, kind) = match strike {
            Strike::Mutation(number, trouble) => (number, trouble.number()),
            Strike::Any(number) => (number, None),
        };
        let kind = kind.unwrap_or(Trouble::ALL.len());
        Violation {
            case: format!("fault/{}/{number}/{kind}", scenario.name),
            seed,
            message: format!("{strike:?}: {message}"),
        }
    })
}

fn live(scenario: &Scenario, start: &Start, seed: u64, strike: Strike) -> Result<(), String> {
    let mut play = Play::begin(scenario, start, seed, Some(strike), None)?;
    if play.stage.notes().lost_directory {
        return Ok(());
    }
    play.steps(&scenario.steps)?;
    play.settle()?;
    left_by(&play, seed)?;
    play.goes_on()?;
    left_by(&play, seed).map_err(|error| format!("well again: {error}"))?;
    play.end_handle()?;
    play.stage.heal();
    left(&play, Crash::Kill, seed).map_err(|error| format!("reopened: {error}"))
}

/// Checks what a crash would leave now: in the mildest and the harshest image, after a kill, and
/// in one image of the others.
fn left_by(play: &Play, seed: u64) -> Result<(), String> {
    let number = play.stage.mutation_count();
    let images = CrashImage::standard(mixed(seed, number));
    let drawn = usize::try_from(number % images.len() as u64).unwrap_or(0);
    let drawn = images.get(drawn).copied().map(Crash::PowerCut);
    let crashes = [
        Crash::PowerCut(CrashImage::NothingUnsynced),
        Crash::PowerCut(CrashImage::EverythingUnsynced),
        Crash::Kill,
    ];
    crashes
        .into_iter()
        .chain(drawn)
        .try_for_each(|crash| left(play, crash, seed))
}

fn left(play: &Play, crash: Crash, seed: u64) -> Result<(), String> {
    let book = read(&play.book);
    let disk = crash.of(&play.stage.machine.disk);
    // Whoever comes next has made room.
    lsm_fs::SimFs::set_capacity_bytes(&disk, None);
    let remains = Remains {
        disk,
        crash,
        history: &book.history,
        config: &book.config,
        used: play.used(),
        seed: mixed(seed, play.stage.mutation_count()),
    };
    remains
        .check()
        .map_err(|error| format!("{crash:?}: {error}"))
}
