//! One key, written again and again: what is superseded shall not pile up.

use std::path::Path;

use lsm_db::{Durability, Lsm, LsmConfig};
use lsm_tests::{describe, usage};

use super::{Findings, bar, file_bytes, mebibytes, peak_memory};

const VALUE_BYTES: usize = 100;
const MEMTABLE_BYTES: usize = 4 << 20;

/// Of the log, while the writes go on: the active memtable's, and those of the sealed ones that may
/// wait. A node costs a memtable more than a header costs the log.
const LOG_BYTES_MAX: u64 = 10 * MEMTABLE_BYTES as u64;
/// Of memory, beyond what there was: as many memtables, the cache, and one flush.
const GROWTH_BYTES_MAX: u64 = 160 << 20;
/// Of all files when it is done: one entry, and the beginning of a log.
const REST_BYTES_MAX: u64 = 1 << 20;

const STEP: u64 = 4096;

pub(super) fn run(dir: &Path, writes: u64) -> Findings {
    let config = LsmConfig::new()
        .memtable_capacity(MEMTABLE_BYTES)
        .durability(Durability::Buffered);
    let db = Lsm::open_with(dir, config).map_err(|error| describe(&error))?;
    let before = usage::resident_bytes();
    let bar = bar("overwrite", writes)?;
    let mut largest = 0;
    for number in 0..writes {
        let mut value = [0; VALUE_BYTES];
        value[..8].copy_from_slice(&number.to_le_bytes());
        db.put("the key", value).map_err(|error| describe(&error))?;
        if number % STEP == 0 {
            bar.set_position(number);
            largest = largest.max(file_bytes(dir, "wal-")?);
        }
    }
    bar.finish_and_clear();
    if largest > LOG_BYTES_MAX {
        let (largest, max) = (mebibytes(largest), mebibytes(LOG_BYTES_MAX));
        return Err(format!("the log took {largest}, more than {max}"));
    }
    let grown = usage::peak_resident_bytes().zip(before);
    let grown = grown.map(|(peak, before)| peak.saturating_sub(before));
    if let Some(grown) = grown.filter(|grown| *grown > GROWTH_BYTES_MAX) {
        let (grown, max) = (mebibytes(grown), mebibytes(GROWTH_BYTES_MAX));
        return Err(format!("memory grew by {grown}, more than {max}"));
    }
    let found = db.get("the key").map_err(|error| describe(&error))?;
    let last = writes.saturating_sub(1).to_le_bytes();
    if !found.is_some_and(|value| value.starts_with(&last)) {
        return Err("the last value is not the one that was written last".to_owned());
    }
    db.compact_range::<&[u8], _>(..)
        .map_err(|error| describe(&error))?;
    db.close().map_err(|error| describe(&error))?;
    let rest = file_bytes(dir, "")?;
    if rest > REST_BYTES_MAX {
        return Err(format!("{} are left for one key", mebibytes(rest)));
    }
    Ok(vec![
        format!(
            "{writes} writes: the log took {} at most, {rest} bytes are left",
            mebibytes(largest)
        ),
        peak_memory(),
    ])
}
