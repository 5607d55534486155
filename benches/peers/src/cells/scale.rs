//! The suite `scale`: the same at 1, 4 and 16 million keys, with a cache of 4 GiB: how everything grows.

use std::time::Duration;

use crate::Result;
use crate::bench::{BUDGET, Bench, Cost, KEY_BYTES, VALUE_BYTES, get_all, mebibytes, puts};
use crate::data::{Consumed, Data};
use crate::engine::{Engine, From, Reader};
use crate::measure::{self, Clock};
use crate::results::Better;

pub fn one_million<E: Engine>(bench: &mut Bench) -> Result<()> {
    grown::<E>(bench, 1)
}

pub fn four_millions<E: Engine>(bench: &mut Bench) -> Result<()> {
    grown::<E>(bench, 4)
}

pub fn sixteen_millions<E: Engine>(bench: &mut Bench) -> Result<()> {
    grown::<E>(bench, 16)
}

fn grown<E: Engine>(bench: &mut Bench, millions: usize) -> Result<()> {
    let count = bench.count(millions * 1_000_000);
    let name = |what: &str| format!("{millions}M keys: {what}");
    let data = Data::random(count, KEY_BYTES, VALUE_BYTES, bench.seed);
    let cost = Cost::start()?;
    let engine = bench.open::<E>(false)?;
    let clock = Clock::start();
    let operations = puts(&data);
    for batch in operations.chunks(1_000) {
        engine.write(batch)?;
    }
    engine.sync()?;
    engine.wait_idle()?;
    let done = clock.done(count);
    drop(operations);
    bench.rate(name("load, until idle"), done, "keys/s");
    engine.settle()?;
    let amplification = cost.write_amplification(data.bytes())?;
    bench.value(
        name("bytes written"),
        amplification,
        "× the user's",
        Better::Less,
    );
    bench.value(
        name("peak memory of the load"),
        cost.peak_mebibytes()?,
        "MiB",
        Better::Less,
    );

    let mut reader = engine.reader()?;
    let warming = data.picks(data.len() / 4, bench.seed + 2);
    get_all(&mut reader, &data, &warming, BUDGET * 2)?;
    let gets = data.picks(bench.count(500_000), bench.seed + 3);
    let (done, consumed) = get_all(&mut reader, &data, &gets, BUDGET)?;
    bench.rate(name("random gets"), done, "/s");
    bench.consumed(consumed);
    let seeks = data.picks(bench.count(200_000), bench.seed + 4);
    let mut consumed = Consumed::default();
    let done = measure::paced(seeks.len(), BUDGET, |index| {
        let from = From::Key(data.key(seeks[index] as usize));
        reader.scan(from, 10, |key, value| consumed.entry(key, value))?;
        Ok(())
    })?;
    bench.rate(name("seek + 10"), done, "/s");
    bench.consumed(consumed);
    drop(reader);
    let resident = cost.mebibytes_now()?;
    bench.value(
        name("memory after the reads"),
        resident,
        "MiB",
        Better::Less,
    );
    if let Some(bytes) = engine.memory_told() {
        let told = mebibytes(bytes);
        bench.value(name("memory that it tells of"), told, "MiB", Better::Less);
    }

    let overwrites = data.picks(bench.count(200_000), bench.seed + 5);
    let done = measure::paced(overwrites.len(), BUDGET, |index| {
        let key = overwrites[index] as usize;
        engine.put(data.key(key), data.value(key + 1))
    })?;
    bench.rate(name("overwrites"), done, "/s");
    engine.settle()?;
    engine.close()?;

    let clock = Clock::start();
    let engine = bench.open::<E>(false)?;
    get_all(&mut engine.reader()?, &data, &[0], Duration::MAX)?;
    let millis = clock.elapsed().as_secs_f64() * 1_000.0;
    bench.value(name("reopen and one get"), millis, "ms", Better::Less);
    engine.close()
}
