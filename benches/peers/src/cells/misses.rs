//! The suite `misses`: gets of keys that are not there, though they lie between keys that are.

use crate::Result;
use crate::bench::{BUDGET, Bench, KEY_BYTES, VALUE_BYTES, puts};
use crate::data::Data;
use crate::engine::{Engine, Reader};
use crate::measure;

const ENTRIES: usize = 1_000_000;

/// In a settled tree.
pub fn settled<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = Data::random(bench.count(ENTRIES), KEY_BYTES, VALUE_BYTES, bench.seed);
    let engine = bench.loaded::<E>(&data)?;
    misses(bench, &engine, "gets of absent keys, settled")
}

/// With three runs and a memtable above the settled tree: one run less than starts a compaction in
/// any of the LSM trees. The B-trees see overwrites.
pub fn unsettled<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = Data::random(bench.count(ENTRIES), KEY_BYTES, VALUE_BYTES, bench.seed);
    let mut engine = bench.loaded::<E>(&data)?;
    unsettle(bench, &mut engine, &data)?;
    misses(bench, &engine, "gets of absent keys, four sources more")
}

/// Makes a compacted tree, then writes a hundredth of the data over it four times and flushes all but
/// the last.
pub fn unsettle<E: Engine>(bench: &Bench, engine: &mut E, data: &Data) -> Result<()> {
    engine.compact()?;
    let operations = puts(data);
    for round in 0..4 {
        let picks = data.picks(data.len() / 100, bench.seed + 10 + round);
        let overwrites: Vec<_> = picks
            .iter()
            .map(|index| operations[*index as usize])
            .collect();
        for batch in overwrites.chunks(1_000) {
            engine.write(batch)?;
        }
        if round < 3 {
            engine.settle()?;
        }
    }
    Ok(())
}

fn misses<E: Engine>(bench: &mut Bench, engine: &E, name: &str) -> Result<()> {
    let absent = Data::random(bench.count(500_000), KEY_BYTES, 0, bench.seed + 1);
    let mut reader = engine.reader()?;
    let mut look = |range: std::ops::Range<usize>| {
        measure::paced(range.len(), BUDGET, |index| {
            match reader.get(absent.key(range.start + index), |_| {})? {
                true => Err("a key that was never written is found".into()),
                false => Ok(()),
            }
        })
    };
    // A tenth to warm the caches.
    let warming = absent.len() / 10;
    look(0..warming)?;
    let done = look(warming..absent.len())?;
    bench.rate(name, done, "/s");
    Ok(())
}
