//! Disjoint parts in key order, read as one: a level of runs is a single source of a merge.
//!
//! Parts are opened when the cursor comes to them, one at a time, so a level of ten thousand runs
//! costs no more than one.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::cursor::Cursor;

/// Parts whose keys ascend from one to the next, and how to open each.
///
/// For a level of runs: `len`, [`seek`](Self::seek) and [`seek_for_prev`](Self::seek_for_prev)
/// are those of `lsm_version::Level`.
pub trait Parts {
    /// A cursor over one part.
    type Cursor: Cursor;

    /// How many parts there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first part that ends at `key` or after it; [`len`](Self::len) if none does.
    fn seek(&self, key: &[u8]) -> usize;

    /// The last part that starts at `key` or before it, if any does.
    fn seek_for_prev(&self, key: &[u8]) -> Option<usize>;

    /// A cursor over part `at`, not positioned.
    ///
    /// # Errors
    /// Whatever the part's cursor may fail with; the cursor over all parts returns it.
    fn open(&self, at: usize) -> Result<Self::Cursor, <Self::Cursor as Cursor>::Error>;
}

/// A cursor over [`Parts`], which holds one of them open.
///
/// # Errors
///
/// Those of opening and reading the parts, which leave it unpositioned.
#[derive(Debug)]
pub struct ConcatCursor<P: Parts> {
    parts: P,
    /// The part that is open, and its place; positioned if the part is.
    open: Option<(usize, P::Cursor)>,
}

impl<P: Parts> ConcatCursor<P> {
    /// A cursor over `parts`, not yet positioned; nothing is opened.
    #[must_use]
    pub fn new(parts: P) -> Self {
        Self { parts, open: None }
    }

    /// Opens part `at`, unless it is open, and positions it by `place`. Goes on to the following
    /// (or preceding) parts while there is nothing.
    fn settle(
        &mut self,
        mut at: Option<usize>,
        place: impl Fn(&mut P::Cursor) -> Result<(), ErrorOf<P>>,
        then: impl Fn(&Self, usize) -> Option<usize>,
        place_then: impl Fn(&mut P::Cursor) -> Result<(), ErrorOf<P>>,
    ) -> Result<(), ErrorOf<P>> {
        let mut is_first = true;
        while let Some(index) = at {
            if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
                self.open = None;
                self.open = Some((index, self.parts.open(index)?));
            }
            // Where it stands: a part is large, and most seeks stay in the one that is open.
            let Some((_, part)) = &mut self.open else {
                break;
            };
            let placed = if is_first {
                place(part)
            } else {
                place_then(part)
            };
            if let Err(error) = placed {
                self.open = None;
                return Err(error);
            }
            if part.is_positioned() {
                return Ok(());
            }
            is_first = false;
            at = then(self, index);
        }
        self.open = None;
        Ok(())
    }

    fn following(&self, at: usize) -> Option<usize> {
        at.checked_add(1).filter(|next| *next < self.parts.len())
    }

    fn preceding(&self, at: usize) -> Option<usize> {
        at.checked_sub(1)
    }

    fn part(&self) -> Option<&P::Cursor> {
        self.open.as_ref().map(|(_, part)| part)
    }

    /// After a step: stays if the part still has an entry, else returns the part's place. A few
    /// instructions, and of several kinds of cursor none looks hot to the compiler.
    #[inline(always)]
    fn ran_out(&mut self, stepped: Result<(), ErrorOf<P>>) -> Result<Option<usize>, ErrorOf<P>> {
        if let Err(error) = stepped {
            self.open = None;
            return Err(error);
        }
        Ok(self
            .open
            .as_ref()
            .filter(|(_, part)| !part.is_positioned())
            .map(|(at, _)| *at))
    }
}

type ErrorOf<P> = <<P as Parts>::Cursor as Cursor>::Error;

impl<P: Parts> Cursor for ConcatCursor<P> {
    type Error = ErrorOf<P>;

    fn seek_first(&mut self) -> Result<(), Self::Error> {
        let first = (!self.parts.is_empty()).then_some(0);
        self.settle(
            first,
            Cursor::seek_first,
            Self::following,
            Cursor::seek_first,
        )
    }

    fn seek_last(&mut self) -> Result<(), Self::Error> {
        let last = self.parts.len().checked_sub(1);
        self.settle(last, Cursor::seek_last, Self::preceding, Cursor::seek_last)
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), Self::Error> {
        let at = self.parts.seek(key);
        let at = (at < self.parts.len()).then_some(at);
        self.settle(
            at,
            |part| part.seek(key),
            Self::following,
            Cursor::seek_first,
        )
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), Self::Error> {
        let at = self.parts.seek_for_prev(key);
        self.settle(
            at,
            |part| part.seek_for_prev(key),
            Self::preceding,
            Cursor::seek_last,
        )
    }

    #[inline]
    fn next(&mut self) -> Result<(), Self::Error> {
        let Some((_, part)) = &mut self.open else {
            return Ok(());
        };
        let stepped = part.next();
        let Some(at) = self.ran_out(stepped)? else {
            return Ok(());
        };
        let following = self.following(at);
        self.settle(
            following,
            Cursor::seek_first,
            Self::following,
            Cursor::seek_first,
        )
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Self::Error> {
        let Some((_, part)) = &mut self.open else {
            return Ok(());
        };
        let stepped = part.prev();
        let Some(at) = self.ran_out(stepped)? else {
            return Ok(());
        };
        let preceding = self.preceding(at);
        self.settle(
            preceding,
            Cursor::seek_last,
            Self::preceding,
            Cursor::seek_last,
        )
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        self.part()?.key()
    }

    #[inline]
    fn value(&self) -> Option<&[u8]> {
        self.part()?.value()
    }

    #[inline]
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        self.part()?.entry()
    }

    #[inline]
    fn is_positioned(&self) -> bool {
        self.part().is_some_and(Cursor::is_positioned)
    }

    #[inline]
    fn is_tombstone(&self) -> bool {
        self.part().is_some_and(Cursor::is_tombstone)
    }

    fn key_bytes(&self) -> Option<Bytes> {
        self.part()?.key_bytes()
    }

    fn value_bytes(&self) -> Option<Bytes> {
        self.part()?.value_bytes()
    }

    fn entry_bytes(&self) -> Option<(Bytes, Option<Bytes>)> {
        self.part()?.entry_bytes()
    }

    fn steps_below(&self, limit: &[u8]) -> usize {
        self.part().map_or(0, |part| part.steps_below(limit))
    }

    fn steps_above(&self, limit: &[u8]) -> usize {
        self.part().map_or(0, |part| part.steps_above(limit))
    }
}
