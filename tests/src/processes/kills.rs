//! Children that are killed, again and again, in stores that go on: at random moments, or at an
//! operation of the file system in a phase that was chosen.
//!
//! Called by `cargo xtask processes`, and for a handful of kills by the tests.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::aftermath::{self, Remains};
use super::deadly_fs::{Deadly, Phase, Point};
use super::job::{Ending, Job, Shape};
use super::life::{Life, Program, Shot, live};
use super::oracle::Oracle;
use super::workload::Taste;
use crate::crash::mixed;
use crate::random::Random;

/// Operations of a phase among which the point is drawn, until it is known how many there are.
const REACH_FIRST: u32 = 60;

/// Lives that may pass without a kill, for each kill that is wanted.
const LIVES_PER_KILL_MAX: u64 = 20;

/// What is to be done.
#[derive(Debug)]
pub struct Options {
    /// How children are started.
    pub program: Program,
    /// A folder for the stores.
    pub dir: PathBuf,
    /// Kills wanted.
    pub kills: u64,
    /// The seed of all that is drawn.
    pub seed: u64,
    /// Actions of each lane of a life.
    pub steps: u32,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Tally {
    /// Children that were killed, as wanted.
    pub kills: u64,
    /// Lives, ended by a kill or not.
    pub lives: u64,
    /// Stores that were begun.
    pub stores: u64,
    /// Actions that were answered.
    pub answers: u64,
    /// Where children died, if the point was chosen.
    pub points: BTreeSet<Point>,
}

impl Tally {
    /// The different operations at which children died, without their numbers.
    pub fn operations(&self) -> BTreeSet<(&str, &str)> {
        let points = self.points.iter();
        let pairs = points.map(|point| (point.operation.as_str(), point.file.as_str()));
        pairs.collect()
    }
}

/// Kills children: in `phase`, or at random moments if that is `None`.
///
/// # Errors
/// The first promise that is broken.
pub fn run(
    phase: Option<Phase>,
    options: &Options,
    progress: &dyn Fn(&Tally),
) -> Result<Tally, String> {
    let place = phase.map_or(0, |phase| 1 + phase as u64);
    let mut campaign = Campaign {
        phase,
        options,
        dir: options.dir.join(phase.map_or("random", Phase::name)),
        oracle: Oracle::new(),
        reach: REACH_FIRST,
        tally: Tally::default(),
    };
    let mut number = 0;
    while campaign.tally.kills < options.kills {
        if campaign.tally.lives > (options.kills + 5) * LIVES_PER_KILL_MAX {
            let Tally { kills, lives, .. } = campaign.tally;
            return Err(format!("{lives} lives and only {kills} kills"));
        }
        number += 1;
        let mut random = Random::new(mixed(mixed(options.seed, place), number));
        campaign
            .round(&mut random)
            .map_err(|error| format!("round {number}: {error}"))?;
        progress(&campaign.tally);
    }
    Ok(campaign.tally)
}

struct Campaign<'a> {
    phase: Option<Phase>,
    options: &'a Options,
    dir: PathBuf,
    oracle: Oracle,
    /// The last operation of the phase that a life is likely to get to.
    reach: u32,
    tally: Tally,
}

