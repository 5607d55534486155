//! The suite `durable`: writes that are on stable storage when they are acknowledged, and what
//! becomes of the log after a kill.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::bench::{Bench, KEY_BYTES, VALUE_BYTES, get_all, on_threads, puts};
use crate::data::Data;
use crate::engine::{Engine, Operation, Reader};
use crate::measure::{self, Clock, Latencies};
use crate::results::Better;

/// How long each row is measured.
const TIME: Duration = Duration::from_secs(3);

/// Puts on 1, 2, 4 and 16 threads, alone and in batches of 100.
pub fn puts_on_threads<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = Data::random(bench.count(1_000_000), KEY_BYTES, VALUE_BYTES, bench.seed);
    let operations = puts(&data);
    let engine = bench.open::<E>(true)?;
    for batch in [1, 100] {
        for threads in [1, 2, 4, 16] {
            let share = operations.len() / threads;
            let syncs = engine.log_syncs();
            let (done, latencies) = on_threads(threads, |thread, start_line| {
                let mut batches = operations[thread * share..][..share].chunks(batch).cycle();
                start_line.wait();
                let (done, latencies) = measure::timed(usize::MAX, TIME, |_| {
                    batches.next().map_or(Ok(()), |batch| engine.write(batch))
                })?;
                Ok((done.operations, latencies))
            })?;
            let name = format!("durable puts, batches of {batch}, {threads} threads");
            let commits = done.operations;
            bench.rate(&name, done.of(commits * batch), "keys/s");
            let mut all = Latencies::new()?;
            latencies
                .iter()
                .try_for_each(|latencies| all.add(latencies))?;
            bench.latencies(&all);
            if let (Some(before), Some(after)) = (syncs, engine.log_syncs()) {
                let per_sync = commits as f64 / (after - before).max(1) as f64;
                bench.value(
                    format!("{name}, commits per sync"),
                    per_sync,
                    "",
                    Better::More,
                );
            }
        }
    }
    engine.close()
}

/// Gets beside four durable writers.
pub fn reader_beside_writers<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = Data::random(bench.count(200_000), KEY_BYTES, VALUE_BYTES, bench.seed);
    let engine = bench.reopened::<E>(&data, true)?;
    let picks = data.picks(1_000_000, bench.seed + 1);
    let is_over = AtomicBool::new(false);
    let (gets, latencies, puts) = thread::scope(|scope| -> Result<_> {
        let clock = Clock::start();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (engine, data, is_over) = (&engine, &data, &is_over);
                scope.spawn(move || -> Result<usize> {
                    let mut written = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let index = (writer + 4 * written) % data.len();
                        engine.put(data.key(index), data.value(index))?;
                        written += 1;
                    }
                    Ok(written)
                })
            })
            .collect();
        let read = measure::timed(picks.len(), TIME, |index| {
            // A new reader each time: it is to see what was just written.
            let found = engine
                .reader()?
                .get(data.key(picks[index] as usize), |_| {})?;
            found
                .then_some(())
                .ok_or_else(|| "a key that was written is not found".into())
        });
        is_over.store(true, Ordering::Relaxed);
        let mut written = 0;
        for writer in writers {
            written += writer.join().map_err(|_| "a writer panicked")??;
        }
        let (gets, latencies) = read?;
        Ok((gets, latencies, clock.done(written)))
    })?;
    bench.rate("gets beside four durable writers", gets, "/s");
    bench.latencies(&latencies);
    bench.rate("durable puts of four writers beside gets", puts, "/s");
    engine.close()
}

/// Values of a mebibyte.
pub fn large_values<E: Engine>(bench: &mut Bench) -> Result<()> {
    const BYTES: usize = 1 << 20;
    let data = Data::random(bench.count(200), KEY_BYTES, BYTES, bench.seed);
    let engine = bench.open::<E>(true)?;
    let clock = Clock::start();
    for operation in puts(&data) {
        engine.write(&[operation])?;
    }
    let megabytes = data.bytes() as f64 / 1e6;
    let rate = megabytes / clock.elapsed().as_secs_f64();
    bench.value("durable puts of a mebibyte", rate, "MB/s", Better::More);
    engine.settle()?;
    let picks = data.shuffled(bench.seed + 1);
    let clock = Clock::start();
    let (_, consumed) = get_all(&mut engine.reader()?, &data, &picks, Duration::MAX)?;
    let rate = megabytes / clock.elapsed().as_secs_f64();
    bench.value("gets of a mebibyte", rate, "MB/s", Better::More);
    bench.consumed(consumed);
    engine.close()
}

/// Entries in the log when the process is killed: more than fit into a default memtable.
const REPLAYED: usize = 600_000;
/// So large that nothing is flushed before the kill.
const REPLAYED_MEMTABLE_BYTES: usize = 512 << 20;
/// Set for the process that fills a log and kills itself.
const FILLING: &str = "LSM_PEERS_FILLING";

/// Opens after a kill: a process of its own writes, hands all to the operating system, and aborts.
pub fn replay<E: Engine>(bench: &mut Bench) -> Result<()> {
    bench.options.memtable_bytes = REPLAYED_MEMTABLE_BYTES;
    let data = Data::random(bench.count(REPLAYED), KEY_BYTES, VALUE_BYTES, bench.seed);
    if std::env::var_os(FILLING).is_some() {
        let engine = bench.open::<E>(false)?;
        for batch in puts(&data).chunks(100) {
            engine.write(batch)?;
        }
        std::process::abort();
    }
    // The same arguments again: the same cell and folder.
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(FILLING, "1")
        .status()?;
    if status.code().is_some() {
        return Err(format!("the process that fills the log was not killed: {status}").into());
    }
    let clock = Clock::start();
    let engine = bench.open::<E>(false)?;
    let found = engine.reader()?.get(data.key(0), |_| {})?;
    let elapsed = clock.elapsed();
    let promise = if found {
        ""
    } else {
        " (and what was written is lost)"
    };
    let name = format!("open after a kill{promise}");
    bench.value(name, elapsed.as_secs_f64() * 1_000.0, "ms", Better::Less);
    if found {
        let rate = data.bytes() as f64 / 1e6 / elapsed.as_secs_f64();
        bench.value("replay of the user's bytes", rate, "MB/s", Better::More);
    }
    // Half of the puts are checked, whatever the engine, so that a replay that loses some is seen.
    if found {
        let picks = data.picks(data.len() / 2, bench.seed + 1);
        get_all(&mut engine.reader()?, &data, &picks, Duration::MAX)?;
    }
    engine.write(&[Operation::Remove(data.key(0))])?;
    engine.close()
}
