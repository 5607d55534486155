//! Plays a plan: opens the store on threads, lets them work, ends the handle, and has everything
//! judged when no thread is left.
//!
//! Called for one seed after the other. What it finds is told with the calls and the operations
//! that led to it, since the next play of the seed interleaves otherwise.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lsm_db::{Durability, Lsm, LsmConfig};
use lsm_fs::{CrashImage, SimFs};

use super::super::aftermath::Remains;
use super::super::cuts::caught;
use super::super::stage::UsedIds;
use super::super::start::Start;
use super::super::{Crash, Scenario};
use super::judge::{Moment, Seen};
use super::keys::own;
use super::ledger::{Ledger, Shared, Time};
use super::plan::{Beside, End, LifePlan, Plan};
use super::weather::{Copy, Weather, drawn_crash};
use super::work::{Stage, Writer, look, look_again, run_operator};
use crate::describe;
use crate::machine::Machine;
use crate::model::{Model, contents};
use crate::random::Random;

/// The writer that comes when all others have ended.
const LAST_WRITER: usize = 90;

/// How often a handle is asked to write once the disk is well again, and with what pause: together
/// far longer than the longest pause of a retry, which is 6 s.
const GOES_ON_ATTEMPTS: u32 = 6000;
const GOES_ON_PAUSE: Duration = Duration::from_millis(10);

/// Calls and operations in a report.
const REPORTED: usize = 120;

/// What plays have done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Plays.
    pub plays: u64,
    /// Handles, over all plays.
    pub lives: u64,
    /// Of those, how many a fault has struck.
    pub struck: u64,
    /// Batches that were acknowledged.
    pub commits: u64,
    /// Disks that a crash left, each opened and judged.
    pub crashes: u64,
    /// Snapshots judged.
    pub views: u64,
}

/// Where a life begins.
struct Beginning {
    disk: SimFs,
    used: UsedIds,
    before: Before,
}

/// What an open may show.
enum Before {
    /// Just this.
    State(Model),
    /// What a crash at that time may leave of that life.
    Life(Ledger, Time, Time, Crash),
}

/// Plays the plan, and adds to the tally.
///
/// # Errors
/// The first promise that is broken.
pub(super) fn play(plan: &Plan, tally: &mut Tally) -> Result<(), String> {
    let scenario = Scenario {
        name: "start",
        config: LsmConfig::new(),
        directory: plan.directory,
        before: Vec::new(),
        steps: Vec::new(),
        swept_from: 0,
        reaches: |_| true,
    };
    let start = Start::of(&scenario, plan.seed)?;
    let mut beginning = Beginning {
        disk: start.disk,
        used: start.used,
        before: Before::State(start.model),
    };
    tally.plays += 1;
    for (number, life) in plan.lives.iter().enumerate() {
        let mut random = Random::new(plan.seed.rotate_left(20) ^ number as u64);
        tally.lives += 1;
        beginning = live(life, beginning, number == 0, &mut random, tally).map_err(|error| {
            format!(
                "{}, life {} of {}: {error}",
                plan.name,
                number + 1,
                plan.lives.len()
            )
        })?;
    }
    Ok(())
}

