//! Maintenance: who asks for it and when, and what goes on beside it.

use std::sync::Mutex as Lock;

use bytes::Bytes;

use crate::maintenance::UnderWay;
use crate::parts::merged;
use crate::{Memtable, MemtableCursor};

use super::*;

/// A memtable, and the maintenance that it asked for.
struct Store {
    memtable: Memtable,
    wanted: Arc<Lock<Vec<Maintenance>>>,
    seqno: u64,
}

/// Entries of a front that is full.
const FRONT_ENTRIES: u32 = 8192;

/// So long that a batch is far smaller than the one before: no two are merged by the writer.
const BATCHES: [u32; 4] = [4096, 1024, 256, 64];

/// Far more than any merge here has to be paid with.
const READS_MAX: u32 = 1_000_000;

impl Store {
    fn new() -> Self {
        let wanted = Arc::new(Lock::new(Vec::new()));
        let list = Arc::clone(&wanted);
        let memtable = Memtable::new()
            .with_maintenance(move |maintenance| list.lock().unwrap().push(maintenance))
            .with_disposal(drop);
        let mut store = Self {
            memtable,
            wanted,
            seqno: 0,
        };
        for len in BATCHES {
            store.put_batch(len);
        }
        assert_eq!(store.array_count(), BATCHES.len());
        store
    }

    fn array_count(&self) -> usize {
        self.memtable.shared.parts().arrays.len()
    }

    fn put_batch(&mut self, len: u32) {
        self.seqno += 1;
        let keys: Vec<_> = (0..len).map(u32::to_be_bytes).collect();
        let value = self.seqno.to_le_bytes();
        let entries = keys.iter().map(|key| (&key[..], Some(&value[..])));
        self.memtable
            .insert_large_batch(self.seqno, entries, Bytes::copy_from_slice);
    }

    fn put(&mut self, key: u32) {
        self.seqno += 1;
        let value = Bytes::copy_from_slice(&self.seqno.to_le_bytes());
        let key = Bytes::copy_from_slice(&key.to_be_bytes());
        self.memtable.insert(self.seqno, key, Some(value));
    }

    /// Reads keys of the oldest array alone until a merge is wanted, or there were so many.
    fn read(&self, reads_max: u32) -> Option<Maintenance> {
        for number in 0..reads_max {
            let key = (2100 + number % 1900).to_be_bytes();
            assert!(self.memtable.get(&key, self.seqno).is_some());
            if let Some(merge) = self.wanted.lock().unwrap().pop() {
                return Some(merge);
            }
        }
        None
    }

    /// All that it answers: each key at each seqno.
    fn answers(&self, seqno_max: u64) -> Vec<Option<u64>> {
        let keys = (0..4200).step_by(7);
        let at = |seqno: u64| keys.clone().map(move |key: u32| (key.to_be_bytes(), seqno));
        let found = (0..=seqno_max).flat_map(at).map(|(key, seqno)| {
            let found = self.memtable.get(&key, seqno)?;
            Some(found.seqno)
        });
        found.collect()
    }
}

#[test]
fn reads_that_search_many_arrays_have_them_merged_once_it_pays() {
    let store = Store::new();
    let (before, bytes) = (store.answers(store.seqno), store.memtable.bytes());
    drop(store.wanted.lock().unwrap().drain(..));
    let entries: u32 = BATCHES.iter().sum();
    // Each searches three in vain, and two entries are merged for what a search costs.
    assert!(store.read(entries / 2 / 3 / 4).is_none(), "too early");
    let merge = store.read(entries).expect("a merge that pays");
    merge.run();
    assert_eq!(store.array_count(), 1);
    assert_eq!(store.answers(store.seqno), before);
    assert_eq!(store.memtable.bytes(), bytes);
    assert!(store.read(10 * entries).is_none(), "there is but one array");
}

#[test]
fn what_is_written_during_a_merge_is_there_behind_it() {
    let mut store = Store::new();
    let merge = store.read(READS_MAX).unwrap();
    let shared = Arc::clone(&store.memtable.shared);
    let (before, step) = shared.begin_step().unwrap();
    let Step::Merge(range) = step else {
        panic!("no front was sealed");
    };
    let under_way = UnderWay(&shared);
    assert!(shared.begin_step().is_none(), "one at a time");
    // The writer merges what it adds, and nothing else.
    for _ in 0..60 {
        store.put_batch(64);
        assert!(store.array_count() < BATCHES.len() + 9);
    }
    for key in 4000..4100 {
        store.put(key);
    }
    let merged = merged(&before.arrays);
    let added = store.array_count() - BATCHES.len();
    let (seqno, bytes) = (store.seqno, store.memtable.bytes());
    let answers = store.answers(seqno);
    shared.end_merge(&before, range, merged);
    drop(under_way);
    drop(merge);
    assert_eq!(store.array_count(), 1 + added);
    assert_eq!(store.answers(seqno), answers);
    assert_eq!(store.memtable.bytes(), bytes, "the front counts");
    // From now on the writer merges all of them again.
    assert_eq!(shared.lock_writer().being_merged, 0);
}

