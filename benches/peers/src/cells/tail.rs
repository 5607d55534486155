//! The suite `tail`: how long a put takes at worst. First what each engine can sustain; then an open
//! loop at half of what the slowest of them can, with latencies from the moment at which a put was
//! meant to start, so that a stall counts for all that it held up.

use std::thread;
use std::time::Duration;

use crate::Result;
use crate::bench::{Bench, KEY_BYTES, VALUE_BYTES};
use crate::data::Data;
use crate::engine::Engine;
use crate::measure::{self, Clock, Latencies};
use crate::results::Better;

/// The name of the row from which the driver takes the rate of the open loop.
pub const SUSTAINED: &str = "sustained relaxed puts";

const SUSTAINED_TIME: Duration = Duration::from_secs(30);
const OPEN_TIME: Duration = Duration::from_secs(60);
const ENTRIES: usize = 2_000_000;

fn random(bench: &Bench) -> Data {
    Data::random(bench.count(ENTRIES), KEY_BYTES, VALUE_BYTES, bench.seed)
}

/// As fast as it goes, over and over.
pub fn sustained<E: Engine>(bench: &mut Bench) -> Result<()> {
    let data = random(bench);
    let engine = bench.open::<E>(false)?;
    let time = SUSTAINED_TIME.mul_f64(bench.scale.min(1.0));
    let (done, latencies) = measure::timed(usize::MAX, time, |index| {
        let index = index % data.len();
        engine.put(data.key(index), data.value(index))
    })?;
    bench.rate(SUSTAINED, done, "/s");
    bench.latency_rows("sustained puts", &latencies);
    engine.close()
}

/// At the rate that the driver names.
pub fn open_loop<E: Engine>(bench: &mut Bench) -> Result<()> {
    let rate = bench.offered_rate.ok_or("the open loop needs `--rate`")?;
    let data = random(bench);
    let engine = bench.open::<E>(false)?;
    let time = OPEN_TIME.mul_f64(bench.scale.min(1.0));
    let mut latencies = Latencies::new()?;
    let clock = Clock::start();
    let count = (rate * time.as_secs_f64()) as usize;
    for index in 0..count {
        let due = Duration::from_secs_f64(index as f64 / rate);
        // Sleeping is exact to some fifty microseconds: the rest is waited for awake.
        while let Some(early) = due.checked_sub(clock.elapsed()) {
            if early > Duration::from_micros(200) {
                thread::sleep(early - Duration::from_micros(150));
            }
        }
        let entry = index % data.len();
        engine.put(data.key(entry), data.value(entry))?;
        latencies.record(clock.elapsed() - due)?;
    }
    bench.value("offered puts", rate, "/s", Better::More);
    bench.latency_rows("offered puts", &latencies);
    engine.close()
}
