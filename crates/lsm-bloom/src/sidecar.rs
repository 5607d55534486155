//! The filter of a run as a file beside it. `docs/FILTER.md` specifies the bytes.
//!
//! Encodes into memory and decodes from memory; never opens a file. What is decoded has been
//! checked in full, so that no query of it can go wrong, whoever wrote the bytes.
//!
//! The layout is fixed instead of a `bincode` value because all but 80 of its bytes are one array:
//! so its length follows from the header before anything is allocated, it is copied once, and the
//! fields of another crate's structure do not become a file format. What follows from other fields
//! (the mask, the number of fingerprints) is not stored, and so cannot disagree with them.

use thiserror::Error;
use xorf::{BinaryFuse8, BinaryFuse16};

use crate::filter::{Filter, FingerprintBits, Fuse, Layout, slots_max};

const MAGIC: [u8; 8] = *b"LSMFLT01";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 80;
/// The header without its own checksum.
const HEADER_CHECKED_LEN: usize = HEADER_LEN - 4;

/// Which run a sidecar belongs to. A run with the same id but other bytes is another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunIdentity {
    /// The number in the run's name.
    pub run_id: u64,
    /// The length of the run file in bytes.
    pub file_len: u64,
    /// The checksum of the run's index, as the run's format defines it.
    pub index_crc: u32,
}

/// Why a sidecar is of no use. Whichever it is: do without, and write a new one from the run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SidecarError {
    /// The bytes do not start as a sidecar does.
    #[error("not a filter sidecar")]
    NotASidecar,
    /// A sidecar, but of a format version that this crate does not know.
    #[error("filter sidecar of format version {found}")]
    OtherVersion {
        /// The version that it states.
        found: u32,
    },
    /// Cut short, too long, changed, or never right.
    #[error("damaged filter sidecar: {what} (at byte {offset})")]
    Damaged {
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Whole, but the filter of another run.
    #[error("filter sidecar of {found:?} in place of {expected:?}")]
    OtherRun {
        /// The run that was asked for.
        expected: RunIdentity,
        /// The run that it states.
        found: RunIdentity,
    },
    /// Whole, but made of hashes under another seed, so that its every answer would be chance.
    #[error("filter sidecar made under another hash seed")]
    OtherSeed,
}

/// The bytes of a sidecar that holds `filter`: 80 and its fingerprints.
///
/// `hash_seed` is the seed of the [`KeyHasher`](crate::KeyHasher) that made the hashes.
///
/// ```
/// use lsm_bloom::{FilterBuilder, FingerprintBits, KeyHasher, RunIdentity, decode, encode};
///
/// let mut builder = FilterBuilder::new(1 << 20);
/// builder.push(KeyHasher::new(7).hash(b"pear"));
/// let filter = builder.finish(FingerprintBits::Eight)?;
///
/// let run = RunIdentity { run_id: 12, file_len: 4096, index_crc: 0x5eed };
/// let bytes = encode(&filter, &run, 7);
/// let again = decode(&bytes, &run, 7)?;
/// assert!(again.may_contain(KeyHasher::new(7).hash(b"pear")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn encode(filter: &Filter, run: &RunIdentity, hash_seed: u64) -> Vec<u8> {
    let fingerprints = match filter.fuse() {
        Fuse::Eight(fuse) => fuse.fingerprints.to_vec(),
        Fuse::Sixteen(fuse) => fuse
            .fingerprints
            .iter()
            .flat_map(|fingerprint| fingerprint.to_le_bytes())
            .collect(),
    };
    let bits: u32 = match filter.fingerprint_bits() {
        FingerprintBits::Eight => 8,
        FingerprintBits::Sixteen => 16,
    };
    let layout = filter.layout();

    let mut bytes = Vec::with_capacity(HEADER_LEN + fingerprints.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&bits.to_le_bytes());
    bytes.extend_from_slice(&run.run_id.to_le_bytes());
    bytes.extend_from_slice(&run.file_len.to_le_bytes());
    bytes.extend_from_slice(&run.index_crc.to_le_bytes());
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    bytes.extend_from_slice(&hash_seed.to_le_bytes());
    bytes.extend_from_slice(&filter.len().to_le_bytes());
    bytes.extend_from_slice(&layout.seed.to_le_bytes());
    bytes.extend_from_slice(&layout.segment_length.to_le_bytes());
    bytes.extend_from_slice(&layout.segment_count.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&fingerprints).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    debug_assert_eq!(bytes.len(), HEADER_LEN);
    bytes.extend_from_slice(&fingerprints);
    bytes
}

