//! Random histories of a log under a caller with a manifest: appends, syncs, rotations, retiring,
//! closes, kills and power cuts, recoveries that crash at every stage, and manifest edits that are
//! made late or never. Whatever happens, what is found is a prefix with all that was promised.

use lsm_fs::{ByPath, CrashImage, FileSystem, SimFs};

use super::{UNKNOWN, options, read};
use crate::frame::{FrameBuffer, KIND_DATA};
use crate::log::Log;
use crate::position::{LogBounds, Position};
use crate::recovery::RecoveredLog;

/// A small generator, so that a history is its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

struct History {
    random: Random,
    sim: SimFs,
    /// What the manifest says: durable at once.
    bounds: LogBounds,
    /// Up to this seqno everything was flushed; replay skips it.
    flushed_seqno: u64,
    log: Log,
    last_segment: u64,
    last_seqno: u64,
    /// The seqnos in the log, each with the segment it was appended to.
    given: Vec<(u64, u64)>,
    /// Up to this seqno everything was acknowledged as durable.
    durable_seqno: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let sim = SimFs::new();
        Self {
            random: Random(seed),
            bounds: UNKNOWN,
            flushed_seqno: 0,
            log: Log::new(options(&sim), None),
            sim,
            last_segment: 0,
            last_seqno: 0,
            given: Vec::new(),
            durable_seqno: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..=6 => self.append(),
            7..=9 => {
                self.log.sync().unwrap();
                self.durable_seqno = self.last_given();
            }
            10 | 11 => self.log.rotate(),
            12 => self.retire(),
            13 => self.close(),
            14 => {
                let seed = self.random.below(u64::MAX);
                let images = CrashImage::standard(seed);
                let image = images[usize::try_from(seed % images.len() as u64).unwrap()];
                self.sim = self.sim.crash(&image);
                self.reopen();
            }
            _ => {
                self.sim = self.sim.reopen_after_kill();
                self.reopen();
            }
        }
    }

    fn last_given(&self) -> u64 {
        self.given.last().map_or(0, |&(seqno, _)| seqno)
    }

    fn append(&mut self) {
        let mut group = FrameBuffer::new();
        for _ in 0..=self.random.below(3) {
            self.last_seqno += 1 + self.random.below(2);
            let len = match self.random.below(8) {
                0 => 2_500,
                1 => 0,
                _ => self.random.below(500),
            };
            let fill = self.last_seqno.to_le_bytes()[0];
            group.push(KIND_DATA, 0, self.last_seqno, |payload| {
                payload.resize(payload.len() + usize::try_from(len).unwrap(), fill);
            });
        }
        let last_segment = &mut self.last_segment;
        let end = self
            .log
            .append(&mut group, &mut || {
                *last_segment += 1;
                Ok(*last_segment)
            })
            .unwrap();
        let bytes = group.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let word = |from: usize| u64::from_le_bytes(*bytes[at + from..].first_chunk().unwrap());
            self.given.push((word(16), end.segment));
            at += 48 + usize::try_from(word(8)).unwrap().next_multiple_of(8);
        }
    }

    /// Flushes all but the current segment's records, and retires what held them.
    fn retire(&mut self) {
        let current = self.log.current_segment();
        let below = current.unwrap_or(self.last_segment + 1);
        let flushed = self
            .given
            .iter()
            .rev()
            .find(|&&(_, segment)| segment < below);
        self.flushed_seqno = flushed.map_or(self.flushed_seqno, |&(seqno, _)| seqno);
        self.durable_seqno = self.durable_seqno.max(self.flushed_seqno);
        self.bounds.retired_below = below;
        self.bounds.floor = current;
        drop(self.log.retire_below(below));
        if self.random.one_in(2) {
            self.unlink((0..below).collect::<Vec<_>>().iter());
        }
    }

    fn unlink<'a>(&self, segments: impl Iterator<Item = &'a u64>) {
        for &id in segments {
            let path = options(&self.sim).segment_path(id);
            if self.sim.kind(&path).unwrap().is_some() {
                self.sim.remove_file(&path).unwrap();
            }
        }
    }

    fn close(&mut self) {
        let end = self.log.close().unwrap();
        self.durable_seqno = self.last_given();
        if self.random.one_in(2) {
            self.bounds.end = end.or(self.bounds.end);
        }
        self.sim = self.sim.reopen_after_kill();
        self.reopen();
    }

    /// Recovers, with interruptions, and goes on with what was found.
    fn reopen(&mut self) {
        loop {
            let recovered = self.recover();
            if self.interrupted() {
                continue;
            }
            self.last_segment = self
                .last_segment
                .max(recovered.largest_segment_id.unwrap_or(0))
                + 1;
            let rewritten = recovered
                .rewrite_tail(&options(&self.sim), self.last_segment)
                .unwrap();
            // What a recovery has handed out and rewritten is promised from here on.
            self.durable_seqno = self.last_given().max(self.flushed_seqno);
            let end = rewritten.or(recovered.end);
            // Nothing is appended to these segments again: all of them are older than the next.
            for (_, segment) in &mut self.given {
                *segment = 0;
            }
            if self.interrupted() {
                continue;
            }
            // The edit may lack room and come later; then nothing may be unlinked.
            if self.random.one_in(3) {
                self.log = Log::new(options(&self.sim), end);
                return;
            }
            self.bounds = recovered.bounds(&self.bounds, rewritten);
            if self.interrupted() {
                continue;
            }
            self.unlink(recovered.obsolete.iter().chain(recovered.superseded()));
            if self.interrupted() {
                continue;
            }
            self.log = Log::new(options(&self.sim), end);
            return;
        }
    }

    /// Sometimes the machine goes down again.
    fn interrupted(&mut self) -> bool {
        let seed = self.random.below(u64::MAX);
        match seed % 6 {
            0 => {
                let images = CrashImage::standard(seed);
                let image = images[usize::try_from(seed / 6 % images.len() as u64).unwrap()];
                self.sim = self.sim.crash(&image);
                true
            }
            1 => {
                self.sim = self.sim.reopen_after_kill();
                true
            }
            _ => false,
        }
    }

    fn recover(&mut self) -> RecoveredLog {
        let (recovered, found) = match read(&self.sim, &self.bounds) {
            Ok(read) => read,
            Err(error) => panic!("{error:?} with {:?}", self.bounds),
        };
        let flushed = self.flushed_seqno;
        let found: Vec<u64> = found.into_iter().filter(|&seqno| seqno > flushed).collect();
        let all = self.given.iter().map(|&(seqno, _)| seqno);
        let all: Vec<u64> = all.filter(|&seqno| seqno > flushed).collect();
        assert!(all.starts_with(&found), "{found:?} is no prefix of {all:?}");
        let last = found.last().copied().unwrap_or(flushed);
        assert!(
            last >= self.durable_seqno,
            "lost {last} of {}",
            self.durable_seqno
        );
        self.given.retain(|&(seqno, _)| seqno <= last);
        if let Some(end) = recovered.end {
            assert!(end >= recovered.durable.unwrap_or_default());
            assert!(end > Position::default());
        }
        recovered
    }
}

#[test]
fn every_random_history_keeps_its_promises() {
    fn holds(seed: u64) -> bool {
        let mut history = History::new(seed);
        for _ in 0..60 {
            history.step();
        }
        history.reopen();
        true
    }
    quickcheck::QuickCheck::new()
        .tests(400)
        .quickcheck(holds as fn(u64) -> bool);
}
