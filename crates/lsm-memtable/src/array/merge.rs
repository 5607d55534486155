//! Several arrays as one.
//!
//! Called by the writer and by maintenance when there are many of one size, and by maintenance when
//! readers have paid for it. It keeps every version of every key, and changes none of the arrays.

use super::{Array, ArrayBuilder};
use crate::key::cmp_same_head;

/// Merges arrays, the newest first: every version of every key.
pub(crate) fn merge(newest_first: &[&Array]) -> Array {
    let entries = newest_first.iter().map(|array| array.len()).sum();
    let bytes = newest_first.iter().map(|array| array.bytes.len()).sum();
    let mut merged = ArrayBuilder::with_capacity(entries, bytes);
    if let Some(ascending) = without_overlap(newest_first) {
        ascending.iter().for_each(|array| merged.append(array));
        return merged.finish();
    }
    let mut sources: Vec<MergeSource<'_>> = newest_first
        .iter()
        .filter(|array| array.len() > 0)
        .map(|array| MergeSource::new(array))
        .collect();
    while !sources.is_empty() {
        let mut smallest = 0;
        for at in 1..sources.len() {
            // Of equal keys the newest array's comes first: its versions are newer, or written over an
            // equal one.
            if sources[at].is_below(&sources[smallest]) {
                smallest = at;
            }
        }
        let MergeSource { array, at, .. } = sources[smallest];
        let handles = || (array.key_handle(at), array.value_handle(at));
        merged.push(array.key(at), array.value(at), array.seqno(at), handles);
        if at + 1 < array.len() {
            sources[smallest].go_to(at + 1);
        } else {
            sources.remove(smallest);
        }
    }
    merged.finish()
}

/// The arrays in the order of their keys, if each ends before the next begins: batches of ascending
/// keys, most often.
fn without_overlap<'a>(arrays: &[&'a Array]) -> Option<Vec<&'a Array>> {
    let mut ascending: Vec<&Array> = arrays.to_vec();
    ascending.retain(|array| array.len() > 0);
    ascending.sort_by(|array, other| array.key(0).cmp(other.key(0)));
    let ends_before = |pair: &[&Array]| match pair {
        [array, next] => array.key(array.len() - 1) < next.key(0),
        _ => true,
    };
    ascending.windows(2).all(ends_before).then_some(ascending)
}

/// An array that is being merged, and the head of its next key.
#[derive(Clone, Copy)]
struct MergeSource<'a> {
    array: &'a Array,
    at: usize,
    head: u64,
}

impl<'a> MergeSource<'a> {
    fn new(array: &'a Array) -> Self {
        let mut source = Self {
            array,
            at: 0,
            head: 0,
        };
        source.go_to(0);
        source
    }

    fn go_to(&mut self, at: usize) {
        self.at = at;
        self.head = self.array.head(at);
    }

    fn is_below(&self, other: &Self) -> bool {
        self.head < other.head
            || (self.head == other.head
                && cmp_same_head(self.array.key(self.at), other.array.key(other.at)).is_lt())
    }
}
