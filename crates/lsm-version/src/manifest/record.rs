//! One record of a manifest: an edit in bytes, and how a state is split into several.
//!
//! Called by the loader and by the writers. Pure: it never touches a file and never judges whether
//! an edit fits.
//!
//! The payload is `bincode` 2 in its standard configuration (integers of variable length,
//! little-endian); the field order of the private structs below is the format.

use bincode::{BorrowDecode, Encode};
use bytes::{BufMut, Bytes, BytesMut};
use lsm_wal::{KIND_MUST_UNDERSTAND, LogBounds, Position};

use crate::{Ceilings, ManifestState, RunId, RunMeta, VersionEdit};

/// A record that changes the state.
pub(crate) const KIND_EDIT: u16 = KIND_MUST_UNDERSTAND | 1;

/// The mark of a clean close: an edit without runs, after which the file ends.
pub(crate) const KIND_CLEAN: u16 = KIND_MUST_UNDERSTAND | 2;

/// Keys longer than this many bytes are not in the manifest; they are read from the run.
pub const KEY_BYTES_IN_MANIFEST_MAX: usize = 4096;

/// The largest payload of a record in bytes. A larger edit is committed by rewriting the file,
/// where a state may take any number of records.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 10;

/// What decoding one record may allocate: room for [`RECORD_BYTES_MAX`] of the smallest entries
/// (80 bytes decoded, 8 encoded).
const DECODE_BYTES_MAX: usize = 1 << 20;

/// More than a run's entry takes besides its keys, at the longest; and than half of all else.
const RUN_BYTES_MAX: usize = 80;

/// What a run id takes at the longest.
const RUN_ID_BYTES_MAX: usize = 9;

const CONFIG: bincode::config::Configuration = bincode::config::standard();

#[derive(Encode, BorrowDecode)]
struct WireEdit<'a> {
    removed: Vec<(u8, RunId)>,
    added: Vec<WireRun<'a>>,
    log: Option<WireLog>,
    flushed_seqno: Option<u64>,
    ceilings: Option<WireCeilings>,
    legacy_log_end: Option<u64>,
    unnamed: Vec<RunId>,
}

#[derive(Encode, BorrowDecode)]
struct WireRun<'a> {
    level: u8,
    id: RunId,
    file_len: u64,
    entry_count: u64,
    tombstone_count: u64,
    index_len: u64,
    index_crc: u32,
    /// Smallest and largest; absent if either is too long.
    keys: Option<(&'a [u8], &'a [u8])>,
}

#[derive(Encode, BorrowDecode)]
struct WireLog {
    retired_below: u64,
    floor: Option<u64>,
    end: Option<(u64, u64)>,
    discarded_through: u64,
}

#[derive(Encode, BorrowDecode)]
struct WireCeilings {
    run_id: u64,
    segment_id: u64,
    seqno: u64,
}

/// A run as a manifest names it, when its keys are too long to be kept there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnresolvedRun {
    /// The level that holds the run.
    pub level: u8,
    /// The run's id.
    pub id: RunId,
    /// The length of the run file in bytes.
    pub file_len: u64,
    /// How many entries the run holds, tombstones included.
    pub entry_count: u64,
    /// How many of the entries are tombstones.
    pub tombstone_count: u64,
    /// The length of the run's index in bytes.
    pub index_len: u64,
    /// The checksum of the run's index.
    pub index_crc: u32,
}

impl UnresolvedRun {
    pub(crate) fn with_keys(&self, smallest_key: Bytes, largest_key: Bytes) -> RunMeta {
        RunMeta {
            id: self.id,
            file_len: self.file_len,
            entry_count: self.entry_count,
            tombstone_count: self.tombstone_count,
            index_len: self.index_len,
            index_crc: self.index_crc,
            smallest_key,
            largest_key,
        }
    }
}

/// A run of a decoded edit; keys are `None` if they were too long to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecodedRun {
    pub(crate) run: UnresolvedRun,
    pub(crate) keys: Option<(Bytes, Bytes)>,
}

/// An edit as read: its runs may lack their keys, and are not in `edit.added`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecodedEdit {
    pub(crate) edit: VersionEdit,
    pub(crate) added: Vec<DecodedRun>,
}

/// The kind under which `edit` is recorded.
pub(crate) fn kind_of(edit: &VersionEdit) -> u16 {
    if edit.clean { KIND_CLEAN } else { KIND_EDIT }
}

/// Appends the payload of `edit`'s record to `payload`.
pub(crate) fn encode(edit: &VersionEdit, payload: &mut BytesMut) {
    let wire = WireEdit {
        removed: edit.removed.clone(),
        added: edit
            .added
            .iter()
            .map(|(level, run)| WireRun::of(*level, run))
            .collect(),
        log: edit.log.as_ref().map(WireLog::of),
        flushed_seqno: edit.flushed_seqno,
        ceilings: edit.ceilings.map(WireCeilings::of),
        legacy_log_end: edit.legacy_log_end,
        unnamed: edit.unnamed.clone(),
    };
    let written = bincode::encode_into_std_write(wire, &mut payload.writer(), CONFIG);
    // A buffer takes every byte, and none of these types refuses to be encoded.
    debug_assert!(written.is_ok(), "encoding into memory does not fail");
}

