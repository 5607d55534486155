//! The two ways onto the disk: a whole file built beside and renamed into place, or one record
//! appended to the file that this handle built.
//!
//! Called by [`Manifest::commit`](crate::Manifest::commit). Decides nothing: which way to take, and
//! what a failure means for later commits, is the manifest's.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsm_fs::{Directory, File, FileName};
use lsm_wal::{FrameBuffer, FrameKey, Position};

use super::error::CommitError;
use super::header::{HEADER_BYTES, Header, Identity};
use super::record;
use crate::{MANIFEST_FILE_NAME, MANIFEST_TEMP_FILE_NAME, ManifestState, VersionEdit};

/// A file may outgrow its snapshot by this much, whatever the snapshot's length.
const GROWTH_BYTES_MIN: u64 = 1 << 20;

/// Past the minimum, a file may be this many times as long as its snapshot.
const GROWTH_FACTOR: u64 = 4;

/// The manifest file that this handle built, open for appending.
#[derive(Debug)]
pub(crate) struct Writer {
    dir: Arc<dyn Directory>,
    file: Arc<dyn File>,
    path: PathBuf,
    key: FrameKey,
    snapshot_len: u64,
    /// Where the next record goes; everything before it is durable.
    len: u64,
    record_count: u64,
}

/// Whether a file of `file_len` bytes, of which the snapshot takes `snapshot_len`, should be
/// rewritten. Both include the header. The total written stays within a small factor of the edits.
pub(crate) fn is_outgrown(file_len: u64, snapshot_len: u64) -> bool {
    let allowed = snapshot_len.saturating_mul(GROWTH_FACTOR);
    file_len > allowed.saturating_add(GROWTH_BYTES_MIN)
}

impl Writer {
    /// Builds a file that holds `state` alone and puts it in the place of `MANIFEST` in `dir`.
    ///
    /// Durable when it returns. [`CommitError::NotWritten`] before the rename,
    /// [`CommitError::FateUnknown`] from then on.
    pub(crate) fn rewrite(
        dir: &Arc<dyn Directory>,
        identity: Identity,
        generation: u64,
        state: &ManifestState,
    ) -> Result<Self, CommitError> {
        let (name, temp) = (MANIFEST_FILE_NAME, MANIFEST_TEMP_FILE_NAME);
        match dir.unlink(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(not_written("remove", dir.path_of(&temp), error));
            }
            Ok(()) | Err(_) => {}
        }
        let key = FrameKey::new(identity.database_id, generation);
        let mut records = FrameBuffer::new();
        for (number, edit) in (1..).zip(record::snapshot(state)) {
            records.push(record::kind_of(&edit), 0, number, |payload| {
                record::encode(&edit, payload);
            });
        }
        // Records of the snapshot claim the header only: the header vouches for them.
        records.seal(&key, HEADER_BYTES, place(generation, HEADER_BYTES));
        let snapshot_len = HEADER_BYTES + records.as_bytes().len() as u64;
        let header = Header {
            generation,
            identity,
            snapshot_len,
        }
        .encode();
        let file = build(&**dir, &temp, &header, records.as_bytes()).inspect_err(|_| {
            // Gives back the room it took; if that fails too, the next rewrite removes it.
            let _ = dir.unlink(&temp);
        })?;
        dir.rename(&temp, &name)
            .map_err(|error| fate_unknown("replace", dir.path_of(&name), error))?;
        dir.sync()
            .map_err(|error| fate_unknown("sync directory", dir.path().to_owned(), error))?;
        let writer = Self {
            dir: Arc::clone(dir),
            file,
            path: dir.path_of(&name),
            key,
            snapshot_len,
            len: snapshot_len,
            record_count: records.frame_count() as u64,
        };
        writer.check_linked()?;
        Ok(writer)
    }

    /// The record of `edit`, or `None` if it is too long for one.
    pub(crate) fn record(&self, edit: &VersionEdit) -> Option<FrameBuffer> {
        let mut frame = FrameBuffer::new();
        let number = self.record_count + 1;
        let payload = frame.push(record::kind_of(edit), 0, number, |payload| {
            record::encode(edit, payload);
        });
        // Everything before this record was synced, so that is what it claims.
        let claim = place(self.key.file_id(), self.len);
        frame.seal(&self.key, self.len, claim);
        (payload.len() <= record::RECORD_BYTES_MAX).then_some(frame)
    }

    /// Whether appending `record` would make the file due for a rewrite.
    pub(crate) fn would_outgrow(&self, record: &FrameBuffer) -> bool {
        let record_len = record.as_bytes().len() as u64;
        is_outgrown(self.len.saturating_add(record_len), self.snapshot_len)
    }

    /// Appends a record made by [`record`](Self::record) and syncs it.
    ///
    /// After any error the writer must be dropped. [`CommitError::NotWritten`] says that the bytes
    /// were cut off again, durably: a record that was rejected never comes back.
    pub(crate) fn append(&mut self, record: &FrameBuffer) -> Result<(), CommitError> {
        if let Err(error) = self.file.append_all(record.as_bytes()) {
            // All of the record may have reached the file, and even the disk.
            let cut = self
                .file
                .truncate(self.len)
                .map_err(|error| ("truncate", error));
            let cut = cut.and_then(|()| self.file.sync().map_err(|error| ("sync", error)));
            return Err(match cut {
                Ok(()) => not_written("append to", self.path.clone(), error),
                Err((operation, error)) => fate_unknown(operation, self.path.clone(), error),
            });
        }
        self.file
            .sync()
            .map_err(|error| fate_unknown("sync", self.path.clone(), error))?;
        self.check_linked()?;
        self.len += record.as_bytes().len() as u64;
        self.record_count += 1;
        Ok(())
    }

    /// Checks after a sync that what was synced can be found again: a removed file or directory is
    /// synced without an error.
    pub(crate) fn check_linked(&self) -> Result<(), CommitError> {
        still_linked(self.dir.path(), self.dir.is_linked())?;
        still_linked(&self.path, self.file.is_linked())
    }
}

