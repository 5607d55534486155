//! What is merged when, and what a sorted batch keeps.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Of a memtable that has no others.
fn pick_merge(costs: &[usize]) -> Option<Range<usize>> {
    super::pick_merge(costs, 0)
}

#[test]
fn four_arrays_of_one_size_are_merged_and_fewer_are_not() {
    assert_eq!(pick_merge(&[]), None);
    assert_eq!(pick_merge(&[8192; 3]), None);
    assert_eq!(pick_merge(&[8192; 4]), Some(0..4));
    assert_eq!(pick_merge(&[8192, 8192, 8192, 40_000]), None);
    assert_eq!(
        pick_merge(&[8192, 10, 8192, 7]),
        Some(0..4),
        "smaller ones count"
    );
    assert_eq!(
        pick_merge(&[10, 8192, 8192, 8192]),
        None,
        "the newest sets the size"
    );
}

#[test]
fn a_merge_costs_no_more_than_a_part_of_the_memtable() {
    assert_eq!(pick_merge(&[MERGE_COST_MIN / 3; 8]), None);
    assert_eq!(
        pick_merge(&[MERGE_COST_MIN / 5; 9]),
        Some(0..5),
        "as many as may be"
    );
    let mut large = vec![MERGE_COST_MIN / 3; 4];
    large.push(MERGE_COST_MIN * MERGE_COST_SHARE * 2);
    assert_eq!(pick_merge(&large), Some(0..4), "of a larger one");
}

#[test]
fn too_many_arrays_are_merged_where_it_costs_least() {
    let mut costs = vec![5, 5];
    costs.extend([MERGE_COST_MIN; LARGE_ARRAYS_MAX]);
    assert_eq!(pick_merge(&costs), None);
    costs.insert(20, 7);
    assert_eq!(pick_merge(&costs), Some(19..21));
}

#[test]
fn arrays_stay_few_and_merges_small_however_large_a_memtable_becomes() {
    for newest in [100, 1_000, 8_192, 33_000, 500_000] {
        let (mut costs, mut total, mut merged) = (Vec::new(), 0, 0);
        while total < 25_000_000 {
            costs.insert(0, newest);
            total += newest;
            while let Some(neighbours) = pick_merge(&costs) {
                let cost = costs[neighbours.clone()].iter().sum::<usize>();
                assert!(
                    cost <= MERGE_COST_MIN.max(total / MERGE_COST_SHARE),
                    "{cost}"
                );
                merged += cost;
                costs.splice(neighbours, [cost]);
            }
            // Of each size below the large ones there are three.
            assert!(costs.len() <= LARGE_ARRAYS_MAX + 3 * 7, "{costs:?}");
        }
        assert!(merged / total <= 10, "{merged} for {total} by {newest}");
    }
}

#[test]
fn arrays_stay_few_however_many_fronts_there_were() {
    let mut arrays = Vec::new();
    for seqno in 0..300_u64 {
        let keys: Vec<[u8; 1]> = (0..8).map(|key| [key]).collect();
        let entries: Vec<_> = keys.iter().map(|key| (&key[..], None)).collect();
        let array = sorted_batch(seqno, &entries, Bytes::copy_from_slice);
        arrays.insert(0, Arc::new(array));
        merge_alike(&mut arrays, 0);
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
    let array = flatten(&front, 100, 0);
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
