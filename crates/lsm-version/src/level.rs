//! One level: its runs in order, and binary search over those that are disjoint.
//!
//! Called on every lookup and by the pickers. A level never changes once made; it does no I/O and
//! never looks at the entries of a run.
//!
//! A search compares eight bytes held in one contiguous array before it follows a pointer to a
//! run: the bytes of each largest key that come after the prefix that all keys of the level share.

mod change;

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::change::check_neighbours;
use crate::RunMeta;

/// An immutable, ordered list of runs.
///
/// Level 0 holds its newest run first and its runs may overlap. A deeper level is sorted by key
/// and disjoint; only there do [`find`](Self::find), [`seek`](Self::seek),
/// [`seek_for_prev`](Self::seek_for_prev) and [`overlapping`](Self::overlapping) have a meaning.
#[derive(Debug, Clone, Default)]
pub struct Level {
    runs: Vec<Arc<RunMeta>>,
    bytes: u64,
    /// What every key of a sorted level starts with; empty at level 0.
    prefix: Bytes,
    /// Of each run of a sorted level, the head of its largest key after `prefix`; empty at level 0.
    largest_heads: Vec<u64>,
}

impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        self.runs == other.runs
    }
}

impl Eq for Level {}

impl Level {
    pub(crate) const EMPTY: Self = Self {
        runs: Vec::new(),
        bytes: 0,
        prefix: Bytes::new(),
        largest_heads: Vec::new(),
    };

    /// A level 0 of `runs`, newest first.
    pub(crate) fn overlapping_runs(runs: Vec<Arc<RunMeta>>) -> Self {
        Self {
            bytes: bytes_of(&runs),
            runs,
            ..Self::EMPTY
        }
    }

    /// A deeper level of `runs`, which are sorted by key and disjoint.
    pub(crate) fn sorted_runs(runs: Vec<Arc<RunMeta>>) -> Self {
        let prefix = match (runs.first(), runs.last()) {
            (Some(first), Some(last)) => {
                let shared = shared_len(&first.smallest_key, &last.largest_key);
                first.smallest_key.slice(..shared)
            }
            _ => Bytes::new(),
        };
        let largest_heads = runs
            .iter()
            .map(|run| head(run.largest_key.get(prefix.len()..).unwrap_or_default()))
            .collect();
        Self {
            bytes: bytes_of(&runs),
            prefix,
            largest_heads,
            runs,
        }
    }

    /// The runs: newest first at level 0, ascending by key deeper.
    #[inline]
    #[must_use]
    pub fn runs(&self) -> &[Arc<RunMeta>] {
        &self.runs
    }

    /// How many runs the level holds.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether the level holds no run.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The length of all run files of the level in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many entries the runs hold together, tombstones included.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        let counts = self.runs.iter().map(|run| run.entry_count);
        counts.fold(0, u64::saturating_add)
    }

    /// How many tombstones the runs hold together.
    #[must_use]
    pub fn tombstone_count(&self) -> u64 {
        let counts = self.runs.iter().map(|run| run.tombstone_count);
        counts.fold(0, u64::saturating_add)
    }

    /// The place of the one run that may hold `key`, or `None` if no run's span covers it.
    ///
    /// For a level below 0 only. Logarithmic in the number of runs.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        // Most levels of most stores are empty, and a lookup asks them all.
        if self.runs.is_empty() {
            return None;
        }
        let place = self.seek(key);
        let run = self.runs.get(place)?;
        (run.smallest_key.as_ref() <= key).then_some(place)
    }

    /// The place of the first run that ends at `key` or after it; [`len`](Self::len) if none does.
    ///
    /// Where a cursor that seeks the first key at or after `key` goes. For a level below 0 only.
    #[must_use]
    pub fn seek(&self, key: &[u8]) -> usize {
        debug_assert_eq!(
            self.largest_heads.len(),
            self.runs.len(),
            "level 0 cannot be searched by key"
        );
        let prefix = self.prefix.as_ref();
        let key_prefix = key.get(..prefix.len()).unwrap_or(key);
        let key_rest = match key_prefix.cmp(prefix) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.runs.len(),
            Ordering::Equal => key.get(prefix.len()..).unwrap_or_default(),
        };
        let key_head = head(key_rest);
        let heads = self.largest_heads.as_slice();
        let first = heads.partition_point(|&head| head < key_head);
        let ends_before = |run: &Arc<RunMeta>| run.largest_key.as_ref() < key;
        // Heads that tie settle nothing; as a rule at most one does, and it is the answer.
        if heads.get(first) != Some(&key_head) || !self.runs.get(first).is_some_and(ends_before) {
            return first;
        }
        let tied_heads = heads.get(first..).unwrap_or_default();
        let tied_len = tied_heads.partition_point(|&head| head == key_head);
        let tied = self.runs.get(first..first + tied_len).unwrap_or_default();
        first + tied.partition_point(ends_before)
    }

    /// The place of the last run that starts at `key` or before it, or `None` if none does.
    ///
    /// Where a cursor that seeks the last key at or before `key` goes. For a level below 0 only.
    #[must_use]
    pub fn seek_for_prev(&self, key: &[u8]) -> Option<usize> {
        let place = self.seek(key);
        match self.runs.get(place) {
            Some(run) if run.smallest_key.as_ref() <= key => Some(place),
            _ => place.checked_sub(1),
        }
    }

    /// The places of the runs that have a key in `smallest..=largest`, which may be none.
    ///
    /// For a level below 0 only. An inverted span gives an empty range.
    #[must_use]
    pub fn overlapping(&self, smallest: &[u8], largest: &[u8]) -> Range<usize> {
        let start = self.seek(smallest);
        if smallest > largest {
            return start..start;
        }
        let end = self.seek_for_prev(largest).map_or(0, |last| last + 1);
        start..end.max(start)
    }
}

fn bytes_of(runs: &[Arc<RunMeta>]) -> u64 {
    let lens = runs.iter().map(|run| run.file_len);
    lens.fold(0, u64::saturating_add)
}

/// The first eight bytes, big-endian, padded with zeros: orders as the keys do, save for ties.
fn head(key: &[u8]) -> u64 {
    match key.first_chunk::<8>() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => {
            let mut padded = [0; 8];
            for (to, from) in padded.iter_mut().zip(key) {
                *to = *from;
            }
            u64::from_be_bytes(padded)
        }
    }
}

fn shared_len(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;
