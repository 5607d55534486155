//! Adoption: a directory that `lsm-db` 1.x wrote becomes one of ours.
//!
//! Called by open. Reads every run once, because the text manifest says nothing of them but their
//! order; changes nothing. What is to be written is left to [`crate::settle`], as after any other
//! open, so that a store without room can be read all the same:
//!
//! 1. Runs and log of 1.x, and their names, are made durable.
//! 2. Our manifest takes the place of the text manifest, by one rename. It says how far the log
//!    goes, and which runs nobody named.
//! 3. Those runs are renamed, at this open or any later one.
//! 4. What the log says is flushed as one run, in one edit with the log's retirement. Until then
//!    no write is taken, so that no segment of ours is ever older than that edit.
//! 5. The log is unlinked.
//!
//! The whole log is one batch with the first seqno there is. So "the flushed seqno is past 0"
//! and "the log is retired" are the same, and it can never be replayed over what came later. That
//! there once was a log stays in the manifest: should its name come back after a power cut, it is
//! known for a leftover, while a `wal.log` beside any other store of ours is left alone. Which runs
//! nobody named stays there too: should the rename be lost, the run is not taken for a leftover.

use std::collections::HashSet;
use std::sync::Arc;

use lsm_compact::{PickerOptions, place_by_age};
use lsm_format::verify;
use lsm_fs::{Directory, FileName};
use lsm_version::{
    Ceilings, Identity, LEGACY_LOG_FILE_NAME, LegacyManifest, MANIFEST_FILE_NAME, Manifest,
    ManifestState, RUN_ID_MAX, RunMeta, VersionEdit, run_file_name,
};

use crate::legacy_log::{LegacyLog, LegacyWrites, Unexplained, open_run};
use crate::listing::Listing;
use crate::run::read_error;
use crate::{Error, Result};

/// The seqno of all that a log of 1.x holds.
pub(crate) const LEGACY_LOG_SEQNO: u64 = 1;

/// A text manifest of this length names more runs than anybody has.
const TEXT_MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// Run ids that are left for what we write, at least.
const RUN_IDS_MIN: u64 = 1 << 20;

/// What is still about of `lsm-db` 1.x.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    /// What its log says, if that is in no run yet.
    pub(crate) writes: LegacyWrites,
    /// Whether its log is to be replayed: until then nothing is written.
    pub(crate) is_replayed: bool,
    /// How long its log was when it was read.
    pub(crate) log_len: u64,
    /// Whether all of its log is in a run, or the file is empty: to be unlinked.
    pub(crate) log_is_spent: bool,
    /// Files that our manifest is going to rely on, if it has not taken the place of its own yet.
    pub(crate) relied_on: Option<Vec<FileName>>,
}

impl Legacy {
    /// What is left to do where our manifest is in place already.
    pub(crate) fn of_adopted(
        manifest: &Manifest,
        directory: &dyn Directory,
        listing: &Listing,
    ) -> Result<Self> {
        let state = manifest.state();
        let mut legacy = Self {
            is_replayed: state.replays_legacy_log(),
            log_is_spent: is_spent(state, directory, listing.legacy_log.as_ref())?,
            ..Self::default()
        };
        if let Some(end) = state.legacy_log_end.filter(|_| legacy.is_replayed) {
            listing.refuse_stand_ins()?;
            let Some(log) = &listing.legacy_log else {
                let path = directory.path_of(&LEGACY_LOG_FILE_NAME);
                return Err(Error::corrupt_file(
                    "the log of lsm-db 1.x is missing",
                    &path,
                ));
            };
            let found = LegacyLog::read(directory, log, &mut Unexplained::default())?;
            // A bad record at the end is no torn one if it was good when the log was taken over.
            if found.end < end || found.writes.is_empty() {
                return Err(Error::Corruption {
                    reason: "the log of lsm-db 1.x has lost what it held",
                    detail: Some(format!("it was good up to {end} when it was taken over").into()),
                    file: Some(directory.path_of(log)),
                    offset: Some(found.end),
                    block: None,
                });
            }
            legacy.writes = found.writes;
            legacy.log_len = found.len;
        }
        Ok(legacy)
    }
}

/// Whether the log is one whose writes are in a run. One that is shorter than it was, or has bytes
/// where it had none, is another file that somebody put there.
fn is_spent(
    state: &ManifestState,
    directory: &dyn Directory,
    log: Option<&FileName>,
) -> Result<bool> {
    let (true, Some(end), Some(log)) = (state.has_spent_legacy_log(), state.legacy_log_end, log)
    else {
        return Ok(false);
    };
    let len = directory.file_len(log);
    let len = len.map_err(|source| Error::io("look at", &directory.path_of(log), source))?;
    Ok(len >= end && (end > 0 || len == 0))
}

