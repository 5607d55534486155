//! The copy of the workspace in which mutants live.
//!
//! Called by the command. It is always at the same place, and a file that has not changed is not
//! touched: so cargo, which goes by path and time, builds again only what a mutant changes. The
//! workspace itself is only read.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::patch::Change;
use crate::workspace;

/// Not copied, wherever they are: what was built, and the history.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// A copy of the workspace, and where it is built.
pub(super) struct Copy {
    source: PathBuf,
    pub(super) tree: PathBuf,
    pub(super) build_folder: PathBuf,
    /// Held as long as the copy is used.
    _lock: File,
}

impl Copy {
    /// Takes the copy of the workspace at `source`, made or brought up to date.
    ///
    /// # Errors
    ///
    /// If another run has it, or a file cannot be copied.
    pub(super) fn new(source: &Path) -> Result<Self, String> {
        let target = workspace::metadata(source)?.target_directory;
        let folder = target.into_std_path_buf().join("mutants");
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!("another run uses {}", folder.display()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let copy = Self {
            source: source.to_path_buf(),
            tree: folder.join("tree"),
            build_folder: folder.join("build"),
            _lock: lock,
        };
        mirror(&copy.source, &copy.tree)?;
        Ok(copy)
    }

    /// The text of a file of the workspace.
    pub(super) fn read(&self, path: &str) -> std::io::Result<String> {
        fs::read_to_string(self.source.join(path))
    }

    /// Puts a mutant's files into the copy.
    pub(super) fn apply(&self, changes: &[Change]) -> Result<(), String> {
        for change in changes {
            write(&self.tree.join(&change.path), change.text.as_bytes())?;
        }
        Ok(())
    }

    /// Puts the workspace's own files back.
    pub(super) fn restore(&self, changes: &[Change]) -> Result<(), String> {
        for change in changes {
            copy_if_different(
                &self.source.join(&change.path),
                &self.tree.join(&change.path),
            )?;
        }
        Ok(())
    }
}

/// Makes the folder `to` hold what `from` holds. Times of files that are the same already stay.
fn mirror(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(to).map_err(|error| failed(to, error))?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from).map_err(|error| failed(from, error))? {
        let entry = entry.map_err(|error| failed(from, error))?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let kind = entry
            .file_type()
            .map_err(|error| failed(&entry.path(), error))?;
        if kind.is_dir() {
            mirror(&entry.path(), &to.join(&name))?;
        } else if kind.is_file() {
            copy_if_different(&entry.path(), &to.join(&name))?;
        } else {
            continue;
        }
        names.insert(name);
    }
    for entry in fs::read_dir(to).map_err(|error| failed(to, error))? {
        let entry = entry.map_err(|error| failed(to, error))?;
        // A lock file that cargo made stays where the workspace has none.
        if names.contains(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn copy_if_different(from: &Path, to: &Path) -> Result<(), String> {
    let bytes = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    if fs::read(to).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    write(to, &bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_follows_its_source_and_leaves_the_times_of_what_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let put = |path: &str, text: &str| {
            let path = from.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("src/same.rs", "same");
        put("src/changed.rs", "old");
        put("gone/file.rs", "gone");
        put("target/built", "built");
        mirror(&from, &to).unwrap();
        assert!(!to.join("target").exists());

        let same = to.join("src/same.rs");
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        File::options()
            .write(true)
            .open(&same)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        put("src/changed.rs", "new");
        fs::remove_dir_all(from.join("gone")).unwrap();
        mirror(&from, &to).unwrap();
        assert_eq!(
            fs::read_to_string(to.join("src/changed.rs")).unwrap(),
            "new"
        );
        assert!(!to.join("gone").exists());
        assert_eq!(fs::metadata(&same).unwrap().modified().unwrap(), long_ago);
    }
}
