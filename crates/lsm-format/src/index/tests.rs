use super::Index;
use crate::{BlockHandle, BlockSource, Error, Footer, RunBytes, RunWriter, crc32c};

fn run() -> RunBytes {
    let mut writer = RunWriter::new();
    for key in ["b", "d", "f"] {
        writer.put(key, vec![0; 5_000]).unwrap();
    }
    RunBytes::new(writer.finish()).unwrap()
}

#[test]
fn find_names_the_first_block_that_ends_at_the_key_or_after() {
    let index = run().index().unwrap();
    let found = [&b""[..], b"a", b"b", b"c", b"d", b"f", b"g"].map(|key| index.find(key));
    assert_eq!(found, [0, 0, 0, 1, 1, 2, 3]);
}

#[test]
fn handles_and_last_keys_end_with_the_blocks() {
    let run = run();
    let index = run.index().unwrap();
    assert_eq!(index.block_count(), 3);
    assert_eq!(index.last_key(2), Some(&b"f"[..]));
    assert_eq!(index.last_key(3), None);
    let BlockHandle { offset, len, .. } = index.handle(1).unwrap();
    assert_eq!((offset, len), (8 + 5_010, 5_010));
    assert_eq!(index.handle(2).unwrap().end(), run.footer().index_offset);
    assert_eq!(index.handle(3), None);
}

#[test]
fn memory_is_the_encoded_bytes_and_ten_a_block_in_a_small_index() {
    let run = run();
    let encoded = usize::try_from(run.footer().index_len).unwrap();
    let index = run.index().unwrap();
    assert_eq!(
        index.memory_bytes(),
        size_of::<Index>() + encoded + 3 * (8 + 2)
    );
}

#[test]
fn bytes_of_another_length_than_the_footers_are_refused() {
    let bytes = bytes::Bytes::from_static(b"123");
    let footer = Footer {
        entry_count: 0,
        index_offset: 8,
        index_len: 4,
        index_crc: crc32c(&bytes),
    };
    let reason = "length is not the footer's";
    assert_eq!(
        Index::decode(bytes, &footer).unwrap_err(),
        Error::Index {
            block: 0,
            offset: 8,
            reason
        }
    );
}