/// The filter in the bytes of a sidecar, if it is the one of `run` under `hash_seed`.
///
/// Allocates the fingerprints, once they are known to be there, and nothing else. Whatever the bytes
/// are, nothing here panics, and no query of the filter does.
///
/// # Errors
///
/// [`SidecarError`], each time for the same reason: there is no filter, and a new one is due.
pub fn decode(bytes: &[u8], run: &RunIdentity, hash_seed: u64) -> Result<Filter, SidecarError> {
    let (header, fingerprints) = Header::read(bytes)?;
    if header.run != *run {
        return Err(SidecarError::OtherRun {
            expected: *run,
            found: header.run,
        });
    }
    if header.hash_seed != hash_seed {
        return Err(SidecarError::OtherSeed);
    }
    header.filter(fingerprints)
}

/// The longest sidecar that a run of so many entries has, in bytes. A longer file need not be read
/// to know that it is none.
#[must_use]
pub fn sidecar_bytes_max(entry_count: u64) -> u64 {
    slots_max(entry_count).saturating_mul(2).saturating_add(80)
}

/// The fixed part, with its checksum right and its fields not yet believed.
struct Header {
    bits: u32,
    run: RunIdentity,
    reserved: u32,
    hash_seed: u64,
    key_count: u64,
    layout: Layout,
    fingerprints_crc: u32,
}

impl Header {
    /// The header, and what follows it.
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), SidecarError> {
        let mut rest = bytes
            .strip_prefix(&MAGIC)
            .ok_or(SidecarError::NotASidecar)?;
        let cut = || damaged(bytes.len(), "the header is cut short");
        // Another version may have another header, so this comes before its checksum.
        let found = take_u32(&mut rest).ok_or_else(cut)?;
        if found != VERSION {
            return Err(SidecarError::OtherVersion { found });
        }
        let checked = bytes.get(..HEADER_CHECKED_LEN).ok_or_else(cut)?;
        let (header, crc) = Self::fields(&mut rest).ok_or_else(cut)?;
        if crc != crc32fast::hash(checked) {
            return Err(damaged(
                HEADER_CHECKED_LEN,
                "the header does not match its checksum",
            ));
        }
        Ok((header, rest))
    }

    /// The fields behind the version, and the header's checksum.
    fn fields(rest: &mut &[u8]) -> Option<(Self, u32)> {
        let header = Self {
            bits: take_u32(rest)?,
            run: RunIdentity {
                run_id: take_u64(rest)?,
                file_len: take_u64(rest)?,
                index_crc: take_u32(rest)?,
            },
            reserved: take_u32(rest)?,
            hash_seed: take_u64(rest)?,
            key_count: take_u64(rest)?,
            layout: Layout {
                seed: take_u64(rest)?,
                segment_length: take_u32(rest)?,
                segment_count: take_u32(rest)?,
            },
            fingerprints_crc: take_u32(rest)?,
        };
        Some((header, take_u32(rest)?))
    }

    fn filter(&self, fingerprints: &[u8]) -> Result<Filter, SidecarError> {
        let bits = match self.bits {
            8 => FingerprintBits::Eight,
            16 => FingerprintBits::Sixteen,
            _ => return Err(damaged(12, "fingerprints have 8 or 16 bits")),
        };
        if self.reserved != 0 {
            return Err(damaged(36, "reserved bytes are not zero"));
        }
        let slots = self
            .layout
            .slot_count(self.key_count)
            .ok_or_else(|| damaged(48, "no filter of so many keys has this layout"))?;
        if slots.checked_mul(bits.bytes()) != Some(fingerprints.len()) {
            return Err(damaged(
                HEADER_LEN,
                "the fingerprints are not as long as the header says",
            ));
        }
        if crc32fast::hash(fingerprints) != self.fingerprints_crc {
            return Err(damaged(
                HEADER_LEN,
                "the fingerprints do not match their checksum",
            ));
        }
        let descriptor = self.layout.descriptor();
        let fuse = match bits {
            FingerprintBits::Eight => Fuse::Eight(BinaryFuse8 {
                descriptor,
                fingerprints: fingerprints.into(),
            }),
            FingerprintBits::Sixteen => Fuse::Sixteen(BinaryFuse16 {
                descriptor,
                fingerprints: fingerprints
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&two| u16::from_le_bytes(two))
                    .collect(),
            }),
        };
        Filter::new(self.key_count, fuse)
            .ok_or_else(|| damaged(48, "no filter of so many keys has this layout"))
    }
}

fn damaged(offset: usize, what: &'static str) -> SidecarError {
    let offset = u64::try_from(offset).unwrap_or(u64::MAX);
    SidecarError::Damaged { offset, what }
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_le_bytes(*bytes))
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*bytes))
}
