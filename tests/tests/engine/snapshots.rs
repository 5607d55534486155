//! Snapshots: one moment, kept, whatever happens afterwards; and what that costs.

use std::time::Duration;

use lsm_db::{Batch, Error, Lsm, LsmConfig, Snapshot};
use lsm_tests::TestResult;
use lsm_tests::directory::runs;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, Write, check, collect, compare, entries_in, key, value};
use lsm_tests::placement::everywhere;
use lsm_tests::random::Random;

/// Memtables of a few entries and small runs, so that everything moves all the time.
fn small() -> LsmConfig {
    LsmConfig::new()
        .memtable_capacity(700)
        .compaction_trigger(2)
        .run_bytes_target(1000)
}

fn forty() -> Vec<Write> {
    (0..40)
        .map(|number| (key(number), Some(value(number, 0))))
        .collect()
}

#[test]
fn a_snapshot_answers_every_read_as_the_store_did_when_it_was_taken() -> TestResult {
    everywhere(&forty(), |db, model| {
        let snapshot = db.snapshot();
        check(&snapshot, model)?;
        for number in (0..60).step_by(2) {
            db.put(key(number), "written later")?;
            db.delete(key(number + 1))?;
        }
        check(&snapshot, model)?;
        db.flush()?;
        db.compact_range::<&[u8], _>(..)?;
        check(&snapshot, model)?;
        let expected = entries_in(model, &(key(7)..key(20)));
        compare(
            "range",
            &collect(snapshot.range(key(7)..key(20)))?,
            &expected,
        )?;
        let expected = entries_in(model, &(key(10)..key(20)));
        compare("prefix", &collect(snapshot.prefix("key-00001"))?, &expected)?;
        // What `everywhere` compares afterwards is the state before.
        let mut undo = Batch::new();
        for number in 0..62 {
            match model.get(&key(number)) {
                Some(value) => undo.put(key(number), value),
                None => undo.delete(key(number)),
            }
        }
        Ok(db.write(undo)?)
    })
}

#[test]
fn snapshots_held_over_thousands_of_overwrites_answer_exactly_their_moments() -> TestResult {
    let machine = Machine::new(small().memtable_capacity(2500), 21);
    let db = machine.open()?;
    let mut random = Random::new(22);
    let mut model = Model::new();
    let mut held: Vec<(Snapshot, Model)> = Vec::new();
    for age in 0..4000 {
        let number = random.below(60);
        if random.one_in(4) {
            db.delete(key(number))?;
            model.remove(&key(number));
        } else {
            db.put(key(number), value(number, age))?;
            model.insert(key(number), value(number, age));
        }
        if age % 400 == 100 {
            held.push((db.snapshot(), model.clone()));
        }
        if random.one_in(2) {
            machine.scheduler.step();
        }
        if age == 2000 {
            for (snapshot, model) in &held {
                check(snapshot, model)?;
            }
        }
    }
    machine.settle();
    let stats = db.stats();
    assert!(stats.flushes > 100 && stats.compactions > 20, "{stats}");
    for (snapshot, model) in &held {
        check(snapshot, model)?;
    }
    check(&db, &model)
}

#[test]
fn the_answers_of_one_multi_get_are_of_one_moment() -> TestResult {
    const KEYS: usize = 50;
    let dir = tempfile::tempdir()?;
    let db = Lsm::open_with(dir.path(), small().durability(lsm_db::Durability::Buffered))?;
    let write = |age: usize| {
        let mut batch = Batch::new();
        (0..KEYS).for_each(|number| batch.put(key(number), age.to_string()));
        db.write(batch)
    };
    write(0)?;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..500).try_for_each(write));
        while !writer.is_finished() {
            let values = db.multi_get((0..KEYS).map(key))?;
            assert!(values[0].is_some());
            assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
        }
        writer.join().map_err(|_| "the writer panicked")??;
        TestResult::Ok(())
    })
}

