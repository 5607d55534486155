//! Files of runs whose id was never given out, when a store is opened.
//!
//! Such a run may belong to another manifest than the one that is there, and then nothing here may
//! be judged by this one: the open is refused. But one that is a live run, byte for byte, holds
//! nothing else, whatever made the copy. It is a leftover, and so is any sidecar without its run.
//! Called once by open; reads and removes nothing else. The removal is part of settling, in the
//! foreground: the store may soon give out the id itself.

use std::io;
use std::sync::Arc;

use lsm_fs::{Directory, File, FileName};
use lsm_version::{Ceilings, Version, run_file_name};

use crate::listing::Listing;
use crate::{Error, Result};

/// Bytes that are compared at once. The end of a run comes first, as it holds the checksum of the
/// index: of two different runs seldom more than this is read.
const COMPARED_BYTES: u64 = 64 << 10;

/// The files with an id that was never given out and that are to go.
///
/// # Errors
/// [`Error::Corruption`] names a run or log segment that must not be there; [`Error::Io`] one that
/// can't be read.
pub(crate) fn removable_strays(
    directory: &dyn Directory,
    listing: &Listing,
    version: &Version,
    ceilings: Ceilings,
) -> Result<Vec<FileName>> {
    listing.refuse_unknown_segments(ceilings)?;
    let mut strays = Vec::new();
    for (_, stray) in listing.runs.iter().filter(|(id, _)| *id >= ceilings.run_id) {
        let path = || directory.path_of(stray);
        let is_copy = is_copy_of_a_live_run(directory, stray, version);
        if !is_copy.map_err(|source| Error::io("read", &path(), source))? {
            return Err(Error::corrupt_file(
                "a file with an id that the manifest has never given out",
                &path(),
            ));
        }
        strays.push(stray.clone());
    }
    let sidecars = listing.sidecars.iter();
    let sidecars = sidecars.filter(|(id, _)| *id >= ceilings.run_id);
    strays.extend(sidecars.map(|(_, sidecar)| sidecar.clone()));
    Ok(strays)
}

fn is_copy_of_a_live_run(
    directory: &dyn Directory,
    stray: &FileName,
    version: &Version,
) -> io::Result<bool> {
    let len = directory.file_len(stray)?;
    let candidates = version.runs().filter(|(_, run)| run.file_len == len);
    for (_, run) in candidates {
        let live = match directory.open(&run_file_name(run.id)) {
            Ok(live) => live,
            // That it is missing is told by who needs it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if live.len()? == len && are_equal(&directory.open(stray)?, &live, len)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether two files of this length have the same bytes, compared from their end.
fn are_equal(one: &Arc<dyn File>, other: &Arc<dyn File>, len: u64) -> io::Result<bool> {
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(COMPARED_BYTES);
        let chunk = usize::try_from(end - start).map_err(io::Error::other)?;
        let (mut left, mut right) = (vec![0; chunk], vec![0; chunk]);
        one.read_exact_at(&mut left, start)?;
        other.read_exact_at(&mut right, start)?;
        if left != right {
            return Ok(false);
        }
        end = start;
    }
    Ok(true)
}
