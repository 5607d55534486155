//! What a script begins with: an empty disk, what an earlier handle left, or a directory of
//! `lsm-db` 1.x.
//!
//! Made once for each sweep, and played from many times. Never changes afterwards.

use lsm_fs::SimFs;

use super::Scenario;
use super::book::read;
use super::play::Play;
use super::stage::UsedIds;
use crate::machine::Machine;
use crate::model::Model;
use crate::vectors;

/// A store that a script can go on with.
pub(super) struct Start {
    pub disk: SimFs,
    pub used: UsedIds,
    pub model: Model,
    pub commits: usize,
}

impl Start {
    /// Plays what comes before the scenario, on a handle of its own.
    pub(super) fn of(scenario: &Scenario, seed: u64) -> Result<Self, String> {
        let first = match scenario.directory {
            Some(directory) => Self::of_directory(directory, scenario, seed)
                .map_err(|error| format!("{directory}: {error}"))?,
            None => Self {
                disk: SimFs::new(),
                used: UsedIds::default(),
                model: Model::new(),
                commits: 0,
            },
        };
        if scenario.before.is_empty() {
            return Ok(first);
        }
        let mut play = Play::begin(scenario, &first, seed, None, None)?;
        play.steps(&scenario.before)?;
        play.end_handle()?;
        let model = read(&play.book).history.visible().clone();
        Ok(Self {
            disk: play.stage.machine.disk.clone(),
            used: play.used(),
            model,
            commits: play.commits,
        })
    }
}

impl Start {
    /// A disk with a directory of `lsm-db` 1.x, durable.
    fn of_directory(directory: &str, scenario: &Scenario, seed: u64) -> std::io::Result<Self> {
        let (files, model) = vectors::named(directory)?;
        let machine = Machine::with_disk(SimFs::new(), scenario.config.clone(), seed);
        vectors::plant_all(&machine.disk, machine.dir(), &files)?;
        Ok(Self {
            disk: machine.disk,
            used: UsedIds::of(files.keys().map(String::as_str)),
            model,
            commits: 0,
        })
    }
}
