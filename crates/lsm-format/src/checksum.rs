//! CRC-32C, the checksum of blocks and index.
//!
//! Called by the encoder and by everything that reads a block or an index. With `std` it is the
//! `crc32c` crate, which finds the processor's instruction at run time; without, one table of
//! 1 KiB, small enough for flash. It never decides what a mismatch means.

/// Returns the CRC-32C (Castagnoli, reflected, initial value and final XOR `0xFFFF_FFFF`) of `data`.
///
/// ```
/// assert_eq!(lsm_format::crc32c(b"123456789"), 0xE306_9283);
/// ```
#[must_use]
pub fn crc32c(data: &[u8]) -> u32 {
    #[cfg(feature = "std")]
    {
        ::crc32c::crc32c(data)
    }
    #[cfg(not(feature = "std"))]
    {
        by_table(data)
    }
}

#[cfg(any(test, not(feature = "std")))]
const TABLE: [u32; 256] = make_table();

#[cfg(any(test, not(feature = "std")))]
const fn make_table() -> [u32; 256] {
    // The Castagnoli polynomial 0x1EDC6F41, bit-reversed.
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    let mut table = [0; 256];
    let mut byte = 0u32;
    while byte < 256 {
        let mut remainder = byte;
        let mut bit = 0;
        while bit < 8 {
            remainder = if remainder & 1 == 1 {
                (remainder >> 1) ^ POLYNOMIAL
            } else {
                remainder >> 1
            };
            bit += 1;
        }
        table[byte as usize] = remainder;
        byte += 1;
    }
    table
}

#[cfg(any(test, not(feature = "std")))]
fn by_table(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, &byte| {
        // A byte indexes a table of 256 words, so the bounds check is compiled away.
        let [low, ..] = crc.to_le_bytes();
        TABLE[usize::from(low ^ byte)] ^ (crc >> 8)
    })
}

#[cfg(test)]
mod tests {
    use super::{by_table, crc32c};

    #[test]
    fn check_value_of_the_polynomial() {
        assert_eq!(by_table(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn table_and_crate_agree() {
        fn agree(data: Vec<u8>) -> bool {
            by_table(&data) == crc32c(&data)
        }
        quickcheck::quickcheck(agree as fn(Vec<u8>) -> bool);
    }
}
