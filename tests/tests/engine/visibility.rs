//! What readers see of writers: whole batches, in order, and nothing that was visible ever goes.

use std::sync::atomic::{AtomicBool, Ordering};

use lsm_db::{Batch, Durability, Lsm, LsmConfig};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{collect, key, value};

/// Stops the other threads when the test's own thread ends, however it ends.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Small memtables and runs, so that batches straddle seals, flushes and compactions.
fn small() -> LsmConfig {
    LsmConfig::new()
        .memtable_capacity(4096)
        .compaction_trigger(2)
        .run_bytes_target(4096)
        .durability(Durability::Buffered)
}

#[test]
fn a_write_is_visible_once_it_returned() -> TestResult {
    let machine = Machine::new(small(), 1);
    let db = machine.open()?;
    for age in 0..300 {
        let number = age % 7;
        db.put(key(number), value(number, age))?;
        assert_eq!(db.get(key(number))?, Some(value(number, age)));
    }
    Ok(())
}

/// Half a batch visible, because it straddled two memtables or the view lagged its seqnos
/// (fault 55).
#[test]
fn readers_see_a_batch_whole_or_not_at_all() -> TestResult {
    const KEYS: usize = 64;
    let dir = tempfile::tempdir()?;
    let db = Lsm::open_with(dir.path(), small())?;
    let write = |age: usize| {
        let mut batch = Batch::new();
        for number in 0..KEYS {
            batch.put(key(number), age.to_string());
        }
        db.write(batch)
    };
    write(0)?;

    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = |backwards: bool| {
            let (db, done) = (&db, &done);
            move || -> Result<usize, lsm_db::Error> {
                let (mut scans, mut newest) = (0, 0);
                while !done.load(Ordering::Relaxed) {
                    let entries = if backwards {
                        collect(db.iter().rev())?
                    } else {
                        collect(db.iter())?
                    };
                    let ages: Vec<usize> = entries
                        .iter()
                        .filter_map(|entry| std::str::from_utf8(&entry.1).ok()?.parse().ok())
                        .collect();
                    assert_eq!(ages.len(), KEYS, "entries are missing");
                    assert!(
                        ages.iter().all(|&age| age == ages[0]),
                        "half a batch: {ages:?}"
                    );
                    assert!(ages[0] >= newest, "went back from {newest} to {}", ages[0]);
                    newest = ages[0];
                    scans += 1;
                }
                Ok(scans)
            }
        };
        let readers = [scope.spawn(reader(false)), scope.spawn(reader(true))];
        {
            let _stop = StopOnDrop(&done);
            for age in 1..1000 {
                write(age)?;
            }
        }
        for reader in readers {
            assert!(reader.join().map_err(|_| "a reader failed")?? > 0);
        }
        TestResult::Ok(())
    })
}

/// A snapshot raced a view change, and what was visible went (fault 30).
#[test]
fn what_was_visible_stays_visible_through_seals_flushes_and_compactions() -> TestResult {
    const KEYS: usize = 200;
    let dir = tempfile::tempdir()?;
    let db = Lsm::open_with(dir.path(), small())?;
    for number in 0..KEYS {
        db.put(key(number), value(number, 0))?;
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| -> Result<usize, lsm_db::Error> {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                for number in 0..KEYS {
                    assert!(db.get(key(number))?.is_some(), "key {number} went");
                    reads += 1;
                }
            }
            Ok(reads)
        });
        {
            let _stop = StopOnDrop(&done);
            for age in 1..40 {
                for number in 0..KEYS {
                    db.put(key(number), value(number, age))?;
                }
                if age % 20 == 0 {
                    db.compact_range::<&[u8], _>(..)?;
                }
            }
        }
        assert!(reader.join().map_err(|_| "the reader failed")?? > 0);
        TestResult::Ok(())
    })
}

#[test]
fn a_batch_larger_than_the_memtable_is_one_batch() -> TestResult {
    let machine = Machine::new(small(), 2);
    let db = machine.open()?;
    for number in 0..2000 {
        db.put(key(number), "old")?;
    }
    let before = db.iter();
    let mut batch = Batch::new();
    for number in 0..2000 {
        match number % 5 {
            0 => batch.delete(key(number)),
            _ => batch.put(key(number), value(number, 1)),
        }
    }
    db.write(batch)?;
    let check_after = |db: &Lsm| -> TestResult {
        let after = collect(db.iter())?;
        assert_eq!(after.len(), 1600);
        assert!(after.iter().all(|entry| entry.1 != b"old"));
        Ok(())
    };
    check_after(&db)?;
    let before = collect(before)?;
    assert_eq!(before.len(), 2000);
    assert!(before.iter().all(|entry| entry.1 == b"old"));
    machine.settle();
    check_after(&db)?;
    drop(db);
    check_after(&machine.after_kill().open()?)
}

/// Inserts lost only with more than one writer (fault 26).
#[test]
fn writers_on_many_threads_lose_nothing() -> TestResult {
    const WRITERS: usize = 8;
    const WRITES: usize = 1000;
    let dir = tempfile::tempdir()?;
    let db = Lsm::open_with(dir.path(), small())?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let db = &db;
                scope.spawn(move || {
                    (0..WRITES).try_for_each(|number| {
                        let number = number * WRITERS + writer;
                        db.put(key(number), value(number, writer))
                    })
                })
            })
            .collect();
        for writer in writers {
            writer.join().map_err(|_| "a writer panicked")??;
        }
        TestResult::Ok(())
    })?;
    let expect_all = |db: &Lsm| -> TestResult {
        let entries = collect(db.iter())?;
        assert_eq!(entries.len(), WRITERS * WRITES);
        for (number, entry) in entries.into_iter().enumerate() {
            assert_eq!(entry, (key(number), value(number, number % WRITERS)));
        }
        Ok(())
    };
    expect_all(&db)?;
    db.close()?;
    expect_all(&Lsm::open_with(dir.path(), small())?)
}

/// A held snapshot counted as debt and stalled writers for ever (fault 59): the same writes wait
/// as long, by the virtual clock, with a held iterator as without.
#[test]
fn a_held_iterator_slows_no_writer() -> TestResult {
    let waited = |holds: bool| -> Result<_, Box<dyn std::error::Error>> {
        let machine = Machine::new(small(), 3);
        let db = machine.open()?;
        db.put("first", "v")?;
        let held = holds.then(|| db.iter());
        for age in 0..3000 {
            db.put(key(age % 100), value(age, age))?;
        }
        machine.settle();
        let waited = machine.scheduler.now();
        if let Some(held) = held {
            assert_eq!(collect(held)?, [(b"first".to_vec(), b"v".to_vec())]);
        }
        Ok(waited)
    };
    assert_eq!(waited(true)?, waited(false)?);
    Ok(())
}
