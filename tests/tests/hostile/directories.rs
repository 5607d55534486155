//! Directories that are none, are somebody else's too, or go away.

use std::path::Path;

use lsm_db::{Durability, Error, Lsm, LsmConfig};
use lsm_fs::{ByPath, FileSystem, RealFs};
use lsm_tests::TestResult;
use lsm_tests::directory::{Files, plant, read, runs};
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, key, value};

#[test]
fn a_file_where_the_directory_should_be_is_an_error_and_untouched() -> TestResult {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("store");
    std::fs::write(&path, b"a file")?;
    for path in [path.clone(), path.join("below")] {
        let refused = Lsm::open(&path);
        assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    }
    assert_eq!(std::fs::read(&path)?, b"a file");
    assert_eq!(std::fs::read_dir(dir.path())?.count(), 1);
    Ok(())
}

/// Names that are nearly ours, and what might be in the way.
const FOREIGN_FILES: [&str; 16] = [
    "x.tmp",
    "notes.txt",
    ".hidden",
    "run-1.sst",
    "run-00000000001.sst",
    "run-000000000x.sst",
    "run-+000000001.sst",
    "run-0000000001.sst.old",
    "run-0000000001",
    "run-.sst",
    "wal-.log",
    "wal-x.log",
    "wal-0000000001.log.old",
    "MANIFEST.old",
    "LOCK.old",
    "Grüße \u{1F980}",
];

fn plant_foreigners(fs: &dyn FileSystem, dir: &Path) -> std::io::Result<()> {
    for name in FOREIGN_FILES {
        plant(
            fs,
            &dir.join(name),
            format!("the content of {name}").as_bytes(),
        )?;
    }
    for name in ["y.tmp", "run-4000000000.sst.tmp", "sub directory"] {
        fs.create_dir(&dir.join(name))?;
        plant(fs, &dir.join(name).join("inside"), b"inside")?;
    }
    Ok(())
}

/// Foreign files are never touched, and an `x.tmp`, or a directory so named, stops no open
/// (fault 50).
#[test]
fn foreign_files_and_directories_stay_as_they_are_byte_for_byte() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(500)
        .compaction_trigger(2);
    let machine = Machine::new(config, 1);
    for dir in ["/data", "/data/store"] {
        machine.disk.create_dir(Path::new(dir))?;
    }
    plant_foreigners(&machine.disk, machine.dir())?;
    let foreign = read(&machine.disk, machine.dir())?;

    let mut model = Model::new();
    for age in 0..4 {
        let db = machine.open()?;
        for number in 0..30 {
            db.put(key(number), value(number, age))?;
            model.insert(key(number), value(number, age));
        }
        db.flush()?;
        db.compact_range::<&[u8], _>(..)?;
        machine.settle();
        check(&db, &model)?;
        if age % 2 == 0 {
            db.close()?
        } else {
            drop(db)
        }
        machine.settle();
    }
    let after = read(&machine.disk, machine.dir())?;
    let kept: Files = after
        .into_iter()
        .filter(|(name, _)| foreign.contains_key(name))
        .collect();
    assert_eq!(kept, foreign);
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf_8_stops_nothing() -> TestResult {
    use std::os::unix::ffi::OsStrExt;

    let dir = tempfile::tempdir()?;
    let odd = dir
        .path()
        .join(std::ffi::OsStr::from_bytes(b"run-\xff\xfe.sst"));
    std::fs::write(&odd, b"odd")?;
    let db = Lsm::open(dir.path())?;
    db.put("k", "v")?;
    db.close()?;
    assert_eq!(Lsm::open(dir.path())?.get("k")?, Some(b"v".to_vec()));
    assert_eq!(std::fs::read(&odd)?, b"odd");
    Ok(())
}

#[test]
fn leftovers_of_our_own_are_removed_at_the_next_open() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    db.put("k", "v")?;
    db.flush()?;
    // Killed in the middle of a job: its ids were reserved, and its outputs are in no manifest.
    let machine = machine.after_kill();
    let sound = runs(&machine.disk, machine.dir())?;
    let leftovers = [
        "MANIFEST.tmp",
        "run-0000000040.sst",
        "run-0000000041.sst.tmp",
    ];
    for name in leftovers {
        plant(&machine.disk, &machine.path(name), b"half of something")?;
    }
    let db = machine.open()?;
    machine.settle();
    assert_eq!(db.get("k")?, Some(b"v".to_vec()));
    for name in leftovers {
        let kind = machine.disk.kind(&machine.path(name))?;
        assert_eq!(kind, None, "{name} is still there");
    }
    assert_eq!(runs(&machine.disk, machine.dir())?, sound);
    Ok(())
}

