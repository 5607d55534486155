//! Log segments that lie, with every checksum right.
//!
//! Called by the sweeps: headers that name other predecessors and claim what was never durable,
//! records with other seqnos, kinds and claims, and payloads that are not batches.

use lsm_format::{Entry, encode_entry};

use super::frames::{Frame, Framed, odd_number};
use crate::random::Random;

/// A segment whose checksums fit; and what was done to it.
pub(crate) fn forge(sound: &[u8], random: &mut Random) -> Option<(Vec<u8>, String)> {
    let mut framed = take_apart(sound)?;
    let mut said = Vec::new();
    for _ in 0..=random.below(3) {
        said.push(match random.below(6) {
            0 => change_header(&mut framed, random),
            1 | 2 => framed.break_framing(random),
            3 => {
                let cut = framed.rest.len().min(random.below(200));
                framed.rest = random.bytes(cut);
                format!("{cut} bytes of junk behind the last record")
            }
            _ => change_payload(&mut framed, random),
        });
    }
    Some((framed.sealed(), said.join(", ")))
}

/// The segment with `count` records more, each a batch of `entries` entries of eleven bytes.
pub fn with_tiny_entries(sound: &[u8], count: u64, entries: u16) -> Option<Vec<u8>> {
    let mut framed = take_apart(sound)?;
    let last = framed.frames.last().map_or(0, |frame| frame.seqno);
    for number in 1..=count {
        let mut payload = Vec::new();
        for key in 0..entries {
            encode_entry(&mut payload, &key.to_be_bytes(), Entry::Tombstone);
        }
        framed.frames.push(Frame::new(1, last + number, payload));
    }
    framed.rest.clear();
    Some(framed.sealed())
}

fn take_apart(sound: &[u8]) -> Option<Framed> {
    let mut framed = Framed::of_segment(sound)?;
    let mut offset = 80;
    for frame in &mut framed.frames {
        if frame.claim == Some((framed.header.file_id, offset)) {
            // Its own place, wherever that will be.
            frame.claim = None;
        }
        offset += frame.file_bytes();
    }
    Some(framed)
}

fn change_header(framed: &mut Framed, random: &mut Random) -> String {
    let header = &mut framed.header;
    match random.below(7) {
        0 => {
            // The records are bound to it, so they are sealed for it too.
            header.file_id = odd_number(random, header.file_id);
            let id = header.file_id;
            header.set_u64(32, id);
            format!("segment {id}")
        }
        1..=4 => {
            // Predecessor and claim: segment and offset of each.
            let at = [40, 48, 56, 64][random.below(4)];
            let number = odd_number(random, header.u64_at(at));
            header.set_u64(at, number);
            format!("header: {number} at {at}")
        }
        5 => {
            header.set(8, &[2, 0, 0, 0]);
            "header: another version".to_owned()
        }
        _ => {
            let at = random.below(header.covered_len());
            header.set(at, &random.bytes(1));
            format!("header: byte {at}")
        }
    }
}

/// Payloads are batches: entries as runs have them.
fn change_payload(framed: &mut Framed, random: &mut Random) -> String {
    let count = framed.frames.len();
    let Some(frame) = framed.frames.get_mut(random.below(count.max(1))) else {
        return "no record to change".to_owned();
    };
    let seqno = frame.seqno;
    let payload = &mut frame.payload;
    let len = payload.len();
    let said = match random.below(6) {
        0 if len >= 4 => {
            let at = random.below(len - 3);
            let number = odd_number(random, len as u64).to_le_bytes();
            payload[at..at + 4].copy_from_slice(&number[..4]);
            format!("number at {at}")
        }
        1 if len > 0 => {
            let at = random.below(len);
            payload[at] = [0, 1, 2, 0x7f, 0x80, 0xff][random.below(6)];
            format!("byte at {at}")
        }
        2 => {
            payload.clear();
            "empty".to_owned()
        }
        3 => {
            encode_entry(payload, &random.bytes(9), Entry::Tombstone);
            encode_entry(payload, b"", Entry::Value(b""));
            "two entries more".to_owned()
        }
        4 => {
            payload.extend_from_within(..);
            "twice over".to_owned()
        }
        _ => {
            *payload = random.bytes(1 + len % 50);
            "random".to_owned()
        }
    };
    format!("payload of seqno {seqno}: {said}")
}
