//! The stores that this process has open, or of which it still reads: what a lock that is held may be
//! held by.
//!
//! An open that succeeds notes its store, and one that finds its directory locked asks. The registry
//! makes an error say more and decides nothing. It keeps nothing alive. Reads and writes never come
//! here.
//!
//! The lock is tried and never waited for without end: a child that was forked off may open a store of
//! its own, while the lock is one that another thread of its parent held. What the registry holds there
//! is its parent's, and counts for nothing. An `ArcSwap` would do without a lock, but a second kind of
//! it in this crate has the compiler keep its loads out of line, which costs each read of a run.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};

use lsm_fs::{Directory, DirectoryId};

use crate::Holder;
use crate::held::HeldViews;
use crate::run::RunContext;
use crate::sync::try_locked;

static OPEN: Mutex<Vec<Arc<OpenStore>>> = Mutex::new(Vec::new());

/// How often the lock is tried: arbitrary. It is held for microseconds, and each try lets other threads
/// go on first. Beyond that the message of an error lacks something, and nothing else does.
const TRIES_MAX: u32 = 10_000;

#[derive(Debug)]
struct OpenStore {
    place: Place,
    /// Alive as long as the store is open or anything reads it.
    held_views: Weak<HeldViews>,
    context: Weak<RunContext>,
}

/// Which directory it is.
#[derive(Debug)]
struct Place {
    id: Option<DirectoryId>,
    path: PathBuf,
}

impl Place {
    fn of(directory: &dyn Directory) -> Self {
        Self {
            id: directory.id(),
            path: directory.path().to_path_buf(),
        }
    }

    /// Where a directory cannot be told from others, its path has to do, if that always leads to the
    /// same place.
    fn is(&self, other: &Self) -> bool {
        match (self.id, other.id) {
            (Some(this), Some(other)) => this == other,
            _ => self.path == other.path && self.path.is_absolute(),
        }
    }
}

impl OpenStore {
    /// What of it is alive in this process.
    fn holder(&self) -> Option<Holder> {
        let (readers, oldest_reader) = self.held_views.upgrade()?.readers()?;
        let context = self.context.upgrade();
        Some(Holder {
            is_open: context.is_some_and(|context| !context.closing.load(Ordering::Acquire)),
            readers,
            oldest_reader,
        })
    }
}

/// A store was opened.
pub(crate) fn note(
    directory: &dyn Directory,
    held_views: &Arc<HeldViews>,
    context: &Arc<RunContext>,
) {
    let opened = Arc::new(OpenStore {
        place: Place::of(directory),
        held_views: Arc::downgrade(held_views),
        context: Arc::downgrade(context),
    });
    let _ = with_alive(|open| open.push(opened));
}

/// A store is gone, and so are all that read it.
pub(crate) fn forget_gone() {
    let _ = with_alive(|_| {});
}

/// Calls `then` with the stores that are alive, under the lock; `None` if it could not be had. A store
/// whose end comes back here must not end in it.
fn with_alive<T>(then: impl FnOnce(&mut Vec<Arc<OpenStore>>) -> T) -> Option<T> {
    for _ in 0..TRIES_MAX {
        if let Some(mut open) = try_locked(&OPEN) {
            open.retain(|store| store.held_views.strong_count() > 0);
            return Some(then(&mut open));
        }
        std::thread::yield_now();
    }
    None
}

/// What of this process holds a directory, if anything does.
pub(crate) fn holder_of(directory: &dyn Directory) -> Option<Holder> {
    let place = Place::of(directory);
    let open = with_alive(|open| open.clone())?;
    let mut holders = open.iter().filter(|store| store.place.is(&place));
    holders.find_map(|store| store.holder())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lsm_fs::{FileSystem, SimFs};

    use super::*;
    use crate::{Lsm, LsmConfig, Scheduler};

    fn open(disk: &SimFs, path: &str) -> Lsm {
        let config = LsmConfig::new()
            .file_system(Arc::new(disk.clone()))
            .scheduler(Scheduler::stepped(1));
        Lsm::open_with(path, config).unwrap()
    }

    fn holder(disk: &SimFs, path: &str) -> Option<Holder> {
        holder_of(&*disk.open_dir(Path::new(path)).unwrap())
    }

    #[test]
    fn a_store_is_known_until_its_last_reader_is_gone_and_no_longer() {
        let (disk, other) = (SimFs::new(), SimFs::new());
        let store = open(&disk, "/store");
        let _same_path = open(&other, "/store");
        let told = |is_open, readers| {
            let holder = holder(&disk, "/store").unwrap();
            assert_eq!((holder.is_open, holder.readers), (is_open, readers));
            assert_eq!(holder.oldest_reader.is_some(), readers > 0);
        };
        told(true, 0);
        let snapshot = store.snapshot();
        let iterator = snapshot.iter();
        let cursor = store.cursor();
        told(true, 2);
        drop(store);
        told(false, 2);
        drop(snapshot);
        told(false, 2);
        drop(iterator);
        told(false, 1);
        drop(cursor);
        assert_eq!(holder(&disk, "/store"), None);
        let places = with_alive(|open| open.clone()).unwrap();
        let id = disk.open_dir(Path::new("/store")).unwrap().id();
        let is_left = places.iter().any(|open| open.place.id == id);
        assert!(!is_left, "a store that is gone takes memory");
    }

    #[test]
    fn a_directory_is_known_by_what_it_is_and_else_by_an_absolute_path() {
        let place = |id, path: &str| Place {
            id,
            path: PathBuf::from(path),
        };
        let [one, two] = [1, 2].map(|node| {
            Some(DirectoryId {
                file_system: 7,
                node,
            })
        });
        assert!(place(one, "/a").is(&place(one, "/b")));
        assert!(!place(one, "/a").is(&place(two, "/a")));
        assert!(place(None, "/a").is(&place(one, "/a")));
        assert!(
            !place(None, "a").is(&place(None, "a")),
            "after a chdir it is another"
        );
    }
}
