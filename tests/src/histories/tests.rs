use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lsm_db::{Batch, Durability, LsmConfig};

use super::object::{Change, Operation};
use super::*;
use crate::TestResult;

/// A record of thread `process`, in microseconds.
fn record(process: usize, called: u64, answered: u64, operation: Operation) -> Record {
    Record {
        process,
        group: 0,
        operation,
        called: Duration::from_micros(called),
        answered: Duration::from_micros(answered),
    }
}

fn put(values: [u64; KEYS]) -> Operation {
    Operation::Write(values.map(Change::Put))
}

fn read(found: [u64; KEYS]) -> Operation {
    Operation::Read {
        through: Through::Snapshot,
        found: found.map(Some),
    }
}

fn is_explained(records: Vec<Record>, end: [u64; KEYS]) -> bool {
    judge([Some(0); KEYS], records, end.map(Some), &Tally::default()).is_ok()
}

#[test]
fn what_overlaps_may_have_any_order_and_what_does_not_has_one() {
    let write = |called| record(0, called, 9, put([1, 1, 1]));
    let old = |process, called, answered| record(process, called, answered, read([0, 0, 0]));
    let new = |process, called, answered| record(process, called, answered, read([1, 1, 1]));
    assert!(is_explained(
        vec![write(1), old(1, 2, 3), new(2, 4, 5)],
        [1; 3]
    ));
    assert!(is_explained(
        vec![write(1), new(1, 2, 4), old(2, 3, 5)],
        [1; 3]
    ));
    // The second read was called after the first had seen the write.
    assert!(!is_explained(
        vec![write(1), new(1, 2, 3), old(2, 4, 5)],
        [1; 3]
    ));
    // A read after the write's answer that does not see it, and one that sees it before it was asked for.
    assert!(!is_explained(vec![write(1), old(1, 10, 11)], [1; 3]));
    assert!(!is_explained(vec![write(4), new(1, 2, 3)], [1; 3]));
    // An acknowledged write that is not there in the end.
    assert!(!is_explained(vec![write(1)], [0; 3]));
}

#[test]
fn half_a_batch_is_found() {
    let write = record(0, 1, 9, put([1, 1, 1]));
    assert!(!is_explained(
        vec![write, record(1, 2, 3, read([1, 0, 1]))],
        [1; 3]
    ));
}

#[test]
fn two_who_claim_one_key_are_not_both_told_that_they_did() {
    let claim = |process, value, did| {
        let changes = [Change::Put(value), Change::Keep, Change::Keep];
        let (key, expected) = (0, Some(0));
        record(
            process,
            1,
            9,
            Operation::Conditional {
                key,
                expected,
                changes,
                did,
            },
        )
    };
    assert!(is_explained(
        vec![claim(0, 5, true), claim(1, 6, false)],
        [5, 0, 0]
    ));
    assert!(!is_explained(
        vec![claim(0, 5, true), claim(1, 6, true)],
        [5, 0, 0]
    ));
    assert!(!is_explained(
        vec![claim(0, 5, false), claim(1, 6, false)],
        [0; 3]
    ));
}

/// Enough for a flush every ten histories, and not so many that the filler has the machine to itself.
const BATCHES_PER_HISTORY: u64 = 2;

/// Small memtables and another thread's writes between the groups' keys: what a history reads is in
/// memtables, being flushed, in level 0 and below.
#[test]
fn four_threads_beside_flushes_and_compactions_make_histories_that_one_order_explains() -> TestResult
{
    let dir = tempfile::tempdir()?;
    let config = LsmConfig::new()
        .memtable_capacity(16 << 10)
        .run_bytes_target(64 << 10)
        .durability(Durability::Buffered);
    let db = Lsm::open_with(dir.path().join("db"), config)?;
    let (tally, is_over) = (Tally::default(), AtomicBool::new(false));
    let outcome = std::thread::scope(|scope| {
        let filler = scope.spawn(|| -> lsm_db::Result<()> {
            let (mut random, mut batches) = (Random::new(2), 0);
            while !is_over.load(Ordering::Relaxed) {
                if batches > BATCHES_PER_HISTORY * tally.histories.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                    continue;
                }
                batches += 1;
                let mut batch = Batch::new();
                for _ in 0..16 {
                    let key = format!("{:04}", random.below(3000));
                    batch.put(key, random.bytes(100));
                }
                db.write(batch)?;
            }
            Ok(())
        });
        let enough = || tally.histories.load(Ordering::Relaxed) >= 400 || filler.is_finished();
        let outcome = run(&db, &Options::new("history/", 1), &tally, &enough);
        is_over.store(true, Ordering::Relaxed);
        let filled = filler.join().map_err(|_| "the filler panicked".to_owned());
        outcome.and_then(|()| filled?.map_err(|error| describe(&error)))
    });
    outcome?;
    assert!(tally.overlapping.into_inner() > 0, "the threads never met");
    let stats = db.stats();
    assert!(stats.flushes > 0 && stats.compactions > 0, "{stats}");
    Ok(())
}
