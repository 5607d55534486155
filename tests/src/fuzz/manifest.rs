//! The target `manifest`: bytes as a manifest, loaded, committed to and loaded again.
//!
//! Called through [`Target`](super::Target). Loading changes no file and says the same when asked
//! again; what it accepts keeps every rule of its levels and ids, takes commits, and is the same
//! state when it is read back.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use lsm_fs::{CrashImage, FileSystem, SimFs};
use lsm_version::{
    CommitError, LegacyManifest, LoadError, MANIFEST_FILE_NAME, Manifest, ManifestState, RunMeta,
    UnresolvedRun, VersionEdit,
};

use super::{Told, ensure, images, split};
use crate::describe;
use crate::directory::{plant, read};
use crate::hostile::{FileKind, manifests, seals};
use crate::random::Random;

/// The keys of a run cannot be read.
#[derive(Debug)]
struct Unreadable(u64);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot tell the keys of run {}", self.0)
    }
}

impl std::error::Error for Unreadable {}

type Loaded = Result<Manifest, LoadError<Unreadable>>;

pub(super) fn check(input: &[u8], told: &mut Told) -> Result<(), String> {
    let (mode, rest) = split(input);
    let bytes = match mode % 4 {
        0 => rest.to_vec(),
        1 => {
            let mut bytes = rest.to_vec();
            seals::manifest(&mut bytes);
            bytes
        }
        _ => forged(rest)?,
    };
    holds(&bytes, mode % 4 == 3, told)
}

/// A sound manifest, with fields of its header and its edits changed as the input says.
fn forged(choices: &[u8]) -> Result<Vec<u8>, String> {
    let mut random = Random::from_bytes(choices);
    let images = images()?;
    let image = &images[random.below(images.len())];
    let name = image.names(FileKind::Manifest).next();
    let name = name.ok_or("an image without a manifest")?;
    let mut bytes = image.files[name].clone();
    for _ in 0..=random.below(4) {
        if let Some((changed, _)) = manifests::forge(&bytes, &mut random) {
            bytes = changed;
        }
    }
    Ok(bytes)
}

fn dir() -> &'static Path {
    Path::new("/")
}

/// Loads it; the keys of a run that are not in it are made up, or cannot be told.
#[expect(clippy::expect_used, reason = "a simulated disk has its root")]
fn load(disk: &SimFs, keys_are_readable: bool) -> Loaded {
    let opened = disk.open_dir(dir()).expect("a root");
    let mut resolve = |run: &UnresolvedRun| match keys_are_readable {
        true => Ok((Bytes::new(), Bytes::from("z"))),
        false => Err(Unreadable(run.id)),
    };
    Manifest::load(opened, &mut resolve)
}

/// Everything that a loaded manifest says.
fn says(manifest: &Manifest) -> (ManifestState, [u8; 16], u64, bool, bool) {
    let identity = manifest.identity();
    (
        manifest.state().clone(),
        identity.database_id,
        identity.hash_seed,
        manifest.was_clean(),
        manifest.was_torn(),
    )
}

fn holds(bytes: &[u8], keys_are_hidden: bool, told: &mut Told) -> Result<(), String> {
    let disk = SimFs::new();
    let path = dir().join(MANIFEST_FILE_NAME);
    plant(&disk, &path, bytes).map_err(|error| error.to_string())?;
    let before = read(&disk, dir()).map_err(|error| error.to_string())?;
    let first = load(&disk, !keys_are_hidden);
    let again = load(&disk, !keys_are_hidden);
    let after = read(&disk, dir()).map_err(|error| error.to_string())?;
    ensure(before == after, || "loading has changed a file".to_owned())?;
    match (first, again) {
        (Err(error), Err(again)) => {
            tell(&error, told);
            if matches!(error, LoadError::Legacy { .. }) {
                parse_text(bytes, told)?;
            }
            ensure(describe(&error) == describe(&again), || {
                format!("first {error}, then {again}")
            })
        }
        (Ok(manifest), Ok(again)) => {
            ensure(says(&manifest) == says(&again), || {
                "another state when asked again".to_owned()
            })?;
            told.tell("loaded", if manifest.was_torn() { "torn" } else { "whole" });
            is_sound(manifest.state())?;
            commits(&disk, manifest, told)
        }
        (first, again) => Err(format!("first {first:?}, then {again:?}")),
    }
}

