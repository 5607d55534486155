//! The log of `lsm-db` 1.x: what it says in the end, and which runs it makes superfluous.
//!
//! Called by open, for a directory that 1.x wrote. Reads only, the log once. The framing of the log
//! is `lsm-wal`'s and that of a batch `lsm-format`'s.

use std::collections::BTreeMap;

use bytes::Bytes;
use lsm_format::{CountedEntries, RunFile};
use lsm_fs::{Directory, FileName};
use lsm_wal::read_legacy_log;

use crate::run::{SeamFile, read_error};
use crate::{Error, Result};

/// What a log says of each of its keys in the end, `None` for a delete. Keys and values are slices
/// of what was read of the log.
pub(crate) type LegacyWrites = BTreeMap<Bytes, Option<Bytes>>;

/// A log that was read.
#[derive(Debug, Default)]
pub(crate) struct LegacyLog {
    pub(crate) writes: LegacyWrites,
    /// Where its good part ends, in bytes.
    pub(crate) end: u64,
    /// How long the file was, torn part included.
    pub(crate) len: u64,
}

impl LegacyLog {
    /// Reads all of it, and strikes what it writes from `unexplained`.
    pub(crate) fn read(
        directory: &dyn Directory,
        name: &FileName,
        unexplained: &mut Unexplained,
    ) -> Result<Self> {
        let path = directory.path_of(name);
        let len = directory.file_len(name);
        let len = len.map_err(|source| Error::io("look at", &path, source))?;
        let mut writes = LegacyWrites::new();
        let is_plausible = &CountedEntries::is_plausible;
        let end = read_legacy_log(directory, name, is_plausible, &mut |at, payload| {
            let damaged = |error: &lsm_format::Error| Error::Corruption {
                reason: error.reason(),
                detail: None,
                file: Some(path.clone()),
                offset: Some(at),
                block: None,
            };
            let entries = CountedEntries::new(&payload).map_err(|error| damaged(&error))?;
            for entry in entries {
                let (key, entry) = entry.map_err(|error| damaged(&error))?;
                let value = entry.value();
                unexplained.strike(key, value);
                let value = value.map(|value| payload.slice_ref(value));
                writes.insert(payload.slice_ref(key), value);
            }
            Ok(())
        });
        Ok(Self {
            writes,
            end: end.map_err(Error::from)?,
            len,
        })
    }
}

/// Runs that hold a write which the log, as far as it was read, does not make.
///
/// A run whose every entry is in the log is what `lsm-db` 1.x leaves when it dies between writing
/// a run and naming it in its manifest: the log alone is enough.
#[derive(Debug, Default)]
pub(crate) struct Unexplained {
    /// Sorted by key and value.
    entries: Vec<UnexplainedEntry>,
    /// The runs, and how many of each one's entries are left.
    entries_left: Vec<(u64, usize)>,
}

#[derive(Debug)]
struct UnexplainedEntry {
    key: Bytes,
    value: Option<Bytes>,
    /// The place in `entries_left` of the run that holds it; `None` once the log made it.
    run: Option<usize>,
}

impl UnexplainedEntry {
    fn parts(&self) -> (&[u8], Option<&[u8]>) {
        (&self.key, self.value.as_deref())
    }
}

