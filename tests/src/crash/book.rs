//! What is known of a script while it is played: what was promised so far, and how far it got.
//!
//! Written by the player, read by the sweeps in the middle of its operations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lsm_db::LsmConfig;

use super::History;

/// What a watcher may ask at any moment.
#[derive(Debug, Clone)]
pub(super) struct Book {
    pub history: History,
    pub config: LsmConfig,
    /// The step that is being played.
    pub step: usize,
}

pub(super) type SharedBook = Arc<Mutex<Book>>;

pub(super) fn read(book: &SharedBook) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a script got: by this a scenario tells whether it reached what it is named for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Memtables flushed.
    pub flushes: u64,
    /// Merges done; moves are not counted.
    pub compactions: u64,
    /// Runs at each level at the end, level 0 first.
    pub runs: Vec<usize>,
    /// Log segments created.
    pub segments_created: u64,
    /// Run files created.
    pub runs_created: u64,
    /// Manifests built and renamed into place.
    pub manifests_built: u64,
    /// Edits appended to a manifest.
    pub manifest_appends: u64,
    /// Times that recovery wrote the tail of the log again.
    pub tails_rewritten: u64,
    /// Files unlinked.
    pub removals: u64,
    /// Whether a handle was poisoned.
    pub poisoned: bool,
    /// Mutating operations.
    pub operations: u64,
}
