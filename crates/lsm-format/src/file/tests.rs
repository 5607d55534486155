use super::{ReadAt, ReadError, RunFile};
use crate::{Error, RunWriter, verify};
use std::cell::RefCell;
use std::io;
use std::ops::Range;

/// Notes each read, and fails those at or past `bad_from`.
struct Watched {
    bytes: Vec<u8>,
    reads: RefCell<Vec<Range<u64>>>,
    bad_from: u64,
}

impl ReadAt for Watched {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads
            .borrow_mut()
            .push(offset..offset + buf.len() as u64);
        if offset + buf.len() as u64 > self.bad_from {
            return Err(io::Error::other("bad sector"));
        }
        self.bytes.read_exact_at(buf, offset)
    }
}

fn open(block_count: u32, value_len: usize) -> RunFile<Watched> {
    let mut writer = RunWriter::new();
    for i in 0..block_count {
        writer.put(i.to_be_bytes(), vec![7; value_len]).unwrap();
    }
    let bytes = writer.finish();
    let file_len = bytes.len() as u64;
    RunFile::open(
        Watched {
            bytes,
            reads: RefCell::default(),
            bad_from: u64::MAX,
        },
        file_len,
    )
    .unwrap()
}

#[test]
fn neighbouring_blocks_are_one_read() {
    let run = open(10, 5_000);
    let index = run.load_index().unwrap();
    run.reader().reads.borrow_mut().clear();
    let blocks = run.read_blocks(&index, 2..5).unwrap();
    let wanted = 8 + 2 * 5_013..8 + 5 * 5_013;
    assert_eq!(*run.reader().reads.borrow(), vec![wanted]);
    let keys: Vec<&[u8]> = blocks.iter().map(|block| block.key(0)).collect();
    assert_eq!(
        keys,
        [2u32.to_be_bytes(), 3u32.to_be_bytes(), 4u32.to_be_bytes()]
    );
}

#[test]
fn empty_ranges_of_blocks_read_nothing_and_foreign_ones_fail() {
    let run = open(3, 5_000);
    let index = run.load_index().unwrap();
    #[expect(
        clippy::reversed_empty_ranges,
        reason = "an inverted range is what is tested"
    )]
    let empty = [0..0, 3..3, 9..9, 2..1];
    for range in empty {
        assert!(run.read_blocks(&index, range).unwrap().is_empty());
    }
    assert!(matches!(
        run.read_blocks(&index, 2..4),
        Err(ReadError::Format(_))
    ));
    assert!(matches!(
        run.read_block(&index, 3),
        Err(ReadError::Format(_))
    ));
}

#[test]
fn verify_reads_each_byte_once_in_large_pieces() {
    let run = open(200, 5_000);
    let file_len = run.file_len();
    verify(&run).unwrap();
    let mut reads = run.reader().reads.borrow().clone();
    assert!(reads.len() < 10, "{reads:?}");
    assert!(reads.iter().all(|read| read.end - read.start <= 256 << 10));
    reads.sort_by_key(|read| read.start);
    let end = reads.iter().fold(0, |end, read| {
        assert_eq!(read.start, end);
        read.end
    });
    assert_eq!(end, file_len);
}

#[test]
fn a_failed_read_says_where() {
    let mut run = open(3, 5_000);
    let index = run.load_index().unwrap();
    run.reader.bad_from = 8 + 5_013;
    run.read_block(&index, 0).unwrap();
    match run.read_block(&index, 1) {
        Err(ReadError::Io {
            source,
            offset: 5_021,
        }) => assert_eq!(source.to_string(), "bad sector"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(run.load_index(), Err(ReadError::Io { .. })));
    assert!(matches!(verify(&run), Err(ReadError::Io { .. })));
}

#[test]
fn a_file_shorter_than_said_is_an_error() {
    let bytes = RunWriter::new().finish();
    match RunFile::open(&bytes, bytes.len() as u64 + 1) {
        Err(ReadError::Io { source, .. }) => {
            assert_eq!(source.kind(), io::ErrorKind::UnexpectedEof)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn blocks_apart_come_with_one_read_and_a_damaged_one_costs_no_other() {
    let mut run = open(4, 5_000);
    let index = run.load_index().unwrap();
    let damaged = usize::try_from(index.handle(2).unwrap().offset).unwrap() + 100;
    run.reader.bytes[damaged] ^= 1;
    run.reader.reads.borrow_mut().clear();
    for (i, block) in run.read_blocks_apart(&index, 1..4).unwrap() {
        match (i, block) {
            (2, block) => assert!(matches!(block, Err(Error::BlockChecksum { block: 2, .. }))),
            (i, block) => assert_eq!(block.unwrap().key(0), index.last_key(i).unwrap()),
        }
    }
    assert_eq!(run.reader.reads.borrow().len(), 1);
    assert_eq!(run.read_blocks_apart(&index, 4..4).unwrap().count(), 0);
    assert!(run.read_blocks_apart(&index, 3..5).is_err());
}
