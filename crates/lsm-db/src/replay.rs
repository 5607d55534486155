//! Replay: the records of a recovered log become memtables.

use std::sync::Arc;

use bytes::Bytes;
use lsm_wal::{Record, RecoveredLog};

use crate::adoption::LEGACY_LOG_SEQNO;
use crate::commit::insert;
use crate::legacy_log::LegacyWrites;
use crate::run::RunContext;
use crate::view::LoggedMemtable;
use crate::{Error, Result};

/// Replayed memtables are split at this size at least, however small the configured capacity.
const REPLAY_BYTES_MIN: u64 = 4 << 20;

/// Collects replayed records into memtables.
pub(crate) struct Replay {
    flushed_seqno: u64,
    capacity_bytes: u64,
    last_seqno: u64,
    segment: Option<u64>,
    memtables: Vec<LoggedMemtable>,
    seqno_ceiling: u64,
    context: Arc<RunContext>,
}

impl Replay {
    /// Skips what a run holds already, up to `flushed_seqno`; seqnos below `seqno_ceiling` were
    /// reserved, others were never given out.
    pub(crate) fn new(
        flushed_seqno: u64,
        seqno_ceiling: u64,
        capacity_bytes: u64,
        context: &Arc<RunContext>,
    ) -> Self {
        Self {
            flushed_seqno,
            seqno_ceiling,
            capacity_bytes: capacity_bytes.max(REPLAY_BYTES_MIN),
            context: Arc::clone(context),
            last_seqno: flushed_seqno,
            segment: None,
            memtables: Vec::new(),
        }
    }

    /// Takes what the log of `lsm-db` 1.x says, which is so long, and older than any record.
    pub(crate) fn take_legacy(&mut self, writes: LegacyWrites, log_len: u64) {
        if writes.is_empty() {
            return;
        }
        let logged = LoggedMemtable::new(1, self.capacity_bytes, &self.context);
        let logged = logged.of_legacy_log(log_len);
        let operations = writes.iter();
        let operations = operations.map(|(key, value)| (&key[..], value.as_deref()));
        let count = writes.len();
        logged.insert(LEGACY_LOG_SEQNO, count, operations, Bytes::copy_from_slice);
        logged.wrote(None, LEGACY_LOG_SEQNO, 0);
        self.last_seqno = LEGACY_LOG_SEQNO;
        self.memtables.push(logged);
    }

    pub(crate) fn take(&mut self, record: &Record) -> Result<()> {
        if record.seqno <= self.flushed_seqno {
            return Ok(());
        }
        if record.seqno >= self.seqno_ceiling {
            return Err(Error::Corruption {
                reason: "the log holds a seqno that was never given out",
                detail: None,
                file: None,
                offset: Some(record.position.offset),
                block: None,
            });
        }
        let new_segment = self.segment.replace(record.position.segment);
        let new_segment = new_segment != Some(record.position.segment);
        let full = |logged: &LoggedMemtable| logged.bytes() >= self.capacity_bytes;
        if self
            .memtables
            .last()
            .is_none_or(|last| new_segment && full(last))
        {
            let ordinal = self.memtables.len() as u64 + 1;
            let logged = LoggedMemtable::new(ordinal, self.capacity_bytes, &self.context);
            self.memtables.push(logged);
        }
        if let Some(logged) = self.memtables.last() {
            insert(logged, record.seqno, &record.payload, &record.payload)?;
            logged.wrote(None, record.seqno, 0);
        }
        self.last_seqno = record.seqno;
        Ok(())
    }

    /// The memtables, newest first, and the last seqno. The flush of the newest retires the log.
    pub(crate) fn finish(self, log: &RecoveredLog) -> (Vec<Arc<LoggedMemtable>>, u64) {
        let mut newest_first = self.memtables.into_iter().rev();
        let mut sealed = Vec::new();
        if let Some(newest) = newest_first.next() {
            newest.add_segments(log.chain.iter().copied());
            sealed.push(Arc::new(newest));
        }
        sealed.extend(newest_first.map(|older| Arc::new(older.keeping_log())));
        (sealed, self.last_seqno)
    }
}
