//! Moves of a cursor, and where in the model each must lead.

use std::ops::Bound::{Excluded, Included, Unbounded};

use lsm_db::Cursor;

use crate::model::Model;

/// One move of a cursor.
#[derive(Debug, Clone)]
pub enum Move {
    /// `seek_first()`.
    First,
    /// `seek_last()`.
    Last,
    /// `seek()`.
    Seek(Vec<u8>),
    /// `seek_for_prev()`.
    SeekForPrev(Vec<u8>),
    /// `next()`.
    Next,
    /// `prev()`.
    Prev,
}

/// A cursor, and the key that it must be at.
#[derive(Debug)]
pub struct Walker {
    cursor: Cursor,
    at: Option<Vec<u8>>,
}

impl Walker {
    /// Takes a cursor that has not been moved.
    pub fn new(cursor: Cursor) -> Self {
        Self { cursor, at: None }
    }

    /// Makes the moves, one by one, among the entries of the model.
    ///
    /// # Errors
    /// The first move that leads elsewhere than in the model, or the cursor's own error.
    pub fn walk(
        &mut self,
        moves: &[Move],
        model: &Model,
    ) -> Result<(), Box<dyn std::error::Error>> {
        for (number, step) in moves.iter().enumerate() {
            let is_valid = match step {
                Move::First => self.cursor.seek_first()?,
                Move::Last => self.cursor.seek_last()?,
                Move::Seek(key) => self.cursor.seek(key)?,
                Move::SeekForPrev(key) => self.cursor.seek_for_prev(key)?,
                Move::Next => self.cursor.next()?,
                Move::Prev => self.cursor.prev()?,
            };
            let expected = self.expected(step, model);
            self.at = expected.map(|entry| entry.0.clone());
            let expected = expected.map(|(key, value)| (key.as_slice(), value.as_slice()));
            if self.cursor.entry() != expected || is_valid != expected.is_some() {
                let found = self.cursor.entry();
                return Err(
                    format!("move {number}, {step:?}: {found:?}, expected {expected:?}").into(),
                );
            }
        }
        Ok(())
    }

    fn expected<'a>(&self, step: &Move, model: &'a Model) -> Option<(&'a Vec<u8>, &'a Vec<u8>)> {
        let after = |bound| model.range::<Vec<u8>, _>((bound, Unbounded)).next();
        let before = |bound| model.range::<Vec<u8>, _>((Unbounded, bound)).next_back();
        match (step, &self.at) {
            (Move::First, _) => model.first_key_value(),
            (Move::Last, _) => model.last_key_value(),
            (Move::Seek(key), _) => after(Included(key)),
            (Move::SeekForPrev(key), _) => before(Included(key)),
            (Move::Next, Some(at)) => after(Excluded(at)),
            (Move::Prev, Some(at)) => before(Excluded(at)),
            (Move::Next | Move::Prev, None) => None,
        }
    }
}
