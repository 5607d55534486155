//! Maintenance by steps: fronts that wait for it, and what comes between.

use std::sync::Arc;
use std::sync::Mutex as Lock;

use bytes::Bytes;

use super::*;
use crate::memtable::{ENTRY_OVERHEAD_BYTES, Memtable};
use crate::shared::Step;
use crate::shared::tests::{FRONT_ENTRIES, Store};

impl Store {
    /// One that has no arrays yet.
    fn empty() -> Self {
        let wanted = Arc::new(Lock::new(Vec::new()));
        let list = Arc::clone(&wanted);
        let memtable = Memtable::new();
        Self {
            memtable: memtable
                .with_maintenance(move |maintenance| list.lock().unwrap().push(maintenance)),
            wanted,
            seqno: 0,
        }
    }

    /// Fills so many fronts, and begins another. Each has a newer version of some key of the one before.
    fn fill_fronts(&mut self, fronts: u32) {
        for number in 0..fronts * FRONT_ENTRIES + 1 {
            self.put(number % (FRONT_ENTRIES + 100));
        }
    }

    /// Runs what is asked for until nothing is.
    fn maintain(&self) {
        while let Some(maintenance) = self.next_wanted() {
            maintenance.run();
        }
    }

    fn next_wanted(&self) -> Option<Maintenance> {
        self.wanted.lock().unwrap().pop()
    }

    fn sealed_count(&self) -> usize {
        self.memtable.shared.parts().sealed.len()
    }

    fn wanted_count(&self) -> usize {
        self.wanted.lock().unwrap().len()
    }

    /// Keys and seqnos that a cursor shows, forward or backward.
    fn shown(&self, seqno: u64, is_forward: bool) -> Vec<(Bytes, u64)> {
        let mut cursor = self.memtable.cursor(seqno);
        if is_forward {
            cursor.seek_first();
        } else {
            cursor.seek_last();
        }
        let mut shown = Vec::new();
        while cursor.key().is_some() {
            shown.push((cursor.key_bytes(), cursor.seqno()));
            if is_forward {
                cursor.next();
            } else {
                cursor.prev();
            }
        }
        shown
    }
}

#[test]
fn fronts_that_fill_up_wait_for_maintenance_and_answer_meanwhile() {
    let mut store = Store::empty();
    store.fill_fronts(2);
    assert_eq!((store.sealed_count(), store.array_count()), (2, 0));
    assert_eq!(store.wanted_count(), 1, "asked for once");
    let seqnos = [100, 8_192, 8_193, 9_000, 16_384, store.seqno];
    let shown = |store: &Store| {
        let at = |seqno| [store.shown(seqno, true), store.shown(seqno, false)];
        seqnos.map(at)
    };
    let key = 50_u32.to_be_bytes();
    let found = |store: &Store| seqnos.map(|seqno| store.memtable.get(&key, seqno));
    let (shown_before, found_before) = (shown(&store), found(&store));
    assert_eq!(shown_before[0][0].len(), 100);
    assert_eq!(found_before[0].as_ref().unwrap().seqno, 51);
    assert_eq!(found_before[4].as_ref().unwrap().seqno, 8_192 + 100 + 51);
    let bytes = store.memtable.bytes();
    store.maintain();
    assert_eq!((store.sealed_count(), store.array_count()), (0, 2));
    assert_eq!((shown(&store), found(&store)), (shown_before, found_before));
    assert_eq!(
        bytes - store.memtable.bytes(),
        2 * u64::from(FRONT_ENTRIES) * (ENTRY_OVERHEAD_BYTES - 32),
        "sealed fronts count as fronts"
    );
    assert_eq!(
        store.memtable.superseded_bytes(),
        0,
        "nobody has the fronts"
    );
    assert_eq!(store.wanted_count(), 0);
}

