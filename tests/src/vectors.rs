//! Directories that `lsm-db` 1.1.0 wrote, and what they hold.
//!
//! Read by tests that open copies of them. Never changes the originals.

use std::io;
use std::path::{Path, PathBuf};

use lsm_fs::{FileSystem, RealFs};

use crate::directory::{Files, plant, read};
use crate::model::{Model, Write, apply};

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

/// A directory with what it holds: one by its name; as `a+b`, one with the log of another in the
/// place of its own; as `a+unnamed`, one with a run that its manifest does not name.
///
/// # Errors
/// The file system's, and `InvalidData` for a log or a run that is none.
pub fn named(name: &str) -> io::Result<(Files, Model)> {
    let Some((name, other)) = name.split_once('+') else {
        return Ok((files(name)?, model(name)?));
    };
    let (mut files, mut model) = (files(name)?, model(name)?);
    if other == "unnamed" {
        // What a compaction of 1.x leaves when it dies before it is done.
        let run = files.range("run-".to_owned()..).next();
        let (_, run) = run.ok_or(io::ErrorKind::InvalidData)?;
        files.insert(lsm_version::run_file_name(40).to_string(), run.clone());
        return Ok((files, model));
    }
    let log = self::files(other)?.remove("wal.log").unwrap_or_default();
    let writes = writes_of(&log).ok_or(io::ErrorKind::InvalidData)?;
    apply(&mut model, &writes);
    files.insert("wal.log".to_owned(), log);
    Ok((files, model))
}

/// The writes of a sound log of 1.x, read without the engine's help.
fn writes_of(log: &[u8]) -> Option<Vec<Write>> {
    let mut rest = log;
    let mut take = |len: usize| {
        let (taken, after) = rest.split_at_checked(len)?;
        rest = after;
        Some(taken)
    };
    let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize);
    let mut writes = Vec::new();
    while let Some(header) = take(8) {
        let _ = header;
        for _ in 0..number(take(4)?)? {
            let key_len = number(take(4)?)?;
            let key = take(key_len)?.to_vec();
            let is_tombstone = take(1)? == [1];
            let value_len = number(take(4)?)?;
            let value = take(value_len)?.to_vec();
            writes.push((key, (!is_tombstone).then_some(value)));
        }
    }
    Some(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_alone_holds_what_its_listing_says() -> io::Result<()> {
        let log = files("db-with-log")?.remove("wal.log").unwrap_or_default();
        let mut replayed = Model::new();
        apply(&mut replayed, &writes_of(&log).unwrap_or_default());
        assert_eq!(replayed, model("db-with-log")?);
        Ok(())
    }
}
