//! Manifests that lie, with every checksum right.
//!
//! Called by the sweeps. Edits are decoded and encoded by a codec that is not the engine's. Also
//! writes down another length and index of a run, so that a forged run is not refused for those.

use super::edits::{Edit, Log, Run, Width};
use super::frames::{Frame, Framed, odd_number};
use crate::random::Random;

const SNAPSHOT_LEN_AT: usize = 48;
const HEADER_LEN: u64 = 64;
const KIND_EDIT: u16 = 0x8001;
const KIND_CLEAN: u16 = 0x8002;

/// A manifest whose checksums fit; and what was done to it.
pub(crate) fn forge(sound: &[u8], random: &mut Random) -> Option<(Vec<u8>, String)> {
    let (mut framed, mut snapshot_records) = take_apart(sound)?;
    let mut said = Vec::new();
    for _ in 0..=random.below(3) {
        said.push(match random.below(8) {
            0 => change_header(&mut framed, random),
            1 => framed.break_framing(random),
            2 => {
                let before = framed.frames.len();
                let said = add_record(&mut framed, random);
                // A record put among those of the snapshot is one of them.
                snapshot_records += usize::from(framed.frames.len() > before && random.one_in(2));
                said
            }
            _ => change_edit(&mut framed, random)?,
        });
    }
    if random.one_in(2) {
        // Numbered anew, so that the numbers are not what it is refused for.
        for (number, frame) in (1..).zip(&mut framed.frames) {
            frame.seqno = number;
        }
    }
    let keeps_len = said.iter().any(|said| said.starts_with("header"));
    if !keeps_len {
        put_snapshot_len(&mut framed, snapshot_records);
    }
    Some((framed.sealed(), said.join(", ")))
}

/// The manifest with the length, index length and index checksum of a run as given.
pub fn with_run_recorded(sound: &[u8], id: u64, recorded: [u64; 3]) -> Option<Vec<u8>> {
    let (mut framed, snapshot_records) = take_apart(sound)?;
    for frame in &mut framed.frames {
        let mut edit = Edit::decode(&frame.payload)?;
        for run in edit.added.iter_mut().filter(|run| run.numbers[0] == id) {
            let [file_len, index_len, index_crc] = recorded;
            run.numbers[1] = file_len;
            run.numbers[4] = index_len;
            run.numbers[5] = index_crc;
        }
        frame.payload = edit.encode(Width::Shortest);
    }
    put_snapshot_len(&mut framed, snapshot_records);
    Some(framed.sealed())
}

/// A manifest of as many small runs as `count` says, each smaller in bytes than in memory.
pub fn of_many_runs(sound: &[u8], count: u64) -> Option<Vec<u8>> {
    let (mut framed, _) = take_apart(sound)?;
    framed.frames.clear();
    let ceilings = Edit {
        ceilings: Some([10_000_000_000, 1 << 40, 1 << 40]),
        ..Edit::default()
    };
    let mut edits = vec![ceilings];
    for first in (0..count).step_by(4000) {
        let ids = first..count.min(first + 4000);
        let added = ids.map(|id| Run {
            numbers: [id, 0, 0, 0, 0, 0],
            keys: Some((Vec::new(), Vec::new())),
            ..Run::default()
        });
        edits.push(Edit {
            added: added.collect(),
            ..Edit::default()
        });
    }
    let encoded = (1..).zip(edits);
    framed.frames = encoded
        .map(|(number, edit)| Frame::new(KIND_EDIT, number, edit.encode(Width::Shortest)))
        .collect();
    put_snapshot_len(&mut framed, 1);
    Some(framed.sealed())
}

/// The manifest's parts, and how many of its records are the snapshot's.
fn take_apart(sound: &[u8]) -> Option<(Framed, usize)> {
    let mut framed = Framed::of_manifest(sound)?;
    let snapshot_len = framed.header.u64_at(SNAPSHOT_LEN_AT);
    let mut end = HEADER_LEN;
    let mut snapshot_records = 0;
    for frame in &mut framed.frames {
        if end < snapshot_len {
            snapshot_records += 1;
        } else {
            // Claims its own place, wherever that will be.
            frame.claim = None;
        }
        end += frame.file_bytes();
    }
    Some((framed, snapshot_records))
}

