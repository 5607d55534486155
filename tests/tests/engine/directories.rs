//! The directory is the one that was opened, whatever becomes of its path.
//!
//! Each case is played on the simulated disk, stepped, and on the real one, with threads. A relative
//! path has a test binary of its own, `working_directory`.

use std::io;
use std::path::{Path, PathBuf};

use lsm_db::{Batch, Durability, Error, Lsm, LsmConfig};
use lsm_fs::{ByPath, CrashImage, Fault, FileSystem, Operation, RealFs};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{check, contents, key, value};

const EIO: i32 = 5;

/// A disk with a store on it, and with a user who changes its directory.
enum Place {
    Sim(Machine),
    Real(tempfile::TempDir, LsmConfig),
}

impl Place {
    fn both(config: &LsmConfig) -> TestResult<[Self; 2]> {
        let scratch = tempfile::tempdir()?;
        Ok([
            Self::Sim(Machine::new(config.clone(), 7)),
            Self::Real(scratch, config.clone()),
        ])
    }

    fn fs(&self) -> &dyn FileSystem {
        match self {
            Self::Sim(machine) => &machine.disk,
            Self::Real(..) => &RealFs,
        }
    }

    fn dir(&self, name: &str) -> PathBuf {
        match self {
            Self::Sim(machine) => machine.dir().with_file_name(name),
            Self::Real(scratch, _) => scratch.path().join(name),
        }
    }

    fn open(&self, name: &str) -> lsm_db::Result<Lsm> {
        let config = match self {
            Self::Sim(machine) => machine.config(),
            Self::Real(_, config) => config.clone(),
        };
        Lsm::open_with(self.dir(name), config)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.fs().rename(&self.dir(from), &self.dir(to))
    }

    fn remove_dir(&self, name: &str) -> io::Result<()> {
        match self {
            Self::Sim(machine) => machine.disk.remove_dir_all(&self.dir(name)),
            Self::Real(..) => std::fs::remove_dir_all(self.dir(name)),
        }
    }

    fn settle(&self) {
        if let Self::Sim(machine) = self {
            machine.settle();
        }
    }

    /// The names in a directory and the files' lengths.
    fn files(&self, name: &str) -> io::Result<Vec<(PathBuf, u64)>> {
        let dir = self.dir(name);
        let entries = self.fs().list(&dir)?.into_iter();
        let lens = entries.map(|entry| {
            let path = dir.join(entry.name);
            self.fs().file_len(&path).map(|len| (path, len))
        });
        lens.collect()
    }
}

fn config() -> LsmConfig {
    LsmConfig::new()
        .durability(Durability::Buffered)
        .compaction_trigger(2)
}

/// Writes, flushes, compacts.
fn work(db: &Lsm, from: usize) -> lsm_db::Result<()> {
    for number in from..from + 20 {
        db.put(key(number), value(number, 0))?;
        if number % 5 == 0 {
            db.flush()?;
        }
    }
    db.compact_range::<&[u8], _>(..)
}

#[test]
fn a_store_whose_directory_is_moved_goes_on_there() -> TestResult {
    for place in Place::both(&config())? {
        let db = place.open("store")?;
        work(&db, 0)?;
        place.rename("store", "moved")?;
        work(&db, 20)?;
        db.sync()?;
        let model = contents(&db)?;
        db.close()?;
        place.settle();
        assert_eq!(place.fs().kind(&place.dir("store"))?, None);
        let db = place.open("moved")?;
        assert_eq!(model.len(), 40);
        check(&db, &model)?;
    }
    Ok(())
}

/// Manifest and runs of the other store were replaced and unlinked, all Ok, and neither opened again.
#[test]
fn a_store_whose_directory_is_replaced_touches_nothing_of_the_other_one() -> TestResult {
    for place in Place::both(&config())? {
        let db = place.open("store")?;
        work(&db, 0)?;
        place.rename("store", "aside")?;
        let other = place.open("store")?;
        other.put("theirs", "v")?;
        other.close()?;
        place.settle();
        let theirs = place.files("store")?;

        work(&db, 20)?;
        let model = contents(&db)?;
        db.close()?;
        place.settle();
        assert_eq!(place.files("store")?, theirs);
        check(&place.open("aside")?, &model)?;
        assert_eq!(place.open("store")?.get("theirs")?, Some(b"v".to_vec()));
    }
    Ok(())
}

