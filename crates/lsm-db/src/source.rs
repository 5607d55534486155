//! What a merge reads: memtables, and levels of runs as one source each.

use std::sync::Arc;

use bytes::Bytes;
use lsm_compact::{ConcatCursor, Cursor, Parts};
use lsm_format::{Entry, RunCursor};
use lsm_memtable::MemtableCursor;

use crate::run::Run;
use crate::run_blocks::{Caching, RunBlocks};
use crate::{Error, Result};

#[derive(Debug)]
pub(crate) enum Source {
    Memtable(MemtableCursor),
    Level(ConcatCursor<LevelRuns>),
}

impl Source {
    pub(crate) fn level(runs: Arc<[Arc<Run>]>, caching: Caching) -> Self {
        Self::Level(ConcatCursor::new(LevelRuns {
            runs,
            caching,
            is_l0: false,
        }))
    }

    /// A run of level 0, for a reader, who is going to say what it cost.
    pub(crate) fn l0_run(run: Arc<Run>) -> Self {
        Self::Level(ConcatCursor::new(LevelRuns {
            runs: Arc::from([run]),
            caching: Caching::Seeks,
            is_l0: true,
        }))
    }
}

/// Runs that are disjoint and sorted by key: a level, or one run of level 0.
#[derive(Debug)]
pub(crate) struct LevelRuns {
    runs: Arc<[Arc<Run>]>,
    caching: Caching,
    is_l0: bool,
}

impl Parts for LevelRuns {
    type Cursor = RunSource;

    fn len(&self) -> usize {
        self.runs.len()
    }

    fn seek(&self, key: &[u8]) -> usize {
        self.runs
            .partition_point(|run| run.meta().largest_key < key)
    }

    fn seek_for_prev(&self, key: &[u8]) -> Option<usize> {
        self.runs
            .partition_point(|run| run.meta().smallest_key <= key)
            .checked_sub(1)
    }

    fn open(&self, at: usize) -> Result<RunSource> {
        match self.runs.get(at) {
            Some(run) => {
                let blocks = RunBlocks::new(Arc::clone(run), self.caching, self.is_l0);
                Ok(RunSource(RunCursor::new(blocks)))
            }
            None => Err(Error::invalid("there is no such run in the level")),
        }
    }
}

/// A cursor over one run.
#[derive(Debug)]
pub(crate) struct RunSource(RunCursor<RunBlocks>);

impl Cursor for RunSource {
    type Error = Error;

    fn seek_first(&mut self) -> Result<()> {
        self.0.seek_first()
    }

    fn seek_last(&mut self) -> Result<()> {
        self.0.seek_last()
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.0.seek(key)
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<()> {
        self.0.seek_for_prev(key)
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        self.0.next()
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        self.0.prev()
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    #[inline]
    fn value(&self) -> Option<&[u8]> {
        self.0.entry().and_then(Entry::value)
    }

    #[inline]
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let (key, entry) = self.0.key_and_entry()?;
        Some((key, entry.value()))
    }

    #[inline]
    fn is_positioned(&self) -> bool {
        self.0.is_positioned()
    }

    #[inline]
    fn is_tombstone(&self) -> bool {
        self.0.is_tombstone()
    }

    fn key_bytes(&self) -> Option<Bytes> {
        self.0.key_bytes()
    }

    fn value_bytes(&self) -> Option<Bytes> {
        self.0.value_bytes()
    }

    fn entry_bytes(&self) -> Option<(Bytes, Option<Bytes>)> {
        self.0.entry_bytes()
    }

    fn steps_below(&self, limit: &[u8]) -> usize {
        steps(&self.0, limit, true)
    }

    fn steps_above(&self, limit: &[u8]) -> usize {
        steps(&self.0, limit, false)
    }
}

/// The entries left in the cursor's block, if the whole rest of the block is on this side of
/// `limit`.
fn steps(cursor: &RunCursor<RunBlocks>, limit: &[u8], forward: bool) -> usize {
    let Some((block, position)) = cursor.block() else {
        return 0;
    };
    let last = block.len().saturating_sub(1);
    if forward && block.key(last) < limit {
        last - position
    } else if !forward && block.key(0) > limit {
        position
    } else {
        0
    }
}

impl Cursor for Source {
    type Error = Error;

    fn seek_first(&mut self) -> Result<()> {
        match self {
            Self::Memtable(cursor) => {
                cursor.seek_first();
                Ok(())
            }
            Self::Level(cursor) => cursor.seek_first(),
        }
    }

    fn seek_last(&mut self) -> Result<()> {
        match self {
            Self::Memtable(cursor) => {
                cursor.seek_last();
                Ok(())
            }
            Self::Level(cursor) => cursor.seek_last(),
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        match self {
            Self::Memtable(cursor) => {
                cursor.seek(key);
                Ok(())
            }
            Self::Level(cursor) => cursor.seek(key),
        }
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<()> {
        match self {
            Self::Memtable(cursor) => {
                cursor.seek_for_prev(key);
                Ok(())
            }
            Self::Level(cursor) => cursor.seek_for_prev(key),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        match self {
            Self::Memtable(cursor) => {
                cursor.next();
                Ok(())
            }
            Self::Level(cursor) => cursor.next(),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        match self {
            Self::Memtable(cursor) => {
                cursor.prev();
                Ok(())
            }
            Self::Level(cursor) => cursor.prev(),
        }
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Memtable(cursor) => cursor.key(),
            Self::Level(cursor) => cursor.key(),
        }
    }

    #[inline]
    fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Memtable(cursor) => cursor.value(),
            Self::Level(cursor) => cursor.value(),
        }
    }

    // A call for each entry that is read is a tenth of what that costs, and of several kinds of cursor
    // none looks hot to the compiler.
    #[inline(always)]
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        match self {
            Self::Memtable(cursor) => Some((cursor.key()?, cursor.value())),
            Self::Level(cursor) => cursor.entry(),
        }
    }

    #[inline]
    fn is_positioned(&self) -> bool {
        match self {
            Self::Memtable(cursor) => cursor.key().is_some(),
            Self::Level(cursor) => cursor.is_positioned(),
        }
    }

    #[inline]
    fn is_tombstone(&self) -> bool {
        match self {
            Self::Memtable(cursor) => cursor.value().is_none() && cursor.key().is_some(),
            Self::Level(cursor) => cursor.is_tombstone(),
        }
    }

    fn key_bytes(&self) -> Option<Bytes> {
        match self {
            Self::Memtable(cursor) => cursor.key().is_some().then(|| cursor.key_bytes()),
            Self::Level(cursor) => cursor.key_bytes(),
        }
    }

    fn value_bytes(&self) -> Option<Bytes> {
        match self {
            Self::Memtable(cursor) => cursor.value_bytes(),
            Self::Level(cursor) => cursor.value_bytes(),
        }
    }

    fn entry_bytes(&self) -> Option<(Bytes, Option<Bytes>)> {
        match self {
            Self::Memtable(cursor) => {
                let is_positioned = cursor.key().is_some();
                is_positioned.then(|| (cursor.key_bytes(), cursor.value_bytes()))
            }
            Self::Level(cursor) => cursor.entry_bytes(),
        }
    }

    fn steps_below(&self, limit: &[u8]) -> usize {
        match self {
            Self::Memtable(_) => 0,
            Self::Level(cursor) => cursor.steps_below(limit),
        }
    }

    fn steps_above(&self, limit: &[u8]) -> usize {
        match self {
            Self::Memtable(_) => 0,
            Self::Level(cursor) => cursor.steps_above(limit),
        }
    }
}
