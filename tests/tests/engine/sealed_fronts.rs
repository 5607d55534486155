//! Fronts of a memtable that are full and wait to become arrays, which happens in the background.

use lsm_db::{Durability, Lsm, LsmConfig};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, key, value};

/// A front of a memtable this small is full at some fifty entries. Nothing is done in the background
/// unless the machine is told to.
fn machine() -> Machine {
    let config = LsmConfig::new().durability(Durability::Buffered);
    Machine::new(config.memtable_capacity(64 << 10), 1)
}

/// Writes of every key again and again, and some deletes, so that fronts hide what others have.
fn write(db: &Lsm, model: &mut Model, numbers: std::ops::Range<usize>) -> TestResult {
    for number in numbers {
        let key = key(number % 70);
        if number % 7 == 3 {
            db.delete(&key)?;
            model.remove(&key);
        } else {
            let value = value(number, number);
            db.put(&key, &value)?;
            model.insert(key, value);
        }
    }
    Ok(())
}

#[test]
fn they_answer_as_the_arrays_do_that_they_become() -> TestResult {
    let machine = machine();
    let (db, mut model) = (machine.open()?, Model::new());
    write(&db, &mut model, 0..110)?;
    let (snapshot, earlier) = (db.snapshot(), model.clone());
    write(&db, &mut model, 110..230)?;
    let waiting = db.stats();
    assert_eq!((waiting.flushes, waiting.sealed_memtables), (0, 0));
    check(&db, &model)?;
    let same = |snapshot: &lsm_db::Snapshot| -> TestResult {
        for number in 0..70 {
            let key = key(number);
            assert_eq!(snapshot.get(&key)?.as_ref(), earlier.get(&key), "{number}");
        }
        Ok(())
    };
    same(&snapshot)?;
    machine.settle();
    assert!(
        db.stats().memtable_bytes < waiting.memtable_bytes,
        "arrays take less"
    );
    check(&db, &model)?;
    same(&snapshot)?;
    db.flush()?;
    check(&db, &model)?;
    same(&snapshot)
}

#[test]
fn they_are_flushed_as_they_are() -> TestResult {
    let machine = machine();
    let (db, mut model) = (machine.open()?, Model::new());
    write(&db, &mut model, 0..230)?;
    db.flush()?;
    assert_eq!(db.stats().flushes, 1);
    check(&db, &model)?;
    db.close()?;
    check(&machine.open()?, &model)
}

#[test]
fn a_large_batch_goes_before_them() -> TestResult {
    let machine = machine();
    let (db, mut model) = (machine.open()?, Model::new());
    write(&db, &mut model, 0..150)?;
    let mut batch = lsm_db::Batch::new();
    for number in (0..140).filter(|number| number % 2 == 0) {
        let (key, value) = (key(number), value(number, 1_000));
        batch.put(&key, &value);
        model.insert(key, value);
    }
    db.write(batch)?;
    check(&db, &model)?;
    write(&db, &mut model, 150..200)?;
    machine.settle();
    check(&db, &model)
}
