//! Removes files that no edit names any more, off everybody's path.
//!
//! 1. A file is posted here only after the edit that drops it is durable.
//! 2. Nothing is unlinked once an edit of unknown fate is about: it may name the file.
//! 3. The directory's lock is held by every pending unlink, and after the handle is gone nothing
//!    is unlinked: the next open finds what is left over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lsm_fs::{Directory, File, FileLock, FileName};
use lsm_scheduler::Pool;

use crate::health::Health;
use crate::lane;

#[derive(Debug, Clone)]
pub(crate) struct Reaper {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: Arc<dyn Directory>,
    _directory_lock: Arc<dyn FileLock>,
    health: Arc<Health>,
    pool: Pool,
    unlinked: AtomicU64,
}

impl Reaper {
    pub(crate) fn new(
        directory: Arc<dyn Directory>,
        directory_lock: Arc<dyn FileLock>,
        health: Arc<Health>,
        pool: Pool,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                directory,
                _directory_lock: directory_lock,
                health,
                pool,
                unlinked: AtomicU64::new(0),
            }),
        }
    }

    /// Unlinks `names` in the background. A failure leaves the file to the next open.
    pub(crate) fn post(&self, names: Vec<FileName>) {
        if names.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.shared.pool.submit(lane::REAP, move || {
            for name in &names {
                if shared.health.may_unlink() && shared.directory.unlink(name).is_ok() {
                    shared.unlinked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }

    /// Closes `files` in the background. Who closes a file that has no name any more waits for the
    /// file system to take its room back.
    pub(crate) fn close_later(&self, files: Vec<Arc<dyn File>>) {
        if !files.is_empty() {
            self.shared.pool.submit(lane::REAP, move || drop(files));
        }
    }

    /// Drops `value` in the background. Never waits behind an unlink.
    pub(crate) fn drop_later(&self, value: impl Send + 'static) {
        self.free(move || drop(value));
    }

    /// Has `work`, which puts memory in order, done in the background.
    pub(crate) fn free(&self, work: impl FnOnce() + Send + 'static) {
        self.shared.pool.submit(lane::FREE, work);
    }

    /// Calls `then` when all that was let go of before is freed, unlinked and closed, except what readers
    /// hold. Never, if the lanes end before.
    ///
    /// Freeing goes in three steps, each of which leaves the next in the lane: a view, its tree, and
    /// the files of its runs. A run is posted to be unlinked by the second.
    pub(crate) fn after_all(&self, then: impl FnOnce() + Send + 'static) {
        let (trees, files, unlinks) = (self.clone(), self.clone(), self.clone());
        let unlinked = move || unlinks.shared.pool.submit(lane::REAP, then);
        self.free(move || trees.free(move || files.free(unlinked)));
    }

    pub(crate) fn unlinked_count(&self) -> u64 {
        self.shared.unlinked.load(Ordering::Relaxed)
    }
}
