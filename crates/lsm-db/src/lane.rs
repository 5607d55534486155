//! The lanes of background work: each runs its tasks one at a time.

/// Writes sealed memtables as runs, oldest first.
pub(crate) const FLUSH: usize = 0;
/// Merges runs.
pub(crate) const COMPACT: usize = 1;
/// Makes filters that are missing.
#[cfg(feature = "bloom")]
pub(crate) const FILTER: usize = 2;
/// Frees what readers and writers should not have to wait for, and merges the arrays of memtables.
pub(crate) const FREE: usize = if cfg!(feature = "bloom") { 3 } else { 2 };
/// Unlinks, and closes what was unlinked. Behind the others, so that what they leave at shutdown is
/// still unlinked.
pub(crate) const REAP: usize = FREE + 1;
/// How many there are.
pub(crate) const COUNT: usize = REAP + 1;
