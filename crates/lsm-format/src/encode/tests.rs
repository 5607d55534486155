use crate::{BLOCK_BYTES_TARGET, BlockSource, Error, RunBytes, RunWriter};

fn block_lens(entries: &[(&str, usize)]) -> Vec<u32> {
    let mut writer = RunWriter::new();
    for (key, value_len) in entries {
        writer.put(key, vec![7; *value_len]).unwrap();
    }
    let index = RunBytes::new(writer.finish()).unwrap().index().unwrap();
    (0..index.block_count())
        .map(|i| index.handle(i).unwrap().len)
        .collect()
}

#[test]
fn a_block_is_closed_by_the_entry_that_fills_it() {
    // An entry with a key of one byte takes ten bytes besides its value.
    let exact = BLOCK_BYTES_TARGET - 10;
    assert_eq!(block_lens(&[("a", exact), ("b", 0)]), [4096, 10]);
    assert_eq!(block_lens(&[("a", exact - 1), ("b", 0)]), [4105]);
    assert_eq!(
        block_lens(&[("a", exact - 1), ("b", 9_000), ("c", 0)]),
        [4095 + 9_010, 10]
    );
}

#[test]
fn keys_out_of_order_are_refused_and_change_nothing() {
    let mut writer = RunWriter::new();
    writer.put("", "the empty key sorts first").unwrap();
    writer.put("m", "1").unwrap();
    for key in ["m", "a", ""] {
        let refused = Error::OutOfOrder {
            previous: (*b"m").into(),
            got: key.as_bytes().into(),
        };
        assert_eq!(writer.delete(key), Err(refused.clone()));
        assert!(!refused.is_corruption());
    }
    let mut plain = RunWriter::new();
    plain.put("", "the empty key sorts first").unwrap();
    plain.put("m", "1").unwrap();
    assert_eq!(writer.entry_count(), 2);
    assert_eq!(writer.finish(), plain.finish());
}

#[test]
fn order_is_checked_across_the_end_of_a_block() {
    let mut writer = RunWriter::new();
    writer.put("m", vec![0; 5_000]).unwrap();
    assert!(writer.put("m", "").is_err());
    assert!(writer.put("l", "").is_err());
    writer.put("n", "").unwrap();
}

#[test]
fn a_range_of_a_block_that_is_not_next_is_refused() {
    let mut source = RunWriter::new();
    source.put("a", "1").unwrap();
    source.put("c", "3").unwrap();
    let source = RunBytes::new(source.finish()).unwrap();
    let block = source.block(&source.index().unwrap(), 0).unwrap();

    let mut writer = RunWriter::new();
    writer.put("b", "2").unwrap();
    assert!(matches!(
        writer.push_range(&block, 0..2),
        Err(Error::OutOfOrder { .. })
    ));
    #[expect(
        clippy::reversed_empty_ranges,
        reason = "an inverted range is what is tested"
    )]
    let empty = [0..0, 2..9, 1..0];
    for range in empty {
        writer.push_range(&block, range).unwrap();
    }
    assert_eq!(writer.entry_count(), 1);
    writer.push_range(&block, 1..9).unwrap();
    assert_eq!(writer.entry_count(), 2);
}
