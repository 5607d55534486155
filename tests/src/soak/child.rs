//! The child: opens the store, runs the threads, and tells the supervisor of each operation.
//!
//! `cargo xtask soak` starts one for each life, as a process of its own that can be killed. What it
//! finds wrong it says and then waits to be killed; when the supervisor is gone it ends too.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lsm_db::Lsm;

use super::frames::{Direction, Order, Plan, Stop, Word};
use super::keys::{HISTORIES, mixed};
use super::meter::{Meters, Timed};
use super::profile::Shape;
use super::scanner::Scanner;
use super::upkeep;
use super::verify;
use super::world::World;
use super::writer::Writer;
use super::writes::Op;
use crate::{describe, histories};

const TICK: Duration = Duration::from_secs(1);
/// How soon a thread that waits notices that the others have stopped.
const BEAT: Duration = Duration::from_millis(20);
const HISTORY_PAUSE: Duration = Duration::from_millis(100);

/// What the threads share.
pub(super) struct Shared {
    pub(super) db: Lsm,
    pub(super) shape: Shape,
    pub(super) plan: Plan,
    pub(super) meters: Meters,
    stop: AtomicBool,
    line: Mutex<Box<dyn Write + Send>>,
    /// The first claim that nobody is known to have.
    pub(super) claim: AtomicU64,
    /// Items appended and taken, as far as acknowledged.
    pub(super) appended: AtomicU64,
    pub(super) taken: AtomicU64,
    /// Of each writer: the version of its newest operation on markers that was acknowledged, and of
    /// the newest that was begun.
    pub(super) markers: Vec<(AtomicU64, AtomicU64)>,
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits, but not past the end of the run.
    pub(super) fn rest(&self, duration: Duration) {
        let start = Instant::now();
        while !self.is_stopping() && start.elapsed() < duration {
            std::thread::sleep(BEAT.min(duration.saturating_sub(start.elapsed())));
        }
    }

    /// Says a word to the supervisor.
    pub(super) fn say(&self, word: &Word) -> Result<(), String> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        word.send(&mut *line)
            .map_err(|error| format!("the supervisor does not listen: {error}"))
    }
}

/// Lives one life as the supervisor orders. Returns when it is over, or the supervisor is gone.
///
/// # Errors
/// If the two do not understand each other. What is wrong with the store is told to the supervisor.
pub fn serve(
    mut input: impl Read + Send,
    output: impl Write + Send + 'static,
) -> Result<(), String> {
    let mut output: Box<dyn Write + Send> = Box::new(output);
    let order = |input: &mut dyn Read| Order::receive(&mut &mut *input).map_err(|e| e.to_string());
    let Some(Order::Plan(plan)) = order(&mut input)? else {
        return Err("no plan".to_owned());
    };
    let say = |output: &mut Box<dyn Write + Send>, word: Word| {
        word.send(output).map_err(|error| error.to_string())
    };
    say(&mut output, Word::Opening)?;
    let start = Instant::now();
    let db = match Lsm::open_with(&plan.dir, plan.choices.config()) {
        Ok(db) => db,
        Err(error) => {
            return say(
                &mut output,
                Word::Violation(format!("open: {}", describe(&error))),
            );
        }
    };
    let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    say(&mut output, Word::Opened { nanos })?;

    let Some(Order::World(world, under_way)) = order(&mut input)? else {
        return Ok(());
    };
    let shape = plan.profile.shape();
    let world = match verified(&db, &plan, &shape, *world, &under_way) {
        Ok((world, word)) => {
            if let Some(word) = word {
                say(&mut output, word)?;
            }
            world
        }
        Err(message) => return say(&mut output, Word::Violation(message)),
    };
    say(&mut output, Word::Running)?;
    live(db, *plan, shape, world, input, output)
}

/// The world to begin with: as given, or with what is found in the store if that is to be looked at.
fn verified(
    db: &Lsm,
    plan: &Plan,
    shape: &Shape,
    mut world: World,
    under_way: &[Option<Op>],
) -> Result<(World, Option<Word>), String> {
    let Some(direction) = plan.verify else {
        return Ok((world, None));
    };
    let is_backward = matches!(direction, Direction::Backward);
    let (findings, entries) = verify::store(db, shape, &world, under_way, is_backward)
        .map_err(|message| format!("after the open: {message}"))?;
    world.settle(&findings, under_way);
    Ok((world, Some(Word::Verified { findings, entries })))
}

