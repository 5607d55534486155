//! What reads cost, counted: blocks read from files, blocks found in the cache, runs that a filter
//! let a read skip. Keys and seeds are fixed, so the counts are too.

use lsm_db::{Lsm, LsmConfig, Stats};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{key, value};

/// No compaction but on demand.
fn plain() -> LsmConfig {
    LsmConfig::new().compaction_trigger(usize::MAX)
}

/// A thousand keys, from `first` on, in a run of their own.
fn write_run(db: &Lsm, first: usize, step: usize) -> TestResult {
    let mut batch = lsm_db::Batch::new();
    for number in 0..1000 {
        batch.put(key(first + number * step), value(number, first));
    }
    db.write(batch)?;
    db.flush()?;
    Ok(())
}

/// What `read` adds to the counters.
fn cost(db: &Lsm, read: impl FnOnce() -> TestResult) -> TestResult<Stats> {
    let before = db.stats();
    read()?;
    let mut cost = db.stats();
    cost.blocks_read -= before.blocks_read;
    cost.blocks_cached -= before.blocks_cached;
    cost.filter_skips -= before.filter_skips;
    Ok(cost)
}

#[test]
fn a_get_reads_one_block_and_a_repeated_one_none() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let db = machine.open()?;
    write_run(&db, 0, 1)?;
    for number in [3, 500, 999] {
        let get = || {
            assert_eq!(db.get(key(number))?, Some(value(number, 0)));
            Ok(())
        };
        assert_eq!(cost(&db, get)?.blocks_read, 1, "first");
        let again = cost(&db, get)?;
        assert_eq!((again.blocks_read, again.blocks_cached), (0, 1));
    }
    Ok(())
}

#[test]
fn with_the_cache_off_each_get_reads_one_block_and_the_index_stays_loaded() -> TestResult {
    let machine = Machine::new(plain().block_cache_capacity(0), 1);
    let db = machine.open()?;
    write_run(&db, 0, 1)?;
    db.get(key(7))?;
    let index_bytes = db.stats().index_bytes;
    assert!(index_bytes > 0);
    for _ in 0..5 {
        let once = cost(&db, || {
            assert!(db.get(key(7))?.is_some());
            Ok(())
        })?;
        assert_eq!((once.blocks_read, once.blocks_cached), (1, 0));
        assert_eq!((once.cache_bytes, once.index_bytes), (0, index_bytes));
    }
    Ok(())
}

#[cfg(feature = "bloom")]
#[test]
fn a_miss_over_sixteen_runs_reads_nothing_and_a_hit_only_where_it_is() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let db = machine.open()?;
    for run in 0..16 {
        // Interleaved, so that every run's key range covers nearly every key.
        write_run(&db, run, 17)?;
    }
    // The seventeenth of each stride is in none of them.
    for number in (16 + 17..17 * 900).step_by(17 * 40) {
        let miss = cost(&db, || {
            assert_eq!(db.get(key(number))?, None);
            Ok(())
        })?;
        assert_eq!((miss.blocks_read, miss.blocks_cached), (0, 0), "{number}");
        assert_eq!(miss.filter_skips, 16, "{number}");
    }
    let hit = cost(&db, || {
        assert!(db.get(key(5 + 17 * 300))?.is_some());
        Ok(())
    })?;
    assert_eq!(hit.blocks_read + hit.blocks_cached, 1);
    // The ten newer runs were skipped, and the five older ones not asked.
    assert_eq!(hit.filter_skips, 10);
    Ok(())
}

#[test]
fn after_a_scan_and_a_compaction_larger_than_the_cache_a_hot_get_reads_nothing() -> TestResult {
    let machine = Machine::new(plain().block_cache_capacity(64 << 10), 1);
    let db = machine.open()?;
    write_run(&db, 0, 1)?;
    // Ten times the cache, and another part of the keys.
    for run in 0..20 {
        write_run(&db, 100_000 + run, 20)?;
    }
    let hot = || {
        assert!(db.get(key(42))?.is_some());
        Ok(())
    };
    for _ in 0..3 {
        hot()?;
    }
    let scan = cost(&db, || {
        assert_eq!(db.range(key(100_000)..).count(), 20_000);
        Ok(())
    })?;
    assert!(scan.blocks_read * 4096 > 10 * (64 << 10), "{scan:?}");
    assert_eq!(cost(&db, hot)?.blocks_read, 0, "after a scan");
    db.compact_range(key(100_000)..)?;
    assert!(db.stats().compacted_bytes > 10 * (64 << 10));
    assert_eq!(cost(&db, hot)?.blocks_read, 0, "after a compaction");
    Ok(())
}

