//! Runs that another implementation wrote: read to their listing, and written again to the byte.
//!
//! Each `vectors/*.sst` has a `.tsv` beside it with one entry a line: the key in hex, a tab, the
//! value in hex, or `-` for a tombstone.

#![expect(
    clippy::disallowed_methods,
    reason = "reads and writes its own files, not a store's"
)]
#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use lsm_format::{
    Entry, FOOTER_LEN, MAGIC, RunBytes, RunCursor, RunFile, RunReader, RunStream, RunWriter, verify,
};

fn vectors() -> Vec<(PathBuf, Vec<u8>, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut vectors = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sst") {
            let run = fs::read(&path).unwrap();
            let listing = fs::read_to_string(path.with_extension("tsv")).unwrap();
            vectors.push((path, run, listing));
        }
    }
    assert!(vectors.len() >= 20, "the vectors are there");
    vectors
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn line(key: &[u8], entry: Entry<'_>) -> String {
    format!(
        "{}\t{}\n",
        hex(key),
        entry.value().map_or("-".to_owned(), hex)
    )
}

#[test]
fn every_vector_reads_as_its_listing() {
    for (path, run, listing) in vectors() {
        let reader = RunReader::new(&run).unwrap();
        let mut read = String::new();
        for item in &reader {
            let (key, entry) = item.unwrap();
            assert_eq!(reader.get(key).unwrap(), Some(entry), "{}", path.display());
            read += &line(key, entry);
        }
        assert!(read == listing, "{} by the reader", path.display());
        assert_eq!(reader.entry_count(), listing.lines().count() as u64);

        let mut cursor = RunCursor::new(RunBytes::new(run).unwrap());
        let mut walked = String::new();
        cursor.seek_first().unwrap();
        while let Some((key, entry)) = cursor.key_and_entry() {
            walked += &line(key, entry);
            cursor.next().unwrap();
        }
        assert!(walked == listing, "{} by the cursor", path.display());
    }
}

#[test]
fn every_vector_is_written_again_to_the_byte() {
    for (path, run, _) in vectors() {
        let mut writer = RunWriter::new();
        let mut stream = RunStream::new(Vec::new());
        for item in &RunReader::new(&run).unwrap() {
            let (key, entry) = item.unwrap();
            stream.push(key, entry).unwrap();
            match entry {
                Entry::Value(value) => writer.put(key, value).unwrap(),
                Entry::Tombstone => writer.delete(key).unwrap(),
            }
        }
        assert!(writer.finish() == run, "{} by the writer", path.display());

        let (streamed, summary) = stream.finish().unwrap();
        assert!(streamed == run, "{} by the stream", path.display());
        let verified = verify(&RunFile::open(&run, run.len() as u64).unwrap()).unwrap();
        assert_eq!(verified, summary, "{}", path.display());
    }
}

#[test]
fn the_worked_example_of_the_format_page_is_what_the_writer_writes() {
    let mut writer = RunWriter::new();
    writer.put("apple", "red").unwrap();
    writer.delete("banana").unwrap();

    // Each line of the dump: an offset, bytes in hex, and after a `#` what they are.
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/LSMTBL01.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("## Worked example").unwrap();
    let dump = section
        .split("```")
        .nth(1)
        .unwrap()
        .trim_start_matches("text\n");
    let mut bytes = String::new();
    for line in dump.lines() {
        let (offset, rest) = line.split_once("  ").unwrap();
        assert_eq!(
            usize::from_str_radix(offset, 16).unwrap(),
            bytes.len() / 2,
            "{line}"
        );
        bytes.extend(rest.split('#').next().unwrap().split_whitespace());
    }
    assert_eq!(bytes, hex(&writer.finish()));
}

#[test]
fn an_empty_run_is_header_and_footer() {
    let run = RunWriter::new().finish();
    assert_eq!(run.len(), MAGIC.len() + FOOTER_LEN);
    assert_eq!(RunReader::new(&run).unwrap().iter().count(), 0);
}
