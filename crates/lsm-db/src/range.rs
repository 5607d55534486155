//! The lazy iterator over a range: a merge of everything a view holds, from both ends.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use lsm_compact::{MergeCursor, OpenCursor, RangeIter};

use crate::gaps::{Gaps, ReaderGaps};
use crate::held::HeldView;
use crate::source::Source;
use crate::{Error, Result};

/// The entries of a range, ascending by key, as they were when it was made.
///
/// Yields `Result<(key, value)>` from both ends. Nothing is read until the first step, and memory
/// is bounded for each memtable and level that reaches into the range (256 KiB read ahead at most),
/// however long it is. A key or value that is kept keeps the buffer it is a slice of. Later
/// writes, flushes and compactions change nothing of what it shows. It outlives the handle it
/// came from, and until it has ended or is dropped the directory can't be opened again.
///
/// # Errors
/// An error ends the iterator, from both ends: what follows a bad block is never shown as if
/// nothing were missing.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = lsm_db::Lsm::open(dir.path())?;
/// for name in ["ant", "bee", "cat", "dog"] {
///     store.put(name, "animal")?;
/// }
/// let mut range = store.range("b".."d");
/// store.delete("cat")?; // not seen by the range above
/// assert_eq!(range.next().transpose()?.map(|entry| entry.0), Some("bee".into()));
/// assert_eq!(range.next_back().transpose()?.map(|entry| entry.0), Some("cat".into()));
/// assert!(range.next().is_none());
/// # Ok::<(), lsm_db::Error>(())
/// ```
pub struct Range {
    entries: RangeIter<Opener>,
}

struct Opener {
    held: Arc<HeldView>,
    lower: Bound<Bytes>,
    upper: Bound<Bytes>,
}

impl OpenCursor for Opener {
    type Cursor = MergeCursor<Source>;
    type Gaps = ReaderGaps<Arc<Gaps>>;

    fn open(&self) -> Result<Self::Cursor, Error> {
        let lower = self.lower.as_ref().map(Bytes::as_ref);
        let upper = self.upper.as_ref().map(Bytes::as_ref);
        Ok(self.held.view().merge(self.held.seqno(), lower, upper))
    }

    fn gaps(&self) -> ReaderGaps<Arc<Gaps>> {
        self.held.gaps()
    }
}

impl Range {
    pub(crate) fn new(held: Arc<HeldView>, lower: Bound<Bytes>, upper: Bound<Bytes>) -> Self {
        let opener = Opener {
            held,
            lower: lower.clone(),
            upper: upper.clone(),
        };
        Self {
            entries: RangeIter::new(opener, lower, upper),
        }
    }
}

impl Iterator for Range {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next()
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.entries.next_back()
    }
}

impl std::iter::FusedIterator for Range {}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Range").field(&self.entries).finish()
    }
}
