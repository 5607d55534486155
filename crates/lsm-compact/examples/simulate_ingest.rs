//! Plays an ingest through the real policy without writing a byte: runs are metadata only.
//!
//! Prints the levels as they grow, and the write amplification at the end. Arguments: gibibytes to
//! ingest (default 20), `sorted` for ascending keys instead of random ones, and `tiny` for 20,000
//! flushes of one entry each instead, ascending. Run it with
//! `cargo run --release -p lsm-compact --example simulate_ingest -- 100`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use lsm_compact::{
    Claims, Job, JobKind, PickerOptions, debt_bytes, edit_for, move_edit, pick, scores,
};
use lsm_version::{RunMeta, Version, VersionEdit};

const RUN_BYTES: u64 = 16 << 20;
const ENTRY_BYTES: u64 = 200;
const TINY_FLUSHES: u64 = 20_000;

struct Simulation {
    version: Version,
    options: PickerOptions,
    next_id: u64,
    flushed_bytes: u64,
    written_bytes: u64,
    moves: u64,
    merges: u64,
}

fn key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn number(key: &[u8]) -> u64 {
    key.first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
}

impl Simulation {
    fn run(&mut self, bytes: u64, smallest: u64, largest: u64) -> Arc<RunMeta> {
        self.next_id += 1;
        self.written_bytes += bytes;
        Arc::new(RunMeta {
            id: self.next_id,
            file_len: bytes,
            entry_count: bytes / ENTRY_BYTES,
            tombstone_count: 0,
            index_len: 0,
            index_crc: 0,
            smallest_key: key(smallest),
            largest_key: key(largest),
        })
    }

    fn flush(&mut self, bytes: u64, smallest: u64, largest: u64) -> Result<(), Box<dyn Error>> {
        let run = self.run(bytes, smallest, largest);
        self.flushed_bytes += bytes;
        let edit = VersionEdit {
            added: vec![(0, run)],
            ..VersionEdit::default()
        };
        self.version = self.version.apply(&edit)?;
        let claims = Claims::new();
        while let Some(job) = pick(&self.version, &self.options, &claims, &|_| false) {
            let edit = match job.kind {
                JobKind::Move => {
                    self.moves += 1;
                    move_edit(&job)
                }
                JobKind::Merge => {
                    self.merges += 1;
                    let outputs = self.merge(&job);
                    edit_for(&job, outputs)
                }
            };
            self.version = self.version.apply(&edit)?;
        }
        Ok(())
    }

    /// Keys are taken to be spread evenly and never to repeat.
    fn merge(&mut self, job: &Job) -> Vec<Arc<RunMeta>> {
        let (first, last) = (number(&job.smallest_key), number(&job.largest_key));
        let count = job
            .input_bytes()
            .div_ceil(self.options.run_bytes_target)
            .max(1);
        let (width, bytes) = ((last - first) / count, job.input_bytes() / count);
        let ends = (1..=count).map(|at| {
            if at == count {
                last
            } else {
                first + at * width
            }
        });
        let mut start = first;
        ends.map(|end| {
            let run = self.run(bytes, start, end);
            start = end + 1;
            run
        })
        .collect()
    }

    fn print_levels(&self) {
        let levels: Vec<_> = self
            .version
            .levels()
            .iter()
            .zip(scores(&self.version, &self.options))
            .enumerate()
            .filter(|(_, (level, _))| !level.is_empty())
            .map(|(at, (level, score))| {
                format!(
                    "L{at} {:>6} runs {:>7.1} MiB ({score:.2})",
                    level.len(),
                    level.bytes() as f64 / f64::from(1 << 20)
                )
            })
            .collect();
        println!(
            "{:>6} MiB in | {} | debt {} MiB",
            self.flushed_bytes >> 20,
            levels.join(", "),
            debt_bytes(&self.version, &self.options, &|_| false) >> 20
        );
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut gibibytes = 20;
    let (mut sorted, mut tiny) = (false, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "sorted" => sorted = true,
            "tiny" => tiny = true,
            number => gibibytes = number.parse()?,
        }
    }
    let mut simulation = Simulation {
        version: Version::empty(),
        options: PickerOptions::default(),
        next_id: 0,
        flushed_bytes: 0,
        written_bytes: 0,
        moves: 0,
        merges: 0,
    };
    let (flushes, bytes) = if tiny {
        (TINY_FLUSHES, ENTRY_BYTES)
    } else {
        ((gibibytes << 30) / RUN_BYTES, RUN_BYTES)
    };
    let width = u64::MAX / flushes.max(1);
    for flush in 0..flushes {
        if tiny {
            simulation.flush(bytes, flush, flush)?;
        } else if sorted {
            simulation.flush(bytes, flush * width, flush * width + width - 1)?;
        } else {
            simulation.flush(bytes, flush, u64::MAX - flush)?;
        }
        if flush % (flushes / 10).max(1) == 0 {
            simulation.print_levels();
        }
    }
    simulation.print_levels();
    println!(
        "write amplification {:.2} ({} merges, {} moves)",
        simulation.written_bytes as f64 / simulation.flushed_bytes.max(1) as f64,
        simulation.merges,
        simulation.moves
    );
    Ok(())
}
