//! The suite `core`: the shape of redb's published benchmark. Keys of 24 random bytes, values of 150
//! bytes, all of it within the cache.

use std::thread;
use std::time::Duration;

use crate::Result;
use crate::bench::{BUDGET, Bench, Cost, KEY_BYTES, VALUE_BYTES, get_all, on_threads, puts};
use crate::data::{Consumed, Data};
use crate::engine::{Engine, From, Operation, Reader};
use crate::measure::{self, Clock};
use crate::results::Better;
use crate::usage;

const ENTRIES: usize = 1_000_000;

fn random(bench: &Bench) -> Data {
    Data::random(bench.count(ENTRIES), KEY_BYTES, VALUE_BYTES, bench.seed)
}

/// Random keys in batches of 1,000.
pub fn load<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = random(bench);
    load_in_batches::<E>(bench, "bulk load", &data, 1_000)
}

/// Random keys in as few batches as the engine allows: one.
pub fn load_at_once<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = random(bench);
    load_in_batches::<E>(bench, "bulk load at once", &data, data.len())
}

/// Ascending keys in batches of 1,000.
pub fn sorted<E: Engine>(bench: &mut Bench) -> Result<()> {
    let count = bench.count(ENTRIES / 2);
    let data = Data::ascending(count, KEY_BYTES, VALUE_BYTES, bench.seed);
    load_in_batches::<E>(bench, "sorted inserts", &data, 1_000)
}

/// Relaxed writes of all entries and one sync; then what they cost, and what is left on the disk.
fn load_in_batches<E: Engine>(
    bench: &mut Bench,
    name: &str,
    data: &Data,
    batch: usize,
) -> Result<()> {
    let operations = puts(data);
    let cost = Cost::start()?;
    let mut engine = bench.open::<E>(false)?;
    let clock = Clock::start();
    for batch in operations.chunks(batch) {
        engine.write(batch)?;
    }
    engine.sync()?;
    let durable = clock.done(operations.len());
    engine.wait_idle()?;
    let idle = clock.done(operations.len());

    bench.rate(name, durable, "keys/s");
    bench.rate(format!("{name}, until idle"), idle, "keys/s");
    engine.settle()?;
    let amplification = cost.write_amplification(data.bytes())?;
    bench.value(
        format!("{name}, bytes written"),
        amplification,
        "× the user's",
        Better::Less,
    );
    let peak = cost.peak_mebibytes()?;
    bench.value(format!("{name}, peak memory"), peak, "MiB", Better::Less);
    space::<E>(bench, &format!("{name}, space"), data.bytes())?;
    if engine.compact()? {
        let name = format!("{name}, space after compaction");
        return space_when_closed(bench, engine, &name, data.bytes());
    }
    engine.close()
}

/// Bytes on disk when the database is closed and was opened and closed once more: some take files that
/// were replaced away only then.
fn space_when_closed<E: Engine>(
    bench: &mut Bench,
    engine: E,
    name: &str,
    user_bytes: u64,
) -> Result<()> {
    engine.close()?;
    bench.open::<E>(false)?.close()?;
    space::<E>(bench, name, user_bytes)
}

/// Bytes on disk without the log, divided by the user's, when they have stopped shrinking: files that
/// were replaced are taken away in the background.
fn space<E: Engine>(bench: &mut Bench, name: &str, user_bytes: u64) -> Result<()> {
    const QUIET: Duration = Duration::from_millis(500);
    let now = || usage::disk_bytes(&bench.database(), &|name| !E::is_log(name));
    let mut bytes = now()?;
    loop {
        thread::sleep(QUIET);
        let before = std::mem::replace(&mut bytes, now()?);
        if bytes >= before {
            break;
        }
    }
    let factor = bytes as f64 / user_bytes as f64;
    bench.value(name, factor, "× the user's", Better::Less);
    Ok(())
}

