//! What a merge reads: memtables, and levels of runs as one source each.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use lsm_compact::{ConcatCursor, Cursor, Parts};
use lsm_format::{Block, BlockSource, Entry, Index, RunCursor};
use lsm_memtable::MemtableCursor;

use crate::job_memory::Charge;
use crate::run::Run;
use crate::{Error, Result};

/// Bytes that one source reads ahead at most.
const READ_AHEAD_BYTES_MAX: usize = 256 << 10;

#[derive(Debug)]
pub(crate) enum Source {
    Memtable(MemtableCursor),
    Level(ConcatCursor<LevelRuns>),
}

impl Source {
    pub(crate) fn level(runs: Arc<[Arc<Run>]>, caching: Caching) -> Self {
        Self::Level(ConcatCursor::new(LevelRuns { runs, caching }))
    }
}

/// Whether blocks are looked for in the cache, and left there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caching {
    /// All are looked for; the one that a seek comes to is left there.
    Seeks,
    /// Neither.
    Bypass,
}

/// A run's blocks, read one at a time at first and, once the reader goes on in one direction, in
/// stretches that double.
#[derive(Debug)]
pub(crate) struct RunBlocks {
    run: Arc<Run>,
    caching: Caching,
    ahead: RefCell<Ahead>,
}

#[derive(Debug, Default)]
struct Ahead {
    first: usize,
    blocks: Vec<Arc<Block>>,
    /// Of a job's input.
    memory: Option<Charge>,
    latest: Option<usize>,
    /// Blocks to read together, if the file has to be read at all.
    stretch: usize,
    backward: bool,
}

impl RunBlocks {
    fn new(run: Arc<Run>, caching: Caching) -> Self {
        let memory = match caching {
            Caching::Seeks => None,
            Caching::Bypass => Some(run.jobs().charge()),
        };
        Self {
            run,
            caching,
            ahead: RefCell::new(Ahead {
                memory,
                ..Ahead::default()
            }),
        }
    }

    /// Says how much memory a job's input holds: the blocks, and an index that is not kept for others.
    fn charge(&self, ahead: &mut Ahead, index: &Index) {
        if let Some(memory) = &mut ahead.memory {
            let blocks = ahead.blocks.iter().map(|block| block.memory_bytes());
            let index = match self.run.index_memory_bytes() {
                0 => index.memory_bytes(),
                _ => 0,
            };
            memory.set(blocks.sum::<usize>() + index);
        }
    }
}

impl RunBlocks {
    fn cached(&self, at: usize) -> Option<Arc<Block>> {
        match self.caching {
            Caching::Seeks => self.run.kept_block(at),
            Caching::Bypass => None,
        }
    }
}

impl Ahead {
    fn hold(&mut self, at: usize, block: &Arc<Block>) {
        self.first = at;
        self.blocks.clear();
        self.blocks.push(Arc::clone(block));
    }

    fn held(&self, at: usize) -> Option<Arc<Block>> {
        self.blocks.get(at.checked_sub(self.first)?).cloned()
    }

    /// Notes that `at` is wanted next, and how many blocks would be read together for it.
    fn want(&mut self, at: usize) {
        self.backward = self.latest.is_some_and(|latest| at + 1 == latest);
        let forward = self.latest.is_some_and(|latest| at == latest + 1);
        self.stretch = if forward || self.backward {
            self.stretch.saturating_mul(2).max(2)
        } else {
            1
        };
        self.latest = Some(at);
    }

    /// The blocks to read together, `at` among them, which is wanted.
    fn plan(&mut self, at: usize, index: &Index) -> Range<usize> {
        let (mut first, mut end, mut bytes) = (at, at + 1, block_bytes(index, at));
        for _ in 1..self.stretch {
            let next = if self.backward {
                first.checked_sub(1)
            } else {
                Some(end)
            };
            let Some(next) = next.filter(|next| *next < index.block_count()) else {
                break;
            };
            bytes += block_bytes(index, next);
            if bytes > READ_AHEAD_BYTES_MAX {
                break;
            }
            (first, end) = (first.min(next), end.max(next + 1));
        }
        self.stretch = end - first;
        first..end
    }
}

fn block_bytes(index: &Index, at: usize) -> usize {
    index.handle(at).map_or(0, |handle| handle.len as usize)
}

impl BlockSource for RunBlocks {
    type Error = Error;

    fn index(&self) -> Result<Arc<Index>> {
        match self.caching {
            Caching::Seeks => self.run.index(),
            Caching::Bypass => self.run.index_in_passing(),
        }
    }

    fn block(&self, index: &Index, at: usize) -> Result<Arc<Block>> {
        let mut ahead = self.ahead.borrow_mut();
        if let Some(block) = ahead.held(at) {
            ahead.latest = Some(at);
            return Ok(block);
        }
        ahead.want(at);
        if let Some(block) = self.cached(at) {
            ahead.hold(at, &block);
            return Ok(block);
        }
        let range = ahead.plan(at, index);
        let is_ahead = range.len() > 1;
        if is_ahead {
            // One bad block must not cost its good neighbours: then it is read alone below.
            if let Ok(blocks) = self.run.read_blocks(index, range.clone()) {
                ahead.first = range.start;
                ahead.blocks.clear();
                ahead.blocks.extend(blocks.into_iter().map(Arc::new));
                self.charge(&mut ahead, index);
                if let Some(block) = ahead.held(at) {
                    return Ok(block);
                }
            }
        }
        let block = Arc::new(self.run.read_block(index, at)?);
        if !is_ahead && self.caching == Caching::Seeks {
            self.run.keep_block(index, at, &block);
        }
        ahead.hold(at, &block);
        self.charge(&mut ahead, index);
        Ok(block)
    }
}

/// Runs that are disjoint and sorted by key: a level, or one run of level 0.
#[derive(Debug)]
pub(crate) struct LevelRuns {
    runs: Arc<[Arc<Run>]>,
    caching: Caching,
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
                let blocks = RunBlocks::new(Arc::clone(run), self.caching);
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