/// The text manifest of `lsm-db` 1.x: each run is named once, and was given out.
fn parse_text(bytes: &[u8], told: &mut Told) -> Result<(), String> {
    match LegacyManifest::parse(bytes) {
        Ok(text) => {
            let ids: BTreeSet<_> = text.runs.iter().collect();
            let given_out = text.runs.iter().all(|&id| id < text.next_run_id);
            told.tell("text", "parsed");
            ensure(ids.len() == text.runs.len() && given_out, || {
                format!("{text:?} is accepted")
            })
        }
        Err(error) => {
            told.tell("text", error.reason);
            Ok(())
        }
    }
}

/// The rules of the page on the format, read again.
fn is_sound(state: &ManifestState) -> Result<(), String> {
    state
        .version
        .check()
        .map_err(|violation| format!("accepted, though {violation}"))?;
    let ids = state.version.runs().map(|(_, run)| run.id);
    let ids_fit = ids
        .chain(state.unnamed.iter().copied())
        .all(|id| id < state.ceilings.run_id);
    let unnamed_is_apart = state
        .version
        .runs()
        .all(|(_, run)| !state.unnamed.contains(&run.id));
    let log = &state.log;
    let segments = [
        log.floor,
        log.end.map(|end| end.segment),
        Some(log.discarded_through),
    ];
    let segments_fit = segments
        .into_iter()
        .flatten()
        .all(|id| id < state.ceilings.segment_id)
        && log.retired_below <= state.ceilings.segment_id
        && log.floor.is_none_or(|floor| floor >= log.retired_below);
    let fits = ids_fit && unnamed_is_apart && segments_fit;
    ensure(fits && state.flushed_seqno < state.ceilings.seqno, || {
        format!("accepted, though it gives out ids that are in use: {state:?}")
    })?;
    for level in state.version.levels().iter().skip(1) {
        for (place, run) in level.runs().iter().enumerate() {
            ensure(level.find(&run.largest_key) == Some(place), || {
                format!("run {} is not found by its key", run.id)
            })?;
        }
    }
    Ok(())
}

/// Commits an edit of nothing, then one that adds a run and removes it again, and reads all back.
fn commits(disk: &SimFs, mut manifest: Manifest, told: &mut Told) -> Result<(), String> {
    let before = manifest.state().clone();
    if refused(manifest.commit(VersionEdit::default()), told)? {
        return Ok(());
    }
    let content = |state: &ManifestState| {
        let version = Arc::clone(&state.version);
        let of_1x = (state.legacy_log_end, Arc::clone(&state.unnamed));
        (
            version,
            state.log,
            state.flushed_seqno,
            state.ceilings,
            of_1x,
        )
    };
    ensure(content(&before) == content(manifest.state()), || {
        "an edit of nothing changes the state".to_owned()
    })?;
    reads_back(disk, &manifest)?;

    let id = before.ceilings.run_id;
    let mut ceilings = before.ceilings;
    ceilings.run_id = id.saturating_add(1);
    let run = Arc::new(RunMeta {
        id,
        file_len: 100,
        entry_count: 2,
        tombstone_count: 1,
        index_len: 30,
        index_crc: 7,
        smallest_key: "m".into(),
        largest_key: "n".into(),
    });
    let adds = VersionEdit {
        added: vec![(0, run)],
        ceilings: Some(ceilings),
        ..VersionEdit::default()
    };
    if refused(manifest.commit(adds), told)? {
        return Ok(());
    }
    reads_back(disk, &manifest)?;
    let removes = VersionEdit {
        removed: vec![(0, id)],
        ..VersionEdit::default()
    };
    if !refused(manifest.commit(removes), told)? {
        ensure(*before.version == *manifest.state().version, || {
            "a run that came and went left something".to_owned()
        })?;
        reads_back(disk, &manifest)?;
        told.tell("committed", "");
    }
    Ok(())
}