/// Writes into a database that holds all entries already: durable ones and relaxed ones.
pub fn writes<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = random(bench);
    let extra = Data::random(bench.count(150_000), KEY_BYTES, VALUE_BYTES, bench.seed + 1);
    let mut next = 0..extra.len();
    let mut take = |count: usize| next.by_ref().take(count).collect::<Vec<_>>();

    let engine = bench.reopened::<E>(&data, true)?;
    let singles = take(bench.count(1_000));
    let (done, latencies) = measure::timed(singles.len(), BUDGET, |index| {
        engine.put(extra.key(singles[index]), extra.value(singles[index]))
    })?;
    bench.rate("durable single writes", done, "/s");
    bench.latencies(&latencies);

    let batched = take(bench.count(100_000));
    let operations: Vec<_> = batched
        .iter()
        .map(|index| Operation::Put(extra.key(*index), extra.value(*index)))
        .collect();
    let batches: Vec<_> = operations.chunks(1_000).collect();
    let (done, latencies) =
        measure::timed(batches.len(), BUDGET, |index| engine.write(batches[index]))?;
    let written = batches[..done.operations].iter();
    let keys = done.of(written.map(|batch| batch.len()).sum());
    bench.rate("durable batches of 1,000", keys, "keys/s");
    bench.latencies(&latencies);
    engine.close()?;

    let engine = bench.open::<E>(false)?;
    let singles = take(bench.count(49_000));
    let (done, latencies) = measure::timed(singles.len(), BUDGET, |index| {
        engine.put(extra.key(singles[index]), extra.value(singles[index]))
    })?;
    bench.rate("relaxed single writes", done, "/s");
    bench.latencies(&latencies);
    engine.close()
}

/// Reads of a settled database, all of it in the cache.
pub fn reads<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = random(bench);
    let cost = Cost::start()?;
    let engine = bench.loaded::<E>(&data)?;
    read_rows(bench, &engine, &data)?;

    let gets = data.picks(bench.count(500_000), bench.seed + 3);
    for threads in [2, 4, 8] {
        let share = gets.len() / threads;
        let (done, consumed) = on_threads(threads, |thread, start_line| {
            let mut reader = engine.reader()?;
            let picks = &gets[thread * share..][..share];
            start_line.wait();
            let (done, consumed) = get_all(&mut reader, &data, picks, BUDGET)?;
            Ok((done.operations, consumed))
        })?;
        bench.rate(format!("random gets, {threads} threads"), done, "/s");
        let mut all = Consumed::default();
        consumed.into_iter().for_each(|consumed| all.add(consumed));
        bench.consumed(all);
    }
    let peak = cost.peak_mebibytes()?;
    bench.value("load and reads, peak memory", peak, "MiB", Better::Less);
    reopen(bench, engine, &data)
}

/// Every engine as it comes, compression included: the load and the reads once more.
pub fn defaults<E: Engine>(bench: &mut Bench) -> Result<()> {
    bench.options.defaults = true;
    let data = random(bench);
    let operations = puts(&data);
    let engine = bench.open::<E>(false)?;
    let clock = Clock::start();
    for batch in operations.chunks(1_000) {
        engine.write(batch)?;
    }
    engine.sync()?;
    engine.wait_idle()?;
    let done = clock.done(operations.len());
    bench.rate("bulk load, until idle", done, "keys/s");
    engine.settle()?;
    space::<E>(bench, "space", data.bytes())?;
    read_rows(bench, &engine, &data)?;
    let defaults = std::mem::take(&mut bench.rows);
    bench.rows = defaults
        .into_iter()
        .map(|mut row| {
            row.name = format!("defaults: {}", row.name);
            row
        })
        .collect();
    engine.close()
}

/// Scans, gets and seeks on one thread, after as many gets as it takes to have all in the cache.
fn read_rows<E: Engine>(bench: &mut Bench, engine: &E, data: &Data) -> Result<()> {
    let mut reader = engine.reader()?;
    // A block holds some twenty entries: this leaves about one in a hundred of them cold.
    let warming = data.picks(data.len() / 4, bench.seed + 2);
    get_all(&mut reader, data, &warming, BUDGET)?;

    for (name, is_owned) in [("full scan", false), ("full scan, owned entries", true)] {
        let mut consumed = Consumed::default();
        let clock = Clock::start();
        let see = |key: &[u8], value: &[u8]| consumed.entry(key, value);
        let operations = if is_owned {
            reader.scan_owned(From::First, usize::MAX, see)?
        } else {
            reader.scan(From::First, usize::MAX, see)?
        };
        let done = clock.done(operations);
        if operations != data.len() {
            return Err(format!("a full scan found {operations} of {}", data.len()).into());
        }
        bench.rate(name, done, "entries/s");
        bench.consumed(consumed);
    }

    let gets = data.picks(bench.count(500_000), bench.seed + 3);
    let (done, consumed) = get_all(&mut reader, data, &gets, BUDGET)?;
    bench.rate("random gets", done, "/s");
    bench.consumed(consumed);

    let seeks = data.picks(bench.count(200_000), bench.seed + 4);
    let mut consumed = Consumed::default();
    let done = measure::paced(seeks.len(), BUDGET, |index| {
        let from = From::Key(data.key(seeks[index] as usize));
        reader.scan(from, 10, |key, value| consumed.entry(key, value))?;
        Ok(())
    })?;
    bench.rate("seek + 10", done, "/s");
    bench.consumed(consumed);
    Ok(())
}

