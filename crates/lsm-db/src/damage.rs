//! The damage that reads met: which files could not be read, and how often.
//!
//! Told by runs, on the way of an error to its reader; asked by `stats`. It decides nothing: what is
//! set aside, and what is tried again, is the compaction's to say.
//!
//! 1. A read that fails counts once, whoever reads: a caller, a compaction, the making of a filter.
//! 2. A read that succeeds pays nothing for it.
//! 3. A run that is gone takes its damage along, so there are never more entries than runs.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use lsm_version::RunId;

use crate::Error;
use crate::run::RunContext;
use crate::stats::DamagedFile;
use crate::sync::locked;

/// What reads met, by run.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    met: Mutex<BTreeMap<RunId, Met>>,
}

#[derive(Debug)]
struct Met {
    reads_failed: u64,
    latest: Arc<Error>,
}

impl Damage {
    /// A read of the run's file failed.
    #[cold]
    pub(crate) fn note(&self, run: RunId, error: &Error) {
        if !tells_of_the_file(error) {
            return;
        }
        let latest = Arc::new(error.duplicate());
        let mut met = locked(&self.met);
        let met = met.entry(run).or_insert_with(|| Met {
            reads_failed: 0,
            latest: Arc::clone(&latest),
        });
        met.reads_failed = met.reads_failed.saturating_add(1);
        met.latest = latest;
    }

    /// The run is gone.
    pub(crate) fn forget(&self, run: RunId) {
        locked(&self.met).remove(&run);
    }

    /// What was found wrong with a file's bytes and not with its reading, in the oldest such file.
    pub(crate) fn error(&self) -> Option<Arc<Error>> {
        let met = locked(&self.met);
        let mut latest = met.values().map(|met| &met.latest);
        latest
            .find(|error| matches!(***error, Error::Corruption { .. }))
            .cloned()
    }

    /// All of it, for `stats`.
    pub(crate) fn files(&self, context: &RunContext) -> Vec<DamagedFile> {
        let met = locked(&self.met);
        let files = met.iter().map(|(run, met)| DamagedFile {
            file: context.run_path(*run),
            reads_failed: met.reads_failed,
            error: met.latest.in_full(),
        });
        files.collect()
    }
}

/// Whether an error says something of the file, and not of the process that reads it: it has no memory
/// or no handle left, or is another than the one that opened the store.
fn tells_of_the_file(error: &Error) -> bool {
    match error {
        Error::Corruption { .. } => true,
        Error::Io { source, .. } => {
            source.kind() != io::ErrorKind::OutOfMemory && !lsm_fs::is_too_many_open_files(source)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn io_error(source: io::Error) -> Error {
        Error::io("read a run", Path::new("run"), source)
    }

    #[test]
    fn what_the_process_lacks_is_no_damage_of_the_file() {
        let damage = Damage::default();
        damage.note(1, &io_error(io::ErrorKind::OutOfMemory.into()));
        damage.note(1, &io_error(io::Error::from_raw_os_error(24)));
        damage.note(1, &Error::ForkedProcess);
        assert!(locked(&damage.met).is_empty());
    }

    #[test]
    fn failed_reads_are_counted_by_file_until_it_is_gone() {
        let damage = Damage::default();
        for _ in 0..3 {
            damage.note(2, &io_error(io::ErrorKind::Other.into()));
        }
        assert!(damage.error().is_none(), "it may be readable again");
        damage.note(
            1,
            &Error::corrupt_file("not what was written", Path::new("run")),
        );
        assert!(damage.error().is_some_and(|error| error.is_fatal()));
        let counts = || {
            let met = locked(&damage.met);
            met.iter()
                .map(|(run, met)| (*run, met.reads_failed))
                .collect::<Vec<_>>()
        };
        assert_eq!(counts(), [(1, 1), (2, 3)]);
        damage.forget(1);
        assert!(damage.error().is_none());
        assert_eq!(counts(), [(2, 3)]);
    }
}
