//! The merge job: sources in, output runs out.
//!
//! One pass, one thread, the caller's. It reads through cursors and writes through a [`Sink`], so
//! it knows neither files nor formats; it decides only which entries go on and where runs end.

#[cfg(test)]
mod tests;

use crate::cursor::Cursor;
use crate::elide::Elision;
use crate::merge::MergeCursor;
use crate::split::Splitter;

/// How many bytes of entries are merged between two questions whether to stop.
const BYTES_BETWEEN_STOPS: u64 = 64 << 10;

/// What an entry is counted as beside its key and value, so that small ones are asked about too.
const ENTRY_BYTES_MIN: u64 = 64;

/// Where a job writes: a sequence of runs, one open at a time.
///
/// A run is opened by the first `push` after the last `finish_output`. When a job fails or is
/// stopped, the open run and the outputs finished so far are the caller's to delete.
pub trait Sink {
    /// A finished run: its metadata, as a rule.
    type Output;
    /// What writing may fail with.
    type Error;

    /// Appends an entry to the open run; `None` is a tombstone. Keys ascend strictly.
    ///
    /// # Errors
    /// The sink's own; the job ends with it.
    fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Self::Error>;

    /// The size in bytes of the open run so far, 0 if none is open.
    fn output_bytes(&self) -> u64;

    /// Ends the open run and makes it durable; `None` if none is open.
    ///
    /// # Errors
    /// The sink's own; the job ends with it.
    fn finish_output(&mut self) -> Result<Option<Self::Output>, Self::Error>;
}

/// What a job wrote, and what it did on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobOutput<O> {
    /// The finished runs, ascending by key; none if nothing was left.
    pub outputs: Vec<O>,
    /// Entries read from all sources.
    pub entries_in: u64,
    /// Entries written, tombstones included.
    pub entries_out: u64,
    /// Tombstones left out because nothing older could hold their keys.
    pub tombstones_dropped: u64,
    /// The bytes of keys and values written.
    pub entry_bytes_out: u64,
}

/// Why a job ended early. Its inputs are as they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError<S, K> {
    /// An input could not be read. Delete the outputs. If the input is corrupt, set it aside,
    /// else try again.
    #[error("an input of the compaction could not be read")]
    Source(#[source] S),
    /// An output could not be written. Delete the outputs, and try again when there is room.
    #[error("an output of the compaction could not be written")]
    Sink(#[source] K),
    /// It was asked to stop. Delete the outputs; nothing is wrong.
    #[error("the compaction was stopped")]
    Stopped,
}

/// Merges `sources`, newest first, into the runs of `sink`.
///
/// The newest entry of each key is written, in key order, except for the tombstones that
/// `elision` finds to be needless; `splitter` says where runs end. An entry that fills a run alone
/// gets one to itself. `stop` is asked about every 64 KiB. Memory is that of the cursors and of
/// the list of outputs.
///
/// # Errors
///
/// [`JobError::Source`] and [`JobError::Sink`] with the first error met, [`JobError::Stopped`]
/// when `stop` says so. Some outputs may have been finished by then: the caller deletes them, as
/// no version names them.
///
/// # Examples
///
/// See `examples/merge_logs.rs` for a sink that writes text.
#[expect(clippy::type_complexity, reason = "each error keeps its own type")]
pub fn run<C: Cursor, S: Sink>(
    sources: Vec<C>,
    mut elision: Elision,
    mut splitter: Splitter,
    sink: &mut S,
    stop: &dyn Fn() -> bool,
) -> Result<JobOutput<S::Output>, JobError<C::Error, S::Error>> {
    let mut merge = MergeCursor::new(sources);
    let mut done = JobOutput {
        outputs: Vec::new(),
        entries_in: 0,
        entries_out: 0,
        tombstones_dropped: 0,
        entry_bytes_out: 0,
    };
    let mut merged = 0_u64;
    let mut bytes_since_stop = BYTES_BETWEEN_STOPS;
    merge.seek_first().map_err(JobError::Source)?;
    while let Some((key, value)) = merge.entry() {
        if bytes_since_stop >= BYTES_BETWEEN_STOPS {
            bytes_since_stop = 0;
            if stop() {
                return Err(JobError::Stopped);
            }
        }
        merged += 1;
        let entry_bytes = key.len() as u64 + value.map_or(0, <[u8]>::len) as u64;
        bytes_since_stop += entry_bytes + ENTRY_BYTES_MIN;
        if value.is_none() && elision.drops_tombstone(key) {
            done.tombstones_dropped += 1;
        } else {
            if splitter.should_split_before_entry(key, entry_bytes, sink.output_bytes()) {
                done.outputs
                    .extend(sink.finish_output().map_err(JobError::Sink)?);
            }
            sink.push(key, value).map_err(JobError::Sink)?;
            done.entries_out += 1;
            done.entry_bytes_out += entry_bytes;
        }
        merge.next().map_err(JobError::Source)?;
    }
    done.outputs
        .extend(sink.finish_output().map_err(JobError::Sink)?);
    done.entries_in = merged + merge.superseded_count();
    Ok(done)
}
