//! The suite `1x`: the workload of the documents of `lsm-db` 1.x. Ten thousand keys of 8 bytes, values
//! of some 40 bytes; everybody without a log, as 1.1.0 is here.

use crate::Result;
use crate::bench::{BUDGET, Bench, get_all, puts};
use crate::data::{Consumed, Data};
use crate::engine::{Engine, From, Reader};
use crate::measure::{self, Clock};

const ENTRIES: usize = 10_000;
const KEY_BYTES: usize = 8;
const VALUE_BYTES: usize = 40;
/// Each row goes over the keys so often that it takes more than a moment.
const PASSES: usize = 50;

/// Equal features and an equal promise.
pub fn small<E: Engine>(bench: &mut Bench) -> Result<()> {
    bench.options.no_log = true;
    small_rows::<E>(bench, "")
}

/// Everyone's defaults: ours syncs each put, the others do not.
pub fn small_defaults<E: Engine>(bench: &mut Bench) -> Result<()> {
    bench.options.defaults = true;
    small_rows::<E>(bench, "defaults: ")
}

fn small_rows<E: Engine>(bench: &mut Bench, label: &str) -> Result<()> {
    let data = Data::random(bench.count(ENTRIES), KEY_BYTES, VALUE_BYTES, bench.seed);
    let absent = Data::random(data.len(), KEY_BYTES, 0, bench.seed + 1);
    let passes = bench.count(PASSES).min(PASSES);
    // Durable only where that is a default: of ours.
    let is_durable = bench.options.defaults && bench.engine == "ours";
    let engine = bench.open::<E>(is_durable)?;
    let done = measure::paced(data.len() * passes, BUDGET, |index| {
        let index = index % data.len();
        engine.put(data.key(index), data.value(index))
    })?;
    bench.rate(format!("{label}put"), done, "/s");
    for (state, is_settled) in [("in the memtable", false), ("flushed", true)] {
        if is_settled {
            engine.settle()?;
        }
        let mut reader = engine.reader()?;
        let order = data.shuffled(bench.seed + 2);
        let picks: Vec<u32> = (0..passes).flat_map(|_| order.iter().copied()).collect();
        let (done, consumed) = get_all(&mut reader, &data, &picks, BUDGET)?;
        bench.rate(format!("{label}get, hit, {state}"), done, "/s");
        bench.consumed(consumed);
        let done = measure::paced(absent.len() * passes, BUDGET, |index| {
            reader.get(absent.key(index % absent.len()), |_| {})?;
            Ok(())
        })?;
        bench.rate(format!("{label}get, miss, {state}"), done, "/s");
        let mut consumed = Consumed::default();
        let clock = Clock::start();
        let mut operations = 0;
        for _ in 0..passes {
            operations += reader.scan(From::First, usize::MAX, |key, value| {
                consumed.entry(key, value);
            })?;
        }
        let done = clock.done(operations);
        bench.rate(format!("{label}full scan, {state}"), done, "entries/s");
        bench.consumed(consumed);
    }
    Ok(())
}

const RUNS: usize = 16;

/// Gets of absent keys over sixteen runs that all overlap.
pub fn sixteen_runs<E: Engine>(bench: &mut Bench) -> Result<()> {
    bench.options.no_log = true;
    bench.options.hold_compaction = true;
    let data = Data::random(bench.count(ENTRIES), KEY_BYTES, VALUE_BYTES, bench.seed);
    let absent = Data::random(data.len(), KEY_BYTES, 0, bench.seed + 1);
    let engine = bench.open::<E>(false)?;
    for run in 0..RUNS {
        for index in (run..data.len()).step_by(RUNS) {
            engine.put(data.key(index), data.value(index))?;
        }
        engine.settle()?;
    }
    let mut reader = engine.reader()?;
    let picks = data.shuffled(bench.seed + 2);
    let (done, consumed) = get_all(&mut reader, &data, &picks, BUDGET)?;
    bench.rate("get, hit, sixteen runs", done, "/s");
    bench.consumed(consumed);
    let passes = bench.count(PASSES).min(PASSES);
    let done = measure::paced(absent.len() * passes, BUDGET, |index| {
        reader.get(absent.key(index % absent.len()), |_| {})?;
        Ok(())
    })?;
    bench.rate("get, miss, sixteen runs", done, "/s");
    Ok(())
}

/// A million keys of the suite `core`, where 1.1.0 reads the whole range for each seek.
pub fn million<E: Engine>(bench: &mut Bench) -> Result<()> {
    bench.options.no_log = true;
    let data = Data::random(bench.count(1_000_000), 24, 150, bench.seed);
    let engine = bench.open::<E>(false)?;
    let clock = Clock::start();
    let done = measure::paced(data.len(), BUDGET * 2, |index| {
        engine.put(data.key(index), data.value(index))
    })?;
    engine.wait_idle()?;
    let done = clock.done(done.operations);
    bench.rate("a million puts, until idle", done, "/s");
    // Who was not through gets the rest unmeasured, so that all are asked the same.
    for batch in puts(&data)[done.operations..].chunks(1_000) {
        engine.write(batch)?;
    }
    engine.settle()?;
    let mut reader = engine.reader()?;
    let picks = data.picks(bench.count(200_000), bench.seed + 2);
    let (gets, consumed) = get_all(&mut reader, &data, &picks, BUDGET)?;
    bench.rate("get, a million keys", gets, "/s");
    bench.consumed(consumed);
    let mut consumed = Consumed::default();
    let seeks = measure::paced(picks.len(), BUDGET, |index| {
        let from = From::Key(data.key(picks[index] as usize));
        reader.scan(from, 10, |key, value| consumed.entry(key, value))?;
        Ok(())
    })?;
    bench.rate("seek + 10, a million keys", seeks, "/s");
    bench.consumed(consumed);
    Ok(())
}