/// Checks what a directory or the file at `path` answered.
fn still_linked(path: &Path, is_linked: io::Result<bool>) -> Result<(), CommitError> {
    match is_linked {
        Ok(true) => Ok(()),
        Ok(false) => Err(CommitError::DirectoryGone {
            path: path.to_owned(),
        }),
        Err(error) => Err(fate_unknown("look at", path.to_owned(), error)),
    }
}

/// Writes and syncs a new file; keeps its handle, which will append to it under its later name.
fn build(
    dir: &dyn Directory,
    name: &FileName,
    header: &[u8],
    records: &[u8],
) -> Result<Arc<dyn File>, CommitError> {
    let failed = |operation| move |error| not_written(operation, dir.path_of(name), error);
    let file = match dir.create_new(name) {
        // No name can be made in a directory that was removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            still_linked(dir.path(), dir.is_linked())?;
            return Err(failed("create")(error));
        }
        created => created.map_err(failed("create"))?,
    };
    file.append_all(header)
        .and_then(|()| file.append_all(records))
        .map_err(failed("write"))?;
    // A failure is not final here: the file has no name that counts, and the next try makes a
    // new one.
    file.sync().map_err(failed("sync"))?;
    Ok(file)
}

fn place(generation: u64, offset: u64) -> Position {
    Position {
        segment: generation,
        offset,
    }
}

fn not_written(operation: &'static str, path: PathBuf, source: io::Error) -> CommitError {
    CommitError::NotWritten {
        operation,
        path,
        source,
    }
}

fn fate_unknown(operation: &'static str, path: PathBuf, source: io::Error) -> CommitError {
    CommitError::FateUnknown {
        operation,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_rewritten_once_it_is_several_times_its_snapshot() {
        const MIB: u64 = 1 << 20;
        for (file_len, snapshot_len, outgrown) in [
            (64, 64, false),
            (MIB, 64, false),
            (MIB + 4 * 64, 64, false),
            (MIB + 4 * 64 + 1, 64, true),
            (9 * MIB, 2 * MIB, false),
            (9 * MIB + 1, 2 * MIB, true),
            (u64::MAX, u64::MAX / 2, false),
        ] {
            let found = is_outgrown(file_len, snapshot_len);
            assert_eq!(found, outgrown, "{file_len} over {snapshot_len}");
        }
    }
}
