//! Files of runs under ids that were never given out: copies of live runs and lone sidecars are
//! leftovers, every other run is refused, and nothing goes before the manifest was found sound.

use std::path::PathBuf;

use lsm_db::{Error, LsmConfig};
use lsm_fs::{CrashImage, Fault, FileSystem, Operation};
use lsm_tests::TestResult;
use lsm_tests::directory::{damage, find, plant, read, read_file, runs};
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, key, value};

/// A closed store with two live runs, of a machine whose policy is off; its model.
fn two_runs() -> TestResult<(Machine, Model)> {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    let mut model = Model::new();
    for age in 0..2 {
        for number in 0..50 {
            db.put(key(number + age), value(number, age))?;
            model.insert(key(number + age), value(number, age));
        }
        db.flush()?;
    }
    db.close()?;
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), 2);
    Ok((machine, model))
}

/// The bytes of the newer live run, and a path whose id was never given out.
fn live_and_stray(machine: &Machine) -> TestResult<(Vec<u8>, PathBuf)> {
    let runs = runs(&machine.disk, machine.dir())?;
    let live = read_file(&machine.disk, runs.last().ok_or("a run")?)?;
    Ok((live, machine.path("run-0000987654.sst")))
}

fn is_there(machine: &Machine, path: &std::path::Path) -> TestResult<bool> {
    Ok(machine.disk.kind(path)?.is_some())
}

fn refuses(machine: &Machine, path: &std::path::Path) -> TestResult {
    let before = read(&machine.disk, machine.dir())?;
    match machine.open() {
        Err(Error::Corruption { file, .. }) => assert_eq!(file.as_deref(), Some(path)),
        other => return Err(format!("opened: {other:?}").into()),
    }
    assert_eq!(read(&machine.disk, machine.dir())?, before, "changed");
    Ok(())
}

#[test]
fn a_copy_of_a_live_run_under_an_id_never_given_out_is_a_leftover() -> TestResult {
    let (machine, model) = two_runs()?;
    let (live, stray) = live_and_stray(&machine)?;
    plant(&machine.disk, &stray, &live)?;
    plant(
        &machine.disk,
        &machine.path("run-0000987654.sst.bloom"),
        b"its filter",
    )?;
    let db = machine.open()?;
    assert!(
        !is_there(&machine, &stray)?,
        "gone before anything is written"
    );
    check(&db, &model)?;
    db.put("k", "v")?;
    db.flush()?;
    db.compact_range::<&[u8], _>(..)?;
    machine.settle();
    db.close()?;
    assert!(find(&machine.disk, machine.dir(), "run-0000987654", "")?.is_empty());
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), 1);
    Ok(())
}

/// The next id to be given out is the stray's: the run that gets it must not go in its place.
#[test]
fn a_stray_whose_id_comes_next_does_not_take_the_next_run_with_it() -> TestResult {
    let (machine, mut model) = two_runs()?;
    let (live, _) = live_and_stray(&machine)?;
    for id in 0..50 {
        let path = machine.path(&format!("run-{id:010}.sst"));
        if !is_there(&machine, &path)? {
            plant(&machine.disk, &path, &live)?;
            plant(
                &machine.disk,
                &machine.path(&format!("run-{id:010}.sst.bloom")),
                b"",
            )?;
        }
    }
    let db = machine.open()?;
    for number in 100..105 {
        db.put(key(number), "v")?;
        model.insert(key(number), b"v".to_vec());
        db.flush()?;
    }
    machine.settle();
    check(&db, &model)?;
    db.close()?;
    assert_eq!(runs(&machine.disk, machine.dir())?.len(), 7);
    check(&machine.open()?, &model)?;
    Ok(())
}

#[test]
fn a_copy_with_one_byte_changed_anywhere_is_refused_and_nothing_goes() -> TestResult {
    let (machine, _) = two_runs()?;
    let (live, stray) = live_and_stray(&machine)?;
    for at in [0, 1, live.len() / 2, live.len() - 1] {
        let mut changed = live.clone();
        changed[at] ^= 1;
        plant(&machine.disk, &stray, &changed)?;
        refuses(&machine, &stray)?;
    }
    for len in [0, live.len() - 1] {
        plant(&machine.disk, &stray, &live[..len])?;
        refuses(&machine, &stray)?;
    }
    Ok(())
}

/// Longer than what is compared at once, and different at its beginning only.
#[test]
fn a_long_copy_is_compared_to_its_first_byte() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    for number in 0..100 {
        db.put(key(number), vec![7; 3000])?;
    }
    db.flush()?;
    db.close()?;
    let (live, stray) = live_and_stray(&machine)?;
    assert!(live.len() > 256 << 10);
    plant(&machine.disk, &stray, &live)?;
    damage(&machine.disk, &stray, |bytes| bytes[0] ^= 1)?;
    refuses(&machine, &stray)?;
    plant(&machine.disk, &stray, &live)?;
    machine.open()?;
    assert!(!is_there(&machine, &stray)?);
    Ok(())
}