fn put_synced(db: &Lsm, key: &str) -> lsm_db::Result<()> {
    let mut batch = Batch::new();
    batch.put(key, "v");
    db.write_with(batch, Durability::Sync)
}

type Act = fn(Lsm) -> lsm_db::Result<()>;

/// Everything that promises durability.
const PROMISES: [(&str, Act); 7] = [
    ("put", |db| put_synced(&db, "late")),
    ("flush", |db| db.flush()),
    ("sync", |db| db.sync()),
    ("compact_range", |db| db.compact_range::<&str, _>(..)),
    ("close", Lsm::close),
    ("put and flush", |db| {
        db.put("late", "v").and_then(|()| db.flush())
    }),
    ("put and close", |db| {
        db.put("late", "v").and_then(|()| db.close())
    }),
];

/// Appends, their syncs and those of the directory all succeed in a directory that was removed, and
/// put, flush and close said Ok.
#[test]
fn nothing_is_promised_in_a_directory_that_was_removed() -> TestResult {
    for wal in [true, false] {
        for (promise, act) in PROMISES {
            if promise == "put" && !wal {
                // Refused, whatever the directory is.
                continue;
            }
            for place in Place::both(&config().wal(wal))? {
                let db = place.open("store")?;
                db.put("early", "v")?;
                if wal {
                    db.sync()?;
                }
                place.remove_dir("store")?;
                let told = act(db);
                assert!(
                    matches!(&told, Err(Error::DirectoryGone { path, .. }) if path.starts_with(place.dir("store"))),
                    "{promise}, log {wal}: {told:?}"
                );
                place.settle();
                assert_eq!(place.fs().kind(&place.dir("store"))?, None);
            }
        }
    }
    Ok(())
}

/// There was nothing to flush and nothing to merge, and files that were open could still be read: the
/// call said Ok to a store that was gone.
#[test]
fn a_range_is_not_compacted_in_a_directory_that_was_removed() -> TestResult {
    for range in ["a".."z", "x".."z"] {
        for place in Place::both(&config())? {
            let db = place.open("store")?;
            db.put("early", "v")?;
            db.compact_range::<&str, _>(..)?;
            place.remove_dir("store")?;
            let told = db.compact_range(range.clone());
            assert!(matches!(told, Err(Error::DirectoryGone { .. })), "{told:?}");
        }
    }
    Ok(())
}

#[test]
fn a_store_whose_directory_was_removed_is_poisoned_and_reads_on() -> TestResult {
    for place in Place::both(&config())? {
        let db = place.open("store")?;
        db.put("early", "v")?;
        place.remove_dir("store")?;
        assert!(matches!(db.sync(), Err(Error::DirectoryGone { .. })));
        assert!(matches!(db.put("late", "v"), Err(Error::Poisoned { .. })));
        assert_eq!(db.get("early")?, Some(b"v".to_vec()));
        assert!(db.close().is_err());
    }
    Ok(())
}

/// Removes the files of a store whose names start like this.
fn remove_files(place: &Place, start: &str) -> TestResult {
    for (path, _) in place.files("store")? {
        if named(start)(&path) {
            place.fs().remove_file(&path)?;
        }
    }
    Ok(())
}

/// A file of ours that a user removed: what is written to it later is not found again.
#[test]
fn nothing_is_promised_in_a_segment_or_manifest_that_was_removed() -> TestResult {
    let sync: Act = |db| put_synced(&db, "late");
    let flush: Act = |db| db.put("late", "v").and_then(|()| db.flush());
    for (start, act) in [("wal-", sync), ("MANIFEST", flush)] {
        for place in Place::both(&config())? {
            let db = place.open("store")?;
            db.put("first", "v")?;
            db.flush()?;
            db.put("early", "v")?;
            db.sync()?;
            remove_files(&place, start)?;
            let told = act(db);
            assert!(
                matches!(&told, Err(Error::DirectoryGone { path, .. }) if named(start)(path)),
                "{start}: {told:?}"
            );
        }
    }
    Ok(())
}

