//! What is merged when, and what a sorted batch keeps.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn count(sizes: &[(usize, u64)]) -> usize {
    merge_count(sizes.iter().copied())
}

#[test]
fn four_arrays_of_one_size_are_merged_and_fewer_are_not() {
    let alike = (8192, 1 << 20);
    assert_eq!(count(&[]), 0);
    assert_eq!(count(&[alike; 3]), 0);
    assert_eq!(count(&[alike; 4]), 4);
    assert_eq!(count(&[alike, alike, alike, (40_000, 8 << 20)]), 0);
    assert_eq!(
        count(&[alike, (10, 1000), alike, (7, 700)]),
        4,
        "smaller ones count"
    );
    assert_eq!(
        count(&[(10, 1000), alike, alike, alike]),
        0,
        "the newest sets the size"
    );
}

#[test]
fn a_merge_is_bounded_in_entries_and_in_bytes() {
    let many = (MERGED_ENTRIES_MAX / 3, 1000);
    assert_eq!(count(&[many; 8]), 0);
    let heavy = (4, MERGED_BYTES_MAX / 3);
    assert_eq!(count(&[heavy; 8]), 0);
    let fitting = (MERGED_ENTRIES_MAX / 5, MERGED_BYTES_MAX / 5);
    assert_eq!(count(&[fitting; 9]), 5, "as many as fit");
}

#[test]
fn arrays_stay_few_however_many_fronts_there_were() {
    let mut arrays = Vec::new();
    for seqno in 0..300_u64 {
        let keys: Vec<[u8; 1]> = (0..8).map(|key| [key]).collect();
        let entries: Vec<_> = keys.iter().map(|key| (&key[..], None)).collect();
        let array = sorted_batch(seqno, &entries, Bytes::copy_from_slice);
        arrays.insert(0, Arc::new(array));
        merge_alike(&mut arrays);
        assert!(arrays.len() <= 3 * 6, "{} after {seqno}", arrays.len());
    }
    let entries: usize = arrays.iter().map(|array| array.len()).sum();
    assert_eq!(entries, 300 * 8, "every version is there");
    for seqno in 0..300 {
        let mut found = arrays.iter().map(|array| array.get(&[5], seqno));
        let found = found.find_map(|found| found).map(|found| found.seqno);
        assert_eq!(found, Some(seqno));
    }
}

#[test]
fn a_sorted_batch_keeps_the_later_of_two_operations_on_a_key() {
    let entry =
        |key: &'static str, value: Option<&'static str>| (key.as_bytes(), value.map(str::as_bytes));
    let array = sorted_batch(
        5,
        &[
            entry("same head, k", Some("first")),
            entry("b", Some("x")),
            entry("same head, k", None),
            entry("same head, j", Some("y")),
            entry("same head, k", Some("third")),
            entry("b", None),
        ],
        Bytes::copy_from_slice,
    );
    let found = |key: &str| array.get(key.as_bytes(), 5).unwrap().value;
    assert_eq!(array.len(), 3);
    assert!(!array.has_versions());
    assert_eq!(found("same head, k").as_deref(), Some(&b"third"[..]));
    assert_eq!(found("same head, j").as_deref(), Some(&b"y"[..]));
    assert_eq!(found("b"), None);
    assert_eq!(array.get(b"b", 4), None, "not yet written");
}

#[test]
fn a_front_as_an_array_has_every_version() {
    let front = Front::new();
    for seqno in 0..100_u64 {
        let value = Bytes::copy_from_slice(&seqno.to_be_bytes());
        front.insert_all(seqno, std::iter::once((Bytes::from("hot"), Some(value))));
    }
    let array = flatten(&front, 100);
    assert_eq!(array.len(), 100);
    for seqno in 0..100 {
        assert_eq!(array.get(b"hot", seqno), front.get(b"hot", seqno));
    }
}

#[test]
fn a_front_goes_to_its_disposal_when_the_last_holder_lets_go() {
    let disposed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&disposed);
    let front = HeldFront::new(Some(Arc::new(move |retired| {
        count.fetch_add(1, Ordering::Relaxed);
        drop(retired);
    })));
    let other = Arc::clone(&front);
    drop(front);
    assert_eq!(disposed.load(Ordering::Relaxed), 0);
    drop(other);
    assert_eq!(disposed.load(Ordering::Relaxed), 1);
}
