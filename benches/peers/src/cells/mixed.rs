//! The suite `mixed`: reads beside background work, beside a long snapshot, and from the disk.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::bench::{BUDGET, Bench, KEY_BYTES, VALUE_BYTES, get_all, mebibytes};
use crate::data::{Consumed, Data};
use crate::engine::{Engine, From, Reader};
use crate::measure::{self, Clock, Done, Latencies};
use crate::results::Better;
use crate::usage;

const ENTRIES: usize = 1_000_000;

fn random(bench: &Bench) -> Data {
    Data::random(bench.count(ENTRIES), KEY_BYTES, VALUE_BYTES, bench.seed)
}

/// Latencies of gets, each of a new reader: it is to see what was just written.
fn fresh_gets<E: Engine>(
    engine: &E,
    data: &Data,
    picks: &[u32],
    time: Duration,
) -> Result<(Done, Latencies)> {
    measure::timed(usize::MAX, time, |index| {
        let key = data.key(picks[index % picks.len()] as usize);
        match engine.reader()?.get(key, |_| {})? {
            true => Ok(()),
            false => Err("a key that was written is not found".into()),
        }
    })
}

/// Overwrites a second beside the gets: enough that flushes and compactions never rest, and less than
/// any of the engines can take.
const OVERWRITES_PER_SECOND: usize = 10_000;
const TIME: Duration = Duration::from_secs(10);

/// Gets alone, and beside overwrites at a steady rate and the compactions that they cause.
pub fn compaction<E: Engine>(bench: &mut Bench) -> Result<()> {
    // Small, so that a compaction runs most of the time.
    bench.options.memtable_bytes = 8 << 20;
    let data = random(bench);
    let engine = bench.loaded::<E>(&data)?;
    let picks = data.picks(bench.count(1_000_000), bench.seed + 1);
    get_all(
        &mut engine.reader()?,
        &data,
        &picks[..data.len() / 4],
        BUDGET,
    )?;

    let (alone, alone_latencies) = fresh_gets(&engine, &data, &picks, TIME / 2)?;
    let is_over = AtomicBool::new(false);
    let overwritten = AtomicUsize::new(0);
    let (beside, latencies) = thread::scope(|scope| -> Result<_> {
        let writer = scope.spawn(|| -> Result<()> {
            let clock = Clock::start();
            while !is_over.load(Ordering::Relaxed) {
                let due = clock.elapsed().as_secs_f64() * OVERWRITES_PER_SECOND as f64;
                let mut written = overwritten.load(Ordering::Relaxed);
                while written < due as usize && !is_over.load(Ordering::Relaxed) {
                    let key = picks[picks.len() - 1 - written % picks.len()] as usize;
                    engine.put(data.key(key), data.value(key))?;
                    written += 1;
                    overwritten.store(written, Ordering::Relaxed);
                }
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        });
        let read = fresh_gets(&engine, &data, &picks, TIME);
        is_over.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| "the writer panicked")??;
        read
    })?;
    bench.rate("gets alone", alone, "/s");
    bench.latency_rows("gets alone", &alone_latencies);
    bench.rate("gets beside compaction", beside, "/s");
    bench.latency_rows("gets beside compaction", &latencies);
    let ratio = latencies.percentiles().p99 / alone_latencies.percentiles().p99;
    bench.value(
        "gets beside compaction, p99 ÷ alone",
        ratio,
        "×",
        Better::Less,
    );
    let kept = overwritten.into_inner() as f64 / TIME.as_secs_f64();
    bench.value("overwrites that were kept up", kept, "/s", Better::More);
    engine.close()
}

const SNAPSHOT_TIME: Duration = Duration::from_secs(30);

/// Overwrites while a reader is held: how fast, and what it costs in room and memory.
pub fn snapshot<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = Data::random(bench.count(200_000), KEY_BYTES, VALUE_BYTES, bench.seed);
    let engine = bench.loaded::<E>(&data)?;
    let picks = data.picks(bench.count(1_000_000), bench.seed + 1);
    usage::restart_peak()?;
    let resident = usage::resident_bytes()?;
    let mut held = engine.reader()?;
    // A first look, so that readers that are lazy hold something too.
    held.scan(From::First, 1, |_, _| {})?;
    let overwrites = measure::paced(bench.count(1_000_000), SNAPSHOT_TIME, |index| {
        let key = picks[index % picks.len()] as usize;
        engine.put(data.key(key), data.value(key + 1))
    })?;
    bench.rate("overwrites beside a held snapshot", overwrites, "/s");
    let peak = usage::peak_resident_bytes()?.saturating_sub(resident);
    bench.value(
        "memory that they took",
        mebibytes(peak),
        "MiB",
        Better::Less,
    );
    drop(held);
    engine.close()
}

/// Gets with nothing in any cache: what the disk has to be asked for each.
pub fn cold<E: Engine>(bench: &mut Bench) -> Result<()> {
    const GETS: usize = 5_000;
    let data = random(bench);
    bench.loaded::<E>(&data)?.close()?;
    usage::drop_page_cache(&bench.database())?;
    let engine = bench.open::<E>(false)?;
    let mut reader = engine.reader()?;
    // Some gets first, for what is read once: indexes, filters, the upper pages of a tree.
    let warming = data.picks(bench.count(GETS) / 5, bench.seed + 1);
    get_all(&mut reader, &data, &warming, BUDGET)?;
    let read_before = usage::read_bytes()?;
    let blocks_before = engine.blocks_read();
    let picks = data.picks(bench.count(GETS), bench.seed + 2);
    let mut consumed = Consumed::default();
    let (done, latencies) = measure::timed(picks.len(), BUDGET, |index| {
        let key = data.key(picks[index] as usize);
        reader.get(key, |value| consumed.value(value))?;
        Ok(())
    })?;
    let read = usage::read_bytes()? - read_before;
    bench.rate("cold gets", done, "/s");
    bench.latencies(&latencies);
    bench.consumed(consumed);
    let pages = read as f64 / 4096.0 / done.operations as f64;
    bench.value(
        "cold gets, pages of 4 KiB read for each",
        pages,
        "",
        Better::Less,
    );
    if let (Some(before), Some(after)) = (blocks_before, engine.blocks_read()) {
        let blocks = (after - before) as f64 / done.operations as f64;
        bench.value("cold gets, blocks read for each", blocks, "", Better::Less);
    }
    drop(reader);
    engine.close()
}
