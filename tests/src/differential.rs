//! The store against a sorted map, for as long as wanted: one random life for each seed, first on the
//! stepped scheduler, then on threads over a disk whose operations are delayed.
//!
//! A [`Life`] reads and writes in every way that there is, keeps iterators, cursors and snapshots
//! across everything, reopens with other options, is killed and has its power cut. Run by
//! `cargo xtask differential`, in a fast cut by the test binary `model`. Injects no faults: what
//! a store owes after one is judged by [`crash`](crate::crash).

use std::time::{Duration, Instant};

use quickcheck::{Arbitrary, Gen};

use crate::crash::caught;
use crate::life::{Life, run as live};
use crate::machine::Machine;
use crate::random::Random;
use crate::watched::watched;

/// How a life's background work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Stepped: the same seed is the same life, operation by operation.
    Stepped,
    /// On threads, which interleave as they like.
    Threads,
}

impl Mode {
    /// Its name in a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stepped => "stepped",
            Self::Threads => "threads",
        }
    }
}

/// What lives have done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Seeds, each of which lived twice.
    pub seeds: u64,
    /// Deeds in all of these lives.
    pub deeds: u64,
}

/// How often a life on threads is lived again to find the same again.
const AGAIN_MAX: u64 = 2000;

/// Lives the lives of `count` seeds from this one on, or until the time is up. Returns how many.
///
/// # Errors
/// The first difference, with its life and the command that shows it again.
pub fn run(
    seed: u64,
    count: u64,
    stop_at: Option<Instant>,
    tally: &mut Tally,
) -> Result<u64, String> {
    for number in 0..count {
        if stop_at.is_some_and(|stop_at| Instant::now() >= stop_at) {
            return Ok(number);
        }
        let seed = seed.wrapping_add(number);
        for mode in [Mode::Stepped, Mode::Threads] {
            tally.deeds += one(seed, mode)?;
        }
        tally.seeds += 1;
    }
    Ok(count)
}

/// Lives one life again, by the name of its mode; on threads until it differs, or often enough.
///
/// # Errors
/// The difference, or that there is no such mode.
pub fn again(seed: u64, mode: &str) -> Result<(), String> {
    let modes = [(Mode::Stepped, 1), (Mode::Threads, AGAIN_MAX)];
    let mode = modes.into_iter().find(|(known, _)| known.name() == mode);
    let (mode, times) = mode.ok_or("the modes are `stepped` and `threads`")?;
    for _ in 0..times {
        one(seed, mode)?;
    }
    Ok(())
}

/// How many deeds the life had.
fn one(seed: u64, mode: Mode) -> Result<u64, String> {
    let life = drawn(seed);
    let deeds = life.deeds.len() as u64;
    let lived = watched({
        let life = life.clone();
        move || caught(|| live(machine(&life, mode, seed), &life))
    });
    let differs = |error: String| {
        let name = mode.name();
        format!(
            "{name} with seed {seed}: {error}\n{life:?}\n\
             again: cargo xtask differential --seed {seed} --case {name}"
        )
    };
    lived.and_then(|lived| lived).map_err(differs)?;
    Ok(deeds)
}

/// The life of this seed: most are short.
fn drawn(seed: u64) -> Life {
    let mut random = Random::new(seed);
    let deeds_max = [20, 60, 60, 200, 600][random.below(5)];
    Life::arbitrary(&mut Gen::from_size_and_seed(deeds_max, random.draw()))
}

fn machine(life: &Life, mode: Mode, seed: u64) -> Machine {
    let machine = Machine::new(life.setup.config(), life.setup.seed);
    match mode {
        Mode::Stepped => machine,
        Mode::Threads => {
            machine.faults.on_operation(move |event| {
                let mut random = Random::new(seed ^ event.index.rotate_left(32));
                match random.below(64) {
                    0 => std::thread::sleep(Duration::from_micros(random.below(500) as u64)),
                    1..4 => std::thread::yield_now(),
                    _ => {}
                }
            });
            machine.on_its_own_threads()
        }
    }
}
