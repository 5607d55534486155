//! What the tests of several cursors share: awkward keys, random walks, and the model they walk on.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use lsm_version::{RunMeta, Version, VersionEdit};
use quickcheck::{Arbitrary, Gen};

use crate::cursor::{Cursor, SliceCursor};

pub(crate) type Entries = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A key from a small set, so that sources collide, with heads that tie in every way: shorter than
/// eight bytes, zero-padded, all ones, and longer with the same first eight bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) Vec<u8>);

impl Arbitrary for Key {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut key = g
            .choose(&[&b""[..], b"a", b"\0\0", b"prefix--", &[0xff; 8]])
            .map_or_else(Vec::new, |prefix| prefix.to_vec());
        for _ in 0..u8::arbitrary(g) % 3 {
            key.push(*g.choose(&[0, b'a', b'b', b'm', 0xff]).unwrap_or(&0));
        }
        Self(key)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

/// One move of a walk.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    First,
    Last,
    Seek(Key),
    SeekForPrev(Key),
    Next(u8),
    Prev(u8),
}

impl Arbitrary for Move {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 10 {
            0 => Self::First,
            1 => Self::Last,
            2 => Self::Seek(Key::arbitrary(g)),
            3 => Self::SeekForPrev(Key::arbitrary(g)),
            4..7 => Self::Next(u8::arbitrary(g) % 24),
            _ => Self::Prev(u8::arbitrary(g) % 24),
        }
    }
}

/// Walks `cursor` and a plain position in `model` side by side; fails where they differ.
pub(crate) fn walk<C: Cursor<Error = Infallible>>(cursor: &mut C, model: &Entries, moves: &[Move]) {
    let mut at: Option<usize> = None;
    for step in moves {
        let times = match step {
            Move::Next(times) | Move::Prev(times) => *times,
            _ => 1,
        };
        for _ in 0..times {
            let Ok(()) = match step {
                Move::First => cursor.seek_first(),
                Move::Last => cursor.seek_last(),
                Move::Seek(key) => cursor.seek(&key.0),
                Move::SeekForPrev(key) => cursor.seek_for_prev(&key.0),
                Move::Next(_) => cursor.next(),
                Move::Prev(_) => cursor.prev(),
            };
            at = match step {
                Move::First => Some(0),
                Move::Last => model.len().checked_sub(1),
                Move::Seek(key) => Some(model.partition_point(|entry| entry.0 < key.0)),
                Move::SeekForPrev(key) => model
                    .partition_point(|entry| entry.0 <= key.0)
                    .checked_sub(1),
                Move::Next(_) => at.map(|at| at + 1),
                Move::Prev(_) => at.and_then(|at| at.checked_sub(1)),
            }
            .filter(|at| *at < model.len());
            let expected = at.map(|at| &model[at]);
            assert_eq!(
                cursor.key(),
                expected.map(|entry| entry.0.as_slice()),
                "{step:?}"
            );
            assert_eq!(
                cursor.value(),
                expected.and_then(|entry| entry.1.as_deref()),
                "{step:?}"
            );
            assert_eq!(cursor.key_bytes().as_deref(), cursor.key());
            assert_eq!(cursor.value_bytes().as_deref(), cursor.value());
            assert_agrees_with_itself(cursor);
        }
    }
}

/// What answers two questions at once, or less than one, says the same as key and value.
fn assert_agrees_with_itself<C: Cursor>(cursor: &C) {
    let entry = cursor.key().map(|key| (key, cursor.value()));
    assert_eq!(cursor.entry(), entry);
    assert_eq!(cursor.is_positioned(), entry.is_some());
    assert_eq!(
        cursor.is_tombstone(),
        entry.is_some_and(|(_, value)| value.is_none())
    );
    let owned = cursor.entry_bytes();
    let lent = owned
        .as_ref()
        .map(|(key, value)| (&**key, value.as_deref()));
    assert_eq!(lent, entry);
}

/// What a merge of `sources`, newest first, should show.
pub(crate) fn union(sources: &[Entries]) -> Entries {
    let mut all = BTreeMap::new();
    for source in sources.iter().rev() {
        all.extend(source.iter().cloned());
    }
    all.into_iter().collect()
}

