//! Takeovers that were begun and not ended: what must still be there at the next open, and what may
//! lie in the way.

use std::path::PathBuf;

use lsm_db::format::RunWriter;
use lsm_db::{Error, Lsm};
use lsm_fs::{ByPath, FileSystem, Operation};
use lsm_tests::TestResult;
use lsm_tests::directory::{Files, damage, plant, read};
use lsm_tests::machine::Machine;
use lsm_tests::model::{check, contents};
use lsm_tests::vectors::{self, files};

use super::{machine, opened, plain, record_starts, refused_and_untouched, with_manifest};

/// A store whose manifest is ours, and whose old log is in no run yet.
fn taken_over(files: &Files) -> Result<Machine, Box<dyn std::error::Error>> {
    let machine = machine(files, plain())?;
    let db = machine.open()?;
    // Before background work, but after our manifest took the place of theirs.
    let killed = machine.after_kill();
    drop(db);
    let manifest = read(&killed.disk, killed.dir())?.remove("MANIFEST");
    assert!(manifest.is_some_and(|bytes| bytes.starts_with(b"LSMMAN01")));
    assert!(killed.disk.kind(&killed.path("wal.log"))?.is_some());
    Ok(killed)
}

/// Opens are refused, as often as one tries, with the log and the offset named.
fn is_damage_at(machine: &Machine, at: usize, what: &str) -> TestResult {
    for _ in 0..2 {
        match machine.open() {
            Err(Error::Corruption { file, offset, .. }) => {
                assert_eq!(file, Some(machine.path("wal.log")), "{what}");
                assert_eq!(offset, Some(at as u64), "{what}");
            }
            other => return Err(format!("{what}: {other:?}").into()),
        }
    }
    Ok(())
}

/// Between the takeover and the flush of the old log nothing but that log holds its writes. When
/// it lost them meanwhile, all or the last ones, that passed for a torn end: the store opened
/// without a word, and what it had shown before was gone.
#[test]
fn a_log_that_lost_its_end_before_it_was_flushed_is_damage() -> TestResult {
    let original = files("db-with-log")?;
    let starts = record_starts(&original["wal.log"]);
    let ends = starts.windows(2).rev().take(4);
    let cuts = ends.flat_map(|pair| [(pair[0], pair[0]), (pair[0], pair[1] - 1)]);
    for (start, len) in cuts.chain([(0, 0), (0, 5)]) {
        let machine = taken_over(&original)?;
        damage(&machine.disk, &machine.path("wal.log"), |log| {
            log.truncate(len);
        })?;
        is_damage_at(&machine, start, &format!("cut to {len} bytes"))?;
    }
    let last = starts[starts.len() - 2];
    for at in last..original["wal.log"].len() {
        let machine = taken_over(&original)?;
        damage(&machine.disk, &machine.path("wal.log"), |log| log[at] ^= 4)?;
        is_damage_at(&machine, last, &format!("byte {at} changed"))?;
    }
    Ok(())
}

/// What was torn when the log was taken over was never acknowledged, so it may be there or not.
#[test]
fn the_torn_end_of_a_log_may_change_after_the_takeover() -> TestResult {
    let mut torn = files("db-with-log")?;
    let log = torn.get_mut("wal.log").ok_or("no log")?;
    let starts = record_starts(log);
    let (good, whole) = (starts[starts.len() - 2], log.len());
    log.truncate(whole - 3);
    let model = opened(&torn)?;
    for len in [good, good + 1, whole - 3, whole + 100] {
        let machine = taken_over(&torn)?;
        damage(&machine.disk, &machine.path("wal.log"), |log| {
            log.resize(len, 0);
        })?;
        let db = machine.open()?;
        check(&db, &model)?;
        machine.settle();
        assert_eq!(machine.disk.kind(&machine.path("wal.log"))?, None);
        check(&db, &model)?;
    }
    Ok(())
}

#[test]
fn a_log_that_is_missing_before_it_was_flushed_is_damage() -> TestResult {
    let machine = taken_over(&files("db-with-log")?)?;
    machine.disk.remove_file(&machine.path("wal.log"))?;
    let refused = machine.open();
    assert!(
        matches!(&refused, Err(Error::Corruption { file, .. })
            if *file == Some(machine.path("wal.log"))),
        "{refused:?}"
    );
    Ok(())
}

