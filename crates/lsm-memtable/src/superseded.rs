//! What cursors keep alive of a memtable that it has replaced by something else.
//!
//! Told by the memtable whenever its parts change; asked by whoever reports what readers pin. It holds
//! nothing itself: fronts and arrays are remembered weakly, with the bytes they had.

use std::sync::{Arc, Weak};

use crate::array::Array;
use crate::parts::{HeldFront, Parts};

#[derive(Default)]
pub(crate) struct Superseded {
    fronts: Vec<(Weak<HeldFront>, u64)>,
    arrays: Vec<Weak<Array>>,
}

impl Superseded {
    /// The front, of so many bytes, is about to be replaced.
    pub(crate) fn note_front(&mut self, front: &Arc<HeldFront>, bytes: u64) {
        self.fronts.retain(|(front, _)| front.strong_count() > 0);
        self.fronts.push((Arc::downgrade(front), bytes));
    }

    /// Of the arrays of `before`, those that are not in `now` were merged.
    pub(crate) fn note_arrays(&mut self, before: &Parts, now: &Parts) {
        self.arrays.retain(|array| array.strong_count() > 0);
        // The oldest are nearly always the same, and may be many.
        let oldest = before.arrays.iter().rev().zip(now.arrays.iter().rev());
        let same = oldest
            .take_while(|(array, kept)| Arc::ptr_eq(array, kept))
            .count();
        let changed = |parts: &Parts| parts.arrays.len() - same;
        let kept = now.arrays.get(..changed(now)).unwrap_or_default();
        let is_kept = |array: &&Arc<Array>| kept.iter().any(|kept| Arc::ptr_eq(kept, array));
        let arrays = before.arrays.get(..changed(before)).unwrap_or_default();
        let merged = arrays.iter().filter(|array| !is_kept(array));
        self.arrays.extend(merged.map(Arc::downgrade));
    }

    /// Bytes of those that somebody still has.
    pub(crate) fn bytes(&self) -> u64 {
        let fronts = self.fronts.iter();
        let fronts = fronts.filter(|(front, _)| front.strong_count() > 0);
        let arrays = self.arrays.iter().filter_map(Weak::upgrade);
        fronts.map(|(_, bytes)| bytes).sum::<u64>()
            + arrays.map(|array| array.memory_bytes()).sum::<u64>()
    }
}
