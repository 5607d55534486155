//! What `RealFs` needs of a Unix: flags at open, positional reads and writes, fsync of a directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Readable and writable by the owner, invisible to everybody else.
const MODE_OWNER_ONLY: u32 = 0o600;

/// `NOFOLLOW`: a planted symbolic link is an error. `NONBLOCK`: a planted pipe fails the check for
/// a regular file instead of hanging the open. `NOCTTY`: a planted terminal is not adopted.
fn guarded() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .mode(MODE_OWNER_ONLY)
        .custom_flags(flags.bits().cast_signed());
    options
}

/// `EMFILE`, the process's own limit, or `ENFILE`, the system's.
pub(super) fn is_too_many_open_files(error: &io::Error) -> bool {
    let too_many = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    too_many
        .map(rustix::io::Errno::raw_os_error)
        .map(Some)
        .contains(&error.raw_os_error())
}

pub(super) fn open_read(path: &Path) -> io::Result<File> {
    guarded().open(path)
}

pub(super) fn create_new(path: &Path) -> io::Result<File> {
    guarded().write(true).create_new(true).open(path)
}

pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    guarded()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buf, offset)
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(bytes, offset)
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY.bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(dir)?
        .sync_all()
}