#[test]
fn a_short_range_repeated_reads_nothing() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let db = machine.open()?;
    write_run(&db, 0, 1)?;
    let range = || {
        assert_eq!(db.range(key(300)..).take(3).count(), 3);
        Ok(())
    };
    range()?;
    let again = cost(&db, range)?;
    assert_eq!(again.blocks_read, 0);
    Ok(())
}

#[test]
fn what_is_kept_of_runs_stays_within_its_bounds_and_answers_are_the_same() -> TestResult {
    let config = plain().block_cache_capacity(256 << 10).max_open_files(3);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    for run in 0..12 {
        write_run(&db, run * 1000, 1)?;
    }
    for round in 0..3 {
        for run in 0..12 {
            for number in [0, 499, 999] {
                let (number, first) = (number, run * 1000);
                assert_eq!(db.get(key(first + number))?, Some(value(number, first)));
            }
            let stats = db.stats();
            assert!(stats.open_files <= 3, "round {round}: {}", stats.open_files);
            assert!(stats.cache_bytes <= 256 << 10, "{}", stats.cache_bytes);
        }
    }
    assert_eq!(db.iter().count(), 12_000);
    assert_eq!(db.iter().rev().count(), 12_000);
    Ok(())
}

#[test]
fn blocks_of_a_run_that_is_gone_leave_the_cache() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let db = machine.open()?;
    for run in 0..3 {
        write_run(&db, run, 3)?;
    }
    // Less than the half for which the new run would be cached too.
    for number in 0..300 {
        db.get(key(number))?;
    }
    assert!(db.stats().cache_bytes > 0);
    db.compact_range::<Vec<u8>, _>(..)?;
    machine.settle();
    assert_eq!(db.stats().cache_bytes, 0);
    assert_eq!(db.stats().index_bytes, 0, "the new run has not been read");
    Ok(())
}

/// The process has too many files open (by its own doing, or somebody else's): the store closes some
/// of those that it only keeps open to be faster, keeps fewer from then on, and nobody notices.
#[test]
fn a_process_out_of_file_handles_closes_some_and_goes_on() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let db = machine.open()?;
    for run in 0..9 {
        write_run(&db, run * 1000, 1)?;
    }
    for run in 0..8 {
        assert!(db.get(key(run * 1000))?.is_some());
    }
    assert_eq!(db.stats().open_files, 8);
    let too_many = lsm_fs::Fault::from_raw_os_error(24);
    machine.faults.fail_nth_of_all(0, too_many);
    assert!(db.get(key(8000))?.is_some(), "a run that was not open yet");
    assert_eq!(db.stats().open_files, 6, "three quarters of eight");
    machine
        .faults
        .fail_nth_of_all(0, lsm_fs::Fault::from_raw_os_error(24));
    db.put(key(0), "v")?;
    db.flush()?;
    assert_eq!(db.stats().background_failures, 0);
    assert_eq!(db.get(key(0))?, Some(b"v".to_vec()));
    for run in 0..9 {
        assert!(db.get(key(run * 1000 + 1))?.is_some());
    }
    assert!(db.stats().open_files <= 6);
    Ok(())
}

/// A store that keeps nothing open has nothing to close: the error is told, and later reads keep
/// files open as ever.
#[test]
fn too_many_open_files_once_is_not_for_ever() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let db = machine.open()?;
    write_run(&db, 0, 1)?;
    db.put(key(5), "v")?;
    machine.faults.fail_when(
        lsm_fs::Operation::CreateNew,
        |path| path.extension().is_some_and(|extension| extension == "sst"),
        lsm_fs::Fault::from_raw_os_error(24),
    );
    assert!(db.flush().is_err(), "nothing could be closed for it");
    machine.settle();
    db.flush()?;
    assert_eq!(db.get(key(5))?, Some(b"v".to_vec()));
    assert_eq!(db.stats().open_files, 1);
    Ok(())
}
