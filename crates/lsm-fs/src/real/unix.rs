//! What `RealFs` needs of a Unix: names looked up through a directory's descriptor, flags at open,
//! positional reads and writes.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::retry_on_intr;

use crate::{DirEntry, DirectoryId, EntryKind, FileName};

/// Readable and writable by the owner, invisible to everybody else.
const MODE_OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

/// `NOFOLLOW`: a planted symbolic link is an error. `NONBLOCK`: a planted pipe fails the check for
/// a regular file instead of hanging the open. `NOCTTY`: a planted terminal is not adopted.
const GUARDED: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// `EMFILE`, the process's own limit, or `ENFILE`, the system's.
pub(super) fn is_too_many_open_files(error: &io::Error) -> bool {
    let too_many = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    too_many
        .map(rustix::io::Errno::raw_os_error)
        .map(Some)
        .contains(&error.raw_os_error())
}

pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buf, offset)
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(bytes, offset)
}

/// Whether what is open has any name; also `false` on a file system that counts none.
pub(super) fn has_a_name(file: &File) -> io::Result<bool> {
    Ok(rustix::fs::fstat(file)?.st_nlink > 0)
}

/// Device and inode of what is open.
pub(super) fn id(directory: &File) -> Option<DirectoryId> {
    let metadata = directory.metadata().ok()?;
    Some(DirectoryId {
        file_system: metadata.dev(),
        node: metadata.ino(),
    })
}

/// A directory's descriptor.
#[derive(Debug)]
pub(super) struct DirectoryHandle(File);

impl DirectoryHandle {
    pub(super) fn open_dir(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY.bits().cast_signed();
        let mut options = OpenOptions::new();
        let opened = options.read(true).custom_flags(flags).open(path)?;
        Ok(Self(opened))
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }

    pub(super) fn open_read(&self, name: &FileName) -> io::Result<File> {
        self.open_file(name, OFlags::RDONLY)
    }

    pub(super) fn create_new(&self, name: &FileName) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    pub(super) fn open_lock(&self, name: &FileName) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::CREATE)
    }

    fn open_file(&self, name: &FileName, flags: OFlags) -> io::Result<File> {
        let open =
            || rustix::fs::openat(&self.0, name.as_os_str(), flags | GUARDED, MODE_OWNER_ONLY);
        Ok(retry_on_intr(open)?.into())
    }

    pub(super) fn rename(&self, from: &FileName, to: &FileName) -> io::Result<()> {
        let (from, to) = (from.as_os_str(), to.as_os_str());
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    pub(super) fn hard_link(
        &self,
        from: &FileName,
        to_dir: &Self,
        to: &FileName,
    ) -> io::Result<()> {
        let (from, to) = (from.as_os_str(), to.as_os_str());
        let flags = AtFlags::empty();
        Ok(rustix::fs::linkat(&self.0, from, &to_dir.0, to, flags)?)
    }

    pub(super) fn unlink(&self, name: &FileName) -> io::Result<()> {
        let flags = AtFlags::empty();
        Ok(rustix::fs::unlinkat(&self.0, name.as_os_str(), flags)?)
    }

    /// What `name` is, not following a symbolic link, and its length in bytes.
    pub(super) fn inspect(&self, name: &FileName) -> io::Result<(EntryKind, u64)> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let found = rustix::fs::statat(&self.0, name.as_os_str(), flags)?;
        let kind = match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            _ => EntryKind::Other,
        };
        Ok((kind, u64::try_from(found.st_size).unwrap_or_default()))
    }

    /// Reads through a second descriptor of the same directory, with a position of its own.
    pub(super) fn list(&self) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let name = OsStr::from_bytes(name).to_owned();
                entries.push(DirEntry { name });
            }
        }
        Ok(entries)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}
