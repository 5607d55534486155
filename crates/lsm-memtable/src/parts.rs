//! Parts: the front that takes the writes, and the arrays behind it.
//!
//! A value that never changes; the memtable replaces it by the next one, made here, and readers go on
//! with the one they have. What to merge is a pure function of sizes.
//!
//! 1. Every seqno of the front exceeds those of the arrays, and every seqno of an array those of the
//!    arrays behind it. So the first part that knows a key at a seqno has its newest version.
//! 2. Each part has every version it was given, and parts are made of whole parts: the next value
//!    answers every read as this one does.
//! 3. A batch lies in one part.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::array::{Array, ArrayBuilder, merge};
use crate::front::Front;
use crate::key::{cmp_same_head, key_head};

/// So many arrays of about one size are merged into one.
const MERGE_ARRAYS: usize = 4;
/// A merge makes no array of more entries than this: the writer does it between two batches.
const MERGED_ENTRIES_MAX: usize = 128 << 10;
/// Nor of more bytes than this.
const MERGED_BYTES_MAX: u64 = 32 << 20;

/// A front that a memtable needs no more; to be dropped where nobody waits for it.
///
/// Dropping it frees some thousands of nodes one by one, which takes a fraction of a millisecond.
#[derive(Debug)]
pub struct Retired(
    #[expect(dead_code, reason = "holding it is its use")] Box<dyn Any + Send + Sync>,
);

/// Takes a retired front from whoever was the last to hold it.
pub(crate) type Disposal = Arc<dyn Fn(Retired) + Send + Sync>;

/// A front and its disposal.
pub(crate) struct HeldFront {
    front: Arc<Front>,
    disposal: Option<Disposal>,
}

impl HeldFront {
    pub(crate) fn new(disposal: Option<Disposal>) -> Arc<Self> {
        Arc::new(Self {
            front: Arc::new(Front::new()),
            disposal,
        })
    }
}

impl std::ops::Deref for HeldFront {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.front
    }
}

impl Drop for HeldFront {
    fn drop(&mut self) {
        if let Some(disposal) = &self.disposal {
            disposal(Retired(Box::new(Arc::clone(&self.front))));
        }
    }
}

impl fmt::Debug for HeldFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldFront").finish_non_exhaustive()
    }
}

pub(crate) struct Parts {
    pub(crate) front: Arc<HeldFront>,
    /// Newest first.
    pub(crate) arrays: Vec<Arc<Array>>,
}

impl Parts {
    /// Bytes of all arrays.
    pub(crate) fn array_bytes(&self) -> u64 {
        self.arrays.iter().map(|array| array.memory_bytes()).sum()
    }

    /// These parts with `newest` before the arrays, and `front`, which is empty.
    pub(crate) fn with(&self, newest: Array, front: Arc<HeldFront>) -> Self {
        let mut arrays = self.arrays.clone();
        arrays.insert(0, Arc::new(newest));
        merge_alike(&mut arrays);
        Self { front, arrays }
    }
}

/// A front, which has about so many entries, as an array.
pub(crate) fn flatten(front: &Front, entries: usize) -> Array {
    let mut builder = ArrayBuilder::with_capacity(entries, 0);
    front.for_each(|key, value| {
        let handles = || (key.user_key().clone(), value.clone());
        builder.push(key.user_key(), value.as_deref(), key.seqno(), handles);
    });
    builder.finish()
}

/// The array of a batch: sorted once, the later of two operations on a key kept.
pub(crate) fn sorted_batch<'a>(
    seqno: u64,
    entries: &[(&'a [u8], Option<&'a [u8]>)],
    mut share: impl FnMut(&'a [u8]) -> Bytes,
) -> Array {
    let mut order: Vec<(u64, usize)> = entries
        .iter()
        .enumerate()
        .map(|(at, (key, _))| (key_head(key), at))
        .collect();
    order.sort_unstable_by(|(head, at), (other_head, other)| {
        head.cmp(other_head)
            .then_with(|| cmp_same_head(entries[*at].0, entries[*other].0))
            // The later operation first.
            .then_with(|| other.cmp(at))
    });
    let lens = entries.iter();
    let bytes = lens.map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len));
    let mut builder = ArrayBuilder::with_capacity(entries.len(), bytes.sum());
    let mut last = None;
    for (key, value) in order.into_iter().map(|(_, at)| entries[at]) {
        if last != Some(key) {
            builder.push(key, value, seqno, || (share(key), value.map(&mut share)));
            last = Some(key);
        }
    }
    builder.finish()
}

/// Merges arrays, newest first, as long as there are enough of one size.
fn merge_alike(arrays: &mut Vec<Arc<Array>>) {
    loop {
        let sizes = arrays
            .iter()
            .map(|array| (array.len(), array.memory_bytes()));
        let count = merge_count(sizes);
        if count == 0 {
            return;
        }
        let newest: Vec<&Array> = arrays.iter().take(count).map(|array| &**array).collect();
        let merged = Arc::new(merge(&newest));
        arrays.splice(..count, [merged]);
    }
}

/// How many of the newest arrays to merge, by their entries and bytes: those that are no larger than
/// the newest, give or take [`MERGE_ARRAYS`] times, if they are that many. 0: none.
fn merge_count(sizes: impl Iterator<Item = (usize, u64)>) -> usize {
    let mut sizes = sizes.peekable();
    let Some(limit) = sizes.peek().map(|(entries, _)| size_class(*entries)) else {
        return 0;
    };
    let (mut count, mut entries_sum, mut bytes_sum) = (0, 0, 0);
    for (entries, bytes) in sizes.take_while(|(entries, _)| size_class(*entries) <= limit) {
        entries_sum += entries;
        bytes_sum += bytes;
        if entries_sum > MERGED_ENTRIES_MAX || bytes_sum > MERGED_BYTES_MAX {
            break;
        }
        count += 1;
    }
    if count >= MERGE_ARRAYS { count } else { 0 }
}

fn size_class(entries: usize) -> u32 {
    entries.max(1).ilog(MERGE_ARRAYS)
}

#[cfg(test)]
mod tests;
