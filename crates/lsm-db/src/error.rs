//! What can go wrong, as the caller sees it: one enum, with where it happened and what to do.
//!
//! The errors of the crates below are turned into this one here and nowhere else, so that a leaf
//! can change its own enum alone.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The result of a store's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed, and where.
///
/// Match with `..` and a wildcard arm: variants and fields may be added.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// let store = lsm_db::Lsm::open(dir.path())?;
/// match lsm_db::Lsm::open(dir.path()) {
///     Err(lsm_db::Error::Locked { path, .. }) => assert!(path.ends_with("LOCK")),
///     other => panic!("a second handle must be refused, got {other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused an operation.
    ///
    /// `source` says why. A write that failed with `StorageFull` was not applied; make room and
    /// write again, on the same handle. After a failed *sync* of the log or the manifest the
    /// fate of that write is open until the store is reopened, and later writes are
    /// [`Poisoned`](Self::Poisoned).
    #[error("cannot {context}{}", at(path.as_deref()))]
    #[non_exhaustive]
    Io {
        /// What was being done, as an infinitive: "sync the log".
        context: &'static str,
        /// The file or directory it was done to, where there is one.
        path: Option<PathBuf>,
        /// What the operating system said.
        source: io::Error,
    },

    /// Bytes on disk are not what was written.
    ///
    /// Nothing is guessed: a read that needs the damaged part fails, all others go on. Restore the
    /// named file from a copy; nothing of it has been changed or removed.
    #[error("corruption: {reason}{}", place(detail.as_deref(), file.as_deref(), *offset, *block))]
    #[non_exhaustive]
    Corruption {
        /// What is wrong with the bytes.
        reason: &'static str,
        /// More about it, where there is more to say.
        detail: Option<Box<str>>,
        /// The damaged file, where it is known.
        file: Option<PathBuf>,
        /// The byte in the file where the damage shows.
        offset: Option<u64>,
        /// The block of the run that holds it, counted from 0.
        block: Option<u64>,
    },

    /// The caller asked for what a store can't do. Nothing was changed; mend the input.
    #[error("invalid input: {reason}")]
    #[non_exhaustive]
    InvalidInput {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A [`Batch`](crate::Batch) required something that is not so, and nothing of it was applied.
    ///
    /// An outcome, not a failure: read again, and decide anew. It is as durable as the write was
    /// to be, see [`Lsm::write_with`](crate::Lsm::write_with).
    #[error("condition failed: the key \"{}\" {required}", shown(key))]
    #[non_exhaustive]
    ConditionFailed {
        /// The first key that was not as required.
        key: Vec<u8>,
        /// What was required of it.
        required: Required,
    },

    /// The directory is open already, and stayed so for
    /// [`lock_timeout`](crate::LsmConfig::lock_timeout): by this process or another.
    ///
    /// The usual cause is a snapshot, an iterator or a cursor of an earlier handle that is still alive
    /// in this process: `holder` counts them. Drop those first.
    #[error("the store is open already: {} is locked, {}", path.display(), held_by(holder.as_ref()))]
    #[non_exhaustive]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What of this process holds it; `None` if nothing is known to, so it is another process.
        holder: Option<Holder>,
    },

    /// The store's directory, or a file that it is writing there, was removed while the store was
    /// open, so what was written since cannot be found again. Nothing was written anywhere else.
    ///
    /// Writing has stopped on this handle; reads of what is in memory or in open files go on. To
    /// save what they still show, write it into another store.
    #[error("{} was removed while the store was open", path.display())]
    #[non_exhaustive]
    DirectoryGone {
        /// The directory as it was given to open, or the file in it.
        path: PathBuf,
    },

    /// Writing has stopped for good on this handle, because an earlier failure left open what is
    /// on disk. Reads go on. Reopen the store: it recovers what is durable.
    #[error("writing has stopped until the store is reopened: {cause}")]
    #[non_exhaustive]
    Poisoned {
        /// The first failure, in full.
        cause: Arc<str>,
    },

    /// The caller runs in a child that was forked off the process which opened the store.
    ///
    /// The child has written nothing, and never will through this handle: the files, the lock and
    /// the background work belong to the process that opened it, which goes on undisturbed. Open
    /// the store in one process, after it was forked; or start another program instead.
    #[error("this process was forked off the one that opened the store, which alone may use it")]
    ForkedProcess,

    /// The directory holds files of a format that this version does not read. Nothing was touched.
    #[error("unsupported format: {reason}{}", at(Some(file)))]
    #[non_exhaustive]
    UnsupportedFormat {
        /// What was found.
        reason: &'static str,
        /// The file that says so.
        file: PathBuf,
    },
}

