//! Short ways to write runs in the unit tests of this crate.

use std::sync::Arc;

use bytes::Bytes;

use crate::{RunId, RunMeta};

/// A run of ten entries that spans `smallest..=largest`.
pub(crate) fn run(id: RunId, smallest: &str, largest: &str) -> Arc<RunMeta> {
    Arc::new(RunMeta {
        id,
        file_len: 1000 + id % 1000,
        entry_count: 10,
        tombstone_count: id % 3,
        index_len: 100,
        index_crc: 0xABCD_0000,
        smallest_key: Bytes::copy_from_slice(smallest.as_bytes()),
        largest_key: Bytes::copy_from_slice(largest.as_bytes()),
    })
}
