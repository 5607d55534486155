//! The log of `lsm-db` 1.x: what it says in the end, and which runs it makes superfluous.
//!
//! Called by open, for a directory that 1.x wrote. Reads only. The framing of the log is
//! `lsm-wal`'s and that of a batch `lsm-format`'s.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use lsm_format::{CountedEntries, RunFile};
use lsm_fs::FileSystem;
use lsm_wal::read_legacy_log;

use crate::run::{SeamFile, read_error};
use crate::{Error, Result};

/// What a log says of each of its keys in the end: as much memory as `lsm-db` 1.x took for them.
pub(crate) type LegacyWrites = BTreeMap<Bytes, Option<Bytes>>;

/// Is shown each key and its new value, `None` for a delete.
type Visit<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// What all of a log amounts to.
pub(crate) fn last_writes(file_system: &dyn FileSystem, log: &Path) -> Result<LegacyWrites> {
    let mut writes = LegacyWrites::new();
    read(file_system, log, &mut |key, value| {
        let value = value.map(Bytes::copy_from_slice);
        writes.insert(Bytes::copy_from_slice(key), value);
    })?;
    Ok(writes)
}

/// Calls `visit` with every write of the log, in order.
fn read(file_system: &dyn FileSystem, log: &Path, visit: &mut Visit<'_>) -> Result<()> {
    let is_plausible = &CountedEntries::is_plausible;
    let end = read_legacy_log(file_system, log, is_plausible, &mut |at, payload| {
        let damaged = |error: &lsm_format::Error| Error::Corruption {
            reason: error.reason(),
            detail: None,
            file: Some(log.to_path_buf()),
            offset: Some(at),
            block: None,
        };
        let entries = CountedEntries::new(&payload).map_err(|error| damaged(&error))?;
        for entry in entries {
            let (key, entry) = entry.map_err(|error| damaged(&error))?;
            visit(key, entry.value());
        }
        Ok(())
    });
    end.map(drop).map_err(Error::from)
}

/// Which of `runs` hold a write that the log, if there is one, does not make.
///
/// A run whose every entry is in the log is what `lsm-db` 1.x leaves when it dies between writing
/// a run and naming it in its manifest: the log alone is enough. Memory is bounded by the log's
/// length.
pub(crate) fn not_replayed<'a>(
    file_system: &dyn FileSystem,
    runs: impl IntoIterator<Item = &'a (u64, PathBuf)>,
    log: Option<&Path>,
) -> Result<Vec<u64>> {
    let mut unexplained = Unexplained::default();
    let log_bytes = match log {
        Some(log) => file_system
            .file_len(log)
            .map_err(|source| Error::io("look at", log, source))?,
        None => 0,
    };
    let mut bytes_left = log_bytes;
    for (id, path) in runs {
        unexplained.entries_left.push((*id, 1));
        match entry_bytes(file_system, path)? {
            // One that holds more than the log, or is none, cannot be explained.
            Some(bytes) if bytes <= bytes_left => {
                bytes_left -= bytes;
                unexplained.load(file_system, path)?;
            }
            _ => {}
        }
    }
    if let Some(log) = log
        && !unexplained.entries.is_empty()
    {
        read(file_system, log, &mut |key, value| {
            unexplained.strike(key, value)
        })?;
    }
    let left = unexplained.entries_left.into_iter();
    Ok(left
        .filter(|(_, left)| *left > 0)
        .map(|(id, _)| id)
        .collect())
}

type OwnedEntry = (Bytes, Option<Bytes>);

/// Entries of runs that the log has not made yet.
#[derive(Default)]
struct Unexplained {
    /// The runs, by their place in `entries_left`, that hold an entry.
    entries: HashMap<OwnedEntry, Vec<usize>>,
    /// How many of each run's entries are left.
    entries_left: Vec<(u64, usize)>,
}

impl Unexplained {
    /// Takes the entries of the run that was named last.
    fn load(&mut self, file_system: &dyn FileSystem, path: &Path) -> Result<()> {
        let Some(at) = self.entries_left.len().checked_sub(1) else {
            return Ok(());
        };
        let mut entries = Vec::new();
        match for_each_entry(file_system, path, &mut |entry| entries.push(entry)) {
            // Damaged: not explained.
            Err(Error::Corruption { .. }) => return Ok(()),
            read => read?,
        }
        if let Some((_, left)) = self.entries_left.get_mut(at) {
            *left = entries.len();
        }
        for entry in entries {
            self.entries.entry(entry).or_default().push(at);
        }
        Ok(())
    }

    fn strike(&mut self, key: &[u8], value: Option<&[u8]>) {
        let entry = (
            Bytes::copy_from_slice(key),
            value.map(Bytes::copy_from_slice),
        );
        for at in self.entries.remove(&entry).into_iter().flatten() {
            if let Some((_, left)) = self.entries_left.get_mut(at) {
                *left -= 1;
            }
        }
    }
}

/// How many bytes the entries of a run take; `None` if the file is no run.
fn entry_bytes(file_system: &dyn FileSystem, path: &Path) -> Result<Option<u64>> {
    match open_run(file_system, path) {
        Ok(run) => Ok(Some(run.footer().index_offset)),
        Err(Error::Corruption { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a run that no manifest has described.
pub(crate) fn open_run(file_system: &dyn FileSystem, path: &Path) -> Result<RunFile<SeamFile>> {
    let file = file_system
        .open(path)
        .map_err(|source| Error::io("open a run", path, source))?;
    let len = file
        .len()
        .map_err(|source| Error::io("look at a run", path, source))?;
    RunFile::open(SeamFile::new(file), len).map_err(|error| read_error(&error, path))
}

fn for_each_entry(
    file_system: &dyn FileSystem,
    path: &Path,
    visit: &mut dyn FnMut(OwnedEntry),
) -> Result<()> {
    let damaged = |error| read_error(&error, path);
    let run = open_run(file_system, path)?;
    let index = run.load_index().map_err(damaged)?;
    for at in 0..index.block_count() {
        let block = run.read_block(&index, at).map_err(damaged)?;
        for position in 0..block.len() {
            let (key, entry) = block.key_and_entry(position);
            let value = entry.value().map(Bytes::copy_from_slice);
            visit((Bytes::copy_from_slice(key), value));
        }
    }
    Ok(())
}
