//! The filters beside the runs: hints, made with the runs, made again when they are no use, gone
//! with the runs.

use lsm_db::{Lsm, LsmConfig};
use lsm_fs::{ByPath, CrashImage, Operation};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{key, value};

fn plain() -> LsmConfig {
    LsmConfig::new().compaction_trigger(usize::MAX)
}

fn write_run(db: &Lsm, numbers: impl Iterator<Item = usize>) -> TestResult {
    for number in numbers {
        db.put(key(number), value(number, 0))?;
    }
    db.flush()?;
    Ok(())
}

fn sidecars(machine: &Machine) -> TestResult<Vec<String>> {
    let names = machine.disk.list(machine.dir())?;
    let names = names
        .into_iter()
        .filter_map(|entry| entry.name.into_string().ok());
    Ok(names.filter(|name| name.contains(".bloom")).collect())
}

/// Runs that a read of an absent key, within the range of all runs, skips.
fn skips(db: &Lsm) -> TestResult<u64> {
    let before = db.stats().filter_skips;
    assert_eq!(db.get("key-000001-absent")?, None);
    Ok(db.stats().filter_skips - before)
}

/// Two runs with sidecars; the names of these.
fn two_runs(machine: &Machine) -> TestResult<Vec<String>> {
    let db = machine.open()?;
    write_run(&db, 0..50)?;
    write_run(&db, 0..60)?;
    assert_eq!(skips(&db)?, 2);
    db.close()?;
    let sidecars = sidecars(machine)?;
    assert_eq!(sidecars.len(), 2, "{sidecars:?}");
    Ok(sidecars)
}

#[test]
fn each_run_has_a_filter_beside_it_and_both_go_together() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let before = two_runs(&machine)?;
    let db = machine.open()?;
    assert_eq!(skips(&db)?, 2, "after a reopen");
    db.compact_range::<Vec<u8>, _>(..)?;
    machine.settle();
    let after = sidecars(&machine)?;
    assert_eq!(after.len(), 1);
    assert!(!before.contains(&after[0]), "{before:?} {after:?}");
    assert_eq!(skips(&db)?, 1);
    Ok(())
}

#[test]
fn a_superseded_run_and_its_filter_stay_for_their_last_reader() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let before = two_runs(&machine)?;
    let db = machine.open()?;
    let reader = db.iter();
    db.compact_range::<Vec<u8>, _>(..)?;
    machine.settle();
    let held = sidecars(&machine)?;
    assert!(before.iter().all(|name| held.contains(name)), "{held:?}");
    drop(reader);
    machine.settle();
    assert_eq!(sidecars(&machine)?.len(), 1);
    Ok(())
}

/// Whatever is in its place: the answer is right at once, and the filter is back after a while.
#[test]
fn a_filter_that_is_missing_damaged_or_another_run_s_is_made_again_in_the_background() -> TestResult
{
    type Break = fn(&Machine, &[String]) -> TestResult;
    fn put(machine: &Machine, name: &str, bytes: &[u8]) -> TestResult {
        let path = machine.path(name);
        machine.disk.remove_file(&path)?;
        machine.disk.create_new(&path)?.append_all(bytes)?;
        Ok(())
    }
    fn bytes(machine: &Machine, name: &str) -> TestResult<Vec<u8>> {
        Ok(machine.disk.read_to_vec(&machine.path(name), 1 << 20)?)
    }
    let breaks: [(&str, Break); 5] = [
        ("missing", |machine, names| {
            Ok(machine.disk.remove_file(&machine.path(&names[0]))?)
        }),
        ("empty", |machine, names| put(machine, &names[0], &[])),
        ("cut", |machine, names| {
            let whole = bytes(machine, &names[0])?;
            put(machine, &names[0], &whole[..whole.len() - 1])
        }),
        ("flipped", |machine, names| {
            let mut whole = bytes(machine, &names[0])?;
            let middle = whole.len() / 2;
            whole[middle] ^= 0x10;
            put(machine, &names[0], &whole)
        }),
        ("another run's", |machine, names| {
            let other = bytes(machine, &names[1])?;
            put(machine, &names[0], &other)
        }),
    ];
    for (name, break_it) in breaks {
        let machine = Machine::new(plain(), 1);
        let names = two_runs(&machine)?;
        break_it(&machine, &names)?;
        let db = machine.open()?;
        assert_eq!(skips(&db)?, 1, "{name}: the good one");
        assert_eq!(db.get(key(7))?, Some(value(7, 0)), "{name}");
        machine.settle();
        assert_eq!(skips(&db)?, 2, "{name}: made again");
        assert_eq!(sidecars(&machine)?, names, "{name}");
        db.close()?;
        let db = machine.open()?;
        assert_eq!(skips(&db)?, 2, "{name}: for good");
    }
    Ok(())
}

