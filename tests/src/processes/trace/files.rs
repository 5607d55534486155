//! The files of a store as a trace shows them: what was written to each, and what of it was synced.
//!
//! Kept by the judge, who alone knows what must be.

use std::collections::BTreeSet;

/// A file, whatever its name is.
pub(super) type FileId = usize;

/// What a trace has told of a file.
#[derive(Default)]
pub(super) struct FileState {
    pub(super) len: u64,
    /// Writes that have ended, and how many of them are synced.
    pub(super) writes: u32,
    pub(super) synced: u32,
    pub(super) is_writing: bool,
    /// Only of manifests: the content, and how much of it is synced.
    pub(super) content: Vec<u8>,
    pub(super) synced_len: usize,
}

impl FileState {
    pub(super) fn is_synced(&self) -> bool {
        self.synced == self.writes && !self.is_writing
    }
}

/// A sync that has begun, and what it will have made durable.
pub(super) enum Syncing {
    File {
        writes: u32,
        len: usize,
    },
    Directory {
        names: BTreeSet<String>,
        manifest: Option<FileId>,
    },
}

/// A write to the log.
pub(super) struct LogWrite {
    pub(super) file: FileId,
    pub(super) name: String,
    /// The how-manieth write of its file.
    pub(super) number: u32,
    pub(super) bytes: Vec<u8>,
}