fn live(
    db: Lsm,
    plan: Plan,
    shape: Shape,
    world: World,
    mut input: impl Read + Send,
    output: Box<dyn Write + Send>,
) -> Result<(), String> {
    let shared = Shared {
        claim: AtomicU64::new(world.claims.len() as u64),
        appended: AtomicU64::new(world.states.iter().map(|state| state.appended).sum()),
        taken: AtomicU64::new(world.taken.iter().map(|taken| taken.below).sum()),
        markers: world
            .states
            .iter()
            .map(|state| (state.marker.into(), state.marker.into()))
            .collect(),
        db,
        shape,
        plan,
        meters: Meters::default(),
        stop: AtomicBool::new(false),
        line: Mutex::new(output),
    };
    let stop = run(&shared, world, &mut input)?;
    let Shared { db, line, .. } = shared;
    let mut line = line.into_inner().unwrap_or_else(PoisonError::into_inner);
    let outcome = match stop {
        None => return Ok(()),
        Some(Stop::Close) => db.close(),
        Some(Stop::Drop) => {
            drop(db);
            Ok(())
        }
        Some(Stop::Flush) => {
            let flushed = db.flush();
            let word =
                flushed.map_or_else(|error| Word::Violation(describe(&error)), |()| Word::Done);
            word.send(&mut line).map_err(|error| error.to_string())?;
            // The kill comes while the store is open.
            let _ = input.read(&mut [0]);
            return Ok(());
        }
    };
    let word = outcome.map_or_else(
        |error| Word::Violation(format!("close: {}", describe(&error))),
        |()| Word::Done,
    );
    word.send(&mut line).map_err(|error| error.to_string())
}

/// Runs the threads until the supervisor says how to stop; `None` if it is gone.
fn run(
    shared: &Shared,
    world: World,
    input: &mut (impl Read + Send),
) -> Result<Option<Stop>, String> {
    let is_over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let guarded = |what: String, work: Box<dyn FnOnce() -> Result<(), String> + Send>| {
            scope.spawn(move || {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                let outcome = outcome.unwrap_or_else(|_| Err("panicked".to_owned()));
                if let Err(message) = outcome {
                    // If nobody listens any more, nobody is left to tell.
                    let _ = shared.say(&Word::Violation(format!("{what}: {message}")));
                }
            })
        };
        let life = shared.plan.life;
        let mut threads = Vec::new();
        for state in world.states {
            let name = format!("writer {}", state.writer);
            let writer = Writer::new(shared, state);
            threads.push(guarded(name, Box::new(move || writer.run())));
        }
        for number in 0..shared.shape.scanners {
            let scanner = Scanner::new(shared, number, life);
            threads.push(guarded(
                format!("scanner {number}"),
                Box::new(move || scanner.run()),
            ));
        }
        threads.push(guarded(
            "upkeep".to_owned(),
            Box::new(|| upkeep::run(shared)),
        ));
        threads.push(guarded(
            "histories".to_owned(),
            Box::new(|| judged_histories(shared)),
        ));
        let reporter = scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let start = Instant::now();
                while start.elapsed() < TICK && !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(BEAT);
                }
                let tick = Box::new(shared.meters.tick(&shared.db.stats()));
                if shared.say(&Word::Tick(tick)).is_err() {
                    return;
                }
            }
        });

        let stop = match Order::receive(input) {
            Ok(Some(Order::Stop(stop))) => Some(stop),
            _ => None,
        };
        shared.stop.store(true, Ordering::Relaxed);
        for thread in threads {
            let _ = thread.join();
        }
        is_over.store(true, Ordering::Relaxed);
        let _ = reporter.join();
        Ok(stop)
    })
}

/// Threads that share keys among themselves, their answers judged together.
fn judged_histories(shared: &Shared) -> Result<(), String> {
    let plan = &shared.plan;
    let seed = mixed(plan.seed ^ mixed(plan.life));
    let mut options = histories::Options::new(HISTORIES, seed);
    options.syncs = plan.choices.has_log;
    let is_over = || {
        // Rounds are short, and the writers shall have most of the machine.
        shared.rest(HISTORY_PAUSE);
        shared.is_stopping()
    };
    histories::run(&shared.db, &options, &shared.meters.histories, &is_over)
}

/// Times an operation of the upkeep, and describes its error.
pub(super) fn timed<T>(
    meter: &super::meter::Meter,
    timed: Timed,
    call: impl FnOnce() -> lsm_db::Result<T>,
) -> Result<T, String> {
    meter.time(timed, call).map_err(|error| describe(&error))
}