/// A link is no file of the store, so the log that 1.x would have followed it to was passed over:
/// its writes were gone, or a new store began beside it.
#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_the_log_or_the_manifest_is_refused() -> TestResult {
    for (name, link) in [
        ("db-with-log", "wal.log"),
        ("db-compacted", "wal.log"),
        ("db-compacted", "MANIFEST"),
    ] {
        let (dir, elsewhere) = (tempfile::tempdir()?, tempfile::tempdir()?);
        for (name, bytes) in files(name)? {
            std::fs::write(dir.path().join(name), bytes)?;
        }
        let target = elsewhere.path().join("target");
        std::fs::rename(dir.path().join(link), &target)?;
        std::os::unix::fs::symlink(&target, dir.path().join(link))?;
        let listed = || -> std::io::Result<Vec<PathBuf>> {
            let entries = std::fs::read_dir(dir.path())?;
            let mut paths: Vec<_> = entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<_>>()?;
            paths.retain(|path| !path.ends_with("LOCK"));
            paths.sort();
            Ok(paths)
        };
        let (before, target_before) = (listed()?, std::fs::read(&target)?);
        let refused = Lsm::open(dir.path());
        assert!(
            matches!(&refused, Err(Error::UnsupportedFormat { file, .. })
                if *file == dir.path().join(link)),
            "{name}, {link}: {refused:?}"
        );
        assert_eq!(
            (listed()?, std::fs::read(&target)?),
            (before, target_before)
        );

        // As the error says.
        std::fs::remove_file(dir.path().join(link))?;
        std::fs::rename(&target, dir.path().join(link))?;
        check(&Lsm::open(dir.path())?, &vectors::model(name)?)?;
    }
    Ok(())
}

/// The directory of five runs, the oldest of which the text manifest does not name.
fn with_an_unnamed_run() -> std::io::Result<Files> {
    with_manifest(
        "LSMDB-MANIFEST v1\nnext_seq=5\nrun-0000000004.sst\nrun-0000000003.sst\n\
         run-0000000002.sst\nrun-0000000001.sst\n",
    )
}

const UNNAMED: &str = "run-0000000000.sst";

/// Somebody, an earlier takeover of a copy put back, say, had left a file of the very name that
/// the run was to get: the store never opened again.
#[test]
fn a_name_that_is_taken_does_not_keep_a_run_from_being_set_aside() -> TestResult {
    let mut original = with_an_unnamed_run()?;
    let run = original[UNNAMED].clone();
    for name in ["unnamed", "unnamed-1"] {
        original.insert(format!("{UNNAMED}.{name}"), name.into());
    }
    let machine = machine(&original, plain())?;
    let db = machine.open()?;
    machine.settle();
    db.close()?;
    let kept = read(&machine.disk, machine.dir())?;
    assert!(!kept.contains_key(UNNAMED));
    assert!(kept.get(&format!("{UNNAMED}.unnamed-2")) == Some(&run));
    for name in ["unnamed", "unnamed-1"] {
        assert!(
            kept.get(&format!("{UNNAMED}.{name}")) == original.get(&format!("{UNNAMED}.{name}"))
        );
    }
    Ok(())
}

#[test]
fn a_run_that_cannot_be_renamed_is_kept_under_its_own_name_and_never_read() -> TestResult {
    let mut original = with_an_unnamed_run()?;
    let run = original[UNNAMED].clone();
    original.insert(format!("{UNNAMED}.unnamed"), b"0".to_vec());
    for number in 1..100 {
        original.insert(format!("{UNNAMED}.unnamed-{number}"), b"n".to_vec());
    }
    let machine = machine(&original, plain())?;
    let mut shown = None;
    for _ in 0..3 {
        let db = machine.open()?;
        let found = contents(&db)?;
        assert_eq!(*shown.get_or_insert_with(|| found.clone()), found);
        db.compact_range::<&[u8], _>(..)?;
        machine.settle();
        db.close()?;
        assert!(read(&machine.disk, machine.dir())?.get(UNNAMED) == Some(&run));
    }
    // Once there is a name, it gets it.
    let free = format!("{UNNAMED}.unnamed-7");
    machine.disk.remove_file(&machine.path(&free))?;
    machine.open()?;
    let kept = read(&machine.disk, machine.dir())?;
    assert!(kept.get(&free) == Some(&run) && !kept.contains_key(UNNAMED));
    Ok(())
}

/// The directory's sync failed after the rename, and a power cut took the new name: the next
/// handle, which had not renamed it, removed the run as a leftover.
#[test]
fn a_run_that_was_set_aside_is_no_leftover_if_its_old_name_comes_back() -> TestResult {
    let original = with_an_unnamed_run()?;
    let run = &original[UNNAMED];
    let aside = format!("{UNNAMED}.unnamed");
    let machine = machine(&original, plain())?;
    for close in [true, false, true] {
        let db = machine.open()?;
        machine.settle();
        let kept = read(&machine.disk, machine.dir())?;
        assert!(kept.get(&aside) == Some(run) && !kept.contains_key(UNNAMED));
        match close {
            true => db.close()?,
            false => drop(db),
        }
        machine.settle();
        machine.disk.remove_file(&machine.path(&aside))?;
        plant(&machine.disk, &machine.path(UNNAMED), run)?;
    }
    Ok(())
}

