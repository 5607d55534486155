use super::{
    Entries, Entry, check_lengths, encode_entry, encoded_len, parse_entry, validated_entry,
};
use crate::Error;

fn sequence() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_entry(&mut bytes, b"b", Entry::Value(b"value"));
    encode_entry(&mut bytes, b"", Entry::Value(b""));
    encode_entry(&mut bytes, b"a", Entry::Tombstone);
    bytes
}

#[test]
fn entry_is_length_key_tag_length_value() {
    let mut bytes = Vec::new();
    encode_entry(&mut bytes, b"key", Entry::Value(b"v"));
    assert_eq!(bytes, b"\x03\0\0\0key\0\x01\0\0\0v");
    bytes.clear();
    encode_entry(&mut bytes, b"k", Entry::Tombstone);
    assert_eq!(bytes, b"\x01\0\0\0k\x01\0\0\0\0");
    assert_eq!(bytes.len(), encoded_len(1, 0));
}

#[test]
fn a_sequence_may_be_in_any_order_and_repeat_keys() {
    let bytes = [sequence(), sequence()].concat();
    let entries: Vec<_> = Entries::new(&bytes).collect::<Result<_, _>>().unwrap();
    let expected = [
        (&b"b"[..], Entry::Value(b"value")),
        (b"", Entry::Value(b"")),
        (b"a", Entry::Tombstone),
    ];
    assert_eq!(entries, [expected, expected].concat());
}

#[test]
fn validated_bytes_read_as_any_and_damage_reads_as_nothing() {
    let bytes = sequence();
    for at in [0, encoded_len(1, 5), encoded_len(1, 5) + encoded_len(0, 0)] {
        let (key, entry, _) = parse_entry(&bytes, at).unwrap();
        assert_eq!(validated_entry(&bytes, at), (key, entry));
    }
    for len in 0..encoded_len(1, 5) {
        assert_eq!(
            validated_entry(&bytes[..len], 0),
            (&b""[..], Entry::Tombstone)
        );
    }
    assert_eq!(
        validated_entry(&bytes, usize::MAX),
        (&b""[..], Entry::Tombstone)
    );
}

#[test]
fn position_is_where_the_next_entry_starts() {
    let bytes = sequence();
    let mut entries = Entries::new(&bytes);
    assert_eq!(entries.position(), 0);
    entries.next().unwrap().unwrap();
    assert_eq!(entries.position(), encoded_len(1, 5));
    assert_eq!(entries.by_ref().count(), 2);
    assert_eq!(entries.position(), bytes.len());
}

#[test]
fn size_hint_holds_at_every_step() {
    let bytes = sequence();
    let mut entries = Entries::new(&bytes);
    for left in (0..=3).rev() {
        let (low, high) = entries.size_hint();
        assert!(low <= left && left <= high.unwrap());
        entries.next();
    }
}

#[test]
fn a_cut_sequence_ends_in_one_error_unless_cut_between_entries() {
    let bytes = sequence();
    let ends = [0, encoded_len(1, 5), encoded_len(1, 5) + encoded_len(0, 0)];
    for len in 0..bytes.len() {
        let items: Vec<_> = Entries::new(&bytes[..len]).collect();
        let whole = ends.iter().filter(|end| **end <= len).count() - 1;
        assert_eq!(
            items.iter().filter(|item| item.is_ok()).count(),
            whole,
            "{len} bytes"
        );
        assert_eq!(
            items.len() - whole,
            usize::from(!ends.contains(&len)),
            "{len} bytes"
        );
    }
}

#[test]
fn an_error_says_where_and_ends_the_sequence() {
    let mut bytes = sequence();
    let second = encoded_len(1, 5);
    bytes[second + 4] = 9;
    let mut entries = Entries::new(&bytes);
    entries.next().unwrap().unwrap();
    let error = entries.next().unwrap().unwrap_err();
    assert_eq!(
        error,
        Error::Entry {
            offset: second as u64,
            reason: "unknown tag"
        }
    );
    assert!(error.is_corruption());
    assert_eq!(error.offset(), None, "it is no byte of a file");
    assert!(entries.next().is_none());
    assert!(entries.next().is_none());
}

#[test]
fn arbitrary_bytes_never_panic() {
    fn terminates(bytes: Vec<u8>) -> bool {
        Entries::new(&bytes).count() <= bytes.len() / 9 + 1
    }
    quickcheck::quickcheck(terminates as fn(Vec<u8>) -> bool);
}

#[test]
fn lengths_over_a_gibibyte_are_refused() {
    // Zeroed pages that are never touched: this costs address space, not memory.
    let long = vec![0; (1 << 30) + 1];
    let max = 1 << 30;
    let len = max + 1;
    assert_eq!(
        check_lengths(&long, Entry::Tombstone),
        Err(Error::TooLong {
            part: "key",
            len,
            max
        })
    );
    assert_eq!(
        check_lengths(b"k", Entry::Value(&long)),
        Err(Error::TooLong {
            part: "value",
            len,
            max
        })
    );
    assert_eq!(check_lengths(&long[1..], Entry::Value(&long[1..])), Ok(()));
}

#[test]
fn encoded_len_does_not_overflow() {
    assert_eq!(encoded_len(usize::MAX, 1), usize::MAX);
}
