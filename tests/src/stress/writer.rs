//! One writer: random operations on keys of its own, and the model of what they leave.
//!
//! No other thread touches its keys, so the model is exact at every moment, and the writer checks
//! now and then that it reads its own writes.

use lsm_db::{Batch, Durability, Lsm};

use super::describe;
use super::keys::{MARKERS, NUMBERS, marker, marker_value, single, single_value};
use crate::model::Model;
use crate::random::Random;

/// Single operations that go along in a batch of markers.
const COMPANIONS: usize = 8;

pub(super) struct Writer {
    number: usize,
    random: Random,
    model: Model,
    /// The marker of the latest batch; grows with each.
    marker: u64,
}

impl Writer {
    pub(super) fn new(number: usize, seed: u64) -> Self {
        let stream = Random::new(seed ^ (number as u64 + 1).rotate_right(16)).draw();
        Self {
            number,
            random: Random::new(stream),
            model: Model::new(),
            marker: 0,
        }
    }

    pub(super) fn into_model(self) -> Model {
        self.model
    }

    /// One operation, drawn at random.
    pub(super) fn step(&mut self, db: &Lsm) -> Result<(), String> {
        match self.random.below(64) {
            0 => self.write_markers(db),
            1..=8 => self.get(db),
            9..=18 => {
                let key = self.any_key();
                db.delete(&key).map_err(|error| describe(&error))?;
                self.model.remove(&key);
                Ok(())
            }
            19..=24 => self.compare_and_set(db),
            _ => {
                let key = self.any_key();
                let value = single_value(&key, &mut self.random);
                db.put(&key, &value).map_err(|error| describe(&error))?;
                self.model.insert(key, value);
                Ok(())
            }
        }
    }

    fn any_key(&mut self) -> Vec<u8> {
        single(self.number, self.random.below(NUMBERS))
    }

    /// All marker keys at once, sometimes deleted, with some single keys beside them.
    fn write_markers(&mut self, db: &Lsm) -> Result<(), String> {
        let mut batch = Batch::new();
        let mut writes = Vec::new();
        for _ in 0..COMPANIONS {
            let key = self.any_key();
            let value = single_value(&key, &mut self.random);
            writes.push((key, (!self.random.one_in(4)).then_some(value)));
        }
        self.marker += 1;
        let deletes = self.random.one_in(8);
        for index in 0..MARKERS {
            let key = marker(self.number, index);
            let value = marker_value(&key, self.marker);
            writes.push((key, (!deletes).then_some(value)));
        }
        for (key, value) in &writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let durability = if self.random.one_in(8) {
            Durability::Sync
        } else {
            Durability::Buffered
        };
        db.write_with(batch, durability)
            .map_err(|error| describe(&error))?;
        crate::model::apply(&mut self.model, &writes);
        Ok(())
    }

    /// Nobody else writes the key: it has the value of the model, and no other.
    fn compare_and_set(&mut self, db: &Lsm) -> Result<(), String> {
        let key = self.any_key();
        let now = self.model.get(&key).cloned();
        let new = single_value(&key, &mut self.random);
        let wrong = now.is_none().then_some(&b"other"[..]);
        for (expected, is_met) in [(wrong, false), (now.as_deref(), true)] {
            let did = db.compare_and_set(&key, expected, Some(&new));
            if did.map_err(|error| describe(&error))? != is_met {
                let key = key.escape_ascii();
                return Err(format!("writer {}: {key}: not {is_met}", self.number));
            }
        }
        self.model.insert(key, new);
        Ok(())
    }

    fn get(&mut self, db: &Lsm) -> Result<(), String> {
        let key = self.any_key();
        crate::model::check_get(db, &key, self.model.get(&key))
            .map_err(|error| format!("writer {}: {}", self.number, describe(&*error)))
    }
}
