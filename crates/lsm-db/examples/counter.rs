//! Several threads raise one counter in a store: each reads it, and writes it back only if nobody
//! else has written in between.
//!
//! `cargo run --release --example counter`, or `-- 4 1000` for four threads, a thousand times each.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use lsm_db::{Durability, Lsm, LsmConfig};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const KEY: &str = "visits";

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (threads, times) = (number(8)?, number(10_000)?);

    let dir = tempfile::tempdir()?;
    // Without this line every increment waits for the disk.
    let config = LsmConfig::new().durability(Durability::Buffered);
    let store = Lsm::open_with(dir.path(), config.clone())?;
    let mut retries = 0;
    std::thread::scope(|scope| -> Outcome<()> {
        let threads: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| (0..times).map(|_| raise(&store)).sum::<Outcome<u64>>()))
            .collect();
        for thread in threads {
            retries += thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })?;
    store.close()?;

    let count = count(Lsm::open_with(dir.path(), config)?.get(KEY)?.as_deref())?;
    println!("{threads} threads, {times} times each: {count}, after {retries} retries");
    if count != threads * times {
        return Err(format!("expected {}", threads * times).into());
    }
    Ok(())
}

/// Adds one. Returns how often somebody else was faster.
fn raise(store: &Lsm) -> Outcome<u64> {
    let mut retries = 0;
    loop {
        let found = store.get(KEY)?;
        let next = (count(found.as_deref())? + 1).to_string();
        if store.compare_and_set(KEY, found.as_deref(), Some(next.as_bytes()))? {
            return Ok(retries);
        }
        retries += 1;
    }
}

fn count(value: Option<&[u8]>) -> Outcome<u64> {
    match value {
        None => Ok(0),
        Some(digits) => Ok(std::str::from_utf8(digits)?.parse()?),
    }
}
