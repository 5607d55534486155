//! Sidecars that are damaged, strange or made to harm: each is refused with the reason, or is a
//! filter that can be asked anything.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use lsm_bloom::{
    Filter, FilterBuilder, FingerprintBits, KeyHash, KeyHasher, RunIdentity, SidecarError, decode,
    encode,
};
use quickcheck::{Gen, QuickCheck};

const SEED: u64 = 11;
const RUN: RunIdentity = RunIdentity {
    run_id: 12,
    file_len: 34_567,
    index_crc: 0xabcd_ef01,
};

const BITS_AT: usize = 12;
const RESERVED_AT: usize = 36;
const KEY_COUNT_AT: usize = 48;
const SEGMENT_LENGTH_AT: usize = 64;
const SEGMENT_COUNT_AT: usize = 68;
const FINGERPRINTS_CRC_AT: usize = 72;
const HEADER_CRC_AT: usize = 76;
const HEADER_LEN: usize = 80;

fn sidecar(keys: u64, bits: FingerprintBits) -> Vec<u8> {
    let mut builder = FilterBuilder::new(u64::MAX);
    for key in 0..keys {
        builder.push(KeyHasher::new(SEED).hash(&key.to_be_bytes()));
    }
    encode(&builder.finish(bits).unwrap(), &RUN, SEED)
}

fn sidecars() -> [Vec<u8>; 4] {
    [
        sidecar(0, FingerprintBits::Eight),
        sidecar(1, FingerprintBits::Sixteen),
        sidecar(40, FingerprintBits::Eight),
        sidecar(150, FingerprintBits::Sixteen),
    ]
}

/// Makes both checksums right again.
fn seal(bytes: &mut [u8]) {
    let fingerprints = crc32fast::hash(&bytes[HEADER_LEN..]);
    bytes[FINGERPRINTS_CRC_AT..HEADER_CRC_AT].copy_from_slice(&fingerprints.to_le_bytes());
    let header = crc32fast::hash(&bytes[..HEADER_CRC_AT]);
    bytes[HEADER_CRC_AT..HEADER_LEN].copy_from_slice(&header.to_le_bytes());
}

