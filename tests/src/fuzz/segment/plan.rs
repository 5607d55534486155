//! Logs made of choices: segments that name each other or not, claims that are true or not, records
//! that are whole or not, and bounds, all under checksums that fit.
//!
//! Called by the target `segment`. A choice of 0 is mostly what a writer does, so a short input is a
//! sound log, and each byte makes one thing of it odd.

use lsm_wal::{LogBounds, Position, segment_file_name, segment_temporary_file_name};

use super::{Case, DATABASE_ID};
use crate::directory::Files;
use crate::hostile::frames::{FileHeader, Frame, Framed, odd_number};
use crate::random::Random;

/// The log so far.
struct Planner {
    random: Random,
    seqno: u64,
    /// Every place where a record starts or ends.
    places: Vec<(u64, u64)>,
    /// Where the last segment's records end.
    end: Option<(u64, u64)>,
}

/// Up to five segments, and bounds.
pub(super) fn planned(choices: &[u8]) -> Case {
    let mut planner = Planner {
        random: Random::from_bytes(choices),
        seqno: 0,
        places: Vec::new(),
        end: None,
    };
    let mut files = Files::new();
    let mut id = 0;
    for _ in 0..=planner.random.below(5) {
        id += match planner.random.below(8) {
            1 => 2,
            2 => 100,
            _ => 1,
        };
        let bytes = planner.segment(id);
        let name = match planner.random.below(16) {
            1 => segment_temporary_file_name(id).to_string(),
            // Gone.
            2 => continue,
            _ => segment_file_name(id).to_string(),
        };
        files.insert(name, bytes);
    }
    Case {
        database_id: DATABASE_ID,
        files,
        bounds: planner.bounds(id),
    }
}

/// The choices that make a log as a writer leaves it: so many segments of two records each.
pub(super) fn sound(segments: u8) -> Vec<u8> {
    let frame = [0, 0, 4, 0, 0];
    let segment = [&[0, 0, 0, 0, 0, 2], &frame[..], &frame[..], &[0, 0, 0]].concat();
    let mut choices = vec![segments.saturating_sub(1)];
    choices.extend(segment.repeat(usize::from(segments)));
    choices
}

impl Planner {
    fn segment(&mut self, id: u64) -> Vec<u8> {
        let predecessor = match self.random.below(12) {
            1 => None,
            2 => Some(self.place()),
            3 => Some(self.odd_place(id)),
            _ => self.end,
        };
        let claim = self.claim(id, 80);
        let database_id = match self.random.below(24) {
            1 => [7; 16],
            _ => DATABASE_ID,
        };
        let mut header = FileHeader::of_segment(database_id, id, predecessor, claim);
        match self.random.below(24) {
            1 => header.set(8, &[9]),
            2 => header.set_u64(32, id + 1),
            _ => {}
        }
        let mut framed = Framed {
            header,
            frames: Vec::new(),
            rest: Vec::new(),
        };
        let mut offset = 80;
        self.places.push((id, offset));
        for _ in 0..self.random.below(6) {
            let frame = self.frame(id, offset);
            offset += frame.file_bytes();
            self.places.push((id, offset));
            framed.frames.push(frame);
        }
        self.end = Some((id, offset));
        framed.rest = match self.random.below(6) {
            1 => vec![0; 64],
            2 => self.random.bytes(24),
            _ => Vec::new(),
        };
        let mut bytes = framed.sealed();
        self.damage(&mut bytes);
        bytes
    }

    fn frame(&mut self, id: u64, offset: u64) -> Frame {
        let kind = match self.random.below(16) {
            1 => 2,
            2 => [3, 7, 0x8001, 0x8003][self.random.below(4)],
            _ => 1,
        };
        self.seqno = match self.random.below(16) {
            1 => self.seqno,
            2 => odd_number(&mut self.random, self.seqno),
            3 => self.seqno.saturating_add(1000),
            _ => self.seqno.saturating_add(1),
        };
        let payload_len = self.random.below(40);
        let mut frame = Frame::new(kind, self.seqno, vec![b'.'; payload_len]);
        frame.claim = Some(self.claim(id, offset));
        match self.random.below(24) {
            1 => frame.stated_len = Some(odd_number(&mut self.random, payload_len as u64)),
            2 => frame.padding = 1,
            3 => frame.keyspace = 9,
            4 => frame.reserved = 1,
            _ => {}
        }
        frame
    }

    /// What a header at this place claims to be durable.
    fn claim(&mut self, id: u64, offset: u64) -> (u64, u64) {
        match self.random.below(8) {
            1 => self.end.unwrap_or_default(),
            2 => (id, offset),
            3 => (id, 80),
            4 | 5 => self.place(),
            6 => self.odd_place(id),
            _ => (0, 0),
        }
    }

    /// A place that there is.
    fn place(&mut self) -> (u64, u64) {
        let count = self.places.len().max(1);
        let chosen = self.random.below(count);
        self.places.get(chosen).copied().unwrap_or_default()
    }

    fn odd_place(&mut self, id: u64) -> (u64, u64) {
        let place = self.place();
        match self.random.below(3) {
            0 => (place.0, odd_number(&mut self.random, place.1)),
            1 => (odd_number(&mut self.random, id), place.1),
            _ => (id, place.1 + 8),
        }
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = match self.random.below(6) {
            1 | 2 => self.random.below(bytes.len().max(1)),
            _ => return,
        };
        match self.random.below(3) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << self.random.below(8),
            _ => bytes[at..].fill(0),
        }
    }

    /// Bounds as a manifest can state them: the floor is not retired.
    fn bounds(&mut self, last_id: u64) -> LogBounds {
        let ids = usize::try_from(last_id).unwrap_or(0) + 2;
        let retired_below = match self.random.below(3) {
            1 => self.random.below(ids) as u64,
            _ => 0,
        };
        let floor = match self.random.below(3) {
            1 => Some(self.random.below(ids) as u64),
            _ => None,
        };
        let end = match self.random.below(4) {
            1 => Some(self.place()),
            2 => Some(self.odd_place(last_id)),
            _ => None,
        };
        let discarded_through = match self.random.below(4) {
            1 => self.random.below(ids) as u64,
            _ => 0,
        };
        LogBounds {
            retired_below,
            floor: floor.filter(|&floor| floor >= retired_below),
            end: end.map(|(segment, offset)| Position::new(segment, offset)),
            discarded_through,
        }
    }
}
