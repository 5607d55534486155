//! What the operating system knows of this process and of its files: memory, bytes written and read,
//! bytes on disk. Linux only, which is where the comparison runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Result;

/// The most memory that was resident since the start or [`restart_peak`], in bytes.
pub fn peak_resident_bytes() -> Result<u64> {
    Ok(field("/proc/self/status", "VmHWM")? * 1024)
}

/// The memory that is resident now, in bytes.
pub fn resident_bytes() -> Result<u64> {
    Ok(field("/proc/self/status", "VmRSS")? * 1024)
}

/// Makes the peak start again from what is resident now.
pub fn restart_peak() -> Result<()> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

/// Bytes that this process caused to be written to storage.
pub fn written_bytes() -> Result<u64> {
    field("/proc/self/io", "write_bytes")
}

/// Bytes that this process caused to be read from storage.
pub fn read_bytes() -> Result<u64> {
    field("/proc/self/io", "read_bytes")
}

/// The number on the line `name: number [unit]`.
fn field(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines
        .find(|(found, _)| *found == name)
        .ok_or_else(|| format!("{path} has no {name}"))?;
    let number = value.split_whitespace().next().unwrap_or_default();
    Ok(number.parse()?)
}

/// Bytes of disk that the files below a folder take; of those alone whose name passes.
///
/// Counted in blocks, so that a sparse file counts what it holds and a preallocated one what was
/// taken for it.
pub fn disk_bytes(dir: &Path, is_counted: &dyn Fn(&str) -> bool) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // A file may go between the listing and the look at it.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            bytes += disk_bytes(&entry.path(), is_counted)?;
        } else if is_counted(&entry.file_name().to_string_lossy()) {
            bytes += metadata.blocks() * 512;
        }
    }
    Ok(bytes)
}

/// Writes back the files below a folder and drops their pages from the page cache.
pub fn drop_page_cache(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.metadata()?.is_dir() {
            drop_page_cache(&entry.path())?;
        } else {
            let file = fs::File::open(entry.path())?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}
