//! Reading the file, and loading its places in batches.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lsm_db::{Batch, Durability, Lsm, LsmConfig};

use crate::Outcome;
use crate::place::Place;

/// Places in one batch, and so how many become visible, and survive a crash, together.
pub(crate) const PLACES_PER_BATCH: usize = 500;

/// Small on purpose, so that 171,075 places are enough to grow a tree of several runs and levels.
const MEMTABLE_BYTES: usize = 2 << 20;
const RUN_BYTES: u64 = 2 << 20;

/// Where the file is in a clone of the repository.
const DATA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/cities.tsv");

/// All places of the file, in its order.
pub(crate) fn read_places() -> Outcome<Vec<Place>> {
    let text = std::fs::read_to_string(DATA_FILE).map_err(|error| {
        format!("cannot read {DATA_FILE}: {error} (it is in the repository, not in the package)")
    })?;
    let lines = text.lines().skip(1);
    (0..)
        .zip(lines)
        .map(|(id, line)| Place::parse(id, line))
        .collect()
}

/// Opens the store in `dir`, creating it if there is none.
pub(crate) fn open(dir: &Path) -> Outcome<Lsm> {
    let config = LsmConfig::new()
        .memtable_capacity(MEMTABLE_BYTES)
        .run_bytes_target(RUN_BYTES);
    Ok(Lsm::open_with(dir, config)?)
}

/// Writes the places batch by batch and tells `acknowledged` how many batches are in so far.
///
/// `Durability::Buffered` hands a batch to the operating system and goes on: a killed process
/// loses none, a power cut may lose the last. For a load that can be repeated that is enough; the
/// `sync` at the end makes all of it durable at once.
pub(crate) fn load(
    db: &Lsm,
    places: &[Place],
    mut acknowledged: impl FnMut(usize) -> Outcome<()>,
) -> Outcome<()> {
    for (number, chunk) in (1..).zip(places.chunks(PLACES_PER_BATCH)) {
        let mut batch = Batch::new();
        for place in chunk {
            place.put_into(&mut batch);
        }
        db.write_with(batch, Durability::Buffered)?;
        acknowledged(number)?;
    }
    Ok(db.sync()?)
}

/// Loads behind a progress bar, and says how long it took.
pub(crate) fn load_with_bar(db: &Lsm, places: &[Place]) -> Outcome<Duration> {
    let style = "{elapsed_precise} {wide_bar} {human_pos} of {human_len} places, {per_sec}";
    let bar =
        ProgressBar::new(places.len() as u64).with_style(ProgressStyle::with_template(style)?);
    let start = Instant::now();
    load(db, places, |batches| {
        bar.set_position((batches * PLACES_PER_BATCH).min(places.len()) as u64);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(start.elapsed())
}