/// Decodes a record's payload, of which no byte may be left over.
pub(crate) fn decode(kind: u16, payload: &[u8]) -> Result<DecodedEdit, String> {
    if payload.len() > RECORD_BYTES_MAX {
        return Err(format!("a record of {} bytes is too long", payload.len()));
    }
    let config = CONFIG.with_limit::<DECODE_BYTES_MAX>();
    let (wire, used) = bincode::borrow_decode_from_slice::<WireEdit<'_>, _>(payload, config)
        .map_err(|error| format!("a record does not decode: {error}"))?;
    if used != payload.len() {
        return Err("a record is longer than its edit".to_owned());
    }
    let edit = VersionEdit {
        removed: wire.removed,
        added: Vec::new(),
        log: wire.log.map(|log| log.bounds()),
        flushed_seqno: wire.flushed_seqno,
        ceilings: wire.ceilings.map(|ceilings| ceilings.ceilings()),
        legacy_log_end: wire.legacy_log_end,
        unnamed: wire.unnamed,
        clean: kind == KIND_CLEAN,
    };
    let added = wire.added.iter().map(WireRun::decoded).collect();
    Ok(DecodedEdit { edit, added })
}

/// The edits that turn the state of a fresh database into `state`, each fit for one record. If
/// the state is clean, the last one is the mark.
pub(crate) fn snapshot(state: &ManifestState) -> Vec<VersionEdit> {
    let mut split = Split {
        full: Vec::new(),
        edit: VersionEdit {
            log: Some(state.log),
            flushed_seqno: Some(state.flushed_seqno),
            ceilings: Some(state.ceilings),
            legacy_log_end: state.legacy_log_end,
            ..VersionEdit::default()
        },
        bytes: 2 * RUN_BYTES_MAX,
    };
    for run in state.unnamed.iter() {
        split.make_room(RUN_ID_BYTES_MAX);
        split.edit.unnamed.push(*run);
    }
    for (index, level) in (0_u8..).zip(state.version.levels()) {
        let runs = level.runs();
        // Level 0 is listed from oldest to newest.
        let oldest_first = (0..runs.len()).map(|place| {
            if index == 0 {
                runs.len() - 1 - place
            } else {
                place
            }
        });
        for run in oldest_first.filter_map(|place| runs.get(place)) {
            let keys =
                stored_keys(run).map_or(0, |(smallest, largest)| smallest.len() + largest.len());
            split.make_room(RUN_BYTES_MAX + keys);
            split.edit.added.push((index, run.clone()));
        }
    }
    let mut edits = split.full;
    edits.push(split.edit);
    if state.clean {
        edits.push(VersionEdit {
            clean: true,
            ..VersionEdit::default()
        });
    }
    edits
}

/// Edits that are each fit for one record.
struct Split {
    full: Vec<VersionEdit>,
    edit: VersionEdit,
    /// What `edit` takes, at the longest.
    bytes: usize,
}

impl Split {
    /// Goes on with another edit if this many bytes more are too many for the last one.
    fn make_room(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes > RECORD_BYTES_MAX {
            self.full.push(std::mem::take(&mut self.edit));
            self.bytes = RUN_BYTES_MAX + bytes;
        }
    }
}

fn stored_keys(run: &RunMeta) -> Option<(&[u8], &[u8])> {
    let (smallest, largest) = (run.smallest_key.as_ref(), run.largest_key.as_ref());
    let short = |key: &[u8]| key.len() <= KEY_BYTES_IN_MANIFEST_MAX;
    (short(smallest) && short(largest)).then_some((smallest, largest))
}

impl<'a> WireRun<'a> {
    fn of(level: u8, run: &'a RunMeta) -> Self {
        Self {
            level,
            id: run.id,
            file_len: run.file_len,
            entry_count: run.entry_count,
            tombstone_count: run.tombstone_count,
            index_len: run.index_len,
            index_crc: run.index_crc,
            keys: stored_keys(run),
        }
    }

    fn decoded(&self) -> DecodedRun {
        // Copied, so that a run's metadata does not keep the whole read buffer alive.
        let keys = self.keys.map(|(smallest, largest)| {
            (
                Bytes::copy_from_slice(smallest),
                Bytes::copy_from_slice(largest),
            )
        });
        DecodedRun {
            run: UnresolvedRun {
                level: self.level,
                id: self.id,
                file_len: self.file_len,
                entry_count: self.entry_count,
                tombstone_count: self.tombstone_count,
                index_len: self.index_len,
                index_crc: self.index_crc,
            },
            keys,
        }
    }
}

impl WireLog {
    fn of(bounds: &LogBounds) -> Self {
        Self {
            retired_below: bounds.retired_below,
            floor: bounds.floor,
            end: bounds.end.map(|end| (end.segment, end.offset)),
            discarded_through: bounds.discarded_through,
        }
    }

    fn bounds(self) -> LogBounds {
        LogBounds {
            retired_below: self.retired_below,
            floor: self.floor,
            end: self
                .end
                .map(|(segment, offset)| Position { segment, offset }),
            discarded_through: self.discarded_through,
        }
    }
}

impl WireCeilings {
    fn of(ceilings: Ceilings) -> Self {
        let Ceilings {
            run_id,
            segment_id,
            seqno,
        } = ceilings;
        Self {
            run_id,
            segment_id,
            seqno,
        }
    }

    fn ceilings(self) -> Ceilings {
        let Self {
            run_id,
            segment_id,
            seqno,
        } = self;
        Ceilings {
            run_id,
            segment_id,
            seqno,
        }
    }
}

#[cfg(test)]
mod tests;
