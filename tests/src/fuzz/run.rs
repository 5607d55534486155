//! The target `run`: bytes as a run, given to every reader of `lsm-format`, which must agree.
//!
//! Called through [`Target`](super::Target). Beside a reader's own promises: whatever it is asked,
//! a run that one reader accepts is the same run for all of them.

use bytes::Bytes;
use lsm_format::{
    BlockSource, CountedEntries, Entries, Entry, Error, ReadError, RunBytes, RunCursor, RunFile,
    RunReader, encode_entry,
};

use super::{Told, ensure, images, split};
use crate::hostile::{FileKind, runs, seals};
use crate::random::Random;

/// A key, and its value or `None` for a tombstone.
type Item = (Vec<u8>, Option<Vec<u8>>);

/// How many keys are looked up; each costs a block.
const LOOKUPS_MAX: usize = 24;

pub(super) fn check(input: &[u8], told: &mut Told) -> Result<(), String> {
    let (mode, rest) = split(input);
    match mode % 4 {
        0 => {
            read_sequences(rest, told)?;
            read(rest, told).map(drop)
        }
        1 => {
            let mut bytes = rest.to_vec();
            seals::run(&mut bytes);
            read(&bytes, told).map(drop)
        }
        2 => read(&forged(rest)?, told).map(drop),
        _ => laid_out(rest, told),
    }
}

/// A sound run with fields changed as the input says.
fn forged(choices: &[u8]) -> Result<Vec<u8>, String> {
    let mut random = Random::from_bytes(choices);
    let image = &images()?[0];
    let names: Vec<&String> = image.names(FileKind::Run).collect();
    let name = names[random.below(names.len())];
    let mut bytes = image.files[name].clone();
    for _ in 0..=random.below(3) {
        if let Some((changed, _)) = runs::forge(&bytes, &mut random) {
            bytes = changed;
        }
    }
    Ok(bytes)
}

/// A run made of the entries that the input names, in the order and in the blocks that it names: it
/// reads back as that if it is sound, and not as a whole if it is not.
fn laid_out(choices: &[u8], told: &mut Told) -> Result<(), String> {
    let mut random = Random::from_bytes(choices);
    let mut blocks: Vec<Vec<Item>> = Vec::new();
    let mut previous: Vec<u8> = Vec::new();
    for _ in 0..random.below(6) {
        let mut block = Vec::new();
        for _ in 0..random.below(7) {
            let key = next_key(&previous, &mut random);
            let value_len = random.below(24);
            let value = (value_len > 0).then(|| random.bytes(value_len - 1));
            previous.clone_from(&key);
            block.push((key, value));
        }
        blocks.push(block);
    }
    let items = blocks.concat();
    let is_sound = items.is_sorted_by(|a, b| a.0 < b.0) && !blocks.iter().any(Vec::is_empty);
    let found = read(&runs::of_blocks(&blocks), told)?;
    ensure(found == is_sound.then_some(items), || {
        format!("a run laid out as {blocks:?} reads as {found:?}")
    })
}

/// Mostly greater than the previous one.
fn next_key(previous: &[u8], random: &mut Random) -> Vec<u8> {
    let mut key = previous.to_vec();
    match random.below(8) {
        0..=2 => key.push(0),
        3..=5 => match key.last_mut() {
            Some(last) => *last = last.saturating_add(1),
            None => key.push(1),
        },
        6 => key = [vec![0xff], random.bytes(9)].concat(),
        _ => {
            let len = random.below(12);
            key = random.bytes(len);
        }
    }
    key
}

/// Reads bytes as bare sequences of entries: what is read is what is there, byte for byte.
fn read_sequences(bytes: &[u8], told: &mut Told) -> Result<(), String> {
    let mut entries = Entries::new(bytes);
    let mut again = Vec::new();
    loop {
        let at = entries.position();
        match entries.next() {
            None => {
                ensure(again == bytes, || "a sequence reads as another".to_owned())?;
                break;
            }
            Some(Ok((key, entry))) => encode_entry(&mut again, key, entry),
            Some(Err(error)) => {
                tell(&error, told);
                ensure(bytes.get(..at) == Some(&again), || {
                    "a sequence reads as another".to_owned()
                })?;
                ensure(entries.next().is_none(), || "it goes on".to_owned())?;
                break;
            }
        }
    }
    let _ = CountedEntries::is_plausible(bytes);
    match CountedEntries::new(bytes) {
        Err(error) => tell(&error, told),
        Ok(counted) => {
            for entry in counted.clone() {
                entry.map(drop).unwrap_or_else(|error| tell(&error, told));
            }
            at_most(bytes, counted.count())?;
        }
    }
    Ok(())
}

fn at_most(bytes: &[u8], count: usize) -> Result<(), String> {
    ensure(count <= bytes.len() / 9 + 1, || {
        format!("{count} entries in {} bytes", bytes.len())
    })
}

