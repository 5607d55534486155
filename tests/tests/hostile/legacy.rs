//! Directories that `lsm-db` 1.x wrote, whole and damaged: taken over with all they hold, or
//! refused as they are.

mod half_done;

use std::collections::BTreeSet;
use std::path::Path;

use lsm_db::{Durability, Error, Lsm, LsmConfig};
use lsm_fs::{CrashImage, FileSystem, RealFs, SimFs};
use lsm_tests::TestResult;
use lsm_tests::directory::{Files, plant, read};
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, contents};
use lsm_tests::vectors::{self, ALL, files, plant_all};

/// No compaction but on demand.
fn plain() -> LsmConfig {
    LsmConfig::new().compaction_trigger(usize::MAX)
}

/// A machine whose store has these files.
fn machine(files: &Files, config: LsmConfig) -> std::io::Result<Machine> {
    let disk = SimFs::new();
    let machine = Machine::with_disk(disk, config, 1);
    plant_all(&machine.disk, machine.dir(), files)?;
    Ok(machine)
}

fn without_lock(mut files: Files) -> Files {
    files.remove("LOCK");
    files
}

fn refused_and_untouched(what: &str, files: &Files) -> TestResult {
    let machine = machine(files, plain())?;
    for _ in 0..2 {
        let refused = machine.open();
        assert!(
            matches!(refused, Err(Error::Corruption { .. })),
            "{what}: {refused:?}"
        );
        machine.settle();
        let left = without_lock(read(&machine.disk, machine.dir())?);
        assert!(left == *files, "{what}: the directory was changed");
    }
    Ok(())
}

/// The names of files that are of 1.x: its log, and filters that are not ours.
fn names_of_1x(machine: &Machine) -> std::io::Result<Vec<String>> {
    let files = read(&machine.disk, machine.dir())?;
    let of_1x = |(name, bytes): &(String, Vec<u8>)| {
        name == "wal.log" || name.ends_with(".bloom") && !bytes.starts_with(b"LSMFLT01")
    };
    let files = files.into_iter().filter(of_1x);
    Ok(files.map(|(name, _)| name).collect())
}

#[test]
fn a_directory_of_1x_opens_with_exactly_what_it_holds_and_again() -> TestResult {
    for name in ALL {
        let model = vectors::model(name)?;
        assert!(!model.is_empty());
        for config in [LsmConfig::new(), plain(), plain().wal(false)] {
            let machine = machine(&files(name)?, config)?;
            let db = machine.open()?;
            check(&db, &model)?;
            machine.settle();
            check(&db, &model)?;
            assert_eq!(names_of_1x(&machine)?, [""; 0], "{name}");
            db.close()?;
            let machine = machine.after_kill();
            check(&machine.open()?, &model)?;
        }
    }
    Ok(())
}

#[test]
fn a_directory_of_1x_opens_on_a_real_file_system_and_takes_writes() -> TestResult {
    for name in ALL {
        let dir = tempfile::tempdir()?;
        plant_all(&RealFs::new(), dir.path(), &files(name)?)?;
        let mut model = vectors::model(name)?;
        let db = Lsm::open(dir.path())?;
        check(&db, &model)?;
        let first = model.keys().next().cloned().ok_or("empty")?;
        for (key, value) in [(b"new".to_vec(), "1"), (first, "2")] {
            db.put(&key, value)?;
            model.insert(key, value.into());
        }
        check(&db, &model)?;
        db.close()?;
        check(&Lsm::open(dir.path())?, &model)?;
    }
    Ok(())
}

#[test]
fn a_single_run_is_at_the_last_level_at_once_and_split_there_if_it_is_large() -> TestResult {
    let model = vectors::model("db-compacted")?;
    let machine_with = |config| machine(&files("db-compacted")?, config);
    let machine = machine_with(plain())?;
    let db = machine.open()?;
    assert_eq!(db.stats().levels.last().map(|level| level.runs), Some(1));

    let small_runs = LsmConfig::new().run_bytes_target(100);
    let machine = machine_with(small_runs)?;
    let db = machine.open()?;
    machine.settle();
    let last = db.stats().levels.last().map_or(0, |level| level.runs);
    assert!(last > 10, "{last} runs");
    check(&db, &model)?;
    Ok(())
}

