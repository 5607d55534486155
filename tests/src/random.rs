//! Numbers drawn from a seed, or taken from bytes: the same seed or bytes, the same test. Never the
//! clock or the system.

/// SplitMix64 from a seed; or the bytes of a fuzzer's input, which so makes every choice itself.
#[derive(Debug, Clone)]
pub struct Random(Source);

#[derive(Debug, Clone)]
enum Source {
    Seed(u64),
    /// What is left; behind the end there are zeros.
    Bytes(std::vec::IntoIter<u8>),
}

impl Random {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    /// A generator that takes its numbers from these bytes, as few as each needs, so that a changed
    /// byte changes one choice. Once they are used up, every number is 0.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let bytes = bytes.to_vec();
        Self(Source::Bytes(bytes.into_iter()))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => split_mix(state),
            Source::Bytes(bytes) => take(bytes, 8),
        }
    }

    /// A number below `limit`, which must not be zero.
    pub fn below(&mut self, limit: usize) -> usize {
        let drawn = match &mut self.0 {
            Source::Seed(state) => split_mix(state),
            Source::Bytes(bytes) => match limit {
                0..=0x100 => take(bytes, 1),
                0x101..=0x1_0000 => take(bytes, 2),
                _ => take(bytes, 8),
            },
        };
        usize::try_from(drawn % limit as u64).unwrap_or(0)
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            match &mut self.0 {
                Source::Seed(state) => bytes.extend_from_slice(&split_mix(state).to_le_bytes()),
                Source::Bytes(left) => bytes.push(left.next().unwrap_or(0)),
            }
        }
        bytes.truncate(len);
        bytes
    }

    /// Whether there are numbers left that are more than zeros; a seed never runs out.
    pub fn has_more(&self) -> bool {
        match &self.0 {
            Source::Seed(_) => true,
            Source::Bytes(bytes) => bytes.len() > 0,
        }
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn take(bytes: &mut std::vec::IntoIter<u8>, count: usize) -> u64 {
    (0..count).fold(0, |number, place| {
        number | u64::from(bytes.next().unwrap_or(0)) << (8 * place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_one_choice_and_behind_the_end_are_zeros() {
        let mut random = Random::from_bytes(&[7, 0x34, 0x12, 1, 2, 3]);
        assert_eq!(random.below(256), 7);
        assert_eq!(random.below(1 << 16), 0x1234);
        assert_eq!(random.bytes(2), [1, 2]);
        assert!(random.has_more());
        assert_eq!(random.draw(), 3);
        assert!(!random.has_more());
        assert_eq!((random.draw(), random.below(9)), (0, 0));
        assert_eq!(random.bytes(3), [0; 3]);
    }
}
