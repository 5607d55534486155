//! Cursors against a sorted model, in both directions, beside later writes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::*;
use crate::Maintenance;
use crate::Memtable;
use crate::parts::Parts;

fn numbered(count: u32) -> Arc<Memtable> {
    let memtable = Arc::new(Memtable::new());
    for number in 0..count {
        let key = Bytes::copy_from_slice(&number.to_be_bytes());
        memtable.insert(1 + u64::from(number), key, Some(Bytes::from_static(b"v")));
    }
    memtable
}

fn number(cursor: &MemtableCursor) -> Option<u32> {
    cursor
        .key()
        .map(|key| u32::from_be_bytes(key.try_into().unwrap()))
}

#[test]
fn an_unpositioned_cursor_shows_nothing_and_stays_where_it_is() {
    let memtable = numbered(3);
    let mut cursor = memtable.cursor(u64::MAX);
    let assert_unpositioned = |cursor: &MemtableCursor| {
        assert_eq!(
            (cursor.key(), cursor.value(), cursor.seqno()),
            (None, None, 0)
        );
        assert_eq!(
            (cursor.key_bytes(), cursor.value_bytes()),
            (Bytes::new(), None)
        );
    };
    assert_unpositioned(&cursor);
    cursor.next();
    assert_unpositioned(&cursor);
    cursor.prev();
    assert_unpositioned(&cursor);

    cursor.seek_last();
    cursor.next();
    assert_unpositioned(&cursor);
    cursor.prev();
    assert_unpositioned(&cursor);

    cursor.seek_first();
    cursor.prev();
    assert_unpositioned(&cursor);
    cursor.seek_first();
    assert_eq!(number(&cursor), Some(0));
}

#[test]
fn an_empty_memtable_has_no_position() {
    let memtable = Arc::new(Memtable::new());
    let mut cursor = memtable.cursor(u64::MAX);
    let seeks: [fn(&mut MemtableCursor); 4] = [
        MemtableCursor::seek_first,
        MemtableCursor::seek_last,
        |cursor| cursor.seek(b"k"),
        |cursor| cursor.seek_for_prev(b"k"),
    ];
    for seek in seeks {
        seek(&mut cursor);
        assert_eq!(cursor.key(), None);
    }
}

#[test]
fn a_cursor_turns_round_anywhere() {
    let memtable = numbered(600);
    let mut cursor = memtable.cursor(u64::MAX);
    cursor.seek_first();
    for turn in 0..590 {
        assert_eq!(number(&cursor), Some(turn));
        cursor.next();
        cursor.prev();
        assert_eq!(number(&cursor), Some(turn), "forward, back");
        cursor.next();
    }
    cursor.seek_last();
    for turn in (10..600).rev() {
        assert_eq!(number(&cursor), Some(turn));
        cursor.prev();
        cursor.next();
        assert_eq!(number(&cursor), Some(turn), "back, forward");
        cursor.prev();
    }
}

#[test]
fn a_cursor_keeps_its_memtable_alive() {
    let memtable = numbered(300);
    let mut cursor = memtable.cursor(u64::MAX);
    drop(memtable);
    cursor.seek_first();
    let mut count = 0;
    while cursor.key().is_some() {
        count += 1;
        cursor.next();
    }
    assert_eq!(count, 300);
}

#[test]
fn a_cursor_sees_tombstones() {
    let memtable = Arc::new(Memtable::new());
    memtable.insert(1, Bytes::from_static(b"k"), Some(Bytes::new()));
    memtable.insert(2, Bytes::from_static(b"k"), None);
    let mut cursor = memtable.cursor(2);
    cursor.seek(b"k");
    assert_eq!(
        (cursor.key(), cursor.value(), cursor.seqno()),
        (Some(&b"k"[..]), None, 2)
    );
    let mut older = memtable.cursor(1);
    older.seek(b"k");
    assert_eq!(
        older.value(),
        Some(&b""[..]),
        "an empty value is not a tombstone"
    );
}

/// A key out of few hundred, with long common prefixes and zeros among them.
#[derive(Clone, Debug, PartialEq)]
struct Key(Vec<u8>);

