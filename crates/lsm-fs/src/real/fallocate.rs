//! Preallocation where the kernel has `fallocate`.

use std::fs::File;
use std::io;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// Allocates the bytes from `from` up to `to` and moves the file's length to `to`.
///
/// # Errors
/// `Unsupported` where the file system under the file has no such call.
pub(super) fn allocate(file: &File, from: u64, to: u64) -> io::Result<()> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), from, to - from) {
            Err(Errno::INTR) => {}
            Err(Errno::NOSYS | Errno::OPNOTSUPP) => return Err(io::ErrorKind::Unsupported.into()),
            done => return Ok(done?),
        }
    }
}
