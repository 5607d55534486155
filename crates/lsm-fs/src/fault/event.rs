//! What an operation is, as filters, hooks and traces see it.
//!
//! Called by everything in this module. Plain data; decides nothing.

use std::path::{Path, PathBuf};

/// A kind of call on a file system, a directory or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`Directory::open`](crate::Directory::open)
    Open,
    /// [`Directory::create_new`](crate::Directory::create_new)
    CreateNew,
    /// [`File::read_at`](crate::File::read_at)
    ReadAt,
    /// [`File::append`](crate::File::append)
    Append,
    /// [`File::preallocate`](crate::File::preallocate)
    Preallocate,
    /// [`File::truncate`](crate::File::truncate)
    Truncate,
    /// [`File::sync`](crate::File::sync)
    Sync,
    /// [`Directory::rename`](crate::Directory::rename)
    Rename,
    /// [`Directory::hard_link`](crate::Directory::hard_link)
    HardLink,
    /// [`Directory::unlink`](crate::Directory::unlink)
    RemoveFile,
    /// [`Directory::list`](crate::Directory::list)
    List,
    /// [`FileSystem::create_dir`](crate::FileSystem::create_dir)
    CreateDir,
    /// [`Directory::sync`](crate::Directory::sync)
    SyncDir,
    /// [`Directory::lock`](crate::Directory::lock)
    Lock,
    /// [`Directory::kind`](crate::Directory::kind), [`FileSystem::kind`](crate::FileSystem::kind)
    Kind,
    /// [`Directory::file_len`](crate::Directory::file_len)
    FileLen,
    /// [`File::len`](crate::File::len)
    Len,
    /// [`FileSystem::open_dir`](crate::FileSystem::open_dir)
    OpenDir,
    /// [`Directory::lock_self`](crate::Directory::lock_self)
    LockDir,
    /// [`File::is_linked`](crate::File::is_linked),
    /// [`Directory::is_linked`](crate::Directory::is_linked)
    IsLinked,
}

impl Operation {
    /// Whether it changes what is on the disk, or makes a change durable: what a counted sweep
    /// counts.
    ///
    /// Taking a lock does not count, though it may create the lock's file: nothing depends on it.
    pub const fn is_mutating(self) -> bool {
        match self {
            Self::CreateNew
            | Self::Append
            | Self::Preallocate
            | Self::Truncate
            | Self::Sync
            | Self::Rename
            | Self::HardLink
            | Self::RemoveFile
            | Self::CreateDir
            | Self::SyncDir => true,
            Self::Open
            | Self::ReadAt
            | Self::List
            | Self::Lock
            | Self::Kind
            | Self::FileLen
            | Self::Len
            | Self::OpenDir
            | Self::LockDir
            | Self::IsLinked => false,
        }
    }
}

/// An operation that is about to happen.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Event<'a> {
    /// How many operations of any kind came before it.
    pub index: u64,
    /// If it mutates: how many mutating operations came before it.
    pub mutation_index: Option<u64>,
    /// What it does.
    pub operation: Operation,
    /// On which file or directory: its directory's path, as that was opened, and its name.
    pub path: &'a Path,
    /// The second path of a rename or a hard link.
    pub to: Option<&'a Path>,
    /// Where in the file: of a read the offset, of an append the logical end; else 0.
    pub offset: u64,
    /// How many bytes a read or an append asks for; of preallocation and truncation the length
    /// asked for; else 0.
    pub len: u64,
    /// The handle it goes through, if it does.
    handle: Option<HandleId>,
}

/// An open file, whatever its path is: two handles never have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HandleId(pub(super) u64);

impl<'a> Event<'a> {
    pub(super) fn new(operation: Operation, path: &'a Path) -> Self {
        Self {
            index: 0,
            mutation_index: None,
            operation,
            path,
            to: None,
            offset: 0,
            len: 0,
            handle: None,
        }
    }

    pub(super) fn onto(self, to: &'a Path) -> Self {
        Self {
            to: Some(to),
            ..self
        }
    }

    pub(super) fn at(self, offset: u64, len: u64) -> Self {
        Self {
            offset,
            len,
            ..self
        }
    }

    pub(super) fn through(self, handle: HandleId) -> Self {
        Self {
            handle: Some(handle),
            ..self
        }
    }

    /// The handle that it appends to, if it is an append.
    pub(super) fn appends_to(&self) -> Option<HandleId> {
        self.handle.filter(|_| self.operation == Operation::Append)
    }

    /// Whether it is an `operation` on a path that `filter` accepts.
    pub(super) fn is(&self, operation: Operation, filter: &dyn Fn(&Path) -> bool) -> bool {
        self.operation == operation && (filter(self.path) || self.to.is_some_and(filter))
    }
}

/// An operation that has ended, as a trace holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// How many operations of any kind had begun before it.
    pub index: u64,
    /// What it did.
    pub operation: Operation,
    /// On which file or directory: its directory's path, as that was opened, and its name.
    pub path: PathBuf,
    /// The second path of a rename or a hard link.
    pub to: Option<PathBuf>,
    /// Where in the file: of a read the offset, of an append the logical end; else 0.
    pub offset: u64,
    /// How many bytes a successful read or append moved; otherwise what was asked for, as in
    /// [`Event::len`].
    pub len: u64,
    /// Whether the caller was told that it succeeded.
    pub ok: bool,
}

impl TraceEvent {
    pub(super) fn new(event: &Event<'_>, ok: bool) -> Self {
        Self {
            index: event.index,
            operation: event.operation,
            path: event.path.to_path_buf(),
            to: event.to.map(Path::to_path_buf),
            offset: event.offset,
            len: event.len,
            ok,
        }
    }
}