impl Campaign<'_> {
    fn round(&mut self, random: &mut Random) -> Result<(), String> {
        if self.tally.stores == 0 || random.one_in(12) {
            let removed = aftermath::remove(&self.dir);
            removed.map_err(|error| format!("{}: {error}", self.dir.display()))?;
            self.oracle = Oracle::new();
            self.tally.stores += 1;
        }
        let mut job = self.draw_job(random);
        match self.phase {
            None => self.be_shot(&job, random)?,
            Some(Phase::Recovery) => {
                self.be_shot(&job, random)?;
                // What a recovery left half-done is recovered, too.
                for _ in 0..=random.below(2) {
                    self.die_opening(&mut job, random)?;
                }
            }
            Some(phase) => {
                job.deadly = Some(self.draw_point(phase, random));
                let life = self.live(&job, None)?;
                self.count(&life);
            }
        }
        // Another process may open it in another way.
        let shape = Shape {
            logged: job.shape.logged != random.one_in(8),
            ..Shape::draw(random)
        };
        let remains = Remains {
            dir: &self.dir,
            shape,
            oracle: &mut self.oracle,
            seed: random.draw(),
        };
        let checked = match random.one_in(3) {
            true => remains.check(),
            false => remains.check_copy(&aftermath::beside(&self.dir)),
        };
        checked.map_err(|error| format!("after {job:?}: {error}"))
    }

    fn draw_job(&self, random: &mut Random) -> Job {
        let shape = Shape::draw(random);
        // A manifest that outgrows its snapshot needs many edits, or long ones.
        let long_keys = self.phase == Some(Phase::Manifest) && random.one_in(6);
        let lanes = match shape.logged && !long_keys {
            true => [1, 1, 3][random.below(3)],
            // What a kill takes of several lanes is not known without a log.
            false => 1,
        };
        Job {
            dir: self.dir.clone(),
            taste: Taste {
                seed: random.draw(),
                long_keys,
                large_values: random.one_in(2),
                by_hand: random.one_in(2),
            },
            shape: Shape {
                memtable_bytes: match long_keys {
                    true => 2048,
                    false => shape.memtable_bytes,
                },
                ..shape
            },
            lanes,
            steps: match long_keys {
                true => self.options.steps * 4,
                false => self.options.steps,
            },
            sessions: 1,
            ending: match random.below(4) {
                0 => Ending::Close,
                1 => Ending::Drop,
                _ => Ending::Die,
            },
            tolerant: false,
            deadly: None,
        }
    }

    fn draw_point(&self, phase: Phase, random: &mut Random) -> Deadly {
        Deadly {
            phase,
            index: 1 + u32::try_from(random.below(self.reach as usize)).unwrap_or(0),
            after: random.one_in(2),
        }
    }

    fn live(&mut self, job: &Job, shot: Option<Shot>) -> Result<Life, String> {
        let life = live(&self.options.program, &[], job, &mut self.oracle, shot)
            .map_err(|error| format!("{job:?}: {error}"))?;
        self.tally.lives += 1;
        self.tally.answers += u64::from(life.answers);
        Ok(life)
    }

    /// A life, and a kill at a random moment of it.
    fn be_shot(&mut self, job: &Job, random: &mut Random) -> Result<(), String> {
        let records = job.steps as usize * usize::from(job.lanes) * 2;
        let shot = Shot {
            records: 1 + u32::try_from(random.below(records)).unwrap_or(0),
            pause: match random.one_in(2) {
                true => Duration::ZERO,
                false => Duration::from_micros(random.draw() % 3000),
            },
        };
        let life = self.live(job, Some(shot))?;
        let is_wanted = self.phase.is_none() && life.was_killed() && life.survived.is_none();
        self.tally.kills += u64::from(is_wanted);
        Ok(())
    }

    /// A child that opens the store and is killed in that, or right after it.
    fn die_opening(&mut self, job: &mut Job, random: &mut Random) -> Result<(), String> {
        let opening = Job {
            lanes: 0,
            steps: 0,
            ending: Ending::Die,
            deadly: Some(self.draw_point(Phase::Recovery, random)),
            ..job.clone()
        };
        // What was in flight when the last one died is so still.
        let life = self.live(&opening, None)?;
        self.count(&life);
        Ok(())
    }

    fn count(&mut self, life: &Life) {
        match &life.point {
            Some(point) if life.was_killed() => {
                self.tally.kills += 1;
                self.tally.points.insert(point.clone());
                // Now and then it may reach further.
                self.reach += u32::from(point.index == self.reach);
            }
            _ => {
                let operations = match self.phase {
                    Some(Phase::Recovery) => life.opened_after,
                    _ => life.survived,
                };
                // Lives differ: not all at once.
                if let Some(operations) = operations {
                    self.reach = u32::midpoint(self.reach, operations.max(4));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
