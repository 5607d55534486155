//! What the knobs do.

use lsm_db::{
    Batch, DEFAULT_BLOCK_CACHE_CAPACITY, DEFAULT_COMPACTION_TRIGGER, DEFAULT_MEMTABLE_CAPACITY,
    Durability, LsmConfig, Stats,
};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, key, value};

fn runs_in_level_0(stats: &Stats) -> usize {
    stats.levels.first().map_or(0, |level| level.runs)
}

#[test]
fn defaults_are_the_constants_and_what_was_set_is_what_is_read() {
    let defaults = LsmConfig::default();
    assert_eq!(
        defaults.memtable_capacity_bytes(),
        DEFAULT_MEMTABLE_CAPACITY
    );
    assert_eq!(
        defaults.compaction_trigger_runs(),
        DEFAULT_COMPACTION_TRIGGER
    );
    assert_eq!(
        defaults.block_cache_capacity_bytes(),
        DEFAULT_BLOCK_CACHE_CAPACITY
    );
    let set = LsmConfig::new()
        .memtable_capacity(1)
        .compaction_trigger(7)
        .block_cache_capacity(0);
    assert_eq!(set.memtable_capacity_bytes(), 1);
    assert_eq!(set.compaction_trigger_runs(), 7);
    assert_eq!(set.block_cache_capacity_bytes(), 0);
    assert_eq!(set, set.clone());
    assert_ne!(set, defaults);
}

#[test]
fn a_capacity_of_0_or_1_flushes_on_every_write() -> TestResult {
    for capacity in [0, 1] {
        let config = LsmConfig::new()
            .memtable_capacity(capacity)
            .compaction_trigger(usize::MAX);
        let machine = Machine::new(config, 1);
        let db = machine.open()?;
        for number in 1..=12 {
            db.put(key(number), value(number, 0))?;
            machine.settle();
            let stats = db.stats();
            assert_eq!(runs_in_level_0(&stats), number, "capacity {capacity}");
            assert_eq!(stats.sealed_memtables, 0);
        }
        db.delete(key(1))?;
        machine.settle();
        assert_eq!(runs_in_level_0(&db.stats()), 13);
        assert_eq!(db.iter().count(), 11);
    }
    Ok(())
}

#[test]
fn a_memtable_is_flushed_when_it_is_full_and_not_before() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(64 << 10)
        .compaction_trigger(usize::MAX);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    for number in 0..8 {
        db.put(key(number), vec![7; 4 << 10])?;
    }
    machine.settle();
    assert_eq!(runs_in_level_0(&db.stats()), 0);
    for number in 8..24 {
        db.put(key(number), vec![7; 4 << 10])?;
    }
    machine.settle();
    assert_eq!(runs_in_level_0(&db.stats()), 1);
    assert_eq!(db.iter().count(), 24);
    Ok(())
}

/// A hot key rewritten a million times grew the log without end because the memtable's size
/// stood still (fault 33): the log's size seals too.
#[test]
fn a_hot_key_rewritten_for_long_does_not_grow_the_log_without_end() -> TestResult {
    rewrites_of_a_hot_key_leave_a_bounded_log(30_000, 1)
}

/// The memtable keeps the last of a batch's operations on a key, so batches of one key leave next to
/// nothing in it: whether they were inserted one by one or sorted.
#[test]
fn a_key_rewritten_within_batches_does_not_grow_the_log_without_end() -> TestResult {
    rewrites_of_a_hot_key_leave_a_bounded_log(30_000, 60)?;
    rewrites_of_a_hot_key_leave_a_bounded_log(60_000, 600)
}

fn rewrites_of_a_hot_key_leave_a_bounded_log(writes: usize, batch_len: usize) -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(16 << 10)
        .durability(Durability::Buffered);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    let mut largest = [0; 2];
    let batches = writes / batch_len;
    for age in 0..batches {
        let mut batch = Batch::new();
        for place in 0..batch_len {
            batch.put("hot", [value(place, age), vec![0; 500]].concat());
        }
        db.write(batch)?;
        if age % batches.div_ceil(300) == 0 {
            machine.settle();
            let half = &mut largest[age * 2 / batches];
            *half = machine.disk.used_bytes().max(*half);
        }
    }
    let [first, second] = largest;
    assert!(db.stats().log_bytes > 10 << 20, "not enough to tell");
    assert!(
        second <= first + first / 4,
        "{first}, then {second} bytes for one key"
    );
    Ok(())
}