/// A run that the manifest cannot have given out belongs to a newer manifest than this one, an
/// old copy put back, say: it is not taken for a leftover.
#[test]
fn a_run_from_after_the_manifest_is_refused_and_untouched() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    db.put("k", "v")?;
    db.flush()?;
    db.close()?;
    let newer = machine.path("run-0000900000.sst");
    plant(&machine.disk, &newer, b"from the future")?;
    let before = read(&machine.disk, machine.dir())?;
    let refused = machine.open();
    assert!(
        matches!(&refused, Err(Error::Corruption { file: Some(file), .. }) if *file == newer),
        "{refused:?}"
    );
    machine.settle();
    assert_eq!(read(&machine.disk, machine.dir())?, before);
    Ok(())
}

/// A predictable temporary name followed a symbolic link (fault 49).
#[cfg(unix)]
#[test]
fn a_symbolic_link_at_a_name_of_ours_is_never_followed() -> TestResult {
    let dir = tempfile::tempdir()?;
    let victim = dir.path().join("victim");
    std::fs::write(&victim, b"precious")?;
    let store = dir.path().join("store");
    std::fs::create_dir(&store)?;
    for name in [
        "MANIFEST.tmp",
        "run-0000000000.sst.tmp",
        "run-0000000001.sst.tmp",
    ] {
        std::os::unix::fs::symlink(&victim, store.join(name))?;
    }
    // Whether the store opens, and whether it removes the links, is its own affair.
    if let Ok(db) = Lsm::open(&store) {
        for number in 0..5 {
            let _ = db.put(key(number), "v");
            let _ = db.flush();
        }
    }
    assert_eq!(std::fs::read(&victim)?, b"precious");

    let linked = dir.path().join("linked");
    std::fs::create_dir(&linked)?;
    std::os::unix::fs::symlink(&victim, linked.join("MANIFEST"))?;
    assert!(Lsm::open(&linked).is_err());
    assert_eq!(std::fs::read(&victim)?, b"precious");
    Ok(())
}

#[test]
fn the_directory_removed_underneath_makes_flush_an_error() -> TestResult {
    let dir = tempfile::tempdir()?;
    let store = dir.path().join("store");
    let db = Lsm::open_with(&store, LsmConfig::new().durability(Durability::Buffered))?;
    for number in 0..100 {
        db.put(key(number), value(number, 0))?;
    }
    std::fs::remove_dir_all(&store)?;
    assert!(db.flush().is_err());
    // What is in memory stays readable, and dropping the handle ends.
    assert_eq!(db.get(key(7))?, Some(value(7, 0)));
    assert_eq!(db.iter().filter(Result::is_ok).count(), 100);
    drop(db);
    Ok(())
}

/// The message is a line, says where, and what to do next.
fn says_what_to_do(refused: &lsm_db::Result<Lsm>, place: &str) -> TestResult {
    let error = refused.as_ref().err().ok_or("not refused")?;
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in [
        place,
        "put it back",
        "restore the whole directory",
        "nothing was changed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    Ok(())
}

#[test]
fn a_run_that_is_missing_is_named_and_what_to_do_about_it_is_said() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    db.put("k", "v")?;
    db.flush()?;
    drop(db);
    let run = runs(&machine.disk, machine.dir())?.pop().ok_or("no run")?;
    let elsewhere = machine.path("moved");
    machine.disk.rename(&run, &elsewhere)?;
    let before = read(&machine.disk, machine.dir())?;
    let refused = machine.open();
    assert!(
        matches!(&refused, Err(Error::Corruption { file: Some(file), .. }) if *file == run),
        "{refused:?}"
    );
    says_what_to_do(&refused, &run.display().to_string())?;
    assert_eq!(read(&machine.disk, machine.dir())?, before);
    machine.disk.rename(&elsewhere, &run)?;
    assert_eq!(machine.open()?.get("k")?, Some(b"v".to_vec()));
    Ok(())
}

/// Runs or log segments without a manifest were taken for a fresh store, and deleted (fault 44).
#[test]
fn runs_or_segments_without_a_manifest_are_refused_and_untouched() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    for number in 0..50 {
        db.put(key(number), value(number, 0))?;
        if number == 30 {
            db.flush()?;
        }
    }
    drop(db);
    let sound = read(&machine.disk, machine.dir())?;
    let is_run = |name: &str| name.starts_with("run-");
    let is_segment = |name: &str| name.starts_with("wal-");
    assert!(sound.keys().any(|name| is_run(name)) && sound.keys().any(|name| is_segment(name)));

    for (runs, segments) in [(true, true), (true, false), (false, true)] {
        let dir = tempfile::tempdir()?;
        for (name, bytes) in &sound {
            if (runs && is_run(name)) || (segments && is_segment(name)) {
                std::fs::write(dir.path().join(name), bytes)?;
            }
        }
        let before = read(&RealFs::new(), dir.path())?;
        for _ in 0..2 {
            let refused = Lsm::open(dir.path());
            assert!(
                matches!(
                    refused,
                    Err(Error::Corruption { .. } | Error::UnsupportedFormat { .. })
                ),
                "runs {runs}, segments {segments}: {refused:?}"
            );
            says_what_to_do(&refused, &dir.path().display().to_string())?;
        }
        let mut after = read(&RealFs::new(), dir.path())?;
        after.remove("LOCK");
        assert_eq!(after, before);
    }
    Ok(())
}