/// What a [`Batch`](crate::Batch) required of a key that is not so: see [`Error::ConditionFailed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Required {
    /// That it has no value. It has one.
    Absent,
    /// That it has a certain value. It has another, or none.
    Value,
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "has a value, and was required to be absent",
            Self::Value => "does not have the value required",
        })
    }
}

/// What of this process keeps a store locked: see [`Error::Locked`].
///
/// # Examples
/// ```
/// use lsm_db::{Error, Lsm};
/// # let dir = tempfile::tempdir()?;
/// let store = Lsm::open(dir.path())?;
/// let forgotten = store.snapshot();
/// drop(store);
/// match Lsm::open(dir.path()) {
///     Err(Error::Locked { holder: Some(holder), .. }) => {
///         assert!(!holder.is_open);
///         assert_eq!(holder.readers, 1);
///     }
///     other => panic!("the snapshot holds the lock, got {other:?}"),
/// }
/// drop(forgotten);
/// Lsm::open(dir.path())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Whether a handle of it is open.
    pub is_open: bool,
    /// Its snapshots, iterators and cursors that are alive, as
    /// [`Stats::read_views_held`](crate::Stats::read_views_held) counts them.
    pub readers: usize,
    /// How long the oldest of these has been alive, by the clock of its store; `None` if there is none.
    pub oldest_reader: Option<Duration>,
}

/// Which of them is to be dropped, on one line.
fn held_by(holder: Option<&Holder>) -> String {
    let Some(holder) = holder else {
        return "by another process".to_owned();
    };
    let readers = match holder.readers {
        0 => None,
        1 => Some("a snapshot, iterator or cursor that is".to_owned()),
        several => Some(format!(
            "{several} snapshots, iterators or cursors that are"
        )),
    };
    let readers = readers.map(|readers| match holder.oldest_reader {
        Some(age) => format!("{readers} alive in this process, the oldest for {age:.1?}"),
        None => format!("{readers} alive in this process"),
    });
    match (holder.is_open, readers) {
        (true, None) => "by a handle that is open in this process".to_owned(),
        (true, Some(readers)) => {
            format!("by a handle that is open in this process, and by {readers}")
        }
        (false, Some(readers)) => format!("by {readers}, though their handle is closed"),
        (false, None) => "by a handle of this process that is being closed".to_owned(),
    }
}

/// Keys can be long, messages should not.
const KEY_BYTES_SHOWN: usize = 64;

fn shown(key: &[u8]) -> String {
    match key.get(..KEY_BYTES_SHOWN) {
        Some(start) if start.len() < key.len() => format!("{}…", start.escape_ascii()),
        _ => key.escape_ascii().to_string(),
    }
}

fn at(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" ({})", path.display()))
}

fn place(
    detail: Option<&str>,
    file: Option<&Path>,
    offset: Option<u64>,
    block: Option<u64>,
) -> String {
    if let Some(detail) = detail {
        return format!(": {detail}");
    }
    let mut place = at(file);
    if let Some(block) = block {
        place += &format!(", block {block}");
    }
    if let Some(offset) = offset {
        place += &format!(", at byte {offset}");
    }
    place
}