#[test]
fn a_multi_get_answers_in_the_order_of_its_keys_repeated_and_absent_ones_too() -> TestResult {
    everywhere(&forty(), |db, _| {
        let keys = [key(3), key(99), key(1), key(3), Vec::new()];
        let some = |number| Some(value(number, 0).into());
        let expected = [some(3), None, some(1), some(3), None];
        assert_eq!(db.multi_get(&keys)?, expected);
        assert_eq!(db.multi_get::<&[u8]>([])?, []);
        Ok(())
    })
}

#[test]
fn a_store_whose_every_key_is_deleted_is_empty() -> TestResult {
    let mut writes = forty();
    writes.extend((0..40).map(|number| (key(number), None)));
    everywhere(&writes, |db, _| {
        assert!(db.is_empty()?);
        assert_eq!((db.first()?, db.last()?), (None, None));
        Ok(())
    })
}

#[test]
fn values_of_every_size_come_back_the_same_as_bytes() -> TestResult {
    let lens = [0, 1, 4095, 4096, (16 << 10) - 1, 16 << 10, 100_000, 1 << 20];
    let writes: Vec<Write> = (0..)
        .zip(lens)
        .map(|(number, len)| (key(number), Some(vec![b'v'; len])))
        .collect();
    everywhere(&writes, check)
}

/// Where the bytes are tells whether they were copied: twice the same place is shared.
#[test]
fn a_large_value_is_handed_out_without_a_copy_and_a_small_one_keeps_nothing_else() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    let mut batch = Batch::new();
    batch.put("small", vec![1; 1000]);
    batch.put("large", vec![2; 50_000]);
    db.write(batch)?;
    let is_shared = |key: &str| -> Result<bool, Error> {
        let (one, other) = (db.get_bytes(key)?, db.snapshot().get_bytes(key)?);
        let place = |value: &Option<lsm_db::Bytes>| value.as_ref().map(|value| value.as_ptr());
        Ok(place(&one) == place(&other))
    };
    assert!(is_shared("large")?);
    assert!(!is_shared("small")?);
    Ok(())
}

#[test]
fn a_snapshot_holds_the_lock_after_its_handle_is_gone_and_goes_on() -> TestResult {
    for closes in [true, false] {
        let machine = Machine::new(small(), 4);
        let db = machine.open()?;
        let mut model = Model::new();
        for number in 0..50 {
            db.put(key(number), value(number, 0))?;
            model.insert(key(number), value(number, 0));
        }
        let snapshot = db.snapshot();
        let cursor = snapshot.cursor();
        if closes {
            db.close()?;
        } else {
            drop(db);
        }
        let is_locked = || matches!(machine.open(), Err(Error::Locked { .. }));
        assert!(is_locked());
        check(&snapshot, &model)?;
        drop(snapshot);
        assert!(is_locked(), "the cursor holds it still");
        drop(cursor);
        check(&machine.open()?, &model)?;
    }
    Ok(())
}

/// A run vanished under its reader, or stayed for ever (fault 58).
#[test]
fn a_superseded_run_goes_after_its_last_reader_and_not_before() -> TestResult {
    for last_is_cursor in [true, false] {
        let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 4);
        let db = machine.open()?;
        for age in 0..3 {
            for number in 0..100 {
                db.put(key(number), value(number, age))?;
            }
            db.flush()?;
        }
        machine.settle();
        let run_count = || Ok::<_, std::io::Error>(runs(&machine.disk, machine.dir())?.len());
        let snapshot = db.snapshot();
        let (clone, cursor) = (snapshot.clone(), snapshot.cursor());
        db.compact_range::<&[u8], _>(..)?;
        drop(snapshot);
        machine.settle();
        assert_eq!(
            run_count()?,
            4,
            "three that the readers hold, and the merged one"
        );
        let stats = db.stats();
        let files = runs(&machine.disk, machine.dir())?;
        let in_tree: u64 = stats.levels.iter().map(|level| level.bytes).sum();
        let mut on_disk = 0;
        for file in &files {
            on_disk += lsm_tests::directory::read_file(&machine.disk, file)?.len() as u64;
        }
        assert_eq!(stats.pinned_run_bytes, on_disk - in_tree);
        if last_is_cursor {
            drop(clone);
            machine.settle();
            assert_eq!(run_count()?, 4);
            drop(cursor);
        } else {
            drop(cursor);
            assert_eq!(clone.get(key(5))?, Some(value(5, 2)));
            drop(clone);
        }
        machine.settle();
        assert_eq!(run_count()?, 1);
        assert_eq!(db.stats().pinned_run_bytes, 0);
    }
    Ok(())
}

