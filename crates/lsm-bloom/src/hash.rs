//! The one hash of a key that every filter is asked with.
//!
//! A reader hashes its key once and hands the hash on; a writer hashes each key it stores. The
//! filters never see a key.

use twox_hash::XxHash3_64;

/// The hash of a key under the seed of one database.
///
/// The filters use all 64 bits, and mix them first: any numbers that differ where keys differ will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Takes a hash that was made elsewhere, or a number that identifies a key: a counter will do.
    ///
    /// Keys with the same number are one key to a filter. Numbers chosen by an adversary can make a
    /// filter say "maybe" to everything: hash those with a [`KeyHasher`].
    ///
    /// ```
    /// use lsm_bloom::{ConcurrentFilter, KeyHash};
    ///
    /// let seen = ConcurrentFilter::new(1000, 12);
    /// (0..1000).for_each(|order| seen.insert(KeyHash::from_u64(order)));
    /// assert!(seen.may_contain(KeyHash::from_u64(999)));
    /// let others = (1000..2000).filter(|order| seen.may_contain(KeyHash::from_u64(*order)));
    /// assert!(others.count() < 20); // about five
    /// ```
    #[must_use]
    pub const fn from_u64(hash: u64) -> Self {
        Self(hash)
    }

    /// The 64 bits.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }
}

/// Hashes keys with XXH3-64 under a seed.
///
/// The seed belongs to a database: random when it is made, the same for its life, and kept from
/// whoever chooses keys. Who does not know it cannot choose keys that collide. (XXH3 is not a
/// cryptographic hash: against somebody who can watch the time of many lookups the seed is a hurdle,
/// not a wall. What collisions cost is speed, never an answer.)
///
/// ```
/// use lsm_bloom::KeyHasher;
///
/// let hasher = KeyHasher::new(7);
/// assert_eq!(hasher.hash(b"apple"), hasher.hash(b"apple"));
/// assert_ne!(hasher.hash(b"apple"), hasher.hash(b"pear"));
/// assert_ne!(hasher.hash(b"apple"), KeyHasher::new(8).hash(b"apple"));
/// ```
#[derive(Clone, Copy)]
pub struct KeyHasher {
    seed: u64,
}

impl KeyHasher {
    /// Hashes under `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The hash of `key`; some nanoseconds for a short one.
    #[inline]
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash(XxHash3_64::oneshot_with_seed(self.seed, key))
    }
}

impl std::fmt::Debug for KeyHasher {
    /// Does not show the seed, which is nobody's business who reads a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyHasher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_xxh3_64_with_a_seed() {
        // The sanity checks of the reference implementation, for inputs without bytes.
        assert_eq!(KeyHasher::new(0).hash(b"").to_u64(), 0x2d06_8005_38d3_94c2);
        let seed = 0x9e37_79b1_85eb_ca8d;
        assert_eq!(
            KeyHasher::new(seed).hash(b"").to_u64(),
            0xa8a6_b918_b2f0_364a
        );
    }

    #[test]
    fn debug_output_does_not_give_the_seed_away() {
        let text = format!("{:?}", KeyHasher::new(123_456_789));
        assert!(!text.contains("123456789"), "{text}");
    }
}
