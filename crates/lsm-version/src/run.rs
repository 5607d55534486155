//! What is known about a run without opening it.
//!
//! Made by whoever writes a run, kept by the manifest, read by the pickers and by every lookup.
//! Holds no handle: a [`RunMeta`] says nothing about whether its file can be read.

use std::ops::{Bound, RangeBounds};

use bytes::Bytes;

use crate::RunId;

/// The metadata of one immutable run.
///
/// Two equal values describe the same file. Keys are whole keys, both inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMeta {
    /// The file number; the file is [`run_file_name`](crate::run_file_name) of it.
    pub id: RunId,
    /// The length of the run file in bytes.
    pub file_len: u64,
    /// How many entries the run holds, tombstones included.
    pub entry_count: u64,
    /// How many of the entries are tombstones.
    pub tombstone_count: u64,
    /// The length of the run's index in bytes.
    pub index_len: u64,
    /// The checksum of the run's index, as the run format defines it.
    pub index_crc: u32,
    /// The first key of the run.
    pub smallest_key: Bytes,
    /// The last key of the run.
    pub largest_key: Bytes,
}

impl RunMeta {
    /// Whether `key` lies between the smallest and the largest key, both inclusive.
    #[must_use]
    pub fn covers(&self, key: &[u8]) -> bool {
        self.smallest_key.as_ref() <= key && key <= self.largest_key.as_ref()
    }

    /// Whether the run's keys and `smallest..=largest` have a key in common.
    ///
    /// An inverted span (`smallest` above `largest`) has none.
    #[must_use]
    pub fn overlaps_span(&self, smallest: &[u8], largest: &[u8]) -> bool {
        smallest <= largest
            && self.smallest_key.as_ref() <= largest
            && smallest <= self.largest_key.as_ref()
    }

    /// Whether the run's span of keys reaches into `range`.
    ///
    /// An empty or inverted range overlaps nothing. The answer may be `true` for a range that no
    /// key of the run lies in, never `false` for one that does.
    ///
    /// ```
    /// # use lsm_version::RunMeta;
    /// # let run = RunMeta { id: 1, file_len: 90, entry_count: 2, tombstone_count: 0,
    /// #     index_len: 30, index_crc: 0, smallest_key: "d".into(), largest_key: "m".into() };
    /// use std::ops::Bound::{Excluded, Included, Unbounded};
    /// // A run from "d" to "m".
    /// assert!(run.overlaps(&(Included(&b"m"[..]), Unbounded)));
    /// assert!(!run.overlaps(&(Excluded(&b"m"[..]), Unbounded)));
    /// assert!(!run.overlaps(&(Included(&b"k"[..]), Excluded(&b"e"[..]))));
    /// ```
    #[must_use]
    pub fn overlaps(&self, range: &(impl RangeBounds<[u8]> + ?Sized)) -> bool {
        let (lower, upper) = (range.start_bound(), range.end_bound());
        !is_empty_range(lower, upper)
            && match lower {
                Bound::Included(key) => key <= self.largest_key.as_ref(),
                Bound::Excluded(key) => key < self.largest_key.as_ref(),
                Bound::Unbounded => true,
            }
            && match upper {
                Bound::Included(key) => self.smallest_key.as_ref() <= key,
                Bound::Excluded(key) => self.smallest_key.as_ref() < key,
                Bound::Unbounded => true,
            }
    }
}

fn is_empty_range(lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> bool {
    match (lower, upper) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower >= upper,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound::{Excluded, Included, Unbounded};

    use super::*;
    use crate::testing::run;

    #[test]
    fn a_run_covers_its_ends_and_nothing_past_them() {
        let run = run(1, "d", "m");
        for (key, covered) in [
            ("c", false),
            ("d", true),
            ("e", true),
            ("m", true),
            ("m\0", false),
        ] {
            assert_eq!(run.covers(key.as_bytes()), covered, "{key}");
        }
    }

    #[test]
    fn spans_touch_at_their_ends() {
        let run = run(1, "d", "m");
        for (smallest, largest, overlaps) in [
            ("a", "c", false),
            ("a", "d", true),
            ("e", "f", true),
            ("m", "z", true),
            ("n", "z", false),
            ("f", "e", false),
        ] {
            let found = run.overlaps_span(smallest.as_bytes(), largest.as_bytes());
            assert_eq!(found, overlaps, "{smallest}..={largest}");
        }
    }

    #[test]
    fn ranges_respect_excluded_bounds_and_empty_ranges_overlap_nothing() {
        let run = run(1, "d", "m");
        type Case<'a> = ((Bound<&'a [u8]>, Bound<&'a [u8]>), bool);
        let cases: [Case<'_>; 9] = [
            ((Unbounded, Unbounded), true),
            ((Unbounded, Included(b"d")), true),
            ((Unbounded, Excluded(b"d")), false),
            ((Included(b"m"), Unbounded), true),
            ((Excluded(b"m"), Unbounded), false),
            ((Included(b"f"), Included(b"f")), true),
            ((Included(b"f"), Excluded(b"f")), false),
            ((Excluded(b"f"), Included(b"f")), false),
            ((Included(b"k"), Included(b"e")), false),
        ];
        for (range, overlaps) in cases {
            assert_eq!(run.overlaps(&range), overlaps, "{range:?}");
        }
    }
}
