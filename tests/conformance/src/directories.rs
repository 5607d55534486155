//! Random directories: what 1.1.0 left is all there when we open it, and what we left it refuses
//! without touching a byte.

use std::path::Path;

use lsm_db::{Lsm, LsmConfig};
use lsm_db_1x as theirs;
use lsm_fs::RealFs;
use lsm_tests::directory::{Files, read};
use lsm_tests::model::{Model, check as shows};
use lsm_tests::random::Random;
use lsm_tests::vectors::plant_all;

use crate::{Checked, Extent};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Has 1.1.0 write as many directories as wanted, and takes each over.
pub(crate) fn check(extent: Extent) -> Checked {
    let mut tally = Tally::default();
    for number in 0..extent.directories {
        let mut random = Random::new(!extent.seed.rotate_left(32) ^ number);
        check_one(&mut random, &mut tally)
            .map_err(|error| format!("directory {number} of seed {}: {error}", extent.seed))?;
    }
    if cfg!(feature = "durability") && extent.directories >= 20 && tally.logs == 0 {
        return Err("no directory had anything in its log".into());
    }
    Ok(format!(
        "{} taken over ({} entries, {} runs, {} with a log to replay), as many refused by 1.1.0",
        extent.directories, tally.entries, tally.runs, tally.logs
    ))
}

#[derive(Default)]
struct Tally {
    entries: usize,
    runs: usize,
    logs: usize,
}

fn check_one(random: &mut Random, tally: &mut Tally) -> Outcome {
    let dir = tempfile::tempdir()?;
    let written = write(dir.path(), random)?;
    let files = read(&RealFs::new(), dir.path())?;
    tally.runs += files.keys().filter(|name| name.ends_with(".sst")).count();
    tally.logs += usize::from(files.get("wal.log").is_some_and(|log| !log.is_empty()));

    // What 1.1.0 itself would find there.
    let mut expected = found_by_1x(&files)?;
    if cfg!(feature = "durability") && expected != written {
        return Err("1.1.0 does not find what it has written".into());
    }
    tally.entries += expected.len();

    let config = LsmConfig::new()
        .memtable_capacity(1 << random.below(16))
        .compaction_trigger(2 + random.below(4))
        .wal(!random.one_in(4));
    let db = Lsm::open_with(dir.path(), config.clone())?;
    shows(&db, &expected)?;
    if random.one_in(2) {
        for (key, value) in draw(random) {
            match value {
                Some(value) => {
                    db.put(&key, &value)?;
                    expected.insert(key, value);
                }
                None => {
                    db.delete(&key)?;
                    expected.remove(&key);
                }
            }
        }
        shows(&db, &expected)?;
    }
    match random.below(3) {
        0 => db.close()?,
        1 => {
            db.compact_range::<&[u8], _>(..)?;
            drop(db);
        }
        _ => {
            db.flush()?;
            drop(db);
        }
    }
    is_refused_by_1x(dir.path())?;
    let db = Lsm::open_with(dir.path(), config)?;
    shows(&db, &expected)?;
    Ok(())
}

/// A few writes of keys out of a small set.
fn draw(random: &mut Random) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let key_count = [5, 60, 2000][random.below(3)];
    let value_len = [3, 50, 5000][random.below(3)];
    (0..random.below(40))
        .map(|_| {
            let key = format!("key-{}", random.below(key_count)).into_bytes();
            let value = vec![random.draw().to_le_bytes()[0]; random.below(value_len)];
            (key, (!random.one_in(4)).then_some(value))
        })
        .collect()
}

/// What 1.1.0 was told; without its log it forgets what was not flushed.
fn write(dir: &Path, random: &mut Random) -> Outcome<Model> {
    let mut model = Model::new();
    for _ in 0..=random.below(3) {
        // Nothing may move in the directory of a process that is said to be killed.
        let is_killed = random.one_in(2);
        let trigger = match is_killed {
            true => usize::MAX,
            false => 2 + random.below(4),
        };
        let config = theirs::LsmConfig::new()
            .memtable_capacity([1, 300, 5000, 1 << 20][random.below(4)])
            .compaction_trigger(trigger);
        let db = theirs::Lsm::open_with(dir, config)?;
        for _ in 0..random.below(12) {
            step(&db, random, &mut model)?;
        }
        if is_killed {
            std::mem::forget(db);
        } else {
            drop(db);
        }
    }
    Ok(model)
}

fn step(db: &theirs::Lsm, random: &mut Random, model: &mut Model) -> Outcome {
    match random.below(4) {
        0 => db.flush()?,
        1 => {
            let mut batch = theirs::Batch::new();
            for (key, value) in draw(random) {
                match value {
                    Some(value) => {
                        batch.put(&key, &value);
                        model.insert(key, value);
                    }
                    None => {
                        batch.delete(&key);
                        model.remove(&key);
                    }
                }
            }
            db.write(batch)?;
        }
        _ => {
            if let Some((key, value)) = draw(random).pop() {
                match value {
                    Some(value) => {
                        db.put(&key, &value)?;
                        model.insert(key, value);
                    }
                    None => {
                        db.delete(&key)?;
                        model.remove(&key);
                    }
                }
            }
        }
    }
    Ok(())
}

fn found_by_1x(files: &Files) -> Outcome<Model> {
    let copy = tempfile::tempdir()?;
    plant_all(&RealFs::new(), copy.path(), files)?;
    let db = theirs::Lsm::open(copy.path())?;
    Ok(db.scan(..)?.collect())
}

fn is_refused_by_1x(dir: &Path) -> Outcome {
    let before = read(&RealFs::new(), dir)?;
    if theirs::Lsm::open(dir).is_ok() {
        return Err("1.1.0 opens a directory of ours".into());
    }
    match read(&RealFs::new(), dir)? == before {
        true => Ok(()),
        false => Err("1.1.0 changed a directory of ours".into()),
    }
}
