//! The block cache: data blocks of all runs, within the bytes configured.
//!
//! Each loaded index has a place for every block of its run beside it; they come and go together.
//! Point reads and the first block of a range go through it. What a range reads ahead, and all that
//! a compaction reads, goes past it: that would only push out what is asked for again. While there is
//! room, blocks of runs that are read much come in before they are asked for. Indexes and filters are not
//! in it, but their bytes come off its capacity.

use std::sync::atomic::{AtomicU64, Ordering};

use lsm_cache::{PagePool, Pages, StripedCounts};
use lsm_format::Block;

/// Indexes and filters may take this many bytes even if the cache is smaller, or off: without them
/// each read would have to load them.
const PARTS_BYTES_MIN: u64 = 8 << 20;

/// The capacity is divided between parts and blocks in so many shares.
const SHARES: u64 = 16;

/// What reads have cost; see [`crate::Stats`] for what each means.
#[derive(Debug, Default)]
pub(crate) struct ReadCounters(StripedCounts<3>);

const BLOCKS_READ: usize = 0;
const FILTER_SKIPS: usize = 1;
const BLOCKS_WARMED: usize = 2;

impl ReadCounters {
    pub(crate) fn count_blocks(&self, blocks: u64) {
        self.0.add(BLOCKS_READ, blocks);
    }

    pub(crate) fn count_filter_skip(&self) {
        self.0.add(FILTER_SKIPS, 1);
    }

    pub(crate) fn count_warmed(&self) {
        self.0.add(BLOCKS_WARMED, 1);
    }

    pub(crate) fn blocks_warmed(&self) -> u64 {
        self.0.sum(BLOCKS_WARMED)
    }

    pub(crate) fn blocks_read(&self) -> u64 {
        self.0.sum(BLOCKS_READ)
    }

    pub(crate) fn filter_skips(&self) -> u64 {
        self.0.sum(FILTER_SKIPS)
    }
}

#[derive(Debug)]
pub(crate) struct BlockCache {
    blocks: PagePool<Block>,
    capacity_bytes: u64,
    /// The sixteenths of the capacity that indexes and filters have now.
    parts_share: AtomicU64,
    pub(crate) counters: ReadCounters,
}

impl BlockCache {
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        Self {
            blocks: PagePool::new(capacity_bytes),
            capacity_bytes,
            parts_share: AtomicU64::new(0),
            counters: ReadCounters::default(),
        }
    }

    /// The bytes that indexes and filters may take together: at most half of a large cache.
    pub(crate) fn parts_bytes_max(capacity_bytes: u64) -> u64 {
        (capacity_bytes / 2).max(PARTS_BYTES_MIN)
    }

    /// Blocks give way to indexes and filters. In steps, so that not every part that is loaded takes
    /// the cache's lock.
    pub(crate) fn leave_room_for(&self, parts_bytes: u64) {
        let step = (self.capacity_bytes / SHARES).max(1);
        let share = parts_bytes.div_ceil(step).min(SHARES / 2);
        if self.parts_share.swap(share, Ordering::Relaxed) != share {
            let parts_bytes = share.saturating_mul(step);
            self.blocks
                .set_capacity(self.capacity_bytes.saturating_sub(parts_bytes));
        }
    }

    /// Places for the blocks of a run.
    pub(crate) fn pages(&self, block_count: usize) -> Pages<Block> {
        Pages::new(&self.blocks, block_count)
    }

    pub(crate) fn hits(&self) -> u64 {
        self.blocks.stats().hits
    }

    /// Whether blocks of so many bytes fit in without another having to go.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        self.used_bytes().saturating_add(bytes) <= self.blocks.capacity_bytes()
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.blocks.used_bytes()
    }
}
