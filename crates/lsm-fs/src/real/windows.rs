//! What `RealFs` needs of Windows: flags at open, positional reads and writes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::{DirEntry, DirectoryId, EntryKind, FileName};

/// Opens a symbolic link itself, which then fails the check for a regular file.
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// Without it a directory cannot be opened.
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;

const FILE_SHARE_READ: u32 = 1;
const FILE_SHARE_WRITE: u32 = 2;

const ERROR_TOO_MANY_OPEN_FILES: i32 = 4;

pub(super) fn is_too_many_open_files(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_TOO_MANY_OPEN_FILES)
}

pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buf, offset)
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}

/// `std` does not tell how many names a file has. The directory cannot be removed while it is open.
pub(super) fn has_a_name(_file: &File) -> io::Result<bool> {
    Ok(true)
}

/// `std` does not tell: its path has to do.
pub(super) fn id(_directory: &File) -> Option<DirectoryId> {
    None
}

/// A directory's absolute path, and the handle that keeps the directory at that path.
#[derive(Debug)]
pub(super) struct DirectoryHandle {
    path: PathBuf,
    file: File,
}

impl DirectoryHandle {
    pub(super) fn open_dir(path: &Path) -> io::Result<Self> {
        if path.as_os_str().is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let path = std::path::absolute(path)?;
        // Not shared for deletion: nobody moves or removes the directory meanwhile.
        let file = OpenOptions::new()
            .read(true)
            .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(&path)?;
        if !file.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path, file })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn open_read(&self, name: &FileName) -> io::Result<File> {
        guarded().open(self.path.join(name))
    }

    pub(super) fn create_new(&self, name: &FileName) -> io::Result<File> {
        guarded()
            .write(true)
            .create_new(true)
            .open(self.path.join(name))
    }

    pub(super) fn open_lock(&self, name: &FileName) -> io::Result<File> {
        guarded()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path.join(name))
    }

    pub(super) fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    pub(super) fn hard_link(
        &self,
        from: &FileName,
        to_dir: &Self,
        to: &FileName,
    ) -> io::Result<()> {
        fs::hard_link(self.path.join(from), to_dir.path.join(to))
    }

    pub(super) fn unlink(&self, name: &FileName) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// What `name` is, not following a symbolic link, and its length in bytes.
    pub(super) fn inspect(&self, name: &FileName) -> io::Result<(EntryKind, u64)> {
        let metadata = fs::symlink_metadata(self.path.join(name))?;
        let kind = match metadata.file_type() {
            found if found.is_file() => EntryKind::File,
            found if found.is_dir() => EntryKind::Directory,
            _ => EntryKind::Other,
        };
        Ok((kind, metadata.len()))
    }

    pub(super) fn list(&self) -> io::Result<Vec<DirEntry>> {
        let entries = fs::read_dir(&self.path)?;
        let names = entries.map(|entry| {
            Ok(DirEntry {
                name: entry?.file_name(),
            })
        });
        names.collect()
    }

    /// There is no fsync of a directory; NTFS journals its names.
    // The same signature on every platform.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn guarded() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    options
}
