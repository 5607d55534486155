//! Collects the hashes of a set of keys and makes the filter of them.
//!
//! Called by whoever writes keys into a file: a push for each key, `finish` when the file is whole.
//! Never wrong, never endless, never beyond its memory: it gives up instead, and the reader does
//! without a filter.

use std::panic::catch_unwind;

use thiserror::Error;
use xorf::{BinaryFuse8, BinaryFuse16};

use crate::filter::{Filter, FingerprintBits, Fuse, Layout};
use crate::hash::KeyHash;

/// What a build allocates for each key at its peak, the hash that was pushed included. Measured with
/// 16-bit fingerprints, which is the larger case, and held by a test.
pub const SCRATCH_BYTES_PER_KEY: u64 = 36;

/// What a build allocates besides, and what small sets need more for each key.
pub const SCRATCH_BYTES_FIXED: u64 = 256 * 1024;

/// No filter is made for more keys than this.
pub const KEYS_MAX: usize = 1 << 30;

/// Why there is no filter. The answers are the same without one; only reads are slower.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The keys would take more memory to build with than was granted, or there are over
    /// [`KEYS_MAX`]. Grant more, or let the file be smaller.
    #[error("a filter of these keys takes over {scratch_bytes_max} bytes to build")]
    OverBudget {
        /// What was granted.
        scratch_bytes_max: u64,
    },
    /// The construction did not succeed in its thousand tries. With hashes that are evenly spread
    /// this does not happen; trying again with the same ones is no use.
    #[error("no filter could be constructed for these hashes")]
    Construction,
}

/// Collects hashes, within a budget of memory, and builds their [`Filter`].
///
/// ```
/// use lsm_bloom::{FilterBuilder, FingerprintBits, KeyHasher};
///
/// let hasher = KeyHasher::new(7);
/// let mut builder = FilterBuilder::new(1 << 20);
/// for key in ["apple", "pear", "quince"] {
///     builder.push(hasher.hash(key.as_bytes()));
/// }
/// let filter = builder.finish(FingerprintBits::Eight)?;
/// assert!(filter.may_contain(hasher.hash(b"pear")));
/// # Ok::<(), lsm_bloom::BuildError>(())
/// ```
#[derive(Debug)]
pub struct FilterBuilder {
    hashes: Vec<u64>,
    scratch_bytes_max: u64,
    over_budget: bool,
}

impl FilterBuilder {
    /// A builder that may allocate up to `scratch_bytes_max` bytes, the work in
    /// [`finish`](Self::finish) included: a million keys need
    /// `SCRATCH_BYTES_FIXED + 1_000_000 * SCRATCH_BYTES_PER_KEY`. Nothing is allocated before the
    /// first push.
    #[must_use]
    pub fn new(scratch_bytes_max: u64) -> Self {
        Self {
            hashes: Vec::new(),
            scratch_bytes_max,
            over_budget: false,
        }
    }

    /// Adds the hash of one key, in any order; a hash that was there before changes nothing, but
    /// counts towards the budget. The push that would pass the budget frees what was collected, and
    /// it and all later ones do nothing.
    #[inline]
    pub fn push(&mut self, hash: KeyHash) {
        if self.over_budget {
            return;
        }
        if self.has_room() {
            self.hashes.push(hash.to_u64());
        } else {
            self.over_budget = true;
            self.hashes = Vec::new();
        }
    }

    /// Whether the budget was passed, so that there will be no filter.
    #[must_use]
    pub fn is_over_budget(&self) -> bool {
        self.over_budget
    }

    /// What building from the hashes pushed so far takes at its peak, in bytes; 0 before the first
    /// and after the budget was passed.
    #[must_use]
    pub fn scratch_bytes(&self) -> u64 {
        if self.hashes.is_empty() {
            0
        } else {
            scratch_bytes_of(self.hashes.len())
        }
    }

    /// Builds the filter: 100 to 300 ns for each key, on the calling thread, and up to a thousand
    /// times that for hashes that somebody chose to that end: not a thing to do under a lock.
    ///
    /// No hashes make a filter that says "no" to everything.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: go on without a filter.
    pub fn finish(self, bits: FingerprintBits) -> Result<Filter, BuildError> {
        if self.over_budget {
            return Err(BuildError::OverBudget {
                scratch_bytes_max: self.scratch_bytes_max,
            });
        }
        let mut hashes = sorted(self.hashes);
        // Equal hashes would send the construction in circles.
        hashes.dedup();
        hashes.shrink_to_fit();
        let filter = construct(&hashes, bits).ok_or(BuildError::Construction)?;
        // A lookup that misses a key of the set would lose data, so this is not left to trust.
        let complete = hashes
            .iter()
            .all(|&hash| filter.may_contain(KeyHash::from_u64(hash)));
        if complete {
            Ok(filter)
        } else {
            Err(BuildError::Construction)
        }
    }

