//! Warming: the rest of a run's blocks, read ahead of readers who have missed many of them.
//!
//! A block that is not cached costs its reader several times what it costs as one of many that are read
//! with one call, and its reader waits for it. So each run counts the blocks that readers missed; once they are
//! a quarter of it, the rest is read in the background, if the cache has room for it. Whatever is asked for
//! afterwards, that costs no more than was spent before: the rule by which readers pay for merges
//! (`l0_reads`). Readers of what was cached have paid already, so what a merge writes is warmed at once if
//! the greater part of its inputs was there.
//!
//! A hint throughout: no other block goes for one that is read ahead, it is the first to go if nobody asks for
//! it, and a failure is left to the reader who does. Asked for by readers and jobs; works on a lane where only
//! filters wait, one run after another.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use lsm_format::{Block, Index};

use super::{LoadedIndex, Run};
use crate::lane;
use crate::run_blocks::{READ_AHEAD_BYTES_MAX, block_bytes, stretch_from};

/// Of a run with fewer blocks than four times this a quarter says nothing yet.
const MISSED_MIN: u64 = 16;

/// An index takes at most this many times its encoded bytes, with the places for its blocks.
const INDEX_GROWTH_MAX: u64 = 3;

/// The blocks of a run that readers missed, since its index was loaded.
#[derive(Debug, Default)]
pub(super) struct Missed(AtomicU64);

impl Missed {
    /// A reader missed one of `block_count` blocks. Whether that is reason to read the rest: with each
    /// quarter of them, because there may be room by then.
    pub(super) fn note(&self, block_count: usize) -> bool {
        let quarter = (block_count as u64 / 4).max(MISSED_MIN);
        let missed = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        missed.is_multiple_of(quarter)
    }
}

/// A run's blocks are being read ahead, or will be. However that ends, it may be asked for again.
struct UnderWay(Weak<Run>);

impl UnderWay {
    fn run(&self) -> Option<Arc<Run>> {
        self.0.upgrade()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(run) = self.run() {
            run.warming.store(false, Ordering::Relaxed);
        }
    }
}

impl Run {
    /// Has what is not cached of it read in the background, if there is room for it then. Returns at once.
    pub(crate) fn warm_up(self: &Arc<Self>) {
        if self.is_retired() || self.warming.swap(true, Ordering::Relaxed) {
            return;
        }
        let under_way = UnderWay(Arc::downgrade(self));
        self.context.pool.submit(lane::FOR_READS, move || {
            if let Some(run) = under_way.run() {
                run.warm();
            }
        });
    }

    /// Bytes of its blocks that are cached.
    pub(crate) fn cached_bytes(&self) -> u64 {
        let held = self.index.with(|loaded| loaded.blocks.held_bytes());
        held.unwrap_or(0)
    }

    /// Reads and keeps what is not cached; nothing once there is a reason to stop.
    fn warm(&self) -> Option<()> {
        let index = self.index_to_warm()?;
        if !self.has_room_for_rest() {
            return None;
        }
        let mut memory = self.context.jobs.charge();
        let mut from = 0;
        while let Some(stretch) = self.stretch_to_warm(&index, from) {
            if self.is_retired() || self.context.closing.load(Ordering::Acquire) {
                return None;
            }
            from = stretch.end;
            memory.set(stretch.clone().map(|at| block_bytes(&index, at)).sum());
            let blocks = self.file().ok()?.read_blocks_apart(&index, stretch);
            for (at, block) in blocks.ok()? {
                if let Ok(block) = block
                    && self.check_start(at, &block).is_ok()
                {
                    self.keep_ahead(at, block)?;
                }
            }
        }
        Some(())
    }

    /// The index, if others need not go for it.
    fn index_to_warm(&self) -> Option<Arc<Index>> {
        let loaded = self.index.with(|loaded| Arc::clone(&loaded.index));
        loaded.or_else(|| {
            let parts = &self.context.parts;
            let bytes = self.meta.index_len.saturating_mul(INDEX_GROWTH_MAX);
            let has_room = parts.used().saturating_add(bytes) <= parts.limit();
            has_room.then(|| self.load_index().ok()).flatten()
        })
    }

    /// Whether all that is not cached of it fits beside what is there, decoded.
    fn has_room_for_rest(&self) -> bool {
        let decoded = self.meta.file_len.saturating_add(self.meta.file_len / 4);
        let rest = decoded.saturating_sub(self.cached_bytes());
        self.context.blocks.has_room_for(rest)
    }

    /// The first blocks from `from` on that are not cached, as many as one read takes. A block that is larger
    /// than that is left to its reader.
    fn stretch_to_warm(&self, index: &Index, from: usize) -> Option<Range<usize>> {
        let stretch = |loaded: &LoadedIndex| {
            let is_wanted = |at: usize| {
                !loaded.blocks.holds(at) && block_bytes(index, at) <= READ_AHEAD_BYTES_MAX
            };
            let first = (from..index.block_count()).find(|at| is_wanted(*at))?;
            Some(stretch_from(index, first, is_wanted))
        };
        self.index.with(stretch).flatten()
    }

    /// Keeps a block that nobody has asked for yet; nothing if there is no room.
    fn keep_ahead(&self, at: usize, block: Block) -> Option<()> {
        let bytes = block.memory_bytes() as u64;
        let block = Arc::new(block);
        let keep = |loaded: &LoadedIndex| loaded.blocks.insert_if_room(at, &block, bytes);
        let is_kept = self.index.with(keep)?;
        is_kept.then(|| self.context.blocks.counters.count_warmed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quarter_of_the_blocks_is_a_reason() {
        let missed = Missed::default();
        let reasons = (1..=1000).filter(|_| missed.note(1000)).count();
        assert_eq!(reasons, 4);
        let missed = Missed::default();
        assert!((1..MISSED_MIN).all(|_| !missed.note(10)));
        assert!(missed.note(10));
    }
}
