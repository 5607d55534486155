//! No compaction, at any level, changes what a read answers; and what it replaces goes.

use std::sync::atomic::{AtomicBool, Ordering};

use lsm_db::{Durability, LsmConfig, Stats};
use lsm_fs::CrashImage;
use lsm_tests::TestResult;
use lsm_tests::directory::runs;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, collect, key, value};
use lsm_tests::random::Random;

fn total(stats: &Stats, of: impl Fn(&lsm_db::LevelStats) -> u64) -> u64 {
    stats.levels.iter().map(of).sum()
}

/// Many levels with few bytes.
fn tiny_levels() -> LsmConfig {
    LsmConfig::new()
        .memtable_capacity(1024)
        .run_bytes_target(1024)
        .compaction_trigger(2)
        .level_fanout(2)
        .durability(Durability::Buffered)
}

/// Deleted keys came back after a compaction (fault 24); a newer run stood behind an older
/// overlapping one (fault 27); jobs with disjoint inputs wrote overlapping outputs (fault 54).
#[test]
fn reads_answer_the_same_between_background_steps() -> TestResult {
    for seed in 0..3 {
        let machine = Machine::new(tiny_levels(), seed);
        let db = machine.open()?;
        let mut random = Random::new(seed);
        let mut model = Model::new();
        for age in 0..1000 {
            let number = random.below(200);
            if random.one_in(3) {
                db.delete(key(number))?;
                model.remove(&key(number));
            } else {
                db.put(key(number), value(number, age))?;
                model.insert(key(number), value(number, age));
            }
            if random.one_in(5) {
                machine.scheduler.step();
            }
            if age % 250 == 0 {
                check(&db, &model).map_err(|error| format!("seed {seed}, age {age}: {error}"))?;
            }
        }
        for step in 0.. {
            if step % 4 == 0 {
                check(&db, &model).map_err(|error| format!("seed {seed}, step {step}: {error}"))?;
            }
            if !machine.scheduler.step() {
                break;
            }
        }
        check(&db, &model).map_err(|error| format!("seed {seed}, at the end: {error}"))?;
    }
    Ok(())
}

#[test]
fn a_key_deleted_from_every_level_stays_deleted() -> TestResult {
    let machine = Machine::new(tiny_levels(), 5);
    let db = machine.open()?;
    let mut model = Model::new();
    for age in 0..6 {
        for number in 0..100 {
            db.put(key(number), value(number, age))?;
            model.insert(key(number), value(number, age));
        }
        for number in (age..100).step_by(7) {
            db.delete(key(number))?;
            model.remove(&key(number));
        }
        machine.settle();
        check(&db, &model)?;
    }
    for number in 0..100 {
        db.delete(key(number))?;
        db.flush()?;
    }
    for _ in 0..3 {
        machine.settle();
        assert_eq!(db.iter().count(), 0);
        db.compact_range::<&[u8], _>(..)?;
    }
    assert_eq!(db.iter().count(), 0);
    drop(db);
    assert_eq!(machine.open()?.iter().count(), 0);
    Ok(())
}

#[test]
fn compacting_everything_leaves_one_entry_a_key_and_no_tombstone() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    for age in 0..5 {
        for number in 0..100 {
            db.put(key(number), value(number, age))?;
        }
        db.delete(key(age))?;
        db.flush()?;
    }
    let stats = db.stats();
    assert_eq!(total(&stats, |level| level.entries), 500);
    assert_eq!(total(&stats, |level| level.tombstones), 5);
    db.compact_range::<&[u8], _>(..)?;
    let stats = db.stats();
    // Only the last round's delete still stands.
    assert_eq!(total(&stats, |level| level.entries), 99);
    assert_eq!(total(&stats, |level| level.tombstones), 0);
    assert_eq!(db.iter().count(), 99);
    Ok(())
}

#[test]
fn compacting_a_store_of_nothing_but_deletes_leaves_no_run() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    for number in 0..100 {
        db.put(key(number), "v")?;
    }
    db.flush()?;
    for number in 0..100 {
        db.delete(key(number))?;
    }
    db.flush()?;
    db.compact_range::<&[u8], _>(..)?;
    machine.settle();
    assert_eq!(
        db.stats()
            .levels
            .iter()
            .map(|level| level.runs)
            .sum::<usize>(),
        0
    );
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), 0);
    Ok(())
}

#[test]
fn compacting_a_range_includes_what_is_still_in_memory() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    for number in 0..10 {
        db.put(key(number), "v")?;
    }
    db.delete(key(0))?;
    db.compact_range(key(0)..key(5))?;
    assert_eq!(db.stats().memtable_bytes, 0);
    assert_eq!(total(&db.stats(), |level| level.tombstones), 0);
    assert_eq!(db.iter().count(), 9);
    Ok(())
}

