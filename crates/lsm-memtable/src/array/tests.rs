//! Searches against a linear one, what is copied, and merges.

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::*;

/// Key, seqno, value.
type Borrowed<'a> = (&'a [u8], u64, Option<&'a [u8]>);

fn array(entries: &[Borrowed<'_>]) -> Array {
    let mut builder = ArrayBuilder::default();
    for (key, seqno, value) in entries {
        let handles = || {
            let value = value.map(Bytes::copy_from_slice);
            (Bytes::copy_from_slice(key), value)
        };
        builder.push(key, *value, *seqno, handles);
    }
    builder.finish()
}

type Version = (Vec<u8>, u64, Option<Vec<u8>>);

fn versions(array: &Array) -> Vec<Version> {
    (0..array.len())
        .map(|at| {
            let value = array.value(at).map(<[u8]>::to_vec);
            (array.key(at).to_vec(), array.seqno(at), value)
        })
        .collect()
}

#[test]
fn the_newest_version_at_or_below_the_seqno_is_found() {
    let array = array(&[
        (b"", 4, Some(b"empty")),
        (b"user:1", 9, Some(b"nine")),
        (b"user:1", 3, None),
        (b"user:10", 5, Some(b"")),
    ]);
    let value_at = |key: &[u8], seqno| {
        let found = array.get(key, seqno)?;
        Some((found.seqno, found.value.map(Vec::from)))
    };
    assert_eq!(value_at(b"", 3), None);
    assert_eq!(value_at(b"", 4), Some((4, Some(b"empty".to_vec()))));
    assert_eq!(value_at(b"user:1", 2), None);
    assert_eq!(value_at(b"user:1", 8), Some((3, None)), "a tombstone");
    assert_eq!(
        value_at(b"user:1", u64::MAX),
        Some((9, Some(b"nine".to_vec())))
    );
    let empty_value = Some((5, Some(Vec::new())));
    assert_eq!(value_at(b"user:10", 5), empty_value, "no tombstone");
    for absent in [
        &b"user:"[..],
        b"user:1\0",
        b"user:100",
        b"user:2",
        b"a",
        b"z",
    ] {
        assert_eq!(value_at(absent, u64::MAX), None, "{absent:?}");
    }
}

#[test]
fn an_empty_array_holds_nothing() {
    let array = array(&[]);
    assert_eq!((array.len(), array.memory_bytes()), (0, 0));
    assert_eq!(array.get(b"k", 9), None);
    assert_eq!(array.lower_bound(b"k", 9), 0);
}

#[test]
fn large_entries_stay_handles_and_small_ones_are_copied() {
    let buffer = Bytes::from(vec![7; INLINE_BYTES_MAX + 1]);
    let small = buffer.slice(..INLINE_BYTES_MAX - 1);
    let mut builder = ArrayBuilder::default();
    for (key, value) in [("a", &buffer), ("b", &small)] {
        let key = Bytes::from(key);
        builder.push(&key, Some(value), 1, || (key.clone(), Some(value.clone())));
    }
    let array = builder.finish();
    assert!(array.has_handles());
    let pointer = |key: &[u8]| array.get(key, 1).and_then(|found| found.value);
    assert_eq!(
        pointer(b"a").map(|value| value.as_ptr()),
        Some(buffer.as_ptr())
    );
    let copied = pointer(b"b").unwrap();
    assert_eq!(copied, small);
    assert_ne!(copied.as_ptr(), small.as_ptr());
    let (_, handle) = (array.key_handle(1), array.value_handle(1));
    assert_ne!(
        handle.unwrap().as_ptr(),
        copied.as_ptr(),
        "keeps no array alive"
    );
    let counted = 2 * INLINE_BYTES_MAX as u64 + 2 + 2 * ARRAY_ENTRY_OVERHEAD_BYTES;
    assert_eq!(array.memory_bytes(), counted);
}

#[cfg(target_pointer_width = "64")]
#[test]
fn an_entry_costs_what_the_documentation_says() {
    assert_eq!(ARRAY_ENTRY_OVERHEAD_BYTES, 32);
}

#[test]
fn many_versions_of_a_key_are_passed_in_few_steps() {
    let mut entries: Vec<Borrowed<'_>> = vec![(b"a", 1, None)];
    entries.extend((0..10_000).rev().map(|seqno| (&b"hot"[..], seqno, None)));
    entries.push((b"z", 1, None));
    let array = array(&entries);
    assert!(array.has_versions());
    for at in [1, 2, 5_000, 10_000] {
        assert_eq!((array.start_of_key(at), array.end_of_key(at)), (1, 10_001));
    }
    assert_eq!((array.start_of_key(0), array.end_of_key(0)), (0, 1));
    assert_eq!(
        (array.start_of_key(10_001), array.end_of_key(10_001)),
        (10_001, 10_002)
    );
}

#[test]
fn a_merge_keeps_every_version_newest_first() {
    let old = array(&[
        (b"a", 1, Some(b"1")),
        (b"b", 2, Some(b"2")),
        (b"b", 1, None),
    ]);
    let new = array(&[
        (b"b", 7, None),
        (b"b", 5, Some(b"5")),
        (b"c", 6, Some(b"6")),
    ]);
    let empty = array(&[]);
    let merged = merge(&[&new, &empty, &old]);
    let seqnos: Vec<_> = versions(&merged)
        .into_iter()
        .map(|(key, seqno, _)| (key, seqno))
        .collect();
    let expected = [("a", 1), ("b", 7), ("b", 5), ("b", 2), ("b", 1), ("c", 6)];
    let expected = expected.map(|(key, seqno)| (key.as_bytes().to_vec(), seqno));
    assert_eq!(seqnos, expected);
    assert_eq!(merged.get(b"b", 6).map(|found| found.seqno), Some(5));
    assert_eq!(merged.seqno_largest(), 7);
    assert_eq!(
        merged.memory_bytes(),
        new.memory_bytes() + old.memory_bytes()
    );
}

/// Entries in an array's order, with prefixes long enough to matter and zeros.
#[derive(Clone, Debug)]
struct Sorted(Vec<(Vec<u8>, u64)>);

impl Arbitrary for Sorted {
    fn arbitrary(g: &mut Gen) -> Self {
        let prefixes = [
            &b""[..],
            b"\0",
            b"prefix/",
            b"a long prefix/",
            b"a long prefix/\0\0",
        ];
        let alone = *g.choose(&prefixes).unwrap();
        let has_one_prefix = bool::arbitrary(g);
        let mut entries: Vec<(Vec<u8>, u64)> = (0..usize::arbitrary(g) % 60)
            .map(|_| {
                let prefix = if has_one_prefix {
                    alone
                } else {
                    *g.choose(&prefixes).unwrap()
                };
                let mut key = prefix.to_vec();
                key.extend((0..u8::arbitrary(g) % 4).map(|_| u8::arbitrary(g) % 3));
                (key, u64::from(u8::arbitrary(g) % 4))
            })
            .collect();
        entries.sort_by(|(key, seqno), (other, other_seqno)| {
            key.cmp(other).then(other_seqno.cmp(seqno))
        });
        entries.dedup();
        Self(entries)
    }
}

#[test]
fn a_search_agrees_with_a_linear_one() {
    fn property(Sorted(entries): Sorted, Sorted(probes): Sorted) -> bool {
        let borrowed: Vec<Borrowed<'_>> = entries
            .iter()
            .map(|(key, seqno)| (&key[..], *seqno, None))
            .collect();
        let array = array(&borrowed);
        entries.iter().chain(&probes).all(|(key, seqno)| {
            let is_before = |(other, other_seqno): &(Vec<u8>, u64)| {
                other.cmp(key).then(seqno.cmp(other_seqno)).is_lt()
            };
            let at = array.lower_bound(key, *seqno);
            at == entries.iter().take_while(|entry| is_before(entry)).count()
                && (0..array.len()).all(|at| {
                    let same = |other: &usize| entries[*other].0 == entries[at].0;
                    let all: Vec<_> = (0..array.len()).filter(same).collect();
                    Some(&array.start_of_key(at)) == all.first()
                        && Some(&(array.end_of_key(at) - 1)) == all.last()
                })
        })
    }
    QuickCheck::new()
        .rng(Gen::new(80))
        .tests(600)
        .quickcheck(property as fn(Sorted, Sorted) -> bool);
}

#[test]
fn a_head_told_without_the_key_is_the_key_s() {
    for prefix_len in 0..12 {
        let prefix = vec![b'p'; prefix_len];
        let key = |rest: &[u8]| [&prefix, rest].concat();
        let keys = [
            &b""[..],
            b"\0",
            b"a",
            b"abcdefgh",
            b"abcdefghi",
            b"\xff\xff",
        ]
        .map(key);
        let entries: Vec<Borrowed<'_>> = keys.iter().map(|key| (&key[..], 1, None)).collect();
        let array = array(&entries);
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(array.head(at), key_head(key), "{key:?}");
        }
    }
}

