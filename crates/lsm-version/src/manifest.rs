//! The durable log of version edits, and the state they add up to.
//!
//! Owned by one handle of a database at a time; whoever shares it puts a lock around it. Reads and
//! writes `MANIFEST` and `MANIFEST.tmp` in one directory and no other file. It takes no file lock
//! and never removes a run or a segment.
//!
//! Invariants:
//! 1. A file is only ever appended to by the handle that built it. What an earlier handle left may
//!    be torn, or in the page cache alone, so the first commit of a handle writes all of it anew.
//! 2. A record is synced before the next is written, so each may claim all before it; the claims
//!    tell damage from a torn tail.
//! 3. Nothing follows the mark of a clean close: the next commit rewrites the file.
//! 4. A commit that fails either did not happen, and then never will have, or its fate is unknown,
//!    and then it is the last.

mod error;
mod header;
mod record;
mod replay;
mod writer;

use std::borrow::Borrow;
use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use lsm_fs::Directory;

pub use self::error::{CommitError, LoadError};
pub use self::header::Identity;
pub use self::record::{KEY_BYTES_IN_MANIFEST_MAX, UnresolvedRun};
use self::writer::Writer;
use crate::{EditError, LegacyManifest, MANIFEST_FILE_NAME, ManifestState, VersionEdit};

/// Gives the smallest and the largest key of a run whose keys the manifest does not hold.
pub type ResolveKeys<'a, E> = dyn FnMut(&UnresolvedRun) -> Result<(Bytes, Bytes), E> + 'a;

/// The durable state of one database: loaded once, changed by [`commit`](Self::commit).
///
/// Each commit is atomic and, when it returns `Ok`, on stable storage. Loading writes nothing.
///
/// ```
/// use std::{convert::Infallible, path::Path};
/// use lsm_fs::{FileSystem, SimFs};
/// use lsm_version::{Ceilings, Identity, Manifest, VersionEdit};
///
/// let dir = SimFs::new().open_dir(Path::new("/"))?;
/// let identity = Identity { database_id: [7; 16], hash_seed: 42 };
/// let mut manifest = Manifest::create(dir.clone(), identity)?;
/// let ceilings = Ceilings { run_id: 64, ..manifest.state().ceilings };
/// manifest.commit(VersionEdit { ceilings: Some(ceilings), ..VersionEdit::default() })?;
///
/// let keys_of = &mut |_: &_| -> Result<_, Infallible> { unreachable!("no run has long keys") };
/// let loaded = Manifest::load(dir, keys_of)?;
/// assert_eq!(loaded.state().ceilings.run_id, 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Manifest {
    dir: Arc<dyn Directory>,
    identity: Identity,
    generation: u64,
    state: ManifestState,
    /// The file that this handle built; `None` until it has, and after an append that failed.
    writer: Option<Writer>,
    was_clean: bool,
    was_torn: bool,
    is_durable: bool,
    poisoned: Option<String>,
}

impl Manifest {
    /// Makes the manifest of a fresh database in `dir`; durable when it returns.
    ///
    /// Share the handle with all that creates files in the directory: a failed sync of it is final
    /// for all of them. The directory's own name is the caller's to make durable, and so is the check that no files
    /// of a database lie in it.
    ///
    /// # Errors
    /// [`CommitError::AlreadyExists`] if anything is named `MANIFEST`, otherwise as
    /// [`commit`](Self::commit).
    pub fn create(dir: Arc<dyn Directory>, identity: Identity) -> Result<Self, CommitError> {
        let path = dir.path_of(&MANIFEST_FILE_NAME);
        match dir.kind(&MANIFEST_FILE_NAME) {
            Ok(None) => Self::replace(dir, identity, ManifestState::default()),
            Ok(Some(_)) => Err(CommitError::AlreadyExists { path }),
            Err(source) => Err(not_written("look for", path, source)),
        }
    }

