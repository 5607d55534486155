//! Adoption: a directory that `lsm-db` 1.x wrote becomes one of ours.
//!
//! Called by open. Reads every run once, because the text manifest says nothing of them but their
//! order; changes nothing. What is to be written is left to [`crate::settle`], as after any other
//! open, so that a store without room can be read all the same:
//!
//! 1. Runs and log of 1.x, and their names, are made durable; runs that nobody names are renamed.
//! 2. Our manifest takes the place of the text manifest, by one rename: "legacy log: live".
//! 3. What the log says is flushed as one run, in one edit with the log's retirement. Until then
//!    no write is taken, so that no segment of ours is ever older than that edit.
//! 4. The log is unlinked.
//!
//! The whole log is one batch with the first seqno there is. So "the flushed seqno is past 0"
//! and "the log is retired" are the same, and it can never be replayed over what came later. That
//! there once was a log stays in the manifest: should its name come back after a power cut, it is
//! known for a leftover, while a `wal.log` beside any other store of ours is left alone.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsm_compact::{PickerOptions, place_by_age};
use lsm_format::verify;
use lsm_fs::FileSystem;
use lsm_version::{
    Ceilings, Identity, LEGACY_LOG_FILE_NAME, LegacyManifest, MANIFEST_FILE_NAME, Manifest,
    RunMeta, VersionEdit, run_file_name,
};

use crate::legacy_log::{LegacyWrites, last_writes, not_replayed, open_run};
use crate::listing::Listing;
use crate::run::read_error;
use crate::{Error, Result};

/// The seqno of all that a log of 1.x holds.
pub(crate) const LEGACY_LOG_SEQNO: u64 = 1;

/// A text manifest of this length names more runs than anybody has.
const TEXT_MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// What is still about of `lsm-db` 1.x.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    /// What its log says, if that is in no run yet.
    pub(crate) writes: LegacyWrites,
    /// Whether its log is to be replayed: until then nothing is written.
    pub(crate) is_replayed: bool,
    /// Whether all of its log is in a run, or the file is empty: to be unlinked.
    pub(crate) log_is_spent: bool,
    /// What must be done before our manifest takes the place of its own.
    pub(crate) debt: Option<AdoptionDebt>,
}

#[derive(Debug)]
pub(crate) struct AdoptionDebt {
    /// Files that our manifest is going to rely on.
    pub(crate) relied_on: Vec<PathBuf>,
    /// Runs that neither the text manifest names nor the log makes superfluous.
    pub(crate) set_aside: Vec<u64>,
}

impl Legacy {
    /// What is left to do where our manifest is in place already.
    pub(crate) fn of_adopted(
        manifest: &Manifest,
        file_system: &dyn FileSystem,
        directory: &Path,
        log: Option<&Path>,
    ) -> Result<Self> {
        let state = manifest.state();
        let mut legacy = Self {
            is_replayed: state.replays_legacy_log(),
            log_is_spent: state.has_spent_legacy_log(),
            ..Self::default()
        };
        if legacy.is_replayed {
            let Some(log) = log else {
                let path = directory.join(LEGACY_LOG_FILE_NAME);
                return Err(Error::corrupt_file(
                    "the log of lsm-db 1.x is missing",
                    &path,
                ));
            };
            legacy.writes = last_writes(file_system, log)?;
            if legacy.writes.is_empty() {
                // It held something when it was taken over, or it would not be awaited.
                let reason = "the log of lsm-db 1.x has lost what it held";
                return Err(Error::corrupt_file(reason, log));
            }
        }
        Ok(legacy)
    }
}