/// One life, from the open to where the next begins.
fn live(
    plan: &LifePlan,
    beginning: Beginning,
    is_first: bool,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<Beginning, String> {
    let machine = Machine::with_disk(beginning.disk, plan.config.clone(), 0).on_its_own_threads();
    let shared = Arc::new(Shared::default());
    let weather = Weather::over(&machine, plan.weather.clone(), &shared, beginning.used);
    if plan.faults_at_open && !is_first {
        weather.luck.let_loose();
    }
    let report = |error: String| format!("{error}\n{}", report(plan, &shared, &weather));
    let db = open(&machine, &weather, &beginning.before).map_err(report)?;
    let base = contents(&db).map_err(|error| report(describe(&error)))?;
    let logged = plan.config.wal_enabled();
    *shared.ledger() = Ledger::new(base, logged);
    weather.begins();

    let stage = Stage::new(Arc::clone(&shared), Arc::clone(&weather), logged);
    let ended = work(plan, db, &machine, &stage, random);
    weather.luck.heal(&machine.faults, &machine.disk);
    machine.faults.remove_hook();
    tally.struck += u64::from(weather.luck.has_struck());
    ended.map_err(report)?;

    let mut copies = weather.take_copies();
    let has_crashed = plan.end == End::Crash && !copies.is_empty();
    if !has_crashed {
        copies.extend(last_copies(&machine.disk, &shared, weather.used(), random));
    }
    let ledger = std::mem::take(&mut *shared.ledger());
    let judged = judge(&ledger, &stage, &copies, &plan.config, random, tally);
    *shared.ledger() = ledger;
    judged.map_err(report)?;

    let place = if has_crashed {
        0
    } else {
        copies.len() - 1 - random.below(2)
    };
    let next = copies.swap_remove(place);
    let ledger = std::mem::take(&mut *shared.ledger());
    Ok(Beginning {
        disk: next.disk,
        used: next.used,
        before: Before::Life(ledger, next.from, next.to, next.crash),
    })
}

/// Opens the store and holds what it shows against what it may. What recovery owes the disk is paid
/// when this returns.
fn open(machine: &Machine, weather: &Weather, before: &Before) -> Result<Lsm, String> {
    let luck = &weather.luck;
    let db = machine.open().or_else(|error| {
        if !luck.has_struck() {
            return Err(format!("open: {}", describe(&error)));
        }
        luck.heal(&machine.faults, &machine.disk);
        luck.forgets_failed_syncs();
        let again = machine.open();
        again.map_err(|error| format!("open, well again: {}", describe(&error)))
    })?;
    let found = contents(&db).map_err(|error| format!("open: {}", describe(&error)))?;
    let explained = match before {
        Before::State(state) if *state == found => Ok(()),
        Before::State(_) => Err("shows something else".to_owned()),
        Before::Life(ledger, from, to, crash) => {
            let (from, to) = (*from, *to);
            Moment { ledger, from, to }.explain_as(&found, Seen::After(*crash))
        }
    };
    explained.map_err(|error| format!("open: {error}"))?;
    if !luck.has_struck() {
        return Ok(db);
    }
    // What was shown is durable once recovery has been paid for; a handle that cannot do so ends.
    luck.heal(&machine.faults, &machine.disk);
    let paid = (0..4).any(|_| db.sync().and_then(|()| db.flush()).is_ok());
    if paid {
        return Ok(db);
    }
    if !db.stats().poisoned {
        return Err("the disk is well again, but recovery does not end".to_owned());
    }
    drop(db);
    luck.forgets_failed_syncs();
    let db = machine
        .open()
        .map_err(|error| format!("open after poison: {}", describe(&error)))?;
    match contents(&db) {
        Ok(again) if again == found => Ok(db),
        Ok(_) => Err("an open that failed to settle has shown something else".to_owned()),
        Err(error) => Err(format!("open after poison: {}", describe(&error))),
    }
}

/// All threads of a life, and the end of its handle.
fn work(
    plan: &LifePlan,
    db: Lsm,
    machine: &Machine,
    stage: &Stage,
    random: &mut Random,
) -> Result<(), String> {
    let base = stage.shared.ledger().base.clone();
    let db = Arc::new(db);
    let kept = plan.holds_on.then(|| look(&db, stage)).flatten();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (id, calls) in plan.writers.iter().enumerate() {
            let (db, seed) = (Arc::clone(&db), random.draw());
            let mut writer = Writer::new(id, &base, seed);
            let work = move || writer.run(&db, calls, stage);
            threads.push(
                std::thread::Builder::new()
                    .name(format!("writer-{id}"))
                    .spawn_scoped(scope, work),
            );
        }
        for (id, calls) in plan.operators.iter().enumerate() {
            let (db, seed) = (Arc::clone(&db), random.draw());
            let work = move || run_operator(&db, calls, stage, seed);
            threads.push(
                std::thread::Builder::new()
                    .name(format!("operator-{id}"))
                    .spawn_scoped(scope, work),
            );
        }
        let last = match plan.end {
            // The last of the threads to end drops the handle.
            End::Drop => {
                stage.weather.luck.ends();
                drop(db);
                None
            }
            End::Close | End::Crash => Some(db),
        };
        for thread in threads {
            let thread = thread.map_err(|error| error.to_string())?;
            caught(|| thread.join().map_err(|panic| panic_text(&*panic)))?;
        }
        if let Some(db) = last.and_then(Arc::into_inner) {
            end(plan, db, machine, stage, random)?;
        }
        Ok::<(), String>(())
    })?;
    if let Some((snapshot, model)) = kept {
        look_again(&snapshot, &model, stage);
    }
    if plan.end == End::Drop && !stage.weather.luck.has_struck() {
        let now = stage.shared.clock.tick();
        stage.shared.promised("drop, and nothing failed", now);
    }
    stage.first_finding().map_or(Ok(()), Err)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a thread panicked: {}", text.unwrap_or_default())
}

/// The end of a handle that no other thread uses any more.
fn end(
    plan: &LifePlan,
    db: Lsm,
    machine: &Machine,
    stage: &Stage,
    random: &mut Random,
) -> Result<(), String> {
    let luck = &stage.weather.luck;
    if plan.end == End::Crash {
        // Whatever the old process still does, it does to its own disk.
        drop(db);
        return Ok(());
    }
    let stats = db.stats();
    match stats.background_error {
        Some(error) if !luck.has_struck() => {
            return Err(format!("nothing failed, but in the background: {error}"));
        }
        _ if stats.poisoned && !luck.more_than_no_room() => {
            return Err("lack of room has ended writing".to_owned());
        }
        _ => {}
    }
    look(&db, stage);
    if plan.heals {
        luck.heal(&machine.faults, &machine.disk);
        goes_on(&db, stage, random)?;
    }
    luck.ends();
    let called = stage.shared.clock.tick();
    match db.close() {
        Ok(()) if luck.final_failure() => {
            Err("close() hides that a sync of the log or the manifest failed".to_owned())
        }
        Ok(()) => {
            stage.shared.promised("close()", called);
            Ok(())
        }
        Err(error) => {
            stage.failed("close()", &error);
            Ok(())
        }
    }
}

