//! The suite `queue`: a store used as a queue, which an LSM tree pays for with tombstones.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::Result;
use crate::bench::{BUDGET, Bench, KEY_BYTES, VALUE_BYTES};
use crate::data::{Consumed, Data};
use crate::engine::{Engine, Operation, Reader};
use crate::measure::{self, Clock};

/// Waiting in the queue from the start.
const WAITING: usize = 100_000;
const TAKEN: usize = 100_000;
/// Whoever takes fewer a second than this is measured over as many only.
const SLOW: usize = 5_000;

/// Takes the first key and deletes it, one after another, while a writer appends one at the end for
/// each that was taken.
pub fn take<E: Engine>(bench: &mut Bench) -> Result<()> {
    let waiting = bench.count(WAITING);
    let taken = bench.count(TAKEN);
    let data = Data::ascending(waiting + taken, KEY_BYTES, VALUE_BYTES, bench.seed);
    let engine = bench.open::<E>(false)?;
    let put = |index: usize| engine.put(data.key(index), data.value(index));
    for index in 0..waiting {
        put(index)?;
    }
    engine.settle()?;

    let takes = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let (done, latencies) = thread::scope(|scope| {
        let appender = scope.spawn(|| -> Result<()> {
            let mut appended = 0;
            while !is_over.load(Ordering::Relaxed) {
                let wanted = takes.load(Ordering::Relaxed).min(taken);
                if appended == wanted {
                    thread::yield_now();
                }
                while appended < wanted {
                    put(waiting + appended)?;
                    appended += 1;
                }
            }
            Ok(())
        });
        let take = |_| {
            if !engine.pop_first()? {
                return Err("the queue is empty".into());
            }
            takes.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let first = measure::timed(SLOW.min(taken), BUDGET, take);
        let all = match first {
            Ok((done, _)) if taken > SLOW && done.per_second() > SLOW as f64 => {
                measure::timed(taken - done.operations, BUDGET, take)
            }
            first => first,
        };
        is_over.store(true, Ordering::Relaxed);
        appender.join().map_err(|_| "the appender panicked")??;
        all
    })?;
    bench.rate("take the first and delete it", done, "/s");
    bench.latencies(&latencies);
    Ok(())
}

/// Windows of a thousand keys each.
const WINDOW: usize = 1_000;
const ENTRIES: usize = 500_000;

/// Scans windows of a region of which every other key was deleted, and of one of which all were.
pub fn ranges<E: Engine>(bench: &mut Bench) -> Result<()> {
    let count = bench.count(ENTRIES).max(4 * WINDOW);
    let data = Data::ascending(count, KEY_BYTES, VALUE_BYTES, bench.seed);
    let engine = bench.loaded::<E>(&data)?;
    let quarter = count / 4;
    let (half, whole) = (quarter..2 * quarter, 2 * quarter..3 * quarter);
    let gone = half.clone().step_by(2).chain(whole.clone());
    let removals: Vec<_> = gone
        .map(|index| Operation::Remove(data.key(index)))
        .collect();
    for batch in removals.chunks(1_000) {
        engine.write(batch)?;
    }
    engine.wait_idle()?;

    let mut reader = engine.reader()?;
    let regions = [
        ("windows without tombstones", 0..quarter),
        ("windows half of tombstones", half),
        ("windows all of tombstones", whole),
    ];
    for (name, region) in regions {
        let windows = (region.len() - 1) / WINDOW;
        let mut consumed = Consumed::default();
        let clock = Clock::start();
        let mut operations = 0;
        while operations < windows && clock.elapsed() < BUDGET {
            let first = region.start + operations * WINDOW;
            let (from, to) = (data.key(first), data.key(first + WINDOW));
            reader.range(from, to, |key, value| consumed.entry(key, value))?;
            operations += 1;
        }
        let done = clock.done(operations);
        bench.rate(name, done, "windows/s");
        bench.consumed(consumed);
    }
    Ok(())
}
