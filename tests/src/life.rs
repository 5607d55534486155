//! A random life of a store: what it is opened with, and everything that happens to it.
//!
//! Drawn by quickcheck, so that a failing life shrinks to a short one, and run by [`run`] against
//! the model. Everything in it is a value: the same life gives the same history, if it is run on a
//! simulated machine.

mod kept;
mod run;
mod setup;
mod world;

use std::ops::Bound;

use lsm_db::Durability;
use quickcheck::{Arbitrary, Gen};

use crate::walk::Move;

pub use run::run;
pub use setup::Setup;
pub use world::{RealDirectory, World};

/// A configuration and what happens then.
#[derive(Debug, Clone)]
pub struct Life {
    /// How the store is opened, each time.
    pub setup: Setup,
    /// What happens, in order.
    pub deeds: Vec<Deed>,
}

/// One thing that happens. Values are made up when it happens, unlike every other; only their
/// length is drawn.
#[derive(Debug, Clone)]
pub enum Deed {
    /// A put of a value of so many bytes.
    Put(Vec<u8>, usize),
    /// A delete.
    Delete(Vec<u8>),
    /// A batch of puts and deletes (no length), with a durability of its own or the configured.
    Batch(Vec<(Vec<u8>, Option<usize>)>, Option<Durability>),
    /// A batch as above, if each of these keys has the value that it has then (true) or another
    /// (false): then nothing is written. Without puts and deletes it is a check.
    Conditional(
        Vec<(Vec<u8>, bool)>,
        Vec<(Vec<u8>, Option<usize>)>,
        Option<Durability>,
    ),
    /// A `compare_and_set` that expects the value that the key has then (true) or another (false),
    /// to a value of so many bytes or a delete.
    CompareAndSet(Vec<u8>, bool, Option<usize>),
    /// A `put_if_absent` of a value of so many bytes.
    PutIfAbsent(Vec<u8>, usize),
    /// A batch that puts so many keys behind all that were appended before, as in a queue.
    Append(usize),
    /// As often the first entry is read and deleted (true), or the last: long stretches of
    /// tombstones come from this.
    Take(usize, bool),
    /// `sync()`.
    Sync,
    /// `flush()`.
    Flush,
    /// `compact_range()`.
    Compact(Bound<Vec<u8>>, Bound<Vec<u8>>),
    /// So many background tasks run.
    Step(usize),
    /// All background tasks run.
    Settle,
    /// A `get`.
    Get(Vec<u8>),
    /// A `range` that is walked from the front (true) or the back, and then dropped.
    Walk(Bound<Vec<u8>>, Bound<Vec<u8>>, Vec<bool>),
    /// A `scan`.
    Scan(Bound<Vec<u8>>, Bound<Vec<u8>>),
    /// A `prefix`, from the front (true) or the back.
    Prefix(Vec<u8>, bool),
    /// An iterator is made and kept for later.
    Hold,
    /// A `range` is walked some steps from the front (true) or the back, and kept for later.
    HoldRange(Bound<Vec<u8>>, Bound<Vec<u8>>, Vec<bool>),
    /// The oldest kept iterator is read to its end: from the front (true) or the back.
    ReadHeld(bool),
    /// A cursor is made, moved and dropped.
    Wander(Vec<Move>),
    /// A cursor is made and kept for later.
    HoldCursor,
    /// A kept cursor, chosen by a number, is moved on.
    WanderHeld(usize, Vec<Move>),
    /// A snapshot is made and kept for later, and a cursor on it too.
    Snapshot,
    /// The cursor of a kept snapshot, chosen by a number, is moved on.
    WanderKept(usize, Vec<Move>),
    /// A kept snapshot, chosen by a number, is read in every way; then it is dropped (true), or
    /// its clone is kept on.
    ReadSnapshot(usize, bool),
    /// The handle is closed and opened again.
    Close,
    /// The handle is closed, and opened again and from then on in this way.
    Reconfigure(Setup),
    /// The handle is dropped and opened again.
    Drop,
    /// The process is killed; the store is opened again.
    Kill,
    /// The power is cut, in an image drawn from the seed; the store is opened again.
    PowerCut(u64),
}