#[test]
fn a_copy_of_a_run_that_is_no_longer_live_is_refused() -> TestResult {
    let (machine, _) = two_runs()?;
    let (live, stray) = live_and_stray(&machine)?;
    let db = machine.open()?;
    db.compact_range::<&[u8], _>(..)?;
    machine.settle();
    db.close()?;
    plant(&machine.disk, &stray, &live)?;
    refuses(&machine, &stray)
}

#[test]
fn one_stray_that_is_no_copy_keeps_all_where_they_are() -> TestResult {
    let (machine, _) = two_runs()?;
    let (live, stray) = live_and_stray(&machine)?;
    plant(&machine.disk, &machine.path("run-0000987653.sst"), &live)?;
    plant(
        &machine.disk,
        &machine.path("run-0000987653.sst.bloom"),
        b"",
    )?;
    plant(&machine.disk, &stray, b"somebody's data")?;
    refuses(&machine, &stray)
}

#[test]
fn a_sidecar_alone_is_a_leftover_whatever_its_id() -> TestResult {
    let (machine, model) = two_runs()?;
    for id in [0_u64, 1, 40, 987_654, 9_999_999_999] {
        let run = machine.path(&format!("run-{id:010}.sst"));
        if !is_there(&machine, &run)? {
            plant(
                &machine.disk,
                &machine.path(&format!("run-{id:010}.sst.bloom")),
                b"x",
            )?;
        }
    }
    let db = machine.open()?;
    machine.settle();
    let sidecars = find(&machine.disk, machine.dir(), "run-", ".bloom")?;
    assert!(sidecars.len() <= 2, "{sidecars:?}");
    check(&db, &model)?;
    Ok(())
}

#[test]
fn a_directory_with_the_name_of_a_stray_is_left_alone() -> TestResult {
    let (machine, model) = two_runs()?;
    for name in ["run-0000987654.sst", "run-0000987655.sst.bloom"] {
        machine.disk.create_dir(&machine.path(name))?;
        plant(&machine.disk, &machine.path(name).join("inside"), b"x")?;
    }
    let db = machine.open()?;
    machine.settle();
    check(&db, &model)?;
    for name in ["run-0000987654.sst", "run-0000987655.sst.bloom"] {
        assert!(
            is_there(&machine, &machine.path(name).join("inside"))?,
            "{name}"
        );
    }
    Ok(())
}

/// A stray that came back, when the run that it is a copy of is gone, would be refused.
#[test]
fn a_crash_at_any_operation_after_strays_were_found_leaves_a_store_that_opens() -> TestResult {
    let (machine, model) = two_runs()?;
    let (live, stray) = live_and_stray(&machine)?;
    plant(&machine.disk, &stray, &live)?;
    plant(&machine.disk, &machine.path("run-0000987655.sst"), &live)?;
    plant(
        &machine.disk,
        &machine.path("run-0000987655.sst.bloom"),
        b"",
    )?;
    for operation in 0..200 {
        let machine = machine.after_kill();
        machine
            .faults
            .fail_nth(operation, Fault::new(std::io::ErrorKind::Other).for_good());
        let mut failed = true;
        if let Ok(db) = machine.open() {
            let deleted = (0..60).try_for_each(|number| db.delete(key(number)));
            let emptied = deleted.and_then(|()| db.compact_range::<&[u8], _>(..));
            machine.settle();
            failed = emptied.is_err();
        }
        for image in [CrashImage::NothingUnsynced, CrashImage::EverythingUnsynced] {
            let crashed = machine.after_power_cut(&image);
            let db = crashed
                .open()
                .map_err(|error| format!("{operation} {image:?}: {error}"))?;
            if db.iter().next().is_some() && operation == 0 {
                check(&db, &model)?;
            }
        }
        if !failed {
            return Ok(());
        }
    }
    Err("the store never got through".into())
}

#[test]
fn a_stray_that_cannot_be_removed_keeps_writes_away_and_not_reads() -> TestResult {
    let (machine, model) = two_runs()?;
    let (live, stray) = live_and_stray(&machine)?;
    plant(&machine.disk, &stray, &live)?;
    let is_stray = |path: &std::path::Path| path.ends_with("run-0000987654.sst");
    let denied = Fault::new(std::io::ErrorKind::PermissionDenied);
    machine
        .faults
        .fail_when(Operation::RemoveFile, is_stray, denied.for_good());
    let db = machine.open()?;
    check(&db, &model)?;
    assert!(db.put("k", "v").is_err());
    machine.faults.clear_faults();
    db.put("k", "v")?;
    assert!(!is_there(&machine, &stray)?);
    Ok(())
}
