//! What level 0 costs readers, and when that has come to what its compaction costs.
//!
//! The runs of level 0 overlap, so a read asks each of them, and a cursor merges them. The policy compacts
//! them when they are many, which suits writers; a store that is read much and written little would
//! keep a few of them for good. So readers count here what they spend on them, in units of about a
//! tenth of a microsecond, and when that has come to the price of the compaction, they ask for it: the
//! ski-rental rule (Karlin, Manasse, Rudolph and Sleator, "Competitive Snoopy Caching", 1988). The price is
//! a quarter of the processor time that the job takes, because readers wait for their own and nobody for the
//! job's; so whatever comes afterwards, all of it is at most five times what had to be spent.
//!
//! Readers call [`L0Reads::spend`], whoever changes the tree says what the compaction would cost
//! ([`set_price`](L0Reads::set_price)), and the compaction lane asks whether it [`is_due`](L0Reads::is_due).
//! A hint throughout: no answer depends on it, counts may be a little off, and a compaction that is not made
//! costs time and nothing else.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use lsm_cache::StripedCounts;
use lsm_compact::{Job, JobKind};

/// A run whose filter said that it lacks a key: the filter is seldom at hand for the processor.
pub(crate) const ASKED: u64 = 1;
/// A block of a run that was looked into: by a get in vain, or by a cursor, for which it is one more source
/// to merge.
pub(crate) const ENTERED: u64 = 8;

/// The price of a job: of each block that it reads and writes again, and of its syncs and its edit.
const PRICE_PER_BLOCK: u64 = 25;
const BLOCK_BYTES: u64 = 4096;
const PRICE_PER_JOB: u64 = 20_000;

/// As much a thread spends before it looks at what all have spent.
const LOOK_EVERY: u64 = 256;

/// After so many failures in a row the price grows no more.
const DOUBLINGS_MAX: u32 = 20;

#[derive(Default)]
pub(crate) struct L0Reads {
    /// By thread.
    own: StripedCounts<1>,
    /// By all, a little behind.
    spent: AtomicU64,
    /// 0: there is nothing to compact.
    price: AtomicU64,
    /// Jobs that failed since one succeeded: each doubles the price.
    failures: AtomicU32,
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
        let looks = (before % LOOK_EVERY).saturating_add(units) / LOOK_EVERY;
        if looks > 0 {
            self.look(looks.saturating_mul(LOOK_EVERY));
        }
    }

    #[cold]
    fn look(&self, units: u64) {
        let price = self.price.load(Ordering::Relaxed);
        if price == 0 {
            // What no job could spare is not saved up for the next one.
            return;
        }
        let spent = self.spent.fetch_add(units, Ordering::Relaxed);
        let doublings = self.failures.load(Ordering::Relaxed).min(DOUBLINGS_MAX);
        if spent.saturating_add(units) >= price.saturating_mul(1 << doublings)
            && !self.is_due.swap(true, Ordering::Relaxed)
            && let Some(ask) = self.ask.get()
        {
            ask();
        }
    }

    /// The job that readers may pay for now, if there is one.
    pub(crate) fn set_price(&self, job: Option<&Job>) {
        self.price.store(job.map_or(0, price), Ordering::Relaxed);
    }

    /// Whether readers have spent what a compaction costs.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due.load(Ordering::Relaxed)
    }

    /// A job took runs out of level 0, whoever asked for it. What was spent beyond its price stays.
    pub(crate) fn done(&self, job: &Job) {
        let left = |spent: u64| Some(spent.saturating_sub(price(job)));
        let _ = self
            .spent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        self.failures.store(0, Ordering::Relaxed);
        self.is_due.store(false, Ordering::Relaxed);
    }

    /// The job failed. Nobody needs it, so it is not tried again before readers have paid for it anew, and
    /// twice as much each time.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.start_over();
    }

    /// There is nothing to be done now.
    pub(crate) fn start_over(&self) {
        self.spent.store(0, Ordering::Relaxed);
        self.is_due.store(false, Ordering::Relaxed);
    }
}

fn price(job: &Job) -> u64 {
    let blocks = match job.kind {
        JobKind::Move => 0,
        JobKind::Merge => job.input_bytes() / BLOCK_BYTES,
    };
    PRICE_PER_JOB.saturating_add(blocks.saturating_mul(PRICE_PER_BLOCK))
}

impl fmt::Debug for L0Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L0Reads")
            .field("spent", &self.spent)
            .field("price", &self.price)
            .field("is_due", &self.is_due)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lsm_version::RunMeta;

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

    fn job(kind: JobKind, blocks: u64) -> Job {
        let run = RunMeta {
            id: 1,
            file_len: blocks * BLOCK_BYTES,
            entry_count: 1,
            tombstone_count: 0,
            index_len: 0,
            index_crc: 0,
            smallest_key: "a".into(),
            largest_key: "z".into(),
        };
        Job {
            smallest_key: run.smallest_key.clone(),
            largest_key: run.largest_key.clone(),
            inputs: vec![(0, Arc::new(run))],
            output_level: 6,
            kind,
        }
    }

    fn spend(reads: &L0Reads, units: u64) {
        (0..units).for_each(|_| reads.spend(ASKED));
    }

    #[test]
    fn readers_ask_once_when_they_have_spent_the_price() {
        let (asked, reads) = counted();
        let merge = job(JobKind::Merge, 100);
        reads.set_price(Some(&merge));
        spend(&reads, price(&merge) - 1);
        assert_eq!((asked.load(Ordering::Relaxed), reads.is_due()), (0, false));
        spend(&reads, LOOK_EVERY);
        assert_eq!((asked.load(Ordering::Relaxed), reads.is_due()), (1, true));
        spend(&reads, price(&merge) / 2);
        assert_eq!(asked.load(Ordering::Relaxed), 1, "it is on its way");
    }

    #[test]
    fn a_cheap_job_leaves_what_was_spent_beyond_its_price() {
        let (asked, reads) = counted();
        let (merge, step_down) = (job(JobKind::Merge, 1000), job(JobKind::Move, 1000));
        reads.set_price(Some(&merge));
        spend(&reads, price(&merge) - LOOK_EVERY);
        reads.done(&step_down);
        assert!(!reads.is_due());
        spend(&reads, price(&step_down) + 2 * LOOK_EVERY);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        reads.done(&merge);
        spend(&reads, price(&merge) / 2);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_job_that_failed_costs_twice_as_much_until_one_succeeds() {
        let (asked, reads) = counted();
        let merge = job(JobKind::Merge, 100);
        reads.set_price(Some(&merge));
        for (failures, so_far) in [(1, 1), (2, 2), (4, 3)] {
            spend(&reads, failures * price(&merge) - LOOK_EVERY);
            assert_eq!(asked.load(Ordering::Relaxed), so_far - 1);
            spend(&reads, 2 * LOOK_EVERY);
            assert_eq!(asked.load(Ordering::Relaxed), so_far);
            reads.failed();
        }
        reads.done(&merge);
        spend(&reads, price(&merge) + LOOK_EVERY);
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn what_is_spent_while_there_is_nothing_to_compact_is_not_saved_up() {
        let (asked, reads) = counted();
        reads.set_price(None);
        reads.spend(u64::MAX / 2);
        reads.set_price(Some(&job(JobKind::Move, 1)));
        spend(&reads, PRICE_PER_JOB - LOOK_EVERY);
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn threads_spend_together() {
        let (asked, reads) = counted();
        reads.set_price(Some(&job(JobKind::Move, 1)));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| spend(&reads, PRICE_PER_JOB / 3));
            }
        });
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
