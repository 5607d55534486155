//! A durable job queue on the log: jobs survive a crash, finished ones are forgotten, and the
//! space of segments whose jobs are all finished is given back.
//!
//! ```text
//! cargo run --example job_queue            # in a fresh directory under the temporary one
//! cargo run --example job_queue -- jobs    # in ./jobs: run it again and again
//! ```

#![expect(clippy::print_stdout, reason = "a program that shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsm_fs::RealFs;
use lsm_wal::{Durability, Wal, WalOptions};

/// A record is one byte, the job's number, and for a new job what is to be done.
const NEW: u8 = b'+';
const DONE: u8 = b'-';

struct Job {
    segment: u64,
    task: String,
}

struct Queue {
    wal: Wal,
    /// The jobs that are not done, by number.
    open: BTreeMap<u64, Job>,
    next_number: u64,
}

impl Queue {
    fn open(dir: &Path, random_id: [u8; 16]) -> Result<Self, Box<dyn Error>> {
        let mut options = WalOptions::new(random_id);
        options.segment_bytes_max = 4_096;
        let mut open = BTreeMap::new();
        let mut next_number = 0;
        let (wal, _) = Wal::open_with(Arc::new(RealFs::new()), dir, options, |record| {
            let Some((kind, number, task)) = decode(&record.payload) else {
                return;
            };
            next_number = next_number.max(number + 1);
            let segment = record.position.segment;
            match kind {
                NEW => drop(open.insert(number, Job { segment, task })),
                _ => drop(open.remove(&number)),
            }
        })?;
        Ok(Self {
            wal,
            open,
            next_number,
        })
    }

    /// The job is safe when this returns.
    fn add(&mut self, task: &str) -> Result<u64, Box<dyn Error>> {
        let number = self.next_number;
        let appended = self
            .wal
            .append(&encode(NEW, number, task), Durability::Sync)?;
        self.next_number += 1;
        let job = Job {
            segment: appended.position.segment,
            task: task.to_owned(),
        };
        self.open.insert(number, job);
        Ok(number)
    }

    /// Not synced: after a power cut the job may be done twice, never forgotten.
    fn finish(&mut self, number: u64) -> Result<(), Box<dyn Error>> {
        self.wal
            .append(&encode(DONE, number, ""), Durability::Buffered)?;
        self.open.remove(&number);
        // A segment can go once no job in it, or before it, is open.
        let oldest = self.open.values().map(|job| job.segment).min();
        if let Some(segment) = oldest {
            self.wal.retire_before(segment)?;
        }
        Ok(())
    }
}

fn encode(kind: u8, number: u64, task: &str) -> Vec<u8> {
    let mut record = vec![kind];
    record.extend_from_slice(&number.to_le_bytes());
    record.extend_from_slice(task.as_bytes());
    record
}

fn decode(record: &[u8]) -> Option<(u8, u64, String)> {
    let (&kind, rest) = record.split_first()?;
    let (number, task) = rest.split_first_chunk()?;
    let task = String::from_utf8_lossy(task).into_owned();
    Some((kind, u64::from_le_bytes(*number), task))
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = match std::env::args_os().nth(1) {
        Some(dir) => PathBuf::from(dir),
        None => std::env::temp_dir().join(format!("job-queue-{}", std::process::id())),
    };
    // A log of jobs that nobody attacks: anything that differs from other logs will do.
    let random_id = *b"job queue exampl";
    let mut queue = Queue::open(&dir, random_id)?;
    println!(
        "{}: {} jobs left from before",
        dir.display(),
        queue.open.len()
    );

    for task in ["water the plants", "feed the cat", "write to grandmother"] {
        let number = queue.add(task)?;
        println!("added {number}: {task}");
    }
    // Do the older half, and leave the rest to the next run.
    let half: Vec<u64> = queue
        .open
        .keys()
        .copied()
        .take(queue.open.len() / 2)
        .collect();
    for number in half {
        println!(
            "did {number}: {}",
            queue.open.get(&number).map_or("", |job| &job.task)
        );
        queue.finish(number)?;
    }
    let open = queue.open.len();
    queue.wal.close()?;
    println!("closed with {open} jobs left");
    Ok(())
}
