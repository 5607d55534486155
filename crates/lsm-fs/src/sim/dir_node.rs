//! One simulated directory: the names that programs see, those on the disk, and the operations in
//! between.
//!
//! Called by the disk and the builder of crash images. Knows nothing of what the names stand for.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::disk::InodeId;
use super::links::Links;

/// The names of a directory.
pub(super) type Names = BTreeMap<OsString, InodeId>;

/// An operation on names that no `sync_dir` has made durable yet.
#[derive(Debug, Clone)]
pub(super) struct DirChange {
    /// Its place in the order of all changes to the disk.
    pub(super) sequence: u64,
    pub(super) edit: DirEdit,
    /// A sync of it failed: no later one will take it along.
    pub(super) lost: bool,
}

#[derive(Debug, Clone)]
pub(super) enum DirEdit {
    /// `name` now stands for `inode`: a creation, a hard link, a rename from another directory.
    Add { name: OsString, inode: InodeId },
    /// `name` no longer stands for `inode`.
    Remove { name: OsString, inode: InodeId },
    /// `inode` moved from one name to another, in one step.
    Rename {
        from: OsString,
        to: OsString,
        inode: InodeId,
    },
}

impl DirEdit {
    /// Applies the operation to `names`, which need not be those it was made on: any subset of a
    /// history of operations can be applied.
    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            Self::Add { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            Self::Remove { name, inode } => remove_if(names, name, *inode),
            Self::Rename { from, to, inode } => {
                remove_if(names, from, *inode);
                names.insert(to.clone(), *inode);
            }
        }
    }

    pub(super) fn inode(&self) -> InodeId {
        match self {
            Self::Add { inode, .. } | Self::Remove { inode, .. } | Self::Rename { inode, .. } => {
                *inode
            }
        }
    }
}

/// Removes `name` only if it stands for `inode`: another file that got the name stays.
fn remove_if(names: &mut Names, name: &OsStr, inode: InodeId) {
    if names.get(name) == Some(&inode) {
        names.remove(name);
    }
}

/// A directory.
#[derive(Debug, Clone)]
pub(super) struct DirNode {
    live: Names,
    durable: Names,
    pending: Vec<DirChange>,
    /// Its own names: one, or none if it was removed.
    pub(super) links: Links,
}

impl DirNode {
    /// A directory as found after a power cut: all of it durable.
    pub(super) fn settled(names: Names) -> Self {
        Self {
            live: names.clone(),
            durable: names,
            pending: Vec::new(),
            links: Links::new(1),
        }
    }

    /// A new, empty directory that is about to get its name.
    pub(super) fn with_one_name() -> Self {
        Self::settled(Names::new())
    }

    pub(super) fn get(&self, name: &OsStr) -> Option<InodeId> {
        self.live.get(name).copied()
    }

    /// In order of the names.
    pub(super) fn live_names(&self) -> impl Iterator<Item = &OsString> {
        self.live.keys()
    }

    pub(super) fn durable(&self) -> &Names {
        &self.durable
    }

    pub(super) fn pending(&self) -> &[DirChange] {
        &self.pending
    }

    /// Every inode that a crash now could find under one of the names.
    pub(super) fn named(&self) -> impl Iterator<Item = InodeId> {
        let names = self.live.values().chain(self.durable.values()).copied();
        names.chain(self.pending.iter().map(|change| change.edit.inode()))
    }

    /// Whether a crash now could find `inode` under one of the names.
    pub(super) fn may_name(&self, inode: InodeId) -> bool {
        self.named().any(|named| named == inode)
    }

    pub(super) fn change(&mut self, sequence: u64, edit: DirEdit) {
        debug_assert!(
            self.pending
                .last()
                .is_none_or(|last| last.sequence < sequence)
        );
        edit.apply(&mut self.live);
        self.pending.push(DirChange {
            sequence,
            edit,
            lost: false,
        });
    }

    /// Makes everything pending durable, except what an earlier failed sync lost; that is lost for
    /// good from now on.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..).filter(|change| !change.lost) {
            change.edit.apply(&mut self.durable);
        }
    }

    /// What a failed fsync leaves: the pages are clean, and the disk may not have them.
    pub(super) fn fail_sync(&mut self) {
        for change in &mut self.pending {
            change.lost = true;
        }
    }
}