fn put_snapshot_len(framed: &mut Framed, records: usize) {
    let snapshot = framed.frames.iter().take(records).map(Frame::file_bytes);
    let len = HEADER_LEN + snapshot.sum::<u64>();
    framed.header.set_u64(SNAPSHOT_LEN_AT, len);
}

fn change_header(framed: &mut Framed, random: &mut Random) -> String {
    match random.below(6) {
        0 => {
            let len = odd_number(random, framed.header.u64_at(SNAPSHOT_LEN_AT));
            framed.header.set_u64(SNAPSHOT_LEN_AT, len);
            format!("header: snapshot of {len}")
        }
        1 => {
            // The records are bound to it, so they are sealed for it too.
            framed.header.file_id = odd_number(random, framed.header.file_id);
            let id = framed.header.file_id;
            framed.header.set_u64(16, id);
            format!("generation {id}")
        }
        2 => {
            let id = odd_number(random, 2);
            framed.header.set_u64(16, id);
            format!("header: generation {id}")
        }
        3 => {
            let id: Vec<u8> = random.bytes(16);
            framed.header.set(24, &id);
            framed.header.database_id = *id.first_chunk().unwrap_or(&[0; 16]);
            "another database".to_owned()
        }
        4 => {
            framed
                .header
                .set(8, &[[2, 3, 0xff][random.below(3)], 0, 0, 0]);
            "header: another version".to_owned()
        }
        _ => {
            let at = random.below(framed.header.covered_len());
            framed.header.set(at, &random.bytes(1));
            format!("header: byte {at}")
        }
    }
}

/// A record more: an edit of nothing, a mark, or a copy of another store's edit.
fn add_record(framed: &mut Framed, random: &mut Random) -> String {
    let at = random.below(framed.frames.len() + 1);
    let mut edit = Edit::default();
    let said = change_fields(&mut edit, random);
    let kind = [KIND_EDIT, KIND_CLEAN][random.below(2)];
    let frame = Frame::new(kind, at as u64 + 1, edit.encode(Width::Shortest));
    framed.frames.insert(at, frame);
    format!("a record of kind {kind:#x} more at {at}: {said}")
}

fn change_edit(framed: &mut Framed, random: &mut Random) -> Option<String> {
    let with_payload: Vec<usize> = (0..framed.frames.len())
        .filter(|at| Edit::decode(&framed.frames[*at].payload).is_some())
        .collect();
    if with_payload.is_empty() {
        return Some("no edit to change".to_owned());
    }
    let at = with_payload[random.below(with_payload.len())];
    let frame = &mut framed.frames[at];
    let mut edit = Edit::decode(&frame.payload)?;
    let said = change_fields(&mut edit, random);
    let width = match random.below(4) {
        0 => Width::AtLeast([251, 252, 253, 254][random.below(4)]),
        _ => Width::Shortest,
    };
    frame.payload = edit.encode(width);
    if random.one_in(12) && !frame.payload.is_empty() {
        // A count, a length or a tag of an option, somewhere.
        let place = random.below(frame.payload.len());
        frame.payload[place] = [0, 1, 2, 250, 251, 252, 253, 254, 255][random.below(9)];
    }
    Some(format!("record {at}, {width:?}: {said}"))
}

