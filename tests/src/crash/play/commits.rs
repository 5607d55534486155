//! The player's writes, plain and conditional, and what their answers promise.
//!
//! Called by the player for each step that writes. Never judges what a restart shows.

use lsm_db::{Batch, Durability, Error};

use super::{Play, key, read};
use crate::describe;
use crate::model::Write;

impl Play {
    pub(super) fn write(
        &mut self,
        writes: &[(u8, Option<usize>)],
        durability: Durability,
    ) -> Result<(), String> {
        self.conditional(&[], writes, durability)
    }

    /// Each requirement is met (true) or not.
    pub(super) fn conditional(
        &mut self,
        requires: &[(u8, bool)],
        writes: &[(u8, Option<usize>)],
        durability: Durability,
    ) -> Result<(), String> {
        let requires: Vec<Write> = requires
            .iter()
            .map(|(number, is_met)| self.requirement(*number, *is_met))
            .collect();
        let writes = writes.iter().map(|(number, len)| {
            let value = len.map(|len| self.value(*number, len));
            (key(*number), value)
        });
        let writes = writes.collect();
        self.commit(&requires, writes, durability)
    }

    fn requirement(&self, number: u8, is_met: bool) -> Write {
        let key = key(number);
        let now = read(&self.book).history.visible().get(&key).cloned();
        let expected = match now {
            now if is_met => now,
            Some(mut other) if number.is_multiple_of(2) => {
                other.push(b'!');
                Some(other)
            }
            Some(_) => None,
            None => Some(Vec::new()),
        };
        (key, expected)
    }

    pub(super) fn value(&self, number: u8, len: usize) -> Vec<u8> {
        let mut value = format!("{} of {number} ", self.commits).into_bytes();
        value.resize(value.len().max(len), b'.');
        value
    }

    pub(super) fn commit(
        &mut self,
        requires: &[Write],
        writes: Vec<Write>,
        durability: Durability,
    ) -> Result<(), String> {
        self.commits += 1;
        let logged = read(&self.book).config.wal_enabled();
        let durability = if logged {
            durability
        } else {
            Durability::Buffered
        };
        let was_poisoned = self.is_poisoned()?;
        let mut batch = Batch::new();
        for (key, expected) in requires {
            batch.require(key, expected.as_deref());
        }
        for (key, value) in &writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let unmet = self.first_unmet(requires);
        if unmet.is_some() || (writes.is_empty() && !requires.is_empty()) {
            return self.ask(batch, unmet, durability);
        }
        if writes.is_empty() {
            // No commit: its acknowledgement says nothing about those before it.
            return self
                .forgive(self.db()?.write_with(batch, durability))
                .map(drop);
        }
        read(&self.book).history.begin(&writes);
        let result = self.db()?.write_with(batch, durability);
        let is_poisoned = self.is_poisoned()?;
        let mut book = read(&self.book);
        match &result {
            Ok(()) if was_poisoned => return Err("a poisoned handle takes writes".to_owned()),
            Ok(()) => book.history.acknowledged(durability),
            Err(Error::ConditionFailed { .. }) => {
                return Err("a condition failed that is met".to_owned());
            }
            Err(Error::Poisoned { .. }) if was_poisoned => book.history.rejected(),
            Err(error) if was_poisoned => {
                return Err(format!("poisoned, but: {}", describe(error)));
            }
            Err(_) if is_poisoned => book.history.left_open(),
            Err(_) => book.history.rejected(),
        }
        drop(book);
        self.forgive(result).map(drop)
    }

    fn first_unmet(&self, requires: &[Write]) -> Option<Vec<u8>> {
        let book = read(&self.book);
        let visible = book.history.visible();
        let mut unmet = requires
            .iter()
            .filter(|(key, expected)| visible.get(key) != expected.as_ref());
        unmet.next().map(|(key, _)| key.clone())
    }

    /// Writes a batch that changes nothing: something that it requires is not so, or it has no
    /// operations. After a fault it may get an error, but never a wrong answer.
    fn ask(
        &mut self,
        batch: Batch,
        unmet: Option<Vec<u8>>,
        durability: Durability,
    ) -> Result<(), String> {
        let was_poisoned = self.is_poisoned()?;
        let result = self.db()?.write_with(batch, durability);
        let is_right = match (&result, &unmet) {
            (Ok(()), None) => true,
            (Err(Error::ConditionFailed { key, .. }), Some(unmet)) => key == unmet,
            (Ok(()) | Err(Error::ConditionFailed { .. }), _) => false,
            _ => return self.forgive(result).map(drop),
        };
        if !is_right {
            return Err(format!("{unmet:?} is unmet, but the answer is {result:?}"));
        }
        if was_poisoned {
            return Err("a poisoned handle judges conditions".to_owned());
        }
        let answer = result.as_ref().err().map(Error::kind);
        self.met.borrow_mut().extend(answer);
        read(&self.book).history.answered(durability);
        Ok(())
    }
}
