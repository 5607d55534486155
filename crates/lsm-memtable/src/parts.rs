//! Parts: the front that takes the writes, fronts that filled up, and the arrays behind them.
//!
//! A value that never changes; the memtable replaces it by the next one, made here, and readers go on
//! with the one they have. What to merge is a pure function of sizes.
//!
//! 1. Every seqno of the front exceeds those of the sealed fronts, every seqno of one of these those of
//!    the sealed fronts and arrays behind it, and every seqno of an array those of the arrays behind it.
//!    So the first part that knows a key at a seqno has its newest version.
//! 2. Each part has every version it was given, and parts are made of whole parts: the next value
//!    answers every read as this one does.
//! 3. A batch lies in one part.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::array::{Array, ArrayBuilder, INLINE_BYTES_MAX, is_inline, merge};
use crate::front::Front;
use crate::key::{cmp_same_head, key_head};
use crate::memtable::ENTRY_OVERHEAD_BYTES;

/// So many arrays of about one size are merged into one.
const MERGE_ARRAYS: usize = 4;
/// A merge costs no more than this, or than the part below of what the whole memtable would: the writer
/// may have to do it between two batches.
const MERGE_COST_MIN: usize = 128 << 10;
/// That part.
const MERGE_COST_SHARE: usize = 16;
/// So many arrays may be too large for that. Of more, some two neighbours never are.
const LARGE_ARRAYS_MAX: usize = 32;

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
    front: Front,
    disposal: Option<Disposal>,
}

impl HeldFront {
    pub(crate) fn new(disposal: Option<Disposal>) -> Arc<Self> {
        Arc::new(Self {
            front: Front::new(),
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
            let front = std::mem::replace(&mut self.front, Front::new());
            disposal(Retired(Box::new(front)));
        }
    }
}

impl fmt::Debug for HeldFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldFront").finish_non_exhaustive()
    }
}

/// What is counted of a front while it is filled. Entries that replaced others count too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrontTally {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) slack_bytes: u64,
}

/// A front that filled up and takes no more writes: an array before long.
#[derive(Clone)]
pub(crate) struct SealedFront {
    pub(crate) front: Arc<HeldFront>,
    pub(crate) tally: FrontTally,
}

impl SealedFront {
    /// Its entries as an array.
    pub(crate) fn flatten(&self) -> Array {
        let FrontTally { entries, bytes, .. } = self.tally;
        let copied = bytes.saturating_sub(entries * ENTRY_OVERHEAD_BYTES);
        let copied = copied.min(entries * INLINE_BYTES_MAX as u64);
        let room = |count: u64| usize::try_from(count).unwrap_or_default();
        flatten(&self.front, room(entries), room(copied))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.tally.bytes + self.tally.slack_bytes
    }
}

pub(crate) struct Parts {
    pub(crate) front: Arc<HeldFront>,
    /// Newest first.
    pub(crate) sealed: Vec<SealedFront>,
    /// Newest first.
    pub(crate) arrays: Vec<Arc<Array>>,
}

impl Parts {
    /// A front, and nothing behind it.
    pub(crate) fn of_front(front: Arc<HeldFront>) -> Self {
        Self {
            front,
            sealed: Vec::new(),
            arrays: Vec::new(),
        }
    }

    /// Bytes of all sealed fronts, with slack.
    pub(crate) fn sealed_bytes(&self) -> u64 {
        self.sealed.iter().map(SealedFront::bytes).sum()
    }

    /// Bytes of all arrays.
    pub(crate) fn array_bytes(&self) -> u64 {
        self.arrays.iter().map(|array| array.memory_bytes()).sum()
    }

    /// What it costs to merge all arrays, in entries.
    pub(crate) fn merge_cost(&self) -> u64 {
        self.arrays
            .iter()
            .map(|array| array.merge_cost() as u64)
            .sum()
    }

    /// The arrays in which a read at `seqno` may find something.
    pub(crate) fn visible_arrays(&self, seqno: u64) -> impl Iterator<Item = &Arc<Array>> {
        let arrays = self.arrays.iter();
        arrays.filter(move |array| array.is_visible_at(seqno))
    }

    /// These parts with the front, which is counted by `tally`, sealed, and `front`, which is empty, in
    /// its place.
    pub(crate) fn with_front(&self, front: Arc<HeldFront>, tally: FrontTally) -> Self {
        let filled = SealedFront {
            front: Arc::clone(&self.front),
            tally,
        };
        Self {
            front,
            sealed: std::iter::once(filled)
                .chain(self.sealed.iter().cloned())
                .collect(),
            arrays: self.arrays.clone(),
        }
    }

    /// These parts with `newest` before the arrays. There are no sealed fronts, which would be older.
    pub(crate) fn with_array(&self, newest: Array) -> Self {
        debug_assert!(self.sealed.is_empty(), "they are older");
        let newest = std::iter::once(Arc::new(newest));
        Self {
            front: Arc::clone(&self.front),
            sealed: Vec::new(),
            arrays: newest.chain(self.arrays.iter().cloned()).collect(),
        }
    }

    /// These parts with `array` in the place of the sealed front that it was made of, if that is the
    /// oldest.
    pub(crate) fn with_flattened(&self, flattened: &SealedFront, array: Array) -> Option<Self> {
        let (oldest, newer) = self.sealed.split_last()?;
        Arc::ptr_eq(&oldest.front, &flattened.front).then(|| {
            let array = std::iter::once(Arc::new(array));
            Self {
                front: Arc::clone(&self.front),
                sealed: newer.to_vec(),
                arrays: array.chain(self.arrays.iter().cloned()).collect(),
            }
        })
    }

