//! From the bytes of a manifest file back to the state they record.
//!
//! Called when a manifest is loaded. Reads once, from front to back, and writes nothing. Memory is
//! linear in the file: a decoded run takes at most about sixty times its bytes in the file.
//!
//! Invariants:
//! 1. A bad record is damage if it starts in the part that was synced before the file got its
//!    name, or if a later header claims durability past it; otherwise it was never acknowledged,
//!    and the state is the one before it.
//! 2. A record whose checksums match is never skipped for what it says: it is applied, or the load
//!    fails.
//! 3. Runs are placed by id until the end is reached, and only then by key: a run that a later
//!    edit removes is never asked for its keys, since its file may be gone.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use lsm_fs::{Directory, File};
use lsm_wal::{FrameHeader, FrameKey, FrameReader, Position, Step, later_claim};

use super::ResolveKeys;
use super::error::LoadError;
use super::header::{BadHeader, HEADER_BYTES, HEADER_LEN, Header};
use super::record::{self, DecodedEdit, DecodedRun, KIND_CLEAN, KIND_EDIT};
use crate::legacy::LegacyManifest;
use crate::{
    EditError, InvariantViolation, LEVEL_COUNT_MAX, MANIFEST_FILE_NAME, ManifestState, RunId,
    Version,
};

/// What a manifest file says.
pub(crate) struct Replayed {
    pub(crate) header: Header,
    pub(crate) state: ManifestState,
    /// Whether bytes that were never acknowledged were ignored at the end.
    pub(crate) torn: bool,
}

/// Reads the manifest in `dir`.
pub(crate) fn replay<E: StdError + 'static>(
    dir: &dyn Directory,
    resolve: &mut ResolveKeys<'_, E>,
) -> Result<Replayed, LoadError<E>> {
    let path = &*dir.path_of(&MANIFEST_FILE_NAME);
    let file = dir.open(&MANIFEST_FILE_NAME).map_err(|source| {
        if source.kind() == std::io::ErrorKind::NotFound {
            return LoadError::Missing {
                path: path.to_owned(),
            };
        }
        io_error("open", path, source)
    })?;
    let header = read_header(file.as_ref(), path)?;
    let key = FrameKey::new(header.identity.database_id, header.generation);
    let mut reader = FrameReader::new(Arc::clone(&file), path, key.clone(), HEADER_BYTES, None)
        .map_err(|error| frame_error(path, error))?;
    let mut replay = Replay::default();
    let (end, torn) = loop {
        match reader.next().map_err(|error| frame_error(path, error))? {
            Step::Record {
                offset,
                header,
                payload,
            } => {
                replay.record(path, offset, &header, &payload)?;
            }
            Step::End { offset } => break (offset, false),
            Step::Bad { offset } => break (offset, true),
        }
    };
    if end < header.snapshot_len {
        let reason = format!(
            "the snapshot does not reach its end at {}",
            header.snapshot_len
        );
        return Err(damaged(path, end, reason));
    }
    if torn {
        if replay.state.clean {
            return Err(damaged(path, end, "bytes follow the mark of a clean close"));
        }
        let past = Position {
            segment: header.generation,
            offset: end,
        };
        let claim = later_claim(file.as_ref(), path, &key, end, past)
            .map_err(|error| frame_error(path, error))?;
        if let Some(claim) = claim {
            let reason = format!("the record at {} was written after it", claim.at.offset);
            return Err(damaged(path, end, reason));
        }
    }
    let state = replay.finish(path, end, resolve)?;
    Ok(Replayed {
        header,
        state,
        torn,
    })
}

fn read_header<E: StdError + 'static>(
    file: &dyn File,
    path: &Path,
) -> Result<Header, LoadError<E>> {
    let file_len = file
        .len()
        .map_err(|source| io_error("measure", path, source))?;
    let mut bytes = [0; HEADER_LEN];
    let present = usize::try_from(file_len)
        .unwrap_or(HEADER_LEN)
        .min(HEADER_LEN);
    let bytes = bytes.get_mut(..present).unwrap_or_default();
    file.read_exact_at(bytes, 0)
        .map_err(|source| io_error("read", path, source))?;
    Header::decode(bytes).map_err(|bad| match bad {
        BadHeader::Magic if LegacyManifest::is_start_of_one(bytes) => LoadError::Legacy {
            path: path.to_owned(),
        },
        BadHeader::Magic => LoadError::NotAManifest {
            path: path.to_owned(),
        },
        BadHeader::Version(version) => LoadError::UnsupportedVersion {
            path: path.to_owned(),
            version,
        },
        BadHeader::Damaged(reason) => damaged(path, 0, reason),
    })
}

/// The state as far as it was read: everything but the runs in `state`, the runs by id.
#[derive(Default)]
struct Replay {
    state: ManifestState,
    runs: HashMap<RunId, Placed>,
    record_count: u64,
    placed_count: u64,
}

