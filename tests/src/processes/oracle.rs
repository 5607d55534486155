//! What a store may hold, as its parent knows from what the child said.
//!
//! Fed with each record, in order; asked after each life. Knows nothing of files. Each lane has a
//! history of its own: nobody else writes its keys.

use std::collections::BTreeMap;

use lsm_db::Durability;

use super::job::Job;
use super::record::{Outcome, Record, Refusal};
use super::workload::{Deed, draw, lane_of, lane_prefix};
use crate::crash::{Crash, History};
use crate::model::{Model, Write};

/// The lane in whose name the parent itself writes.
pub const PARENT_LANE: u8 = 255;

/// What was promised so far.
#[derive(Debug, Clone)]
pub struct Oracle {
    lanes: BTreeMap<u8, History>,
    /// What each lane is about.
    doing: BTreeMap<u8, Doing>,
    job: Option<Job>,
}

#[derive(Debug, Clone)]
struct Doing {
    number: u32,
    deed: Deed,
    /// Whether its condition must be met.
    is_met: bool,
}

/// A checksum of entries.
pub fn digest(entries: &Model) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for (key, value) in entries {
        for part in [key, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize()
}

impl Default for Oracle {
    fn default() -> Self {
        Self::new()
    }
}

impl Oracle {
    /// Of an empty store.
    pub fn new() -> Self {
        Self {
            lanes: BTreeMap::new(),
            doing: BTreeMap::new(),
            job: None,
        }
    }

    /// A child begins to do this.
    pub fn begin_life(&mut self, job: &Job) {
        self.doing.clear();
        for lane in (0..job.lanes).chain([PARENT_LANE]) {
            self.lanes.entry(lane).or_insert_with(|| History::new(true));
        }
        for history in self.lanes.values_mut() {
            history.set_logged(job.shape.logged);
        }
        self.job = Some(job.clone());
    }

    /// Takes the child's word.
    ///
    /// # Errors
    /// A promise that was broken in the child's own sight.
    pub fn take(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Begin { lane, number } => self.begin(*lane, *number),
            Record::End {
                lane,
                number,
                outcome,
            } => self.end(*lane, *number, *outcome),
            Record::Holds { entries, digest } => self.hold(*entries, *digest),
            Record::Closed => {
                self.all_durable();
                Ok(())
            }
            Record::Failed(message) => Err(message.clone()),
            Record::Opened(_) | Record::Killing(_) | Record::Survived(_) => Ok(()),
        }
    }

    fn job(&self) -> Result<&Job, String> {
        self.job.as_ref().ok_or_else(|| "no life".to_owned())
    }

    fn begin(&mut self, lane: u8, number: u32) -> Result<(), String> {
        let deed = draw(self.job()?.taste, lane, number);
        let history = self.lanes.get_mut(&lane).ok_or("an unknown lane")?;
        let is_met = deed.is_met(history.visible());
        if is_met && !deed.writes().is_empty() {
            history.begin(deed.writes());
        }
        let doing = Doing {
            number,
            deed,
            is_met,
        };
        match self.doing.insert(lane, doing) {
            None => Ok(()),
            Some(_) => Err(format!("lane {lane} does two things at once")),
        }
    }

    fn end(&mut self, lane: u8, number: u32, outcome: Outcome) -> Result<(), String> {
        let logged = self.job()?.shape.logged;
        let doing = self
            .doing
            .remove(&lane)
            .filter(|doing| doing.number == number);
        let Doing { deed, is_met, .. } = doing.ok_or("an answer to nothing")?;
        let history = self.lanes.get_mut(&lane).ok_or("an unknown lane")?;
        let has_begun = is_met && !deed.writes().is_empty();
        match outcome {
            Outcome::Done | Outcome::Unmet if (outcome == Outcome::Done) != is_met => {
                return Err(format!(
                    "action {number} of lane {lane} was answered with {outcome:?}: {deed:?}"
                ));
            }
            Outcome::Done if has_begun => {
                // A process that is killed loses nothing that was handed over.
                history.acknowledged(match logged {
                    true => Durability::Sync,
                    false => Durability::Buffered,
                });
            }
            // With one lane, or a log, nothing of another lane can be lost behind this.
            Outcome::Done => self.all_durable(),
            Outcome::Unmet => {}
            Outcome::Refused(Refusal::Other, _) => {
                return Err(format!("action {number} of lane {lane}: a strange error"));
            }
            Outcome::Refused(refusal, poisoned) if has_begun => {
                match poisoned && refusal != Refusal::Poisoned {
                    true => history.left_open(),
                    false => history.rejected(),
                }
            }
            Outcome::Refused(..) => {}
        }
        Ok(())
    }

    fn all_durable(&mut self) {
        self.lanes.values_mut().for_each(History::all_durable);
    }

    /// What the handle must show when nobody writes.
    pub fn visible(&self) -> Model {
        let lanes = self.lanes.values();
        lanes.flat_map(|lane| lane.visible().clone()).collect()
    }

    fn hold(&self, entries: u32, found: u32) -> Result<(), String> {
        let visible = self.visible();
        if (entries as usize, found) == (visible.len(), digest(&visible)) {
            return Ok(());
        }
        Err(format!(
            "the open store shows {entries} entries, not the {} that were acknowledged, or not those",
            visible.len()
        ))
    }

    /// Checks what a store shows after the process that had it open was killed.
    ///
    /// # Errors
    /// How it differs from what it may show.
    pub fn explain(&self, found: &Model) -> Result<(), String> {
        let parts = split(found)?;
        if let Some(lane) = parts.keys().find(|lane| !self.lanes.contains_key(lane)) {
            return Err(format!("entries of lane {lane}, which never wrote"));
        }
        let nothing = Model::new();
        self.lanes.iter().try_for_each(|(lane, history)| {
            let found = parts.get(lane).unwrap_or(&nothing);
            let explained = history.explain(found, Crash::Kill);
            explained.map_err(|error| format!("lane {lane}: {error}"))
        })
    }

    /// What `explain` has allowed is the state from now on.
    ///
    /// # Errors
    /// If there are entries that nobody wrote.
    pub fn resolve(&mut self, found: &Model) -> Result<(), String> {
        self.doing.clear();
        let mut parts = split(found)?;
        for (lane, history) in &mut self.lanes {
            history.resolve(parts.remove(lane).unwrap_or_default(), true);
        }
        Ok(())
    }
}

/// Writes of the parent, of this number.
pub fn parents_writes(number: u64) -> Vec<Write> {
    let key = |place: u64| format!("{}{place}", lane_prefix(PARENT_LANE)).into_bytes();
    let value = format!("of the parent, {number}").into_bytes();
    vec![
        (key(number % 3), Some(value)),
        (key((number + 1) % 3), None),
    ]
}

/// Each lane's part.
fn split(found: &Model) -> Result<BTreeMap<u8, Model>, String> {
    let mut parts = BTreeMap::<u8, Model>::new();
    for (key, value) in found {
        let lane =
            lane_of(key).ok_or_else(|| format!("a key of nobody: {}", key.escape_ascii()))?;
        let part = parts.entry(lane).or_default();
        part.insert(key.clone(), value.clone());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
