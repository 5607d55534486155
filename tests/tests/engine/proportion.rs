//! Files in proportion to data: what flushes of next to nothing leave, in any order of keys and
//! however short the lives of a store.

use std::collections::BTreeMap;

use lsm_db::{Durability, Lsm, LsmConfig};
use lsm_fs::ByPath;
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, key};

const FLUSHES: usize = 3000;

/// Without a log, so that each file is a run or its filter.
fn tiny() -> LsmConfig {
    LsmConfig::new()
        .durability(Durability::Buffered)
        .run_bytes_target(1 << 20)
}

fn run_names(machine: &Machine) -> TestResult<Vec<String>> {
    let names = machine.disk.list(machine.dir())?;
    let names = names.into_iter();
    let names = names.filter_map(|entry| entry.name.into_string().ok());
    Ok(names.filter(|name| name.starts_with("run-")).collect())
}

/// The bound of docs/ARCHITECTURE.md, for data of less than a quarter of the target: ten runs below
/// level 0, and what waits for the trigger there. A run has a filter at most beside it.
const RUNS_MAX: usize = 10 + 4;

fn check_few(db: &Lsm, machine: &Machine, what: &str) -> TestResult {
    let stats = db.stats();
    assert!(!stats.compaction_pending, "{what}");
    let runs: usize = stats.levels.iter().map(|level| level.runs).sum();
    assert!(runs <= RUNS_MAX, "{what}: {runs} runs");
    let files = run_names(machine)?.len();
    assert!(files <= 2 * RUNS_MAX, "{what}: {files} files");
    Ok(())
}

fn flush_one_by_one(
    machine: &Machine,
    numbers: impl Iterator<Item = usize>,
    what: &str,
) -> TestResult<(Lsm, Model)> {
    let db = machine.open()?;
    let mut model = BTreeMap::new();
    for (at, number) in numbers.enumerate() {
        db.put(key(number), "v".repeat(40))?;
        model.insert(key(number), "v".repeat(40).into_bytes());
        if at % 7 == 3 {
            // Deletes a key that an earlier flush has brought to rest, as a rule.
            let victim = key(number ^ 1);
            db.delete(&victim)?;
            model.remove(&victim);
        }
        db.flush()?;
        if at % 97 == 0 {
            machine.settle();
            check_few(&db, machine, &format!("{what}, flush {at}"))?;
        }
    }
    machine.settle();
    check_few(&db, machine, what)?;
    Ok((db, model))
}

/// 3,000 flushes of one new key each left 3,000 runs for ever (fault 73).
#[test]
fn flushes_of_one_new_key_leave_few_files_in_any_order() -> TestResult {
    for what in ["ascending", "descending", "random"] {
        let machine = Machine::new(tiny(), 1);
        let order = |at: usize| match what {
            "ascending" => at,
            "descending" => FLUSHES - at,
            _ => (at * 1009) % FLUSHES,
        };
        let (db, model) = flush_one_by_one(&machine, (0..FLUSHES).map(order), what)?;
        check(&db, &model)?;
        let stats = db.stats();
        // Each flush takes a block of the disk; joins write less than twice that for each.
        let flushed_blocks = stats.flushes * 4096;
        if what != "random" {
            assert!(
                stats.compacted_bytes <= 2 * flushed_blocks,
                "{what}: {} bytes",
                stats.compacted_bytes
            );
        }
        db.compact_range::<&[u8], _>(..)?;
        machine.settle();
        let runs: usize = db.stats().levels.iter().map(|level| level.runs).sum();
        assert_eq!(runs, 1, "{what}");
        assert!(run_names(&machine)?.len() <= 2, "{what}");
        check(&db, &model)?;
        db.close()?;
        let reopened = machine.open()?;
        check(&reopened, &model)?;
    }
    Ok(())
}

/// As above, a store that is opened for each key: 400 lives left 793 files.
#[test]
fn short_lives_leave_few_files() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 3);
    for life in 0..400 {
        let db = machine.open()?;
        machine.settle();
        db.put(key(life), "v")?;
        db.close()?;
    }
    let db = machine.open()?;
    machine.settle();
    check_few(&db, &machine, "400 lives")?;
    assert_eq!(db.iter().count(), 400);
    let names = machine.disk.list(machine.dir())?.len();
    assert!(names <= 2 * RUNS_MAX + 8, "{names} files of all kinds");
    Ok(())
}

#[test]
fn lives_without_a_policy_leave_what_a_compaction_on_demand_joins() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 3);
    for life in 0..100 {
        let db = machine.open()?;
        db.put(key(life), "v")?;
        db.flush()?;
        db.close()?;
    }
    let db = machine.open()?;
    machine.settle();
    assert_eq!(db.stats().levels[0].runs, 100);
    db.compact_range::<&[u8], _>(..)?;
    machine.settle();
    let runs: usize = db.stats().levels.iter().map(|level| level.runs).sum();
    assert_eq!(runs, 1);
    assert!(run_names(&machine)?.len() <= 2);
    assert_eq!(db.iter().count(), 100);
    Ok(())
}

/// Runs of an earlier version of this store, or of 1.x, lie at the deepest level as they came. What
/// is only to be joined slows no writer.
#[test]
fn small_runs_that_were_there_at_open_are_joined_and_are_no_debt() -> TestResult {
    // Moved to the deepest level, and too large for such a target to be joined there.
    let machine = Machine::new(LsmConfig::new().run_bytes_target(1), 3);
    let db = machine.open()?;
    for number in 0..200 {
        db.put(key(number), "v")?;
        db.flush()?;
    }
    machine.settle();
    // All but what level 0 keeps below its trigger.
    assert!(db.stats().levels[6].runs > 196);
    db.close()?;
    let machine = machine.reconfigured(LsmConfig::new());
    let db = machine.open()?;
    let stats = db.stats();
    assert!(stats.compaction_pending);
    assert_eq!(stats.compaction_debt_bytes, 0);
    machine.settle();
    check_few(&db, &machine, "at open")?;
    let stats = db.stats();
    assert_eq!(stats.levels[6].runs, 1);
    assert_eq!((stats.compactions, stats.stalls), (1, 0));
    assert_eq!(db.iter().count(), 200);
    Ok(())
}
