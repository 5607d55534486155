//! The lanes of background work: each runs its tasks one at a time.

/// Writes sealed memtables as runs, oldest first.
pub(crate) const FLUSH: usize = 0;
/// Merges runs.
pub(crate) const COMPACT: usize = 1;
/// Frees what readers and writers should not have to wait for.
pub(crate) const FREE: usize = 2;
/// Unlinks. Behind the others, so that what they leave at shutdown is still unlinked.
pub(crate) const REAP: usize = 3;
/// Makes filters that are missing.
#[cfg(feature = "bloom")]
pub(crate) const FILTER: usize = 4;
/// How many there are.
pub(crate) const COUNT: usize = if cfg!(feature = "bloom") { 5 } else { 4 };