impl Error {
    /// The variant's name: `"Io"`, `"Corruption"`, …
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Io { .. } => "Io",
            Self::Corruption { .. } => "Corruption",
            Self::InvalidInput { .. } => "InvalidInput",
            Self::ConditionFailed { .. } => "ConditionFailed",
            Self::Locked { .. } => "Locked",
            Self::DirectoryGone { .. } => "DirectoryGone",
            Self::Poisoned { .. } => "Poisoned",
            Self::ForkedProcess => "ForkedProcess",
            Self::UnsupportedFormat { .. } => "UnsupportedFormat",
        }
    }

    /// A headline for a report that shows errors of several libraries.
    #[must_use]
    pub fn caption(&self) -> &'static str {
        "lsm storage engine error"
    }

    /// Whether trying again on this handle is pointless: the bytes on disk are damaged, the
    /// directory was removed, writing has stopped until the store is reopened, or the store belongs
    /// to another process.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Corruption { .. }
                | Self::DirectoryGone { .. }
                | Self::Poisoned { .. }
                | Self::ForkedProcess
        )
    }

    /// Whether the cause is a lack of room on the disk, or a quota: `StorageFull` or `QuotaExceeded`.
    ///
    /// Nothing of the call was applied. The store goes on reading, and takes writes again once room is
    /// made. Only a failed *sync* of log or manifest is final whatever its cause: then writes are
    /// [`Poisoned`](Self::Poisoned) from the next one on.
    ///
    /// # Examples
    /// ```
    /// use std::io;
    /// let full = lsm_db::Error::from(io::Error::from(io::ErrorKind::StorageFull));
    /// assert!(full.is_no_room() && !full.is_fatal());
    /// ```
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        match self {
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }

    pub(crate) fn io(context: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            context,
            path: Some(path.to_path_buf()),
            source,
        }
    }

    pub(crate) fn corrupt_file(reason: &'static str, file: &Path) -> Self {
        Self::Corruption {
            reason,
            detail: None,
            file: Some(file.to_path_buf()),
            offset: None,
            block: None,
        }
    }

    /// A run that the manifest names is not there, or what comes to the same. Nothing else is wrong.
    pub(crate) fn missing_run(file: &Path) -> Self {
        let file = file.to_path_buf();
        let shown = file.display();
        Self::Corruption {
            reason: "a run that the manifest names is missing",
            detail: Some(
                format!(
                    "{shown}: if it was moved or renamed, put it back; else restore the whole \
                     directory from a copy; nothing was changed"
                )
                .into(),
            ),
            file: Some(file),
            offset: None,
            block: None,
        }
    }

    /// Files of a store that nothing says the order of.
    pub(crate) fn no_manifest(reason: &'static str, file: &Path) -> Self {
        let file = file.to_path_buf();
        let shown = file.display();
        Self::Corruption {
            reason,
            detail: Some(
                format!(
                    "{shown}: if MANIFEST was moved, put it back; else restore the whole directory \
                     from a copy; for an empty store open another directory; nothing was changed"
                )
                .into(),
            ),
            file: Some(file),
            offset: None,
            block: None,
        }
    }

    /// Work is not done because the handle is being closed.
    pub(crate) fn closing(context: &'static str) -> Self {
        Self::Io {
            context,
            path: None,
            source: io::ErrorKind::Interrupted.into(),
        }
    }

    pub(crate) fn invalid(reason: &'static str) -> Self {
        Self::InvalidInput { reason }
    }

    /// The error and its sources on one line, for a log. `Display` shows the error alone, as callers
    /// that walk the sources expect.
    ///
    /// # Examples
    /// ```
    /// use std::io;
    /// let error = lsm_db::Error::from(io::Error::other("the cable is out"));
    /// assert_eq!(error.to_string(), "cannot access storage");
    /// assert_eq!(error.in_full(), "cannot access storage: the cable is out");
    /// ```
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text += &format!(": {error}");
            source = error.source();
        }
        text
    }

    /// The same error again, for another member of a group that failed as one.
    pub(crate) fn duplicate(&self) -> Self {
        match self {
            Self::Io {
                context,
                path,
                source,
            } => Self::Io {
                context,
                path: path.clone(),
                source: match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                },
            },
            Self::Corruption {
                reason,
                detail,
                file,
                offset,
                block,
            } => Self::Corruption {
                reason,
                detail: detail.clone(),
                file: file.clone(),
                offset: *offset,
                block: *block,
            },
            Self::InvalidInput { reason } => Self::InvalidInput { reason },
            Self::ConditionFailed { key, required } => Self::ConditionFailed {
                key: key.clone(),
                required: *required,
            },
            Self::Locked { path, holder } => Self::Locked {
                path: path.clone(),
                holder: holder.clone(),
            },
            Self::DirectoryGone { path } => Self::DirectoryGone { path: path.clone() },
            Self::Poisoned { cause } => Self::Poisoned {
                cause: Arc::clone(cause),
            },
            Self::ForkedProcess => Self::ForkedProcess,
            Self::UnsupportedFormat { reason, file } => Self::UnsupportedFormat {
                reason,
                file: file.clone(),
            },
        }
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self::Io {
            context: "access storage",
            path: None,
            source,
        }
    }
}
