//! What a life keeps while everything else goes on: iterators, cursors and snapshots, each with what
//! it must show.
//!
//! Kept by a life across flushes, compactions, crashes and the end of the handle. None of them may
//! ever show anything that came later.

use std::collections::VecDeque;
use std::ops::Bound;

use lsm_db::{Lsm, Range, Snapshot};

use super::run::Outcome;
use crate::model::{Entries, Model, check, collect, compare, entries_in};
use crate::walk::{Move, Walker};

/// What an iterator must still yield.
pub(super) type Left = VecDeque<(Vec<u8>, Vec<u8>)>;

/// All that is kept.
#[derive(Default)]
pub(super) struct Kept {
    /// Iterators, with what each must still yield.
    iterators: VecDeque<(Range, Left)>,
    /// Cursors of the handle, with what each moves in.
    cursors: Vec<(Walker, Model)>,
    snapshots: Vec<KeptSnapshot>,
}

/// A snapshot, a cursor on it, and what both must show.
struct KeptSnapshot {
    snapshot: Snapshot,
    walker: Walker,
    model: Model,
}

impl Kept {
    /// Whether anything surely holds the directory's lock: an iterator that has ended does not, and
    /// one that has yielded all it has may not know yet.
    pub(super) fn holds_the_lock(&self) -> bool {
        let mut iterators = self.iterators.iter();
        let goes_on = iterators.any(|(_, expected)| !expected.is_empty());
        goes_on || !self.cursors.is_empty() || !self.snapshots.is_empty()
    }

    /// Makes an iterator, takes these steps from its front (true) or its back, and keeps the rest.
    pub(super) fn keep_iterator(
        &mut self,
        db: &Lsm,
        model: &Model,
        range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
        ends: &[bool],
    ) -> Outcome {
        let mut expected = VecDeque::from(entries_in(model, &range));
        let mut iterator = db.range(range);
        walk(&mut iterator, &mut expected, ends)?;
        self.iterators.push_back((iterator, expected));
        Ok(())
    }

    pub(super) fn keep_cursor(&mut self, db: &Lsm, model: &Model) {
        self.cursors.push((Walker::new(db.cursor()), model.clone()));
    }

    pub(super) fn keep_snapshot(&mut self, db: &Lsm, model: &Model) {
        let snapshot = db.snapshot();
        self.snapshots.push(KeptSnapshot {
            walker: Walker::new(snapshot.cursor()),
            snapshot,
            model: model.clone(),
        });
    }

    /// Reads the oldest iterator to its end.
    pub(super) fn read_iterator(&mut self, from_front: bool) -> Outcome {
        let Some((iterator, expected)) = self.iterators.pop_front() else {
            return Ok(());
        };
        let mut expected: Entries = expected.into();
        let found = if from_front {
            collect(iterator)?
        } else {
            expected.reverse();
            collect(iterator.rev())?
        };
        Ok(compare("a kept iterator", &found, &expected)?)
    }

    /// Moves a cursor of the handle, chosen by a number.
    pub(super) fn wander_cursor(&mut self, which: usize, moves: &[Move]) -> Outcome {
        let count = self.cursors.len().max(1);
        match self.cursors.get_mut(which % count) {
            Some((walker, model)) => walker
                .walk(moves, model)
                .map_err(|error| format!("a kept cursor: {error}").into()),
            None => Ok(()),
        }
    }

    /// Moves the cursor of a snapshot, chosen by a number.
    pub(super) fn wander_snapshot(&mut self, which: usize, moves: &[Move]) -> Outcome {
        let count = self.snapshots.len().max(1);
        match self.snapshots.get_mut(which % count) {
            Some(kept) => kept.walker.walk(moves, &kept.model),
            None => Ok(()),
        }
    }

    /// Reads a snapshot in every way; then it is dropped, or its clone is kept on.
    pub(super) fn read_snapshot(&mut self, which: usize, drops: bool) -> Outcome {
        let which = which % self.snapshots.len().max(1);
        let Some(kept) = self.snapshots.get_mut(which) else {
            return Ok(());
        };
        check(&kept.snapshot, &kept.model).map_err(|error| format!("a snapshot: {error}"))?;
        if drops {
            self.snapshots.swap_remove(which);
        } else {
            kept.snapshot = kept.snapshot.clone();
        }
        Ok(())
    }

    /// Reads all of it, and lets go of it.
    pub(super) fn read_all(&mut self, from_front: bool) -> Outcome {
        while !self.iterators.is_empty() {
            self.read_iterator(from_front)?;
        }
        let there_and_back = [Move::Next, Move::Prev, Move::First, Move::Next, Move::Last];
        while !self.cursors.is_empty() {
            self.wander_cursor(0, &there_and_back)?;
            self.cursors.swap_remove(0);
        }
        while !self.snapshots.is_empty() {
            self.read_snapshot(0, true)?;
        }
        Ok(())
    }
}

/// Takes steps of an iterator from its front (true) or its back.
pub(super) fn walk(iterator: &mut Range, expected: &mut Left, ends: &[bool]) -> Outcome {
    for (step, &from_front) in ends.iter().enumerate() {
        let (found, expected) = match from_front {
            true => (iterator.next(), expected.pop_front()),
            false => (iterator.next_back(), expected.pop_back()),
        };
        let found = found
            .transpose()?
            .map(|(key, value)| (key.to_vec(), value.to_vec()));
        if found != expected {
            return Err(format!("step {step}: {found:?}, expected {expected:?}").into());
        }
    }
    Ok(())
}
