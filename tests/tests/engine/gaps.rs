//! What is known of deleted ranges: it spares readers their tombstones, and changes no answer.

use lsm_db::{Batch, Durability, Lsm, LsmConfig};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, collect, key, value};

/// A machine whose memtable takes all that a test writes, or whose runs are compacted on demand.
fn machine() -> Machine {
    Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1)
}

fn fill(db: &Lsm, model: &mut Model, numbers: impl Iterator<Item = usize>) -> TestResult {
    let mut batch = Batch::new();
    for number in numbers {
        batch.put(key(number), value(number, 0));
        model.insert(key(number), value(number, 0));
    }
    Ok(db.write(batch)?)
}

fn delete(db: &Lsm, model: &mut Model, numbers: impl Iterator<Item = usize>) -> TestResult {
    for number in numbers {
        db.delete(key(number))?;
        model.remove(&key(number));
    }
    Ok(())
}

/// A thousand keys, of which only the first and the last hundred are left. Tombstones and values
/// are in one memtable, or in two runs.
fn with_a_gap(machine: &Machine, in_runs: bool) -> TestResult<(Lsm, Model)> {
    let (db, mut model) = (machine.open()?, Model::new());
    fill(&db, &mut model, 0..1000)?;
    if in_runs {
        db.flush()?;
    }
    delete(&db, &mut model, 100..900)?;
    if in_runs {
        db.flush()?;
    }
    // Now the gap is known.
    check(&db, &model)?;
    assert!(db.stats().gaps_known > 0);
    Ok((db, model))
}

/// The tombstones that a read steps over.
fn steps(db: &Lsm, read: impl FnOnce() -> TestResult) -> TestResult<u64> {
    let before = db.stats().tombstones_skipped;
    read()?;
    Ok(db.stats().tombstones_skipped - before)
}

#[test]
fn a_range_that_was_found_deleted_is_not_stepped_through_again() -> TestResult {
    type Read = fn(&Lsm) -> TestResult<usize>;
    let reads: [(&str, Read); 8] = [
        ("iter", |db| Ok(db.iter().count())),
        ("rev", |db| Ok(db.iter().rev().count())),
        ("range", |db| Ok(db.range(key(50)..key(950)).count())),
        ("inside", |db| Ok(db.range(key(300)..key(700)).count())),
        ("rev inside", |db| {
            Ok(db.range(key(300)..key(700)).rev().count())
        }),
        ("prefix", |db| Ok(db.prefix("key-0005").count())),
        ("seek", |db| Ok(usize::from(db.cursor().seek(key(500))?))),
        ("seek_for_prev", |db| {
            Ok(usize::from(db.cursor().seek_for_prev(key(500))?))
        }),
    ];
    for in_runs in [false, true] {
        let (db, model) = with_a_gap(&machine(), in_runs)?;
        for (what, read) in reads {
            let taken = steps(&db, || {
                read(&db)?;
                Ok(())
            })?;
            assert!(taken < 60, "{what}, in runs: {in_runs}: {taken} steps");
        }
        check(&db, &model)?;
    }
    Ok(())
}

#[test]
fn the_first_and_the_last_are_taken_in_few_steps_each() -> TestResult {
    for in_run in [false, true] {
        let (machine, mut model) = (machine(), Model::new());
        let db = machine.open()?;
        fill(&db, &mut model, 0..4000)?;
        if in_run {
            db.flush()?;
        }
        for taken in 0..3000 {
            let from_front = taken % 3 != 0;
            let entry = if from_front { db.first()? } else { db.last()? };
            let expected = match from_front {
                true => model.pop_first(),
                false => model.pop_last(),
            };
            let found = entry.map(|(key, value)| (key.to_vec(), value.to_vec()));
            assert_eq!(found, expected, "{taken}");
            db.delete(expected.unwrap_or_default().0)?;
            // Somebody appends at the end meanwhile, beyond what is taken there.
            if taken % 10 == 0 {
                fill(&db, &mut model, std::iter::once(5000 + taken))?;
            }
        }
        let steps = db.stats().tombstones_skipped;
        assert!(steps < 3000 * 16, "{steps} for 3000 takes");
        check(&db, &model)?;
    }
    Ok(())
}