impl Arbitrary for Key {
    fn arbitrary(g: &mut Gen) -> Self {
        let prefixes = [&b""[..], b"\0", b"prefix", b"a long prefix/"];
        let prefix = *g.choose(&prefixes).unwrap();
        let mut key = prefix.to_vec();
        for _ in 0..u8::arbitrary(g) % 3 {
            key.push(u8::arbitrary(g) % 12);
        }
        Self(key)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put {
        key: Key,
        value: Option<u8>,
        same_seqno: bool,
    },
    PutMany(Vec<(Key, Option<u8>)>),
    Open {
        back: u8,
    },
    SeekFirst,
    SeekLast,
    Seek(Key),
    SeekForPrev(Key),
    Next(u8),
    Prev(u8),
    Get(Key),
    /// All that there is to do, as if reads had paid for a merge of all arrays.
    Maintain,
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 34 {
            31 => {
                let count = u8::arbitrary(g) % 20;
                let entries = (0..count).map(|_| (Key::arbitrary(g), Option::arbitrary(g)));
                Step::PutMany(entries.collect())
            }
            0..20 => Step::Put {
                key: Key::arbitrary(g),
                value: Option::arbitrary(g),
                same_seqno: u8::arbitrary(g).is_multiple_of(4),
            },
            20 => Step::Open {
                back: u8::arbitrary(g),
            },
            21 => Step::SeekFirst,
            22 => Step::SeekLast,
            23 => Step::Seek(Key::arbitrary(g)),
            24 => Step::SeekForPrev(Key::arbitrary(g)),
            25..28 => Step::Next(u8::arbitrary(g) % 100),
            28..=30 => Step::Prev(u8::arbitrary(g) % 100),
            32 => Step::Get(Key::arbitrary(g)),
            33.. => Step::Maintain,
        }
    }
}

type Versions = BTreeMap<(Vec<u8>, Reverse<u64>), Option<Vec<u8>>>;
type Visible = Vec<(Vec<u8>, u64, Option<Vec<u8>>)>;

/// The newest version at or below `seqno` of each key, ascending.
fn visible_at(versions: &Versions, seqno: u64) -> Visible {
    let mut visible = Visible::new();
    for ((key, Reverse(version)), value) in versions {
        let newer_seen = visible.last().is_some_and(|(last, ..)| last == key);
        if *version <= seqno && !newer_seen {
            visible.push((key.clone(), *version, value.clone()));
        }
    }
    visible
}

/// A memtable and a cursor of it, each beside its model.
struct Pair {
    memtable: Arc<Memtable>,
    versions: Versions,
    seqno: u64,
    /// The batch of `seqno` was large, and is whole.
    seqno_is_sorted: bool,
    cursor: MemtableCursor,
    visible: Visible,
    position: Option<usize>,
}

