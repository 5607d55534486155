//! The suite `scan`: everything, forward and in reverse.

use super::misses::unsettle;
use crate::Result;
use crate::bench::{Bench, KEY_BYTES, VALUE_BYTES};
use crate::data::{Consumed, Data};
use crate::engine::{Engine, From, Reader};
use crate::measure::Clock;

const ENTRIES: usize = 1_000_000;

/// Of a settled tree.
pub fn settled<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = Data::random(bench.count(ENTRIES), KEY_BYTES, VALUE_BYTES, bench.seed);
    let engine = bench.loaded::<E>(&data)?;
    scans(bench, &engine, "settled", data.len())
}

/// Of a tree with three runs and a memtable more; see [`super::misses`].
pub fn unsettled<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = Data::random(bench.count(ENTRIES), KEY_BYTES, VALUE_BYTES, bench.seed);
    let mut engine = bench.loaded::<E>(&data)?;
    unsettle(bench, &mut engine, &data)?;
    scans(bench, &engine, "four sources more", data.len())
}

fn scans<E: Engine>(bench: &mut Bench, engine: &E, state: &str, entries: usize) -> Result<()> {
    let mut reader = engine.reader()?;
    reader.scan(From::First, usize::MAX, |_, _| {})?;
    let ways = [
        ("forward", From::First, false),
        ("forward, owned", From::First, true),
        ("reverse", From::Last, false),
        ("reverse, owned", From::Last, true),
    ];
    for (way, from, is_owned) in ways {
        let mut consumed = Consumed::default();
        let see = |key: &[u8], value: &[u8]| consumed.entry(key, value);
        let clock = Clock::start();
        let operations = if is_owned {
            reader.scan_owned(from, usize::MAX, see)?
        } else {
            reader.scan(from, usize::MAX, see)?
        };
        let done = clock.done(operations);
        if operations != entries {
            return Err(format!("a scan found {operations} of {entries}").into());
        }
        bench.rate(format!("{way}, {state}"), done, "entries/s");
        bench.consumed(consumed);
    }
    Ok(())
}