#[test]
fn a_put_into_a_gap_is_seen_at_once_from_both_ends() -> TestResult {
    for in_runs in [false, true] {
        for number in [100, 101, 500, 898, 899] {
            let (db, mut model) = with_a_gap(&machine(), in_runs)?;
            fill(&db, &mut model, std::iter::once(number))?;
            let beside = |found: Option<_>| -> Option<Vec<u8>> {
                let (key, _): (lsm_db::Bytes, lsm_db::Bytes) = found?;
                Some(key.to_vec())
            };
            let after = db.range(key(100)..).next().transpose()?;
            assert_eq!(beside(after), Some(key(number)));
            let before = db.range(..key(900)).next_back().transpose()?;
            assert_eq!(beside(before), Some(key(number)));
            let mut cursor = db.cursor();
            cursor.seek(key(100))?;
            assert_eq!(cursor.key(), Some(key(number).as_slice()));
            cursor.seek_for_prev(key(899))?;
            assert_eq!(cursor.key(), Some(key(number).as_slice()));
            check(&db, &model)?;

            delete(&db, &mut model, std::iter::once(number))?;
            check(&db, &model)?;
        }
    }
    Ok(())
}

#[test]
fn an_emptied_store_is_known_to_be_empty_until_anything_is_put() -> TestResult {
    let (db, mut model) = (machine().open()?, Model::new());
    fill(&db, &mut model, 0..500)?;
    delete(&db, &mut model, 0..500)?;
    for _ in 0..3 {
        assert!(db.is_empty()?);
        assert_eq!((db.first()?, db.last()?), (None, None));
    }
    for number in [250, 0, 499, 700] {
        fill(&db, &mut model, std::iter::once(number))?;
        assert!(!db.is_empty()?);
        check(&db, &model)?;
        delete(&db, &mut model, std::iter::once(number))?;
        assert!(db.is_empty()?);
    }
    Ok(())
}

#[test]
fn snapshots_from_before_and_after_see_what_was_there() -> TestResult {
    for in_runs in [false, true] {
        let machine = machine();
        let (db, mut model) = (machine.open()?, Model::new());
        let mut moments = Vec::new();
        let mut keep = |db: &Lsm, model: &Model| moments.push((db.snapshot(), model.clone()));
        keep(&db, &model);
        for round in 0..4 {
            fill(&db, &mut model, 0..300)?;
            keep(&db, &model);
            if in_runs {
                db.flush()?;
            }
            delete(&db, &mut model, 20..280)?;
            check(&db, &model)?; // finds the gap
            keep(&db, &model);
            fill(&db, &mut model, (100 + round..200).step_by(40))?;
            keep(&db, &model);
            check(&db, &model)?;
        }
        for (snapshot, model) in moments.iter().chain(moments.iter().rev()) {
            check(snapshot, model)?;
        }
        db.compact_range::<&str, _>(..)?;
        check(&db, &model)?;
        for (snapshot, model) in &moments {
            check(snapshot, model)?;
        }
    }
    Ok(())
}

#[test]
fn a_batch_that_puts_and_deletes_inside_a_gap_is_seen_whole() -> TestResult {
    for in_runs in [false, true] {
        let (db, mut model) = with_a_gap(&machine(), in_runs)?;
        let mut batch = Batch::new();
        batch.delete(key(400));
        batch.put(key(401), "put");
        batch.put(key(402), "put, then deleted");
        batch.delete(key(402));
        batch.delete(key(403));
        batch.put(key(403), "deleted, then put");
        batch.delete(key(950));
        db.write(batch)?;
        model.insert(key(401), b"put".to_vec());
        model.insert(key(403), b"deleted, then put".to_vec());
        model.remove(&key(950));
        check(&db, &model)?;
    }
    Ok(())
}