/// Reads a run in every way. Its entries, if there is no damage.
fn read(bytes: &[u8], told: &mut Told) -> Result<Option<Vec<Item>>, String> {
    let shared = Bytes::copy_from_slice(bytes);
    let in_memory = RunBytes::new(shared.clone());
    let file = RunFile::open(&shared, bytes.len() as u64);
    let index = file.as_ref().map(RunFile::load_index);
    let by_file = matches!(&index, Ok(Ok(_)));
    let reader = match RunReader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => {
            tell(&error, told);
            ensure(in_memory.is_err_and(|other| other == error), || {
                format!("one reader says {error}, another does not")
            })?;
            ensure(!by_file, || format!("{error}, but not for a file"))?;
            return Ok(None);
        }
    };
    let source = in_memory.map_err(|error| format!("refused by one reader only: {error}"))?;
    ensure(by_file, || "refused by the file reader only".to_owned())?;

    let (items, failed) = iterate(&reader, bytes, told)?;
    walk(&source, &items, failed.as_ref())?;
    look_up(&reader, &source, &items, failed.is_some())?;
    if let (Ok(file), Ok(Ok(index))) = (&file, &index) {
        verify(file, &items, failed.as_ref(), told)?;
        let past = file.read_block(index, index.block_count());
        ensure(
            matches!(past, Err(ReadError::Format(Error::NoSuchBlock { .. }))),
            || format!("the block past the last: {past:?}"),
        )?;
        let blocks = file.read_blocks(index, 0..index.block_count());
        ensure(blocks.is_ok() == failed.is_none(), || {
            "reading ahead finds what iterating does not".to_owned()
        })?;
    }
    if failed.is_none() {
        told.tell("read", if items.is_empty() { "empty" } else { "entries" });
    }
    Ok(failed.is_none().then_some(items))
}

/// All entries up to the first damage.
fn iterate(
    reader: &RunReader<'_>,
    bytes: &[u8],
    told: &mut Told,
) -> Result<(Vec<Item>, Option<Error>), String> {
    let mut items: Vec<Item> = Vec::new();
    let mut failed = None;
    let mut entries = reader.iter();
    for entry in entries.by_ref() {
        match entry {
            Ok((key, entry)) => items.push((key.to_vec(), entry.value().map(<[u8]>::to_vec))),
            Err(error) => {
                tell(&error, told);
                failed = Some(error);
                break;
            }
        }
    }
    ensure(entries.next().is_none(), || "it goes on".to_owned())?;
    at_most(bytes, items.len())?;
    ensure(items.is_sorted_by(|a, b| a.0 < b.0), || {
        format!("keys do not ascend: {items:?}")
    })?;
    Ok((items, failed))
}

fn at<S: BlockSource>(cursor: &RunCursor<S>) -> Option<(&[u8], Option<&[u8]>)> {
    let (key, entry) = cursor.key_and_entry()?;
    Some((key, entry.value()))
}

fn item(item: &Item) -> (&[u8], Option<&[u8]>) {
    (&item.0, item.1.as_deref())
}

/// The cursor shows the same, forwards up to the damage, and backwards.
fn walk(source: &RunBytes, items: &[Item], failed: Option<&Error>) -> Result<(), String> {
    let mut cursor = RunCursor::new(source.clone());
    let mut moved = cursor.seek_first();
    for expected in items {
        ensure(moved.is_ok() && at(&cursor) == Some(item(expected)), || {
            format!("forwards: {:?} {moved:?}, not {expected:?}", at(&cursor))
        })?;
        moved = cursor.next();
    }
    ensure(
        moved.as_ref().err() == failed && at(&cursor).is_none(),
        || format!("the end forwards: {moved:?}, {:?}", at(&cursor)),
    )?;

    let mut moved = cursor.seek_last();
    if failed.is_some() {
        let mut above: Option<Vec<u8>> = None;
        while let (Ok(()), Some((key, _))) = (&moved, at(&cursor)) {
            ensure(above.as_deref().is_none_or(|above| key < above), || {
                "keys do not descend".to_owned()
            })?;
            above = Some(key.to_vec());
            moved = cursor.prev();
        }
        return ensure(moved.is_err(), || "backwards there is no damage".to_owned());
    }
    for expected in items.iter().rev() {
        ensure(moved.is_ok() && at(&cursor) == Some(item(expected)), || {
            format!("backwards: {:?} {moved:?}, not {expected:?}", at(&cursor))
        })?;
        moved = cursor.prev();
    }
    ensure(moved.is_ok() && at(&cursor).is_none(), || {
        format!("the end backwards: {moved:?}")
    })
}