/// Whether there were no ids left for it; any other refusal is a broken promise.
fn refused(committed: Result<(), CommitError>, told: &mut Told) -> Result<bool, String> {
    match committed {
        Ok(()) => Ok(false),
        Err(CommitError::Invalid(lsm_version::EditError::Exhausted { .. })) => {
            told.tell("loaded", "no ids are left");
            Ok(true)
        }
        Err(error) => Err(format!("takes no edits: {}", describe(&error))),
    }
}

/// What was committed is what is loaded, after a power cut too.
fn reads_back(disk: &SimFs, manifest: &Manifest) -> Result<(), String> {
    for disk in [disk.clone(), disk.crash(&CrashImage::NothingUnsynced)] {
        let again =
            load(&disk, true).map_err(|error| format!("read back: {}", describe(&error)))?;
        ensure(
            again.state() == manifest.state() && !again.was_torn(),
            || format!("read back: {:?}, not {:?}", again.state(), manifest.state()),
        )?;
        ensure(again.identity() == manifest.identity(), || {
            "read back as another database".to_owned()
        })?;
    }
    Ok(())
}

fn tell(error: &LoadError<Unreadable>, told: &mut Told) {
    let (variant, reason) = match error {
        LoadError::Missing { .. } => ("Missing", ""),
        LoadError::Legacy { .. } => ("Legacy", ""),
        LoadError::NotAManifest { .. } => ("NotAManifest", ""),
        LoadError::UnsupportedVersion { .. } => ("UnsupportedVersion", ""),
        LoadError::UnknownKind { .. } => ("UnknownKind", ""),
        LoadError::Damaged { reason, .. } => ("Damaged", kind_of(reason)),
        LoadError::Io { .. } => ("Io", ""),
        LoadError::Resolve { .. } => ("Resolve", ""),
        _ => ("an error without a name here", ""),
    };
    told.tell(variant, reason);
}

/// What damage is told by, without its numbers: the rules of the file, of an edit, and of levels.
fn kind_of(reason: &str) -> &'static str {
    const KINDS: [&str; 32] = [
        "the header is cut short",
        "the header's checksum does not match",
        "the header's reserved bytes are not zero",
        "no generations are left",
        "the snapshot's length is impossible",
        "the snapshot does not reach its end",
        "bytes follow the mark of a clean close",
        "was written after it",
        "stands where",
        "a record follows the mark of a clean close",
        "a record is for a keyspace that does not exist",
        "bytes is too long",
        "a record does not decode",
        "a record is longer than its edit",
        // Edits.
        "to be removed is not at level",
        "would go back from",
        "is not below its ceiling",
        "no run ids are left",
        "no segment ids are left",
        "no seqnos are left",
        "the mark of a clean close must not change runs",
        "the end of the log of lsm-db 1.x must not change",
        "a run is unnamed twice",
        "the floor segment of the log is retired",
        "an unnamed run is at a level",
        // Levels.
        "there are only",
        "occurs both at level",
        "its smallest key is above its largest",
        "more tombstones than entries",
        "its index is longer",
        "is misdescribed",
        "overlap or are out of order",
    ];
    let known = KINDS.into_iter().find(|kind| reason.contains(kind));
    known.unwrap_or("something else")
}

/// The manifests of small stores, and choices to forge them by.
pub(super) fn seeds() -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut seeds = Vec::new();
    for (number, image) in (0..).zip(images()?) {
        for name in image.names(FileKind::Manifest) {
            for (mode, how) in [(0, "plain"), (1, "sealed")] {
                let input = [&[mode], image.files[name].as_slice()].concat();
                seeds.push((format!("{how}-{}", image.name.replace(' ', "-")), input));
            }
        }
        for way in 0..8 {
            let choices = vec![2, number, 0, 0, way, 1, 2, 1, 2, 1, 2, 1];
            seeds.push((format!("forged-{number}-{way}"), choices));
        }
    }
    let hidden = vec![3, 2, 0, 0, 7, 1, 8, 0, 0, 0, 0, 0];
    seeds.push(("hidden-keys".to_owned(), hidden));
    let text = b"\0LSMDB-MANIFEST v1\nnext_seq=3\nrun-0000000002.sst\n";
    seeds.push(("text".to_owned(), text.to_vec()));
    Ok(seeds)
}
