//! A filter that grows while it is asked: for a set that is still being written.
//!
//! Any number of threads insert and ask at once, without a lock. Nothing is ever taken out.
//!
//! Invariant: a bit that was set stays set.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::hash::KeyHash;

const WORDS: usize = 4;
const BLOCK_BITS: usize = WORDS * 64;
/// 512 MiB.
const BLOCKS_MAX: usize = 1 << 24;

/// A blocked Bloom filter of fixed size, for concurrent use.
///
/// Each key has eight bits, all in one block of 32 bytes, two in each of its four words: an insert
/// or a query touches one cache line. The price of the block is a few more false "maybe"s than an
/// unblocked filter has: with as many keys as it was made for about 1.2 % at 10 bits a key, 0.5 % at
/// 12 and 0.12 % at 16. More keys than expected are no error, only more "maybe"s.
///
/// Blocked Bloom filters: Putze, Sanders and Singler, "Cache-, Hash- and Space-Efficient Bloom
/// Filters", WEA 2007.
///
/// # Ordering
///
/// An insert that *happened before* a query is never missed, whatever made it so: the same thread, a
/// lock, a release store that an acquire load saw. Such a query finds the insert's bits or later
/// values of the same words, and no later value lacks a bit; therefore the filter's own accesses are
/// all `Relaxed`. An insert that runs beside the query may or may not be seen.
///
/// # Hashes
///
/// Numbers that are no hashes will do: counters, multiples, addresses. The filter mixes what it is
/// given before it chooses a block and bits, so the rates above hold for these too.
///
/// ```
/// use lsm_bloom::{ConcurrentFilter, KeyHasher};
///
/// let hasher = KeyHasher::new(7);
/// let filter = ConcurrentFilter::new(1000, 12);
/// assert!(!filter.may_contain(hasher.hash(b"pear")));
/// filter.insert(hasher.hash(b"pear"));
/// assert!(filter.may_contain(hasher.hash(b"pear")));
/// ```
pub struct ConcurrentFilter {
    blocks: Box<[Block]>,
}

/// Aligned, so that it never lies across two cache lines.
#[derive(Default)]
#[repr(align(32))]
struct Block([AtomicU64; WORDS]);

impl ConcurrentFilter {
    /// An empty filter for about `keys_expected` keys at `bits_per_key` bits for each (10 to 16 are
    /// sensible). It takes as much memory at once, rounded up to 32 bytes, and at most 512 MiB.
    #[must_use]
    pub fn new(keys_expected: usize, bits_per_key: usize) -> Self {
        let bits = keys_expected.saturating_mul(bits_per_key);
        let blocks = bits.div_ceil(BLOCK_BITS).clamp(1, BLOCKS_MAX);
        Self {
            blocks: (0..blocks).map(|_| Block::default()).collect(),
        }
    }

    /// Adds a key. One that is there already writes nothing.
    #[inline]
    pub fn insert(&self, hash: KeyHash) {
        let mixed = mix(hash);
        let Some(block) = self.block(mixed) else {
            return;
        };
        for (word, mask) in block.0.iter().zip(masks(mixed)) {
            // Looking first keeps the cache line shared if the bits are there.
            if word.load(Ordering::Relaxed) & mask != mask {
                word.fetch_or(mask, Ordering::Relaxed);
            }
        }
    }

    /// Whether the key may have been inserted. `false` is certain for every insert that happened
    /// before.
    #[inline]
    #[must_use]
    pub fn may_contain(&self, hash: KeyHash) -> bool {
        let mixed = mix(hash);
        let Some(block) = self.block(mixed) else {
            return true;
        };
        block
            .0
            .iter()
            .zip(masks(mixed))
            .all(|(word, mask)| word.load(Ordering::Relaxed) & mask == mask)
    }

    /// The bytes of memory that it holds, itself included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.blocks)
    }

    /// Scales the upper half of the mixed hash to a block; there is always one.
    #[inline]
    fn block(&self, mixed: u64) -> Option<&Block> {
        let blocks = u64::try_from(self.blocks.len()).ok()?;
        let index = ((mixed >> 32) * blocks) >> 32;
        self.blocks.get(usize::try_from(index).ok()?)
    }
}

/// 2^64 divided by the golden ratio: neighbouring numbers times this are far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// A multiplier of the finalizer of MurmurHash3, so that the two steps do not add up to one.
const SPREAD_AGAIN: u64 = 0xff51_afd7_ed55_8ccd;

/// Spreads a hash over all 64 bits. Two hashes that differ stay different. Without it the numbers
/// below 2^32 would all have the first block, which is soon full of ones.
#[inline]
fn mix(hash: KeyHash) -> u64 {
    hash.to_u64().wrapping_mul(SPREAD)
}

/// Two bits for each word, from the upper 48 bits of a product. The keys of a block have the upper bits
/// of `mixed` in common, so these are folded into the lower ones, which tell the keys apart.
#[inline]
fn masks(mixed: u64) -> [u64; WORDS] {
    let bits = (mixed ^ (mixed >> 32)).wrapping_mul(SPREAD_AGAIN);
    let mask = |shift: u32| (1 << ((bits >> shift) & 63)) | (1 << ((bits >> (shift + 6)) & 63));
    [mask(52), mask(40), mask(28), mask(16)]
}

impl std::fmt::Debug for ConcurrentFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConcurrentFilter")
            .field("memory_bytes", &self.memory_bytes())
            .finish_non_exhaustive()
    }
}
