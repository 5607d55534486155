//! The target `directory`: a store's directory in which several files were changed, opened by the
//! whole store over the simulated file system.
//!
//! Called through [`Target`](super::Target). What must hold is what the [`Trial`] of a hostile file
//! checks: it opens or is refused and unchanged; if it opens, it is read in order and to an end,
//! takes writes, and opens again; foreign files stay; and as long as no checksum was made to fit a
//! lie, what is read is what was written.

use std::sync::OnceLock;

use lsm_db::format::crc32c;
use lsm_format::{Entry, RunWriter, encode_entry};
use lsm_fs::{ByPath, FileSystem, SimFs};

use super::{Told, images, split};
use crate::directory::{Files, damage, plant, read_file};
use crate::hostile::image::{Image, dir, is_foreign};
use crate::hostile::{FileKind, Outcome, Trial, logs, manifests, runs, seals};
use crate::model::{Model, key, value};
use crate::random::Random;

/// Names that files get which were not there: ours that are to come, temporary ones, of 1.x.
const NEW_NAMES: [&str; 14] = [
    "MANIFEST",
    "MANIFEST.tmp",
    "LOCK",
    "wal.log",
    "wal-0000000001.log",
    "wal-0000000003.log",
    "wal-0000000004.log.tmp",
    "wal-18446744073709551615.log",
    "run-0000000000.sst",
    "run-0000000002.sst",
    "run-0000000003.sst.tmp",
    "run-0000000001.sst.bloom",
    "run-0000000001.sst.bloom.tmp",
    "run-9999999999.sst",
];

/// What was done to a directory.
#[derive(Debug, Default)]
struct Changes {
    a_run: bool,
    /// Checksums were made to fit, or there are none to tell by.
    is_forged: bool,
    /// A file is gone, or another's bytes are in its place.
    is_moved: bool,
    /// Something changed at all.
    any: bool,
}

pub(super) fn check(input: &[u8], told: &mut Told) -> Result<(), String> {
    let (which, choices) = split(input);
    let bases = bases()?;
    let ours = images()?;
    let which = usize::from(which) % (bases.len() + ours.len());
    let image = ours.iter().chain(bases).nth(which).ok_or("no image")?;
    let disk = image.disk_with(&[]).map_err(|error| error.to_string())?;
    let mut random = Random::from_bytes(choices);
    let mut changes = Changes {
        // Nothing tells a text manifest from another.
        is_forged: which >= ours.len(),
        ..Changes::default()
    };
    for _ in 0..random.below(5) {
        change(&disk, &mut random, &mut changes).map_err(|error| error.to_string())?;
    }
    let manifest = read_file(&disk, &dir().join("MANIFEST")).unwrap_or_default();
    let is_honest = !changes.is_forged && !manifest.starts_with(b"LSMDB-MANIFEST");
    let kind = match changes.a_run {
        true => FileKind::Run,
        false => FileKind::Log,
    };
    let mut trial = Trial::new(image, disk, kind, is_honest);
    trial.may_be_older = changes.any;
    let outcome = trial
        .run()
        .map_err(|error| format!("{}, {changes:?}: {error}", image.name))?;
    for (variant, says) in trial.met.take() {
        told.tell(variant, says);
    }
    told.tell(
        match outcome {
            Outcome::Refused => "refused",
            Outcome::ReadsFailed => "reads failed",
            Outcome::Read => "read",
        },
        if changes.is_forged {
            "forged"
        } else {
            "honest"
        },
    );
    Ok(())
}

/// The file that the next choice names, if there is one.
fn chosen(disk: &SimFs, random: &mut Random) -> std::io::Result<Option<String>> {
    let entries = disk.list(dir())?;
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let name = entry.name.to_string_lossy().into_owned();
        let is_file = disk.file_len(&dir().join(&name)).is_ok();
        if is_file && !is_foreign(&name) {
            names.push(name);
        }
    }
    let at = random.below(names.len().max(1));
    Ok(names.into_iter().nth(at))
}

fn change(disk: &SimFs, random: &mut Random, changes: &mut Changes) -> std::io::Result<()> {
    let way = random.below(12);
    if way == 0 {
        return add(disk, random, changes);
    }
    let Some(name) = chosen(disk, random)? else {
        return Ok(());
    };
    changes.any = true;
    changes.a_run |= name.starts_with("run-");
    let path = dir().join(&name);
    match way {
        1 | 2 => damage(disk, &path, |bytes| overwrite(bytes, random)),
        3 => damage(disk, &path, |bytes| {
            bytes.truncate(random.below(bytes.len() + 1));
        }),
        4 => damage(disk, &path, |bytes| {
            let len = random.below(64);
            match random.below(2) {
                0 => bytes.extend(vec![0; len]),
                _ => bytes.extend(random.bytes(len)),
            }
        }),
        5 => {
            changes.is_moved = true;
            disk.remove_file(&path)
        }
        6 => {
            // Another's bytes.
            let Some(other) = chosen(disk, random)? else {
                return Ok(());
            };
            changes.is_moved = true;
            let bytes = read_file(disk, &dir().join(other))?;
            plant(disk, &path, &bytes)
        }
        7 | 8 => {
            changes.is_forged = true;
            damage(disk, &path, |bytes| {
                overwrite(bytes, random);
                seal(&name, bytes);
            })
        }
        9 => {
            changes.is_forged = true;
            let len = random.below(256);
            plant(disk, &path, &random.bytes(len))
        }
        _ => {
            changes.is_forged = true;
            forge(disk, &name, random)
        }
    }
}

