//! Preallocation where there is no `fallocate`: the caller writes zeros.

use std::fs::File;
use std::io;

/// Always `Unsupported`.
pub(super) fn allocate(_file: &File, _from: u64, _to: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
