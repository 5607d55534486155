use super::{RunStream, WriteError};
use crate::{BLOCK_BYTES_TARGET, Entry, Error, FOOTER_LEN, RunWriter};
use std::io::{self, Write};

/// Notes each write, and fails the one at `fail_at`.
#[derive(Default)]
struct Watched {
    writes: Vec<Vec<u8>>,
    fail_at: Option<usize>,
    flushed: bool,
}

impl Write for Watched {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.fail_at == Some(self.writes.len()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.writes.push(buf.to_vec());
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed = true;
        Ok(())
    }
}

fn key(i: u32) -> [u8; 4] {
    i.to_be_bytes()
}

#[test]
fn nothing_is_written_before_a_block_is_full_and_then_one_write_each() {
    let mut stream = RunStream::new(Watched::default());
    let value = [0; 1_000];
    for i in 0..4 {
        stream.push(&key(i), Entry::Value(&value)).unwrap();
        assert_eq!(stream.writer.writes.len(), 0);
    }
    for i in 4..20 {
        stream.push(&key(i), Entry::Value(&value)).unwrap();
    }
    assert_eq!(stream.writer.writes.len(), 4, "five entries a block");
    assert_eq!(
        stream.writer.writes[0].len(),
        8 + 5 * 1_013,
        "the header goes with the first"
    );
    assert_eq!(stream.bytes_written(), 8 + 20 * 1_013);
    assert_eq!(stream.entry_count(), 20);
}

#[test]
fn memory_does_not_grow_with_the_run() {
    let mut stream = RunStream::new(io::sink());
    stream
        .push(&key(0), Entry::Value(&vec![0; 3 << 20]))
        .unwrap();
    for i in 1..100_000 {
        stream.push(&key(i), Entry::Value(&[0; 20])).unwrap();
    }
    assert!(stream.encoder.buffer_capacity() <= 4 * BLOCK_BYTES_TARGET);
    assert_eq!(stream.bytes_written(), 8 + (3 << 20) + 13 + 99_999 * 33);
}

#[test]
fn the_index_goes_out_in_bounded_writes() {
    let mut stream = RunStream::new(Watched::default());
    for i in 0..200 {
        let mut key = key(i).to_vec();
        key.resize(5_000, b'k');
        stream.push(&key, Entry::Tombstone).unwrap();
    }
    let (writer, summary) = stream.finish().unwrap();
    assert!(writer.flushed);
    assert_eq!(summary.index_len, 200 * 5_020);
    assert!(
        writer
            .writes
            .iter()
            .all(|write| write.len() <= super::INDEX_WRITE_BYTES_MAX)
    );
    assert_eq!(writer.writes.last().unwrap().len(), FOOTER_LEN);
    assert_eq!(writer.writes.concat().len() as u64, summary.file_len);
}

#[test]
fn a_refused_entry_leaves_the_stream_usable() {
    let mut stream = RunStream::new(Vec::new());
    stream.push(b"b", Entry::Value(b"1")).unwrap();
    assert!(matches!(
        stream.push(b"a", Entry::Tombstone),
        Err(WriteError::Entry(Error::OutOfOrder { .. }))
    ));
    stream.push(b"c", Entry::Tombstone).unwrap();

    let mut writer = RunWriter::new();
    writer.put("b", "1").unwrap();
    writer.delete("c").unwrap();
    assert_eq!(stream.finish().unwrap().0, writer.finish());
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let mut stream = RunStream::new(Watched {
        fail_at: Some(1),
        ..Watched::default()
    });
    let value = [0; BLOCK_BYTES_TARGET];
    stream.push(&key(0), Entry::Value(&value)).unwrap();
    match stream.push(&key(1), Entry::Value(&value)) {
        Err(WriteError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
        other => panic!("{other:?}"),
    }
    stream.writer.fail_at = None;
    assert!(matches!(
        stream.push(&key(2), Entry::Tombstone),
        Err(WriteError::Failed)
    ));
    assert_eq!(stream.writer.writes.len(), 1);
    assert!(matches!(stream.finish(), Err(WriteError::Failed)));
}

#[test]
fn each_write_of_finish_may_fail() {
    for fail_at in 0..3 {
        let mut stream = RunStream::new(Watched {
            fail_at: Some(fail_at),
            ..Watched::default()
        });
        stream.push(b"k", Entry::Tombstone).unwrap();
        assert!(
            matches!(stream.finish(), Err(WriteError::Io(_))),
            "write {fail_at}"
        );
    }
}

#[test]
fn a_writer_that_takes_nothing_is_an_error() {
    let mut full = [0; 4];
    let stream = RunStream::new(&mut full[..]);
    match stream.finish() {
        Err(WriteError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::WriteZero),
        other => panic!("{other:?}"),
    }
}