/// A log left by an earlier open was replayed over newer runs (fault 53).
#[test]
fn a_log_of_1x_is_never_replayed_over_newer_writes() -> TestResult {
    let original = files("db-with-log")?;
    let log = &original["wal.log"];
    let machine = machine(&original, plain())?;
    let mut model = vectors::model("db-with-log")?;
    let db = machine.open()?;
    for value in model.values_mut() {
        *value = b"newer".to_vec();
    }
    for key in model.keys() {
        db.put(key, "newer")?;
    }
    machine.settle();
    check(&db, &model)?;
    // It is gone; should its name come back, it is a leftover.
    assert_eq!(machine.disk.kind(&machine.path("wal.log"))?, None);
    plant(&machine.disk, &machine.path("wal.log"), log)?;
    let machine = machine.after_power_cut(&CrashImage::NothingUnsynced);
    let db = machine.open()?;
    machine.settle();
    check(&db, &model)?;
    assert_eq!(machine.disk.kind(&machine.path("wal.log"))?, None);
    db.close()?;
    check(&machine.open()?, &model)?;
    Ok(())
}

#[test]
fn a_log_beside_a_store_of_ours_is_left_alone() -> TestResult {
    let machine = Machine::new(plain(), 1);
    machine.open()?.put("k", "v")?;
    let log = files("db-with-log")?.remove("wal.log").ok_or("no log")?;
    plant(&machine.disk, &machine.path("wal.log"), &log)?;
    let db = machine.open()?;
    assert_eq!(db.iter().count(), 1);
    db.put("k", "w")?;
    db.flush()?;
    db.close()?;
    machine.settle();
    let kept = read(&machine.disk, machine.dir())?;
    assert_eq!(kept.get("wal.log"), Some(&log));
    Ok(())
}

#[test]
fn without_room_a_directory_of_1x_can_be_read_and_is_taken_over_when_there_is_some() -> TestResult {
    for name in ALL {
        let mut model = vectors::model(name)?;
        let machine = machine(&files(name)?, plain())?;
        machine
            .disk
            .set_capacity_bytes(Some(machine.disk.used_bytes()));
        let db = machine.open()?;
        check(&db, &model)?;
        let refused = db.put("k", "v");
        assert!(
            matches!(&refused, Err(Error::Io { source, .. })
                if source.kind() == std::io::ErrorKind::StorageFull),
            "{name}: {refused:?}"
        );
        check(&db, &model)?;
        machine.disk.set_capacity_bytes(None);
        db.put("k", "v")?;
        model.insert(b"k".to_vec(), b"v".to_vec());
        check(&db, &model)?;
        let machine = machine.after_power_cut(&CrashImage::NothingUnsynced);
        check(&machine.open()?, &model)?;
    }
    Ok(())
}

/// Where the records of a log of 1.x start, and its length at the end.
fn record_starts(log: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    let mut at = 0;
    while let Some(len) = log.get(at + 4..at + 8) {
        at += 8 + u32::from_le_bytes(len.try_into().unwrap_or_default()) as usize;
        starts.push(at);
    }
    assert_eq!(at, log.len());
    starts
}

fn opened(files: &Files) -> Result<Model, Box<dyn std::error::Error>> {
    Ok(contents(&machine(files, plain())?.open()?)?)
}

#[test]
fn a_log_of_1x_cut_anywhere_opens_with_its_whole_records() -> TestResult {
    for name in ["db-compacted", "db-with-log"] {
        let original = files(name)?;
        let starts = record_starts(&original["wal.log"]);
        let cut = |len: usize| {
            let mut files = original.clone();
            files.get_mut("wal.log").ok_or("no log")?.truncate(len);
            opened(&files)
        };
        let mut seen = BTreeSet::new();
        for pair in starts.windows(2).rev().take(12) {
            let (start, end) = (pair[0], pair[1]);
            let expected = cut(start)?;
            for len in start..end {
                assert!(cut(len)? == expected, "{name} cut to {len} bytes");
            }
            seen.insert(expected);
        }
        assert!(seen.len() > 3, "the records make a difference");
    }
    Ok(())
}

