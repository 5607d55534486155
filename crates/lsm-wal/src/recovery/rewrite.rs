//! Writing the log's tail again, so that it is durable whatever the page cache held.
//!
//! Called once after a recovery, again if it failed for lack of room. Never touches the segments
//! that were recovered.

use std::io;

use super::RecoveredLog;
use crate::error::Error;
use crate::frame::{FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameBuffer, FrameKey};
use crate::names::{segment_file_name, segment_temporary_file_name};
use crate::position::Position;
use crate::segment::{self, LogOptions, SEGMENT_HEADER_LEN, SegmentHeader};

/// How much is encoded before it is written.
const CHUNK_BYTES: usize = 1 << 20;

impl RecoveredLog {
    /// Writes the records that no claim covers into the new segment `new_segment_id`, which
    /// continues the log from [`durable`](Self::durable), and makes it durable: under a temporary
    /// name first, so that the segment exists as a whole or not at all. Returns where the log ends
    /// now; `None` if there was nothing to do, and then it ends at [`end`](Self::end).
    ///
    /// Until this has succeeded no sync may be acknowledged and nothing unlinked. Takes the
    /// records from memory, so it can be repeated, each time with a fresh id larger than
    /// [`largest_segment_id`](Self::largest_segment_id); of several, the newest counts.
    ///
    /// # Errors
    /// - [`Error::WriteFailed`]: it did not happen, or it makes no difference whether it did.
    ///   Repeat it with another id.
    /// - [`Error::SyncFailed`]: final; recover again.
    pub fn rewrite_tail(
        &self,
        options: &LogOptions,
        new_segment_id: u64,
    ) -> Result<Option<Position>, Error> {
        if self.tail.is_empty() {
            return Ok(None);
        }
        let temporary = segment_temporary_file_name(new_segment_id);
        let path = options.dir.path_of(&temporary);
        let failed = |operation| {
            let path = path.clone();
            move |source| Error::WriteFailed {
                operation,
                path,
                source,
            }
        };
        if self
            .largest_segment_id
            .is_some_and(|largest| new_segment_id <= largest)
        {
            return Err(failed("create")(io::Error::new(
                io::ErrorKind::InvalidInput,
                "segment ids are not reused",
            )));
        }
        let end = Position::new(new_segment_id, self.rewritten_len());
        let header = SegmentHeader {
            database_id: options.database_id,
            segment: new_segment_id,
            predecessor: self.durable,
            // Not the segment itself: its bytes are synced before it gets its name, but the name
            // may be only in the page cache. The caller's bounds vouch for it, once durable.
            durable: self.durable.unwrap_or_default(),
        };
        let file = segment::create_with_header(options, &header, &temporary)?;
        let written = self
            .write_tail(options, &*file, new_segment_id)
            .map_err(failed("write"))
            .and_then(|()| {
                file.sync().map_err(|source| Error::SyncFailed {
                    operation: "sync",
                    path: path.clone(),
                    source,
                })
            })
            .and_then(|()| {
                let target = segment_file_name(new_segment_id);
                let renamed = options.dir.rename(&temporary, &target);
                renamed.map_err(failed("rename"))
            });
        if let Err(error) = written {
            // Best effort: under this name it holds nothing.
            let _ = options.dir.unlink(&temporary);
            return Err(error);
        }
        segment::sync_dir(options)?;
        segment::check_linked(&*options.dir)?;
        Ok(Some(end))
    }

    /// The length in bytes of the segment that the tail makes.
    fn rewritten_len(&self) -> u64 {
        let records = self.tail.iter().map(|record| {
            (FRAME_HEADER_LEN + record.payload.len().next_multiple_of(FRAME_ALIGNMENT)) as u64
        });
        SEGMENT_HEADER_LEN + records.sum::<u64>()
    }

    fn write_tail(
        &self,
        options: &LogOptions,
        file: &dyn lsm_fs::File,
        segment: u64,
    ) -> io::Result<()> {
        let key = FrameKey::new(options.database_id, segment);
        let durable = self.durable.unwrap_or_default();
        let mut offset = SEGMENT_HEADER_LEN;
        let mut chunk = FrameBuffer::new();
        let mut records = self.tail.iter().peekable();
        while let Some(record) = records.next() {
            chunk.push(record.kind, record.keyspace, record.seqno, |payload| {
                payload.extend_from_slice(&record.payload);
            });
            if chunk.len() >= CHUNK_BYTES || records.peek().is_none() {
                chunk.seal(&key, offset, durable);
                file.append_all(chunk.as_bytes())?;
                offset += chunk.len() as u64;
                chunk.clear();
            }
        }
        debug_assert_eq!(offset, self.rewritten_len());
        Ok(())
    }
}
