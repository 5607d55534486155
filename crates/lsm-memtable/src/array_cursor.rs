//! A cursor over one array, at one seqno.
//!
//! Used by [`MemtableCursor`](crate::MemtableCursor) alone, which merges it with others. It holds the
//! array and a place in it: a step touches no reference count.

use std::sync::Arc;

use crate::array::Array;

/// Steps past versions that are too new before the rest is skipped by a search.
const VERSION_STEPS_MAX: usize = 8;

pub(crate) struct ArrayCursor {
    array: Arc<Array>,
    seqno: u64,
    /// Not positioned at the length of the array or past it.
    at: usize,
    /// Every entry is visible, and of a key of its own.
    is_plain: bool,
}

impl ArrayCursor {
    pub(crate) fn new(array: Arc<Array>, seqno: u64) -> Self {
        Self {
            at: usize::MAX,
            is_plain: !array.has_versions() && array.seqno_largest() <= seqno,
            array,
            seqno,
        }
    }

    pub(crate) fn seek_first(&mut self) {
        self.at = self.visible_from(0);
    }

    pub(crate) fn seek_last(&mut self) {
        self.at = self.visible_before(self.array.len());
    }

    pub(crate) fn seek(&mut self, key: &[u8]) {
        self.at = self.visible_from(self.array.lower_bound(key, self.seqno));
    }

    pub(crate) fn seek_for_prev(&mut self, key: &[u8]) {
        let oldest = self.array.lower_bound(key, 0);
        let is_there = oldest < self.array.len() && self.array.key(oldest) == key;
        self.at = self.visible_before(oldest + usize::from(is_there));
    }

    #[inline]
    pub(crate) fn next(&mut self) {
        if self.at < self.array.len() {
            self.at = if self.is_plain {
                self.at + 1
            } else {
                self.visible_from(self.array.end_of_key(self.at))
            };
        }
    }

    #[inline]
    pub(crate) fn prev(&mut self) {
        if self.at < self.array.len() {
            self.at = if self.is_plain {
                self.at.wrapping_sub(1)
            } else {
                self.visible_before(self.array.start_of_key(self.at))
            };
        }
    }

    /// The array, and the place in it; `None` if the cursor is not positioned.
    #[inline]
    pub(crate) fn place(&self) -> Option<(&Array, usize)> {
        (self.at < self.array.len()).then_some((&*self.array, self.at))
    }

    /// The first visible entry at or behind `at`, where the versions of a key begin, or those of it
    /// that are not too new.
    fn visible_from(&self, mut at: usize) -> usize {
        let mut steps = 0;
        while at < self.array.len() && self.array.seqno(at) > self.seqno {
            steps += 1;
            at = if steps % VERSION_STEPS_MAX == 0 {
                self.array.lower_bound(self.array.key(at), self.seqno)
            } else {
                at + 1
            };
        }
        at
    }

    /// The last visible entry before `end`, where the versions of a key end; nowhere if there is none.
    fn visible_before(&self, mut end: usize) -> usize {
        while let Some(oldest) = end.checked_sub(1) {
            if self.array.seqno(oldest) <= self.seqno {
                return if self.is_plain {
                    oldest
                } else {
                    self.array.lower_bound(self.array.key(oldest), self.seqno)
                };
            }
            end = self.array.start_of_key(oldest);
        }
        usize::MAX
    }
}
