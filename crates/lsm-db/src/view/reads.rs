//! What a view answers at a seqno: one implementation for the handle and for its snapshots.
//!
//! Called by `Lsm`, on the view of the moment, and by `Snapshot`, on the view that it holds. The
//! handle's reads end within their call, and hold nothing afterwards but what they return.

use std::ops::Bound;

use bytes::Bytes;
use lsm_compact::{Cursor, KnownGaps, LiveCursor, MergeCursor};

use super::ReadView;
use crate::source::Source;
use crate::{Error, Result};

/// Values of this many bytes or more are handed out without a copy. What they then keep alive (the
/// block or the group of writes that they were part of) is small beside them or bounded; and to
/// copy less costs less than to find it.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// The entries of a view as a reader sees them, sought to by key.
pub(crate) type LiveEntries<G> = LiveCursor<MergeCursor<Source>, G>;

impl ReadView {
    /// A copy of the value of `key` as of `seqno`.
    pub(crate) fn get_vec(&self, key: &[u8], seqno: u64) -> Result<Option<Vec<u8>>> {
        self.get(key, seqno, |value| value.bytes.to_vec())
    }

    /// The value of `key` as of `seqno`, for the caller to keep.
    pub(crate) fn get_bytes(&self, key: &[u8], seqno: u64) -> Result<Option<Bytes>> {
        self.get(key, seqno, |value| {
            if value.bytes.len() < SHARED_BYTES_MIN {
                Bytes::copy_from_slice(value.bytes)
            } else {
                value.share()
            }
        })
    }

    /// Whether `key` has a value as of `seqno`.
    pub(crate) fn contains_key(&self, key: &[u8], seqno: u64) -> Result<bool> {
        Ok(self.get(key, seqno, |_| ())?.is_some())
    }

    /// The values of `keys` as of `seqno`, in the order in which the keys come.
    pub(crate) fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        seqno: u64,
    ) -> Result<Vec<Option<Bytes>>> {
        let values = keys.into_iter();
        values
            .map(|key| self.get_bytes(key.as_ref(), seqno))
            .collect()
    }

    /// The entry with the smallest key as of `seqno`.
    pub(crate) fn first<G: KnownGaps>(
        &self,
        seqno: u64,
        gaps: G,
    ) -> Result<Option<(Bytes, Bytes)>> {
        // By key, so that a gap may be known from there on: a queue leaves one.
        self.entry_at(seqno, gaps, |entries| entries.seek(&[]))
    }

    /// The entry with the largest key as of `seqno`.
    pub(crate) fn last<G: KnownGaps>(&self, seqno: u64, gaps: G) -> Result<Option<(Bytes, Bytes)>> {
        self.entry_at(seqno, gaps, LiveEntries::seek_last)
    }

    /// Whether no key has a value as of `seqno`.
    pub(crate) fn is_empty<G: KnownGaps>(&self, seqno: u64, gaps: G) -> Result<bool> {
        let mut entries = self.entries(seqno, gaps);
        entries.seek(&[])?;
        Ok(entries.key().is_none())
    }

    /// All entries as of `seqno`, not yet positioned.
    pub(crate) fn entries<G: KnownGaps>(&self, seqno: u64, gaps: G) -> LiveEntries<G> {
        LiveCursor::with_gaps(self.merge(seqno, Bound::Unbounded, Bound::Unbounded), gaps)
    }

    /// The entries of all sources that reach into a range, as of `seqno`, tombstones too.
    pub(crate) fn merge(
        &self,
        seqno: u64,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> MergeCursor<Source> {
        MergeCursor::new(self.sources(seqno, lower, upper))
    }

    fn entry_at<G: KnownGaps>(
        &self,
        seqno: u64,
        gaps: G,
        seek: impl FnOnce(&mut LiveEntries<G>) -> Result<(), Error>,
    ) -> Result<Option<(Bytes, Bytes)>> {
        let mut entries = self.entries(seqno, gaps);
        seek(&mut entries)?;
        // Copies: the block may be a small part of a large read.
        let entry = entries.key().zip(entries.value());
        Ok(entry.map(|(key, value)| (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))))
    }
}