/// The disk is well again: unless it is poisoned, the handle takes writes and flushes.
fn goes_on(db: &Lsm, stage: &Stage, random: &mut Random) -> Result<(), String> {
    let base = stage.shared.ledger().base.clone();
    let mut writer = Writer::new(LAST_WRITER, &base, random.draw());
    let mut write = || {
        let writes = vec![(own(LAST_WRITER, b"key"), Some(b"v".to_vec()))];
        writer.commit(db, writes, Beside::Nothing, Durability::Sync, stage)
    };
    // A failure of background work is told to a writer, and to each writer while many memtables
    // wait; and an attempt that began before may still fail. So it may take until the next retry.
    let mut done = false;
    for _ in 0..GOES_ON_ATTEMPTS {
        done = write() && stage.makes_durable("flush()", random, || db.flush());
        if done || db.stats().poisoned {
            break;
        }
        std::thread::sleep(GOES_ON_PAUSE);
    }
    match (done, db.stats().poisoned) {
        (true, false) | (false, true) => Ok(()),
        (true, true) => Err("a poisoned handle takes writes".to_owned()),
        (false, false) => Err("takes no writes though the disk is well again".to_owned()),
    }
}

/// Crashes after the end of the handle.
fn last_copies(disk: &SimFs, shared: &Shared, used: UsedIds, random: &mut Random) -> Vec<Copy> {
    let crashes = [
        drawn_crash(random),
        Crash::PowerCut(CrashImage::NothingUnsynced),
        Crash::Kill,
    ];
    let copies = crashes.into_iter().map(|crash| {
        let from = shared.clock.tick();
        Copy {
            disk: crash.of(disk),
            crash,
            used: used.clone(),
            from,
            to: shared.clock.tick(),
            at: "after the end of the handle".to_owned(),
        }
    });
    copies.collect()
}

/// Everything that was seen, and everything that crashes left.
fn judge(
    ledger: &Ledger,
    stage: &Stage,
    copies: &[Copy],
    config: &LsmConfig,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<(), String> {
    if let Some(reused) = stage.weather.reused() {
        return Err(reused);
    }
    let acknowledged = ledger.commits.values().flatten();
    let acknowledged =
        acknowledged.filter(|commit| commit.answer == super::ledger::Answer::Acknowledged);
    let poisoned_at = stage.poisoned_at.load(Ordering::SeqCst);
    for commit in acknowledged {
        tally.commits += 1;
        if commit.called > poisoned_at {
            return Err(format!("poisoned at {poisoned_at}, but {commit}"));
        }
    }
    let views = stage.views.lock().unwrap_or_else(PoisonError::into_inner);
    for view in views.iter() {
        tally.views += 1;
        let (from, to) = (view.from, view.to);
        let moment = Moment { ledger, from, to };
        moment
            .explain_as(&view.found, Seen::Live)
            .map_err(|error| format!("a snapshot taken between {from} and {to}: {error}"))?;
    }
    let thorough = random.below(copies.len());
    for (number, copy) in copies.iter().enumerate() {
        tally.crashes += 1;
        let (from, to) = (copy.from, copy.to);
        let moment = Moment { ledger, from, to };
        let remains = Remains {
            disk: copy.disk.reopen_after_kill(),
            crash: copy.crash,
            history: &moment,
            config,
            used: copy.used.clone(),
            seed: random.draw(),
        };
        let checked = match number == thorough {
            true => remains.check(),
            false => remains.check_content(),
        };
        checked.map_err(|error| {
            format!(
                "{:?} {}, between {from} and {to}: {error}",
                copy.crash, copy.at
            )
        })?;
    }
    Ok(())
}

/// The plan of a life, and its last calls and operations.
fn report(plan: &LifePlan, shared: &Shared, weather: &Weather) -> String {
    let ledger = shared.ledger();
    let mut lines: Vec<(Time, String)> = Vec::new();
    for (writer, commits) in &ledger.commits {
        for commit in commits {
            let line = format!("writer {writer}: {commit}");
            lines.push((commit.called, line));
        }
    }
    for promise in &ledger.promises {
        let line = format!("{} Ok at {}", promise.by, promise.answered);
        lines.push((promise.called, line));
    }
    lines.sort();
    let mut text = format!(
        "with {:?}, {:?}, {:?}\n",
        plan.config, plan.end, plan.weather
    );
    for (called, line) in lines.iter().rev().take(REPORTED).rev() {
        let _ = writeln!(text, "{called:>6} {line}");
    }
    for line in weather.trace(REPORTED) {
        let _ = writeln!(text, "{line}");
    }
    text
}
