//! Compaction on demand: it ends whatever is written beside it, leaves nothing undone that it says Ok
//! to, leaves the policy awake, and returns when the space is back.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lsm_db::{Durability, Error, Lsm, LsmConfig, Stats};
use lsm_fs::{ByPath, Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::directory::{damage, plant, read_file, runs, segments};
use lsm_tests::layout::layout;
use lsm_tests::machine::Machine;
use lsm_tests::model::key;
use lsm_tests::random::Random;

fn total(stats: &Stats, of: impl Fn(&lsm_db::LevelStats) -> u64) -> u64 {
    stats.levels.iter().map(of).sum()
}

fn run_count(db: &Lsm) -> usize {
    db.stats().levels.iter().map(|level| level.runs).sum()
}

/// Memtables of four runs each.
fn small_runs() -> LsmConfig {
    LsmConfig::new()
        .memtable_capacity(64 << 10)
        .run_bytes_target(16 << 10)
        .durability(Durability::Buffered)
}

fn fill(db: &Lsm, count: usize) -> lsm_db::Result<()> {
    (0..count).try_for_each(|number| db.put(key(number), [b'v'; 100]))
}

/// What was taken to be wanted grew with the outputs of all jobs, so the call followed the writers for
/// ever: with one writer, and with three writers and three callers (fault 72).
#[test]
fn callers_beside_writers_come_back() -> TestResult {
    const KEYS: usize = 2000;
    /// Many times what is put while the calls take as long as they should.
    const PUTS_MAX: usize = 200_000;
    for (writers, callers) in [(1, 1), (3, 3)] {
        let machine = Machine::on_threads(small_runs());
        let db = machine.open()?;
        fill(&db, KEYS)?;
        let (calls_left, puts) = (AtomicUsize::new(callers * 3), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..writers)
                .map(|writer| {
                    let (db, calls_left, puts) = (&db, &calls_left, &puts);
                    scope.spawn(move || -> lsm_db::Result<()> {
                        let mut random = Random::new(writer);
                        while calls_left.load(Ordering::Relaxed) > 0
                            && puts.fetch_add(1, Ordering::Relaxed) < PUTS_MAX
                        {
                            db.put(key(random.below(KEYS)), [b'w'; 500])?;
                        }
                        Ok(())
                    })
                })
                .collect();
            let callers: Vec<_> = (0..callers)
                .map(|caller| {
                    let (db, calls_left) = (&db, &calls_left);
                    scope.spawn(move || -> lsm_db::Result<()> {
                        for _ in 0..3 {
                            let called = db.compact_range(key(caller * 100)..);
                            calls_left.fetch_sub(1, Ordering::Relaxed);
                            called?;
                        }
                        Ok(())
                    })
                })
                .collect();
            for thread in callers.into_iter().chain(writers) {
                thread.join().map_err(|_| "a thread panicked")??;
            }
            TestResult::Ok(())
        })?;
        let puts = puts.into_inner();
        assert!(puts < PUTS_MAX, "the calls ended with the writers");
        db.compact_range::<&[u8], _>(..)?;
        assert_eq!(total(&db.stats(), |level| level.entries), KEYS as u64);
    }
    Ok(())
}

/// The call moved runs about and did not ask what the policy wants now: its next job waited for a flush
/// that might never come (fault 72).
#[test]
fn after_a_call_the_policy_does_what_it_has_to() -> TestResult {
    let machine = Machine::new(small_runs().compaction_trigger(4), 1);
    let db = machine.open()?;
    fill(&db, 20_000)?;
    db.compact_range::<&[u8], _>(..)?;
    for number in (0..20_000).step_by(100) {
        db.delete(key(number))?;
    }
    db.flush()?;
    db.compact_range(key(3000)..key(3001))?;
    machine.settle();
    let stats = db.stats();
    assert!(!stats.compaction_pending, "{stats}");
    Ok(())
}