#[test]
fn compacting_an_empty_or_inverted_range_is_no_operation() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    db.compact_range::<&[u8], _>(..)?;
    for number in 0..10 {
        db.put(key(number), "v")?;
    }
    db.flush()?;
    let before = runs(&machine.disk, machine.dir())?;
    db.compact_range(key(5)..key(5))?;
    db.compact_range(key(7)..key(3))?;
    machine.settle();
    assert_eq!(runs(&machine.disk, machine.dir())?, before);
    Ok(())
}

#[test]
fn replaced_runs_and_logs_are_removed_from_the_directory() -> TestResult {
    let machine = Machine::new(tiny_levels(), 2);
    let db = machine.open()?;
    for age in 0..2000 {
        db.put(key(age % 50), value(age, age))?;
        if age % 200 == 0 {
            machine.settle();
            let in_tree: usize = db.stats().levels.iter().map(|level| level.runs).sum();
            assert_eq!(runs(&machine.disk, machine.dir())?.len(), in_tree);
        }
    }
    Ok(())
}

#[test]
fn an_iterator_reads_on_through_compactions_that_replace_its_runs() -> TestResult {
    let machine = Machine::new(tiny_levels(), 3);
    let db = machine.open()?;
    for number in 0..300 {
        db.put(key(number), value(number, 0))?;
    }
    machine.settle();
    let expected = collect(db.iter())?;
    let mut held = db.iter();
    let mut seen = Vec::new();
    for age in 1..=30 {
        for entry in held.by_ref().take(10) {
            let (key, value) = entry?;
            seen.push((key.to_vec(), value.to_vec()));
        }
        for number in 0..300 {
            db.put(key(number), value(number, age))?;
        }
        machine.settle();
        db.compact_range::<&[u8], _>(..)?;
        machine.settle();
    }
    assert_eq!(seen, expected);
    assert!(held.next().is_none());
    drop(held);
    machine.settle();
    let in_tree: usize = db.stats().levels.iter().map(|level| level.runs).sum();
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), in_tree);
    Ok(())
}

#[test]
fn a_power_cut_after_any_number_of_background_steps_loses_nothing_synced() -> TestResult {
    let machine = Machine::new(tiny_levels(), 4);
    let db = machine.open()?;
    let mut model = Model::new();
    for age in 0..400 {
        db.put(key(age % 60), value(age, age))?;
        model.insert(key(age % 60), value(age, age));
    }
    db.sync()?;
    loop {
        let image = CrashImage::standard(1)[model.len() % 7];
        check(&machine.after_power_cut(&image).open()?, &model)?;
        if !machine.scheduler.step() {
            return Ok(());
        }
    }
}

/// Every flush gave the range one more run to bring down, so on a busy store the call never came
/// back.
#[test]
fn compacting_a_range_ends_while_others_write() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(16 << 10)
        .durability(Durability::Buffered);
    let machine = Machine::on_threads(config);
    let db = machine.open()?;
    for number in 0..2000 {
        db.put(key(number), vec![b'x'; 100])?;
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (db, done) = (&db, &done);
                scope.spawn(move || -> lsm_db::Result<()> {
                    let mut random = Random::new(writer);
                    while !done.load(Ordering::Relaxed) {
                        db.put(key(random.below(2000)), vec![b'y'; 100])?;
                    }
                    Ok(())
                })
            })
            .collect();
        // It comes back, or this test does not: nobody ends the writers before.
        let compacted = db.compact_range::<&[u8], _>(..);
        done.store(true, Ordering::Relaxed);
        compacted?;
        for writer in writers {
            writer.join().map_err(|_| "a writer panicked")??;
        }
        Ok(())
    })
}

/// With level 0 at its trigger nothing is behind, but something is to be done.
#[test]
fn a_compaction_is_pending_from_when_it_is_due_until_it_is_done() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(3), 9);
    let db = machine.open()?;
    for age in 0..3 {
        assert!(!db.stats().compaction_pending, "run {age}");
        (0..50).try_for_each(|number| db.put(key(number), value(number, age)))?;
        db.flush()?;
    }
    let due = db.stats();
    assert_eq!(due.compactions, 0, "not yet made");
    assert!(due.compaction_pending);
    assert_eq!(due.compaction_debt_bytes, 0);
    machine.settle();
    let done = db.stats();
    assert_eq!(done.compactions, 1);
    assert!(!done.compaction_pending);
    Ok(())
}
