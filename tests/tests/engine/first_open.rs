//! What an open may rely on and what it must not judge: a directory that nobody has made durable
//! yet, names of ours that are directories, and files that are newer than the manifest.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use lsm_db::{Error, LsmConfig};
use lsm_fs::{ByPath, CrashImage, Fault, FileSystem, Operation, SimFs, TraceEvent};
use lsm_tests::TestResult;
use lsm_tests::directory::{Files, plant, read, read_file, runs};
use lsm_tests::machine::Machine;
use lsm_tests::model::{check_get, contents, key, value};

const EIO: i32 = 5;

/// Opens, writes one key as `Sync`, loses power in every image, and looks for the key.
fn a_synced_write_survives(machine: &Machine, seed: u64) -> TestResult {
    let db = machine.open()?;
    db.put("acknowledged", "v")?;
    for image in CrashImage::standard(seed) {
        let left = machine.after_power_cut(&image);
        let db = left.open().map_err(|error| format!("{image:?}: {error}"))?;
        check_get(&db, b"acknowledged", Some(&b"v".to_vec()))
            .map_err(|error| format!("{image:?}: {error}"))?;
    }
    Ok(())
}

/// A kill between the creation of the store's directory and the sync of its parent left a
/// directory that the next open took for durable, because it was there: at a power cut the store
/// went, with everything acknowledged in it (fault 61).
#[test]
fn a_directory_left_unsynced_by_a_killed_open_is_made_durable_by_the_next() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let killed = Arc::new(Mutex::new(Vec::<(String, SimFs)>::new()));
    {
        let (disk, killed) = (machine.disk.clone(), Arc::clone(&killed));
        machine.faults.on_operation(move |event| {
            let place = format!("before {:?} of {}", event.operation, event.path.display());
            let mut killed = killed.lock().unwrap_or_else(PoisonError::into_inner);
            killed.push((place, disk.reopen_after_kill()));
        });
    }
    let db = machine.open()?;
    machine.faults.remove_hook();
    drop(db);
    let killed = std::mem::take(&mut *killed.lock().unwrap_or_else(PoisonError::into_inner));
    let unsynced = |(place, _): &&(String, SimFs)| place == "before SyncDir of /data";
    assert!(killed.iter().any(|kill| unsynced(&kill)));
    for (place, disk) in killed {
        let machine = Machine::with_disk(disk, LsmConfig::new(), 2);
        a_synced_write_survives(&machine, 2).map_err(|error| format!("{place}: {error}"))?;
    }
    Ok(())
}

/// Whether a failed sync of a directory has taken the name of one that was just made in it: that
/// name no later sync can bring back.
fn has_lost_a_directory(trace: &[TraceEvent]) -> bool {
    let failed = trace.iter().filter(|event| !event.ok);
    let mut lost = failed.filter(|event| event.operation == Operation::SyncDir);
    lost.any(|lost| {
        let mut created = trace
            .iter()
            .filter(|event| event.operation == Operation::CreateDir);
        created.any(|dir| dir.ok && dir.path.parent() == Some(&lost.path))
    })
}

/// The same, where the first open was not killed but failed.
#[test]
fn a_directory_left_by_a_failed_open_is_made_durable_by_the_next() -> TestResult {
    let operations = {
        let machine = Machine::new(LsmConfig::new(), 1);
        machine.open()?;
        machine.faults.mutation_count()
    };
    let mut failed_opens = 0;
    for n in 0..operations {
        let machine = Machine::new(LsmConfig::new(), 1);
        machine.faults.start_trace(1000);
        machine.faults.fail_nth(n, Fault::from_raw_os_error(EIO));
        let failed = machine.open().is_err();
        if !failed || has_lost_a_directory(&machine.faults.take_trace()) {
            continue;
        }
        machine.faults.clear_faults();
        a_synced_write_survives(&machine, n).map_err(|error| format!("operation {n}: {error}"))?;
        failed_opens += 1;
    }
    assert!(failed_opens > 5, "only {failed_opens} opens failed");
    Ok(())
}

/// The disk of a store with two runs and a log, after a kill or a clean close.
fn left_by(killed: bool) -> Result<Machine, Error> {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    for number in 0..30 {
        db.put(key(number), value(number, 0))?;
        if number == 9 || number == 19 {
            db.flush()?;
        }
    }
    machine.settle();
    let left = machine.after_kill();
    db.close()?;
    Ok(if killed { left } else { machine })
}

