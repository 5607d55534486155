//! Runs against a `BTreeMap`: lookups, cursor moves, and what writers write.

#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

use std::collections::BTreeMap;
use std::ops::Bound;

use lsm_format::{
    BlockSource, Entry, RunBytes, RunCursor, RunFile, RunReader, RunStream, RunWriter, verify,
};
use quickcheck::{Arbitrary, Gen, QuickCheck};

/// Sorted entries whose keys collide in their heads, prefixes and lengths as often as not.
#[derive(Debug, Clone)]
struct Entries(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

#[derive(Debug, Clone)]
struct Key(Vec<u8>);

impl Arbitrary for Key {
    fn arbitrary(g: &mut Gen) -> Self {
        let prefix: &[u8] = g
            .choose(&[&b""[..], b"p", b"shared", b"shared-prefix"])
            .unwrap();
        let len = usize::arbitrary(g) % 11;
        let byte = |g: &mut Gen| *g.choose(&[0, 0, b'a', b'b', 0xff]).unwrap();
        Self(
            prefix
                .iter()
                .copied()
                .chain((0..len).map(|_| byte(g)))
                .collect(),
        )
    }
}

impl Arbitrary for Entries {
    fn arbitrary(g: &mut Gen) -> Self {
        let value = |g: &mut Gen| {
            let len = *g.choose(&[0, 1, 30, 30, 300, 2_000, 5_000]).unwrap();
            (u8::arbitrary(g) % 4 > 0).then(|| vec![u8::arbitrary(g); len])
        };
        let count = *g.choose(&[0, 1, 2, 10, 100]).unwrap();
        Self(
            (0..count)
                .map(|_| (Key::arbitrary(g).0, value(g)))
                .collect(),
        )
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let entries: Vec<_> = self.0.clone().into_iter().collect();
        Box::new(
            entries
                .shrink()
                .map(|entries| Self(entries.into_iter().collect())),
        )
    }
}

impl Entries {
    fn write(&self) -> Vec<u8> {
        let mut writer = RunWriter::new();
        for (key, value) in &self.0 {
            match value {
                Some(value) => writer.put(key, value).unwrap(),
                None => writer.delete(key).unwrap(),
            }
        }
        writer.finish()
    }

    fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        self.0.get(key).map(|value| value.as_deref().into())
    }

    fn first_from(&self, bound: Bound<&[u8]>) -> Option<&[u8]> {
        self.0
            .range::<[u8], _>((bound, Bound::Unbounded))
            .next()
            .map(|(key, _)| &key[..])
    }

    fn last_to(&self, bound: Bound<&[u8]>) -> Option<&[u8]> {
        self.0
            .range::<[u8], _>((Bound::Unbounded, bound))
            .next_back()
            .map(|(key, _)| &key[..])
    }
}

#[derive(Debug, Clone)]
enum Move {
    First,
    Last,
    Seek(Key),
    SeekForPrev(Key),
    Next,
    Prev,
}

impl Arbitrary for Move {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 8 {
            0 => Self::First,
            1 => Self::Last,
            2 => Self::Seek(Key::arbitrary(g)),
            3 => Self::SeekForPrev(Key::arbitrary(g)),
            4 | 5 => Self::Next,
            _ => Self::Prev,
        }
    }
}

#[test]
fn lookups_answer_as_a_map() {
    fn holds(entries: Entries, probes: Vec<Key>) -> bool {
        let bytes = entries.write();
        let reader = RunReader::new(&bytes).unwrap();
        let run = RunBytes::new(bytes.clone()).unwrap();
        let index = run.index().unwrap();
        entries
            .0
            .keys()
            .chain(probes.iter().map(|key| &key.0))
            .all(|key| {
                let expected = entries.get(key);
                let number = index.find(key);
                let block =
                    (number < index.block_count()).then(|| run.block(&index, number).unwrap());
                reader.get(key).unwrap() == expected
                    && block.as_ref().and_then(|block| block.get(key)) == expected
            })
    }
    QuickCheck::new()
        .tests(300)
        .quickcheck(holds as fn(Entries, Vec<Key>) -> bool);
}

