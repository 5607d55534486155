use super::Block;
use crate::{BlockSource, Entry, Error, RunBytes, RunWriter};
use bytes::Bytes;

fn run(entries: &[(&str, Option<&str>)]) -> RunBytes {
    let mut writer = RunWriter::new();
    for (key, value) in entries {
        match value {
            Some(value) => writer.put(key, value).unwrap(),
            None => writer.delete(key).unwrap(),
        }
    }
    RunBytes::new(writer.finish()).unwrap()
}

#[test]
fn positions_and_lookups() {
    let run = run(&[("key/a", Some("1")), ("key/b", None), ("key/c", Some(""))]);
    let block = run.block(&run.index().unwrap(), 0).unwrap();
    assert_eq!(
        (block.len(), block.is_empty(), block.tombstone_count()),
        (3, false, 1)
    );
    assert_eq!(block.key(1), b"key/b");
    assert_eq!(block.entry(0), Entry::Value(b"1"));
    assert_eq!(block.get(b"key/b"), Some(Entry::Tombstone));
    assert_eq!(block.get(b"key/c"), Some(Entry::Value(b"")));
    assert_eq!(block.get(b"key/"), None);
    assert_eq!(block.position(b"key/c"), Some(2));
    assert_eq!(
        (block.lower_bound(b"key/b"), block.upper_bound(b"key/b")),
        (1, 2)
    );
}

#[test]
fn keys_and_values_share_the_memory_of_the_block() {
    let run = run(&[("a", Some("value")), ("b", None), ("c", Some(""))]);
    let block = run.block(&run.index().unwrap(), 0).unwrap();
    let value = block.value_bytes(0).unwrap();
    assert_eq!(value.as_ptr(), block.entry(0).value().unwrap().as_ptr());
    assert_eq!(block.key_bytes(1), "b");
    assert_eq!(block.value_bytes(1), None);
    assert_eq!(block.value_bytes(2), Some(Bytes::new()));
    for i in 0..=block.len() {
        let both = (block.key_bytes(i), block.value_bytes(i));
        assert_eq!(block.entry_bytes(i), both);
    }
}

#[test]
fn tombstones_are_known_for_what_they_are() {
    let is_tombstone = |entries: &[(&str, Option<&str>)]| {
        let run = run(entries);
        let block = run.block(&run.index().unwrap(), 0).unwrap();
        (0..block.len())
            .map(|i| block.is_tombstone(i))
            .collect::<Vec<_>>()
    };
    let mixed = is_tombstone(&[("a", Some("")), ("b", None), ("c", Some("3"))]);
    assert_eq!(mixed, [false, true, false]);
    assert_eq!(
        is_tombstone(&[("a", Some("1")), ("b", Some("2"))]),
        [false; 2]
    );
}

#[test]
fn positions_outside_the_block_hold_nothing() {
    let run = run(&[("a", Some("1"))]);
    let block = run.block(&run.index().unwrap(), 0).unwrap();
    assert_eq!(block.key_and_entry(1), (&b""[..], Entry::Tombstone));
    assert_eq!(block.value_bytes(usize::MAX), None);
    assert_eq!(block.key_bytes(1), "");
}

#[test]
fn bytes_of_another_length_than_the_indexs_are_refused() {
    let run = run(&[("a", Some("1"))]);
    let index = run.index().unwrap();
    let error = Block::decode(Bytes::from_static(b"short"), &index, 0).unwrap_err();
    assert_eq!(
        error,
        Error::Block {
            block: 0,
            offset: 8,
            reason: "length is not the index's"
        }
    );
}

#[test]
fn a_block_the_index_has_not_is_refused() {
    let index = run(&[("a", Some("1"))]).index().unwrap();
    let error = Block::decode(Bytes::new(), &index, 1).unwrap_err();
    assert_eq!(
        error,
        Error::NoSuchBlock {
            block: 1,
            block_count: 1
        }
    );
}

#[test]
fn a_block_of_one_huge_entry_is_addressed() {
    let long = "v".repeat(100_000);
    let run = run(&[("a", Some("1")), ("b", Some(&long)), ("c", None)]);
    let index = run.index().unwrap();
    let block = run.block(&index, 0).unwrap();
    assert_eq!(block.len(), 2);
    assert_eq!(block.get(b"b"), Some(Entry::Value(long.as_bytes())));
    assert!(block.memory_bytes() > 100_000 && block.memory_bytes() < 101_000);
}