/// Nothing was written since the last sync, and what had been synced was gone: all of these said Ok.
#[test]
fn a_promise_that_has_nothing_to_write_asks_for_the_names_too() -> TestResult {
    let required: Act = |db| {
        let mut batch = Batch::new();
        batch.require("early", Some(b"v"));
        db.write_with(batch, Durability::Sync)
    };
    let cases: [(&str, &str, Act); 6] = [
        ("wal-", "sync", |db| db.sync()),
        ("wal-", "a condition", required),
        ("wal-", "close", Lsm::close),
        ("MANIFEST", "sync", |db| db.sync()),
        ("MANIFEST", "flush", |db| db.flush()),
        ("MANIFEST", "close", Lsm::close),
    ];
    for (start, promise, act) in cases {
        for place in Place::both(&config())? {
            let db = place.open("store")?;
            put_synced(&db, "early")?;
            if promise == "flush" {
                db.flush()?;
            }
            remove_files(&place, start)?;
            let told = act(db);
            assert!(
                matches!(&told, Err(Error::DirectoryGone { path, .. }) if named(start)(path)),
                "{start}, {promise}: {told:?}"
            );
        }
    }
    Ok(())
}

/// It has nothing to flush, and its only run is open or is not: Ok, or that there is no such run.
#[test]
fn a_compaction_on_demand_is_told_that_the_directory_was_removed() -> TestResult {
    for is_open in [true, false] {
        let config = config().max_open_files(usize::from(is_open));
        for place in Place::both(&config)? {
            let db = place.open("store")?;
            db.put("early", "v")?;
            db.compact_range::<&[u8], _>(..)?;
            assert_eq!(db.get("early")?, Some(b"v".to_vec()));
            place.remove_dir("store")?;
            let told = db.compact_range::<&[u8], _>(..);
            assert!(
                matches!(told, Err(Error::DirectoryGone { .. })),
                "open: {is_open}: {told:?}"
            );
        }
    }
    Ok(())
}

/// Two handles wrote, and 6 of 12 synced and flushed puts were gone.
#[test]
fn a_removed_lock_file_lets_no_second_handle_in() -> TestResult {
    for place in Place::both(&config())? {
        let db = place.open("store")?;
        db.put("k", "v")?;
        place.fs().remove_file(&place.dir("store").join("LOCK"))?;
        let second = place.open("store");
        assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
        // The lock is the directory's, so it moves along.
        place.rename("store", "moved")?;
        let second = place.open("moved");
        assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
        db.close()?;
        place.settle();
        assert_eq!(place.open("moved")?.get("k")?, Some(b"v".to_vec()));
    }
    Ok(())
}

fn named(start: impl Into<String>) -> impl Fn(&Path) -> bool + Send + Sync + 'static {
    let start = start.into();
    move |path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&start))
    }
}

/// The sync of one thread failed and took the name of another one's run with it; that thread's sync
/// was told Ok, and its edit named a run that was missing after a power cut.
#[test]
fn a_failed_directory_sync_fails_the_flush_beside_it() -> TestResult {
    let machine = Machine::on_threads(config());
    let db = machine.open()?;
    db.put("a", "1")?;
    db.flush()?;
    db.put("b", "1")?;
    let creation = machine.faults.park(Operation::CreateNew, named("run-"));
    std::thread::scope(|scope| -> TestResult {
        let flush = scope.spawn(|| db.flush());
        creation.wait_for_arrival();
        let directory = machine.faults.park(Operation::SyncDir, |_| true);
        // A new segment, whose name is to be made durable.
        let put = scope.spawn(|| db.put("c", "1"));
        directory.wait_for_arrival();
        let run = machine.faults.park(Operation::Sync, named("run-"));
        creation.release();
        run.wait_for_arrival();
        // The run has its name, and the other thread's sync fails.
        let fault = Fault::from_raw_os_error(EIO);
        machine
            .faults
            .fail_when(Operation::SyncDir, |_| true, fault);
        directory.release();
        let put = put.join().map_err(|_| "the put panicked")?;
        assert!(matches!(put, Err(Error::Io { .. })), "{put:?}");
        run.release();
        let flush = flush.join().map_err(|_| "the flush panicked")?;
        assert!(flush.is_err());
        Ok(())
    })?;
    let after = machine.after_power_cut(&CrashImage::NothingUnsynced);
    let db = after.open()?;
    assert_eq!(db.get("a")?, Some(b"1".to_vec()));
    Ok(())
}
