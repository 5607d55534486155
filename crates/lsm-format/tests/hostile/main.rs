//! Runs that are wrong in one place, with every checksum around it right.
//!
//! Checksums hide the parser from random damage, so each case here changes one thing and then
//! seals the run again. Every reader has to say the same of it: what is wrong, and where.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "that is how a test fails"
)]

mod cases;
mod craft;
mod readers;

use craft::{FOOTER_AT, sound};
use lsm_format::{
    BlockSource, Entry, Error, FOOTER_LEN, ReadError, RunBytes, RunCursor, RunFile, RunReader,
    RunWriter,
};
use readers::{by_cursor, by_file, by_reader, by_verify, said};

#[test]
fn the_untouched_run_is_read_by_all() {
    let run = sound().build();
    assert_eq!(run.len() as u64, FOOTER_AT + FOOTER_LEN as u64);
    assert_eq!(by_reader(&run).unwrap().len(), 6);
    assert_eq!(by_reader(&run), by_cursor(&run));
    assert_eq!(by_reader(&run), by_file(&run));
    assert_eq!(by_verify(&run), Ok(6));
}

#[test]
fn entry_count_is_believed_by_no_one_and_checked_by_verify() {
    for count in [0, 5, u64::MAX] {
        let run = sound().footer(move |f| f.entry_count = count).build();
        assert_eq!(by_reader(&run).unwrap().len(), 6);
        assert_eq!(by_cursor(&run).unwrap().len(), 6);
        assert_eq!(by_file(&run).unwrap().len(), 6);
        let error = by_verify(&run).unwrap_err();
        assert_eq!(
            said(&error),
            (
                "entry count is not that of the blocks",
                Some(FOOTER_AT),
                None
            )
        );
    }
}

#[test]
fn a_lookup_checks_the_whole_block_it_reads() {
    let run = sound().blocks(|blocks| blocks[1][16] = 7).build();
    let reader = RunReader::new(&run).unwrap();
    assert_eq!(reader.get(b"f").unwrap_err().reason(), "unknown tag");
    assert_eq!(
        reader.get(b"b").unwrap(),
        Some(Entry::Value(b"1")),
        "the other blocks can be read"
    );
    assert_eq!(reader.get(b"z").unwrap(), None);
}

#[test]
fn iteration_ends_at_the_first_error_and_shows_nothing_of_its_block() {
    let run = sound().blocks(|blocks| blocks[1][16] = 7).build();
    let reader = RunReader::new(&run).unwrap();
    let items: Vec<_> = reader.iter().collect();
    assert_eq!(items.len(), 3);
    assert!(items[..2].iter().all(Result::is_ok) && items[2].is_err());
}

#[test]
fn a_cursor_on_a_damaged_block_is_not_positioned() {
    let run = sound().blocks(|blocks| blocks[1][16] = 7).build();
    let mut cursor = RunCursor::new(RunBytes::new(run).unwrap());
    cursor.seek(b"d").unwrap();
    assert!(cursor.next().is_err());
    assert_eq!(cursor.key(), None);
    cursor.seek(b"j").unwrap();
    assert_eq!(cursor.key(), Some(&b"j"[..]));
    assert!(cursor.prev().is_err());
    assert_eq!(cursor.key(), None);
    for key in [&b"e"[..], b"f", b"h"] {
        assert!(cursor.seek(key).is_err());
        assert!(cursor.seek_for_prev(key).is_err());
        assert_eq!((cursor.key(), cursor.value_bytes()), (None, None));
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let run = sound().build();
    let entries = by_reader(&run);
    for bit in 0..run.len() * 8 {
        let mut damaged = run.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(by_verify(&damaged).is_err(), "bit {bit}");
        // The entry count alone changes nothing that is read.
        let in_entry_count = (FOOTER_AT..FOOTER_AT + 8).contains(&(bit as u64 / 8));
        for read in [by_reader(&damaged), by_cursor(&damaged), by_file(&damaged)] {
            assert_eq!(read == entries, in_entry_count, "bit {bit}");
        }
    }
}

#[test]
fn every_truncation_is_found() {
    let run = sound().build();
    for len in 0..run.len() {
        for read in [
            by_reader(&run[..len]),
            by_cursor(&run[..len]),
            by_file(&run[..len]),
        ] {
            assert!(read.is_err(), "{len} bytes");
        }
    }
}

#[test]
fn readers_agree_on_blocks_of_arbitrary_bytes() {
    /// Overwrites a few bytes of blocks and index with small numbers and seals the run again.
    fn agree(changes: Vec<(usize, u8)>, in_index: bool) -> bool {
        let craft = sound();
        let tamper = move |bytes: &mut Vec<u8>| {
            for &(at, byte) in changes.iter().take(4) {
                let at = at % bytes.len();
                bytes[at] = byte % 12;
            }
        };
        let craft = if in_index {
            craft.index_bytes(tamper)
        } else {
            craft.blocks(move |blocks| tamper(&mut blocks[1]))
        };
        let run = craft.build();
        let read = by_reader(&run);
        let ascending = read
            .as_ref()
            .is_ok_and(|entries| entries.is_sorted_by(|a, b| a.0 < b.0));
        read == by_cursor(&run) && read == by_file(&run) && (read.is_err() || ascending)
    }
    quickcheck::QuickCheck::new()
        .tests(5_000)
        .quickcheck(agree as fn(Vec<(usize, u8)>, bool) -> bool);
}

#[test]
fn no_length_from_the_file_sizes_memory_before_it_is_checked() {
    // The file claims to be 2^60 bytes long and its index nearly as long: memory is refused.
    struct Endless([u8; FOOTER_LEN]);
    impl lsm_format::ReadAt for Endless {
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
            let bytes: &[u8] = if offset == 0 {
                &lsm_format::MAGIC
            } else {
                &self.0
            };
            buf.copy_from_slice(bytes);
            Ok(())
        }
    }
    let file_len = 1 << 60;
    let index_len = file_len - 8 - FOOTER_LEN as u64;
    let footer = lsm_format::Footer {
        entry_count: 1,
        index_offset: 8,
        index_len,
        index_crc: 0,
    };
    let file = RunFile::open(Endless(footer.encode()), file_len).unwrap();
    match file.load_index() {
        Err(ReadError::Io { source, offset: 8 }) => {
            assert_eq!(source.kind(), std::io::ErrorKind::OutOfMemory)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_index_of_another_run_is_an_error() {
    let mut other = RunWriter::new();
    other.put("k", vec![0; 9_000]).unwrap();
    let other = RunBytes::new(other.finish()).unwrap();
    let run = RunBytes::new(sound().build()).unwrap();
    let foreign = other.index().unwrap();
    assert_eq!(
        run.block(&foreign, 0).unwrap_err().reason(),
        "length is not the index's"
    );
    let error = run.block(&foreign, 1).unwrap_err();
    assert_eq!(
        error,
        Error::NoSuchBlock {
            block: 1,
            block_count: 1
        }
    );
    assert!(!error.is_corruption());
}
