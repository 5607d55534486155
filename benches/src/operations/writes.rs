//! Writes, to a memtable that holds some already, and what follows from them: flush and compaction,
//! counted for each entry.
//!
//! So many are written that what the memtable puts off (making arrays of fronts, merging arrays) is in the
//! count. So is what the simulated disk does, which stands in for system calls.

use lsm_db::{Batch, Durability};

use super::{Operation, STORE_LEN, TIMES};
use crate::BenchResult;
use crate::data::{KEY_BYTES, Pair, pairs};
use crate::meter::Meter;
use crate::stores::{Bench, batch, config};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "put",
        what: "put, buffered, into a memtable of 20,000",
        run: put,
    },
    Operation {
        name: "put-durable",
        what: "put, synced, into a memtable of 20,000",
        run: put_durable,
    },
    Operation {
        name: "put-beside-gap",
        what: "put, buffered, while a deleted range elsewhere is known",
        run: put_beside_gap,
    },
    Operation {
        name: "take-first",
        what: "first entry read and deleted, behind those taken before",
        run: take_first,
    },
    Operation {
        name: "batch-100",
        what: "entry of a batch of 100, buffered",
        run: batch_100,
    },
    Operation {
        name: "batch-1000",
        what: "entry of a batch of 1,000, buffered",
        run: batch_1000,
    },
    Operation {
        name: "batch-sorted",
        what: "entry of a batch of 1,000 ascending keys, behind all others, buffered",
        run: batch_sorted,
    },
    Operation {
        name: "flush",
        what: "entry of a flush, filter included",
        run: flush,
    },
    Operation {
        name: "compact",
        what: "entry of a merge of four runs into one, filter included",
        run: compact,
    },
];

/// The runs of a counted merge.
const RUNS: usize = 4;
/// Entries written, in batches of whatever size.
const WRITTEN: usize = 40_000;

fn put(meter: &mut Meter) -> BenchResult {
    count_puts(meter, Durability::Buffered)
}

fn put_durable(meter: &mut Meter) -> BenchResult {
    count_puts(meter, Durability::Sync)
}

fn count_puts(meter: &mut Meter, durability: Durability) -> BenchResult {
    let bench = Bench::open(config().durability(durability))?;
    bench.fill(&pairs(1, STORE_LEN))?;
    count_new_puts(meter, &bench)
}

fn put_beside_gap(meter: &mut Meter) -> BenchResult {
    let bench = Bench::in_memory(&pairs(1, STORE_LEN))?;
    // Behind all others, and longer than theirs.
    let gone = (0..=u8::MAX).map(|at| [[u8::MAX; KEY_BYTES].as_slice(), &[at]].concat());
    let mut batch = Batch::new();
    gone.for_each(|key| batch.delete(key));
    bench.store.write(batch)?;
    bench.store.last()?;
    count_new_puts(meter, &bench)?;
    match bench.store.stats().gaps_known {
        1 => Ok(()),
        known => Err(format!("{known} gaps are known").into()),
    }
}

fn take_first(meter: &mut Meter) -> BenchResult {
    let bench = Bench::in_memory(&pairs(1, STORE_LEN))?;
    meter.count(TIMES, |_| match bench.store.first()? {
        Some((key, _)) => Ok(bench.store.delete(key).map(|()| true)?),
        None => Ok(false),
    })
}

fn count_new_puts(meter: &mut Meter, bench: &Bench) -> BenchResult {
    let new = pairs(2, WRITTEN);
    let mut new = new.iter();
    meter.count(WRITTEN as u64, |_| match new.next() {
        Some((key, value)) => Ok(bench.store.put(key, value).map(|()| true)?),
        None => Ok(false),
    })
}

fn batch_100(meter: &mut Meter) -> BenchResult {
    count_batches(meter, 100, &pairs(2, WRITTEN))
}

fn batch_1000(meter: &mut Meter) -> BenchResult {
    count_batches(meter, 1_000, &pairs(2, WRITTEN))
}

fn batch_sorted(meter: &mut Meter) -> BenchResult {
    let mut new = pairs(2, WRITTEN);
    new.sort();
    // Behind the keys that are there.
    new.iter_mut().for_each(|(key, _)| key.insert(0, u8::MAX));
    count_batches(meter, 1_000, &new)
}

/// Making the batch is part of it.
fn count_batches(meter: &mut Meter, len: usize, new: &[Pair]) -> BenchResult {
    let bench = Bench::in_memory(&pairs(1, STORE_LEN))?;
    meter.count_as(new.len() as u64, || {
        for chunk in new.chunks(len) {
            bench.store.write(batch(chunk))?;
        }
        Ok(true)
    })
}

fn flush(meter: &mut Meter) -> BenchResult {
    let bench = Bench::in_memory(&pairs(1, STORE_LEN))?;
    meter.count_as(STORE_LEN as u64, || {
        bench.store.flush()?;
        Ok(!bench.store.stats().levels.is_empty())
    })
}

fn compact(meter: &mut Meter) -> BenchResult {
    let bench = Bench::open(config().compaction_trigger(usize::MAX))?;
    let all: Vec<Pair> = pairs(1, STORE_LEN);
    for part in all.chunks(STORE_LEN / RUNS) {
        bench.fill(part)?;
        bench.store.flush()?;
        bench.settle();
    }
    meter.count_as(STORE_LEN as u64, || {
        bench.store.compact_range::<&[u8], _>(..)?;
        Ok(true)
    })
}
