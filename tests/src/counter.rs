//! A counter that many threads raise by comparing and setting it: no increment may be lost or
//! doubled, however the threads meet in the groups of a commit.
//!
//! Called by the tests of conditions. Never waits by the clock.

use std::sync::atomic::{AtomicU64, Ordering};

use lsm_db::Lsm;

use crate::describe;

/// The key of the counter. It is beside all other keys of a test.
pub const KEY: &[u8] = b"~counter";

/// What a count did so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Increments that were acknowledged.
    pub acknowledged: AtomicU64,
    /// Times that somebody else had been faster.
    pub retries: AtomicU64,
}

/// The counter's value as it is stored.
pub fn encoded(count: u64) -> [u8; 8] {
    count.to_be_bytes()
}

/// The counter as it is now; absent is 0.
///
/// # Errors
/// The store's, or a value that no count has written.
pub fn count(db: &Lsm) -> Result<u64, String> {
    decoded(db.get(KEY).map_err(|error| describe(&error))?.as_deref())
}

fn decoded(value: Option<&[u8]>) -> Result<u64, String> {
    let Some(value) = value else {
        return Ok(0);
    };
    let bytes = value.try_into();
    bytes
        .map(u64::from_be_bytes)
        .map_err(|_| format!("{} bytes are no counter", value.len()))
}

/// Raises the counter `times` times on each of so many threads.
///
/// # Errors
/// The first error of any thread.
pub fn raise(db: &Lsm, threads: usize, times: u64, tally: &Tally) -> Result<(), String> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| (0..times).try_for_each(|_| raise_once(db, tally))))
            .collect();
        let outcomes = threads.into_iter().map(|thread| {
            let joined = thread.join();
            joined.unwrap_or_else(|_| Err("a thread panicked".to_owned()))
        });
        // All are joined before the first error is told.
        outcomes.collect::<Vec<_>>().into_iter().collect()
    })
}

fn raise_once(db: &Lsm, tally: &Tally) -> Result<(), String> {
    loop {
        let found = db.get(KEY).map_err(|error| describe(&error))?;
        let next = encoded(decoded(found.as_deref())? + 1);
        match db.compare_and_set(KEY, found.as_deref(), Some(&next)) {
            Ok(true) => break,
            Ok(false) => tally.retries.fetch_add(1, Ordering::Relaxed),
            Err(error) => return Err(describe(&error)),
        };
    }
    tally.acknowledged.fetch_add(1, Ordering::SeqCst);
    Ok(())
}
