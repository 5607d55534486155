//! Cursors: any seek, both directions, one moment; and what an error does to them.

use lsm_db::{Error, LsmConfig};
use lsm_fs::{Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, Write, key, value};
use lsm_tests::placement::everywhere;
use lsm_tests::random::Random;
use lsm_tests::walk::{Move, Walker};

/// Puts, overwrites and deletes, so that every source holds tombstones and stale entries.
fn history() -> Vec<Write> {
    let mut random = Random::new(5);
    (0..500)
        .map(|age| {
            let number = random.below(100) * 2;
            let value = (!random.one_in(3)).then(|| value(number, age));
            (key(number), value)
        })
        .collect()
}

fn random_moves(count: usize, random: &mut Random) -> Vec<Move> {
    (0..count)
        .map(|_| match random.below(12) {
            0 => Move::First,
            1 => Move::Last,
            // Every other of these keys was never written.
            2 => Move::Seek(key(random.below(202))),
            3 => Move::SeekForPrev(key(random.below(202))),
            4..8 => Move::Next,
            _ => Move::Prev,
        })
        .collect()
}

#[test]
fn any_walk_matches_the_model_wherever_the_entries_are() -> TestResult {
    everywhere(&history(), |db, model| {
        let mut random = Random::new(6);
        for _ in 0..10 {
            Walker::new(db.cursor()).walk(&random_moves(300, &mut random), model)?;
        }
        Ok(())
    })
}

#[test]
fn a_walk_goes_on_through_writes_flushes_and_compactions_in_the_moment_it_began() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(2000)
        .compaction_trigger(2)
        .run_bytes_target(1000);
    let machine = Machine::new(config, 8);
    let db = machine.open()?;
    let mut model = Model::new();
    lsm_tests::model::apply(&mut model, &history());
    for (key, value) in &history() {
        match value {
            Some(value) => db.put(key, value)?,
            None => db.delete(key)?,
        }
    }
    let mut random = Random::new(9);
    let mut walker = Walker::new(db.cursor());
    for age in 0..1000 {
        walker.walk(&random_moves(5, &mut random), &model)?;
        let number = random.below(202);
        match random.one_in(2) {
            true => db.put(key(number), value(number, 1000 + age))?,
            false => db.delete(key(number))?,
        }
        machine.scheduler.step();
    }
    assert!(db.stats().flushes > 10 && db.stats().compactions > 2);
    Ok(())
}

#[test]
fn a_cursor_that_is_at_no_entry_stays_there_until_the_next_seek() -> TestResult {
    everywhere(&history(), |db, model| {
        let Some((last, _)) = model.last_key_value() else {
            return Err("an empty model".into());
        };
        let mut cursor = db.cursor();
        assert!(!cursor.next()? && !cursor.prev()? && cursor.entry().is_none());
        assert!(!cursor.seek([0xff; 4])?);
        assert!(!cursor.prev()? && !cursor.is_valid());
        assert!(cursor.seek_last()?);
        assert_eq!(cursor.key(), Some(last.as_slice()));
        assert!(!cursor.next()?);
        assert!(!cursor.prev()? && cursor.key().is_none() && cursor.value().is_none());
        assert!(cursor.seek_for_prev([0xff; 4])?);
        assert_eq!(cursor.key(), Some(last.as_slice()));
        Ok(())
    })
}

#[test]
fn a_cursor_goes_to_another_thread_and_outlives_its_store() -> TestResult {
    let machine = Machine::new(LsmConfig::new().memtable_capacity(500), 3);
    let db = machine.open()?;
    for number in 0..100 {
        db.put(key(number), value(number, 0))?;
    }
    let mut cursor = db.cursor();
    assert!(cursor.seek_first()?);
    db.close()?;
    let counted = std::thread::spawn(move || -> Result<usize, Error> {
        let mut count = 1;
        while cursor.next()? {
            count += 1;
        }
        Ok(count)
    });
    assert_eq!(counted.join().map_err(|_| "the thread panicked")??, 100);
    assert_eq!(machine.open()?.iter().count(), 100);
    Ok(())
}

#[test]
fn a_move_that_cannot_read_says_so_and_a_later_seek_works() -> TestResult {
    let config = LsmConfig::new().compaction_trigger(usize::MAX);
    let machine = Machine::new(config.block_cache_capacity(0), 3);
    let db = machine.open()?;
    let mut model = Model::new();
    // Blocks enough that a walk must read on; two runs and a memtable, so that there is a merge.
    for (age, step) in [(0, 1), (1, 3), (2, 7)] {
        for number in (0..2000).step_by(step) {
            db.put(key(number), value(number, age))?;
            model.insert(key(number), value(number, age));
        }
        if age < 2 {
            db.flush()?;
        }
    }
    for backwards in [false, true] {
        let mut cursor = db.cursor();
        let reached = if backwards {
            cursor.seek_last()?
        } else {
            cursor.seek_first()?
        };
        assert!(reached);
        let eio = Fault::from_raw_os_error(5).for_good();
        machine.faults.fail_when(Operation::ReadAt, |_| true, eio);
        let failed = (0..2000).find_map(|_| {
            let moved = if backwards {
                cursor.prev()
            } else {
                cursor.next()
            };
            moved.err()
        });
        assert!(matches!(failed, Some(Error::Io { .. })), "{failed:?}");
        assert!(!cursor.is_valid() && cursor.value().is_none());
        assert!(!cursor.next()? && !cursor.prev()?, "nothing is skipped");
        let mut seeks = [cursor.seek(key(1000)).err(), cursor.seek_first().err()];
        assert!(seeks.iter_mut().all(|error| error.take().is_some()));
        machine.faults.clear_faults();

        let moves = random_moves(200, &mut Random::new(10));
        let moves: Vec<Move> = std::iter::once(Move::First).chain(moves).collect();
        Walker::new(cursor).walk(&moves, &model)?;
    }
    Ok(())
}
