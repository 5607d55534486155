//! Reads answer the same wherever the entries are: memtable, level 0, deeper, or spread.

use std::ops::Bound;

use lsm_db::{Batch, LsmConfig};
use lsm_tests::TestResult;
use lsm_tests::directory::{read_file, runs};
use lsm_tests::layout::layout;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, Write, check, check_get, collect, compare, entries_in, key, value};
use lsm_tests::placement::everywhere;
use lsm_tests::random::Random;

/// Puts, overwrites and deletes of 60 keys, several ages of each, with gaps between the keys.
fn history() -> Vec<Write> {
    let mut random = Random::new(3);
    (0..400)
        .map(|age| {
            let number = random.below(60) * 2;
            let value = (!random.one_in(4)).then(|| value(number, age));
            (key(number), value)
        })
        .collect()
}

#[test]
fn the_newest_write_of_a_key_wins() -> TestResult {
    everywhere(&history(), check)
}

#[test]
fn a_key_that_was_never_written_is_absent() -> TestResult {
    everywhere(&history(), |db, _| {
        for absent in [b"".as_slice(), b"a", b"key-000001", b"zzz", &[0xff; 300]] {
            check_get(db, absent, None)?;
        }
        Ok(())
    })
}

#[test]
fn a_deleted_key_is_absent_and_may_come_back() -> TestResult {
    let writes: Vec<Write> = vec![
        (b"gone".to_vec(), Some(b"1".to_vec())),
        (b"back".to_vec(), Some(b"1".to_vec())),
        (b"never".to_vec(), None),
        (b"gone".to_vec(), None),
        (b"back".to_vec(), None),
        (b"back".to_vec(), Some(b"2".to_vec())),
    ];
    everywhere(&writes, |db, model| {
        check_get(db, b"gone", None)?;
        check_get(db, b"never", None)?;
        check_get(db, b"back", Some(&b"2".to_vec()))?;
        check(db, model)
    })
}

#[test]
fn empty_keys_and_empty_values_are_entries_like_any_other() -> TestResult {
    let writes: Vec<Write> = vec![
        (b"".to_vec(), Some(b"the empty key".to_vec())),
        (b"empty value".to_vec(), Some(Vec::new())),
        (b"\0".to_vec(), Some(Vec::new())),
        (b"\0\0".to_vec(), Some(b"2".to_vec())),
    ];
    everywhere(&writes, |db, model| {
        check_get(db, b"", Some(&b"the empty key".to_vec()))?;
        check_get(db, b"empty value", Some(&Vec::new()))?;
        check(db, model)
    })
}

#[test]
fn an_empty_key_can_be_deleted() -> TestResult {
    let writes: Vec<Write> = vec![
        (Vec::new(), Some(Vec::new())),
        (b"a".to_vec(), Some(Vec::new())),
        (Vec::new(), None),
    ];
    everywhere(&writes, |db, model| {
        check_get(db, b"", None)?;
        check(db, model)
    })
}

#[test]
fn keys_order_as_bytes_also_where_the_first_eight_are_equal() -> TestResult {
    let keys: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\0\0\0\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\0\0",
        b"12345678",
        b"12345678\0",
        b"123456780",
        b"123456789",
        b"\x7f",
        b"\x80",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    let mut writes: Vec<Write> = keys
        .iter()
        .map(|key| (key.to_vec(), Some(key.to_vec())))
        .collect();
    writes.reverse();
    everywhere(&writes, check)
}

#[test]
fn ranges_of_every_bound_kind_match_the_model() -> TestResult {
    let edges: Vec<Vec<u8>> = [0, 1, 2, 57, 58, 118, 119, 200]
        .into_iter()
        .map(key)
        .chain([Vec::new()])
        .collect();
    let mut bounds = vec![Bound::Unbounded];
    bounds.extend(edges.iter().cloned().map(Bound::Included));
    bounds.extend(edges.iter().cloned().map(Bound::Excluded));

    everywhere(&history(), |db, model| {
        for lower in &bounds {
            for upper in &bounds {
                let range = (lower.clone(), upper.clone());
                let expected = entries_in(model, &range);
                let what = format!("{range:?}");
                compare(&what, &collect(db.range(range.clone()))?, &expected)?;
                let mut backwards = collect(db.range(range.clone()).rev())?;
                backwards.reverse();
                compare(&format!("{what} backwards"), &backwards, &expected)?;
                let scan = db.scan(range)?;
                assert_eq!(scan.len(), expected.len());
                compare(&format!("scan {what}"), &scan.collect(), &expected)?;
            }
        }
        Ok(())
    })
}