impl Arbitrary for Life {
    fn arbitrary(g: &mut Gen) -> Self {
        Self {
            setup: Setup::arbitrary(g),
            deeds: Vec::arbitrary(g),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let setup = self.setup.clone();
        Box::new(self.deeds.shrink().map(move |deeds| Self {
            setup: setup.clone(),
            deeds,
        }))
    }
}

impl Arbitrary for Deed {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 130 {
            0..24 => Self::Put(key(g), value_len(g)),
            24..34 => Self::Delete(key(g)),
            34..42 => Self::Batch(batch(g), durability(g)),
            42..46 => Self::Conditional(requirements(g), batch(g), durability(g)),
            46..50 => {
                let new = (!one_in(g, 3)).then(|| value_len(g));
                Self::CompareAndSet(key(g), !one_in(g, 4), new)
            }
            50..52 => Self::PutIfAbsent(key(g), value_len(g)),
            52..54 => Self::Sync,
            54..58 => Self::Flush,
            58..60 => Self::Compact(bound(g), bound(g)),
            60..66 => Self::Step(usize::arbitrary(g) % 4 + 1),
            66..68 => Self::Settle,
            68..74 => Self::Get(key(g)),
            74..82 => Self::Walk(bound(g), bound(g), ends(g)),
            82..85 => Self::Scan(bound(g), bound(g)),
            85..88 => Self::Prefix(key(g), bool::arbitrary(g)),
            88..90 => Self::Hold,
            90..92 => Self::ReadHeld(bool::arbitrary(g)),
            92..94 => Self::Close,
            94..96 => Self::Drop,
            96..98 => Self::Kill,
            98..100 => Self::PowerCut(u64::arbitrary(g)),
            100..103 => Self::Wander(Vec::arbitrary(g)),
            103..105 => Self::Snapshot,
            105..109 => Self::WanderKept(usize::arbitrary(g), Vec::arbitrary(g)),
            109..112 => Self::ReadSnapshot(usize::arbitrary(g), bool::arbitrary(g)),
            112..115 => Self::Append(usize::from(u8::arbitrary(g)) % 80),
            115..120 => Self::Take(usize::from(u8::arbitrary(g)) % 60, !one_in(g, 3)),
            120..122 => Self::HoldRange(bound(g), bound(g), Vec::arbitrary(g)),
            122 | 123 => Self::HoldCursor,
            124..128 => Self::WanderHeld(usize::arbitrary(g), Vec::arbitrary(g)),
            _ => Self::Reconfigure(Setup::arbitrary(g)),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        match self.clone() {
            Self::Put(key, len) => {
                Box::new(len.shrink().map(move |len| Self::Put(key.clone(), len)))
            }
            Self::Batch(writes, durability) => Box::new(
                writes
                    .shrink()
                    .map(move |writes| Self::Batch(writes, durability)),
            ),
            Self::Conditional(requires, writes, durability) => Box::new(
                (requires, writes)
                    .shrink()
                    .map(move |(requires, writes)| Self::Conditional(requires, writes, durability)),
            ),
            Self::Append(count) => Box::new(count.shrink().map(Self::Append)),
            Self::Take(times, from_front) => {
                Box::new(times.shrink().map(move |t| Self::Take(t, from_front)))
            }
            Self::Walk(lower, upper, ends) => Box::new(
                ends.shrink()
                    .map(move |ends| Self::Walk(lower.clone(), upper.clone(), ends)),
            ),
            Self::WanderHeld(which, moves) => {
                Box::new(moves.shrink().map(move |m| Self::WanderHeld(which, m)))
            }
            Self::Wander(moves) => Box::new(moves.shrink().map(Self::Wander)),
            Self::WanderKept(which, moves) => {
                Box::new(moves.shrink().map(move |m| Self::WanderKept(which, m)))
            }
            _ => quickcheck::empty_shrinker(),
        }
    }
}

impl Arbitrary for Move {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 12 {
            0 => Self::First,
            1 => Self::Last,
            2 => Self::Seek(key(g)),
            3 => Self::SeekForPrev(key(g)),
            4..8 => Self::Next,
            _ => Self::Prev,
        }
    }
}

/// A key from a small set: few bytes from a small alphabet, so that keys repeat and prefix each
/// other; half of them behind eight equal bytes, so that comparisons have to look further.
fn key(g: &mut Gen) -> Vec<u8> {
    let mut key = if bool::arbitrary(g) {
        b"8 bytes:".to_vec()
    } else {
        Vec::new()
    };
    for _ in 0..u8::arbitrary(g) % 4 {
        key.push(pick(g, &[0x00, b'a', b'b', 0xff]));
    }
    key
}

fn value_len(g: &mut Gen) -> usize {
    match u8::arbitrary(g) % 20 {
        0 => 0,
        1 => 5000,
        _ => usize::arbitrary(g) % 100,
    }
}

fn batch(g: &mut Gen) -> Vec<(Vec<u8>, Option<usize>)> {
    let len = if one_in(g, 8) {
        60
    } else {
        u8::arbitrary(g) % 6
    };
    (0..len)
        .map(|_| (key(g), (!one_in(g, 3)).then(|| value_len(g))))
        .collect()
}

/// Mostly met.
fn requirements(g: &mut Gen) -> Vec<(Vec<u8>, bool)> {
    (0..u8::arbitrary(g) % 4)
        .map(|_| (key(g), !one_in(g, 6)))
        .collect()
}

fn durability(g: &mut Gen) -> Option<Durability> {
    pick(
        g,
        &[None, Some(Durability::Sync), Some(Durability::Buffered)],
    )
}

fn bound(g: &mut Gen) -> Bound<Vec<u8>> {
    match u8::arbitrary(g) % 3 {
        0 => Bound::Unbounded,
        1 => Bound::Included(key(g)),
        _ => Bound::Excluded(key(g)),
    }
}

/// Which ends a walk takes: all from one, all from the other, or changing.
fn ends(g: &mut Gen) -> Vec<bool> {
    match u8::arbitrary(g) % 3 {
        0 => vec![true; 100],
        1 => vec![false; 100],
        _ => Vec::arbitrary(g),
    }
}

fn one_in(g: &mut Gen, times: u8) -> bool {
    u8::arbitrary(g) % times == 0
}

fn pick<T: Copy>(g: &mut Gen, choices: &[T]) -> T {
    choices[usize::arbitrary(g) % choices.len()]
}
