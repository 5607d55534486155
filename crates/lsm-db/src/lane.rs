//! The lanes of background work: each runs its tasks one at a time.

/// Writes sealed memtables as runs, oldest first.
pub(crate) const FLUSH: usize = 0;
/// Merges runs.
pub(crate) const COMPACT: usize = 1;
/// Reads runs for what spares readers time and nobody waits for: makes filters that are missing, and
/// caches blocks.
pub(crate) const FOR_READS: usize = 2;
/// Frees what readers and writers should not have to wait for, and maintains memtables.
pub(crate) const FREE: usize = 3;
/// Unlinks, and closes what was unlinked. Behind the others, so that what they leave at shutdown is
/// still unlinked.
pub(crate) const REAP: usize = 4;
/// How many there are.
pub(crate) const COUNT: usize = 5;