#[test]
fn a_conditional_put_into_a_gap_is_seen_and_one_turned_away_is_not() -> TestResult {
    let (db, mut model) = with_a_gap(&machine(), false)?;
    assert!(!db.put_if_absent(key(50), "there")?);
    assert!(db.put_if_absent(key(500), "new")?);
    model.insert(key(500), b"new".to_vec());
    check(&db, &model)?;
    assert!(!db.compare_and_set(key(600), Some(b"not so"), Some(b"new"))?);
    assert!(db.compare_and_set(key(500), Some(b"new"), None)?);
    model.remove(&key(500));
    check(&db, &model)
}

#[test]
fn an_iterator_made_before_a_put_into_a_gap_goes_on_in_its_moment() -> TestResult {
    let (db, mut model) = with_a_gap(&machine(), false)?;
    let expected: Vec<_> = model.clone().into_iter().collect();
    let (forward, backward) = (db.iter(), db.iter().rev());
    fill(&db, &mut model, 300..310)?;
    check(&db, &model)?;
    delete(&db, &mut model, 0..100)?;
    assert_eq!(collect(forward)?, expected);
    let mut backward = collect(backward)?;
    backward.reverse();
    assert_eq!(backward, expected);
    check(&db, &model)
}

#[test]
fn after_a_kill_gaps_are_found_again_and_hide_nothing() -> TestResult {
    let machine = machine();
    let (db, mut model) = with_a_gap(&machine, false)?;
    fill(&db, &mut model, 500..501)?;
    let machine = machine.after_kill();
    let db = machine.open()?;
    assert_eq!(db.stats().gaps_known, 0);
    check(&db, &model)?;
    fill(&db, &mut model, 700..701)?;
    check(&db, &model)
}

#[test]
fn what_comes_and_goes_in_a_gap_leaves_it_as_it_was() -> TestResult {
    for in_runs in [false, true] {
        let (db, mut model) = with_a_gap(&machine(), in_runs)?;
        for round in 0..300 {
            // All over the gap, and at its edges.
            let number = 100 + round * 7919 % 800;
            fill(&db, &mut model, std::iter::once(number))?;
            let seen: Vec<_> = collect(db.range(key(100)..key(900)))?;
            assert_eq!(seen, [(key(number), value(number, 0))]);
            delete(&db, &mut model, std::iter::once(number))?;
            for forward in [true, false] {
                let taken = steps(&db, || {
                    let mut range = db.range(key(90)..key(910));
                    let left = if forward {
                        range.count()
                    } else {
                        range.by_ref().rev().count()
                    };
                    assert_eq!(left, 20);
                    Ok(())
                })?;
                assert!(
                    taken < 60,
                    "round {round}, in runs: {in_runs}: {taken} steps"
                );
            }
        }
        assert!(db.stats().gaps_known <= 64);
        check(&db, &model)?;
    }
    Ok(())
}

#[test]
fn what_gaps_take_is_told() -> TestResult {
    assert_eq!(machine().open()?.stats().gap_bytes, 0);
    let (db, mut model) = with_a_gap(&machine(), false)?;
    let stats = db.stats();
    assert!(stats.gap_bytes > 0 && stats.gap_bytes < 4096, "{stats}");
    assert!(stats.to_string().contains("gaps known"), "{stats}");
    // Nobody uses what is left beside the first that come back, and it goes.
    fill(&db, &mut model, 100..900)?;
    assert!(db.stats().gaps_known < 20, "{}", db.stats());
    check(&db, &model)
}

