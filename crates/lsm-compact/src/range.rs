//! Bounds: a cursor that ends where a range of keys ends.
//!
//! Ranges that are empty or inverted hold nothing; they never panic and read nothing.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ops::Bound;

use bytes::Bytes;

use crate::cursor::{Cursor, key_head};

/// A cursor that sees only the keys between two bounds.
///
/// Its first and last entries are those of the range; a seek outside lands at the nearest entry
/// inside, if there is one in that direction; a step out of the range leaves it unpositioned. A
/// step compares the first eight bytes of the key with those of the bound that lies ahead, and
/// the whole key only if they are equal.
///
/// # Errors
///
/// Those of the inner cursor, which leave it unpositioned.
///
/// # Examples
///
/// ```
/// use std::ops::Bound;
///
/// use lsm_compact::{Cursor, RangeCursor, SliceCursor};
///
/// let entries = [("a", Some("1")), ("b", Some("2")), ("c", Some("3"))];
/// let mut range = RangeCursor::new(
///     SliceCursor::new(&entries),
///     Bound::Excluded("a".into()),
///     Bound::Unbounded,
/// );
/// range.seek_first()?;
/// assert_eq!(range.key(), Some(&b"b"[..]));
/// range.prev()?;
/// assert_eq!(range.key(), None);
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Debug)]
pub struct RangeCursor<C> {
    inner: C,
    lower: Limit,
    upper: Limit,
    holds_nothing: bool,
    inside: bool,
}

/// One bound, with the head of its key.
#[derive(Debug, Clone)]
struct Limit {
    bound: Bound<Bytes>,
    head: u64,
}

impl Limit {
    fn new(bound: Bound<Bytes>) -> Self {
        let head = match &bound {
            Bound::Included(key) | Bound::Excluded(key) => key_head(key),
            Bound::Unbounded => 0,
        };
        Self { bound, head }
    }

    /// Whether `key` lies on the range's side of this bound; `outward` is the order of a key
    /// beyond it.
    #[inline]
    fn admits(&self, key: &[u8], outward: Ordering) -> bool {
        let (limit, included) = match &self.bound {
            Bound::Unbounded => return true,
            Bound::Included(limit) => (limit, true),
            Bound::Excluded(limit) => (limit, false),
        };
        let order = key_head(key).cmp(&self.head).then_with(|| key.cmp(limit));
        if order.is_eq() {
            included
        } else {
            order != outward
        }
    }

    /// Whether `cursor` is at an entry that lies on the range's side of this bound.
    #[inline]
    fn admits_entry_of(&self, cursor: &impl Cursor, outward: Ordering) -> bool {
        match self.bound {
            Bound::Unbounded => cursor.is_positioned(),
            _ => cursor.key().is_some_and(|key| self.admits(key, outward)),
        }
    }
}

/// The bounds that hold exactly the keys which start with `prefix`.
///
/// The upper bound is the prefix with its last byte that is not `0xff` raised by one, and what
/// follows cut off; without such a byte there is none.
///
/// # Examples
///
/// ```
/// use std::ops::Bound;
///
/// let (lower, upper) = lsm_compact::prefix_bounds(b"ab\xff");
/// assert_eq!(lower, Bound::Included("ab\u{ff}".chars().map(|c| c as u8).collect()));
/// assert_eq!(upper, Bound::Excluded("ac".into()));
/// assert_eq!(lsm_compact::prefix_bounds(b"").1, Bound::Unbounded);
/// ```
#[must_use]
pub fn prefix_bounds(prefix: &[u8]) -> (Bound<Bytes>, Bound<Bytes>) {
    let lower = Bound::Included(Bytes::copy_from_slice(prefix));
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(raised) = last.checked_add(1) {
            end.push(raised);
            return (lower, Bound::Excluded(end.into()));
        }
    }
    (lower, Bound::Unbounded)
}