#[test]
fn one_merge_is_asked_for_at_a_time_and_another_when_reads_have_paid_for_it() {
    let mut store = Store::new();
    let merge = store.read(READS_MAX).unwrap();
    assert!(store.read(10_000).is_none(), "one is wanted already");
    drop(merge);
    assert!(
        store.read(200).is_none(),
        "what reads did before is forgotten"
    );
    store.read(READS_MAX).unwrap().run();
    store.put_batch(1024);
    let merge = store.read(READS_MAX).unwrap();
    drop(store.memtable);
    assert_eq!(merge.memory_bytes(), 0);
    merge.run();
}

#[test]
fn nothing_is_merged_while_cursors_keep_as_much_alive_as_that_would_take() {
    let mut store = Store::new();
    let mut cursors = Vec::new();
    for round in 0..4 {
        cursors.push(store.memtable.cursor(store.seqno));
        store.read(READS_MAX).unwrap().run();
        store.put_batch(2048);
        assert_eq!(store.array_count() > 2, round > 1, "{round}");
    }
}

#[test]
fn an_older_cursor_is_spared_what_is_too_new_for_it() {
    let mut store = Store::new();
    let mut cursor = store.memtable.cursor(1);
    let parts = |cursor: &MemtableCursor| cursor.part_count();
    assert_eq!(parts(&cursor), 1 + 1, "the front, and one array");
    for _ in 0..40 {
        store.put_batch(2048);
    }
    let merge = store.read(READS_MAX).unwrap();
    merge.run();
    assert_eq!(store.array_count(), 1);
    cursor.seek(&77_u32.to_be_bytes());
    assert_eq!((parts(&cursor), cursor.seqno()), (1 + 1, 1));
    assert!(
        store.memtable.superseded_bytes() > 0,
        "it keeps what it had"
    );
}

#[test]
fn a_cursor_goes_on_with_the_merged_array_at_its_next_seek() {
    let store = Store::new();
    let mut cursor = store.memtable.cursor(2);
    cursor.seek(&2000_u32.to_be_bytes());
    store.read(READS_MAX).unwrap().run();
    assert!(store.memtable.superseded_bytes() > 0, "the cursor has them");
    // It stands where it stood, and steps on.
    assert_eq!(cursor.key(), Some(&2000_u32.to_be_bytes()[..]));
    cursor.next();
    assert_eq!(cursor.key(), Some(&2001_u32.to_be_bytes()[..]));
    cursor.seek(&100_u32.to_be_bytes());
    assert_eq!(store.memtable.superseded_bytes(), 0);
    assert_eq!(
        (cursor.key(), cursor.seqno()),
        (Some(&100_u32.to_be_bytes()[..]), 2)
    );
    cursor.seek(&1024_u32.to_be_bytes());
    assert_eq!(cursor.seqno(), 1, "older versions are there too");
}

#[test]
fn cursors_that_seek_in_many_arrays_ask_for_a_merge_too() {
    let store = Store::new();
    let mut cursor = store.memtable.cursor(store.seqno);
    let seeks = (0..READS_MAX).take_while(|number| {
        cursor.seek(&(number % 4096).to_be_bytes());
        store.wanted.lock().unwrap().is_empty()
    });
    assert!(seeks.count() < 4096);
}

#[test]
fn reads_search_no_array_that_is_too_new_for_them() {
    let store = Store::new();
    for number in 0..100_000_u32 {
        // The oldest alone is visible, and has half of these keys.
        let _ = store.memtable.get(&(number % 8192).to_be_bytes(), 1);
    }
    assert!(store.wanted.lock().unwrap().is_empty());
}

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
        2 * u64::from(FRONT_ENTRIES) * (crate::ENTRY_OVERHEAD_BYTES - 32),
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
        without - front * (crate::ENTRY_OVERHEAD_BYTES - 32)
    );
}

#[test]
fn maintenance_is_run_step_by_step_and_says_what_each_takes() {
    let mut store = Store::empty();
    store.fill_fronts(2);
    let entry = 4 + 8 + crate::ENTRY_OVERHEAD_BYTES;
    for left in [1, 0] {
        let maintenance = store.next_wanted().unwrap();
        assert_eq!(maintenance.memory_bytes(), u64::from(FRONT_ENTRIES) * entry);
        maintenance.run();
        assert_eq!(store.sealed_count(), left);
        assert_eq!(store.wanted_count(), left, "asked for while there is more");
    }
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
    cursor.next();
    assert_eq!(cursor.key(), Some(&8_u32.to_be_bytes()[..]));
    drop(cursor);
    assert_eq!(store.memtable.superseded_bytes(), 0);
}