#[test]
fn a_front_of_a_few_entries_becomes_an_array_at_once() {
    let wanted = Arc::new(Lock::new(0));
    let count = Arc::clone(&wanted);
    let memtable = Memtable::new()
        .with_front_bytes_max(2_000)
        .with_maintenance(move |_| *count.lock().unwrap() += 1);
    for (seqno, key) in (0..10_u32).map(u32::to_be_bytes).enumerate() {
        let key = Bytes::copy_from_slice(&key);
        memtable.insert(seqno as u64, key, Some(Bytes::from(vec![0; 200])));
    }
    let parts = memtable.shared.parts();
    assert_eq!((parts.sealed.len(), parts.arrays.len()), (0, 1));
    assert_eq!(*wanted.lock().unwrap(), 0);
}

#[test]
fn maintenance_merges_what_fronts_became() {
    let mut store = Store::empty();
    store.fill_fronts(4);
    store.maintain();
    assert_eq!((store.sealed_count(), store.array_count()), (0, 1));
    assert_eq!(store.memtable.shared.lock_writer().being_merged, 0);
}

#[test]
fn a_writer_whose_maintenance_is_late_makes_arrays_itself() {
    let mut store = Store::empty();
    store.fill_fronts(9);
    assert_eq!(store.sealed_count(), 4);
    assert_eq!(store.array_count(), 2, "four of five are one");
    let shown = store.shown(store.seqno, true);
    assert_eq!(shown.len(), FRONT_ENTRIES as usize + 100);
    store.maintain();
    assert_eq!(store.sealed_count(), 0);
    assert_eq!(store.shown(store.seqno, true), shown);
}

#[test]
fn maintenance_that_is_dropped_is_asked_for_by_the_next_front() {
    let mut store = Store::empty();
    store.fill_fronts(1);
    drop(store.next_wanted().unwrap());
    assert_eq!(store.wanted_count(), 0);
    store.fill_fronts(1);
    assert_eq!(store.wanted_count(), 1);
}

#[test]
fn a_large_batch_goes_before_fronts_that_wait() {
    let mut store = Store::empty();
    store.fill_fronts(2);
    store.put_batch(64);
    assert_eq!((store.sealed_count(), store.array_count()), (0, 4));
    let seqno = |key: u32, at: u64| store.memtable.get(&key.to_be_bytes(), at).unwrap().seqno;
    assert_eq!(seqno(50, store.seqno), store.seqno);
    assert_eq!(seqno(50, store.seqno - 1), 8_192 + 100 + 51);
    assert_eq!(seqno(50, 8_192), 51);
}

/// The writer could not wait, or a large batch made an array of the front.
#[test]
fn an_array_that_comes_too_late_is_let_go() {
    for is_by_batch in [false, true] {
        let mut store = Store::empty();
        store.fill_fronts(1);
        let shared = Arc::clone(&store.memtable.shared);
        let Some((_, Step::Flatten(sealed))) = shared.begin_step() else {
            panic!("a front is sealed");
        };
        if is_by_batch {
            store.put_batch(64);
        } else {
            store.fill_fronts(4);
        }
        let left = if is_by_batch { 0 } else { 4 };
        assert_eq!(store.sealed_count(), left);
        let (arrays, bytes) = (store.array_count(), store.memtable.bytes());
        let shown = store.shown(store.seqno, true);
        shared.end_flatten(&mut shared.lock_writer(), &sealed, sealed.flatten());
        assert_eq!(
            (store.sealed_count(), store.array_count()),
            (left, arrays),
            "by a batch: {is_by_batch}"
        );
        assert_eq!(store.memtable.bytes(), bytes);
        assert_eq!(store.shown(store.seqno, true), shown);
    }
}

#[test]
fn slack_is_counted_while_a_front_waits_and_forgotten_with_it() {
    let mut store = Store::empty();
    store.fill_fronts(1);
    let without = store.memtable.bytes();
    let mut store = Store::empty();
    store.put(0);
    store.memtable.add_slack(1_000);
    for number in 1..=FRONT_ENTRIES {
        store.put(number);
    }
    assert_eq!(store.sealed_count(), 1);
    assert_eq!(store.memtable.bytes(), without + 1_000);
    store.maintain();
    let (front, array) = (u64::from(FRONT_ENTRIES), store.array_count());
    assert_eq!(array, 1);
    assert_eq!(
        store.memtable.bytes(),
        without - front * (ENTRY_OVERHEAD_BYTES - 32)
    );
}