/// Takes over a directory that has a text manifest, or a log of 1.x and no manifest.
pub(crate) fn adopt(
    file_system: &Arc<dyn FileSystem>,
    directory: &Path,
    identity: Identity,
    options: &PickerOptions,
    listing: &Listing,
) -> Result<(Manifest, Legacy)> {
    let named = match listing.has_manifest {
        true => Some(read_manifest(&**file_system, directory)?),
        false => None,
    };
    let set_aside = unnamed_runs(&**file_system, directory, listing, named.as_ref())?;
    if let Some((_, segment)) = listing.segments.first() {
        return Err(Error::corrupt_file(
            "a log segment beside files of lsm-db 1.x, which writes none",
            segment,
        ));
    }
    let newest_first = named.as_ref().map_or(&[][..], |named| &named.runs);
    let mut relied_on = Vec::new();
    let mut oldest_first = Vec::new();
    for id in newest_first.iter().rev() {
        let path = directory.join(run_file_name(*id));
        oldest_first.extend(describe(&**file_system, *id, &path)?);
        relied_on.push(path);
    }
    let mut legacy = Legacy::default();
    if let Some(log) = &listing.legacy_log {
        legacy.writes = last_writes(&**file_system, log)?;
        legacy.is_replayed = !legacy.writes.is_empty();
        // Bytes that say nothing may be somebody else's, or all that is left of something.
        let len = file_system.file_len(log);
        let len = len.map_err(|source| Error::io("look at", log, source))?;
        legacy.log_is_spent = len == 0;
        relied_on.push(log.clone());
    }
    legacy.debt = Some(AdoptionDebt {
        relied_on,
        set_aside,
    });
    let unused_run_id = named.map_or(1, |named| named.next_run_id);
    let first = VersionEdit {
        added: place_by_age(oldest_first, options),
        flushed_seqno: legacy.log_is_spent.then_some(LEGACY_LOG_SEQNO),
        ceilings: Some(Ceilings {
            run_id: unused_run_id.max(listing.unused_run_id).max(1),
            seqno: LEGACY_LOG_SEQNO + 1,
            ..Ceilings::default()
        }),
        legacy_log_live: Some(legacy.is_replayed || legacy.log_is_spent),
        ..VersionEdit::default()
    };
    let manifest = Manifest::adopt(Arc::clone(file_system), directory, identity, &first)?;
    Ok((manifest, legacy))
}

fn read_manifest(file_system: &dyn FileSystem, directory: &Path) -> Result<LegacyManifest> {
    let path = directory.join(MANIFEST_FILE_NAME);
    let bytes = lsm_fs::read_to_vec(file_system, &path, TEXT_MANIFEST_BYTES_MAX);
    let bytes = bytes.map_err(|error| Error::io("read", &path, error.source))?;
    LegacyManifest::parse(&bytes).map_err(|error| Error::Corruption {
        reason: "the manifest of lsm-db 1.x is damaged",
        detail: Some(error.to_string().into()),
        file: Some(path),
        offset: None,
        block: None,
    })
}

/// The runs that no manifest names and that the log does not make superfluous.
///
/// 1.x removes what its manifest does not name: an unfinished job leaves it. But a text manifest
/// has no checksum, and one that lost its last lines looks the same, so they are kept.
///
/// # Errors
/// [`Error::Corruption`] if no manifest names any run, and there are such.
fn unnamed_runs(
    file_system: &dyn FileSystem,
    directory: &Path,
    listing: &Listing,
    named: Option<&LegacyManifest>,
) -> Result<Vec<u64>> {
    let named_ids: HashSet<u64> = named
        .iter()
        .flat_map(|named| &named.runs)
        .copied()
        .collect();
    let unnamed: Vec<_> = listing
        .runs
        .iter()
        .filter(|(id, _)| !named_ids.contains(id))
        .cloned()
        .collect();
    let set_aside = not_replayed(file_system, &unnamed, listing.legacy_log.as_deref())?;
    match (set_aside.first(), named) {
        (Some(id), None) => Err(Error::corrupt_file(
            "runs without a manifest",
            &directory.join(run_file_name(*id)),
        )),
        (Some(_), Some(named)) if named.runs.is_empty() => Err(Error::corrupt_file(
            "the manifest of lsm-db 1.x names no run, and there are runs",
            &directory.join(MANIFEST_FILE_NAME),
        )),
        _ => Ok(set_aside),
    }
}

/// Reads and checks a run; `None` if it is sound and holds nothing.
fn describe(file_system: &dyn FileSystem, id: u64, path: &Path) -> Result<Option<Arc<RunMeta>>> {
    let run = match open_run(file_system, path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let reason = "a run that the manifest names is missing";
            return Err(Error::corrupt_file(reason, path));
        }
        opened => opened?,
    };
    let summary = verify(&run).map_err(|error| read_error(&error, path))?;
    let meta = (summary.entry_count > 0).then(|| {
        Arc::new(RunMeta {
            id,
            file_len: summary.file_len,
            entry_count: summary.entry_count,
            tombstone_count: summary.tombstone_count,
            index_len: summary.index_len,
            index_crc: summary.index_crc,
            smallest_key: summary.smallest_key,
            largest_key: summary.largest_key,
        })
    });
    Ok(meta)
}

/// Refuses runs and segments that no manifest speaks of, before anything is touched: they are
/// somebody's data. A run that a log of 1.x makes superfluous is none.
pub(crate) fn refuse_without_manifest(
    file_system: &dyn FileSystem,
    directory: &Path,
    listing: &Listing,
) -> Result<()> {
    if listing.has_manifest {
        return Ok(());
    }
    if let Some((_, segment)) = listing.segments.first() {
        let reason = "runs or log segments without a manifest";
        return Err(Error::corrupt_file(reason, segment));
    }
    unnamed_runs(file_system, directory, listing, None).map(drop)
}
