use super::{KeyTable, KeyTableBuilder, common_prefix_len, head};

fn encode(keys: &[&[u8]]) -> (Vec<u8>, KeyTable) {
    let bytes: Vec<u8> = keys
        .iter()
        .flat_map(|key| [&u32::try_from(key.len()).unwrap().to_le_bytes()[..], key].concat())
        .collect();
    let prefix_len = keys
        .first()
        .zip(keys.last())
        .map_or(0, |(first, last)| common_prefix_len(first, last));
    let mut table = KeyTableBuilder::new(prefix_len, bytes.len(), keys.len());
    let mut at = 0;
    for key in keys {
        table.push(at, key);
        at += 4 + key.len();
    }
    (bytes, table.finish())
}

#[test]
fn a_lower_head_means_a_lower_key() {
    fn holds(a: Vec<u8>, b: Vec<u8>) -> bool {
        head(&a) >= head(&b) || a < b
    }
    quickcheck::quickcheck(holds as fn(Vec<u8>, Vec<u8>) -> bool);
    assert_eq!(
        head(b"a"),
        head(b"a\0"),
        "padding makes heads equal, so they settle nothing"
    );
    assert_eq!(head(b""), 0);
    assert_eq!(head(b"\x01\x02"), 0x0102 << 48);
}

#[test]
fn keys_with_equal_heads_are_told_apart() {
    let keys: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"12345678", b"12345678a", b"12345678b"];
    let (bytes, table) = encode(&keys);
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(table.search(&bytes, key), Ok(i));
        assert_eq!(table.find_exact(&bytes, key), Some(i));
    }
    assert_eq!(table.search(&bytes, b"12345678aa"), Err(5));
    assert_eq!(table.search(&bytes, b"12345678c"), Err(6));
    assert_eq!(table.search(&bytes, b"\0\0\0"), Err(3));
}

#[test]
fn heads_are_taken_after_the_shared_prefix() {
    let keys: [&[u8]; 3] = [
        b"long-shared-prefix/a",
        b"long-shared-prefix/b",
        b"long-shared-prefix/c",
    ];
    let (bytes, table) = encode(&keys);
    assert_eq!(&*table.heads, [head(b"a"), head(b"b"), head(b"c")]);
    assert_eq!(table.search(&bytes, b"long-shared-prefix/bb"), Err(2));
}

#[test]
fn a_key_without_the_shared_prefix_lies_before_or_after_all() {
    let keys: [&[u8]; 2] = [b"pre/a", b"pre/b"];
    let (bytes, table) = encode(&keys);
    for (key, position) in [
        (&b""[..], 0),
        (b"pre", 0),
        (b"pra/z", 0),
        (b"prf/a", 2),
        (b"z", 2),
    ] {
        assert_eq!(table.search(&bytes, key), Err(position), "{key:?}");
        assert_eq!(table.find_exact(&bytes, key), None, "{key:?}");
    }
    // The tail is that of a key, the prefix is not.
    assert_eq!(table.find_exact(&bytes, b"xyz/a"), None);
}

#[test]
fn an_empty_table_finds_nothing() {
    let (bytes, table) = encode(&[]);
    assert_eq!(table.search(&bytes, b"a"), Err(0));
    assert_eq!(table.find_exact(&bytes, b""), None);
}

#[test]
fn offsets_are_as_wide_as_the_bytes_need() {
    let long = vec![b'x'; 70_000];
    let (bytes, wide) = encode(&[&long, b"y"]);
    assert_eq!(wide.key(&bytes, 1), b"y");
    assert_eq!(wide.memory_bytes(), 2 * (8 + 4));
    let (_, narrow) = encode(&[b"x", b"y"]);
    assert_eq!(narrow.memory_bytes(), 2 * (8 + 2));
}
