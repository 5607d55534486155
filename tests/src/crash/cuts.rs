//! The crash sweep: a scenario is played once, and before each operation of the file system, and
//! after the last, the disk is copied as a crash would leave it, in image after image, and checked.
//!
//! Checked at once, in the middle of the operation that the script is waiting for: the copy is a
//! disk of its own, and nothing has to be kept.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::aftermath::Remains;
use super::book::{Reached, SharedBook, read};
use super::play::{Play, new_book};
use super::script::{Ending, Step};
use super::stage::{Moment, Watcher};
use super::start::Start;
use super::{Crash, Scenario, Violation, mixed};

/// How much of a sweep is done.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Images at each operation, at most: those that follow each other in the list of all, going
    /// on where the operation before left off.
    pub images: usize,
    /// At one image in so many, each operation of the recovery is crashed too; 0 for none.
    pub recovery_stride: u64,
    /// When to stop, whatever is left.
    pub stop_at: Option<Instant>,
    /// Only this operation and image.
    pub only: Option<(u64, usize)>,
}

impl Extent {
    /// Every image at every operation.
    pub const FULL: Self = Self {
        images: usize::MAX,
        recovery_stride: 29,
        stop_at: None,
        only: None,
    };

    fn is_over(&self) -> bool {
        self.stop_at
            .is_some_and(|stop_at| Instant::now() >= stop_at)
    }
}

/// What has been checked, over all sweeps.
#[derive(Debug, Default)]
pub struct Tally {
    /// Scenario, operation, image.
    triples: HashSet<(&'static str, u64, Crash)>,
    /// How many of them for each scenario.
    pub by_scenario: BTreeMap<&'static str, u64>,
    /// Crashes during a recovery from one of them.
    pub recovery_crashes: u64,
    /// Operations that failed, once each.
    pub faults: u64,
    /// Random scripts.
    pub ordeals: u64,
}

impl Tally {
    /// How many different (scenario, operation, image) were checked.
    pub fn triples(&self) -> usize {
        self.triples.len()
    }

    fn note(&mut self, scenario: &'static str, operation: u64, crash: Crash) {
        if self.triples.insert((scenario, operation, crash)) {
            *self.by_scenario.entry(scenario).or_default() += 1;
        }
    }
}

/// Sweeps one scenario. How far it got when nothing went wrong; `None` if the time was up.
///
/// # Errors
/// The first promise that was broken.
pub fn sweep(
    scenario: &Scenario,
    seed: u64,
    extent: Extent,
    tally: &mut Tally,
) -> Result<Option<Reached>, Violation> {
    let failed = |message| Violation {
        case: format!("cut/{}", scenario.name),
        seed,
        message,
    };
    let start = Start::of(scenario, seed).map_err(failed)?;
    let book = new_book(scenario, &start);
    let sweep = Sweep {
        scenario: scenario.name,
        swept_from: scenario.swept_from,
        seed,
        extent,
        state: Arc::new(Mutex::new(State {
            tally: std::mem::take(tally),
            violation: None,
            is_over: false,
        })),
    };
    let played = play(scenario, &start, &book, &sweep);
    let mut state = lock(&sweep.state);
    *tally = std::mem::take(&mut state.tally);
    match state.violation.take() {
        Some(violation) => Err(violation),
        None if state.is_over => Ok(None),
        None => played.map(Some).map_err(failed),
    }
}

fn play(
    scenario: &Scenario,
    start: &Start,
    book: &SharedBook,
    sweep: &Sweep,
) -> Result<Reached, String> {
    let watcher = sweep.watcher(book);
    let watched = Some((Arc::clone(book), watcher));
    let mut play = Play::begin(scenario, start, sweep.seed, None, watched)?;
    play.steps(&scenario.steps)?;
    let reached = play.settle()?;
    play.stage.at_rest();
    if !reached.poisoned
        || scenario
            .steps
            .iter()
            .any(|step| matches!(step, Step::Reopen(_)))
    {
        play.steps(&[Step::Reopen(Ending::Close)])?;
        play.stage.at_rest();
    }
    Ok(reached)
}

#[derive(Clone)]
struct Sweep {
    scenario: &'static str,
    swept_from: usize,
    seed: u64,
    extent: Extent,
    state: Arc<Mutex<State>>,
}

struct State {
    tally: Tally,
    violation: Option<Violation>,
    is_over: bool,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sweep {
    fn watcher(&self, book: &SharedBook) -> Watcher {
        let (sweep, book) = (self.clone(), Arc::clone(book));
        Arc::new(move |moment| sweep.at(moment, &book))
    }

    fn at(&self, moment: &Moment<'_>, book: &SharedBook) {
        let mut state = lock(&self.state);
        let book = read(book);
        state.is_over |= self.extent.is_over();
        if state.violation.is_some() || state.is_over || book.step < self.swept_from {
            return;
        }
        let crashes = Crash::every(mixed(self.seed, moment.number));
        for image in self.images(moment.number, crashes.len()) {
            let crash = crashes[image];
            let seed = mixed(
                self.seed,
                moment.number * crashes.len() as u64 + image as u64,
            );
            let remains = Remains {
                disk: crash.of(moment.disk),
                crash,
                history: &book.history,
                config: &book.config,
                used: moment.used.clone(),
                seed,
            };
            let goes_deep = self.extent.recovery_stride > 0
                && (seed.is_multiple_of(self.extent.recovery_stride) || self.extent.only.is_some());
            let checked = caught(|| {
                let crashes = match goes_deep {
                    true => remains.check_crashed_again()?,
                    false => 0,
                };
                remains.check().map(|()| crashes)
            });
            match checked {
                Ok(crashes) => {
                    state.tally.recovery_crashes += crashes;
                    state.tally.note(self.scenario, moment.number, crash);
                }
                Err(message) => {
                    state.violation =
                        Some(self.violation(moment, image, crash, &book.step, &message));
                    return;
                }
            }
        }
    }

    /// The places of the images to be tried at an operation.
    fn images(&self, operation: u64, count: usize) -> Vec<usize> {
        match self.extent.only {
            Some((only, image)) if only == operation => vec![image.min(count - 1)],
            Some(_) => Vec::new(),
            None => {
                let len = self.extent.images.min(count);
                let first = usize::try_from(operation % count as u64).unwrap_or(0) * len;
                (first..first + len).map(|place| place % count).collect()
            }
        }
    }

    fn violation(
        &self,
        moment: &Moment<'_>,
        image: usize,
        crash: Crash,
        step: &usize,
        message: &str,
    ) -> Violation {
        let place = match moment.event {
            Some(event) => format!("{:?} of {}", event.operation, event.path.display()),
            None => "the end".to_owned(),
        };
        Violation {
            case: format!("cut/{}/{}/{image}", self.scenario, moment.number),
            seed: self.seed,
            message: format!(
                "crash before operation {}, {place}, in step {step}, {crash:?}: {message}",
                moment.number
            ),
        }
    }
}

/// A panic is a broken promise too.
pub(crate) fn caught<T>(check: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}
