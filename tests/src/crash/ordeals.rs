//! Random scripts: operations, options, restarts, crashes and faults, drawn by quickcheck, so that
//! a failing one shrinks, and all from a seed, so that it fails again.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use lsm_db::{Durability, LsmConfig};
use lsm_fs::CrashImage;
use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::aftermath::Remains;
use super::book::read;
use super::cuts::caught;
use super::play::Play;
use super::script::{Ending, Step, Trouble};
use super::start::Start;
use super::{Crash, Scenario, Violation};
use crate::life::Setup;

/// A script with what it is opened with.
#[derive(Debug, Clone)]
pub struct Ordeal {
    /// How the store is opened at first, and the seed of all else.
    pub setup: Setup,
    /// What is done.
    pub steps: Vec<Step>,
}

/// Runs `count` scripts of up to `steps_max` steps, drawn from `seed`.
///
/// # Errors
/// The shortest script found that breaks a promise.
pub fn run(count: u64, steps_max: usize, seed: u64) -> Result<(), Violation> {
    static LATEST: Mutex<Option<String>> = Mutex::new(None);
    fn property(ordeal: Ordeal) -> bool {
        let endured = caught(|| endure(&ordeal, &Crash::every(ordeal.setup.seed)));
        let failed = endured.err().map(|error| format!("{error}\n{ordeal:?}"));
        let holds = failed.is_none();
        if let Some(failed) = failed {
            // Of all that fail, the last is the shortest.
            *LATEST.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
        }
        holds
    }
    let tried = QuickCheck::new()
        .tests(count)
        .min_tests_passed(count)
        .rng(Gen::from_size_and_seed(steps_max, seed))
        .quicktest(property as fn(Ordeal) -> bool);
    tried.map(drop).map_err(|_| Violation {
        case: "ordeals".to_owned(),
        seed,
        message: LATEST
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or_default(),
    })
}

/// Plays the script, makes the disk well again, and checks what each of these crashes leaves. The
/// variants of the errors that the store answered with.
///
/// # Errors
/// The first promise that is broken.
pub(crate) fn endure(ordeal: &Ordeal, crashes: &[Crash]) -> Result<BTreeSet<&'static str>, String> {
    let scenario = Scenario {
        name: "ordeal",
        config: ordeal.setup.config(),
        directory: None,
        before: Vec::new(),
        steps: ordeal.steps.clone(),
        swept_from: 0,
        reaches: |_| true,
    };
    let seed = ordeal.setup.seed;
    let start = Start::of(&scenario, seed)?;
    let mut play = Play::begin(&scenario, &start, seed, None, None)?;
    play.steps(&scenario.steps)?;
    play.settle()?;
    play.goes_on()?;
    for &crash in crashes {
        let book = read(&play.book);
        let remains = Remains {
            disk: crash.of(&play.stage.machine.disk),
            crash,
            history: &book.history,
            config: &book.config,
            used: play.used(),
            seed,
        };
        remains
            .check()
            .map_err(|error| format!("{crash:?} at the end: {error}"))?;
    }
    Ok(play.met.take())
}

impl Arbitrary for Ordeal {
    fn arbitrary(g: &mut Gen) -> Self {
        Self {
            setup: Setup::arbitrary(g),
            steps: Vec::arbitrary(g),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let setup = self.setup.clone();
        let shrunk = self.steps.shrink().map(move |steps| Self {
            setup: setup.clone(),
            steps,
        });
        Box::new(shrunk)
    }
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 64 {
            0..21 => Self::Write(writes(g), durability(g)),
            21..28 => Self::Conditional(requirements(g), writes_or_none(g), durability(g)),
            28..31 => Self::Sync,
            31..35 => Self::Flush,
            35..37 => {
                let (a, b) = (key(g), key(g));
                Self::Compact(a.min(b), a.max(b))
            }
            37..44 => Self::Background(usize::arbitrary(g) % 4 + 1),
            44..47 => Self::Settle,
            47..54 => Self::Reopen(Ending::arbitrary(g)),
            54 | 55 => Self::Configure(config(g)),
            56 => Self::FailLogSync,
            57 => Self::FailManifestSync,
            58..61 => Self::Fail(pick(g, &Trouble::ALL), u64::arbitrary(g) % 40),
            _ => Self::Heal,
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        match self.clone() {
            Self::Write(writes, durability) => Box::new(
                writes
                    .shrink()
                    .map(move |writes| Self::Write(writes, durability)),
            ),
            Self::Conditional(requires, writes, durability) => Box::new(
                (requires, writes)
                    .shrink()
                    .map(move |(requires, writes)| Self::Conditional(requires, writes, durability)),
            ),
            Self::Fail(trouble, after) => {
                Box::new(after.shrink().map(move |after| Self::Fail(trouble, after)))
            }
            _ => quickcheck::empty_shrinker(),
        }
    }
}

impl Arbitrary for Ending {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 8 {
            0 => Self::Close,
            1 => Self::Drop,
            2 | 3 => Self::Kill,
            4 | 5 => Self::PowerCut(image(g)),
            _ => Self::PowerCutTwice(image(g), u64::arbitrary(g) % 12, image(g)),
        }
    }
}

fn image(g: &mut Gen) -> CrashImage {
    let images = CrashImage::standard(u64::arbitrary(g));
    pick(g, &images)
}

fn config(g: &mut Gen) -> LsmConfig {
    Setup::arbitrary(g).config()
}

fn key(g: &mut Gen) -> u8 {
    u8::arbitrary(g) % 12
}

fn durability(g: &mut Gen) -> Durability {
    pick(
        g,
        &[Durability::Sync, Durability::Buffered, Durability::Buffered],
    )
}

/// Mostly one put; seldom enough to be torn in several places.
fn writes(g: &mut Gen) -> Vec<(u8, Option<usize>)> {
    let len = pick(g, &[1, 1, 1, 2, 5, 9]);
    let values = [Some(0), Some(30), Some(30), Some(700), None];
    (0..len).map(|_| (key(g), pick(g, &values))).collect()
}

/// Mostly met.
fn requirements(g: &mut Gen) -> Vec<(u8, bool)> {
    let len = pick(g, &[1, 1, 2, 4]);
    (0..len)
        .map(|_| (key(g), u8::arbitrary(g) % 6 > 0))
        .collect()
}

fn writes_or_none(g: &mut Gen) -> Vec<(u8, Option<usize>)> {
    match u8::arbitrary(g) % 5 {
        0 => Vec::new(),
        _ => writes(g),
    }
}

fn pick<T: Copy>(g: &mut Gen, choices: &[T]) -> T {
    choices[usize::arbitrary(g) % choices.len()]
}
