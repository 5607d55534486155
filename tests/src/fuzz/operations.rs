//! The target `operations`: the input is what happens to a store, step by step, on a simulated
//! machine with stepped background work.
//!
//! Called through [`Target`](super::Target). Two interpreters that the other tests have, driven by
//! choices instead of a seed. A [`Life`] has every kind of read, iterators, cursors and snapshots
//! that are kept, restarts, kills and power cuts, against a sorted map; an [`Ordeal`] has faults of
//! the disk too, against the history of what was acknowledged.

use std::ops::Bound;

use lsm_db::{Durability, LsmConfig};
use lsm_fs::CrashImage;

use super::{Told, split};
use crate::crash::ordeals::{Ordeal, endure};
use crate::crash::script::{Ending, Step, Trouble};
use crate::crash::{Crash, mixed};
use crate::life::{Deed, Life, Setup, run};
use crate::machine::Machine;
use crate::random::Random;
use crate::walk::Move;

/// So many at most, that no input takes long.
const DEEDS_MAX: usize = 60;
const STEPS_MAX: usize = 40;

pub(super) fn check(input: &[u8], told: &mut Told) -> Result<(), String> {
    let (mode, rest) = split(input);
    let mut random = Random::from_bytes(rest);
    let setup = setup(&mut random);
    if mode % 2 == 0 {
        let mut deeds = Vec::new();
        while random.has_more() && deeds.len() < DEEDS_MAX {
            deeds.push(deed(&mut random));
        }
        let life = Life { setup, deeds };
        told.tell("lived", "a life");
        let machine = Machine::new(life.setup.config(), life.setup.seed);
        return run(machine, &life).map_err(|error| format!("{error}\n{life:?}"));
    }
    let crash = Crash::every(setup.seed);
    let crash = crash[random.below(crash.len())];
    let mut steps = Vec::new();
    while random.has_more() && steps.len() < STEPS_MAX {
        steps.push(step(&mut random));
    }
    let ordeal = Ordeal { setup, steps };
    told.tell("lived", "an ordeal");
    let met = endure(&ordeal, &[crash]).map_err(|error| format!("{error}\n{ordeal:?}"))?;
    met.into_iter().for_each(|variant| told.tell(variant, ""));
    Ok(())
}

fn pick<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    choices[random.below(choices.len())]
}

fn setup(random: &mut Random) -> Setup {
    let wal = random.below(6) != 5;
    let durability = match random.below(2) {
        0 if wal => Durability::Sync,
        _ => Durability::Buffered,
    };
    Setup {
        seed: random.below(256) as u64,
        memtable_bytes: pick(random, &[1000, 0, 1, 100, 300, 5000]),
        trigger_runs: pick(random, &[2, 3, 4, usize::MAX]),
        run_bytes: pick(random, &[300, 1, 2000, 1 << 20]),
        fanout: pick(random, &[2, 3, 10]),
        durability,
        wal,
        ..Setup::plain()
    }
}

/// A key from a small set, in which keys prefix each other and some share their first eight bytes.
fn key(random: &mut Random) -> Vec<u8> {
    let number = random.below(32);
    let mut key = match number / 16 {
        0 => Vec::new(),
        _ => b"8 bytes:".to_vec(),
    };
    if !number.is_multiple_of(16) {
        key.push([0x00, b'a', b'b', 0xff][number % 4]);
    }
    if number % 16 > 7 {
        key.push([0x00, b'a', b'b', 0xff][number / 4 % 4]);
    }
    key
}

fn value_len(random: &mut Random) -> usize {
    pick(random, &[1, 0, 8, 20, 40, 99, 400, 5000])
}

fn new_value(random: &mut Random) -> Option<usize> {
    match random.below(4) {
        0 => None,
        _ => Some(value_len(random)),
    }
}

fn batch(random: &mut Random) -> Vec<(Vec<u8>, Option<usize>)> {
    let len = pick(random, &[1, 0, 2, 3, 5, 20]);
    (0..len).map(|_| (key(random), new_value(random))).collect()
}

fn durability(random: &mut Random) -> Option<Durability> {
    pick(
        random,
        &[None, Some(Durability::Sync), Some(Durability::Buffered)],
    )
}

fn bound(random: &mut Random) -> Bound<Vec<u8>> {
    match random.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(key(random)),
        _ => Bound::Excluded(key(random)),
    }
}

fn ends(random: &mut Random) -> Vec<bool> {
    match random.below(3) {
        0 => vec![true; 40],
        1 => vec![false; 40],
        _ => (0..8).map(|_| random.below(2) == 0).collect(),
    }
}

