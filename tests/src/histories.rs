//! Histories: what threads asked of a store and were told, and whether one order explains it all.
//!
//! Several threads read, write and compare a few keys that all of them share, each noting when it
//! called, when it was answered and with what. Afterwards the search of `todc-utils` looks for an
//! order of all operations, within the time that each took, in which every answer is right: the
//! history is linearizable, or the store has told somebody something that never was. An operation
//! may touch all keys of its group (a batch, a read of several keys, a snapshot), so the object whose
//! history is judged is the group, and halves of batches are found as well as stale values.
//!
//! Called by the soak, beside its other threads, and by the test below. Never assumes to be alone on
//! the store, only on its prefix; makes no flush and no compaction by itself.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lsm_db::Lsm;
use todc_utils::linearizability::WGLChecker;

use crate::describe;
use crate::random::Random;

mod client;
mod object;
mod record;

use client::Client;
use object::{Group, KEYS, Through};
use record::{Record, history};

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What all keys start with; nobody else may write such keys.
    pub prefix: Vec<u8>,
    /// Threads that share the groups.
    pub threads: usize,
    /// Groups of keys. The fewer, the more the threads meet.
    pub groups: usize,
    /// Operations of each thread in one round, after which the histories are judged. The time that
    /// takes grows with the square of it, and more where many overlap.
    pub operations: usize,
    /// Whether a write now and then asks to be durable; a store without a log refuses that.
    pub syncs: bool,
    /// The seed of what is asked; who comes first is up to the machine.
    pub seed: u64,
}

impl Options {
    /// Four threads on two groups, in short rounds.
    pub fn new(prefix: impl Into<Vec<u8>>, seed: u64) -> Self {
        Self {
            prefix: prefix.into(),
            threads: 4,
            groups: 2,
            operations: 24,
            syncs: true,
            seed,
        }
    }
}

/// What has been judged so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Histories for which an order was found.
    pub histories: AtomicU64,
    /// Operations in them.
    pub operations: AtomicU64,
    /// Operations that began before another on the same group had ended.
    pub overlapping: AtomicU64,
}

/// Makes and judges histories until `is_over` says so, which is asked after each round.
///
/// # Errors
/// A history that no order explains, with all its operations; or the store's own error.
pub fn run(
    db: &Lsm,
    options: &Options,
    tally: &Tally,
    is_over: &dyn Fn() -> bool,
) -> Result<(), String> {
    let groups: Vec<Group> = (0..options.groups)
        .map(|number| Group::new(&options.prefix, number))
        .collect();
    let mut random = Random::new(options.seed);
    // Of values, so that no two writes are alike.
    let next_value = AtomicU64::new(random.draw() >> 8);
    while !is_over() {
        let starts = groups
            .iter()
            .map(|group| group.read(db, Through::MultiGet))
            .collect::<Result<Vec<_>, _>>()?;
        let mut records = round(db, options, &groups, &next_value, &mut random)?;
        for (number, (group, start)) in groups.iter().zip(starts).enumerate() {
            let mut of_group = Vec::new();
            records.retain(|record: &Record| {
                let is_ours = record.group == number;
                if is_ours {
                    of_group.push(record.clone());
                }
                !is_ours
            });
            let end = group.read(db, Through::MultiGet)?;
            judge(start, of_group, end, tally)
                .map_err(|history| format!("no order explains this history:\n{history}"))?;
        }
    }
    Ok(())
}

/// One round: all threads at once, each with its own operations. They start together.
fn round(
    db: &Lsm,
    options: &Options,
    groups: &[Group],
    next_value: &AtomicU64,
    random: &mut Random,
) -> Result<Vec<Record>, String> {
    let (barrier, start) = (Barrier::new(options.threads), now());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads)
            .map(|process| {
                let shared = (db, groups, next_value);
                let mut client = Client::new(shared, options.syncs, random.draw(), process, start);
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    (0..options.operations)
                        .map(|_| client.step())
                        .collect::<Result<Vec<Record>, String>>()
                })
            })
            .collect();
        let records: Vec<_> = threads
            .into_iter()
            .map(|thread| {
                let joined = thread.join();
                joined.unwrap_or_else(|_| Err("a thread panicked".to_owned()))
            })
            .collect();
        let records = records.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(records.into_iter().flatten().collect())
    })
}

/// Whether one order explains `records` between what was there before and what is there after.
///
/// # Errors
/// The history as text, if none does.
fn judge(
    start: [Option<u64>; KEYS],
    mut records: Vec<Record>,
    end: [Option<u64>; KEYS],
    tally: &Tally,
) -> Result<(), String> {
    records.sort_by_key(|record| record.called);
    let count = records.len() as u64 + 2;
    let overlapping = records
        .windows(2)
        .filter(|pair| pair[1].called <= pair[0].answered)
        .count();
    if !WGLChecker::<Group>::is_linearizable(history(start, &records, end)) {
        return Err(record::display(start, &records, end));
    }
    tally.histories.fetch_add(1, Ordering::Relaxed);
    tally.operations.fetch_add(count, Ordering::Relaxed);
    tally
        .overlapping
        .fetch_add(overlapping as u64, Ordering::Relaxed);
    Ok(())
}

/// Read by each thread for itself: nothing here makes one thread see what another did.
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