/// Asks for hashes with every bit pattern at the ends, and many others. Not to panic is the test.
fn ask_everything(filter: &Filter) {
    let single_bits = (0..64).map(|bit| 1_u64 << bit);
    let spread = (0..2000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for hash in single_bits.chain(spread) {
        let _ = filter.may_contain(KeyHash::from_u64(hash));
        let _ = filter.may_contain(KeyHash::from_u64(!hash));
    }
}

fn decode_and_ask(bytes: &[u8]) -> Result<(), SidecarError> {
    decode(bytes, &RUN, SEED).map(|filter| ask_everything(&filter))
}

/// The damage and its place, or what else is the matter.
fn damage(bytes: &[u8]) -> (u64, &'static str) {
    match decode(bytes, &RUN, SEED).unwrap_err() {
        SidecarError::Damaged { offset, what } => (offset, what),
        other => panic!("{other:?}"),
    }
}

fn with_u32(mut bytes: Vec<u8>, at: usize, value: u32) -> Vec<u8> {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    seal(&mut bytes);
    bytes
}

fn with_u64(mut bytes: Vec<u8>, at: usize, value: u64) -> Vec<u8> {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    seal(&mut bytes);
    bytes
}

#[test]
fn every_flipped_bit_is_noticed() {
    for whole in sidecars() {
        assert_eq!(decode_and_ask(&whole), Ok(()));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(decode_and_ask(&bytes).is_err(), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn every_cut_and_every_byte_too_many_is_noticed() {
    for whole in sidecars() {
        for length in 0..whole.len() {
            let error = decode_and_ask(&whole[..length]).unwrap_err();
            assert_eq!(
                matches!(error, SidecarError::NotASidecar),
                length < 8,
                "{length}: {error}"
            );
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(damage(&longer).0, 80);
    }
}

#[test]
fn the_error_says_what_is_wrong_and_where() {
    let whole = sidecar(150, FingerprintBits::Eight);
    assert_eq!(decode_and_ask(b"LSMTBL01"), Err(SidecarError::NotASidecar));
    assert_eq!(decode_and_ask(b""), Err(SidecarError::NotASidecar));
    let newer = with_u32(whole.clone(), 8, 2);
    assert_eq!(
        decode_and_ask(&newer),
        Err(SidecarError::OtherVersion { found: 2 })
    );
    assert_eq!(damage(&whole[..50]).0, 50);

    let mut flipped = whole.clone();
    flipped[20] ^= 1;
    assert_eq!(
        damage(&flipped),
        (76, "the header does not match its checksum")
    );
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    assert_eq!(
        damage(&flipped),
        (80, "the fingerprints do not match their checksum")
    );
    assert_eq!(
        damage(&with_u32(whole.clone(), BITS_AT, 32)),
        (12, "fingerprints have 8 or 16 bits")
    );
    assert_eq!(
        damage(&with_u32(whole.clone(), RESERVED_AT, 1)),
        (36, "reserved bytes are not zero")
    );
    assert_eq!(
        damage(&with_u32(whole, SEGMENT_LENGTH_AT, 33)),
        (48, "no filter of so many keys has this layout")
    );
}

#[test]
fn a_sidecar_of_another_run_or_seed_is_refused() {
    let whole = sidecar(150, FingerprintBits::Eight);
    let others = [
        RunIdentity { run_id: 13, ..RUN },
        RunIdentity {
            file_len: 34_568,
            ..RUN
        },
        RunIdentity {
            index_crc: 0,
            ..RUN
        },
    ];
    for expected in others {
        let error = decode(&whole, &expected, SEED).unwrap_err();
        assert_eq!(
            error,
            SidecarError::OtherRun {
                expected,
                found: RUN
            }
        );
    }
    let error = decode(&whole, &RUN, SEED + 1).unwrap_err();
    assert_eq!(error, SidecarError::OtherSeed);
    assert!(!error.to_string().contains("11"), "{error}");
}

#[test]
fn a_layout_that_disagrees_with_itself_is_refused_though_its_checksums_are_right() {
    for whole in sidecars() {
        let lengths = [
            0,
            1,
            2,
            3,
            5,
            7,
            8,
            12,
            64,
            96,
            1 << 18,
            1 << 19,
            1 << 31,
            u32::MAX,
        ];
        let counts = [
            0,
            1,
            2,
            3,
            4,
            5,
            1 << 16,
            (1 << 30) - 2,
            1 << 30,
            u32::MAX - 1,
            u32::MAX,
        ];
        let keys = [0, 1, 2, 39, 40, 41, 150, 1 << 32, u64::MAX / 2, u64::MAX];
        for length in lengths {
            for count in counts {
                for keys in keys {
                    let bytes = with_u64(whole.clone(), KEY_COUNT_AT, keys);
                    let bytes = with_u32(bytes, SEGMENT_LENGTH_AT, length);
                    let bytes = with_u32(bytes, SEGMENT_COUNT_AT, count);
                    let same_size = (u64::from(count) + 2) * u64::from(length)
                        == (whole.len() - HEADER_LEN) as u64
                            / if whole[BITS_AT] == 16 { 2 } else { 1 };
                    if decode_and_ask(&bytes).is_ok() && keys > 0 {
                        assert!(same_size && length.is_power_of_two() && count > 0);
                    }
                }
            }
        }
    }
}

#[test]
fn no_field_or_fingerprint_whatever_it_is_makes_a_query_panic() {
    fn property(edits: Vec<(u16, u8)>, cut: u16, which: u8) -> bool {
        let mut bytes = sidecars()[usize::from(which) % 4].clone();
        if cut.is_multiple_of(4) {
            let length = HEADER_LEN + usize::from(cut / 4) % (bytes.len() - HEADER_LEN + 1);
            bytes.truncate(length);
        }
        // Half of the edits go to the fields of the header behind the run and the seed.
        for (at, value) in edits {
            let at = if at % 2 == 0 {
                KEY_COUNT_AT + usize::from(at / 2) % 24
            } else {
                usize::from(at / 2) % bytes.len()
            };
            bytes[at] = value;
        }
        seal(&mut bytes);
        let _ = decode_and_ask(&bytes);
        true
    }
    QuickCheck::new()
        .rng(Gen::from_size_and_seed(8, 42))
        .tests(3000)
        .quickcheck(property as fn(Vec<(u16, u8)>, u16, u8) -> bool);
}

#[test]
fn random_bytes_behind_the_magic_are_refused() {
    fn property(bytes: Vec<u8>) -> bool {
        let version_1 = [&b"LSMFLT01\x01\0\0\0"[..], &bytes].concat();
        decode_and_ask(&bytes).is_err() && decode_and_ask(&version_1).is_err()
    }
    QuickCheck::new()
        .tests(1000)
        .quickcheck(property as fn(Vec<u8>) -> bool);
}