fn overwrite(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len().max(1));
    let new = match random.below(3) {
        0 => random.bytes(1),
        1 => random.bytes(4),
        _ => random.bytes(8),
    };
    for (byte, new) in bytes.iter_mut().skip(at).zip(new) {
        *byte = new;
    }
}

fn seal(name: &str, bytes: &mut [u8]) {
    if name.ends_with(".bloom") {
        seals::sidecar(bytes);
    } else if FileKind::Run.has(name) {
        seals::run(bytes);
    } else if FileKind::Log.has(name) {
        seals::segment(bytes);
    } else if FileKind::Manifest.has(name) {
        seals::manifest(bytes);
    }
}

/// Forges a run, a segment or a manifest; a run every other time with the manifest that records it.
fn forge(disk: &SimFs, name: &str, random: &mut Random) -> std::io::Result<()> {
    let path = dir().join(name);
    let sound = read_file(disk, &path)?;
    let forged = if FileKind::Run.has(name) {
        runs::forge(&sound, random)
    } else if FileKind::Log.has(name) {
        logs::forge(&sound, random)
    } else if FileKind::Manifest.has(name) {
        manifests::forge(&sound, random)
    } else {
        None
    };
    let Some((bytes, _)) = forged else {
        return Ok(());
    };
    plant(disk, &path, &bytes)?;
    let id = lsm_version::parse_run_file_name(name.as_ref());
    if let Some(id) = id
        && random.below(2) == 1
        && let Some(recorded) = runs::recorded(&bytes)
        && let Ok(manifest) = read_file(disk, &dir().join("MANIFEST"))
        && let Some(manifest) = manifests::with_run_recorded(&manifest, id, recorded)
    {
        plant(disk, &dir().join("MANIFEST"), &manifest)?;
    }
    Ok(())
}

/// A file or a directory under a name that may be ours.
fn add(disk: &SimFs, random: &mut Random, changes: &mut Changes) -> std::io::Result<()> {
    let name = NEW_NAMES[random.below(NEW_NAMES.len())];
    let path = dir().join(name);
    if disk.kind(&path)?.is_some() {
        return Ok(());
    }
    changes.any = true;
    changes.is_moved = true;
    changes.a_run |= name.starts_with("run-");
    match random.below(4) {
        0 => {
            // In the way of what the store may have to make.
            changes.is_forged = true;
            disk.create_dir(&path)
        }
        1 => plant(disk, &path, &[]),
        2 => {
            let len = random.below(100);
            plant(disk, &path, &random.bytes(len))
        }
        _ => match chosen(disk, random)? {
            Some(other) => {
                let bytes = read_file(disk, &dir().join(other))?;
                plant(disk, &path, &bytes)
            }
            None => Ok(()),
        },
    }
}

/// Directories that no image of [`hostile`](crate::hostile) is: an empty one, and two of `lsm-db` 1.x.
pub(super) fn bases() -> Result<&'static [Image], String> {
    static BASES: OnceLock<Result<Vec<Image>, String>> = OnceLock::new();
    let made = BASES.get_or_init(|| make_bases().map_err(|error| error.to_string()));
    made.as_deref().map_err(Clone::clone)
}

fn make_bases() -> Result<Vec<Image>, Box<dyn std::error::Error>> {
    let empty = Image::of_files("empty", Files::new(), vec![Model::new()])?;
    let mut model = Model::new();
    let mut log = Vec::new();
    for number in 0..3 {
        let mut payload = 1_u32.to_le_bytes().to_vec();
        let (key, value) = (key(number), value(number, 1));
        encode_entry(&mut payload, &key, Entry::Value(&value));
        let len = u32::try_from(payload.len())?.to_le_bytes();
        let crc = crc32c(&[&len, payload.as_slice()].concat());
        log.extend([&crc.to_le_bytes(), &len, payload.as_slice()].concat());
        model.insert(key, value);
    }
    let mut files = Files::from([("wal.log".to_owned(), log)]);
    let log_alone = Image::of_files("log of 1.x", files.clone(), vec![model.clone()])?;
    for id in [0, 2] {
        let mut run = RunWriter::new();
        for number in 5 + id..9 + id {
            run.put(key(number), value(number, 0))?;
            model.insert(key(number), value(number, 0));
        }
        files.insert(format!("run-{id:010}.sst"), run.finish());
    }
    files.insert("run-0000000002.sst.bloom".to_owned(), b"of 1.x".to_vec());
    let text = "LSMDB-MANIFEST v1\nnext_seq=3\nrun-0000000002.sst\nrun-0000000000.sst\n";
    files.insert("MANIFEST".to_owned(), text.into());
    let with_runs = Image::of_files("runs of 1.x", files, vec![model])?;
    Ok(vec![empty, log_alone, with_runs])
}

/// Each directory as it is, and with one change of each way.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for which in 0..6 {
        seeds.push((format!("sound-{which}"), vec![which]));
        // Half of the ways for each.
        for way in (which % 2..12).step_by(2) {
            let input = vec![which, 1, way, which + 1, 9, 0, 1, 1, 7, 1, 1];
            seeds.push((format!("changed-{which}-{way}"), input));
        }
    }
    seeds
}
