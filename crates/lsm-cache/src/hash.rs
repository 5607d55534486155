//! The hash of the cache's keys, unless the caller brings another.
//!
//! Fast on integers, with a seed, and without any randomness of its own, so that the same calls find
//! the same entries evicted.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;

/// Hashes keys under a seed: some nanoseconds for a few integers.
///
/// If strangers can choose keys, let the seed be random and keep it from them: keys that collide
/// would make each other slow, never wrong.
#[derive(Clone)]
pub struct SeededHash(FixedState);

impl SeededHash {
    /// Hashes under `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }
}

impl Default for SeededHash {
    /// Hashes under the seed 0, which everybody knows.
    fn default() -> Self {
        Self::new(0)
    }
}

impl BuildHasher for SeededHash {
    type Hasher = <FixedState as BuildHasher>::Hasher;

    #[inline]
    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

impl std::fmt::Debug for SeededHash {
    /// Does not show the seed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeededHash").finish_non_exhaustive()
    }
}
