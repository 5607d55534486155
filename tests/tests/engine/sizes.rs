//! Keys and values of every size, and many of them.

use lsm_db::{Batch, LsmConfig};
use lsm_tests::TestResult;
use lsm_tests::layout::layout;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, Write, check, key};
use lsm_tests::placement::everywhere;
use lsm_tests::random::Random;

#[test]
fn values_around_the_block_size_and_over_many_blocks() -> TestResult {
    let mut random = Random::new(1);
    let sizes = [
        0,
        1,
        4070,
        4080,
        4086,
        4087,
        4095,
        4096,
        4097,
        5000,
        65_536,
        1 << 20,
    ];
    let writes: Vec<Write> = (0..)
        .zip(sizes)
        .map(|(number, size)| (key(number), Some(random.bytes(size))))
        .collect();
    everywhere(&writes, check)
}

/// Keys over 4 KiB are not kept in the manifest but read from the run at open.
#[test]
fn long_keys_are_found_also_after_a_reopen() -> TestResult {
    let mut random = Random::new(2);
    let mut writes: Vec<Write> = Vec::new();
    for size in [1, 8, 9, 4095, 4096, 4097, 10_000, 65_536] {
        // Long keys that differ in their last byte alone, and in their first.
        let mut key = random.bytes(size);
        for last in [0, 1, 255] {
            key[size - 1] = last;
            writes.push((key.clone(), Some(vec![last; 10])));
        }
        key[0] ^= 0x80;
        writes.push((key, Some(size.to_string().into_bytes())));
    }
    everywhere(&writes, check)?;

    let machine = Machine::new(LsmConfig::new().run_bytes_target(4096), 3);
    let mut model = Model::new();
    for round in 0..3 {
        let db = machine.open()?;
        check(&db, &model)?;
        for (key, value) in &writes {
            let value = [value.clone().unwrap_or_default(), vec![round]].concat();
            db.put(key, &value)?;
            model.insert(key.clone(), value);
        }
        db.flush()?;
        if round == 1 {
            db.compact_range::<&[u8], _>(..)?;
        }
        check(&db, &model)?;
        db.close()?;
    }
    check(&machine.open()?, &model)
}

#[test]
fn one_batch_of_many_operations() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    let mut batch = Batch::new();
    for number in 0..20_000 {
        batch.put(key(number), "v");
    }
    db.write(batch)?;
    assert_eq!(db.iter().count(), 20_000);
    db.flush()?;
    drop(db);
    assert_eq!(machine.open()?.iter().count(), 20_000);
    Ok(())
}

#[test]
fn one_batch_larger_than_a_log_segment() -> TestResult {
    let machine = Machine::new(LsmConfig::new().memtable_capacity(64 << 10), 1);
    let db = machine.open()?;
    let mut random = Random::new(5);
    let mut model = Model::new();
    let mut batch = Batch::new();
    for number in 0..64 {
        let value = random.bytes(64 << 10);
        batch.put(key(number), &value);
        model.insert(key(number), value);
    }
    db.put("before", "1")?;
    db.write(batch)?;
    db.put("after", "2")?;
    model.insert(b"before".to_vec(), b"1".to_vec());
    model.insert(b"after".to_vec(), b"2".to_vec());
    check(&db, &model)?;
    drop(db);
    let killed = machine.after_kill();
    let db = killed.open()?;
    check(&db, &model)?;
    killed.settle();
    check(&db, &model)
}

#[test]
fn tens_of_thousands_of_entries_over_several_levels() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(64 << 10)
        .run_bytes_target(32 << 10)
        .level_fanout(2)
        .compaction_trigger(2)
        .durability(lsm_db::Durability::Buffered);
    let machine = Machine::new(config, 1);
    let db = machine.open()?;
    let mut random = Random::new(6);
    let mut model = Model::new();
    for _ in 0..20_000 {
        let number = random.below(100_000);
        let value = random.bytes(60);
        db.put(key(number), &value)?;
        model.insert(key(number), value);
    }
    machine.settle();
    let levels = db
        .stats()
        .levels
        .iter()
        .filter(|level| level.runs > 0)
        .count();
    assert!(levels >= 2, "{}", db.stats());
    check(&db, &model)?;
    db.close()?;
    check(&machine.open()?, &model)
}

/// The files that a flush writes are what the format's description says, read by a reader that is
/// not the engine's.
#[test]
fn a_flushed_run_holds_the_sorted_keys_in_blocks_of_4_kib_or_one_entry_more() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    for number in (0..500).rev() {
        db.put(key(number), vec![b'v'; 50])?;
    }
    db.flush()?;
    let runs = lsm_tests::directory::runs(&machine.disk, machine.dir())?;
    assert_eq!(runs.len(), 1);
    let file = lsm_tests::directory::read_file(&machine.disk, &runs[0])?;
    let layout = layout(&file).ok_or("the run has another format")?;
    let keys: Vec<_> = layout
        .blocks
        .iter()
        .flat_map(|block| block.keys.clone())
        .collect();
    assert_eq!(keys, (0..500).map(key).collect::<Vec<_>>());
    // A block is closed by the entry that fills it: 10 bytes of key, 50 of value, 9 of lengths.
    let (last, full) = layout.blocks.split_last().ok_or("no block")?;
    assert!(full.len() > 5);
    assert!(
        full.iter()
            .all(|block| (4096..4096 + 69).contains(&block.bytes.len()))
    );
    assert!(last.bytes.len() < 4096 + 69);
    Ok(())
}
