//! What befalls the disk of a play: faults, delays before and behind operations, and crashes.
//!
//! Made for one life of the store; its hooks run in the store's own threads, at every operation.
//! What happens to an operation depends on the seed and on the operation's number, or on its number
//! among its kind; which operation gets that number is up to the threads.

mod faults;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lsm_fs::{CrashImage, Event, SimFs};

use super::super::stage::UsedIds;
use super::super::{Crash, mixed};
use super::ledger::{Shared, Time};
use crate::machine::Machine;
use crate::random::Random;

pub(super) use faults::{Class, FaultPlan, Luck, Mishap};

/// How long an operation is held at most until another one comes.
const HELD_MAX: Duration = Duration::from_millis(2);

/// Operations whose names are kept for a report.
const TRACE_MAX: usize = 4000;

/// What befalls a life.
#[derive(Debug, Clone)]
pub(super) struct WeatherPlan {
    pub seed: u64,
    pub faults: Vec<FaultPlan>,
    /// One operation in so many is delayed; 0 for none.
    pub delay_one_in: usize,
    /// One answer in so many is held back; 0 for none. An answer that tells of a fault always may be.
    pub answer_one_in: usize,
    /// The disk is copied before these mutating operations, by their numbers.
    pub crashes_at: Vec<u64>,
    /// And so many operations after a fault has struck.
    pub crash_after_fault: Option<u64>,
    /// And in one of so many threads that were promised durability, right then.
    pub crash_on_promise_one_in: usize,
    /// The process ends for the play with the first of these copies.
    pub crash_ends_it: bool,
}

/// Copies of the disk for each life, at most.
const COPIES_MAX: usize = 5;

/// What a crash would have left.
#[derive(Debug)]
pub(super) struct Copy {
    pub disk: SimFs,
    pub crash: Crash,
    pub used: UsedIds,
    /// The disk was copied after this, and before the next.
    pub from: Time,
    pub to: Time,
    /// What happened at the time.
    pub at: String,
}

/// The weather over one machine.
pub(super) struct Weather {
    plan: WeatherPlan,
    shared: Arc<Shared>,
    disk: SimFs,
    pub luck: Arc<Luck>,
    state: Mutex<State>,
    arrival: Condvar,
    arrivals: AtomicU64,
}

#[derive(Default)]
struct State {
    used: UsedIds,
    reused: Option<String>,
    copies: Vec<Copy>,
    /// The mutating operation before which the disk is copied, a fault having struck.
    copy_at: Option<u64>,
    has_crashed: bool,
    has_begun: bool,
    trace: Vec<String>,
}