/// A writer fills and empties a region, while others compare scans of snapshots, which use gaps and
/// note them, with gets of the same snapshots, which know nothing of them.
#[test]
fn scans_agree_with_gets_of_the_same_snapshot_while_a_region_comes_and_goes() -> TestResult {
    use std::sync::atomic::{AtomicBool, Ordering};

    const KEYS: usize = 300;
    let config = LsmConfig::new().durability(Durability::Buffered);
    let machine = Machine::on_threads(config.memtable_capacity(64 << 10));
    let db = machine.open()?;
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let is_over = AtomicBool::new(false);
    let compare = |mut round: usize| -> TestResult<usize> {
        let (mut held, mut compared) = (db.snapshot(), 0);
        while !is_over.load(Ordering::Acquire) || compared < 10 {
            let snapshot = db.snapshot();
            for snapshot in [&snapshot, &held] {
                let mut expected = Vec::new();
                for (key, value) in keys.iter().zip(snapshot.multi_get(&keys)?) {
                    expected.extend(value.map(|value| (key.clone(), value.to_vec())));
                }
                assert_eq!(collect(snapshot.range(key(0)..key(KEYS)))?, expected);
                let mut backward = collect(snapshot.iter().rev())?;
                backward.reverse();
                assert_eq!(backward, expected);
                let first = snapshot.first()?.map(|(key, _)| key.to_vec());
                assert_eq!(first.as_ref(), expected.first().map(|(key, _)| key));
            }
            round += 1;
            compared += 1;
            if round.is_multiple_of(7) {
                held = snapshot;
            }
        }
        Ok(compared)
    };
    std::thread::scope(|scope| -> TestResult {
        let readers =
            [0, 3].map(|round| scope.spawn(move || compare(round).map_err(|e| e.to_string())));
        let write = || -> TestResult {
            for round in 0..400_usize {
                // Some come back, each alone or all at once, and all that is there goes.
                let back = (0..KEYS).filter(|at| (at * 31 + round * 17) % 61 < round % 5);
                let mut batch = Batch::new();
                for number in back {
                    if round.is_multiple_of(3) {
                        db.put(key(number), value(number, round))?;
                    } else {
                        batch.put(key(number), value(number, round));
                    }
                }
                db.write(batch)?;
                let from = round * 13 % 100;
                for number in from..KEYS - from {
                    db.delete(key(number))?;
                }
            }
            Ok(())
        };
        let written = write();
        is_over.store(true, Ordering::Release);
        for reader in readers {
            reader.join().map_err(|_| "a reader panicked")??;
        }
        written
    })?;
    let stats = db.stats();
    assert!(stats.gaps_known > 0, "{stats}");
    Ok(())
}

/// Takers at both ends, beside a writer that puts into what they have emptied: nobody takes twice,
/// and in the end all that was put was taken.
#[test]
fn threads_that_take_from_both_ends_get_everything_once() -> TestResult {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    const ITEMS: usize = 6000;
    let machine = Machine::on_threads(LsmConfig::new().memtable_capacity(64 << 10));
    let db = machine.open()?;
    let (taken, all_put) = (AtomicUsize::new(0), AtomicBool::new(false));
    let take = |from_front: bool| -> Result<(), lsm_db::Error> {
        loop {
            let is_last_look = all_put.load(Ordering::Acquire);
            let entry = if from_front { db.first()? } else { db.last()? };
            let Some((key, value)) = entry else {
                if is_last_look {
                    return Ok(());
                }
                std::thread::yield_now();
                continue;
            };
            if db.compare_and_set(&key, Some(&value), None)? {
                taken.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| -> TestResult {
        let takers = [true, false, true].map(|from_front| scope.spawn(move || take(from_front)));
        let put = (0..ITEMS).try_for_each(|number| {
            // To and fro, so that most come to lie where something was deleted.
            let place = number.wrapping_mul(7919) % 1000;
            db.put(format!("{place:04}-{number}"), value(number, 0))
        });
        all_put.store(true, Ordering::Release);
        for taker in takers {
            taker.join().map_err(|_| "a taker panicked")??;
        }
        Ok(put?)
    })?;
    assert_eq!(taken.into_inner(), ITEMS);
    assert!(db.is_empty()?);
    check(&db, &Model::new())
}
