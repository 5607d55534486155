//! What a cell works with: its folder, its options, its scale, and the rows that it fills.

use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::data::{Consumed, Data};
use crate::engine::{Engine, Operation, Options, Reader};
use crate::measure::{self, Clock, Done, Latencies};
use crate::results::{Better, Row};
use crate::usage;

/// How long one row may take, so that a cell stays within two minutes.
pub const BUDGET: Duration = Duration::from_secs(10);

pub const KEY_BYTES: usize = 24;
pub const VALUE_BYTES: usize = 150;

pub struct Bench {
    /// The engine's name.
    pub engine: String,
    /// Empty, and on the disk that is to be measured.
    pub dir: PathBuf,
    pub options: Options,
    /// Multiplies the numbers of entries and operations.
    pub scale: f64,
    pub seed: u64,
    /// Operations a second that an open loop offers.
    pub offered_rate: Option<f64>,
    pub rows: Vec<Row>,
}

impl Bench {
    /// A number of entries or operations, scaled.
    pub fn count(&self, full: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(64)
    }

    /// Adds a figure.
    pub fn value(&mut self, name: impl Into<String>, value: f64, unit: &str, better: Better) {
        self.rows.push(Row {
            name: name.into(),
            value,
            unit: unit.to_owned(),
            better,
            latency: None,
            operations: None,
            processor_micros: None,
            consumed: None,
        });
    }

    /// Adds a rate of something that a loop did.
    pub fn rate(&mut self, name: impl Into<String>, done: Done, unit: &str) {
        self.value(name, done.per_second(), unit, Better::More);
        let row = self.last_row();
        row.operations = Some(done.operations);
        row.processor_micros = Some(done.processor_micros());
    }

    /// Adds what was consumed to the last row.
    pub fn consumed(&mut self, consumed: Consumed) {
        self.last_row().consumed = Some(consumed.sum);
    }

    /// Adds percentiles to the last row.
    pub fn latencies(&mut self, latencies: &Latencies) {
        self.last_row().latency = Some(latencies.percentiles());
    }

    /// Adds the percentiles as rows of their own, so that they are compared too.
    pub fn latency_rows(&mut self, name: &str, latencies: &Latencies) {
        let percentiles = latencies.percentiles();
        self.value(format!("{name}, p50"), percentiles.p50, "µs", Better::Less);
        self.value(format!("{name}, p99"), percentiles.p99, "µs", Better::Less);
        self.value(
            format!("{name}, p99.9"),
            percentiles.p999,
            "µs",
            Better::Less,
        );
        self.value(
            format!("{name}, maximum"),
            percentiles.max,
            "µs",
            Better::Less,
        );
    }

    fn last_row(&mut self) -> &mut Row {
        let index = self.rows.len() - 1;
        &mut self.rows[index]
    }

    /// The folder of the database.
    pub fn database(&self) -> PathBuf {
        self.dir.join("db")
    }

    /// Opens the cell's database with its options, durable or not.
    pub fn open<E: Engine>(&self, durable: bool) -> Result<E> {
        let options = Options {
            durable,
            ..self.options.clone()
        };
        E::open(&self.database(), &options)
    }

    /// Opens the cell's database, loads all of the data, not measured, and settles it.
    pub fn loaded<E: Engine>(&self, data: &Data) -> Result<E> {
        let engine = self.open::<E>(false)?;
        for batch in puts(data).chunks(10_000) {
            engine.write(batch)?;
        }
        engine.settle()?;
        Ok(engine)
    }

    /// The same, closed and opened again with the durability that is asked for.
    pub fn reopened<E: Engine>(&self, data: &Data, durable: bool) -> Result<E> {
        self.loaded::<E>(data)?.close()?;
        self.open(durable)
    }
}

/// A put for each entry, in the order of the data.
pub fn puts(data: &Data) -> Vec<Operation<'_>> {
    (0..data.len())
        .map(|index| Operation::Put(data.key(index), data.value(index)))
        .collect()
}

/// What writing cost besides time: bytes written and memory, counted from [`Cost::start`].
pub struct Cost {
    written: u64,
    resident: u64,
}

impl Cost {
    /// To be called when the data is made and the database not yet open.
    pub fn start() -> Result<Self> {
        usage::restart_peak()?;
        Ok(Self {
            written: usage::written_bytes()?,
            resident: usage::resident_bytes()?,
        })
    }

    /// Bytes written to files since, divided by the user's.
    pub fn write_amplification(&self, user_bytes: u64) -> Result<f64> {
        let written = usage::written_bytes()? - self.written;
        Ok(written as f64 / user_bytes as f64)
    }

    /// The most memory that was taken since, besides the data itself, in MiB.
    pub fn peak_mebibytes(&self) -> Result<f64> {
        let peak = usage::peak_resident_bytes()?;
        Ok(mebibytes(peak.saturating_sub(self.resident)))
    }

    /// The memory that is taken now, besides the data itself, in MiB.
    pub fn mebibytes_now(&self) -> Result<f64> {
        let resident = usage::resident_bytes()?;
        Ok(mebibytes(resident.saturating_sub(self.resident)))
    }
}

pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Gets the picked entries on one thread, each of which must be there, and takes in their values.
pub fn get_all<R: Reader>(
    reader: &mut R,
    data: &Data,
    picks: &[u32],
    budget: Duration,
) -> Result<(Done, Consumed)> {
    let mut consumed = Consumed::default();
    let done = measure::paced(picks.len(), budget, |index| {
        let key = data.key(picks[index] as usize);
        match reader.get(key, |value| consumed.value(value))? {
            true => Ok(()),
            false => Err("a key that was written is not found".into()),
        }
    })?;
    Ok((done, consumed))
}

/// Runs a loop on each of several threads, from one moment until the last has ended.
pub fn on_threads<T: Send>(
    threads: usize,
    work: impl Fn(usize, &Barrier) -> Result<(usize, T)> + Sync,
) -> Result<(Done, Vec<T>)> {
    let start_line = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                let (work, start_line) = (&work, &start_line);
                scope.spawn(move || work(thread, start_line))
            })
            .collect();
        start_line.wait();
        let clock = Clock::start();
        let mut operations = 0;
        let mut results = Vec::new();
        for handle in handles {
            let outcome = handle.join().map_err(|_| "a thread panicked")?;
            let (count, result) = outcome?;
            operations += count;
            results.push(result);
        }
        Ok((clock.done(operations), results))
    })
}
