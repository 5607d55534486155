//! The bytes of two sidecars, frozen: a changed byte in what is written fails here, and so does a
//! reader that no longer reads what was written. The worked example of `docs/FILTER.md` is the
//! smaller one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use lsm_bloom::{FilterBuilder, FingerprintBits, KeyHasher, RunIdentity, decode, encode};

const EIGHT: &[u8] = include_bytes!("golden/run-0000000007.sst.bloom");
const SIXTEEN: &[u8] = include_bytes!("golden/run-0000000008.sst.bloom");
const PAGE: &str = include_str!("../../../docs/FILTER.md");
const SEED: u64 = 0x0123_4567_89ab_cdef;

/// The example of the page: three fruits, eight bits.
fn eight() -> (RunIdentity, Vec<String>, FingerprintBits) {
    let run = RunIdentity {
        run_id: 7,
        file_len: 0x1002,
        index_crc: 0x5eed_0000,
    };
    let keys = ["apple", "mango", "plum"].map(str::to_owned);
    (run, keys.to_vec(), FingerprintBits::Eight)
}

/// Two hundred keys, sixteen bits.
fn sixteen() -> (RunIdentity, Vec<String>, FingerprintBits) {
    let run = RunIdentity {
        run_id: 8,
        file_len: 0x9_8765,
        index_crc: 0xc0ff_ee00,
    };
    let keys = (0..200).map(|n| format!("key-{n}")).collect();
    (run, keys, FingerprintBits::Sixteen)
}

fn written((run, keys, bits): (RunIdentity, Vec<String>, FingerprintBits)) -> Vec<u8> {
    let mut builder = FilterBuilder::new(u64::MAX);
    for key in keys {
        builder.push(KeyHasher::new(SEED).hash(key.as_bytes()));
    }
    encode(&builder.finish(bits).unwrap(), &run, SEED)
}

/// `cargo xtask conformance --bless` has the golden files written anew, and shows what changed.
#[expect(clippy::disallowed_methods, reason = "a golden file is no store's")]
fn bless(found: &[u8], name: &str) {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/");
    std::fs::write(format!("{directory}{name}"), found).unwrap();
}

#[test]
fn the_writer_writes_the_golden_bytes() {
    let found = (written(eight()), written(sixteen()));
    if std::env::var_os("LSM_BLESS").is_some() {
        bless(&found.0, "run-0000000007.sst.bloom");
        return bless(&found.1, "run-0000000008.sst.bloom");
    }
    assert_eq!(hex_dump(&found.0), hex_dump(EIGHT));
    assert_eq!(hex_dump(&found.1), hex_dump(SIXTEEN));
}

#[test]
fn the_reader_reads_the_golden_bytes() {
    for (bytes, (run, keys, bits)) in [(EIGHT, eight()), (SIXTEEN, sixteen())] {
        let filter = decode(bytes, &run, SEED).unwrap();
        assert_eq!(filter.fingerprint_bits(), bits);
        assert_eq!(filter.len(), keys.len() as u64);
        let hasher = KeyHasher::new(SEED);
        let found = |key: &String| filter.may_contain(hasher.hash(key.as_bytes()));
        assert!(keys.iter().all(found));
        let absent = (0..1000).filter(|n| found(&format!("absent-{n}")));
        assert!(absent.count() < 20);
    }
}

#[test]
fn the_worked_example_in_the_documentation_is_the_golden_file() {
    let dump = hex_dump(EIGHT);
    assert!(PAGE.contains(&dump), "docs/FILTER.md should show:\n{dump}");
}

/// The page tells how a lookup goes, in words; here are the words in code, without `xorf`.
#[test]
fn a_lookup_as_the_page_describes_it_finds_the_keys_of_the_example() {
    let word = |at: usize| u32::from_le_bytes(EIGHT[at..at + 4].try_into().unwrap());
    let long = |at: usize| u64::from_le_bytes(EIGHT[at..at + 8].try_into().unwrap());
    let (filter_seed, length, count) = (long(56), word(64), word(68));
    let fingerprints = &EIGHT[80..];
    let maybe = |key: &str| {
        let mut h = KeyHasher::new(SEED)
            .hash(key.as_bytes())
            .to_u64()
            .wrapping_add(filter_seed);
        h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^= h >> 33;
        let range = u128::from(count * length);
        let a = u32::try_from((u128::from(h) * range) >> 64).unwrap();
        let low = |bits: u64| u32::try_from(bits & u64::from(length - 1)).unwrap();
        let b = (a + length) ^ low(h >> 18);
        let c = (a + 2 * length) ^ low(h);
        let stored = [a, b, c].map(|at| fingerprints[at as usize]);
        let fingerprint = (h ^ (h >> 32)).to_le_bytes()[0];
        fingerprint == stored[0] ^ stored[1] ^ stored[2]
    };
    assert!(["apple", "mango", "plum"].iter().all(|key| maybe(key)));
    assert!(!["pear", "quince", "fig"].iter().any(|key| maybe(key)));
}

/// Sixteen bytes a line, behind their offset.
fn hex_dump(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).enumerate().map(|(line, bytes)| {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:04x}: {}\n", line * 16, hex.join(" "))
    });
    lines.collect()
}
