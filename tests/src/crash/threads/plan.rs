//! A play on threads as data: what each thread does, how the store is opened, what befalls the disk
//! and how each handle ends. Drawn from a seed, half of it from a scenario or a random script.
//!
//! Draws more of what is rare: small memtables, no log, faults at creates and directory syncs, many
//! flushes at once. Plays nothing.

use lsm_db::{Durability, LsmConfig};
use quickcheck::{Arbitrary, Gen};

use super::super::script::{Step, Trouble};
use super::super::{Scenario, mixed, scenarios};
use super::weather::{Class, FaultPlan, Mishap, WeatherPlan};
use crate::life::Setup;
use crate::random::Random;

/// Steps of a script that are taken for one life, at most.
const STEPS_MAX: usize = 60;

/// What a thread does next.
#[derive(Debug, Clone)]
pub(super) enum Call {
    /// A batch of the writer's own keys.
    Write(Vec<(u8, Option<usize>)>, Beside, Durability),
    /// Two of the writer's own keys, each of so many bytes.
    LongKeys(usize),
    Sync,
    Flush,
    Compact(u8, u8),
    /// Reads, and compares: a writer its own keys, others a snapshot of everything.
    Look,
    /// Sleeps for so many microseconds.
    Pause(u64),
}

/// What a batch writes beside its writer's own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    Shared,
    Count,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `close()` when all threads have ended.
    Close,
    /// The last of the threads drops the handle.
    Drop,
    /// The first copy of the disk that a crash leaves is what the next life begins with.
    Crash,
}

/// One handle.
#[derive(Debug, Clone)]
pub(super) struct LifePlan {
    pub config: LsmConfig,
    pub writers: Vec<Vec<Call>>,
    pub operators: Vec<Vec<Call>>,
    pub weather: WeatherPlan,
    /// Whether faults strike from the open on; not the first of a directory.
    pub faults_at_open: bool,
    /// Whether the disk is well again before the handle ends, and has to take writes then.
    pub heals: bool,
    pub end: End,
    /// Whether a reader holds a snapshot over the end.
    pub holds_on: bool,
}

/// A play.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub seed: u64,
    /// The scenario that it comes from; `script` for a random one.
    pub name: &'static str,
    /// The directory of `lsm-db` 1.x that it begins with.
    pub directory: Option<&'static str>,
    pub lives: Vec<LifePlan>,
}

impl Plan {
    /// The play of this seed.
    pub(super) fn drawn(seed: u64) -> Self {
        let mut random = Random::new(mixed(seed, 0));
        let scenario = drawn_scenario(&mut random);
        let count = [1, 1, 1, 2, 3][random.below(5)];
        let stretches = stretches(&scenario);
        let lives = (0..count).map(|_| {
            let (config, steps) = &stretches[random.below(stretches.len())];
            LifePlan::drawn(config, steps, &mut random)
        });
        Self {
            seed,
            name: scenario.name,
            directory: scenario.directory,
            lives: lives.collect(),
        }
    }
}

/// A scenario of the catalogue, or a random script.
fn drawn_scenario(random: &mut Random) -> Scenario {
    let mut all = scenarios::all();
    if random.one_in(2) {
        return all.swap_remove(random.below(all.len()));
    }
    let mut gen_ = Gen::from_size_and_seed(40, random.draw());
    Scenario {
        name: "script",
        config: Setup::arbitrary(&mut gen_).config(),
        directory: None,
        before: Vec::new(),
        steps: Vec::arbitrary(&mut gen_),
        swept_from: 0,
        reaches: |_| true,
    }
}

/// The scenario's steps between restarts, each with what it is opened with.
fn stretches(scenario: &Scenario) -> Vec<(LsmConfig, Vec<Step>)> {
    let mut stretches = vec![(scenario.config.clone(), Vec::new())];
    for step in scenario.before.iter().chain(&scenario.steps) {
        let config = match step {
            Step::Configure(config) => config.clone(),
            Step::Reopen(_) => stretches
                .last()
                .map_or_else(LsmConfig::new, |last| last.0.clone()),
            step => {
                if let Some((_, steps)) = stretches.last_mut() {
                    steps.push(step.clone());
                }
                continue;
            }
        };
        stretches.push((config, Vec::new()));
    }
    stretches
}