    /// These parts with arrays of one size merged, if there are enough. The oldest arrays, so many, are
    /// left alone.
    pub(crate) fn with_alike_merged(&self, left_alone: usize) -> Option<Self> {
        let newer = self.arrays.len().saturating_sub(left_alone);
        let (newer, rest) = self.arrays.split_at_checked(newer)?;
        let cost_of_rest = rest.iter().map(|array| array.merge_cost()).sum();
        pick_merge_of(newer, cost_of_rest)?;
        let mut arrays = newer.to_vec();
        merge_alike(&mut arrays, cost_of_rest);
        arrays.extend_from_slice(rest);
        Some(Self {
            front: Arc::clone(&self.front),
            sealed: self.sealed.clone(),
            arrays,
        })
    }

    /// Which arrays to merge because there are enough of one size, or too many.
    pub(crate) fn alike(&self) -> Option<Range<usize>> {
        pick_merge_of(&self.arrays, 0)
    }

    /// These parts with `merged` in the place of those of the arrays `before` that are `replaced`, if
    /// the arrays `before` are the oldest.
    pub(crate) fn with_merged(
        &self,
        before: &[Arc<Array>],
        replaced: Range<usize>,
        merged: Array,
    ) -> Option<Self> {
        let newer = self.arrays.len().checked_sub(before.len())?;
        let oldest = self.arrays.get(newer..)?;
        let mut pairs = oldest.iter().zip(before);
        pairs
            .all(|(array, other)| Arc::ptr_eq(array, other))
            .then(|| {
                let mut arrays = self.arrays.clone();
                arrays.splice(
                    newer + replaced.start..newer + replaced.end,
                    [Arc::new(merged)],
                );
                Self {
                    front: Arc::clone(&self.front),
                    sealed: self.sealed.clone(),
                    arrays,
                }
            })
    }
}

/// A front as an array, with room for so many entries and copied bytes.
fn flatten(front: &Front, entries: usize, bytes: usize) -> Array {
    let mut builder = ArrayBuilder::with_capacity(entries, bytes);
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
    let copied = entries.iter().filter(|(key, value)| is_inline(key, *value));
    let bytes = copied.map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len));
    let mut builder = ArrayBuilder::with_capacity(entries.len(), bytes.sum());
    let mut push = |(key, value): (&'a [u8], Option<&'a [u8]>)| {
        builder.push(key, value, seqno, || (share(key), value.map(&mut share)));
    };
    if entries.is_sorted_by(|(key, _), (next, _)| key < next) {
        entries.iter().copied().for_each(push);
        return builder.finish();
    }
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
    let mut last = None;
    for entry in order.into_iter().map(|(_, at)| entries[at]) {
        if last != Some(entry.0) {
            push(entry);
            last = Some(entry.0);
        }
    }
    builder.finish()
}

/// Merges arrays, newest first, as long as there are enough of one size, or too many. To merge what else
/// the memtable has would cost so much.
fn merge_alike(arrays: &mut Vec<Arc<Array>>, cost_of_rest: usize) {
    while let Some(neighbours) = pick_merge_of(arrays, cost_of_rest) {
        let merged = Arc::new(merged(arrays.get(neighbours.clone()).unwrap_or_default()));
        arrays.splice(neighbours, [merged]);
    }
}

/// These arrays, newest first, as one.
pub(crate) fn merged(arrays: &[Arc<Array>]) -> Array {
    let arrays: Vec<&Array> = arrays.iter().map(|array| &**array).collect();
    merge(&arrays)
}

fn pick_merge_of(arrays: &[Arc<Array>], cost_of_rest: usize) -> Option<Range<usize>> {
    let costs: Vec<usize> = arrays.iter().map(|array| array.merge_cost()).collect();
    pick_merge(&costs, cost_of_rest)
}

/// Which neighbours to merge, of arrays with these costs, newest first.
///
/// The newest, if they are [`MERGE_ARRAYS`] that are no larger than the newest, give or take as many
/// times. Else, if too many have outgrown that, the two of those that are smallest.
fn pick_merge(costs: &[usize], cost_of_rest: usize) -> Option<Range<usize>> {
    let cost = costs.iter().sum::<usize>() + cost_of_rest;
    let cost_max = (cost / MERGE_COST_SHARE).max(MERGE_COST_MIN);
    let class = size_class(*costs.first()?);
    let mut sum = 0;
    let alike = costs.iter().take_while(|cost| {
        sum += **cost;
        sum <= cost_max && size_class(**cost) <= class
    });
    let alike = alike.count();
    if alike >= MERGE_ARRAYS {
        return Some(0..alike);
    }
    let is_large = |cost: &usize| *cost >= cost_max / MERGE_ARRAYS;
    let start = costs.iter().position(is_large)?;
    let outgrown = costs.get(start..)?;
    if outgrown.len() <= LARGE_ARRAYS_MAX {
        return None;
    }
    let pairs = outgrown.windows(2).map(|pair| pair.iter().sum::<usize>());
    let (first, _) = pairs.enumerate().min_by_key(|(_, sum)| *sum)?;
    Some(start + first..start + first + 2)
}

fn size_class(cost: usize) -> u32 {
    cost.max(1).ilog(MERGE_ARRAYS)
}

#[cfg(test)]
mod tests;