/// Lookups of keys that are there and of their neighbours.
fn look_up(
    reader: &RunReader<'_>,
    source: &RunBytes,
    items: &[Item],
    is_damaged: bool,
) -> Result<(), String> {
    let mut cursor = RunCursor::new(source.clone());
    let step = (items.len() / LOOKUPS_MAX).max(1);
    for (place, expected) in items.iter().enumerate().step_by(step) {
        let found = reader.get(&expected.0);
        let entry = Entry::from(expected.1.as_deref());
        ensure(found == Ok(Some(entry)), || {
            format!("get of {expected:?}: {found:?}")
        })?;
        if is_damaged {
            // What lies beside it may be what is damaged.
            continue;
        }
        let sought = cursor.seek(&expected.0);
        ensure(
            sought.is_ok() && at(&cursor) == Some(item(expected)),
            || format!("seek to {expected:?}: {sought:?}"),
        )?;
        let beside = [expected.0.as_slice(), &[0]].concat();
        let next = items.get(place + 1);
        let is_there = next.is_some_and(|next| next.0 == beside);
        let found = reader.get(&beside);
        ensure(
            found
                .as_ref()
                .is_ok_and(|found| found.is_some() == is_there),
            || format!("get beside {expected:?}: {found:?}"),
        )?;
        let sought = cursor.seek(&beside);
        ensure(sought.is_ok() && at(&cursor) == next.map(item), || {
            format!("seek beside {expected:?}: {sought:?}")
        })?;
        let sought = cursor.seek_for_prev(&beside);
        let before = if is_there { next } else { Some(expected) };
        ensure(sought.is_ok() && at(&cursor) == before.map(item), || {
            format!("seek back to {expected:?}: {sought:?}")
        })?;
    }
    if !is_damaged {
        let sought = cursor.seek_for_prev(&[]);
        let expected = items.first().filter(|first| first.0.is_empty()).map(item);
        ensure(sought.is_ok() && at(&cursor) == expected, || {
            "seek back to the empty key".to_owned()
        })?;
    }
    Ok(())
}

/// `verify` finds the same damage, or else an entry count that no checksum covers.
fn verify(
    file: &RunFile<&Bytes>,
    items: &[Item],
    failed: Option<&Error>,
    told: &mut Told,
) -> Result<(), String> {
    match (lsm_format::verify(file), failed) {
        (Err(ReadError::Format(found)), Some(failed)) if found == *failed => Ok(()),
        (Err(ReadError::Format(found)), None)
            if file.footer().entry_count != items.len() as u64 =>
        {
            tell(&found, told);
            Ok(())
        }
        (Ok(summary), None) => {
            let tombstones = items.iter().filter(|item| item.1.is_none()).count() as u64;
            let key = |item: Option<&Item>| item.map_or(Vec::new(), |item| item.0.clone());
            let fits = summary.entry_count == items.len() as u64
                && summary.tombstone_count == tombstones
                && summary.smallest_key == key(items.first())
                && summary.largest_key == key(items.last());
            ensure(fits, || format!("verify says {summary:?}"))
        }
        (verified, failed) => Err(format!("verify says {verified:?}, iterating {failed:?}")),
    }
}

fn tell(error: &Error, told: &mut Told) {
    let variant = match error {
        Error::TooLong { .. } => "TooLong",
        Error::OutOfOrder { .. } => "OutOfOrder",
        Error::NoSuchBlock { .. } => "NoSuchBlock",
        Error::Frame { .. } => "Frame",
        Error::IndexChecksum { .. } => "IndexChecksum",
        Error::Index { .. } => "Index",
        Error::BlockChecksum { .. } => "BlockChecksum",
        Error::Block { .. } => "Block",
        Error::Entry { .. } => "Entry",
        _ => "an error without a name here",
    };
    told.tell(variant, error.reason());
}

/// Sound runs, as they are and as choices.
pub(super) fn seeds() -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut seeds = Vec::new();
    for image in images()? {
        for name in image.names(FileKind::Run) {
            let bytes = &image.files[name];
            if bytes.len() < 2000 {
                for (mode, how) in [(0, "plain"), (1, "sealed")] {
                    let input = [&[mode], bytes.as_slice()].concat();
                    seeds.push((format!("{how}-{}-{name}", image.name), input));
                }
            }
        }
    }
    let small: Vec<Vec<Item>> = vec![
        vec![(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), None)],
        vec![(b"ba".to_vec(), Some(Vec::new()))],
        vec![(b"c".to_vec(), None), (b"d".to_vec(), Some(b"22".to_vec()))],
    ];
    for (blocks, name) in [(small.as_slice(), "three-blocks"), (&[], "empty")] {
        seeds.push((
            format!("sealed-{name}"),
            [&[1], runs::of_blocks(blocks).as_slice()].concat(),
        ));
    }
    let mut sequence = Vec::new();
    for (key, value) in small.concat() {
        encode_entry(&mut sequence, &key, Entry::from(value.as_deref()));
    }
    seeds.push(("sequence".to_owned(), [&[0], sequence.as_slice()].concat()));
    let counted = [&[0, 5, 0, 0, 0], sequence.as_slice()].concat();
    seeds.push(("sequence-counted".to_owned(), counted));
    for place in 0..4 {
        let choices = [2, 0, 0, place, 7, 1, 1, 1, 1, 1, 1];
        seeds.push((format!("forged-{place}"), choices.to_vec()));
    }
    seeds.push((
        "laid-out".to_owned(),
        vec![
            3, 3, 2, 0, 3, b'x', b'y', 4, 0, 1, 3, 4, b'z', b'z', b'z', 2, 0, 0, 0, 1,
        ],
    ));
    Ok(seeds)
}