impl LifePlan {
    fn drawn(config: &LsmConfig, steps: &[Step], random: &mut Random) -> Self {
        let config = drawn_config(config.clone(), random);
        let from = random.below(steps.len().saturating_sub(STEPS_MAX) + 1);
        let steps = steps.iter().skip(from).take(STEPS_MAX);
        let writer_count = 1 + random.below(4);
        // One in four plays is a rush of flushes.
        let operator_count = match random.below(4) {
            0 => 4 + random.below(5),
            _ => random.below(4),
        };
        let mut writers = vec![Vec::new(); writer_count];
        let mut operators = vec![Vec::new(); operator_count];
        let mut faults = Vec::new();
        for step in steps {
            deal(step, &mut writers, &mut operators, &mut faults, random);
        }
        for calls in &mut writers {
            let more = random.below(20);
            (0..more).for_each(|_| calls.push(drawn_writer_call(random)));
        }
        for calls in &mut operators {
            let more = 1 + random.below(12);
            (0..more).for_each(|_| calls.push(drawn_operator_call(random)));
        }
        let more = [0, 1, 1, 1, 2, 3][random.below(6)];
        faults.extend((0..more).map(|_| drawn_fault(random)));
        let end = match random.below(4) {
            0 => End::Drop,
            1 => End::Crash,
            _ => End::Close,
        };
        Self {
            config,
            writers,
            operators,
            weather: drawn_weather(faults, end, random),
            faults_at_open: random.one_in(3),
            heals: random.one_in(3),
            end,
            holds_on: random.one_in(4),
        }
    }
}

/// The configuration of a scenario, most often with a small memtable, and without the log in a
/// third of all lives.
fn drawn_config(config: LsmConfig, random: &mut Random) -> LsmConfig {
    let config = match random.below(3) {
        0 => config.wal(false).durability(Durability::Buffered),
        1 => config.wal(true),
        _ => config,
    };
    let config = match random.below(4) {
        0 => config,
        _ => config.memtable_capacity([1, 100, 500, 2000][random.below(4)]),
    };
    match random.below(3) {
        0 => config,
        1 => config.compaction_trigger(2).run_bytes_target(1 << 20),
        _ => config.compaction_trigger([2, 3, 4, usize::MAX][random.below(4)]),
    }
}

/// Gives a step of a script to one of the threads.
fn deal(
    step: &Step,
    writers: &mut [Vec<Call>],
    operators: &mut [Vec<Call>],
    faults: &mut Vec<FaultPlan>,
    random: &mut Random,
) {
    let call = match step {
        Step::Write(writes, durability) => {
            Call::Write(writes.clone(), drawn_beside(random), *durability)
        }
        Step::Conditional(_, writes, durability) => {
            Call::Write(writes.clone(), Beside::Count, *durability)
        }
        Step::LongKeys(bytes) => Call::LongKeys(*bytes),
        Step::Sync => Call::Sync,
        Step::Flush => Call::Flush,
        Step::Compact(from, to) => Call::Compact(*from, *to),
        Step::Background(_) | Step::Settle | Step::Heal => Call::Pause(random.below(300) as u64),
        Step::FailLogSync | Step::FailManifestSync | Step::Fail(..) => {
            faults.push(fault_of(step, random));
            return;
        }
        Step::Reopen(_) | Step::Configure(_) => return,
    };
    let is_write = matches!(call, Call::Write(..) | Call::LongKeys(_));
    if is_write || operators.is_empty() || random.one_in(3) {
        let writer = random.below(writers.len());
        writers[writer].push(call);
    } else {
        let operator = random.below(operators.len());
        operators[operator].push(call);
    }
}

