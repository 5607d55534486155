//! The suite `ycsb`: the core workloads A to F of the Yahoo Cloud Serving Benchmark on two threads.
//! Keys of 24 bytes, values of 1,000; zipfian with 0.99, scattered.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Result;
use crate::bench::{BUDGET, Bench, KEY_BYTES, on_threads, puts};
use crate::data::{Consumed, Data, Random, Zipfian};
use crate::engine::{Engine, From, Reader};
use crate::measure;

const RECORDS: usize = 200_000;
const OPERATIONS: usize = 400_000;
const VALUE_BYTES: usize = 1_000;
const THREADS: usize = 2;
/// A scan is as long as a number drawn evenly up to this.
const SCAN_MAX: usize = 100;

/// What an operation may be, out of a hundred; the rest are reads.
#[derive(Clone, Copy, Default)]
struct Mix {
    updates: usize,
    inserts: usize,
    scans: usize,
    read_modify_writes: usize,
    /// Reads ask for what was inserted last.
    reads_latest: bool,
}

pub fn a<E: Engine>(bench: &mut Bench) -> Result<()> {
    let mix = Mix {
        updates: 50,
        ..Mix::default()
    };
    workload::<E>(bench, "A: half reads, half updates", mix)
}

pub fn b<E: Engine>(bench: &mut Bench) -> Result<()> {
    let mix = Mix {
        updates: 5,
        ..Mix::default()
    };
    workload::<E>(bench, "B: 95 % reads, 5 % updates", mix)
}

pub fn c<E: Engine>(bench: &mut Bench) -> Result<()> {
    workload::<E>(bench, "C: reads", Mix::default())
}

pub fn d<E: Engine>(bench: &mut Bench) -> Result<()> {
    let mix = Mix {
        inserts: 5,
        reads_latest: true,
        ..Mix::default()
    };
    workload::<E>(bench, "D: 95 % reads of the latest, 5 % inserts", mix)
}

pub fn e<E: Engine>(bench: &mut Bench) -> Result<()> {
    let mix = Mix {
        inserts: 5,
        scans: 95,
        ..Mix::default()
    };
    workload::<E>(bench, "E: 95 % scans of up to 100, 5 % inserts", mix)
}

pub fn f<E: Engine>(bench: &mut Bench) -> Result<()> {
    let mix = Mix {
        read_modify_writes: 50,
        ..Mix::default()
    };
    workload::<E>(bench, "F: half reads, half read-modify-writes", mix)
}

fn workload<E: Engine>(bench: &mut Bench, name: &str, mix: Mix) -> Result<()> {
    let records = bench.count(RECORDS);
    let operations = bench.count(OPERATIONS) / THREADS;
    // One piece for what is loaded and what is inserted, so that both are drawn before the clock.
    let room = operations * THREADS * mix.inserts / 100 * 2 + THREADS;
    let data = Data::random(records + room, KEY_BYTES, VALUE_BYTES, bench.seed);
    let zipfian = Zipfian::new(records);
    let engine = bench.open::<E>(false)?;
    let loaded = puts(&data);
    for batch in loaded[..records].chunks(1_000) {
        engine.write(batch)?;
    }
    engine.settle()?;

    let inserted = AtomicUsize::new(records);
    let visible = AtomicUsize::new(records);
    let (done, consumed) = on_threads(THREADS, |thread, start_line| {
        let mut random = Random::new(bench.seed + 100 + thread as u64);
        let mut consumed = Consumed::default();
        start_line.wait();
        let done = measure::paced(operations, BUDGET, |_| {
            let kind = random.below(100);
            let updates = mix.updates;
            let inserts = updates + mix.inserts;
            let scans = inserts + mix.scans;
            let read_modify_writes = scans + mix.read_modify_writes;
            if kind < updates {
                let index = zipfian.pick(&mut random);
                return engine.put(data.key(index), data.value(index + 1));
            }
            if kind < inserts {
                let index = inserted.fetch_add(1, Ordering::Relaxed);
                if index < data.len() {
                    engine.put(data.key(index), data.value(index))?;
                    visible.fetch_max(index.saturating_sub(THREADS), Ordering::Relaxed);
                }
                return Ok(());
            }
            // A new reader each time, so that each operation sees those before it.
            let mut reader = engine.reader()?;
            if kind < scans {
                let from = data.key(zipfian.pick(&mut random));
                let limit = 1 + random.below(SCAN_MAX);
                reader.scan(From::Key(from), limit, |key, value| {
                    consumed.entry(key, value)
                })?;
                return Ok(());
            }
            let index = if mix.reads_latest {
                let newest = visible.load(Ordering::Relaxed) - 1;
                newest - zipfian.rank(&mut random).min(newest)
            } else {
                zipfian.pick(&mut random)
            };
            let found = reader.get(data.key(index), |value| consumed.value(value))?;
            // The latest may still be on its way, on the other thread.
            if !found && !mix.reads_latest {
                return Err("a key that was written is not found".into());
            }
            drop(reader);
            if kind < read_modify_writes {
                engine.put(data.key(index), data.value(index + 1))?;
            }
            Ok(())
        })?;
        Ok((done.operations, consumed))
    })?;
    std::hint::black_box(consumed.len());
    bench.rate(name, done, "/s");
    engine.close()
}
