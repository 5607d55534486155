//! The lanes of background work: each runs its tasks one at a time.

/// Writes sealed memtables as runs, oldest first.
pub(crate) const FLUSH: usize = 0;
/// Merges runs.
pub(crate) const COMPACT: usize = 1;
/// Unlinks and frees.
pub(crate) const REAP: usize = 2;
/// How many there are.
pub(crate) const COUNT: usize = 3;