fn moves(random: &mut Random) -> Vec<Move> {
    let len = random.below(10);
    let step = |random: &mut Random| match random.below(8) {
        0..3 => Move::Next,
        3..6 => Move::Prev,
        6 => match random.below(3) {
            0 => Move::First,
            _ => Move::Last,
        },
        _ => match random.below(2) {
            0 => Move::Seek(key(random)),
            _ => Move::SeekForPrev(key(random)),
        },
    };
    (0..len).map(|_| step(random)).collect()
}

fn requirements<K>(random: &mut Random, key: impl Fn(&mut Random) -> K) -> Vec<(K, bool)> {
    let len = random.below(3);
    (0..len)
        .map(|_| (key(random), random.below(5) != 4))
        .collect()
}

fn deed(random: &mut Random) -> Deed {
    match random.below(40) {
        0..8 => Deed::Put(key(random), value_len(random)),
        8..12 => Deed::Delete(key(random)),
        12..15 => Deed::Batch(batch(random), durability(random)),
        15 | 16 => Deed::Conditional(requirements(random, key), batch(random), durability(random)),
        17 => Deed::CompareAndSet(key(random), random.below(4) != 3, new_value(random)),
        18 => Deed::PutIfAbsent(key(random), value_len(random)),
        19 => Deed::Sync,
        20 | 21 => Deed::Flush,
        22 => Deed::Compact(bound(random), bound(random)),
        23 | 24 => Deed::Step(random.below(4) + 1),
        25 => Deed::Settle,
        26 => Deed::Get(key(random)),
        27 | 28 => Deed::Walk(bound(random), bound(random), ends(random)),
        29 => Deed::Scan(bound(random), bound(random)),
        30 => Deed::Prefix(key(random), random.below(2) == 0),
        31 => Deed::Hold,
        32 => Deed::ReadHeld(random.below(2) == 0),
        33 => match random.below(2) {
            0 => Deed::Close,
            _ => Deed::Drop,
        },
        34 => Deed::Kill,
        35 => Deed::PowerCut(random.below(256) as u64),
        36 => Deed::Wander(moves(random)),
        37 => Deed::Snapshot,
        38 => Deed::WanderKept(random.below(4), moves(random)),
        _ => Deed::ReadSnapshot(random.below(4), random.below(2) == 0),
    }
}

fn small_key(random: &mut Random) -> u8 {
    u8::try_from(random.below(12)).unwrap_or(0)
}

fn writes(random: &mut Random) -> Vec<(u8, Option<usize>)> {
    let len = pick(random, &[1, 1, 2, 5, 0]);
    let values = [Some(30), Some(0), None, Some(700)];
    (0..len)
        .map(|_| (small_key(random), pick(random, &values)))
        .collect()
}

fn step(random: &mut Random) -> Step {
    let firm = |random: &mut Random| pick(random, &[Durability::Sync, Durability::Buffered]);
    match random.below(32) {
        0..10 => Step::Write(writes(random), firm(random)),
        10..13 => {
            let requires = requirements(random, small_key);
            Step::Conditional(requires, writes(random), firm(random))
        }
        13 => Step::Sync,
        14 | 15 => Step::Flush,
        16 => {
            let (a, b) = (small_key(random), small_key(random));
            Step::Compact(a.min(b), a.max(b))
        }
        17..20 => Step::Background(random.below(4) + 1),
        20 => Step::Settle,
        21..24 => Step::Reopen(ending(random)),
        24 => Step::Configure(setup_config(random)),
        25 => Step::FailLogSync,
        26 => Step::FailManifestSync,
        27..30 => Step::Fail(pick(random, &Trouble::ALL), random.below(40) as u64),
        30 => Step::LongKeys(pick(random, &[9, 100, 1000])),
        _ => Step::Heal,
    }
}

fn setup_config(random: &mut Random) -> LsmConfig {
    setup(random).config()
}

fn image(random: &mut Random) -> CrashImage {
    let images = CrashImage::standard(mixed(1, random.below(256) as u64));
    pick(random, &images)
}

fn ending(random: &mut Random) -> Ending {
    match random.below(6) {
        0 => Ending::Close,
        1 => Ending::Drop,
        2 => Ending::Kill,
        3 | 4 => Ending::PowerCut(image(random)),
        _ => Ending::PowerCutTwice(image(random), random.below(12) as u64, image(random)),
    }
}

/// A life and an ordeal of each kind of step, and some longer ones.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut random = Random::new(1);
    for number in 0..12 {
        for (mode, what) in [(0, "life"), (1, "ordeal")] {
            let len = 20 + number * 12;
            let input = [&[mode], random.bytes(len).as_slice()].concat();
            seeds.push((format!("{what}-{number}"), input));
        }
    }
    seeds
}
