//! The blocks of one run as a cursor comes by them: from the cache, from the file one at a time, or in
//! stretches ahead of a reader that goes on.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use lsm_format::{Block, BlockSource, Index};

use crate::job_memory::Charge;
use crate::l0_reads::ENTERED;
use crate::run::Run;
use crate::{Error, Result};

/// Bytes that one source reads ahead at most.
pub(crate) const READ_AHEAD_BYTES_MAX: usize = 256 << 10;

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
    is_l0: bool,
    ahead: RefCell<Ahead>,
}

/// A cursor says what it has spent on level 0 after so many blocks, and at its end.
const SPENDS_EVERY: u64 = 64;

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
    /// Blocks of level 0 that were entered, and are not yet told of.
    entered: u64,
}

impl RunBlocks {
    pub(crate) fn new(run: Arc<Run>, caching: Caching, is_l0: bool) -> Self {
        let memory = match caching {
            Caching::Seeks => None,
            Caching::Bypass => Some(run.jobs().charge()),
        };
        Self {
            run,
            caching,
            is_l0,
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

    fn note_entered(&self, ahead: &mut Ahead) {
        if self.is_l0 {
            ahead.entered += 1;
            if ahead.entered >= SPENDS_EVERY {
                self.spend(ahead);
            }
        }
    }

    fn spend(&self, ahead: &mut Ahead) {
        let entered = std::mem::take(&mut ahead.entered);
        if entered > 0 {
            self.run.spend_on_l0(entered * ENTERED);
        }
    }

    fn cached(&self, at: usize) -> Option<Arc<Block>> {
        match self.caching {
            Caching::Seeks => self.run.kept_block(at),
            Caching::Bypass => None,
        }
    }
}

impl Drop for RunBlocks {
    fn drop(&mut self) {
        self.spend(&mut self.ahead.borrow_mut());
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

/// The blocks from `first` on that one read takes, as far as each after the first is `wanted`.
pub(crate) fn stretch_from(
    index: &Index,
    first: usize,
    wanted: impl Fn(usize) -> bool,
) -> Range<usize> {
    let (mut end, mut bytes) = (first + 1, block_bytes(index, first));
    while end < index.block_count() && wanted(end) {
        bytes += block_bytes(index, end);
        if bytes > READ_AHEAD_BYTES_MAX {
            break;
        }
        end += 1;
    }
    first..end
}

pub(crate) fn block_bytes(index: &Index, at: usize) -> usize {
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
        self.note_entered(&mut ahead);
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