/// A store whose deepest level has a damaged run, by the key that lies in it.
fn with_damage_at(number: usize) -> Result<(Machine, Lsm, PathBuf), Box<dyn std::error::Error>> {
    let machine = Machine::new(small_runs().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    fill(&db, 1000)?;
    db.compact_range::<&[u8], _>(..)?;
    drop(db);
    let mut damaged = None;
    for path in runs(&machine.disk, machine.dir())? {
        let layout = layout(&read_file(&machine.disk, &path)?).ok_or("not a run")?;
        let wanted = key(number);
        if let Some(block) = layout
            .blocks
            .iter()
            .find(|block| block.keys.contains(&wanted))
        {
            let at = block.bytes.start + 4;
            damage(&machine.disk, &path, |bytes| bytes[at] ^= 1)?;
            damaged = Some(path);
        }
    }
    let machine = machine.reconfigured(small_runs().compaction_trigger(usize::MAX));
    let db = machine.open()?;
    Ok((machine, db, damaged.ok_or("no run has the key")?))
}

fn assert_names(called: &lsm_db::Result<()>, path: &PathBuf) {
    assert!(
        matches!(called, Err(Error::Corruption { file: Some(file), .. }) if file == path),
        "{called:?}"
    );
}

/// Nothing had to be merged, so nothing was read, and the call said Ok over a damaged run (fault 72).
#[test]
fn a_damaged_run_that_need_not_be_merged_is_found_and_named() -> TestResult {
    let (_machine, db, damaged) = with_damage_at(500)?;
    for _ in 0..2 {
        assert_names(&db.compact_range::<&[u8], _>(..), &damaged);
        assert_names(&db.compact_range(key(500)..=key(500)), &damaged);
        assert_eq!(db.stats().runs_set_aside, 1);
    }
    db.compact_range(key(900)..)?;
    db.compact_range(..key(100))?;
    assert!(!db.stats().compaction_pending);
    Ok(())
}

/// The file and the index that readers had left open were believed, so the call said Ok over a run
/// that was removed, and over one whose index was damaged.
#[test]
fn a_run_that_is_removed_or_damaged_while_readers_have_it_open_is_named() -> TestResult {
    let config = || small_runs().compaction_trigger(usize::MAX);
    for is_removed in [true, false] {
        let machine = Machine::new(config(), 1);
        let db = machine.open()?;
        fill(&db, 1000)?;
        db.compact_range::<&[u8], _>(..)?;
        assert_eq!(db.iter().count(), 1000);
        let victim = runs(&machine.disk, machine.dir())?.swap_remove(2);
        let bytes = read_file(&machine.disk, &victim)?;
        let index = layout(&bytes).ok_or("not a run")?.index;
        machine.disk.remove_file(&victim)?;
        if !is_removed {
            let mut bytes = bytes.clone();
            bytes[index.start] ^= 1;
            plant(&machine.disk, &victim, &bytes)?;
        }
        for _ in 0..2 {
            let called = db.compact_range::<&[u8], _>(..);
            match &called {
                Err(Error::Io { path, source, .. }) if is_removed => {
                    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
                    assert_eq!(path.as_ref(), Some(&victim));
                }
                _ => assert_names(&called, &victim),
            }
            assert_eq!(db.iter().filter(Result::is_ok).count(), 1000);
        }
        assert!(!db.stats().compaction_pending);
        db.compact_range(..key(10))?;
    }
    Ok(())
}

/// A run could not leave level 0 because of a damaged one below it that lies outside of the range, and
/// the call said Ok with a deleted key's entry in place (fault 72).
#[test]
fn a_damaged_run_outside_the_range_that_blocks_it_is_named() -> TestResult {
    let (_machine, db, damaged) = with_damage_at(900)?;
    assert_names(&db.compact_range(key(900)..=key(900)), &damaged);
    db.delete(key(100))?;
    db.put(key(900), "new")?;
    for _ in 0..2 {
        assert_names(&db.compact_range(key(100)..=key(100)), &damaged);
    }
    assert_eq!(total(&db.stats(), |level| level.tombstones), 1);
    Ok(())
}

/// The runs that a call had replaced still waited for their unlink when it returned (fault 75).
#[test]
fn the_space_is_back_when_the_call_returns() -> TestResult {
    for seed in 0..5 {
        let machine = Machine::new(small_runs(), seed);
        let db = machine.open()?;
        for _ in 0..3 {
            fill(&db, 5000)?;
            db.compact_range::<&[u8], _>(..)?;
            assert_eq!(runs(&machine.disk, machine.dir())?.len(), run_count(&db));
            assert!(segments(&machine.disk, machine.dir())?.len() <= 1);
        }
    }
    Ok(())
}

/// A snapshot pins the files of its moment: the call does not wait for it.
#[test]
fn space_that_a_snapshot_holds_is_not_waited_for() -> TestResult {
    let machine = Machine::new(small_runs(), 3);
    let db = machine.open()?;
    fill(&db, 5000)?;
    db.flush()?;
    let held = db.snapshot();
    let before = run_count(&db);
    fill(&db, 5000)?;
    db.compact_range::<&[u8], _>(..)?;
    assert!(runs(&machine.disk, machine.dir())?.len() >= run_count(&db) + before.min(2));
    drop(held);
    db.compact_range::<&[u8], _>(..)?;
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), run_count(&db));
    Ok(())
}

