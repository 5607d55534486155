//! Point reads, by where the key is found, or by how many places say that it is not there.

use super::{LAYER_LEN, LAYERS, Operation, STORE_LEN, TIMES};
use crate::BenchResult;
use crate::data::{Pair, VALUE_BYTES, other_keys, pairs};
use crate::meter::Meter;
use crate::stores::{Bench, config};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "get-memtable",
        what: "get of a key in a memtable of 20,000",
        run: get_memtable,
    },
    Operation {
        name: "get-settled",
        what: "get of a key in one run of 20,000, its block cached",
        run: get_settled,
    },
    Operation {
        name: "get-layered",
        what: "get of a key below a memtable and four runs that lack it",
        run: get_layered,
    },
    Operation {
        name: "get-absent",
        what: "get of an absent key, one run",
        run: get_absent,
    },
    Operation {
        name: "get-absent-layered",
        what: "get of an absent key, a memtable and five runs",
        run: get_absent_layered,
    },
    Operation {
        name: "contains-settled",
        what: "contains_key of a key in one run, its block cached",
        run: contains_settled,
    },
];

fn get_memtable(meter: &mut Meter) -> BenchResult {
    let pairs = pairs(1, STORE_LEN);
    count_hits(meter, &Bench::in_memory(&pairs)?, &pairs)
}

fn get_settled(meter: &mut Meter) -> BenchResult {
    let pairs = pairs(1, STORE_LEN);
    count_hits(meter, &settled(&pairs)?, &pairs)
}

fn get_layered(meter: &mut Meter) -> BenchResult {
    let deepest = pairs(1, STORE_LEN);
    count_hits(meter, &layered(&deepest)?, &deepest)
}

fn get_absent(meter: &mut Meter) -> BenchResult {
    count_misses(meter, &settled(&pairs(1, STORE_LEN))?)
}

fn get_absent_layered(meter: &mut Meter) -> BenchResult {
    count_misses(meter, &layered(&pairs(1, STORE_LEN))?)
}

fn contains_settled(meter: &mut Meter) -> BenchResult {
    let pairs = pairs(1, STORE_LEN);
    let bench = settled(&pairs)?;
    let mut keys = pairs.iter().map(|(key, _)| key).cycle();
    meter.count(TIMES, |_| match keys.next() {
        Some(key) => Ok(bench.store.contains_key(key)?),
        None => Ok(false),
    })
}

/// `deepest` below a memtable and runs of level 0 with other keys of the same range, all blocks
/// cached.
pub(super) fn layered(deepest: &[Pair]) -> BenchResult<Bench> {
    let layers: Vec<_> = (0..LAYERS)
        .map(|layer| pairs(10 + layer, LAYER_LEN))
        .collect();
    let bench = Bench::layered(deepest, &layers, &pairs(20, LAYER_LEN))?;
    bench.warm(deepest)?;
    for layer in &layers {
        bench.warm(layer)?;
    }
    Ok(bench)
}

/// `pairs` in one run, all its blocks cached.
pub(super) fn settled(pairs: &[Pair]) -> BenchResult<Bench> {
    let bench = Bench::settled(pairs, config())?;
    bench.warm(pairs)?;
    Ok(bench)
}

/// Keys that are there, in the order in which they were written: a random one.
fn count_hits(meter: &mut Meter, bench: &Bench, pairs: &[Pair]) -> BenchResult {
    let mut keys = pairs.iter().map(|(key, _)| key).cycle();
    meter.count(TIMES, |_| {
        let value = match keys.next() {
            Some(key) => bench.store.get(key)?,
            None => None,
        };
        Ok(value.is_some_and(|value| value.len() == VALUE_BYTES))
    })
}

/// Keys inside the range of those that are there, and absent.
fn count_misses(meter: &mut Meter, bench: &Bench) -> BenchResult {
    let absent = other_keys(2, STORE_LEN);
    let mut keys = absent.iter();
    meter.count(TIMES, |_| match keys.next() {
        Some(key) => Ok(bench.store.get(key)?.is_none()),
        None => Ok(false),
    })
}