#[test]
fn arrays_that_do_not_overlap_merge_to_what_they_were_cut_from() {
    fn property(Sorted(entries): Sorted, cuts: Vec<bool>) -> bool {
        let large = vec![7; INLINE_BYTES_MAX + 1];
        let values = [None, Some(&b"small"[..]), Some(&large[..]), Some(b"")];
        let entries: Vec<Borrowed<'_>> = (entries.iter().zip(values.iter().cycle()))
            .map(|((key, seqno), value)| (&key[..], *seqno, *value))
            .collect();
        let mut cuts = cuts.iter().chain(std::iter::repeat(&false));
        let stays = |(key, ..): &Borrowed<'_>, (next, ..): &Borrowed<'_>| {
            key == next || cuts.next() == Some(&false)
        };
        let pieces: Vec<Array> = entries.chunk_by(stays).map(array).collect();
        let (whole, empty) = (array(&entries), array(&[]));
        let ascending: Vec<&Array> = pieces.iter().chain([&empty]).collect();
        let descending: Vec<&Array> = ascending.iter().rev().copied().collect();
        [ascending, descending].iter().all(|pieces| {
            let merged = merge(pieces);
            let same_places = entries.iter().all(|(key, seqno, _)| {
                merged.lower_bound(key, *seqno) == whole.lower_bound(key, *seqno)
            });
            let told = |array: &Array| {
                let bytes = (array.memory_bytes(), array.copied_bytes());
                let seqno = array.seqno_largest();
                (bytes, seqno, array.has_versions(), array.has_handles())
            };
            same_places && versions(&merged) == versions(&whole) && told(&merged) == told(&whole)
        })
    }
    QuickCheck::new()
        .rng(Gen::new(80))
        .tests(300)
        .quickcheck(property as fn(Sorted, Vec<bool>) -> bool);
}
