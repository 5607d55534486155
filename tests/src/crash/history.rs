//! The oracle: which states a store may be found in, given what it has acknowledged.
//!
//! Kept by the player, one entry for each commit; asked after every restart. Knows nothing of
//! files: only of writes, acknowledgements and their order.
//!
//! 1. A restart shows the state after some first part of the commit order.
//! 2. Everything acknowledged as durable is in that part, and so is everything before it.
//! 3. After a kill, everything acknowledged is in it, if there was a log.
//! 4. A rejected write is in no state. One whose fate is open may be the last of the part.
//! 5. What a settled store has shown after a restart is durable.

use lsm_db::Durability;

use super::Crash;
use crate::model::{Model, Write, apply};

/// What was promised so far.
#[derive(Debug, Clone)]
pub struct History {
    /// The states after each commit since the last durable one, that one included; never empty,
    /// and the last is what the handle must show.
    kept: Vec<Model>,
    /// States with a write at the end that is under way or whose fate is open.
    open: Vec<Model>,
    /// Whether acknowledged writes are in a log.
    logged: bool,
    /// Whether the power went since the last handle: nothing is in a page cache any more.
    power_lost: bool,
    /// Whether the store was opened without being able to pay what recovery owes the disk.
    unsettled: bool,
}

impl History {
    /// The history of an empty store.
    pub fn new(logged: bool) -> Self {
        Self {
            kept: vec![Model::new()],
            open: Vec::new(),
            logged,
            power_lost: false,
            unsettled: false,
        }
    }

    /// What the handle must show now.
    pub fn visible(&self) -> &Model {
        static EMPTY: Model = Model::new();
        self.kept.last().unwrap_or(&EMPTY)
    }

    /// From the next open on, writes go to a log or do not.
    pub fn set_logged(&mut self, logged: bool) {
        self.logged = logged;
    }

    /// A commit is under way: from here on it may be found after a crash.
    pub fn begin(&mut self, writes: &[Write]) {
        let mut state = self.visible().clone();
        apply(&mut state, writes);
        self.open.push(state);
    }

    /// The commit under way was acknowledged.
    pub fn acknowledged(&mut self, durability: Durability) {
        if self.unsettled {
            // Whatever is acknowledged comes after what recovery owed was paid.
            self.all_durable();
        }
        self.kept.extend(self.open.pop());
        if durability == Durability::Sync {
            self.all_durable();
        }
    }

    /// A question was answered from what the handle shows. No crash may make an answer untrue that
    /// was asked for as durable.
    pub fn answered(&mut self, durability: Durability) {
        if self.unsettled || durability == Durability::Sync {
            self.all_durable();
        }
    }

    /// The commit under way was refused, and the handle goes on: it must never be seen.
    pub fn rejected(&mut self) {
        self.open.pop();
    }

    /// The commit under way failed, and nobody can say what of it is on the disk.
    pub fn left_open(&mut self) {}

    /// Everything acknowledged so far is durable: `sync`, `flush` or `close` said so.
    pub fn all_durable(&mut self) {
        self.kept = vec![self.visible().clone()];
        self.unsettled = false;
    }

    /// Checks what a store shows after a restart.
    ///
    /// # Errors
    /// How it differs from the newest state that it might show.
    pub fn explain(&self, found: &Model, crash: Crash) -> Result<(), String> {
        let oldest = match crash {
            Crash::Kill if self.logged && !self.power_lost => self.kept.len() - 1,
            _ => 0,
        };
        let mut allowed = self.kept[oldest..].iter().chain(&self.open);
        if allowed.any(|state| state == found) {
            return Ok(());
        }
        Err(format!(
            "after {crash:?} the store shows none of {} states; {}",
            self.kept.len() - oldest + self.open.len(),
            self.differences(found, oldest)
        ))
    }

    /// A restart has shown `found`, which [`explain`](Self::explain) has allowed: from now on that
    /// is the state. `settled`: whether recovery has made it durable.
    pub fn resolve(&mut self, found: Model, settled: bool) {
        self.kept.append(&mut self.open);
        if settled {
            self.kept.clear();
        }
        self.kept.push(found);
        self.unsettled = !settled;
        self.power_lost = false;
    }

    /// The power went: until a restart has shown what is left, it may be any of the states that a
    /// power cut allows.
    pub fn power_lost(&mut self) {
        self.power_lost = true;
    }

    fn differences(&self, found: &Model, oldest: usize) -> String {
        let describe = |state: &Model| -> String {
            let keys = state.keys().chain(found.keys());
            let mut keys: Vec<_> = keys
                .filter(|key| state.get(*key) != found.get(*key))
                .collect();
            keys.sort_unstable();
            keys.dedup();
            let show = |value: Option<&Vec<u8>>| {
                value.map_or("absent".to_owned(), |value| {
                    value[..value.len().min(24)].escape_ascii().to_string()
                })
            };
            let shown = keys.iter().take(4).map(|key| {
                format!(
                    "{} is {}, not {}",
                    key.escape_ascii(),
                    show(found.get(*key)),
                    show(state.get(*key))
                )
            });
            let shown: Vec<_> = shown.collect();
            format!("{} keys differ: {}", keys.len(), shown.join(", "))
        };
        let newest = describe(self.open.last().unwrap_or(self.visible()));
        let oldest = self.kept.get(oldest).map(describe).unwrap_or_default();
        format!("from the newest {newest}; from the oldest {oldest}")
    }
}

#[cfg(test)]
mod tests;
