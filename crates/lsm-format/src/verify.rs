//! Reading a whole run once to see that it is sound.
//!
//! For a scrub, after a copy, before a run of foreign origin is used. It reads every byte, keeps
//! nothing but the index and one read at a time, and repairs nothing.

use bytes::Bytes;

use crate::encode::RunSummary;
use crate::error::Error;
use crate::file::{ReadAt, ReadError, RunFile};
use crate::footer::footer_offset;
use crate::index::Index;

/// Blocks are read together up to about this many bytes.
const READ_BYTES_TARGET: u64 = 256 << 10;

/// Reads and checks every block of a run, and the entry count that no checksum covers.
///
/// Returns what the run holds. Takes memory for the index and for the larger of 256 KiB and the
/// longest block, whatever the size of the run.
///
/// # Errors
/// [`ReadError::Format`] with the first damage that was found, in the order of the file after
/// footer and index; [`ReadError::Io`] if the medium fails.
///
/// ```
/// use lsm_format::{RunFile, RunWriter, verify};
///
/// let mut writer = RunWriter::new();
/// writer.put("apple", "red")?;
/// let mut file = writer.finish();
/// assert_eq!(verify(&RunFile::open(&file, file.len() as u64)?)?.entry_count, 1);
///
/// file[12] ^= 1;
/// assert!(verify(&RunFile::open(&file, file.len() as u64)?).is_err());
/// # Ok::<(), lsm_format::ReadError>(())
/// ```
pub fn verify<R: ReadAt>(run: &RunFile<R>) -> Result<RunSummary, ReadError> {
    let index = run.load_index()?;
    let mut found = Found::default();
    let mut buf = Vec::new();
    let mut start = 0;
    while start < index.block_count() {
        let end = read_end(&index, start)?;
        let offset = index.bounds(start)?.handle.offset;
        let stop = index.bounds(end - 1)?.handle.end();
        run.read_into(&mut buf, offset, stop.saturating_sub(offset))?;
        let mut rest = buf.as_slice();
        for i in start..end {
            let len = index.bounds(i)?.handle.len as usize;
            let (block, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            found.add_block(&index, i, block)?;
            rest = after;
        }
        start = end;
    }
    if found.entry_count != run.footer().entry_count {
        let offset = footer_offset(run.file_len())?;
        return Err(Error::Frame {
            offset,
            reason: "entry count is not that of the blocks",
        }
        .into());
    }
    let largest_key = index
        .block_count()
        .checked_sub(1)
        .and_then(|last| index.last_key(last))
        .unwrap_or_default();
    Ok(RunSummary::new(
        run.footer(),
        found.tombstone_count,
        found.smallest_key,
        Bytes::copy_from_slice(largest_key),
    ))
}

/// The end of the stretch of blocks from `start` that is read together: one block at least.
fn read_end(index: &Index, start: usize) -> Result<usize, Error> {
    let limit = index
        .bounds(start)?
        .handle
        .offset
        .saturating_add(READ_BYTES_TARGET);
    let fits = |i: &usize| index.handle(*i).is_some_and(|handle| handle.end() <= limit);
    Ok((start + 1..index.block_count())
        .take_while(fits)
        .last()
        .unwrap_or(start)
        + 1)
}

#[derive(Default)]
struct Found {
    entry_count: u64,
    tombstone_count: u64,
    smallest_key: Bytes,
}

impl Found {
    fn add_block(&mut self, index: &Index, i: usize, bytes: &[u8]) -> Result<(), Error> {
        let bounds = index.bounds(i)?;
        bounds.check_bytes(bytes)?;
        bounds.check_entries(bytes, |_, key, entry| {
            if self.entry_count == 0 {
                self.smallest_key = Bytes::copy_from_slice(key);
            }
            self.entry_count += 1;
            self.tombstone_count += u64::from(entry.is_tombstone());
        })
    }
}
