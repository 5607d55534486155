//! The filter of one immutable set of keys: a binary fuse filter, queried by hash.
//!
//! Made by the builder, or by the sidecar's decoder. Both pass [`Layout::slot_count`], so that a
//! query can index nothing that is not there, whatever the hash.

use xorf::{BinaryFuse8, BinaryFuse16, Descriptor, Filter as _};

use crate::hash::KeyHash;

/// How many bits of a hash the filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FingerprintBits {
    /// About 9.1 bits a key; says "maybe" to one absent key in 256.
    Eight,
    /// About 18.2 bits a key; says "maybe" to one absent key in 65,536.
    Sixteen,
}

impl FingerprintBits {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
        }
    }
}

/// Says of a hash that its key *may* be in the set, or certainly is not.
///
/// Immutable; share it behind an `Arc`. A query touches three places in memory and takes about
/// 10 ns while the filter is in the processor's cache. For an absent key the answer is "maybe" once
/// in 2^bits. For a key of the set it always is "maybe": the builder has asked the finished filter
/// for each of them.
///
/// Binary fuse filters: Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters",
/// Journal of Experimental Algorithmics 27 (2022). This one is built by the crate `xorf`.
#[derive(Debug, Clone)]
pub struct Filter {
    key_count: u64,
    fuse: Fuse,
}

#[derive(Debug, Clone)]
pub(crate) enum Fuse {
    Eight(BinaryFuse8),
    Sixteen(BinaryFuse16),
}

impl Filter {
    /// A filter over a fuse whose every lookup stays inside its fingerprints, or `None` if this one
    /// does not promise that.
    pub(crate) fn new(key_count: u64, fuse: Fuse) -> Option<Self> {
        let filter = Self { key_count, fuse };
        let descriptor = filter.descriptor();
        let layout = filter.layout();
        let consistent = layout.slot_count(key_count) == Some(filter.slot_count())
            && layout.descriptor() == *descriptor;
        consistent.then_some(filter)
    }

    /// Whether the key with this hash may be in the set. `false` is certain.
    #[inline]
    #[must_use]
    pub fn may_contain(&self, hash: KeyHash) -> bool {
        if self.key_count == 0 {
            return false;
        }
        match &self.fuse {
            Fuse::Eight(fuse) => fuse.contains(&hash.to_u64()),
            Fuse::Sixteen(fuse) => fuse.contains(&hash.to_u64()),
        }
    }

    /// How many different hashes the filter was built from.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.key_count
    }

    /// Whether the filter was built from nothing, and so says "no" to everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key_count == 0
    }

    /// The width of its fingerprints.
    #[must_use]
    pub fn fingerprint_bits(&self) -> FingerprintBits {
        match &self.fuse {
            Fuse::Eight(_) => FingerprintBits::Eight,
            Fuse::Sixteen(_) => FingerprintBits::Sixteen,
        }
    }

    /// The bytes of memory that it holds, itself included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.slot_count() * self.fingerprint_bits().bytes()
    }

    pub(crate) fn fuse(&self) -> &Fuse {
        &self.fuse
    }

    pub(crate) fn layout(&self) -> Layout {
        let descriptor = self.descriptor();
        let segments = descriptor.segment_count_length;
        Layout {
            seed: descriptor.seed,
            segment_length: descriptor.segment_length,
            segment_count: segments.checked_div(descriptor.segment_length).unwrap_or(0),
        }
    }

    fn descriptor(&self) -> &Descriptor {
        match &self.fuse {
            Fuse::Eight(fuse) => &fuse.descriptor,
            Fuse::Sixteen(fuse) => &fuse.descriptor,
        }
    }

    fn slot_count(&self) -> usize {
        match &self.fuse {
            Fuse::Eight(fuse) => fuse.fingerprints.len(),
            Fuse::Sixteen(fuse) => fuse.fingerprints.len(),
        }
    }
}

/// Where the three fingerprints of a hash lie. The first is in one of `segment_count` segments, the
/// second in the segment after it, the third in the one after that: two more segments than
/// `segment_count` are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Mixed into each hash; the builder tries one after another.
    pub(crate) seed: u64,
    /// Fingerprints in a segment: a power of two, or 0 if there are no keys.
    pub(crate) segment_length: u32,
    /// Segments in which a first fingerprint may lie; 0 if there are no keys.
    pub(crate) segment_count: u32,
}

/// No builder makes longer segments.
const SEGMENT_LENGTH_MAX: u32 = 1 << 18;

impl Layout {
    /// The layout of no keys at all.
    pub(crate) const EMPTY: Self = Self {
        seed: 0,
        segment_length: 0,
        segment_count: 0,
    };

    /// How many fingerprints this layout indexes, if it is one that a builder makes for so many
    /// keys.
    ///
    /// With a power of two for the segment length, exchanging low bits of a position keeps it in its
    /// segment. So a lookup reaches the last of `segment_count + 2` segments and nothing beyond.
    pub(crate) fn slot_count(&self, key_count: u64) -> Option<usize> {
        if key_count == 0 {
            return (*self == Self::EMPTY).then_some(0);
        }
        let plausible_length =
            self.segment_length.is_power_of_two() && self.segment_length <= SEGMENT_LENGTH_MAX;
        if !plausible_length || self.segment_count == 0 {
            return None;
        }
        let segments = self.segment_count.checked_add(2)?;
        let slots = segments.checked_mul(self.segment_length)?;
        let plausible = u64::from(slots) >= key_count && u64::from(slots) <= slots_max(key_count);
        if plausible {
            usize::try_from(slots).ok()
        } else {
            None
        }
    }

    /// The same as `xorf` has it.
    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor {
            seed: self.seed,
            segment_length: self.segment_length,
            segment_length_mask: self.segment_length.saturating_sub(1),
            segment_count_length: self.segment_count.saturating_mul(self.segment_length),
        }
    }
}

/// The most fingerprints that a filter of so many keys has. Large sets have 1.125 a key; small ones
/// more, because segments are whole.
pub(crate) fn slots_max(key_count: u64) -> u64 {
    key_count.saturating_mul(2).saturating_add(64)
}