struct Placed {
    /// Counts the runs in the order they were added; orders level 0.
    sequence: u64,
    run: DecodedRun,
}

impl Replay {
    fn record<E: StdError + 'static>(
        &mut self,
        path: &Path,
        offset: u64,
        header: &FrameHeader,
        payload: &[u8],
    ) -> Result<(), LoadError<E>> {
        self.record_count += 1;
        if header.seqno != self.record_count {
            let reason = format!(
                "record {} stands where {} should",
                header.seqno, self.record_count
            );
            return Err(damaged(path, offset, reason));
        }
        if self.state.clean {
            return Err(damaged(
                path,
                offset,
                "a record follows the mark of a clean close",
            ));
        }
        if !matches!(header.kind, KIND_EDIT | KIND_CLEAN) {
            if !header.must_understand() {
                return Ok(());
            }
            let (path, kind) = (path.to_owned(), header.kind);
            return Err(LoadError::UnknownKind { path, offset, kind });
        }
        if header.keyspace != 0 {
            return Err(damaged(
                path,
                offset,
                "a record is for a keyspace that does not exist",
            ));
        }
        let edit = record::decode(header.kind, payload);
        let edit = edit.map_err(|reason| damaged(path, offset, reason))?;
        self.apply(edit)
            .map_err(|error| damaged(path, offset, error.to_string()))
    }

    fn apply(&mut self, decoded: DecodedEdit) -> Result<(), EditError> {
        let DecodedEdit { edit, added } = decoded;
        if edit.clean && !added.is_empty() {
            let reason = "the mark of a clean close must not change runs";
            return Err(EditError::Contradiction { reason });
        }
        self.state.apply_scalars(&edit)?;
        for (level, run) in edit.removed {
            let level = usize::from(level);
            let present = self.runs.get(&run);
            if present.is_none_or(|placed| usize::from(placed.run.run.level) != level) {
                return Err(EditError::MissingRun { level, run });
            }
            self.runs.remove(&run);
        }
        for run in added {
            self.place(run)?;
        }
        Ok(())
    }

    fn place(&mut self, run: DecodedRun) -> Result<(), EditError> {
        let (id, level) = (run.run.id, usize::from(run.run.level));
        self.state.check_run_id(id)?;
        if level >= LEVEL_COUNT_MAX {
            return Err(InvariantViolation::LevelTooDeep { level, run: id }.into());
        }
        self.placed_count += 1;
        let sequence = self.placed_count;
        if let Some(other) = self.runs.insert(id, Placed { sequence, run }) {
            let other_level = usize::from(other.run.run.level);
            return Err(InvariantViolation::DuplicateRun {
                run: id,
                level,
                other_level,
            }
            .into());
        }
        Ok(())
    }

    fn finish<E: StdError + 'static>(
        self,
        path: &Path,
        end: u64,
        resolve: &mut ResolveKeys<'_, E>,
    ) -> Result<ManifestState, LoadError<E>> {
        let mut placed: Vec<Placed> = self.runs.into_values().collect();
        // Newest first, which is the order of level 0; deeper levels are sorted by key below.
        placed.sort_unstable_by_key(|placed| std::cmp::Reverse(placed.sequence));
        let mut levels: Vec<Vec<_>> = vec![Vec::new(); LEVEL_COUNT_MAX];
        for Placed {
            run: DecodedRun { run, keys },
            ..
        } in placed
        {
            // A clean edit may have lowered the ceiling since the run was added.
            self.state
                .check_run_id(run.id)
                .map_err(|error| damaged(path, end, error.to_string()))?;
            let (smallest, largest) = match keys {
                Some(keys) => keys,
                None => resolve(&run).map_err(|source| LoadError::Resolve {
                    run: run.id,
                    source,
                })?,
            };
            if let Some(level) = levels.get_mut(usize::from(run.level)) {
                level.push(Arc::new(run.with_keys(smallest, largest)));
            }
        }
        let version = Version::from_runs(levels)
            .map_err(|violation| damaged(path, end, violation.to_string()))?;
        Ok(ManifestState {
            version: Arc::new(version),
            ..self.state
        })
    }
}

fn damaged<E: StdError + 'static>(
    path: &Path,
    offset: u64,
    reason: impl Into<String>,
) -> LoadError<E> {
    LoadError::Damaged {
        path: path.to_owned(),
        offset,
        reason: reason.into(),
    }
}

fn io_error<E: StdError + 'static>(
    operation: &'static str,
    path: &Path,
    source: std::io::Error,
) -> LoadError<E> {
    LoadError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

/// Reading frames fails only when the file system does.
fn frame_error<E: StdError + 'static>(path: &Path, error: lsm_wal::Error) -> LoadError<E> {
    match error {
        lsm_wal::Error::Io {
            operation,
            path,
            source,
        } => LoadError::Io {
            operation,
            path,
            source,
        },
        other => io_error("read", path, std::io::Error::other(other)),
    }
}
