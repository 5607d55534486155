//! Where a command puts its database: a folder the caller named, or a temporary one.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::workspace;

/// A folder that holds one database, below it so that the engine has to create it.
pub(super) struct Scratch {
    database: PathBuf,
    /// Removed when dropped; `None` for a folder the caller named.
    temporary: Option<TempDir>,
}

impl Scratch {
    /// A folder named by the caller must be absent or empty and stays. A temporary one is made in
    /// the build folder, which is on a disk where the system's temporary folder may be memory.
    pub(super) fn new(named: Option<&Path>) -> Result<Self, String> {
        if let Some(dir) = named {
            let is_in_use =
                std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
            if is_in_use {
                return Err(format!("{} is not empty", dir.display()));
            }
            return Ok(Self {
                database: dir.to_path_buf(),
                temporary: None,
            });
        }
        let build_folder = workspace::metadata(&workspace::root())?.target_directory;
        let temporary = tempfile::Builder::new()
            .prefix("xtask-")
            .tempdir_in(&build_folder)
            .map_err(|error| format!("a folder in {build_folder}: {error}"))?;
        Ok(Self {
            database: temporary.path().join("db"),
            temporary: Some(temporary),
        })
    }

    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    /// Removes a temporary folder after a success. After a failure it stays, and the message says
    /// where, because the files are the evidence.
    pub(super) fn close<T>(mut self, outcome: Result<T, String>) -> Result<T, String> {
        outcome.map_err(|message| {
            if let Some(temporary) = self.temporary.take() {
                let _kept = temporary.keep();
            }
            format!("{message}\nthe database is in {}", self.database.display())
        })
    }
}