#[test]
fn without_a_budget_there_are_no_filters_and_answers_are_the_same() -> TestResult {
    let machine = Machine::new(plain().filter_bits(0), 1);
    let db = machine.open()?;
    write_run(&db, 0..50)?;
    assert_eq!(skips(&db)?, 0);
    assert_eq!(db.stats().filter_bytes, 0);
    assert_eq!(db.get(key(7))?, Some(value(7, 0)));
    machine.settle();
    assert!(sidecars(&machine)?.is_empty());
    Ok(())
}

#[test]
fn a_run_whose_filter_could_not_be_written_is_a_run_like_any_other() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let db = machine.open()?;
    db.put("key-000000", "v")?;
    machine.faults.fail_when(
        Operation::CreateNew,
        |path| {
            path.extension()
                .is_some_and(|extension| extension == "bloom")
        },
        lsm_fs::Fault::from_raw_os_error(28),
    );
    db.flush()?;
    assert!(sidecars(&machine)?.is_empty());
    assert_eq!(db.stats().background_failures, 0);
    assert_eq!(db.get("key-000000")?, Some(b"v".to_vec()));
    db.close()?;
    let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
    assert_eq!(left.open()?.get("key-000000")?, Some(b"v".to_vec()));
    Ok(())
}

#[test]
fn a_filter_left_without_its_run_is_removed_whatever_its_id() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let names = two_runs(&machine)?;
    let db = machine.open()?;
    db.compact_range::<Vec<u8>, _>(..)?;
    machine.settle();
    db.close()?;
    let unknown = "run-4000000000.sst.bloom";
    let kept = sidecars(&machine)?;
    assert_eq!(kept.len(), 1);
    for name in [names[0].as_str(), unknown, "run-0000000001.sst.bloom.tmp"] {
        machine
            .disk
            .create_new(&machine.path(name))?
            .append_all(b"x")?;
    }
    let db = machine.open()?;
    machine.settle();
    assert_eq!(sidecars(&machine)?, kept);
    drop(db);
    Ok(())
}

/// Below nine bits a key the deepest level is to have no filters, and one that is made again is
/// as large as it was: a first version made 16-bit ones of all.
#[test]
fn a_filter_made_again_is_the_one_that_the_budget_allows() -> TestResult {
    for (bits, expected) in [(5, 0), (10, 1)] {
        let machine = Machine::new(plain().filter_bits(bits), 1);
        let db = machine.open()?;
        write_run(&db, 0..5000)?;
        write_run(&db, 0..5000)?;
        db.compact_range::<Vec<u8>, _>(..)?;
        machine.settle();
        let names = sidecars(&machine)?;
        assert_eq!(names.len(), expected);
        let lengths = || -> TestResult<Vec<u64>> {
            let lengths = names
                .iter()
                .map(|name| machine.disk.file_len(&machine.path(name)));
            Ok(lengths.collect::<Result<_, _>>()?)
        };
        let before = lengths()?;
        for name in &names {
            machine.disk.remove_file(&machine.path(name))?;
        }
        skips(&db)?;
        machine.settle();
        assert_eq!(sidecars(&machine)?, names, "{bits} bits");
        assert_eq!(lengths()?, before, "{bits} bits");
    }
    Ok(())
}

#[test]
fn a_filter_that_cannot_be_written_is_kept_in_memory_all_the_same() -> TestResult {
    let machine = Machine::new(plain(), 1);
    let names = two_runs(&machine)?;
    let db = machine.open()?;
    machine.faults.fail_when(
        Operation::Rename,
        |path| path.to_string_lossy().contains(".bloom"),
        lsm_fs::Fault::from_raw_os_error(5).for_good(),
    );
    machine.disk.remove_file(&machine.path(&names[0]))?;
    skips(&db)?;
    machine.settle();
    assert_eq!(
        skips(&db)?,
        2,
        "kept in memory though it could not be written"
    );
    let reads = machine.faults.operation_count();
    for _ in 0..5 {
        skips(&db)?;
        machine.settle();
    }
    assert_eq!(machine.faults.operation_count(), reads, "nothing is read");
    Ok(())
}

#[test]
fn a_memtable_that_may_be_huge_has_a_small_filter_from_the_start() -> TestResult {
    let machine = Machine::new(plain().memtable_capacity(usize::MAX), 1);
    let db = machine.open()?;
    assert!(db.stats().filter_bytes <= 4 << 20);
    write_run(&db, 0..50)?;
    assert_eq!(db.get(key(7))?, Some(value(7, 0)));
    Ok(())
}