impl Pair {
    /// Some entries fill the front, so that all that follows meets arrays too, and sealed fronts if it is
    /// maintained.
    fn new(front_bytes_max: u64, is_maintained: bool) -> Self {
        let memtable = Memtable::new().with_front_bytes_max(front_bytes_max);
        let memtable = Arc::new(if is_maintained {
            memtable.with_maintenance(drop)
        } else {
            memtable
        });
        Self {
            cursor: memtable.cursor(0),
            memtable,
            versions: Versions::new(),
            seqno: 0,
            seqno_is_sorted: false,
            visible: Visible::new(),
            position: None,
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Put {
                key,
                value,
                same_seqno,
            } => {
                // A seqno that a cursor may be reading at is published: it takes no more entries.
                if !same_seqno || self.seqno_is_sorted || self.cursor.seqno >= self.seqno {
                    self.seqno += 1;
                }
                self.seqno_is_sorted = false;
                let value = value.map(|value| vec![value; usize::from(value % 5)]);
                self.memtable.insert(
                    self.seqno,
                    Bytes::from(key.0.clone()),
                    value.clone().map(Bytes::from),
                );
                self.versions
                    .insert((key.0.clone(), Reverse(self.seqno)), value);
            }
            Step::PutMany(entries) => {
                if entries.is_empty() {
                    return;
                }
                (self.seqno, self.seqno_is_sorted) = (self.seqno + 1, true);
                let values = entries.iter();
                let values: Vec<_> = values.map(|(_, tag)| tag.map(|tag| vec![tag; 3])).collect();
                let batch = entries.iter().zip(&values);
                let batch = batch.map(|((key, _), value)| (&key.0[..], value.as_deref()));
                let copy = Bytes::copy_from_slice;
                self.memtable.insert_large_batch(self.seqno, batch, copy);
                for ((key, _), value) in entries.iter().zip(values) {
                    let version = (key.0.clone(), Reverse(self.seqno));
                    self.versions.insert(version, value);
                }
            }
            Step::Open { back } => {
                let seqno = self.seqno.saturating_sub(u64::from(*back) / 4);
                self.cursor = self.memtable.cursor(seqno);
                self.visible = visible_at(&self.versions, seqno);
                self.position = None;
            }
            Step::Maintain => {
                let shared = &self.memtable.shared;
                let part_count = |parts: &Parts| parts.sealed.len() + parts.arrays.len();
                let steps_max = part_count(&shared.parts());
                for _ in 0..=steps_max {
                    // Again and again: what is asked for is dropped here, and that with it.
                    shared.note_searches(1 << 40);
                    Maintenance::of(shared).run();
                }
                let parts = shared.parts();
                assert!(parts.sealed.is_empty());
                // Unless cursors keep too much alive.
                let is_crowded = self.memtable.superseded_bytes() > parts.array_bytes();
                assert!(parts.arrays.len() <= 1 || is_crowded);
            }
            Step::SeekFirst => {
                self.cursor.seek_first();
                self.position = (!self.visible.is_empty()).then_some(0);
            }
            Step::SeekLast => {
                self.cursor.seek_last();
                self.position = self.visible.len().checked_sub(1);
            }
            Step::Seek(key) => {
                self.cursor.seek(&key.0);
                let at = self.visible.partition_point(|(other, ..)| *other < key.0);
                self.position = (at < self.visible.len()).then_some(at);
            }
            Step::SeekForPrev(key) => {
                self.cursor.seek_for_prev(&key.0);
                let at = self.visible.partition_point(|(other, ..)| *other <= key.0);
                self.position = at.checked_sub(1);
            }
            Step::Next(count) => {
                for _ in 0..*count {
                    self.cursor.next();
                    let at = self.position.map(|at| at + 1);
                    self.position = at.filter(|at| *at < self.visible.len());
                    self.check();
                }
            }
            Step::Prev(count) => {
                for _ in 0..*count {
                    self.cursor.prev();
                    self.position = self.position.and_then(|at| at.checked_sub(1));
                    self.check();
                }
            }
            Step::Get(key) => {
                let found = self.memtable.get(&key.0, self.cursor.seqno);
                let expected = self.visible.iter().find(|(other, ..)| *other == key.0);
                assert_eq!(
                    found.map(|found| (found.seqno, found.value.map(Vec::from))),
                    expected.map(|(_, seqno, value)| (*seqno, value.clone())),
                );
            }
        }
        self.check();
    }

    fn check(&self) {
        let expected = self.position.map(|at| &self.visible[at]);
        assert_eq!(self.cursor.key(), expected.map(|(key, ..)| &key[..]));
        assert_eq!(
            self.cursor.seqno(),
            expected.map_or(0, |(_, seqno, _)| *seqno)
        );
        assert_eq!(
            self.cursor.value(),
            expected.and_then(|(_, _, value)| value.as_deref())
        );
        assert_eq!(self.memtable.entry_count(), self.versions.len() as u64);
    }
}

#[test]
fn a_cursor_and_get_agree_with_a_sorted_model_at_every_snapshot() {
    fn property(front_bytes_max: u16, steps: Vec<Step>) -> bool {
        let is_maintained = front_bytes_max % 2 == 1;
        let mut pair = Pair::new(u64::from(front_bytes_max % 8192), is_maintained);
        for step in &steps {
            pair.apply(step);
        }
        true
    }
    QuickCheck::new()
        .rng(Gen::new(1_500))
        .tests(400)
        .max_tests(400)
        .quickcheck(property as fn(u16, Vec<Step>) -> bool);
}