#[test]
fn maintenance_is_run_step_by_step_and_says_what_each_takes() {
    let mut store = Store::empty();
    store.fill_fronts(2);
    let entry = 4 + 8 + ENTRY_OVERHEAD_BYTES;
    for left in [1, 0] {
        let maintenance = store.next_wanted().unwrap();
        assert_eq!(maintenance.memory_bytes(), u64::from(FRONT_ENTRIES) * entry);
        maintenance.run();
        assert_eq!(store.sealed_count(), left);
        assert_eq!(store.wanted_count(), left, "asked for while there is more");
    }
    store.memtable.shared.note_searches(1 << 40);
    assert_eq!(
        Maintenance::of(&store.memtable.shared).memory_bytes(),
        2 * u64::from(FRONT_ENTRIES) * (4 + 8 + 32),
        "both arrays"
    );
}

/// Between the last look for something to do and the word that it is done.
#[test]
fn a_front_that_fills_up_as_maintenance_ends_is_not_forgotten() {
    let mut store = Store::empty();
    store.fill_fronts(1);
    let maintenance = store.next_wanted().unwrap();
    let shared = Arc::clone(&store.memtable.shared);
    let Some((_, Step::Flatten(sealed))) = shared.begin_step() else {
        panic!("a front is sealed");
    };
    shared.end_flatten(&mut shared.lock_writer(), &sealed, sealed.flatten());
    assert!(shared.begin_step().is_none(), "nothing is left to do");
    store.fill_fronts(1);
    assert_eq!(store.wanted_count(), 0, "it is asked for already");
    maintenance.finish();
    assert_eq!(store.wanted_count(), 1);
}

#[test]
fn a_cursor_from_before_goes_on_with_the_front_it_has() {
    let mut store = Store::empty();
    store.fill_fronts(1);
    let mut cursor = store.memtable.cursor(store.seqno);
    cursor.seek(&7_u32.to_be_bytes());
    store.maintain();
    assert!(store.memtable.superseded_bytes() > 0);
    for key in 8..FRONT_ENTRIES {
        cursor.next();
        assert_eq!(cursor.key(), Some(&key.to_be_bytes()[..]));
    }
    // Its next seek lets go of it.
    cursor.seek_first();
    assert_eq!(store.memtable.superseded_bytes(), 0);
}

#[test]
fn what_reads_have_paid_is_not_lost_because_a_front_filled_up() {
    let mut store = Store::new();
    for key in 0..=FRONT_ENTRIES {
        store.put(key);
    }
    assert_eq!(store.sealed_count(), 1);
    store.memtable.shared.note_searches(1 << 40);
    store.maintain();
    assert_eq!((store.sealed_count(), store.array_count()), (0, 1));
}

#[test]
fn maintenance_may_be_run_in_place() {
    let mut store = Store::empty();
    store.memtable = Memtable::new().with_maintenance(Maintenance::run);
    store.fill_fronts(9);
    assert_eq!((store.sealed_count(), store.array_count()), (0, 3));
}

#[test]
fn a_small_front_waits_behind_others_and_has_none_of_them_flattened() {
    let mut store = Store::empty();
    store.fill_fronts(1);
    let large = Bytes::from(vec![7; 3 << 20]);
    for _ in 0..6 {
        store.seqno += 1;
        let key = Bytes::from("large");
        store.memtable.insert(store.seqno, key, Some(large.clone()));
    }
    assert_eq!((store.sealed_count(), store.array_count()), (3, 0));
}

#[test]
fn sealed_fronts_are_no_arrays_that_a_search_in_vain_is_paid_for() {
    let mut store = Store::empty();
    store.fill_fronts(1);
    store.maintain();
    store.fill_fronts(1);
    drop(store.next_wanted());
    assert_eq!((store.sealed_count(), store.array_count()), (1, 1));
    let mut cursor = store.memtable.cursor(store.seqno);
    for number in 0..100_000_u32 {
        cursor.seek(&(number % FRONT_ENTRIES).to_be_bytes());
    }
    assert_eq!(store.wanted_count(), 0);
}