/// Half of the keys removed, then reads over what is left, and the room that it takes.
pub fn removals<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = random(bench);
    let mut engine = bench.loaded::<E>(&data)?;
    let order = data.shuffled(bench.seed + 5);
    let (gone, left) = order.split_at(order.len() / 2);
    let operations: Vec<_> = gone
        .iter()
        .map(|index| Operation::Remove(data.key(*index as usize)))
        .collect();

    let clock = Clock::start();
    for batch in operations.chunks(1_000) {
        engine.write(batch)?;
    }
    engine.sync()?;
    let durable = clock.done(operations.len());
    engine.wait_idle()?;
    let idle = clock.done(operations.len());
    bench.rate("removals", durable, "keys/s");
    bench.rate("removals, until idle", idle, "keys/s");

    let mut reader = engine.reader()?;
    let mut consumed = Consumed::default();
    let clock = Clock::start();
    let operations = reader.scan(From::First, usize::MAX, |key, value| {
        consumed.entry(key, value)
    })?;
    let done = clock.done(operations);
    if operations != left.len() {
        return Err(format!("a full scan found {operations} of {}", left.len()).into());
    }
    bench.rate("full scan over tombstones", done, "entries/s");
    bench.consumed(consumed);

    let picked = |count: usize, of: &[u32]| of.iter().copied().take(count).collect::<Vec<_>>();
    let gets = picked(bench.count(200_000), left);
    let (done, consumed) = get_all(&mut reader, &data, &gets, BUDGET)?;
    bench.rate("gets beside tombstones", done, "/s");
    bench.consumed(consumed);

    let absent = picked(bench.count(200_000), gone);
    let done = measure::paced(absent.len(), BUDGET, |index| {
        match reader.get(data.key(absent[index] as usize), |_| {})? {
            true => Err("a key that was removed is found".into()),
            false => Ok(()),
        }
    })?;
    bench.rate("gets of removed keys", done, "/s");

    let seeks = picked(bench.count(100_000), gone);
    let mut consumed = Consumed::default();
    let done = measure::paced(seeks.len(), BUDGET, |index| {
        let from = From::Key(data.key(seeks[index] as usize));
        reader.scan(from, 10, |key, value| consumed.entry(key, value))?;
        Ok(())
    })?;
    bench.rate("seek + 10 over tombstones", done, "/s");
    bench.consumed(consumed);
    drop(reader);

    engine.settle()?;
    let live = (left.len() * data.entry_bytes()) as u64;
    space::<E>(bench, "space, half removed", live)?;
    let clock = Clock::start();
    if engine.compact()? {
        engine.settle()?;
        let elapsed = clock.elapsed();
        bench.value(
            "compaction on demand",
            elapsed.as_secs_f64(),
            "s",
            Better::Less,
        );
        return space_when_closed(bench, engine, "space, half removed and compacted", live);
    }
    engine.close()
}

/// Closes, opens, and finds one key: the median of five.
fn reopen<E: Engine>(bench: &mut Bench, engine: E, data: &Data) -> Result<()> {
    engine.close()?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let clock = Clock::start();
        let engine = bench.open::<E>(false)?;
        get_all(&mut engine.reader()?, data, &[0], Duration::MAX)?;
        times.push(clock.elapsed());
        engine.close()?;
    }
    times.sort_unstable();
    let millis = times[times.len() / 2].as_secs_f64() * 1_000.0;
    bench.value("reopen and one get", millis, "ms", Better::Less);
    Ok(())
}