#[test]
fn stats_tell_how_many_views_are_held_since_when_and_what_they_pin() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    let told = |db: &Lsm| {
        let stats = db.stats();
        let pinned = stats.pinned_memtable_bytes;
        (stats.read_views_held, stats.oldest_read_view, pinned)
    };
    for number in 0..100 {
        db.put(key(number), value(number, 0))?;
    }
    assert_eq!(told(&db), (0, None, 0));
    let oldest = db.snapshot();
    machine.scheduler.sleep(Duration::from_secs(5));
    let (clone, iterator) = (oldest.clone(), oldest.iter());
    let other = db.cursor();
    let memtable_bytes = db.stats().memtable_bytes;
    assert_eq!(told(&db), (2, Some(Duration::from_secs(5)), 0));

    db.flush()?;
    machine.settle();
    let age = told(&db).1;
    assert_eq!(
        told(&db),
        (2, age, memtable_bytes),
        "one memtable, held twice"
    );
    drop(oldest);
    drop(clone);
    assert_eq!(told(&db).0, 2, "the iterator holds it still");
    assert_eq!(iterator.count(), 100);
    assert_eq!(
        told(&db),
        (
            1,
            Some(age.unwrap_or_default() - Duration::from_secs(5)),
            memtable_bytes
        )
    );
    assert!(db.stats().to_string().contains("1 views held"));
    drop(other);
    assert_eq!(told(&db), (0, None, 0));
    Ok(())
}

/// A held snapshot counted as debt and stalled writers for ever (fault 59): the same writes wait
/// as long, by the virtual clock, with held readers as without.
#[test]
fn held_snapshots_and_cursors_slow_no_writer() -> TestResult {
    let waited = |holds: bool| -> Result<_, Box<dyn std::error::Error>> {
        let machine = Machine::new(small(), 3);
        let db = machine.open()?;
        db.put("first", "v")?;
        let mut held = Vec::new();
        for age in 0..2000 {
            if holds && age % 50 == 0 {
                held.push((db.snapshot(), db.cursor()));
            }
            db.put(key(age % 100), value(age, age))?;
        }
        machine.settle();
        assert_eq!(db.stats().read_views_held, held.len() * 2);
        for (snapshot, mut cursor) in held {
            assert_eq!(snapshot.get("first")?, Some(b"v".to_vec()));
            assert!(cursor.seek("first")?);
        }
        Ok(machine.scheduler.now())
    };
    assert_eq!(waited(true)?, waited(false)?);
    Ok(())
}

#[test]
fn a_snapshot_is_shared_by_threads_while_a_writer_goes_on() -> TestResult {
    let dir = tempfile::tempdir()?;
    let db = Lsm::open_with(dir.path(), small().durability(lsm_db::Durability::Buffered))?;
    let mut model = Model::new();
    for number in 0..200 {
        db.put(key(number), value(number, 0))?;
        model.insert(key(number), value(number, 0));
    }
    let snapshot = db.snapshot();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    (0..20).try_for_each(|_| check(&snapshot, &model).map_err(|e| e.to_string()))
                })
            })
            .collect();
        for age in 1..3000 {
            db.put(key(age % 300), value(age, age))?;
        }
        for reader in readers {
            reader.join().map_err(|_| "a reader panicked")??;
        }
        TestResult::Ok(())
    })
}