impl Unexplained {
    /// Takes the entries of `runs`, no more bytes of them than the log has: it cannot explain more.
    pub(crate) fn load<'a>(
        directory: &dyn Directory,
        runs: impl IntoIterator<Item = &'a (u64, FileName)>,
        log_bytes: u64,
    ) -> Result<Self> {
        let mut unexplained = Self::default();
        let mut bytes_left = log_bytes;
        for (id, name) in runs {
            let at = unexplained.entries_left.len();
            let loaded = match entry_bytes(directory, name)? {
                Some(bytes) if bytes <= bytes_left => {
                    bytes_left -= bytes;
                    unexplained.load_run(directory, name, at)?
                }
                // One that holds more than the log, or is none, cannot be explained.
                _ => None,
            };
            unexplained.entries_left.push((*id, loaded.unwrap_or(1)));
        }
        let entries = &mut unexplained.entries;
        entries.sort_unstable_by(|a, b| a.parts().cmp(&b.parts()));
        Ok(unexplained)
    }

    /// How many entries the run has; `None` if it is damaged.
    fn load_run(
        &mut self,
        directory: &dyn Directory,
        name: &FileName,
        at: usize,
    ) -> Result<Option<usize>> {
        let before = self.entries.len();
        let entries = &mut self.entries;
        let visit = &mut |key, value| {
            let run = Some(at);
            entries.push(UnexplainedEntry { key, value, run });
        };
        match for_each_entry(directory, name, visit) {
            Ok(()) => Ok(Some(self.entries.len() - before)),
            Err(Error::Corruption { .. }) => {
                self.entries.truncate(before);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The log makes this write.
    fn strike(&mut self, key: &[u8], value: Option<&[u8]>) {
        let entry = (key, value);
        let first = self.entries.partition_point(|held| held.parts() < entry);
        for held in self.entries.iter_mut().skip(first) {
            // All that are equal are struck at once.
            let Some(run) = held.run.filter(|_| held.parts() == entry) else {
                return;
            };
            held.run = None;
            if let Some((_, left)) = self.entries_left.get_mut(run) {
                *left -= 1;
            }
        }
    }

    /// The runs that are not explained.
    pub(crate) fn runs(&self) -> Vec<u64> {
        let left = self.entries_left.iter().filter(|(_, left)| *left > 0);
        left.map(|(id, _)| *id).collect()
    }
}

/// How many bytes the entries of a run take; `None` if the file is no run.
fn entry_bytes(directory: &dyn Directory, name: &FileName) -> Result<Option<u64>> {
    match open_run(directory, name) {
        Ok(run) => Ok(Some(run.footer().index_offset)),
        Err(Error::Corruption { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a run that no manifest has described.
pub(crate) fn open_run(directory: &dyn Directory, name: &FileName) -> Result<RunFile<SeamFile>> {
    let path = directory.path_of(name);
    let file = directory
        .open(name)
        .map_err(|source| Error::io("open a run", &path, source))?;
    let len = file
        .len()
        .map_err(|source| Error::io("look at a run", &path, source))?;
    RunFile::open(SeamFile::new(file), len).map_err(|error| read_error(&error, &path))
}

fn for_each_entry(
    directory: &dyn Directory,
    name: &FileName,
    visit: &mut dyn FnMut(Bytes, Option<Bytes>),
) -> Result<()> {
    let damaged = |error| read_error(&error, &directory.path_of(name));
    let run = open_run(directory, name)?;
    let index = run.load_index().map_err(damaged)?;
    for at in 0..index.block_count() {
        let block = run.read_block(&index, at).map_err(damaged)?;
        for position in 0..block.len() {
            visit(block.key_bytes(position), block.value_bytes(position));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &'static str, value: Option<&'static str>, run: usize) -> UnexplainedEntry {
        UnexplainedEntry {
            key: key.into(),
            value: value.map(Bytes::from),
            run: Some(run),
        }
    }

    #[test]
    fn a_run_is_explained_once_each_of_its_entries_was_made_at_some_time() {
        let mut unexplained = Unexplained {
            entries: vec![
                entry("a", None, 1),
                entry("a", Some("1"), 0),
                entry("b", Some("1"), 0),
                entry("b", Some("1"), 1),
                entry("b", Some("2"), 2),
            ],
            entries_left: vec![(10, 2), (11, 2), (12, 1), (13, 1)],
        };
        let mut strike = |key: &str, value: Option<&str>| {
            unexplained.strike(key.as_bytes(), value.map(str::as_bytes));
            unexplained.runs()
        };
        assert_eq!(strike("b", Some("1")), [10, 11, 12, 13]);
        assert_eq!(strike("b", Some("1")), [10, 11, 12, 13], "the same again");
        assert_eq!(strike("a", None), [10, 12, 13]);
        assert_eq!(strike("a", Some("0")), [10, 12, 13]);
        assert_eq!(strike("a", Some("1")), [12, 13]);
        assert_eq!(strike("c", Some("2")), [12, 13]);
        assert_eq!(strike("b", Some("2")), [13], "13 could not be read");
    }
}
