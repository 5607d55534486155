//! The first 64 bytes of a manifest file.
//!
//! Called by the loader and by the rewriter. Pure: bytes in, values out.

/// The length of the header in bytes; records start here.
pub(crate) const HEADER_LEN: usize = 64;
pub(crate) const HEADER_BYTES: u64 = HEADER_LEN as u64;

pub(crate) const MAGIC: [u8; 8] = *b"LSMMAN01";
pub(crate) const FORMAT_VERSION: u32 = 2;

/// What a database is called and what it seeds its hashes with; chosen at random when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Random bytes that every record of manifest and log is bound to, so that files of another
    /// database, or values made to look like records, are never taken for this one's.
    pub database_id: [u8; 16],
    /// The seed of the hashes in this database's filters.
    pub hash_seed: u64,
}

/// The header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bumped with every rewrite; what the records are bound to, beside the database id.
    pub(crate) generation: u64,
    pub(crate) identity: Identity,
    /// Where the part that was synced before the file got its name ends, in bytes from the start
    /// of the file.
    pub(crate) snapshot_len: u64,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// They start with other bytes.
    Magic,
    /// They are of another version.
    Version(u32),
    /// They are ours, but not intact.
    Damaged(&'static str),
}

// Offsets of the fields; all little-endian.
const VERSION: usize = 8;
const GENERATION: usize = 16;
const DATABASE_ID: usize = 24;
const HASH_SEED: usize = 40;
const SNAPSHOT_LEN: usize = 48;
const CRC: usize = 60;

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        set(&mut bytes, 0, MAGIC);
        set(&mut bytes, VERSION, FORMAT_VERSION.to_le_bytes());
        set(&mut bytes, GENERATION, self.generation.to_le_bytes());
        set(&mut bytes, DATABASE_ID, self.identity.database_id);
        set(&mut bytes, HASH_SEED, self.identity.hash_seed.to_le_bytes());
        set(&mut bytes, SNAPSHOT_LEN, self.snapshot_len.to_le_bytes());
        let crc = crc(&bytes);
        set(&mut bytes, CRC, crc.to_le_bytes());
        bytes
    }

    /// Decodes the first bytes of a file; `bytes` may be shorter than a header if the file is.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        if get(bytes, 0) != Some(MAGIC) {
            return Err(BadHeader::Magic);
        }
        // The version comes before the checksum: another version may keep it elsewhere.
        let short = BadHeader::Damaged("the header is cut short");
        let version = u32::from_le_bytes(get(bytes, VERSION).ok_or(short)?);
        if version != FORMAT_VERSION {
            return Err(BadHeader::Version(version));
        }
        let bytes: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(short)?;
        if u32::from_le_bytes(get(bytes, CRC).ok_or(short)?) != crc(bytes) {
            return Err(BadHeader::Damaged("the header's checksum does not match"));
        }
        let header = Self {
            generation: u64::from_le_bytes(get(bytes, GENERATION).ok_or(short)?),
            identity: Identity {
                database_id: get(bytes, DATABASE_ID).ok_or(short)?,
                hash_seed: u64::from_le_bytes(get(bytes, HASH_SEED).ok_or(short)?),
            },
            snapshot_len: u64::from_le_bytes(get(bytes, SNAPSHOT_LEN).ok_or(short)?),
        };
        if header.encode() != *bytes {
            return Err(BadHeader::Damaged(
                "the header's reserved bytes are not zero",
            ));
        }
        if header.generation == u64::MAX {
            return Err(BadHeader::Damaged("no generations are left"));
        }
        if header.snapshot_len < HEADER_BYTES || !header.snapshot_len.is_multiple_of(8) {
            return Err(BadHeader::Damaged("the snapshot's length is impossible"));
        }
        Ok(header)
    }
}

fn crc(bytes: &[u8; HEADER_LEN]) -> u32 {
    crc32fast::hash(bytes.get(..CRC).unwrap_or_default())
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn set<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(slot) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *slot = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            generation: 7,
            identity: Identity {
                database_id: *b"0123456789abcdef",
                hash_seed: 0x1122_3344_5566_7788,
            },
            snapshot_len: 128,
        }
    }

    /// The bytes of a header with a checksum that matches whatever was changed.
    fn resealed(change: impl FnOnce(&mut [u8; HEADER_LEN])) -> [u8; HEADER_LEN] {
        let mut bytes = header().encode();
        change(&mut bytes);
        let crc = crc(&bytes);
        set(&mut bytes, CRC, crc.to_le_bytes());
        bytes
    }

    #[test]
    fn a_header_survives_the_round_trip() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = header().encode();
        for bit in 0..HEADER_LEN * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&flipped).is_err(), "bit {bit}");
        }
        for len in 0..HEADER_LEN {
            assert!(Header::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn what_no_writer_writes_is_refused_even_with_a_matching_checksum() {
        let cases: [(&str, [u8; HEADER_LEN]); 5] = [
            ("reserved", resealed(|bytes| bytes[12] = 1)),
            ("reserved", resealed(|bytes| bytes[56] = 1)),
            (
                "generation",
                resealed(|bytes| set(bytes, GENERATION, [0xff; 8])),
            ),
            (
                "too short",
                resealed(|bytes| set(bytes, SNAPSHOT_LEN, 56_u64.to_le_bytes())),
            ),
            (
                "unaligned",
                resealed(|bytes| set(bytes, SNAPSHOT_LEN, 129_u64.to_le_bytes())),
            ),
        ];
        for (name, bytes) in cases {
            assert!(
                matches!(Header::decode(&bytes), Err(BadHeader::Damaged(_))),
                "{name}"
            );
        }
        for other in [0, 1, 3] {
            let bytes = resealed(|bytes| bytes[VERSION] = other);
            let found = Header::decode(&bytes);
            assert_eq!(found, Err(BadHeader::Version(u32::from(other))));
        }
        let other = resealed(|bytes| bytes[7] = b'2');
        assert_eq!(Header::decode(&other), Err(BadHeader::Magic));
    }
}
