//! The supervisor: starts a child for each life, keeps the exact model of what it acknowledged,
//! kills it or has it stop, and compares the store with the model.
//!
//! Never writes to the store itself, but for the compaction at the very end.

use std::time::{Duration, Instant};

use lsm_db::Lsm;

use super::frames::{Direction, Order, Plan, Stop, Word};
use super::lives::{Choices, Ending, Life};
use super::meter::{Figures, Timed};
use super::process::Child;
use super::profile::Shape;
use super::report::{LifeReport, Tally};
use super::verify;
use super::world::World;
use super::writes::{Op, Outcome, stream};
use super::{Options, Progress};
use crate::describe;
use crate::random::Random;

/// A child that gets nothing done for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// How often the caller hears of the progress, at least.
const BEAT: Duration = Duration::from_millis(200);
const HOLD_SECONDS_MAX: u64 = 90;

pub(super) struct Supervisor<'a> {
    options: &'a Options,
    progress: &'a mut dyn FnMut(&Progress<'_>),
    shape: Shape,
    world: World,
    /// Of each writer, the operation whose fate is open since a kill.
    under_way: Vec<Option<Op>>,
    random: Random,
    start: Instant,
    pub(super) tally: Tally,
}

/// What the supervisor knows of a running life.
struct Running<'a> {
    life: &'a Life,
    number: u64,
    streams: Vec<Random>,
    /// When the threads began.
    began: Option<Instant>,
    /// When something was done last.
    heard: Instant,
    is_stopping: bool,
    is_killed: bool,
    is_done: bool,
    operations: u64,
    violation: Option<String>,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(options: &'a Options, progress: &'a mut dyn FnMut(&Progress<'_>)) -> Self {
        let shape = options.profile.shape();
        Self {
            options,
            progress,
            world: World::new(&shape),
            under_way: vec![None; shape.writers],
            shape,
            random: Random::new(options.seed),
            start: Instant::now(),
            tally: Tally::new(),
        }
    }

    /// Life after life until the time is over, then a last look at everything.
    ///
    /// # Errors
    /// The first violation: what, and in which life.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let lived = self.lives();
        self.tally.running_seconds = self.start.elapsed().as_secs_f64();
        lived?;
        self.last_look()
            .map_err(|message| format!("after the last life: {message}"))
    }

    fn lives(&mut self) -> Result<(), String> {
        let mut number = 0;
        loop {
            let elapsed = self.start.elapsed();
            let left = self.options.duration.saturating_sub(elapsed);
            if left.is_zero() {
                return Ok(());
            }
            number += 1;
            let life = Life::draw(&mut self.random, &self.shape, self.options.duration, left);
            let begun = Instant::now();
            let lived = self.live(number, &life);
            let (operations, message) = match lived {
                Ok(operations) => (operations, None),
                Err(message) => (0, Some(message)),
            };
            self.tally.end_life(LifeReport {
                life: number,
                started_s: elapsed.as_secs_f64(),
                seconds: begun.elapsed().as_secs_f64(),
                ending: life.ending,
                operations,
                choices: life.choices.clone(),
            });
            if let Some(message) = message {
                return Err(format!(
                    "life {number} ({:?} after {:?}, {:?}): {message}",
                    life.ending, life.duration, life.choices
                ));
            }
        }
    }

    /// One life of the child; returns the operations it acknowledged.
    fn live(&mut self, number: u64, life: &Life) -> Result<u64, String> {
        let is_short = life.ending == Ending::KillInRecovery;
        if life.is_verified_here && !is_short {
            self.verify_here(life.is_backward)?;
        }
        let verify = match (life.is_verified_here, life.is_backward) {
            (true, _) => None,
            (false, false) => Some(Direction::Forward),
            (false, true) => Some(Direction::Backward),
        };
        let mut child = Child::start(&self.options.child)?;
        child.order(Order::Plan(Box::new(Plan {
            dir: self.options.dir.clone(),
            profile: self.options.profile,
            seed: self.options.seed,
            life: number,
            choices: life.choices.clone(),
            verify,
            hold_seconds_max: (self.options.duration.as_secs() / 6).clamp(2, HOLD_SECONDS_MAX),
        })));
        let mut running = Running {
            life,
            number,
            streams: Vec::new(),
            began: None,
            heard: Instant::now(),
            is_stopping: false,
            is_killed: false,
            is_done: false,
            operations: 0,
            violation: None,
        };
        let mut beat = Instant::now();
        loop {
            match child.hear(BEAT) {
                Ok(Some(word)) => {
                    if let Err(message) = self.take_note(&mut running, &mut child, word) {
                        running.violation.get_or_insert(message);
                        running.kill(&mut child);
                    }
                }
                Ok(None) => {}
                Err(()) => break,
            }
            running.stop_in_time(&mut child);
            if running.heard.elapsed() > SILENCE_MAX && !running.is_killed {
                let message = format!("nothing was done for {SILENCE_MAX:?}: it hangs");
                running.violation.get_or_insert(message);
                running.kill(&mut child);
            }
            if beat.elapsed() >= BEAT {
                beat = Instant::now();
                self.tell(number, running.phase());
            }
        }
        let ended = child.end();
        if let Some(message) = running.violation {
            return Err(message);
        }
        let ended_as_told = running.is_done && ended.is_ok();
        if !(running.is_killed || ended_as_told) {
            let status = ended.err().unwrap_or_else(|| "early".to_owned());
            return Err(format!("the child ended by itself: {status}"));
        }
        if running.is_killed && !running.is_done && running.began.is_some() {
            let writers = self.world.states.iter().zip(&mut running.streams);
            let under_way = writers.map(|(state, stream)| Some(state.draw(stream, &self.shape)));
            self.under_way = under_way.collect();
        }
        Ok(running.operations)
    }

    fn take_note(
        &mut self,
        running: &mut Running<'_>,
        child: &mut Child,
        word: Word,
    ) -> Result<(), String> {
        if !matches!(word, Word::Tick(_)) {
            running.heard = Instant::now();
        }
        match word {
            Word::Opening => {
                if running.life.ending == Ending::KillInRecovery {
                    std::thread::sleep(running.life.duration);
                    running.kill(child);
                }
            }
            Word::Opened { nanos } => {
                self.tally.opened(nanos);
                if !running.is_killed {
                    let world = Box::new(self.world.clone());
                    child.order(Order::World(world, self.under_way.clone()));
                }
            }
            Word::Verified { findings, entries } => {
                self.world.settle(&findings, &self.under_way);
                self.under_way.fill(None);
                self.tally.verified(entries);
            }
            Word::Running => {
                running.began = Some(Instant::now());
                let writers = 0..self.shape.writers;
                let seed = self.options.seed;
                running.streams = writers.map(|w| stream(seed, running.number, w)).collect();
            }
            Word::Acknowledged {
                writer,
                version,
                outcome,
            } => {
                let is_done = u64::from(outcome != Outcome::Skipped);
                running.operations += is_done;
                self.tally.operations += is_done;
                self.acknowledge(running, writer, version, outcome)?;
            }
            Word::Tick(tick) => {
                self.tally.tick(*tick, self.start.elapsed())?;
            }
            Word::Violation(message) => return Err(message),
            Word::Done => {
                running.is_done = true;
                if running.life.ending == Ending::Kill {
                    running.kill(child);
                }
            }
        }
        Ok(())
    }

    /// Draws what the child has drawn, and takes note of it.
    fn acknowledge(
        &mut self,
        running: &mut Running<'_>,
        writer: usize,
        version: u64,
        outcome: Outcome,
    ) -> Result<(), String> {
        let of_writer = self
            .world
            .states
            .get(writer)
            .zip(running.streams.get_mut(writer));
        let Some((state, stream)) = of_writer else {
            return Err(format!("an acknowledgement of a writer {writer}"));
        };
        let op = state.draw(stream, &self.shape);
        if op.version != version {
            return Err(format!(
                "writer {writer} has done operation {version}, and {} was next",
                op.version
            ));
        }
        self.world.acknowledge(writer, &op, outcome)
    }

    /// Opens the store in this process, and compares all of it.
    fn verify_here(&mut self, is_backward: bool) -> Result<(), String> {
        let choices = Choices::draw(&mut self.random, &self.shape);
        self.tell(0, "verifying");
        let start = Instant::now();
        let db = Lsm::open_with(&self.options.dir, choices.config())
            .map_err(|error| format!("opened with {choices:?}: {}", describe(&error)))?;
        self.tally.latencies.record(
            Timed::Open,
            u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
            1,
        );
        self.compare(&db, is_backward)?;
        if self.random.one_in(2) {
            db.close().map_err(|error| describe(&error))?;
        }
        Ok(())
    }

    fn compare(&mut self, db: &Lsm, is_backward: bool) -> Result<(), String> {
        let (findings, entries) =
            verify::store(db, &self.shape, &self.world, &self.under_way, is_backward)?;
        self.world.settle(&findings, &self.under_way);
        self.under_way.fill(None);
        self.tally.verified(entries);
        Ok(())
    }

    /// Everything once more, then merged into one level, and everything again.
    fn last_look(&mut self) -> Result<(), String> {
        self.tell(0, "last look");
        let open = || Lsm::open(&self.options.dir).map_err(|error| describe(&error));
        let db = open()?;
        self.compare(&db, false)?;
        self.tally.last = Figures::of(&db.stats());
        db.compact_range::<Vec<u8>, _>(..)
            .map_err(|error| describe(&error))?;
        self.compare(&db, true)?;
        self.tally.compacted = Figures::of(&db.stats());
        db.close().map_err(|error| describe(&error))?;
        let db = open()?;
        self.compare(&db, false)?;
        db.close().map_err(|error| describe(&error))
    }

    fn tell(&mut self, life: u64, phase: &'static str) {
        (self.progress)(&Progress {
            elapsed: self.start.elapsed(),
            life,
            phase,
            tally: &self.tally,
        });
    }
}

impl Running<'_> {
    /// Kills the child, or tells it to stop, when its time has come.
    fn stop_in_time(&mut self, child: &mut Child) {
        let is_due = self
            .began
            .is_some_and(|began| began.elapsed() >= self.life.duration);
        if !is_due || self.is_stopping || self.is_killed {
            return;
        }
        self.is_stopping = true;
        match (self.life.ending, self.life.choices.has_log) {
            (Ending::Kill | Ending::KillInRecovery, true) => self.kill(child),
            (Ending::Kill | Ending::KillInRecovery, false) => child.order(Order::Stop(Stop::Flush)),
            (Ending::Close, _) => child.order(Order::Stop(Stop::Close)),
            (Ending::Drop, _) => child.order(Order::Stop(Stop::Drop)),
        }
    }

    fn phase(&self) -> &'static str {
        match (self.began, self.is_stopping) {
            (None, _) => "opening",
            (Some(_), false) => "running",
            (Some(_), true) => "stopping",
        }
    }

    fn kill(&mut self, child: &mut Child) {
        child.kill();
        self.is_killed = true;
    }
}