#[test]
fn what_the_names_alone_tell_is_refused_without_even_a_lock() -> TestResult {
    let mut runs_alone = files("db-flushed")?;
    runs_alone.remove("MANIFEST");
    runs_alone.remove("wal.log");
    refused_and_untouched("runs alone", &runs_alone)?;
    let machine = machine(&runs_alone, plain())?;
    assert!(machine.open().is_err());
    assert_eq!(read(&machine.disk, machine.dir())?, runs_alone);
    Ok(())
}

/// It was read up to four times: to hold runs against it, and for its writes, before and behind the
/// lock.
#[test]
fn an_open_reads_the_log_once_and_so_does_the_next() -> TestResult {
    let mut original = files("db-with-log")?;
    let mut writer = RunWriter::new();
    for (key, value) in vectors::model("db-with-log")? {
        writer.put(key, value)?;
    }
    original.insert("run-0000000000.sst".to_owned(), writer.finish());
    let mut machine = machine(&original, plain())?;
    for _ in 0..2 {
        machine.faults.start_trace(10_000);
        let db = machine.open()?;
        let trace = machine.faults.take_trace();
        let of_log = trace.iter().filter(|event| event.path.ends_with("wal.log"));
        let reads = of_log.filter(|event| event.operation == Operation::ReadAt);
        assert_eq!(
            reads.count(),
            1,
            "it is shorter than what is read at a time"
        );
        machine = machine.after_kill();
        drop(db);
    }
    Ok(())
}

/// A process of 1.x that is still alive goes on acknowledging writes into the log. It was unlinked
/// after the flush of what had been read.
#[test]
fn a_log_that_grows_after_it_was_read_is_kept_and_the_error_says_why() -> TestResult {
    let original = files("db-with-log")?;
    let machine = machine(&original, plain())?;
    let db = machine.open()?;
    let log = machine.path("wal.log");
    let mut grown = original["wal.log"].clone();
    grown.extend([0; 7]);
    machine.disk.remove_file(&log)?;
    plant(&machine.disk, &log, &grown)?;
    machine.settle();
    for error in [db.flush(), db.put("k", "v")] {
        let error = error.err().ok_or("it was taken")?;
        let told = lsm_tests::describe(&error);
        assert!(told.contains("a process of 1.x has it open"), "{told}");
    }
    check(&db, &vectors::model("db-with-log")?)?;
    drop(db);
    machine.settle();
    assert!(read(&machine.disk, machine.dir())?.get("wal.log") == Some(&grown));
    let db = machine.open()?;
    machine.settle();
    check(&db, &vectors::model("db-with-log")?)?;
    db.put("k", "v")?;
    assert!(!read(&machine.disk, machine.dir())?.contains_key("wal.log"));
    Ok(())
}

/// What it held is in memory by then, and only a flush makes it durable again: that must not wait for
/// a file that will not come back.
#[test]
fn a_log_that_is_gone_after_it_was_read_costs_nothing() -> TestResult {
    let machine = machine(&files("db-with-log")?, plain())?;
    let db = machine.open()?;
    machine.disk.remove_file(&machine.path("wal.log"))?;
    db.flush()?;
    db.put("k", "v")?;
    db.delete("k")?;
    drop(db);
    let killed = machine.after_kill();
    check(&killed.open()?, &vectors::model("db-with-log")?)
}

/// After a flush 1.x leaves an empty log. Whatever has its name later and is not empty was put there
/// by somebody, who may hope to have it back.
#[test]
fn another_log_in_the_place_of_the_old_one_is_left_alone() -> TestResult {
    let other = files("db-with-log")?["wal.log"].clone();
    let mut original = files("db-flushed")?;
    original.insert("wal.log".to_owned(), Vec::new());
    let machine = machine(&original, plain())?;
    let db = machine.open()?;
    machine.settle();
    db.close()?;
    plant(&machine.disk, &machine.path("wal.log"), &other)?;
    for _ in 0..2 {
        let db = machine.open()?;
        machine.settle();
        check(&db, &vectors::model("db-flushed")?)?;
        db.close()?;
        assert!(read(&machine.disk, machine.dir())?.get("wal.log") == Some(&other));
    }
    Ok(())
}

#[test]
fn run_ids_near_their_end_are_refused_before_anything_is_written() -> TestResult {
    let mut original = files("db-flushed")?;
    original.insert("run-9999999999.sst.tmp".to_owned(), b"stray".to_vec());
    refused_and_untouched("a stray name", &original)?;
    let mut original = files("db-flushed")?;
    let text = String::from_utf8(original["MANIFEST"].clone())?;
    let text = text.replace("next_seq=5", "next_seq=9999999999");
    original.insert("MANIFEST".to_owned(), text.into_bytes());
    refused_and_untouched("a next id", &original)
}