fn refuses(machine: &Machine, file: &Path) -> TestResult {
    let before = read(&machine.disk, machine.dir())?;
    for _ in 0..2 {
        let refused = machine.open();
        assert!(
            matches!(&refused, Err(Error::Corruption { file: Some(named), .. }) if named == file),
            "{}: {refused:?}",
            file.display()
        );
        machine.settle();
        assert_eq!(read(&machine.disk, machine.dir())?, before);
    }
    Ok(())
}

/// A file with an id above the manifest's ceiling was taken for a leftover and removed, or, being
/// an empty segment, for the end of the log. But that id was never given out: the manifest is not
/// the one that belongs to the file.
#[test]
fn a_file_whose_id_was_never_given_out_is_refused_and_nothing_is_touched() -> TestResult {
    let names = [
        "run-0000900000.sst",
        "wal-0000099999.log",
        "wal-0000099999.log.tmp",
    ];
    for killed in [true, false] {
        for name in names {
            let machine = left_by(killed)?;
            let stray = machine.path(name);
            for bytes in [b"".as_slice(), b"somebody's data"] {
                plant(&machine.disk, &stray, bytes)?;
                refuses(&machine, &stray).map_err(|error| format!("killed {killed}: {error}"))?;
            }
            machine.disk.remove_file(&stray)?;
            assert_eq!(contents(&machine.open()?)?.len(), 30, "without {name}");
        }
    }
    Ok(())
}

/// An older manifest, put back from a copy beside the runs written since, judged them leftovers:
/// the open removed them.
#[test]
fn an_older_manifest_put_back_removes_no_newer_run() -> TestResult {
    let machine = left_by(false)?;
    let manifest = machine.path("MANIFEST");
    let older = read_file(&machine.disk, &manifest)?;
    let older_runs = runs(&machine.disk, machine.dir())?;
    let db = machine.open()?;
    for number in 0..30 {
        db.put(key(number), value(number, 1))?;
    }
    db.flush()?;
    machine.settle();
    let model = contents(&db)?;
    db.close()?;
    let newer = read_file(&machine.disk, &manifest)?;
    let all_runs = runs(&machine.disk, machine.dir())?;
    let mut newer_runs = all_runs.iter().filter(|run| !older_runs.contains(run));
    let newer_run = newer_runs.next().ok_or("no newer run")?;

    plant(&machine.disk, &manifest, &older)?;
    refuses(&machine, newer_run)?;
    plant(&machine.disk, &manifest, &newer)?;
    assert_eq!(contents(&machine.open()?)?, model);
    Ok(())
}

/// A directory with the name of a run or a segment was taken for somebody's store without a
/// manifest, and the directory could hold no store (fault 50).
#[test]
fn a_directory_named_like_a_file_of_ours_is_left_alone_and_stops_no_open() -> TestResult {
    let names = [
        "run-0000000001.sst",
        "run-0000000007.sst",
        "wal-0000000001.log",
        "wal-0000000007.log",
    ];
    for name in names {
        let machine = Machine::new(LsmConfig::new(), 1);
        for dir in [Path::new("/data"), machine.dir(), &machine.path(name)] {
            machine.disk.create_dir(dir)?;
        }
        plant(&machine.disk, &machine.path(name).join("inside"), b"theirs")?;
        let foreign = read(&machine.disk, machine.dir())?;
        for _ in 0..3 {
            let db = machine.open().map_err(|error| format!("{name}: {error}"))?;
            // One id is taken by the directory; the next one is not.
            for _ in 0..12 {
                if db.put("k", "v").is_ok() {
                    let _ = db.flush();
                }
                machine.settle();
            }
            assert_eq!(db.get("k")?, Some(b"v".to_vec()), "{name}");
            db.put("k", "w")
                .map_err(|error| format!("{name}: {error}"))?;
            assert!(!db.stats().poisoned, "{name}");
        }
        let after = read(&machine.disk, machine.dir())?;
        let kept: Files = after
            .into_iter()
            .filter(|(path, _)| foreign.contains_key(path))
            .collect();
        assert_eq!(kept, foreign);
    }
    Ok(())
}
