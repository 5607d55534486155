//! What level 0 costs readers, and when that has come to what its compaction costs.
//!
//! The runs of level 0 overlap, so a read asks each of them, and a cursor merges them. The policy compacts
//! them when they are many, which suits writers; a store that is read much and written little would
//! keep a few of them for good. So readers count here what they spend on them, in units of about a
//! tenth of a microsecond, and when that has come to what the compaction takes, they ask for it. Whatever
//! comes afterwards, at most twice as much has been spent as by somebody who knew it beforehand (the
//! ski-rental rule: Karlin, Manasse, Rudolph and Sleator, "Competitive Snoopy Caching", 1988).
//!
//! Readers call [`L0Reads::spend`], whoever changes the tree says what the compaction would
//! [`cost`](L0Reads::set_cost), and the compaction lane asks whether it [`is_due`](L0Reads::is_due). A hint
//! throughout: no answer depends on it, counts may be a little off, and a compaction that is not made
//! costs time and nothing else.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lsm_cache::StripedCounts;

/// A run that a read of one key asked in vain: its filter, which is seldom at hand for the processor.
pub(crate) const ASKED: u64 = 1;
/// A block of a run that a cursor entered, by a seek or by steps: one more source to merge.
pub(crate) const ENTERED: u64 = 8;

/// What compacting takes for each of these bytes, and for each job whatever its size (syncs, an edit).
/// A quarter of the time that it needs: nobody waits for it.
const COST_PER_BLOCK: u64 = 25;
const BLOCK_BYTES: u64 = 4096;
const COST_PER_JOB: u64 = 20_000;

/// As much a thread spends before it looks at what all have spent.
const LOOK_EVERY: u64 = 256;

#[derive(Default)]
pub(crate) struct L0Reads {
    /// By thread.
    own: StripedCounts<1>,
    /// By all, a little behind.
    spent: AtomicU64,
    /// 0: there is nothing to compact.
    cost: AtomicU64,
    is_due: AtomicBool,
    ask: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl L0Reads {
    /// What readers do when a compaction is due: once for each. Must not wait.
    pub(crate) fn when_due(&self, ask: impl Fn() + Send + Sync + 'static) {
        let _ = self.ask.set(Box::new(ask));
    }

    /// A reader has spent so much on level 0.
    pub(crate) fn spend(&self, units: u64) {
        let before = self.own.add(0, units);
        let looks = before.wrapping_add(units) / LOOK_EVERY - before / LOOK_EVERY;
        if looks > 0 {
            self.look(looks.saturating_mul(LOOK_EVERY));
        }
    }

    #[cold]
    fn look(&self, units: u64) {
        let spent = self.spent.fetch_add(units, Ordering::Relaxed) + units;
        let cost = self.cost.load(Ordering::Relaxed);
        if cost > 0
            && spent >= cost
            && !self.is_due.swap(true, Ordering::Relaxed)
            && let Some(ask) = self.ask.get()
        {
            ask();
        }
    }

    /// What there is to compact: the bytes that would be written again, if anything.
    pub(crate) fn set_cost(&self, job_bytes: Option<u64>) {
        let cost = |bytes: u64| COST_PER_JOB + (bytes / BLOCK_BYTES).saturating_mul(COST_PER_BLOCK);
        self.cost
            .store(job_bytes.map_or(0, cost), Ordering::Relaxed);
    }

    /// Whether readers have spent as much as a compaction costs.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due.load(Ordering::Relaxed)
    }

    /// Level 0 has been compacted, or can't be now.
    pub(crate) fn start_over(&self) {
        self.spent.store(0, Ordering::Relaxed);
        self.is_due.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for L0Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L0Reads")
            .field("spent", &self.spent)
            .field("cost", &self.cost)
            .field("is_due", &self.is_due)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn counted() -> (Arc<AtomicU64>, L0Reads) {
        let asked = Arc::new(AtomicU64::new(0));
        let reads = L0Reads::default();
        let count = Arc::clone(&asked);
        reads.when_due(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        (asked, reads)
    }

    #[test]
    fn readers_ask_once_when_they_have_spent_what_a_compaction_costs() {
        let (asked, reads) = counted();
        reads.set_cost(Some(100 * BLOCK_BYTES));
        let cost = COST_PER_JOB + 100 * COST_PER_BLOCK;
        for _ in 0..cost - 1 {
            reads.spend(ASKED);
        }
        assert_eq!((asked.load(Ordering::Relaxed), reads.is_due()), (0, false));
        for _ in 0..2 * cost {
            reads.spend(ENTERED);
        }
        assert_eq!((asked.load(Ordering::Relaxed), reads.is_due()), (1, true));

        reads.start_over();
        assert!(!reads.is_due());
        for _ in 0..cost {
            reads.spend(ENTERED);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn where_there_is_nothing_to_compact_nobody_asks() {
        let (asked, reads) = counted();
        reads.set_cost(None);
        reads.spend(u64::MAX / 2);
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn threads_spend_together() {
        let (asked, reads) = counted();
        reads.set_cost(Some(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..COST_PER_JOB / 3).for_each(|_| reads.spend(ASKED)));
            }
        });
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
