//! Every way to read a run, each to the same answer: its entries, or what is wrong with it.

use lsm_format::{Entry, Error, ReadError, RunBytes, RunCursor, RunFile, RunReader, verify};

pub(crate) type Read = Result<Vec<(Vec<u8>, Option<Vec<u8>>)>, Error>;

pub(crate) fn owned((key, entry): (&[u8], Entry<'_>)) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.to_vec(), entry.value().map(<[u8]>::to_vec))
}

pub(crate) fn by_reader(run: &[u8]) -> Read {
    RunReader::new(run)?
        .iter()
        .map(|item| item.map(owned))
        .collect()
}

pub(crate) fn by_cursor(run: &[u8]) -> Read {
    let mut cursor = RunCursor::new(RunBytes::new(run.to_vec())?);
    let mut entries = Vec::new();
    cursor.seek_first()?;
    while let Some(item) = cursor.key_and_entry() {
        entries.push(owned(item));
        cursor.next()?;
    }
    Ok(entries)
}

pub(crate) fn format_error(error: ReadError) -> Error {
    match error {
        ReadError::Format(error) => error,
        other => panic!("memory does not fail: {other}"),
    }
}

pub(crate) fn by_file(run: &[u8]) -> Read {
    let file = RunFile::open(run, run.len() as u64).map_err(format_error)?;
    let index = file.load_index().map_err(format_error)?;
    let blocks = file
        .read_blocks(&index, 0..index.block_count())
        .map_err(format_error)?;
    Ok(blocks
        .iter()
        .flat_map(|block| (0..block.len()).map(|i| owned(block.key_and_entry(i))))
        .collect())
}

pub(crate) fn by_verify(run: &[u8]) -> Result<u64, Error> {
    let file = RunFile::open(run, run.len() as u64).map_err(format_error)?;
    verify(&file)
        .map(|summary| summary.entry_count)
        .map_err(format_error)
}

/// What a case expects: the reason, the byte in the file, the block.
pub(crate) type Expected = (&'static str, Option<u64>, Option<u64>);

pub(crate) fn said(error: &Error) -> Expected {
    (error.reason(), error.offset(), error.block())
}

pub(crate) fn check(name: &str, run: &[u8], expected: Expected) {
    let errors = [
        ("reader", by_reader(run).err()),
        ("cursor", by_cursor(run).err()),
        ("file", by_file(run).err()),
        ("verify", by_verify(run).err()),
    ];
    for (reader, error) in errors {
        let error = error.unwrap_or_else(|| panic!("{name}: accepted by {reader}"));
        assert!(error.is_corruption(), "{name}, {reader}");
        assert_eq!(said(&error), expected, "{name}, {reader}: {error}");
    }
}
