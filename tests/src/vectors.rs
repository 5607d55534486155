//! Directories that `lsm-db` 1.1.0 wrote, and what they hold.
//!
//! Read by tests that open copies of them. Never changes the originals.

use std::io;
use std::path::{Path, PathBuf};

use lsm_fs::{FileSystem, RealFs};

use crate::directory::{Files, plant, read};
use crate::model::Model;

/// The names of them all.
pub const ALL: [&str; 3] = ["db-flushed", "db-compacted", "db-with-log"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// The files of the directory, byte for byte.
///
/// # Errors
/// The file system's.
pub fn files(name: &str) -> io::Result<Files> {
    read(&RealFs::new(), &folder().join(name))
}

/// What the directory holds.
///
/// # Errors
/// The file system's, and `InvalidData` for a line that is not two fields of hex.
pub fn model(name: &str) -> io::Result<Model> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.tsv")))?;
    let entry = |line: &str| {
        let (key, value) = line.split_once('\t')?;
        Some((from_hex(key)?, from_hex(value)?))
    };
    text.lines()
        .map(|line| entry(line).ok_or_else(|| io::ErrorKind::InvalidData.into()))
        .collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Writes the files into `dir`, which is made if it is absent; all of it is durable.
///
/// # Errors
/// The file system's.
pub fn plant_all(fs: &dyn FileSystem, dir: &Path, files: &Files) -> io::Result<()> {
    lsm_fs::create_dir_all_synced(fs, dir).map_err(io::Error::other)?;
    files
        .iter()
        .try_for_each(|(name, bytes)| plant(fs, &dir.join(name), bytes))
}