    fn has_room(&self) -> bool {
        self.hashes.len() < KEYS_MAX
            && scratch_bytes_of(self.hashes.len() + 1) <= self.scratch_bytes_max
    }
}

/// Hashes that share a bucket when sorting, on average.
const BUCKET_LEN: usize = 16;

/// Sorts hashes by spreading them over buckets by their upper bits, and then each bucket: where they
/// are evenly spread, as hashes are, this takes a fourth of the steps of a sort by comparing. It is a
/// sort whatever they are.
fn sorted(hashes: Vec<u64>) -> Vec<u64> {
    let Some(bits) = (hashes.len() / BUCKET_LEN)
        .checked_ilog2()
        .filter(|bits| *bits > 0)
    else {
        let mut hashes = hashes;
        hashes.sort_unstable();
        return hashes;
    };
    let bucket_of = |hash: u64| usize::try_from(hash >> (64 - bits)).unwrap_or_default();
    // Where each bucket begins, then where its next hash goes, then where it ends.
    let mut places = vec![0_usize; (1 << bits) + 1];
    for hash in &hashes {
        places[bucket_of(*hash) + 1] += 1;
    }
    for bucket in 1..places.len() {
        places[bucket] += places[bucket - 1];
    }
    let mut sorted = vec![0; hashes.len()];
    for hash in hashes {
        let place = &mut places[bucket_of(hash)];
        sorted[*place] = hash;
        *place += 1;
    }
    let mut start = 0;
    for end in places {
        sorted[start..end.max(start)].sort_unstable();
        start = end.max(start);
    }
    sorted
}

fn scratch_bytes_of(keys: usize) -> u64 {
    let keys = u64::try_from(keys).unwrap_or(u64::MAX);
    keys.saturating_mul(SCRATCH_BYTES_PER_KEY)
        .saturating_add(SCRATCH_BYTES_FIXED)
}

/// `hashes` are sorted and all different.
fn construct(hashes: &[u64], bits: FingerprintBits) -> Option<Filter> {
    let fuse = if hashes.is_empty() {
        empty(bits)
    } else {
        // `xorf` counts in bytes how many keys share a slot. Who knows the seeds can choose hashes
        // that overflow the count, and then it may index past an array. That must not take a writer
        // down.
        catch_unwind(|| match bits {
            FingerprintBits::Eight => BinaryFuse8::try_from(hashes).map(Fuse::Eight),
            FingerprintBits::Sixteen => BinaryFuse16::try_from(hashes).map(Fuse::Sixteen),
        })
        .ok()?
        .ok()?
    };
    Filter::new(u64::try_from(hashes.len()).ok()?, fuse)
}

/// No fingerprints at all, where `xorf` would make some dozen for nothing.
pub(crate) fn empty(bits: FingerprintBits) -> Fuse {
    let descriptor = Layout::EMPTY.descriptor();
    match bits {
        FingerprintBits::Eight => Fuse::Eight(BinaryFuse8 {
            descriptor,
            fingerprints: Box::default(),
        }),
        FingerprintBits::Sixteen => Fuse::Sixteen(BinaryFuse16 {
            descriptor,
            fingerprints: Box::default(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hashes: Vec<u64>) {
        let mut expected = hashes.clone();
        expected.sort_unstable();
        assert_eq!(sorted(hashes), expected);
    }

    #[test]
    fn hashes_are_sorted_however_many_and_however_spread() {
        // Weyl's sequence: evenly spread, and no two alike.
        let spread = |count: u64| (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for count in [0, 1, 2, 15, 16, 31, 32, 33, 1_000, 50_000] {
            check(spread(count).collect());
            check(spread(count).map(|hash| hash >> 40).collect());
            check(spread(count).map(|hash| hash | !0xff).collect());
            check(spread(count).chain(spread(count / 2)).collect());
        }
        check(vec![u64::MAX; 100]);
        check(vec![0; 100]);
    }
}
