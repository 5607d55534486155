//! The checksum (CRC-32C) of any stretch of a buffer, for about that of a kilobyte or two.
//!
//! Called by the search for a record behind a bad one, which asks for many stretches that overlap.
//! Never judges what it sums.
//!
//! The checksum of two parts in a row is `crc(a) · x^(8·len(b)) + crc(b)`: polynomials over GF(2),
//! modulo the checksum's. So that of a stretch follows from those of the two prefixes of the buffer
//! that end where it ends and where it begins; every [`STEP`] bytes, the prefix's is kept.

use std::ops::Range;

/// The checksum's polynomial, the highest power in the lowest bit, as in all that follows.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The polynomial 1.
const ONE: u32 = 1 << 31;

/// `x^8`: one byte further.
const BYTE: u32 = ONE >> 8;

/// A checksum is kept for every prefix whose length is a multiple of this.
const STEP: usize = 1024;

/// Answers for one buffer.
pub(super) struct Sums<'a> {
    bytes: &'a [u8],
    /// The checksums of the prefixes of 0, `STEP`, 2 · `STEP`, … bytes.
    prefixes: Vec<u32>,
    /// For each digit of a length to base 256, the lowest first: `x^8` to that many bytes.
    powers: [[u32; 256]; 4],
}

impl<'a> Sums<'a> {
    /// Reads the buffer once. It may not be longer than 4 GiB.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut prefixes = Vec::with_capacity(bytes.len() / STEP + 2);
        let mut crc = 0;
        prefixes.push(crc);
        for step in bytes.chunks(STEP) {
            crc = crc32c::crc32c_append(crc, step);
            prefixes.push(crc);
        }
        Self {
            bytes,
            prefixes,
            powers: powers(),
        }
    }

    /// The checksum of a stretch, which must lie in the buffer.
    pub(super) fn of(&self, stretch: Range<usize>) -> u32 {
        let len = stretch.end.saturating_sub(stretch.start);
        let before = times(self.power(len), self.prefix(stretch.start));
        self.prefix(stretch.end) ^ before
    }

    fn prefix(&self, len: usize) -> u32 {
        let steps = len / STEP;
        let rest = self.bytes.get(steps * STEP..len).unwrap_or_default();
        let crc = self.prefixes.get(steps).copied().unwrap_or_default();
        crc32c::crc32c_append(crc, rest)
    }

    /// `x` to eight times `len`.
    fn power(&self, len: usize) -> u32 {
        let digits = len.to_le_bytes();
        let places = digits.iter().zip(&self.powers);
        places.fold(ONE, |power, (digit, powers)| match digit {
            0 => power,
            digit => times(power, powers.get(usize::from(*digit)).copied().unwrap_or(0)),
        })
    }
}

fn powers() -> [[u32; 256]; 4] {
    let mut powers = [[ONE; 256]; 4];
    let mut base = BYTE;
    for place in &mut powers {
        let mut power = ONE;
        for slot in place {
            *slot = power;
            power = times(power, base);
        }
        // 256 times over.
        base = power;
    }
    powers
}

/// The product of two polynomials, modulo the checksum's.
fn times(a: u32, b: u32) -> u32 {
    let (mut product, mut shifted) = (0, b);
    for power in 0..u32::BITS {
        let is_in_a = (a << power) >> 31;
        product ^= shifted * is_in_a;
        shifted = (shifted >> 1) ^ (POLYNOMIAL * (shifted & 1));
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_every_stretch_is_its_checksum() {
        let bytes: Vec<u8> = (0..200_000_u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
            .collect();
        let sums = Sums::new(&bytes);
        let places = [0, 1, 2, 255, 256, 1023, 1024, 1025, 4096, 65_535, 65_536];
        let places = places
            .into_iter()
            .chain([65_537, 131_071, 199_999, 200_000]);
        for start in places.clone() {
            for end in places.clone().filter(|end| *end >= start) {
                let expected = crc32c::crc32c(&bytes[start..end]);
                assert_eq!(sums.of(start..end), expected, "{start}..{end}");
            }
        }
        for at in 0..5000 {
            let stretch = at..at + at * 7 % 3001;
            let expected = crc32c::crc32c(&bytes[stretch.clone()]);
            assert_eq!(sums.of(stretch.clone()), expected, "{stretch:?}");
        }
    }

    #[test]
    fn a_power_of_each_place_is_that_many_bytes_of_zeros() {
        let sums = Sums::new(&[]);
        // The checksum of a byte and zeros, without what it begins and ends with.
        for len in [1, 255, 256, 70_000, 1 << 24, (1 << 24) + (1 << 16) + 257] {
            let zeros = vec![0; len];
            let of_one = crc32c::crc32c(&[&[1][..], &zeros].concat()) ^ crc32c::crc32c(&zeros);
            assert_eq!(
                of_one,
                times(sums.power(len), crc32c::crc32c(&[1])),
                "{len}"
            );
        }
    }
}