/// Whether no key can lie between the bounds.
pub(crate) fn holds_nothing(lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> bool {
    use Bound::{Excluded, Included};
    match (lower, upper) {
        (Included(lower), Included(upper)) => lower > upper,
        (Included(lower) | Excluded(lower), Excluded(upper))
        | (Excluded(lower), Included(upper)) => lower >= upper,
        _ => false,
    }
}

pub(crate) fn as_slice(bound: &Bound<Bytes>) -> Bound<&[u8]> {
    bound.as_ref().map(Bytes::as_ref)
}

impl<C: Cursor> RangeCursor<C> {
    /// A cursor over the entries of `inner` from `lower` to `upper`, not yet positioned.
    #[must_use]
    pub fn new(inner: C, lower: Bound<Bytes>, upper: Bound<Bytes>) -> Self {
        Self {
            inner,
            holds_nothing: holds_nothing(as_slice(&lower), as_slice(&upper)),
            lower: Limit::new(lower),
            upper: Limit::new(upper),
            inside: false,
        }
    }

    /// The cursor underneath.
    #[must_use]
    pub fn inner(&self) -> &C {
        &self.inner
    }

    /// Ends a forward move: the key is above the lower bound, but is it below the upper one?
    #[inline]
    fn check_upper(&mut self) {
        self.inside = self.upper.admits_entry_of(&self.inner, Ordering::Greater);
    }

    #[inline]
    fn check_lower(&mut self) {
        self.inside = self.lower.admits_entry_of(&self.inner, Ordering::Less);
    }
}

impl<C: Cursor> Cursor for RangeCursor<C> {
    type Error = C::Error;

    fn admits(&self, key: &[u8]) -> bool {
        self.lower.admits(key, Ordering::Less)
            && self.upper.admits(key, Ordering::Greater)
            && self.inner.admits(key)
    }

    fn seek_first(&mut self) -> Result<(), C::Error> {
        self.inside = false;
        if self.holds_nothing {
            return Ok(());
        }
        match &self.lower.bound {
            Bound::Unbounded => self.inner.seek_first()?,
            Bound::Included(key) => self.inner.seek(key)?,
            Bound::Excluded(key) => {
                self.inner.seek(key)?;
                if self.inner.key() == Some(key.as_ref()) {
                    self.inner.next()?;
                }
            }
        }
        self.check_upper();
        Ok(())
    }

    fn seek_last(&mut self) -> Result<(), C::Error> {
        self.inside = false;
        if self.holds_nothing {
            return Ok(());
        }
        match &self.upper.bound {
            Bound::Unbounded => self.inner.seek_last()?,
            Bound::Included(key) => self.inner.seek_for_prev(key)?,
            Bound::Excluded(key) => {
                self.inner.seek_for_prev(key)?;
                if self.inner.key() == Some(key.as_ref()) {
                    self.inner.prev()?;
                }
            }
        }
        self.check_lower();
        Ok(())
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), C::Error> {
        if !self.lower.admits(key, Ordering::Less) {
            return self.seek_first();
        }
        self.inside = false;
        if self.holds_nothing || !self.upper.admits(key, Ordering::Greater) {
            return Ok(());
        }
        self.inner.seek(key)?;
        self.check_upper();
        Ok(())
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), C::Error> {
        if !self.upper.admits(key, Ordering::Greater) {
            return self.seek_last();
        }
        self.inside = false;
        if self.holds_nothing || !self.lower.admits(key, Ordering::Less) {
            return Ok(());
        }
        self.inner.seek_for_prev(key)?;
        self.check_lower();
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<(), C::Error> {
        if !self.inside {
            return Ok(());
        }
        self.inside = false;
        self.inner.next()?;
        self.check_upper();
        Ok(())
    }

    #[inline]
    fn prev(&mut self) -> Result<(), C::Error> {
        if !self.inside {
            return Ok(());
        }
        self.inside = false;
        self.inner.prev()?;
        self.check_lower();
        Ok(())
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        if self.inside { self.inner.key() } else { None }
    }

    #[inline]
    fn value(&self) -> Option<&[u8]> {
        if self.inside {
            self.inner.value()
        } else {
            None
        }
    }

    #[inline]
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        if self.inside {
            self.inner.entry()
        } else {
            None
        }
    }

    #[inline]
    fn is_positioned(&self) -> bool {
        self.inside
    }

    #[inline]
    fn is_tombstone(&self) -> bool {
        self.inside && self.inner.is_tombstone()
    }

    fn entry_bytes(&self) -> Option<(Bytes, Option<Bytes>)> {
        if self.inside {
            self.inner.entry_bytes()
        } else {
            None
        }
    }

    fn key_bytes(&self) -> Option<Bytes> {
        if self.inside {
            self.inner.key_bytes()
        } else {
            None
        }
    }

    fn value_bytes(&self) -> Option<Bytes> {
        if self.inside {
            self.inner.value_bytes()
        } else {
            None
        }
    }
}