/// A job that fails is the answer of its caller, and nothing of it is left: no claim, no book.
#[test]
fn a_failed_job_is_its_callers_answer_and_leaves_nothing_behind() -> TestResult {
    let machine = Machine::new(small_runs().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    for _ in 0..2 {
        fill(&db, 2000)?;
        db.flush()?;
    }
    machine.settle();
    machine.faults.fail_when(
        Operation::Append,
        |path| path.extension().is_some_and(|extension| extension == "sst"),
        Fault::from_raw_os_error(5).for_good(),
    );
    let failed = db.compact_range::<&[u8], _>(..);
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    machine.settle();
    let stats = db.stats();
    assert!(!stats.compaction_pending, "{stats}");
    assert_eq!(stats.runs_set_aside, 0);
    machine.faults.clear_faults();
    db.compact_range::<&[u8], _>(..)?;
    assert_eq!(total(&db.stats(), |level| level.entries), 2000);
    Ok(())
}

/// A call that is made while a job of the policy is in the middle of writing goes on from its outputs
/// (fault 72).
#[test]
fn the_outputs_of_a_job_that_runs_at_the_start_of_a_call_are_not_lost_track_of() -> TestResult {
    let machine = Machine::on_threads(small_runs().compaction_trigger(2));
    let db = machine.open()?;
    fill(&db, 300)?;
    db.compact_range::<&[u8], _>(..)?;
    fill(&db, 300)?;
    db.flush()?;
    let parked = machine.faults.park(Operation::SyncDir, |_| true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            parked.wait_for_arrival();
            parked.release();
        });
        (0..300)
            .step_by(3)
            .try_for_each(|number| db.delete(key(number)))?;
        db.flush()?;
        db.compact_range::<&[u8], _>(..)
    })?;
    let stats = db.stats();
    assert_eq!(total(&stats, |level| level.tombstones), 0, "{stats}");
    assert_eq!(total(&stats, |level| level.entries), 200, "{stats}");
    Ok(())
}

#[test]
fn several_callers_with_ranges_that_overlap_all_get_what_they_asked_for() -> TestResult {
    let machine = Machine::on_threads(small_runs());
    let db = machine.open()?;
    fill(&db, 5000)?;
    for number in (0..5000).step_by(3) {
        db.delete(key(number))?;
    }
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let (db, failed) = (&db, &failed);
            scope.spawn(move || {
                let called = db.compact_range(key(caller * 500)..key(5000 - caller * 500));
                failed.fetch_or(called.is_err(), Ordering::Relaxed);
            });
        }
    });
    assert!(!failed.load(Ordering::Relaxed));
    assert_eq!(total(&db.stats(), |level| level.tombstones), 0);
    Ok(())
}

/// The job had discharged nothing, since the books were closed, and that was taken for a bug of its own.
#[test]
fn a_job_whose_caller_was_told_that_writing_has_ended_ends_in_peace() -> TestResult {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or_default();
        PANICS.fetch_add(
            usize::from(message.contains("discharged nothing")),
            Ordering::Relaxed,
        );
        before(info);
    }));
    let machine = Machine::on_threads(LsmConfig::new().compaction_trigger(usize::MAX));
    let db = machine.open()?;
    for _ in 0..2 {
        db.put("a", "1")?;
        db.flush()?;
    }
    let is_manifest = |path: &Path| path.to_string_lossy().contains("MANIFEST");
    let edit = machine.faults.park(Operation::Sync, is_manifest);
    std::thread::scope(|scope| -> TestResult {
        let compaction = scope.spawn(|| db.compact_range::<&[u8], _>(..));
        edit.wait_for_arrival();
        // The put needs a new segment, and the sync of its name fails.
        let fault = Fault::new(std::io::ErrorKind::Other);
        machine
            .faults
            .fail_when(Operation::SyncDir, |_| true, fault);
        assert!(db.put("b", "1").is_err());
        let told = compaction.join().map_err(|_| "the caller panicked")?;
        assert!(told.is_err());
        edit.release();
        Ok(())
    })?;
    assert!(db.close().is_err());
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    Ok(())
}
