//! Damaged manifests: never a panic, never an invented state, and nothing deleted on their word.

use std::path::PathBuf;

use lsm_db::{Error, LsmConfig};
use lsm_fs::{ByPath, FileSystem, SimFs};
use lsm_tests::TestResult;
use lsm_tests::directory::{Files, damage, read, read_file};
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, contents, key, value};

/// A store with a history of edits, shut down cleanly, and all states it ever had.
fn with_history() -> Result<(Machine, PathBuf, Vec<Model>), Box<dyn std::error::Error>> {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(3), 1);
    let db = machine.open()?;
    let mut states = vec![Model::new()];
    for age in 0..6 {
        for number in 0..4 {
            db.put(key(number), value(number, age))?;
            states.push(contents(&db)?);
        }
        db.flush()?;
        machine.settle();
    }
    db.put("in the log", "v")?;
    states.push(contents(&db)?);
    db.close()?;
    let manifest = machine.path("MANIFEST");
    Ok((machine, manifest, states))
}

/// Opens a store whose manifest was changed: it is refused with its files untouched, or it shows
/// one of the states it ever had.
fn refused_or_sound(
    machine: &Machine,
    manifest: &std::path::Path,
    states: &[Model],
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<bool, Box<dyn std::error::Error>> {
    let disk: SimFs = machine.disk.reopen_after_kill();
    damage(&disk, manifest, change)?;
    let machine = Machine::with_disk(disk, LsmConfig::new(), 2);
    let before = read(&machine.disk, machine.dir())?;
    match machine.open() {
        Ok(db) => {
            let found = contents(&db)?;
            if !states.contains(&found) {
                return Err(format!("a state that never was: {found:?}").into());
            }
            Ok(false)
        }
        Err(Error::Corruption { .. } | Error::UnsupportedFormat { .. }) => {
            machine.settle();
            let changed = |(name, bytes): (&String, &Vec<u8>)| {
                (before.get(name) != Some(bytes)).then(|| name.clone())
            };
            let after: Files = read(&machine.disk, machine.dir())?;
            match after.iter().find_map(changed) {
                None if after.len() == before.len() => Ok(true),
                name => Err(format!("refused, but it changed the directory: {name:?}").into()),
            }
        }
        Err(other) => Err(other.into()),
    }
}

#[test]
fn after_a_clean_shutdown_no_flipped_byte_of_the_manifest_passes_unnoticed() -> TestResult {
    let (machine, manifest, states) = with_history()?;
    let newest = states.last().cloned().into_iter().collect::<Vec<_>>();
    let len = read_file(&machine.disk, &manifest)?.len();
    let mut refused = 0;
    for at in 0..len {
        let is_refused = refused_or_sound(&machine, &manifest, &newest, |bytes| bytes[at] ^= 0x20)
            .map_err(|error| format!("flipped {at} of {len}: {error}"))?;
        refused += usize::from(is_refused);
    }
    assert!(refused > len / 2, "{refused} of {len} flips were noticed");
    Ok(())
}

/// A torn manifest tail made the store unreadable (fault 18).
#[test]
fn a_manifest_cut_anywhere_is_refused_or_shows_an_earlier_state() -> TestResult {
    let (machine, manifest, states) = with_history()?;
    let len = read_file(&machine.disk, &manifest)?.len();
    for cut in 0..len {
        refused_or_sound(&machine, &manifest, &states, |bytes| bytes.truncate(cut))
            .map_err(|error| format!("cut {cut} of {len}: {error}"))?;
    }
    Ok(())
}

#[test]
fn an_empty_manifest_is_not_an_empty_store() -> TestResult {
    let (machine, manifest, states) = with_history()?;
    for change in [Vec::clear as fn(&mut Vec<u8>), |bytes| bytes.fill(0)] {
        assert!(
            refused_or_sound(&machine, &manifest, &states, change)?,
            "it opened"
        );
    }
    Ok(())
}

#[test]
fn a_manifest_of_random_bytes_is_refused() -> TestResult {
    let (machine, manifest, states) = with_history()?;
    let mut random = lsm_tests::random::Random::new(8);
    for _ in 0..50 {
        let len = random.below(4000);
        let noise = random.bytes(len);
        assert!(refused_or_sound(&machine, &manifest, &states, |bytes| {
            *bytes = noise
        })?);
        // Behind a sound beginning it is at most a torn tail.
        let noise = random.bytes(200);
        let start = random.below(500);
        refused_or_sound(&machine, &manifest, &states, |bytes| {
            for (byte, noise) in bytes.iter_mut().skip(start).zip(noise) {
                *byte = noise;
            }
        })?;
    }
    Ok(())
}

#[test]
fn the_manifest_of_another_store_does_not_fit() -> TestResult {
    let (ours, manifest, states) = with_history()?;
    let theirs = Machine::new(LsmConfig::new(), 5);
    let db = theirs.open()?;
    db.put("theirs", "v")?;
    db.flush()?;
    db.close()?;
    let other = read_file(&theirs.disk, &manifest)?;
    let before = read(&ours.disk, ours.dir())?;
    // Its runs are missing here or of other lengths.
    assert!(refused_or_sound(&ours, &manifest, &states, |bytes| {
        *bytes = other
    })?);
    assert_eq!(read(&ours.disk, ours.dir())?, before);
    Ok(())
}

#[test]
fn a_directory_in_the_manifests_place_is_an_error_and_untouched() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 1);
    for dir in ["/data", "/data/store", "/data/store/MANIFEST"] {
        machine.disk.create_dir(std::path::Path::new(dir))?;
    }
    assert!(machine.open().is_err());
    assert_eq!(machine.disk.list(&machine.path("MANIFEST"))?, []);
    Ok(())
}