fn fault_of(step: &Step, random: &mut Random) -> FaultPlan {
    let (class, after, trouble) = match step {
        Step::FailLogSync => (Class::SyncLog, 0, Trouble::Eio),
        Step::FailManifestSync => (Class::SyncManifest, 0, Trouble::Eio),
        Step::Fail(trouble, after) => (Class::AnyMutation, *after, *trouble),
        _ => (Class::AnyMutation, 0, Trouble::Eio),
    };
    FaultPlan {
        class,
        after: after + random.below(20) as u64,
        mishap: Mishap::Trouble(trouble),
        at_the_end: false,
    }
}

fn drawn_beside(random: &mut Random) -> Beside {
    match random.below(5) {
        0 | 1 => Beside::Shared,
        2 => Beside::Count,
        _ => Beside::Nothing,
    }
}

fn drawn_durability(random: &mut Random) -> Durability {
    match random.one_in(3) {
        true => Durability::Sync,
        false => Durability::Buffered,
    }
}

fn drawn_writer_call(random: &mut Random) -> Call {
    match random.below(16) {
        0..11 => {
            let count = [1, 1, 1, 2, 4][random.below(5)];
            let values = [Some(0), Some(30), Some(30), Some(300), None];
            let writes = (0..count).map(|_| {
                let key = u8::try_from(random.below(12)).unwrap_or_default();
                (key, values[random.below(values.len())])
            });
            let writes = writes.collect();
            Call::Write(writes, drawn_beside(random), drawn_durability(random))
        }
        11 => Call::Sync,
        12 => Call::Flush,
        13 => Call::Pause(random.below(300) as u64),
        _ => Call::Look,
    }
}

fn drawn_operator_call(random: &mut Random) -> Call {
    match random.below(12) {
        0 => Call::Sync,
        1..6 => Call::Flush,
        6 => Call::Compact(0, 255),
        7 => {
            let key = u8::try_from(random.below(12)).unwrap_or_default();
            Call::Compact(key, key.saturating_add(2))
        }
        8..10 => Call::Look,
        _ => Call::Pause(random.below(400) as u64),
    }
}

/// Half of all faults strike where a flush or compaction makes a run, or where names are made
/// durable.
fn drawn_fault(random: &mut Random) -> FaultPlan {
    let class = match random.below(8) {
        0 | 1 => Class::CreateRun,
        2 | 3 => Class::SyncDirectory,
        4 => Class::AnyMutation,
        _ => Class::ALL[random.below(Class::ALL.len())],
    };
    let range = match class {
        Class::AnyMutation => 120,
        Class::AppendLog => 30,
        _ => 8,
    };
    let mishap = match random.below(8) {
        0..3 => Mishap::Trouble(Trouble::NoRoom),
        3..5 => Mishap::Trouble(Trouble::Eio),
        5 => Mishap::LostAnswer,
        _ => Mishap::Trouble(Trouble::ALL[random.below(Trouble::ALL.len())]),
    };
    let at_the_end = random.one_in(3);
    FaultPlan {
        class,
        after: random.below(if at_the_end { 3 } else { range }) as u64,
        mishap,
        at_the_end,
    }
}

fn drawn_weather(faults: Vec<FaultPlan>, end: End, random: &mut Random) -> WeatherPlan {
    let copies = if end == End::Crash {
        1
    } else {
        random.below(3)
    };
    WeatherPlan {
        seed: random.draw(),
        faults,
        delay_one_in: [0, 2, 6, 20][random.below(4)],
        answer_one_in: [0, 4, 20][random.below(3)],
        crashes_at: (0..copies).map(|_| 5 + random.below(150) as u64).collect(),
        crash_after_fault: random.one_in(2).then(|| random.below(12) as u64),
        crash_on_promise_one_in: [0, 2, 10][random.below(3)],
        crash_ends_it: end == End::Crash,
    }
}
