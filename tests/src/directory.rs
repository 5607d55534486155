//! Directories as values: what is in one, byte for byte, on any file system; and damage to files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use lsm_fs::{ByPath, EntryKind, FileSystem};

/// A directory's files, nested ones included, by path below it, with their bytes. Directories are
/// there too, with a trailing slash and no bytes.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Reads all of a directory.
///
/// # Errors
/// The file system's.
pub fn read(fs: &dyn FileSystem, dir: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    read_into(fs, dir, "", &mut files)?;
    Ok(files)
}

fn read_into(fs: &dyn FileSystem, dir: &Path, under: &str, files: &mut Files) -> io::Result<()> {
    for entry in fs.list(dir)? {
        let path = dir.join(&entry.name);
        let name = format!("{under}{}", entry.name.to_string_lossy());
        match fs.kind(&path)? {
            Some(EntryKind::Directory) => {
                let name = format!("{name}/");
                read_into(fs, &path, &name, files)?;
                files.insert(name, Vec::new());
            }
            Some(EntryKind::File) => {
                files.insert(name, read_file(fs, &path)?);
            }
            _ => {
                files.insert(name, b"neither a file nor a directory".to_vec());
            }
        }
    }
    Ok(())
}

/// Reads all of a file.
///
/// # Errors
/// The file system's.
pub fn read_file(fs: &dyn FileSystem, path: &Path) -> io::Result<Vec<u8>> {
    let len = usize::try_from(fs.file_len(path)?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    fs.open(path)?.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Puts a file there, synced, and its name too; whatever had the name is replaced.
///
/// # Errors
/// The file system's.
pub fn plant(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs.kind(path)?.is_some() {
        fs.remove_file(path)?;
    }
    let file = fs.create_new(path)?;
    file.append_all(bytes)?;
    file.sync()?;
    match path.parent() {
        Some(dir) => fs.sync_dir(dir),
        None => Ok(()),
    }
}

/// Changes a file's bytes behind everybody's back.
///
/// # Errors
/// The file system's.
pub fn damage(
    fs: &dyn FileSystem,
    path: &Path,
    change: impl FnOnce(&mut Vec<u8>),
) -> io::Result<()> {
    let mut bytes = read_file(fs, path)?;
    change(&mut bytes);
    plant(fs, path, &bytes)
}

/// The files in `dir` whose names start and end so, in order of name.
///
/// # Errors
/// The file system's.
pub fn find(fs: &dyn FileSystem, dir: &Path, starts: &str, ends: &str) -> io::Result<Vec<PathBuf>> {
    let names = fs
        .list(dir)?
        .into_iter()
        .map(|entry| entry.name.to_string_lossy().into_owned());
    Ok(names
        .filter(|name| name.starts_with(starts) && name.ends_with(ends))
        .map(|name| dir.join(name))
        .collect())
}

/// The run files of the store in `dir`, oldest first.
///
/// # Errors
/// The file system's.
pub fn runs(fs: &dyn FileSystem, dir: &Path) -> io::Result<Vec<PathBuf>> {
    find(fs, dir, "run-", ".sst")
}

/// The log segments of the store in `dir`, oldest first.
///
/// # Errors
/// The file system's.
pub fn segments(fs: &dyn FileSystem, dir: &Path) -> io::Result<Vec<PathBuf>> {
    find(fs, dir, "wal-", ".log")
}
