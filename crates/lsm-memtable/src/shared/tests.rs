//! Merges that reads pay for: when, and beside what goes on meanwhile.

use std::sync::Mutex as Lock;

use bytes::Bytes;

use crate::maintenance::UnderWay;
use crate::parts::merged;
use crate::{Memtable, MemtableCursor};

use super::*;

/// A memtable, and the maintenance that it asked for.
pub(crate) struct Store {
    pub(crate) memtable: Memtable,
    pub(crate) wanted: Arc<Lock<Vec<Maintenance>>>,
    pub(crate) seqno: u64,
}

/// Entries of a front that is full.
pub(crate) const FRONT_ENTRIES: u32 = 8192;

/// So long that a batch is far smaller than the one before: no two are merged by the writer.
const BATCHES: [u32; 4] = [4096, 1024, 256, 64];

/// Far more than any merge here has to be paid with.
const READS_MAX: u32 = 1_000_000;

impl Store {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn array_count(&self) -> usize {
        self.memtable.shared.parts().arrays.len()
    }

    pub(crate) fn put_batch(&mut self, len: u32) {
        self.seqno += 1;
        let keys: Vec<_> = (0..len).map(u32::to_be_bytes).collect();
        let value = self.seqno.to_le_bytes();
        let entries = keys.iter().map(|key| (&key[..], Some(&value[..])));
        self.memtable
            .insert_large_batch(self.seqno, entries, Bytes::copy_from_slice);
    }

    pub(crate) fn put(&mut self, key: u32) {
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
