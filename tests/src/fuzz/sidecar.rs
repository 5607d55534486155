//! The target `sidecar`: bytes as the filter beside a run.
//!
//! Called through [`Target`](super::Target). What is accepted is just what the encoder writes for the
//! filter that it decodes to, and may be asked anything.

use lsm_bloom::{
    Filter, FilterBuilder, FingerprintBits, KeyHash, KeyHasher, RunIdentity, SidecarError, decode,
    encode, sidecar_bytes_max,
};

use super::{Told, ensure, split};
use crate::hostile::seals;
use crate::random::Random;

const SEED: u64 = 11;
const RUN: RunIdentity = RunIdentity {
    run_id: 12,
    file_len: 34_567,
    index_crc: 0xabcd_ef01,
};

pub(super) fn check(input: &[u8], told: &mut Told) -> Result<(), String> {
    let (mode, rest) = split(input);
    match mode % 3 {
        0 => read(rest, told),
        1 => {
            let mut bytes = rest.to_vec();
            seals::sidecar(&mut bytes);
            read(&bytes, told)
        }
        _ => built(rest, told),
    }
}

fn read(bytes: &[u8], told: &mut Told) -> Result<(), String> {
    let filter = match decode(bytes, &RUN, SEED) {
        Ok(filter) => filter,
        Err(error) => {
            tell(&error, told);
            return Ok(());
        }
    };
    told.tell("read", if filter.is_empty() { "empty" } else { "keys" });
    ensure(encode(&filter, &RUN, SEED) == bytes, || {
        "it is encoded otherwise than it was".to_owned()
    })?;
    let bytes_max = sidecar_bytes_max(filter.len());
    ensure(bytes.len() as u64 <= bytes_max, || {
        format!("{} bytes, not {bytes_max} at most", bytes.len())
    })?;
    ensure(filter.memory_bytes() <= bytes.len() + 128, || {
        format!("{} bytes of memory", filter.memory_bytes())
    })?;
    ask_everything(&filter)?;
    let other_run = RunIdentity { run_id: 13, ..RUN };
    ensure(
        matches!(
            decode(bytes, &other_run, SEED),
            Err(SidecarError::OtherRun { .. })
        ) && matches!(decode(bytes, &RUN, SEED + 1), Err(SidecarError::OtherSeed)),
        || "it is also the filter of another run".to_owned(),
    )
}

/// Hashes with every bit pattern at the ends, and others between them.
fn ask_everything(filter: &Filter) -> Result<(), String> {
    let single_bits = (0..64).map(|bit| 1_u64 << bit);
    let spread = (0..100_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for hash in single_bits.chain(spread).flat_map(|hash| [hash, !hash]) {
        let hash = KeyHash::from_u64(hash);
        let answer = filter.may_contain(hash);
        ensure(answer == filter.may_contain(hash), || {
            "two answers to one question".to_owned()
        })?;
        ensure(!(filter.is_empty() && answer), || {
            "a filter of nothing says maybe".to_owned()
        })?;
    }
    Ok(())
}

/// A filter of the hashes that the input names knows each of them, also when read back.
fn built(choices: &[u8], told: &mut Told) -> Result<(), String> {
    let mut random = Random::from_bytes(choices);
    let bits = match random.below(2) {
        0 => FingerprintBits::Eight,
        _ => FingerprintBits::Sixteen,
    };
    let hasher = KeyHasher::new(SEED);
    let mut builder = FilterBuilder::new(1 << 20);
    let mut hashes = Vec::new();
    while random.has_more() && hashes.len() < 2000 {
        let hash = match random.below(3) {
            // The same ones again, and such as lie close together.
            0 => KeyHash::from_u64(random.below(256) as u64),
            1 => KeyHash::from_u64(random.draw()),
            _ => hasher.hash(&random.bytes(2)),
        };
        builder.push(hash);
        hashes.push(hash);
    }
    let Ok(filter) = builder.finish(bits) else {
        // Chosen hashes may allow of no filter; then there is none.
        told.tell("built", "no filter");
        return Ok(());
    };
    let bytes = encode(&filter, &RUN, SEED);
    let again = decode(&bytes, &RUN, SEED)
        .map_err(|error| format!("what was encoded does not decode: {error}"))?;
    for hash in hashes {
        ensure(filter.may_contain(hash) && again.may_contain(hash), || {
            format!("{hash:?} is denied")
        })?;
    }
    told.tell("built", "a filter");
    read(&bytes, told)
}

fn tell(error: &SidecarError, told: &mut Told) {
    match error {
        SidecarError::NotASidecar => told.tell("NotASidecar", ""),
        SidecarError::OtherVersion { .. } => told.tell("OtherVersion", ""),
        SidecarError::Damaged { what, .. } => told.tell("Damaged", what),
        SidecarError::OtherRun { .. } => told.tell("OtherRun", ""),
        SidecarError::OtherSeed => told.tell("OtherSeed", ""),
        _ => told.tell("an error without a name here", ""),
    }
}

/// Filters of no key, one, and some; and hashes to build one from.
pub(super) fn seeds() -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut seeds = Vec::new();
    for (keys, bits) in [
        (0, FingerprintBits::Eight),
        (1, FingerprintBits::Sixteen),
        (40, FingerprintBits::Eight),
        (150, FingerprintBits::Sixteen),
    ] {
        let mut builder = FilterBuilder::new(1 << 20);
        for key in 0..keys {
            builder.push(KeyHasher::new(SEED).hash(&u64::to_be_bytes(key)));
        }
        let filter = builder.finish(bits).map_err(|error| error.to_string())?;
        let bytes = encode(&filter, &RUN, SEED);
        for (mode, how) in [(0, "plain"), (1, "sealed")] {
            let input = [&[mode], bytes.as_slice()].concat();
            seeds.push((format!("{how}-{keys}-keys"), input));
        }
    }
    seeds.push((
        "built".to_owned(),
        vec![2, 1, 0, 7, 0, 7, 1, 1, 2, 3, 4, 5, 6, 7, 8, 2, 9, 9],
    ));
    Ok(seeds)
}