impl Weather {
    /// Has it over the machine from now on. Faults strike once they are let loose.
    pub(super) fn over(
        machine: &Machine,
        plan: WeatherPlan,
        shared: &Arc<Shared>,
        used: UsedIds,
    ) -> Arc<Self> {
        let luck = Luck::new(&machine.faults, &machine.disk, &plan.faults);
        let weather = Arc::new(Self {
            plan,
            shared: Arc::clone(shared),
            disk: machine.disk.clone(),
            luck,
            state: Mutex::new(State {
                used,
                ..State::default()
            }),
            arrival: Condvar::new(),
            arrivals: AtomicU64::new(0),
        });
        let before = Arc::clone(&weather);
        machine
            .faults
            .on_operation(move |event| before.before(event));
        let behind = Arc::clone(&weather);
        machine
            .faults
            .after_operation(move |event, ok| behind.behind(event, ok));
        weather
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open is over: from now on the disk may be copied, and faults strike.
    pub(super) fn begins(&self) {
        self.state().has_begun = true;
        self.luck.let_loose();
    }

    pub(super) fn used(&self) -> UsedIds {
        self.state().used.clone()
    }

    /// The first id of a file that was used twice.
    pub(super) fn reused(&self) -> Option<String> {
        self.state().reused.clone()
    }

    pub(super) fn take_copies(&self) -> Vec<Copy> {
        std::mem::take(&mut self.state().copies)
    }

    /// Whether the crash has come that ends the life.
    pub(super) fn has_ended(&self) -> bool {
        self.plan.crash_ends_it && self.state().has_crashed
    }

    /// The operations of the file system up to now, the last so many of them.
    pub(super) fn trace(&self, count: usize) -> Vec<String> {
        let state = self.state();
        let from = state.trace.len().saturating_sub(count);
        state.trace[from..].to_vec()
    }

    /// A thread was just promised that something is durable.
    pub(super) fn promised(&self, by: &str, random: &mut Random) {
        let one_in = self.plan.crash_on_promise_one_in;
        if one_in > 0 && random.one_in(one_in) {
            self.copy(format!("{by} has just said Ok"), random.draw());
        }
    }

    fn before(&self, event: &Event<'_>) {
        self.arrivals.fetch_add(1, Ordering::SeqCst);
        self.arrival.notify_all();
        let mut random = Random::new(mixed(self.plan.seed, event.index));
        if let Some(number) = event.mutation_index {
            self.note(event);
            self.copy_if_due(number, event, &mut random);
        }
        let one_in = self.plan.delay_one_in;
        if one_in > 0 && random.one_in(one_in) {
            self.delay(&mut random);
        }
    }

    fn behind(&self, event: &Event<'_>, ok: bool) {
        let mut random = Random::new(!mixed(self.plan.seed, event.index));
        let has_struck = Luck::take_struck_here();
        if event.mutation_index.is_some() {
            self.write_down(event, ok);
        }
        if has_struck && let Some(after) = self.plan.crash_after_fault {
            let now = event.mutation_index.unwrap_or_default();
            self.state().copy_at.get_or_insert(now + 1 + after);
        }
        let one_in = self.plan.answer_one_in;
        if (has_struck && !random.one_in(3)) || (one_in > 0 && random.one_in(one_in)) {
            self.delay(&mut random);
        }
    }

    fn note(&self, event: &Event<'_>) {
        let mut state = self.state();
        if let Some(reused) = state.used.note(event) {
            state.reused.get_or_insert(reused);
        }
        self.luck.follow_manifest(event);
    }

    fn write_down(&self, event: &Event<'_>, ok: bool) {
        let mut state = self.state();
        if state.trace.len() < TRACE_MAX {
            let now = self.shared.clock.tick();
            let thread = std::thread::current();
            let name = event.path.file_name().unwrap_or_default();
            let line = format!(
                "{now:>6} {:<14} {:?} {}{}",
                thread.name().unwrap_or("?"),
                event.operation,
                name.display(),
                if ok { "" } else { " FAILED" }
            );
            state.trace.push(line);
        }
    }

    fn copy_if_due(&self, number: u64, event: &Event<'_>, random: &mut Random) {
        let is_due = {
            let state = self.state();
            let is_planned = self.plan.crashes_at.contains(&number);
            is_planned || state.copy_at.is_some_and(|at| number == at)
        };
        if is_due {
            let name = event.path.file_name().unwrap_or_default();
            let at = format!(
                "before operation {number}, {:?} {}",
                event.operation,
                name.display()
            );
            self.copy(at, random.draw());
        }
    }

    /// Copies the disk as a crash would leave it now.
    fn copy(&self, at: String, seed: u64) {
        let mut random = Random::new(seed);
        let crash = drawn_crash(&mut random);
        let mut state = self.state();
        // What an open leaves that is cut short is what it found, and judged elsewhere.
        if !state.has_begun || state.copies.len() >= COPIES_MAX {
            return;
        }
        let used = state.used.clone();
        let from = self.shared.clock.tick();
        let disk = crash.of(&self.disk);
        // Somebody has made room by the time of the restart.
        disk.set_capacity_bytes(None);
        let to = self.shared.clock.tick();
        state.has_crashed = true;
        state.copies.push(Copy {
            disk,
            crash,
            used,
            from,
            to,
            at,
        });
    }

    /// Yields, sleeps for some microseconds, or waits until another operation comes.
    fn delay(&self, random: &mut Random) {
        match random.below(8) {
            0..3 => (0..=random.below(8)).for_each(|_| std::thread::yield_now()),
            3..6 => std::thread::sleep(Duration::from_micros(random.below(200) as u64)),
            6 => std::thread::sleep(Duration::from_micros(random.below(1000) as u64)),
            _ => self.hold(1 + random.below(3) as u64),
        }
    }

    /// Waits until so many other operations have come, or none does.
    fn hold(&self, count: u64) {
        let until = self.arrivals.load(Ordering::SeqCst) + count;
        let waits = |_: &mut State| self.arrivals.load(Ordering::SeqCst) < until;
        drop(
            self.arrival
                .wait_timeout_while(self.state(), HELD_MAX, waits),
        );
    }
}

/// A kill, or a power cut; of the images the ones that lose most come most often.
pub(super) fn drawn_crash(random: &mut Random) -> Crash {
    let every = Crash::every(random.draw());
    match random.below(4) {
        0 => Crash::Kill,
        1 => Crash::PowerCut(CrashImage::NothingUnsynced),
        _ => every[random.below(every.len())],
    }
}