#[test]
fn a_flipped_bit_in_a_log_of_1x_is_damage_unless_it_is_in_the_last_record() -> TestResult {
    for name in ["db-compacted", "db-with-log"] {
        let original = files(name)?;
        let log = &original["wal.log"];
        let starts = record_starts(log);
        let last = starts[starts.len() - 2];
        let mut shorter = original.clone();
        shorter.insert("wal.log".to_owned(), log[..last].to_vec());
        let without_last = opened(&shorter)?;
        let in_last = (last..log.len()).map(|at| (at, true));
        let before = (0..last).step_by(61).map(|at| (at, false));
        for (at, is_last) in before.chain(in_last) {
            let mut flipped = original.clone();
            flipped.get_mut("wal.log").ok_or("no log")?[at] ^= 1 << (at % 8);
            let what = format!("{name}, byte {at}");
            if is_last {
                assert!(opened(&flipped)? == without_last, "{what}");
            } else {
                refused_and_untouched(&what, &flipped)?;
            }
        }
        let mut flipped = original.clone();
        flipped.get_mut("wal.log").ok_or("no log")?[starts[3] + 9] ^= 1;
        let machine = machine(&flipped, plain())?;
        match machine.open() {
            Err(Error::Corruption { file, offset, .. }) => {
                assert_eq!(file, Some(machine.path("wal.log")));
                assert_eq!(offset, Some(starts[3] as u64));
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(())
}

#[test]
fn a_flipped_bit_in_a_text_manifest_changes_nothing_or_is_refused() -> TestResult {
    for name in ["db-compacted", "db-flushed"] {
        let original = files(name)?;
        let model = vectors::model(name)?;
        for bit in 0..original["MANIFEST"].len() * 8 {
            let mut flipped = original.clone();
            flipped.get_mut("MANIFEST").ok_or("no manifest")?[bit / 8] ^= 1 << (bit % 8);
            let what = format!("{name}, bit {bit}");
            let machine = machine(&flipped, plain())?;
            match machine.open() {
                Ok(db) => check(&db, &model).map_err(|error| format!("{what}: {error}"))?,
                Err(_) => refused_and_untouched(&what, &flipped)?,
            }
        }
    }
    Ok(())
}

/// A text manifest has no checksum, so one that lost its last lines is as good as any. The runs
/// that it no longer names are out of the way, and not gone.
#[test]
fn a_text_manifest_cut_anywhere_is_refused_or_no_run_is_lost() -> TestResult {
    let original = files("db-flushed")?;
    let whole = original["MANIFEST"].len();
    let mut set_aside = BTreeSet::new();
    for len in 0..whole {
        let mut cut = original.clone();
        cut.get_mut("MANIFEST").ok_or("no manifest")?.truncate(len);
        let machine = machine(&cut, plain())?;
        let Ok(db) = machine.open() else {
            refused_and_untouched(&format!("cut to {len} bytes"), &cut)?;
            continue;
        };
        machine.settle();
        drop(db);
        let kept = read(&machine.disk, machine.dir())?;
        for (name, bytes) in original.iter().filter(|(name, _)| name.ends_with(".sst")) {
            let aside = kept.get(&format!("{name}.unnamed"));
            assert!(
                kept.get(name).or(aside) == Some(bytes),
                "cut to {len} bytes: {name} is lost"
            );
            if aside.is_some() {
                set_aside.insert(name.clone());
            }
        }
    }
    assert_eq!(set_aside.len(), 4, "{set_aside:?}");
    Ok(())
}

fn with_manifest(lines: &str) -> std::io::Result<Files> {
    let mut files = files("db-flushed")?;
    files.insert("MANIFEST".to_owned(), lines.as_bytes().to_vec());
    Ok(files)
}

/// A line `../../x` was opened, then deleted (fault 45); a next id at the end of the integers
/// wrapped (fault 46); runs without a manifest were deleted (fault 44).
#[test]
fn a_hostile_text_manifest_is_refused_and_everything_stays() -> TestResult {
    for lines in [
        "LSMDB-MANIFEST v1\nnext_seq=5\n../../x\n",
        "LSMDB-MANIFEST v1\nnext_seq=5\n/etc/passwd\n",
        "LSMDB-MANIFEST v1\nnext_seq=18446744073709551615\nrun-0000000004.sst\n",
        "LSMDB-MANIFEST v1\nnext_seq=18446744073709551616\n",
        "LSMDB-MANIFEST v1\nnext_seq=9\nrun-0000000007.sst\n",
        "LSMDB-MANIFEST v1\nnext_seq=5\n",
        "LSMDB-MANIFEST v1\nnext_seq=2\nrun-0000000004.sst\n",
    ] {
        refused_and_untouched(lines, &with_manifest(lines)?)?;
    }
    Ok(())
}

#[test]
fn a_damaged_run_of_1x_is_named_and_everything_stays() -> TestResult {
    let mut damaged = files("db-flushed")?;
    damaged.get_mut("run-0000000002.sst").ok_or("no run")?[100] ^= 1;
    refused_and_untouched("a flipped bit", &damaged)?;
    let machine = machine(&damaged, plain())?;
    match machine.open() {
        Err(Error::Corruption { file, block, .. }) => {
            assert_eq!(file, Some(machine.path("run-0000000002.sst")));
            assert_eq!(block, Some(0));
        }
        other => return Err(format!("{other:?}").into()),
    }
    damaged.remove("run-0000000002.sst");
    refused_and_untouched("a missing run", &damaged)
}

/// What 1.x leaves when it dies between writing its first run and its first manifest.
#[test]
fn a_run_that_the_log_replays_whole_needs_no_manifest_and_any_other_does() -> TestResult {
    let original = files("db-with-log")?;
    let model = vectors::model("db-with-log")?;
    let run_of = |entries: &Model| {
        let mut writer = lsm_db::format::RunWriter::new();
        for (key, value) in entries {
            writer.put(key, value)?;
        }
        Ok::<_, Error>(writer.finish())
    };
    let mut files = original.clone();
    files.insert("run-0000000000.sst".to_owned(), run_of(&model)?);
    assert!(opened(&files)? == model);
    let machine = machine(&files, plain())?;
    let db = machine.open()?;
    machine.settle();
    check(&db, &model)?;
    let kept = read(&machine.disk, machine.dir())?;
    assert!(!kept.contains_key("run-0000000000.sst"));
    assert!(!kept.contains_key("run-0000000000.sst.unnamed"));

    let mut more = model.clone();
    more.insert(b"not in the log".to_vec(), b"v".to_vec());
    files.insert("run-0000000000.sst".to_owned(), run_of(&more)?);
    refused_and_untouched("an entry that the log lacks", &files)?;
    let mut other = model;
    other.values_mut().next().ok_or("empty")?.push(b'!');
    files.insert("run-0000000000.sst".to_owned(), run_of(&other)?);
    refused_and_untouched("a value that the log lacks", &files)?;
    files.insert("run-0000000000.sst".to_owned(), b"no run at all".to_vec());
    refused_and_untouched("no run", &files)?;
    files.insert("run-0000000000.sst".to_owned(), run_of(&more)?);
    files.insert("wal.log".to_owned(), Vec::new());
    refused_and_untouched("an empty log", &files)
}

#[test]
fn a_run_of_1x_without_entries_is_left_out() -> TestResult {
    let mut files = with_manifest(
        "LSMDB-MANIFEST v1\nnext_seq=6\nrun-0000000005.sst\nrun-0000000004.sst\n\
         run-0000000003.sst\nrun-0000000002.sst\nrun-0000000001.sst\nrun-0000000000.sst\n",
    )?;
    let empty = lsm_db::format::RunWriter::new().finish();
    files.insert("run-0000000005.sst".to_owned(), empty);
    let machine = machine(&files, plain())?;
    let db = machine.open()?;
    machine.settle();
    check(&db, &vectors::model("db-flushed")?)?;
    let kept = machine.disk.kind(&machine.path("run-0000000005.sst"))?;
    assert_eq!(kept, None);
    Ok(())
}

#[test]
fn new_runs_get_ids_above_every_id_in_the_directory() -> TestResult {
    let mut files = files("db-flushed")?;
    files.insert("run-0000000041.sst.tmp".to_owned(), b"unfinished".to_vec());
    files.insert("run-0000000040.sst.bloom".to_owned(), b"a filter".to_vec());
    let machine = machine(&files, plain())?;
    let db = machine.open()?;
    db.put("k", "v")?;
    db.flush()?;
    machine.settle();
    let kept = read(&machine.disk, machine.dir())?;
    let newest = kept.keys().rfind(|name| name.ends_with(".sst"));
    assert_eq!(newest.map(String::as_str), Some("run-0000000042.sst"));
    Ok(())
}

#[test]
fn foreign_files_beside_a_store_of_1x_stay_as_they_are() -> TestResult {
    let mut original = files("db-compacted")?;
    for name in [
        "x.tmp",
        "notes.txt",
        "wal.log.old",
        "run-4.sst",
        "MANIFEST.old",
    ] {
        original.insert(name.to_owned(), name.as_bytes().to_vec());
    }
    let machine = machine(&original, LsmConfig::new().durability(Durability::Buffered))?;
    let db = machine.open()?;
    db.put("k", "v")?;
    db.flush()?;
    db.close()?;
    machine.settle();
    let kept = read(&machine.disk, Path::new(machine.dir()))?;
    for name in [
        "x.tmp",
        "notes.txt",
        "wal.log.old",
        "run-4.sst",
        "MANIFEST.old",
    ] {
        assert_eq!(
            kept.get(name).map(Vec::as_slice),
            Some(name.as_bytes()),
            "{name}"
        );
    }
    Ok(())
}

/// A `wal.log` of which nothing could be read was taken for a spent one, and unlinked.
#[test]
fn a_log_in_which_nothing_can_be_read_is_left_as_it_is() -> TestResult {
    let text = b"not a log of any database, ".repeat(100);
    let files: Files = [("wal.log".to_owned(), text.clone())].into();
    let machine = machine(&files, plain())?;
    for _ in 0..2 {
        let db = machine.open()?;
        db.put("key", "value")?;
        machine.settle();
        db.close()?;
        assert!(read(&machine.disk, machine.dir())?.get("wal.log") == Some(&text));
    }
    Ok(())
}
