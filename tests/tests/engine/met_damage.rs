//! Damage that readers met: `stats` tells it by file, to those who did not meet it.

use std::path::PathBuf;

use lsm_db::{Error, Lsm, LsmConfig};
use lsm_fs::{Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::directory::{damage, read_file, runs};
use lsm_tests::layout::layout;
use lsm_tests::machine::Machine;
use lsm_tests::model::{key, value};

/// Keys of a run, two to a block.
const KEYS: usize = 60;

fn large_value(number: usize) -> Vec<u8> {
    let mut large = value(number, 0);
    large.resize(2_100, b'.');
    large
}

/// A store with two runs that no compaction touches, and their files, oldest first. Of the first, the
/// block with the keys 10 and 11 is damaged.
fn with_a_damaged_block() -> TestResult<(Machine, Lsm, Vec<PathBuf>)> {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    for first in [0, KEYS] {
        for number in first..first + KEYS {
            db.put(key(number), large_value(number))?;
        }
        db.flush()?;
    }
    drop(db);
    let files = runs(&machine.disk, machine.dir())?;
    assert_eq!(files.len(), 2);
    let layout = layout(&read_file(&machine.disk, &files[0])?).ok_or("not a run")?;
    let mut blocks = layout.blocks.iter();
    let block = blocks.find(|block| block.keys.contains(&key(10)));
    let at = block.ok_or("no block has the key")?.bytes.start + 50;
    damage(&machine.disk, &files[0], |bytes| bytes[at] ^= 1)?;
    let db = machine.open()?;
    Ok((machine, db, files))
}

/// The files that `stats` tells of, and how many reads of each failed.
fn told(db: &Lsm) -> Vec<(PathBuf, u64)> {
    let files = db.stats().damaged_files.into_iter();
    files.map(|met| (met.file, met.reads_failed)).collect()
}

/// 66 gets failed, and whoever looked at the store's statistics saw nothing (fault 79).
#[test]
fn each_read_that_meets_damage_is_counted_by_its_file() -> TestResult {
    let (_machine, db, files) = with_a_damaged_block()?;
    assert_eq!(told(&db), []);
    assert_eq!(db.stats().background_error, None);
    for read in 1..=66 {
        let got = db.get(key(10 + read % 2));
        assert!(matches!(got, Err(Error::Corruption { .. })), "{got:?}");
        assert_eq!(told(&db), [(files[0].clone(), read as u64)]);
    }
    // A walk reads ahead, and meets the damage once.
    let failed = db.iter().filter(Result::is_err).count();
    assert_eq!((failed, told(&db)), (1, vec![(files[0].clone(), 67)]));

    let stats = db.stats();
    let error = &stats.damaged_files[0].error;
    assert!(
        error.contains("checksum") && error.contains("block 5"),
        "{error}"
    );
    assert_eq!(stats.background_error.as_deref(), Some(error.as_str()));
    assert_eq!((stats.runs_set_aside, stats.background_failures), (0, 0));
    assert!(!stats.poisoned);
    let shown = stats.to_string();
    assert!(shown.contains("67 reads of"), "{shown}");
    // What is sound is read as ever, and counts for nothing.
    assert_eq!(db.get(key(12))?, Some(large_value(12)));
    assert_eq!(db.get(key(KEYS + 3))?, Some(large_value(KEYS + 3)));
    assert_eq!(told(&db), [(files[0].clone(), 67)]);
    Ok(())
}

/// A file that could not be read may be readable again, so it is told of, but not as what is wrong now.
#[test]
fn a_file_that_cannot_be_read_is_counted_too_but_a_lack_of_handles_is_not() -> TestResult {
    let (machine, db, files) = with_a_damaged_block()?;
    let is_second = {
        let second = files[1].clone();
        move |path: &std::path::Path| path == second
    };
    let is_file = is_second.clone();
    let no_handle = Fault::from_raw_os_error(24).for_good();
    machine
        .faults
        .fail_when(Operation::Open, is_file, no_handle);
    assert!(db.get(key(KEYS)).is_err());
    assert_eq!(told(&db), []);
    machine.faults.clear_faults();
    machine
        .faults
        .fail_when(Operation::ReadAt, is_second, Fault::from_raw_os_error(5));
    assert!(db.get(key(KEYS)).is_err());
    assert_eq!(db.get(key(KEYS))?, Some(large_value(KEYS)));
    assert_eq!(told(&db), [(files[1].clone(), 1)]);
    assert_eq!(db.stats().background_error, None);
    Ok(())
}

#[test]
fn what_a_run_that_is_gone_has_met_is_forgotten() -> TestResult {
    let (machine, db, files) = with_a_damaged_block()?;
    let second = files[1].clone();
    machine.faults.fail_when(
        Operation::ReadAt,
        move |path| path == second,
        Fault::from_raw_os_error(5),
    );
    assert!(db.get(key(KEYS)).is_err());
    assert!(db.get(key(10)).is_err());
    let both = [(files[0].clone(), 1), (files[1].clone(), 1)];
    assert_eq!(told(&db), both);
    // The second can be read again, and is merged away; the first stays, as it is damaged.
    for number in KEYS..2 * KEYS {
        db.put(key(number), value(number, 1))?;
    }
    db.compact_range(key(KEYS)..)?;
    machine.settle();
    assert_eq!(told(&db), [(files[0].clone(), 1)]);
    Ok(())
}