#[test]
fn a_trigger_of_usize_max_never_compacts_and_many_runs_stop_no_writer() -> TestResult {
    const RUNS: usize = 300;
    let config = LsmConfig::new()
        .memtable_capacity(0)
        .compaction_trigger(usize::MAX);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    let mut model = Model::new();
    for age in 0..RUNS {
        let number = age % 40;
        db.put(key(number), value(number, age))?;
        model.insert(key(number), value(number, age));
    }
    machine.settle();
    assert_eq!(runs_in_level_0(&db.stats()), RUNS);
    assert_eq!(
        db.stats()
            .levels
            .iter()
            .skip(1)
            .map(|level| level.runs)
            .sum::<usize>(),
        0
    );
    check(&db, &model)
}

/// With compaction off nothing that could be waited for reduces the number of runs: the virtual
/// clock of the stepped scheduler shows that no writer was slowed.
#[test]
fn a_trigger_of_usize_max_never_slows_a_writer() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(0)
        .compaction_trigger(usize::MAX);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    for number in 0..300 {
        db.put(key(number), value(number, 0))?;
        machine.settle();
    }
    assert_eq!(machine.scheduler.now(), std::time::Duration::ZERO);
    Ok(())
}

#[test]
fn the_trigger_is_the_number_of_runs_that_starts_a_compaction() -> TestResult {
    let config = LsmConfig::new().memtable_capacity(0).compaction_trigger(4);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    for number in 0..3 {
        // Overlapping runs, so that they are merged and not just moved.
        db.put("a", value(number, 0))?;
        db.put("z", value(number, 0))?;
        db.flush()?;
    }
    machine.settle();
    assert!(runs_in_level_0(&db.stats()) < 4);
    let deeper: usize = db
        .stats()
        .levels
        .iter()
        .skip(1)
        .map(|level| level.runs)
        .sum();
    assert!(deeper >= 1, "{}", db.stats());
    Ok(())
}

#[test]
fn the_target_run_size_splits_the_output_of_a_compaction() -> TestResult {
    let config = LsmConfig::new().run_bytes_target(16 << 10);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    for number in 0..100 {
        db.put(key(number), vec![1; 2 << 10])?;
    }
    db.flush()?;
    for number in (0..100).step_by(2) {
        db.put(key(number), vec![2; 2 << 10])?;
    }
    db.flush()?;
    db.compact_range::<&[u8], _>(..)?;
    let runs: usize = db.stats().levels.iter().map(|level| level.runs).sum();
    assert!(
        (8..=26).contains(&runs),
        "200 KiB in runs of 16 KiB: {}",
        db.stats()
    );
    assert_eq!(db.iter().count(), 100);
    Ok(())
}

#[test]
fn a_store_opens_with_another_configuration_than_before() -> TestResult {
    let mut machine = Machine::new(LsmConfig::new().memtable_capacity(0), 1);
    let mut model = Model::new();
    let configs = [
        LsmConfig::new(),
        LsmConfig::new()
            .memtable_capacity(1)
            .compaction_trigger(usize::MAX),
        LsmConfig::new()
            .run_bytes_target(1)
            .level_fanout(2)
            .compaction_trigger(2),
        LsmConfig::new().memtable_capacity(256).level_fanout(100),
    ];
    for (age, config) in configs.into_iter().cycle().take(12).enumerate() {
        machine = machine.reconfigured(config);
        let db = machine.open()?;
        check(&db, &model)?;
        for number in 0..15 {
            db.put(key(number * (age + 1)), value(number, age))?;
            model.insert(key(number * (age + 1)), value(number, age));
        }
        machine.settle();
        check(&db, &model)?;
    }
    Ok(())
}

#[test]
fn stats_count_what_is_there_and_print_the_tree() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    for number in 0..10 {
        db.put(key(number), value(number, 0))?;
    }
    assert!(db.stats().memtable_bytes > 0);
    db.delete(key(3))?;
    db.flush()?;
    let stats = db.stats();
    let level_0 = &stats.levels[0];
    assert_eq!(
        (level_0.runs, level_0.entries, level_0.tombstones),
        (1, 10, 1)
    );
    assert!(level_0.bytes > 100);
    assert_eq!(stats.memtable_bytes, 0);
    assert!(stats.to_string().lines().count() >= 1);

    db.compact_range::<&[u8], _>(..)?;
    let stats = db.stats();
    assert_eq!(
        stats.levels.iter().map(|level| level.entries).sum::<u64>(),
        9
    );
    assert_eq!(
        stats
            .levels
            .iter()
            .map(|level| level.tombstones)
            .sum::<u64>(),
        0
    );
    Ok(())
}
