//! What this machine can do at best: memory, checksums, the disk. Printed before every suite, so that a
//! figure can be read as a part of what was possible in the same minutes.
//!
//! Each is what one thread gets. The rate of `fdatasync` is taken with records as long as a durable
//! write of the suite `core` makes them, in four ways to grow a file.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::data::Random;
use crate::measure::{self, Done};
use crate::results::{Better, Row};

/// Bytes of a record of the log with a key of 24 and a value of 150 bytes.
const RECORD_BYTES: usize = 256;
/// How long each is measured.
const BUDGET: Duration = Duration::from_millis(500);
const SYNC_BUDGET: Duration = Duration::from_secs(1);
/// More than the caches of the processor hold.
const MEMORY_BYTES: usize = 256 << 20;
const FILE_BYTES: u64 = 256 << 20;
const BLOCK_BYTES: usize = 4096;

/// Measures all limits, with files in `dir`.
pub fn measure(dir: &Path) -> Result<Vec<Row>> {
    let mut rows = vec![memcpy()?, crc32()?, dependent_reads()?];
    for mode in [
        Growth::Append,
        Growth::Sparse,
        Growth::Zeros,
        Growth::Allocated,
    ] {
        rows.push(sync_rate(dir, mode)?);
    }
    rows.push(write_rate(dir)?);
    rows.extend(file_rates(dir)?);
    Ok(rows)
}

fn row(name: &str, value: f64, unit: &str, better: Better) -> Row {
    Row {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
        better,
        latency: None,
        operations: None,
        processor_micros: None,
        consumed: None,
    }
}

fn gigabytes_per_second(done: Done, bytes: usize) -> f64 {
    done.per_second() * bytes as f64 / 1e9
}

fn memcpy() -> Result<Row> {
    const PIECE: usize = 64 << 20;
    let from = vec![1_u8; PIECE];
    let mut to = vec![0_u8; PIECE];
    let done = measure::paced(usize::MAX, BUDGET, |_| {
        to.copy_from_slice(black_box(&from));
        black_box(&to);
        Ok(())
    })?;
    let rate = gigabytes_per_second(done, PIECE);
    Ok(row("memcpy", rate, "GB/s", Better::More))
}

fn crc32() -> Result<Row> {
    const PIECE: usize = 1 << 20;
    let bytes = vec![1_u8; PIECE];
    let done = measure::paced(usize::MAX, BUDGET, |_| {
        black_box(crc32c::crc32c(black_box(&bytes)));
        Ok(())
    })?;
    let rate = gigabytes_per_second(done, PIECE);
    Ok(row("CRC-32C", rate, "GB/s", Better::More))
}

/// Walks one random cycle through memory: each read has to wait for the one before it.
fn dependent_reads() -> Result<Row> {
    const LINE_WORDS: usize = 16;
    let lines = MEMORY_BYTES / (LINE_WORDS * size_of::<u32>());
    let mut order: Vec<u32> = (0..lines as u32).collect();
    Random::new(1).shuffle(&mut order);
    let mut memory = vec![0_u32; lines * LINE_WORDS];
    for pair in order.windows(2) {
        memory[pair[0] as usize * LINE_WORDS] = pair[1];
    }
    if let (Some(first), Some(last)) = (order.first(), order.last()) {
        memory[*last as usize * LINE_WORDS] = *first;
    }
    let mut at = 0;
    let done = measure::paced(usize::MAX, BUDGET, |_| {
        at = memory[at as usize * LINE_WORDS];
        Ok(())
    })?;
    black_box(at);
    let nanos = 1e9 / done.per_second();
    Ok(row("dependent read of memory", nanos, "ns", Better::Less))
}

/// How the file gets the room for the next record.
#[derive(Clone, Copy)]
enum Growth {
    /// The record makes it longer.
    Append,
    /// Its length was set beforehand, its blocks were not written.
    Sparse,
    /// It was filled with zeros beforehand.
    Zeros,
    /// Its blocks were allocated beforehand.
    Allocated,
}

fn sync_rate(dir: &Path, growth: Growth) -> Result<Row> {
    const ROOM_BYTES: u64 = 16 << 20;
    let path = dir.join("limit-sync");
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&path)?;
    let name = match growth {
        Growth::Append => "fdatasync, appending",
        Growth::Sparse => {
            file.set_len(ROOM_BYTES)?;
            "fdatasync, sparse file"
        }
        Growth::Zeros => {
            file.write_all_at(&vec![0; ROOM_BYTES as usize], 0)?;
            "fdatasync, file of zeros"
        }
        Growth::Allocated => {
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, ROOM_BYTES)?;
            "fdatasync, allocated file"
        }
    };
    file.sync_all()?;
    let record = [7; RECORD_BYTES];
    let done = measure::paced(ROOM_BYTES as usize / RECORD_BYTES, SYNC_BUDGET, |index| {
        file.write_all_at(&record, (index * RECORD_BYTES) as u64)?;
        Ok(file.sync_data()?)
    })?;
    std::fs::remove_file(&path)?;
    Ok(row(name, done.per_second(), "/s", Better::More))
}

/// Records handed to the operating system one by one: what a relaxed write can't do without.
fn write_rate(dir: &Path) -> Result<Row> {
    let path = dir.join("limit-write");
    let file = File::create(&path)?;
    let record = [7; RECORD_BYTES];
    let done = measure::paced(FILE_BYTES as usize / RECORD_BYTES, BUDGET, |index| {
        Ok(file.write_all_at(&record, (index * RECORD_BYTES) as u64)?)
    })?;
    std::fs::remove_file(&path)?;
    let name = "write of 256 bytes, appending";
    Ok(row(name, done.per_second(), "/s", Better::More))
}

fn file_rates(dir: &Path) -> Result<[Row; 3]> {
    const PIECE: usize = 1 << 20;
    let path = dir.join("limit-file");
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)?;
    let mut piece = vec![0; PIECE];
    Random::new(1).fill(&mut piece);
    let start = Instant::now();
    for index in 0..FILE_BYTES / PIECE as u64 {
        file.write_all_at(&piece, index * PIECE as u64)?;
    }
    file.sync_data()?;
    let written = FILE_BYTES as f64 / 1e6 / start.elapsed().as_secs_f64();

    let cached = block_reads(&file)?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random)?;
    let cold = block_reads(&file)?;
    std::fs::remove_file(&path)?;
    Ok([
        row(
            "sequential write and one sync",
            written,
            "MB/s",
            Better::More,
        ),
        row(
            "pread of 4 KiB, in the page cache",
            cached,
            "/s",
            Better::More,
        ),
        row("pread of 4 KiB, from the disk", cold, "/s", Better::More),
    ])
}

fn block_reads(file: &File) -> Result<f64> {
    let blocks = FILE_BYTES as usize / BLOCK_BYTES;
    let mut random = Random::new(2);
    let mut block = [0; BLOCK_BYTES];
    let done = measure::paced(usize::MAX, BUDGET, |_| {
        let offset = random.below(blocks) * BLOCK_BYTES;
        Ok(file.read_exact_at(&mut block, offset as u64)?)
    })?;
    Ok(done.per_second())
}