#[test]
fn a_cursor_moves_as_a_map_is_walked() {
    fn holds(entries: Entries, moves: Vec<Move>) -> bool {
        let mut cursor = RunCursor::new(RunBytes::new(entries.write()).unwrap());
        let mut at: Option<&[u8]> = None;
        moves.iter().all(|step| {
            match step {
                Move::First => cursor.seek_first().unwrap(),
                Move::Last => cursor.seek_last().unwrap(),
                Move::Seek(key) => cursor.seek(&key.0).unwrap(),
                Move::SeekForPrev(key) => cursor.seek_for_prev(&key.0).unwrap(),
                Move::Next => cursor.next().unwrap(),
                Move::Prev => cursor.prev().unwrap(),
            }
            at = match (step, at) {
                (Move::First, _) => entries.first_from(Bound::Unbounded),
                (Move::Last, _) => entries.last_to(Bound::Unbounded),
                (Move::Seek(key), _) => entries.first_from(Bound::Included(&key.0)),
                (Move::SeekForPrev(key), _) => entries.last_to(Bound::Included(&key.0)),
                (_, None) => None,
                (Move::Next, Some(key)) => entries.first_from(Bound::Excluded(key)),
                (Move::Prev, Some(key)) => entries.last_to(Bound::Excluded(key)),
            };
            let entry = at.and_then(|key| entries.get(key));
            cursor.key() == at
                && cursor.entry() == entry
                && cursor.key_and_entry() == at.zip(entry)
                && cursor.key_bytes().as_deref() == at
                && cursor.value_bytes().as_deref() == entry.and_then(Entry::value)
        })
    }
    QuickCheck::new()
        .tests(500)
        .quickcheck(holds as fn(Entries, Vec<Move>) -> bool);
}

#[test]
fn bounds_of_a_block_are_those_of_its_keys() {
    fn holds(entries: Entries, probes: Vec<Key>) -> bool {
        let run = RunBytes::new(entries.write()).unwrap();
        let index = run.index().unwrap();
        (0..index.block_count()).all(|number| {
            let block = run.block(&index, number).unwrap();
            let keys: Vec<&[u8]> = (0..block.len()).map(|i| block.key(i)).collect();
            probes.iter().all(|Key(probe)| {
                block.lower_bound(probe) == keys.partition_point(|key| *key < &probe[..])
                    && block.upper_bound(probe) == keys.partition_point(|key| *key <= &probe[..])
            })
        })
    }
    QuickCheck::new()
        .tests(300)
        .quickcheck(holds as fn(Entries, Vec<Key>) -> bool);
}

#[test]
fn stretches_of_blocks_are_copied_as_if_pushed_one_by_one() {
    /// Takes the entries out of blocks that lie elsewhere than the writer would put them.
    fn holds(entries: Entries, skipped: usize, cuts: Vec<usize>) -> bool {
        let run = RunBytes::new(entries.write()).unwrap();
        let index = run.index().unwrap();
        let skipped = skipped % (entries.0.len() + 1);
        let kept = Entries(
            entries
                .0
                .iter()
                .skip(skipped)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        );

        let mut stream = RunStream::new(Vec::new());
        let mut writer = RunWriter::new();
        let mut cursor = RunCursor::new(&run);
        cursor.seek_first().unwrap();
        (0..skipped).for_each(|_| cursor.next().unwrap());
        let mut cuts = cuts.iter().cycle();
        while let Some((block, position)) = cursor.block() {
            let end = cuts.next().map_or(block.len(), |cut| {
                position + 1 + cut % (block.len() - position)
            });
            stream.push_range(block, position..end).unwrap();
            writer.push_range(block, position..end).unwrap();
            cursor.skip_to(end).unwrap();
        }
        let expected = kept.write();
        let (streamed, summary) = stream.finish().unwrap();
        assert_eq!(index.block_count() == 0, entries.0.is_empty());
        streamed == expected
            && writer.finish_with_summary() == (expected.clone(), summary.clone())
            && verify(&RunFile::open(&expected, expected.len() as u64).unwrap()).unwrap() == summary
            && summary.tombstone_count
                == kept.0.values().filter(|value| value.is_none()).count() as u64
            && Some(&summary.smallest_key[..]) == kept.first_from(Bound::Unbounded).or(Some(b""))
            && Some(&summary.largest_key[..]) == kept.last_to(Bound::Unbounded).or(Some(b""))
    }
    QuickCheck::new()
        .tests(300)
        .quickcheck(holds as fn(Entries, usize, Vec<usize>) -> bool);
}