/// Takes over a directory that has a text manifest, or a log of 1.x and no manifest.
pub(crate) fn adopt(
    directory: &Arc<dyn Directory>,
    identity: Identity,
    options: &PickerOptions,
    listing: &Listing,
) -> Result<(Manifest, Legacy)> {
    let named = match listing.has_manifest {
        true => Some(read_manifest(&**directory)?),
        false => None,
    };
    listing.refuse_stand_ins()?;
    if let Some((_, segment)) = listing.segments.first() {
        return Err(Error::corrupt_file(
            "a log segment beside files of lsm-db 1.x, which writes none",
            &listing.path_of(segment),
        ));
    }
    let newest_first = named.as_ref().map_or(&[][..], |named| &named.runs);
    let unnamed = runs_without(newest_first, listing);
    let (log, unnamed) = read_log(&**directory, listing.legacy_log.as_ref(), &unnamed)?;
    refuse_unnamed(&**directory, named.as_ref(), &unnamed)?;
    let mut relied_on: Vec<FileName> = listing.legacy_log.iter().cloned().collect();
    let mut oldest_first = Vec::new();
    for id in newest_first.iter().rev() {
        oldest_first.extend(describe(&**directory, *id)?);
        relied_on.push(run_file_name(*id));
    }
    let legacy = Legacy {
        is_replayed: !log.writes.is_empty(),
        // Bytes that say nothing may be somebody else's, or all that is left of something.
        log_is_spent: listing.legacy_log.is_some() && log.len == 0,
        log_len: log.len,
        writes: log.writes,
        relied_on: Some(relied_on),
    };
    let unused_run_id = named.map_or(1, |named| named.next_run_id);
    let unused_run_id = unused_run_id.max(listing.unused_run_id).max(1);
    if unused_run_id > RUN_ID_MAX - RUN_IDS_MIN {
        // What is taken over could not even be flushed, and 1.x would not have it any more.
        let reason = "a run id at the end of the run ids, in a name or in the manifest";
        return Err(Error::corrupt_file(reason, directory.path()));
    }
    let first = VersionEdit {
        added: place_by_age(oldest_first, options),
        flushed_seqno: legacy.log_is_spent.then_some(LEGACY_LOG_SEQNO),
        ceilings: Some(Ceilings {
            run_id: unused_run_id,
            seqno: LEGACY_LOG_SEQNO + 1,
            ..Ceilings::default()
        }),
        legacy_log_end: (legacy.is_replayed || legacy.log_is_spent).then_some(log.end),
        unnamed,
        ..VersionEdit::default()
    };
    let manifest = Manifest::adopt(Arc::clone(directory), identity, &first)?;
    Ok((manifest, legacy))
}

fn read_manifest(directory: &dyn Directory) -> Result<LegacyManifest> {
    let path = directory.path_of(&MANIFEST_FILE_NAME);
    let bytes = lsm_fs::read_to_vec(directory, &MANIFEST_FILE_NAME, TEXT_MANIFEST_BYTES_MAX);
    let bytes = bytes.map_err(|error| Error::io("read", &path, error.source))?;
    LegacyManifest::parse(&bytes).map_err(|error| Error::Corruption {
        reason: "the manifest of lsm-db 1.x is damaged",
        detail: Some(error.to_string().into()),
        file: Some(path),
        offset: None,
        block: None,
    })
}

/// The runs that are there, but for those of these ids.
fn runs_without(ids: &[u64], listing: &Listing) -> Vec<(u64, FileName)> {
    let named: HashSet<u64> = ids.iter().copied().collect();
    let runs = listing.runs.iter().filter(|(id, _)| !named.contains(id));
    runs.cloned().collect()
}

/// Reads the log, if there is one; and tells which of the unnamed runs it does not make superfluous.
fn read_log(
    directory: &dyn Directory,
    log: Option<&FileName>,
    unnamed: &[(u64, FileName)],
) -> Result<(LegacyLog, Vec<u64>)> {
    let Some(name) = log else {
        let ids = unnamed.iter().map(|(id, _)| *id).collect();
        return Ok((LegacyLog::default(), ids));
    };
    let len = directory.file_len(name);
    let len = len.map_err(|source| Error::io("look at", &directory.path_of(name), source))?;
    let mut unexplained = Unexplained::load(directory, unnamed, len)?;
    let log = LegacyLog::read(directory, name, &mut unexplained)?;
    Ok((log, unexplained.runs()))
}

/// Refuses runs that nothing names nor makes superfluous, where no manifest names any run.
///
/// 1.x removes what its manifest does not name: an unfinished job leaves it. But a text manifest
/// has no checksum, and one that lost its last lines looks the same, so they are kept.
fn refuse_unnamed(
    directory: &dyn Directory,
    named: Option<&LegacyManifest>,
    unnamed: &[u64],
) -> Result<()> {
    match (unnamed.first(), named) {
        (Some(id), None) => Err(Error::no_manifest(
            "runs without a manifest",
            &directory.path_of(&run_file_name(*id)),
        )),
        (Some(_), Some(named)) if named.runs.is_empty() => Err(Error::corrupt_file(
            "the manifest of lsm-db 1.x names no run, and there are runs",
            &directory.path_of(&MANIFEST_FILE_NAME),
        )),
        _ => Ok(()),
    }
}

/// Reads and checks a run; `None` if it is sound and holds nothing.
fn describe(directory: &dyn Directory, id: u64) -> Result<Option<Arc<RunMeta>>> {
    let name = run_file_name(id);
    let path = directory.path_of(&name);
    let run = match open_run(directory, &name) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::missing_run(&path));
        }
        opened => opened?,
    };
    let summary = verify(&run).map_err(|error| read_error(&error, &path))?;
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

/// Refuses, by their names alone, files that no manifest speaks of, before anything is touched: they
/// are somebody's data. Beside a log of 1.x, runs are left to [`adopt`] to judge.
pub(crate) fn refuse_without_manifest(listing: &Listing) -> Result<()> {
    if listing.has_manifest {
        return Ok(());
    }
    listing.refuse_stand_ins()?;
    let run = listing
        .runs
        .first()
        .filter(|_| listing.legacy_log.is_none());
    match listing.segments.first().or(run) {
        Some((_, file)) => {
            let reason = "runs or log segments without a manifest";
            Err(Error::no_manifest(reason, &listing.path_of(file)))
        }
        None => Ok(()),
    }
}