    /// The manifest of a database that `lsm-db` 1.x wrote, to take the place of its text manifest,
    /// if there is one. Writes nothing: the first [`commit`](Self::commit) does, by one rename, so
    /// that a crash leaves either the old manifest or the new.
    ///
    /// `first` says what the database holds: its runs, a run id ceiling above all of them, where the
    /// log of 1.x ends if there is one, and which runs nothing named. All but the last must be
    /// durable, names included, before the first commit.
    ///
    /// # Errors
    /// [`CommitError::AlreadyExists`] if `MANIFEST` is not a text manifest of 1.x;
    /// [`CommitError::Invalid`] if `first` contradicts itself; [`CommitError::NotWritten`] if the
    /// text manifest cannot be read.
    pub fn adopt(
        dir: Arc<dyn Directory>,
        identity: Identity,
        first: &VersionEdit,
    ) -> Result<Self, CommitError> {
        let path = dir.path_of(&MANIFEST_FILE_NAME);
        match is_legacy(&*dir) {
            Ok(true) => {}
            Ok(false) => return Err(CommitError::AlreadyExists { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(not_written("read", path, source)),
        }
        let state = ManifestState::default()
            .apply(first)
            .map_err(CommitError::Invalid)?;
        Ok(Self {
            dir,
            identity,
            generation: 0,
            state,
            writer: None,
            was_clean: false,
            was_torn: false,
            is_durable: false,
            poisoned: None,
        })
    }

    fn replace(
        dir: Arc<dyn Directory>,
        identity: Identity,
        state: ManifestState,
    ) -> Result<Self, CommitError> {
        let generation = 1;
        let writer = Writer::rewrite(&dir, identity, generation, &state)?;
        Ok(Self {
            dir,
            identity,
            generation,
            state,
            writer: Some(writer),
            was_clean: false,
            was_torn: false,
            is_durable: true,
            poisoned: None,
        })
    }

    /// Reads the manifest in `dir`; writes nothing.
    ///
    /// `resolve` is asked for the smallest and the largest key of each run in the final state whose
    /// keys are longer than [`KEY_BYTES_IN_MANIFEST_MAX`]: these are not in the manifest.
    ///
    /// A record at the end that was never acknowledged is ignored, and
    /// [`was_torn`](Self::was_torn) tells. Rely on nothing that was read being durable before the
    /// first commit, which writes it again: unlink nothing until [`is_durable`](Self::is_durable).
    ///
    /// # Errors
    /// [`LoadError::Missing`] if there is none, [`LoadError::Legacy`] if it is of `lsm-db` 1.x,
    /// [`LoadError::Damaged`] if synced bytes have changed; see [`LoadError`] for the rest.
    pub fn load<E: StdError + 'static>(
        dir: Arc<dyn Directory>,
        resolve: &mut ResolveKeys<'_, E>,
    ) -> Result<Self, LoadError<E>> {
        let replayed = replay::replay(&*dir, resolve)?;
        Ok(Self {
            dir,
            identity: replayed.header.identity,
            generation: replayed.header.generation,
            was_clean: replayed.state.is_clean(),
            was_torn: replayed.torn,
            state: replayed.state,
            writer: None,
            is_durable: false,
            poisoned: None,
        })
    }

    /// The state after the last edit that was committed, or else as loaded.
    #[must_use]
    pub fn state(&self) -> &ManifestState {
        &self.state
    }

    /// The database's id and hash seed, as given when it was made.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether what was loaded ended with the mark of a clean close.
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// Whether what was loaded ended with bytes that were never acknowledged.
    #[must_use]
    pub fn was_torn(&self) -> bool {
        self.was_torn
    }

    /// Whether the state is known to be on stable storage, because this handle wrote it.
    ///
    /// Files that the state does not name may be unlinked only while this holds. It does not hold
    /// before the first commit (what was loaded may have been in the page cache alone), nor after
    /// one whose fate is unknown.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Checks that the file that this handle wrote still has a name, and its directory too. Nothing is
    /// known of a manifest that was only loaded: that is Ok.
    ///
    /// # Errors
    /// [`CommitError::DirectoryGone`] if either was removed; [`CommitError::FateUnknown`] if the file
    /// system does not say.
    pub fn check_linked(&self) -> Result<(), CommitError> {
        self.writer.as_ref().map_or(Ok(()), Writer::check_linked)
    }

    /// Applies `edit` to the state and makes the result durable, as one step.
    ///
    /// Costs one append and one sync, or, when this handle has not written yet, when the last
    /// write failed, after a clean mark, or when the file has outgrown its snapshot, a rewrite of
    /// the whole manifest and two syncs. The files of the runs it adds must be durable, names
    /// included, before the call.
    ///
    /// # Errors
    /// [`CommitError::Invalid`] and [`CommitError::NotWritten`]: the edit did not happen, the state
    /// is unchanged, and another commit may be tried. [`CommitError::FateUnknown`]: it may have
    /// happened, and [`CommitError::DirectoryGone`]: nobody will find it; every later commit is [`CommitError::Poisoned`], and nothing may be unlinked until
    /// the manifest is loaded again.
    pub fn commit(&mut self, edit: impl Borrow<VersionEdit>) -> Result<(), CommitError> {
        let edit = edit.borrow();
        if let Some(cause) = &self.poisoned {
            let cause = cause.clone();
            return Err(CommitError::Poisoned { cause });
        }
        let next = self.state.apply(edit).map_err(CommitError::Invalid)?;
        match self.write(edit, &next) {
            Ok(()) => {
                self.state = next;
                self.is_durable = true;
                Ok(())
            }
            Err(error) => {
                if error.is_final() {
                    self.is_durable = false;
                    self.writer = None;
                    self.poisoned = Some(match StdError::source(&error) {
                        Some(source) => format!("{error}: {source}"),
                        None => error.to_string(),
                    });
                }
                Err(error)
            }
        }
    }

    fn write(&mut self, edit: &VersionEdit, next: &ManifestState) -> Result<(), CommitError> {
        // Invariant 3.
        let can_append = !self.state.is_clean();
        let Some(mut writer) = self.writer.take_if(|_| can_append) else {
            return self.rewrite(next);
        };
        let Some(record) = writer.record(edit) else {
            self.writer = Some(writer);
            return self.rewrite(next);
        };
        if writer.would_outgrow(&record) {
            match self.rewrite(next) {
                // Without the room for a new file there may still be room for a record.
                Err(CommitError::NotWritten { .. }) => {}
                outcome => return outcome,
            }
        }
        writer.append(&record)?;
        self.writer = Some(writer);
        Ok(())
    }

    fn rewrite(&mut self, next: &ManifestState) -> Result<(), CommitError> {
        // No reader takes the largest, so that counting on from what was read never wraps.
        let generation = self.generation.checked_add(1);
        let generation = generation.filter(|&generation| generation != u64::MAX);
        let exhausted = EditError::Exhausted {
            what: "generations",
        };
        let generation = generation.ok_or(CommitError::Invalid(exhausted))?;
        let writer = Writer::rewrite(&self.dir, self.identity, generation, next)?;
        self.writer = Some(writer);
        self.generation = generation;
        Ok(())
    }
}

/// Whether the manifest in `dir` is a text manifest of `lsm-db` 1.x.
fn is_legacy(dir: &dyn Directory) -> io::Result<bool> {
    let file = dir.open(&MANIFEST_FILE_NAME)?;
    let mut start = [0; LegacyManifest::START_LEN];
    match file.read_exact_at(&mut start, 0) {
        Ok(()) => Ok(LegacyManifest::is_start_of_one(&start)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn not_written(operation: &'static str, path: PathBuf, source: io::Error) -> CommitError {
    CommitError::NotWritten {
        operation,
        path,
        source,
    }
}
