//! The keys and values that everything here is measured with: 24 random bytes and 150, as redb's
//! published benchmark has them. Drawn from a seed, so that every run sees the same.

/// The length of every key.
pub const KEY_BYTES: usize = 24;

/// The length of every value.
pub const VALUE_BYTES: usize = 150;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Pairs in random order, their keys all different.
#[must_use]
pub fn pairs(seed: u64, count: usize) -> Vec<Pair> {
    let mut random = Random(seed);
    (0..count)
        .map(|_| (random.bytes(KEY_BYTES), random.bytes(VALUE_BYTES)))
        .collect()
}

/// The key of a number, which no other number has; ascending numbers are in random order.
#[must_use]
pub fn numbered_key(number: u64) -> [u8; KEY_BYTES] {
    let mut random = Random(number.wrapping_mul(0xD134_2543_DE82_EF95));
    let mut key = [0; KEY_BYTES];
    for part in key.chunks_mut(8) {
        let drawn = random.draw().to_le_bytes();
        part.iter_mut().zip(drawn).for_each(|(to, from)| *to = from);
    }
    key
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.draw().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// Pairs in ascending order of their keys.
#[must_use]
pub fn sorted_pairs(seed: u64, count: usize) -> Vec<Pair> {
    let mut pairs = pairs(seed, count);
    pairs.sort_unstable();
    pairs
}

/// Keys that no [`pairs`] of another seed have, spread over the same range.
#[must_use]
pub fn other_keys(seed: u64, count: usize) -> Vec<Vec<u8>> {
    pairs(seed, count).into_iter().map(|(key, _)| key).collect()
}
