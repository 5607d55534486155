//! The cursor: a position among the entries of one moment, moved at will, lending what it is at.

use std::fmt;
use std::sync::Arc;

use lsm_compact::Cursor as _;

use crate::Result;
use crate::gaps::{Gaps, ReaderGaps};
use crate::held::HeldView;
use crate::view::LiveEntries;

/// A position among the entries of one moment, which moves to any key and in both directions.
///
/// It lends the key and value that it is at, so that a step allocates nothing; an iterator such as
/// [`Range`](crate::Range) hands out owned ones and is simpler where entries are read in a row. A
/// cursor shows the moment that it was made at, or that of its snapshot: later writes, flushes and
/// compactions change nothing of it. Deleted keys are not there.
///
/// A new cursor is at no entry, and neither is one that was moved where there is none: past either
/// end, or by a seek beyond them. Then [`key`](Self::key) and [`value`](Self::value) are `None`,
/// and [`next`](Self::next) and [`prev`](Self::prev) do nothing until the next seek. Every move
/// returns whether the cursor is at an entry now.
///
/// Memory is bounded as that of an iterator; it holds the same things, it outlives the handle too,
/// and until it is dropped the directory can't be opened again.
///
/// # Errors
/// A move that could not read what it needed returns [`Error::Corruption`](crate::Error::Corruption)
/// or [`Error::Io`](crate::Error::Io) and leaves the cursor at no entry: nothing is skipped
/// silently. A seek may be tried, to the same place or another.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = lsm_db::Lsm::open(dir.path())?;
/// for (hour, degrees) in [("06", "11"), ("09", "14"), ("12", "19")] {
///     store.put(hour, degrees)?;
/// }
/// let mut cursor = store.cursor();
/// assert!(cursor.seek_for_prev("10")?); // the last reading at or before ten
/// assert_eq!(cursor.key(), Some(&b"09"[..]));
/// assert!(cursor.next()?);
/// assert_eq!(cursor.value(), Some(&b"19"[..]));
/// assert!(!cursor.next()?);
///
/// cursor.seek_first()?;
/// while let Some((hour, degrees)) = cursor.entry() {
///     println!("{hour:?}: {degrees:?}");
///     cursor.next()?;
/// }
/// # Ok::<(), lsm_db::Error>(())
/// ```
pub struct Cursor {
    // Dropped before the view that it reads.
    entries: LiveEntries<ReaderGaps<Arc<Gaps>>>,
    _held: Arc<HeldView>,
}

impl Cursor {
    pub(crate) fn new(held: Arc<HeldView>) -> Self {
        Self {
            entries: held.view().entries(held.seqno(), held.gaps()),
            _held: held,
        }
    }

    /// Moves to the first entry.
    ///
    /// # Errors
    /// See [`Cursor`].
    #[doc(alias = "seek_to_first")]
    pub fn seek_first(&mut self) -> Result<bool> {
        // By key, so that a gap may be known from there on.
        self.entries.seek(&[])?;
        Ok(self.is_valid())
    }

    /// Moves to the last entry.
    ///
    /// # Errors
    /// See [`Cursor`].
    #[doc(alias = "seek_to_last")]
    pub fn seek_last(&mut self) -> Result<bool> {
        self.entries.seek_last()?;
        Ok(self.is_valid())
    }

    /// Moves to the first entry whose key is `key` or greater.
    ///
    /// # Errors
    /// See [`Cursor`].
    pub fn seek(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.entries.seek(key.as_ref())?;
        Ok(self.is_valid())
    }

    /// Moves to the last entry whose key is `key` or less.
    ///
    /// # Errors
    /// See [`Cursor`].
    pub fn seek_for_prev(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.entries.seek_for_prev(key.as_ref())?;
        Ok(self.is_valid())
    }

    /// Moves to the following entry; does nothing at none.
    ///
    /// # Errors
    /// See [`Cursor`].
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends its entries, which an iterator can't"
    )]
    pub fn next(&mut self) -> Result<bool> {
        self.entries.next()?;
        Ok(self.is_valid())
    }

    /// Moves to the preceding entry; does nothing at none.
    ///
    /// # Errors
    /// See [`Cursor`].
    pub fn prev(&mut self) -> Result<bool> {
        self.entries.prev()?;
        Ok(self.is_valid())
    }

    /// Whether the cursor is at an entry.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.entries.is_positioned()
    }

    /// The key of the entry, lent until the next move.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.entries.key()
    }

    /// The value of the entry, lent until the next move.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.entries.value()
    }

    /// The key and the value of the entry, lent until the next move.
    #[must_use]
    pub fn entry(&self) -> Option<(&[u8], &[u8])> {
        let (key, value) = self.entries.entry()?;
        Some((key, value?))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}