/// `keys` as a sorted source; every third entry is a tombstone, and values name the source.
pub(crate) fn source(keys: Vec<Key>, name: usize) -> Entries {
    let mut keys: Vec<_> = keys.into_iter().map(|key| key.0).collect();
    keys.sort();
    keys.dedup();
    let value = |at: usize| (at % 3 != 2).then(|| format!("{name}/{at}").into_bytes());
    keys.into_iter()
        .enumerate()
        .map(|(at, key)| (key, value(at)))
        .collect()
}

/// `count` entries whose keys are numbers from `first` on, in steps of `step`.
pub(crate) fn numbered(first: usize, step: usize, count: usize) -> Entries {
    let entry = |at: usize| {
        (
            format!("prefix--{:08}", first + at * step).into_bytes(),
            Some(vec![1]),
        )
    };
    (0..count).map(entry).collect()
}

/// The error of a [`Probe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken;

/// Counts how often its key is asked for, and fails at a chosen move.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    inner: SliceCursor<'a, Vec<u8>, Vec<u8>>,
    pub(crate) key_reads: Rc<Cell<usize>>,
    /// Moves until one fails; then it works again.
    pub(crate) moves_left: Rc<Cell<usize>>,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(entries: &'a Entries) -> Self {
        Self {
            inner: SliceCursor::new(entries),
            key_reads: Rc::default(),
            moves_left: Rc::new(Cell::new(usize::MAX)),
        }
    }

    fn count(&mut self) -> Result<(), Broken> {
        let left = self.moves_left.get();
        self.moves_left
            .set(left.checked_sub(1).unwrap_or(usize::MAX));
        if left == 0 { Err(Broken) } else { Ok(()) }
    }
}

impl Cursor for Probe<'_> {
    type Error = Broken;

    fn seek_first(&mut self) -> Result<(), Broken> {
        self.count()?;
        let Ok(()) = self.inner.seek_first();
        Ok(())
    }

    fn seek_last(&mut self) -> Result<(), Broken> {
        self.count()?;
        let Ok(()) = self.inner.seek_last();
        Ok(())
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), Broken> {
        self.count()?;
        let Ok(()) = self.inner.seek(key);
        Ok(())
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), Broken> {
        self.count()?;
        let Ok(()) = self.inner.seek_for_prev(key);
        Ok(())
    }

    fn next(&mut self) -> Result<(), Broken> {
        self.count()?;
        let Ok(()) = self.inner.next();
        Ok(())
    }

    fn prev(&mut self) -> Result<(), Broken> {
        self.count()?;
        let Ok(()) = self.inner.prev();
        Ok(())
    }

    fn key(&self) -> Option<&[u8]> {
        self.key_reads.set(self.key_reads.get() + 1);
        self.inner.key()
    }

    fn value(&self) -> Option<&[u8]> {
        self.inner.value()
    }

    fn steps_below(&self, limit: &[u8]) -> usize {
        self.inner.steps_below(limit)
    }

    fn steps_above(&self, limit: &[u8]) -> usize {
        self.inner.steps_above(limit)
    }
}

/// A run of ten entries and `file_len` bytes that spans `smallest..=largest`.
pub(crate) fn run_meta(id: u64, smallest: &str, largest: &str, file_len: u64) -> Arc<RunMeta> {
    Arc::new(RunMeta {
        id,
        file_len,
        entry_count: 10,
        tombstone_count: 0,
        index_len: 0,
        index_crc: 0,
        smallest_key: smallest.to_owned().into(),
        largest_key: largest.to_owned().into(),
    })
}

/// A version of `runs`, each with its level; level 0 newest first.
pub(crate) fn version(runs: &[(u8, &Arc<RunMeta>)]) -> Version {
    let added = runs
        .iter()
        .rev()
        .map(|(level, run)| (*level, Arc::clone(run)))
        .collect();
    Version::empty()
        .apply(&VersionEdit {
            added,
            ..VersionEdit::default()
        })
        .unwrap()
}
