//! Every key deleted, one by one: nothing is found, and compaction leaves no file behind.

use std::path::Path;
use std::time::Instant;

use lsm_db::{Batch, Durability, Lsm, LsmConfig};
use lsm_tests::describe;
use lsm_tests::random::Random;

use super::{Findings, bar, file_bytes, peak_memory};

const BATCH: usize = 1000;
const VALUE_BYTES: usize = 40;
const PROBES: usize = 10_000;

pub(super) fn run(dir: &Path, keys: u64) -> Findings {
    let config = LsmConfig::new()
        .memtable_capacity(4 << 20)
        .durability(Durability::Buffered);
    let db = Lsm::open_with(dir, config).map_err(|error| describe(&error))?;
    let mut random = Random::new(1);
    for first in (0..keys).step_by(BATCH) {
        let mut batch = Batch::new();
        for number in first..keys.min(first + BATCH as u64) {
            batch.put(key(number), random.bytes(VALUE_BYTES));
        }
        db.write(batch).map_err(|error| describe(&error))?;
    }
    let bar = bar("delete", keys)?;
    for number in 0..keys {
        db.delete(key(number)).map_err(|error| describe(&error))?;
        if number % 4096 == 0 {
            bar.set_position(number);
        }
    }
    bar.finish_and_clear();

    let start = Instant::now();
    check_empty(&db, keys, &mut random)?;
    let walked = start.elapsed();
    db.compact_range::<&[u8], _>(..)
        .map_err(|error| describe(&error))?;
    check_empty(&db, keys, &mut random)?;
    db.close().map_err(|error| describe(&error))?;
    let runs = file_bytes(dir, "run-")?;
    if runs > 0 {
        return Err(format!("{runs} bytes of runs are left of nothing"));
    }
    let db = Lsm::open(dir).map_err(|error| describe(&error))?;
    check_empty(&db, keys, &mut random)?;
    Ok(vec![
        format!(
            "{keys} deletes; walking over them took {:.3} s",
            walked.as_secs_f64()
        ),
        peak_memory(),
    ])
}

fn key(number: u64) -> [u8; 8] {
    // Spread over the key space, so that no flush holds a stretch of its own.
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()
}

fn check_empty(db: &Lsm, keys: u64, random: &mut Random) -> Result<(), String> {
    let is_empty = db.is_empty().map_err(|error| describe(&error))?
        && db.iter().next().is_none()
        && db.iter().next_back().is_none();
    if !is_empty {
        return Err("an entry is left".to_owned());
    }
    for _ in 0..PROBES {
        let number = random.below(usize::try_from(keys).unwrap_or(usize::MAX)) as u64;
        if db
            .get(key(number))
            .map_err(|error| describe(&error))?
            .is_some()
        {
            return Err(format!("key {number} is back"));
        }
    }
    Ok(())
}
