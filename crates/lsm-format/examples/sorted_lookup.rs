//! A sorted lookup table in a file: written once in one pass, then asked by key and by prefix.
//!
//! It stands for any data set that is built now and then and read all the time: word lists,
//! routing tables, geographic names. There is no engine, no log, no merge: a file, its index in
//! memory, and one read for each answer.
//!
//! Run with `cargo run -p lsm-format --example sorted_lookup`.

#![expect(
    clippy::disallowed_methods,
    reason = "reads and writes its own files, not a store's"
)]

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom};
use std::sync::Mutex;

use lsm_format::{Entry, ReadAt, RunCursor, RunFile, RunStream, verify};

/// A file behind a lock: positioned reads that work on every platform.
struct LockedFile(Mutex<File>);

impl ReadAt for LockedFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut file = self
            .0
            .lock()
            .map_err(|_| io::Error::other("a reader panicked"))?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buf)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("sorted_lookup-{}.sst", std::process::id()));

    // Write: sorted input, any size, memory for one block and the index.
    let mut stream = RunStream::new(BufWriter::new(File::create_new(&path)?));
    for number in 0..100_000u32 {
        let key = format!("street/{:03}/house/{:03}", number / 100, number % 100);
        stream.push(key.as_bytes(), Entry::Value(&number.to_le_bytes()))?;
    }
    let (file, summary) = stream.finish()?;
    file.into_inner()?.sync_all()?;
    say(&format!(
        "{} entries in {} bytes",
        summary.entry_count, summary.file_len
    ));

    // Read: one file, checked once as a whole, then by key and by prefix.
    let file = File::open(&path)?;
    let file_len = file.metadata()?.len();
    let run = RunFile::open(LockedFile(Mutex::new(file)), file_len)?;
    verify(&run)?;

    let mut cursor = RunCursor::new(&run);
    cursor.seek(b"street/042/house/017")?;
    say(&format!("found: {:?}", cursor.entry()));

    let prefix = b"street/999/house/09";
    let mut count = 0;
    cursor.seek(prefix)?;
    while cursor.key().is_some_and(|key| key.starts_with(prefix)) {
        count += 1;
        cursor.next()?;
    }
    say(&format!(
        "{count} with the prefix {}",
        String::from_utf8_lossy(prefix)
    ));

    std::fs::remove_file(&path)?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program that shows its answers")]
fn say(line: &str) {
    println!("{line}");
}
