//! What `RealFs` needs of Windows: flags at open, positional reads and writes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Opens a symbolic link itself, which then fails the check for a regular file.
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

const ERROR_TOO_MANY_OPEN_FILES: i32 = 4;

pub(super) fn is_too_many_open_files(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_TOO_MANY_OPEN_FILES)
}

fn guarded() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    options
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
    file.seek_read(buf, offset)
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}

/// There is no fsync of a directory; NTFS journals its names.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    if std::fs::metadata(dir)?.is_dir() {
        Ok(())
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}