fn change_fields(edit: &mut Edit, random: &mut Random) -> String {
    match random.below(9) {
        0..=2 => change_added(edit, random),
        3 => {
            let removed = ([0, 1, 2, 255][random.below(4)], odd_number(random, 2));
            match random.below(3) {
                0 => edit.removed.clear(),
                _ => edit.removed.push(removed),
            }
            format!("removed {:?}", edit.removed)
        }
        4 | 5 => {
            change_log(edit.log.get_or_insert_default(), random);
            format!("{:?}", edit.log)
        }
        6 => {
            let seqno = odd_number(random, edit.flushed_seqno.unwrap_or(1));
            edit.flushed_seqno = (!random.one_in(4)).then_some(seqno);
            format!("flushed seqno {:?}", edit.flushed_seqno)
        }
        7 => change_what_came_from_1x(edit, random),
        _ => {
            let mut ceilings = edit.ceilings.unwrap_or([1 << 10, 1 << 10, 1 << 32]);
            let at = random.below(3);
            ceilings[at] = odd_number(random, ceilings[at]);
            edit.ceilings = (!random.one_in(6)).then_some(ceilings);
            format!("ceilings {:?}", edit.ceilings)
        }
    }
}

/// An end of a log that did not come, or an unnamed run: none, one of these, or one that is there.
fn change_what_came_from_1x(edit: &mut Edit, random: &mut Random) -> String {
    if random.one_in(2) {
        let end = odd_number(random, edit.legacy_log_end.unwrap_or(100));
        edit.legacy_log_end = (!random.one_in(4)).then_some(end);
        return format!("log of 1.x up to {:?}", edit.legacy_log_end);
    }
    let named = edit.added.first().map_or(1, |run| run.numbers[0]);
    let id = match random.below(3) {
        0 => named,
        _ => odd_number(random, named),
    };
    edit.unnamed.push(id);
    if random.one_in(4) {
        // Again, and many more.
        edit.unnamed.push(id);
        edit.unnamed.extend(0..random.below(10_000) as u64);
    }
    format!("{id} unnamed, and {} more", edit.unnamed.len() - 1)
}

fn change_added(edit: &mut Edit, random: &mut Random) -> String {
    let count = edit.added.len();
    if count == 0 {
        edit.added.push(Run {
            level: [0, 0, 1, 2, 15, 16][random.below(6)],
            numbers: std::array::from_fn(|_| odd_number(random, 1)),
            keys: Some((b"a".to_vec(), b"z".to_vec())),
        });
        return format!("added {:?}", edit.added);
    }
    let at = random.below(count);
    match random.below(7) {
        0 => {
            let run = edit.added[at].clone();
            edit.added.push(run);
            format!("run {at} twice")
        }
        1 => {
            edit.added.remove(at);
            format!("run {at} not added")
        }
        2 => {
            let level = [0, 1, 2, 15, 16, 255][random.below(6)];
            edit.added[at].level = level;
            format!("run {at} at level {level}")
        }
        3 => {
            let other = random.below(count);
            edit.added.swap(at, other);
            format!("runs {at} and {other} swapped")
        }
        4 => {
            let number = random.below(6);
            let slot = &mut edit.added[at].numbers[number];
            *slot = odd_number(random, *slot);
            format!("number {number} of run {at} is {slot}")
        }
        5 => {
            edit.added[at].keys = None;
            format!("run {at} without keys")
        }
        _ => {
            let (a, b) = (random.below(12), random.below(12));
            let key = |random: &mut Random, len| match random.below(3) {
                0 => Vec::new(),
                1 => vec![0xff; len],
                _ => random.bytes(len),
            };
            let keys = (key(random, a), key(random, b));
            let said = format!("run {at} has keys {keys:?}");
            edit.added[at].keys = Some(keys);
            said
        }
    }
}

fn change_log(log: &mut Log, random: &mut Random) {
    match random.below(4) {
        0 => log.retired_below = odd_number(random, log.retired_below),
        1 => {
            let floor = odd_number(random, log.floor.unwrap_or(1));
            log.floor = (!random.one_in(3)).then_some(floor);
        }
        2 => {
            let (segment, offset) = log.end.unwrap_or((1, 80));
            let end = match random.below(3) {
                0 => (odd_number(random, segment), offset),
                _ => (segment, odd_number(random, offset)),
            };
            log.end = (!random.one_in(4)).then_some(end);
        }
        _ => log.discarded_through = odd_number(random, log.discarded_through),
    }
}
