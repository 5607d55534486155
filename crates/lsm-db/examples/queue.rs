//! The store as a queue: producers append at the end, consumers take the first key and delete it.
//!
//! Keys are sequence numbers, big-endian, so that they order as the numbers do. A consumer reads
//! the first entry and deletes it *on condition that it is still there*: of those who saw the same
//! entry, one gets it, and the others look again. What was taken leaves tombstones at the head of
//! the queue; the store remembers that range as empty, so that taking stays as fast as it began.
//!
//! ```text
//! cargo run --release --example queue -- 100000
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it does")]
#![expect(clippy::disallowed_methods, reason = "it says how fast it was")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use lsm_db::{Batch, Bytes, Durability, Error as StoreError, Lsm, LsmConfig};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const CONSUMERS: u64 = 2;

/// Appends `count` items.
fn produce(db: &Lsm, next: &AtomicU64, count: u64) -> lsm_db::Result<()> {
    for _ in 0..count {
        let number = next.fetch_add(1, Ordering::Relaxed);
        db.put(number.to_be_bytes(), format!("item {number}"))?;
    }
    Ok(())
}

/// Takes the first item, or `None` if there is none.
fn take(db: &Lsm) -> lsm_db::Result<Option<Bytes>> {
    loop {
        let Some((key, item)) = db.first()? else {
            return Ok(None);
        };
        let mut batch = Batch::new();
        batch.require(&key, Some(&item));
        batch.delete(&key);
        match db.write(batch) {
            Ok(()) => return Ok(Some(item)),
            Err(StoreError::ConditionFailed { .. }) => {} // somebody was faster
            Err(error) => return Err(error),
        }
    }
}

/// Takes `count` items, waiting for the producer where it is behind.
fn consume(db: &Lsm, count: u64) -> Outcome<()> {
    for _ in 0..count {
        while take(db)?.is_none() {
            thread::yield_now();
        }
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(100_000), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    // A queue whose newest items may be made again: the last ones before a power cut may be lost.
    let config = LsmConfig::new().durability(Durability::Buffered);
    let db = Lsm::open_with(dir.path(), config)?;
    let next = AtomicU64::new(0);
    produce(&db, &next, count / 10)?;

    let start = Instant::now();
    thread::scope(|scope| -> Outcome<()> {
        let producer = scope.spawn(|| produce(&db, &next, count - count / 10));
        // Together they take every item, also if the items do not divide evenly.
        let db = &db;
        let shares = (0..CONSUMERS).map(|at| (count + at) / CONSUMERS);
        let consumers = shares.map(|share| scope.spawn(move || consume(db, share)));
        for consumer in consumers.collect::<Vec<_>>() {
            consumer.join().map_err(|_| "a consumer panicked")??;
        }
        Ok(producer.join().map_err(|_| "the producer panicked")??)
    })?;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    if db.first()?.is_some() {
        return Err("an item was left".into());
    }
    println!("{count} items taken, {rate:.0} a second");
    println!("{}", db.stats());
    Ok(())
}
