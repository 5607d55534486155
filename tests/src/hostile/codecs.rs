//! Hostile bytes given to the codec crates alone: every reader of each, to the end or to its error.
//!
//! Called by the sweeps before the whole store gets the same file, and by the test of memory. What
//! is read is not judged; that nothing panics and that all of it ends is what counts.

use std::convert::Infallible;

use bytes::Bytes;
use lsm_format::{RunBytes, RunCursor, RunFile, RunReader};
use lsm_fs::{FileSystem, SimFs};
use lsm_version::{Manifest, UnresolvedRun, VersionEdit};
use lsm_wal::{FrameBuffer, KIND_DATA, Log, LogBounds, LogOptions};

use super::image::dir;

/// Reads a run by every reader there is, and gets these keys. How many entries each yields is at
/// most what the bytes can hold.
///
/// # Errors
/// A reader that yields more than that.
pub fn read_run<'a>(
    bytes: &Bytes,
    keys: impl Iterator<Item = &'a Vec<u8>> + Clone,
) -> Result<(), String> {
    let entries_max = bytes.len() / 9 + 1;
    if let Ok(reader) = RunReader::new(bytes) {
        for key in keys.clone() {
            let _ = reader.get(key);
        }
        at_most(entries_max, reader.iter().count(), "RunReader::iter")?;
    }
    if let Ok(run) = RunBytes::new(bytes.clone()) {
        let mut cursor = RunCursor::new(run);
        let mut forward = 0;
        let mut going = cursor.seek_first().is_ok();
        while going && cursor.key().is_some() && forward <= entries_max {
            forward += 1;
            going = cursor.next().is_ok();
        }
        at_most(entries_max, forward, "RunCursor::next")?;
        let mut backward = 0;
        let mut going = cursor.seek_last().is_ok();
        while going && cursor.key().is_some() && backward <= entries_max {
            backward += 1;
            going = cursor.prev().is_ok();
        }
        at_most(entries_max, backward, "RunCursor::prev")?;
        for key in keys {
            let _ = (cursor.seek(key), cursor.seek_for_prev(key));
        }
    }
    if let Ok(file) = RunFile::open(bytes, bytes.len() as u64) {
        let _ = lsm_format::verify(&file);
        if let Ok(index) = file.load_index() {
            let _ = file.read_blocks(&index, 0..index.block_count());
        }
    }
    Ok(())
}

fn at_most(max: usize, count: usize, what: &str) -> Result<(), String> {
    match count <= max {
        true => Ok(()),
        false => Err(format!(
            "{what} yields more than the {max} entries there can be"
        )),
    }
}

/// Loads the manifest on this disk, asks it for all it knows, and commits to it. The bounds of the
/// log that it states, if it loads, and the database's id.
pub fn load_manifest(disk: &SimFs) -> Option<([u8; 16], LogBounds)> {
    let mut resolve =
        |_: &UnresolvedRun| -> Result<_, Infallible> { Ok((Bytes::new(), Bytes::from("z"))) };
    let opened = disk.open_dir(dir()).ok()?;
    let mut manifest = Manifest::load(opened, &mut resolve).ok()?;
    let version = &manifest.state().version;
    for level in version.levels().iter().skip(1) {
        for key in [&b""[..], b"key-000003", b"\xff"] {
            let _ = (level.find(key), level.seek_for_prev(key));
            let _ = level.overlapping(key, b"key-000009");
        }
    }
    let _ = (version.bytes(), version.check());
    let known = (manifest.identity().database_id, manifest.state().log);
    let _ = manifest.commit(VersionEdit::default());
    Some(known)
}

/// Recovers the log on this disk, writes its tail again, and appends to it.
pub fn recover_log(disk: &SimFs, database_id: [u8; 16], bounds: &LogBounds) {
    let Ok(dir) = disk.open_dir(dir()) else {
        return;
    };
    let options = LogOptions {
        dir,
        database_id,
        segment_bytes_max: 1 << 20,
    };
    let mut visit = |_| Ok::<(), Infallible>(());
    let Ok(log) = lsm_wal::recover(&options, bounds, &mut visit) else {
        return;
    };
    let mut next_id = log.largest_segment_id.unwrap_or(0);
    let mut take_id = || {
        next_id = next_id.checked_add(1).ok_or(std::io::ErrorKind::Other)?;
        Ok(next_id)
    };
    let Ok(id) = take_id() else { return };
    let Ok(rewritten) = log.rewrite_tail(&options, id) else {
        return;
    };
    let bounds = log.bounds(bounds, rewritten);
    let mut writer = Log::new(options, bounds.end);
    let mut group = FrameBuffer::new();
    let seqno = log.last_seqno.unwrap_or(0).saturating_add(1);
    group.push(KIND_DATA, 0, seqno, |payload| payload.extend(b"more"));
    let _ = writer.append(&mut group, &mut take_id);
    let _ = writer.close();
}