#[test]
fn empty_and_inverted_ranges_yield_nothing_and_never_panic() -> TestResult {
    everywhere(&history(), |db, _| {
        let (low, high) = (key(10), key(50));
        assert_eq!(db.range(low.clone()..low.clone()).count(), 0);
        assert_eq!(db.range(high.clone()..low.clone()).count(), 0);
        assert_eq!(db.range(high.clone()..=low.clone()).count(), 0);
        assert_eq!(db.range(high.clone()..low.clone()).rev().count(), 0);
        let between = (Bound::Excluded(low.clone()), Bound::Excluded(low.clone()));
        assert_eq!(db.range(between.clone()).count(), 0);
        assert_eq!(db.scan(between)?.len(), 0);
        assert_eq!(db.scan(high..low)?.next_back(), None);
        Ok(())
    })
}

#[test]
fn a_prefix_yields_the_keys_that_start_with_it_and_no_other() -> TestResult {
    let keys: [&[u8]; 11] = [
        b"",
        b"a",
        b"a\xff",
        b"a\xff\xff",
        b"a\xff\xff\0",
        b"b",
        b"ba",
        b"\xfe\xff",
        b"\xff",
        b"\xff\xff",
        b"\xff\xff\x01",
    ];
    let writes: Vec<Write> = keys
        .iter()
        .map(|key| (key.to_vec(), Some(b"v".to_vec())))
        .collect();
    everywhere(&writes, |db, model| {
        for prefix in keys
            .iter()
            .copied()
            .chain([b"a\xfe".as_slice(), b"c", b"\xff\xff\xff"])
        {
            let expected: Vec<_> = model
                .iter()
                .filter(|(key, _)| key.starts_with(prefix))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let what = format!("prefix {prefix:?}");
            compare(&what, &collect(db.prefix(prefix))?, &expected)?;
            let mut backwards = collect(db.prefix(prefix).rev())?;
            backwards.reverse();
            compare(&what, &backwards, &expected)?;
        }
        Ok(())
    })
}

#[test]
fn a_later_operation_of_a_batch_wins_over_an_earlier_one() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 0);
    let db = machine.open()?;
    db.put("deleted last", "old")?;
    let mut batch = Batch::new();
    batch.put("put twice", "1");
    batch.put("put twice", "2");
    batch.put("deleted last", "1");
    batch.delete("deleted last");
    batch.delete("put last");
    batch.put("put last", "1");
    assert_eq!(batch.len(), 6);
    db.write(batch)?;
    let expect = |db: &lsm_db::Lsm| -> TestResult {
        check_get(db, b"put twice", Some(&b"2".to_vec()))?;
        check_get(db, b"deleted last", None)?;
        check_get(db, b"put last", Some(&b"1".to_vec()))?;
        assert_eq!(db.iter().count(), 2);
        Ok(())
    };
    expect(&db)?;
    db.flush()?;
    expect(&db)?;
    drop(db);
    expect(&machine.open()?)
}

#[test]
fn an_empty_batch_changes_nothing() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 0);
    let db = machine.open()?;
    assert!(Batch::new().is_empty());
    db.write(Batch::new())?;
    assert_eq!(db.iter().count(), 0);
    Ok(())
}

/// A range that starts just past the largest key of a run in a deeper level looked at that run,
/// found that it did not reach into the range, and left out the whole level.
#[test]
fn a_range_that_starts_just_past_the_largest_key_of_a_run_sees_the_runs_behind_it() -> TestResult {
    let config = LsmConfig::new()
        .run_bytes_target(500)
        .compaction_trigger(usize::MAX);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    let mut model = Model::new();
    // Twice, so that the runs are merged and split, and not moved down whole.
    for age in 0..2 {
        for number in 0..200 {
            db.put(key(number), value(number, age))?;
            model.insert(key(number), value(number, age));
        }
        db.flush()?;
    }
    db.compact_range::<&[u8], _>(..)?;
    machine.settle();
    let stats = db.stats();
    assert_eq!(stats.levels.first().map(|level| level.runs), Some(0));
    let runs = runs(&machine.disk, machine.dir())?;
    assert!(runs.len() > 10, "only {} runs", runs.len());
    for run in runs {
        let layout = layout(&read_file(&machine.disk, &run)?).ok_or("not a run")?;
        let largest = layout.blocks.last().and_then(|block| block.keys.last());
        let largest = largest.ok_or("an empty run")?.clone();
        let range = (Bound::Excluded(largest), Bound::Unbounded);
        let expected = entries_in(&model, &range);
        compare("range()", &collect(db.range(range.clone()))?, &expected)?;
        let mut backwards = collect(db.range(range.clone()).rev())?;
        backwards.reverse();
        compare("range().rev()", &backwards, &expected)?;
        compare("scan()", &db.scan(range)?.collect::<Vec<_>>(), &expected)?;
    }
    Ok(())
}
