//! One simulated file: what readers see, what the disk has, and the changes in between.
//!
//! Called by the disk. Knows nothing of names.
//!
//! Invariants:
//! 1. Applying every change that is not lost to `durable`, in order, and then the live length,
//!    gives what a sync makes durable.
//! 2. Changes are in the order of their `sequence`, which is unique on the disk.

use std::sync::Arc;

use super::content::Content;
use super::links::Links;

/// A change that no sync has made durable yet.
#[derive(Debug, Clone)]
pub(super) struct FileChange {
    /// Its place in the order of all changes to the disk.
    pub(super) sequence: u64,
    pub(super) edit: FileEdit,
    pub(super) len_before: u64,
    pub(super) len_after: u64,
    /// A sync of it failed: no later one will take it along.
    pub(super) lost: bool,
}

#[derive(Debug, Clone)]
pub(super) enum FileEdit {
    Write {
        offset: u64,
        bytes: Arc<[u8]>,
    },
    /// The length moved up, over bytes that read as zero.
    Grow,
    /// The length moved down; what was behind it is gone.
    Cut,
}

/// A regular file.
#[derive(Debug, Clone, Default)]
pub(super) struct FileNode {
    live: Content,
    durable: Content,
    pending: Vec<FileChange>,
    /// How many live names it has.
    pub(super) links: Links,
    /// How many handles are open on it, locks included.
    pub(super) handles: usize,
}

impl FileNode {
    /// A new, empty file that is about to get its name.
    pub(super) fn with_one_name() -> Self {
        Self {
            links: Links::new(1),
            ..Self::default()
        }
    }

    /// A file as found after a power cut: all of it durable.
    pub(super) fn settled(content: Content) -> Self {
        Self {
            live: content.clone(),
            durable: content,
            ..Self::default()
        }
    }

    pub(super) fn live_len(&self) -> u64 {
        self.live.len()
    }

    pub(super) fn durable_len(&self) -> u64 {
        self.durable.len()
    }

    pub(super) fn durable(&self) -> &Content {
        &self.durable
    }

    pub(super) fn pending(&self) -> &[FileChange] {
        &self.pending
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        self.live.read_at(buf, offset)
    }

    /// Writes `bytes` at `offset`, which the caller has checked not to overflow.
    pub(super) fn write(&mut self, sequence: u64, bytes: &[u8], offset: u64) {
        let len_before = self.live.len();
        self.live.put(bytes, offset);
        self.live
            .set_len(len_before.max(offset + bytes.len() as u64));
        let edit = FileEdit::Write {
            offset,
            bytes: bytes.into(),
        };
        self.push(sequence, edit, len_before);
    }

    /// Moves the length up to `len`.
    pub(super) fn grow(&mut self, sequence: u64, len: u64) {
        let len_before = self.live.len();
        self.live.set_len(len);
        self.push(sequence, FileEdit::Grow, len_before);
    }

    /// Moves the length down to `len`.
    pub(super) fn cut(&mut self, sequence: u64, len: u64) {
        let len_before = self.live.len();
        self.live.cut(len);
        self.push(sequence, FileEdit::Cut, len_before);
    }

    fn push(&mut self, sequence: u64, edit: FileEdit, len_before: u64) {
        debug_assert!(
            self.pending
                .last()
                .is_none_or(|last| last.sequence < sequence)
        );
        let len_after = self.live.len();
        self.pending.push(FileChange {
            sequence,
            edit,
            len_before,
            len_after,
            lost: false,
        });
    }

    /// Makes everything pending durable, except what an earlier failed sync lost; that is lost for
    /// good from now on.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..).filter(|change| !change.lost) {
            match change.edit {
                FileEdit::Write { offset, bytes } => self.durable.put(&bytes, offset),
                FileEdit::Grow => {}
                FileEdit::Cut => self.durable.cut(change.len_after),
            }
        }
        self.durable.set_len(self.live.len());
        self.durable.clear_past_len();
    }

    /// What a failed fsync leaves: the pages are clean, and the disk may not have them.
    pub(super) fn fail_sync(&mut self) {
        for change in &mut self.pending {
            change.lost = true;
        }
    }
}
