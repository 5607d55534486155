//! What the filters answer: never "no" for a key of the set, and seldom "maybe" for another.
//!
//! Everything is drawn from fixed seeds, so each rate below is the same number on every machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use lsm_bloom::{
    BuildError, ConcurrentFilter, Filter, FilterBuilder, FingerprintBits, KeyHash, KeyHasher,
    SCRATCH_BYTES_FIXED, SCRATCH_BYTES_PER_KEY, decode, encode, sidecar_bytes_max,
};
use quickcheck::quickcheck;

const WIDTHS: [FingerprintBits; 2] = [FingerprintBits::Eight, FingerprintBits::Sixteen];

fn build(hashes: impl IntoIterator<Item = KeyHash>, bits: FingerprintBits) -> Filter {
    let mut builder = FilterBuilder::new(u64::MAX);
    hashes.into_iter().for_each(|hash| builder.push(hash));
    builder.finish(bits).unwrap()
}

/// The hashes of `first..first + count` as keys.
fn hashes(hasher: KeyHasher, first: u64, count: u64) -> impl Iterator<Item = KeyHash> {
    (first..first + count).map(move |key| hasher.hash(&key.to_be_bytes()))
}

/// How many of a million absent keys out of a million get a "maybe".
fn maybes(may_contain: impl Fn(KeyHash) -> bool) -> usize {
    hashes(KeyHasher::new(1), 1 << 40, 1_000_000)
        .filter(|&hash| may_contain(hash))
        .count()
}

#[test]
fn a_set_of_any_small_size_has_a_filter_with_all_its_keys() {
    for bits in WIDTHS {
        for count in (0..600).chain([1000, 3_333, 11_515, 40_000]) {
            let filter = build(hashes(KeyHasher::new(count), 0, count), bits);
            assert_eq!(filter.len(), count);
            assert!(
                hashes(KeyHasher::new(count), 0, count).all(|hash| filter.may_contain(hash)),
                "{count} keys"
            );
            let run = run_identity();
            let sidecar = encode(&filter, &run, 5);
            assert!(sidecar.len() as u64 <= sidecar_bytes_max(count));
            let again = decode(&sidecar, &run, 5).unwrap();
            assert_eq!(encode(&again, &run, 5), sidecar, "{count} keys");
        }
    }
}

fn run_identity() -> lsm_bloom::RunIdentity {
    lsm_bloom::RunIdentity {
        run_id: 3,
        file_len: 4096,
        index_crc: 17,
    }
}

#[test]
fn a_filter_of_nothing_says_no_to_everything() {
    for bits in WIDTHS {
        let filter = build([], bits);
        assert!(filter.is_empty());
        assert_eq!(maybes(|hash| filter.may_contain(hash)), 0);
    }
}

#[test]
fn eight_bits_say_maybe_to_one_absent_key_in_256() {
    let filter = build(
        hashes(KeyHasher::new(1), 0, 100_000),
        FingerprintBits::Eight,
    );
    // One in 256 is 3,906 in a million, give or take 62 (one standard deviation).
    let found = maybes(|hash| filter.may_contain(hash));
    assert!((3_700..4_100).contains(&found), "{found}");
}

#[test]
fn sixteen_bits_say_maybe_to_one_absent_key_in_65536() {
    let hashes = hashes(KeyHasher::new(1), 0, 100_000);
    let filter = build(hashes, FingerprintBits::Sixteen);
    // 15.3 in a million.
    let found = maybes(|hash| filter.may_contain(hash));
    assert!((4..30).contains(&found), "{found}");
}

#[test]
fn memory_is_close_to_the_width_and_an_eighth() {
    for (bits, bytes) in WIDTHS.into_iter().zip([1.0, 2.0]) {
        let filter = build(hashes(KeyHasher::new(1), 0, 100_000), bits);
        let for_each = filter.memory_bytes() as f64 / 100_000.0;
        assert!(for_each < bytes * 1.2, "{for_each} bytes a key");
    }
}

#[test]
fn equal_hashes_count_once_and_do_no_harm() {
    let one = KeyHash::from_u64(99);
    let filter = build([one; 1000], FingerprintBits::Eight);
    assert_eq!(filter.len(), 1);
    assert!(filter.may_contain(one));

    // Without the deduplication, 64 duplicates in so many keys keep the construction busy for
    // seconds, and then it fails.
    let twice = hashes(KeyHasher::new(1), 0, 64).chain(hashes(KeyHasher::new(1), 0, 50_000));
    assert_eq!(build(twice, FingerprintBits::Eight).len(), 50_000);
}

quickcheck! {
    fn no_hash_of_the_set_is_ever_denied(set: Vec<u64>, seed: u64, others: Vec<u64>) -> bool {
        let with_extremes = set.iter().copied().chain([0, 1, u64::MAX, seed.wrapping_neg()]);
        let set: Vec<KeyHash> = with_extremes.map(KeyHash::from_u64).collect();
        WIDTHS.into_iter().all(|bits| {
            let filter = build(set.iter().copied(), bits);
            // What is asked in between changes nothing.
            others.iter().for_each(|&other| { let _ = filter.may_contain(KeyHash::from_u64(other)); });
            let again = decode(&encode(&filter, &run_identity(), seed), &run_identity(), seed).unwrap();
            set.iter().all(|&hash| filter.may_contain(hash) && again.may_contain(hash))
                && others.iter().all(|&other| {
                    let other = KeyHash::from_u64(other);
                    filter.may_contain(other) == again.may_contain(other)
                })
        })
    }

    fn no_insert_into_a_growing_filter_is_ever_denied(
        set: Vec<u64>, keys_expected: u16, bits_per_key: u8
    ) -> bool {
        let filter = ConcurrentFilter::new(keys_expected.into(), bits_per_key.into());
        set.iter().all(|&hash| {
            filter.insert(KeyHash::from_u64(hash));
            filter.may_contain(KeyHash::from_u64(hash))
        }) && set.iter().all(|&hash| filter.may_contain(KeyHash::from_u64(hash)))
    }
}

/// Numbers that are no hashes: `key` as it is, in other bits, in steps, mirrored, doubled.
type Numbers = (&'static str, fn(u64) -> u64);
const NUMBERS: [Numbers; 12] = [
    ("counted", |key| key),
    ("counted from far", |key| (1 << 63) + key),
    ("counted down", |key| u64::MAX - key),
    ("multiples of 8", |key| key * 8),
    ("multiples of 4096", |key| key * 4096),
    ("multiples of 1000", |key| key * 1000),
    ("in the upper half", |key| key << 32),
    ("in the upper bits", |key| key << 44),
    ("mirrored", u64::reverse_bits),
    ("in both halves", |key| (key << 32) | key),
    ("in two parts", |key| ((key >> 10) << 40) | (key & 1023)),
    ("squares", |key| key * key),
];

/// The block was chosen by the upper half of a hash, so that small numbers all had the first one, and
/// every number got a "maybe".
#[test]
fn a_growing_filter_tells_numbers_apart_that_are_no_hashes() {
    const KEYS: u64 = 100_000;
    let keys_expected = usize::try_from(KEYS).unwrap();
    for (name, number) in NUMBERS {
        let filter = ConcurrentFilter::new(keys_expected, 12);
        let hash = |key| KeyHash::from_u64(number(key));
        // Every other one, so that the absent ones lie between them.
        (0..KEYS).for_each(|key| filter.insert(hash(2 * key)));
        assert!((0..KEYS).all(|key| filter.may_contain(hash(2 * key))));
        let maybes = (0..KEYS).filter(|key| filter.may_contain(hash(2 * key + 1)));
        let maybes = maybes.count();
        // Of evenly spread hashes 0.5 %.
        assert!(maybes < 900, "{name}: {maybes} of {KEYS}");
    }
}

/// A sidecar is made of the hashes as they were given, and not mixed again: the filters of one kind
/// that are on a disk have to be asked with the same numbers for ever.
#[test]
fn a_filter_of_a_file_tells_numbers_apart_that_are_no_hashes() {
    for (name, number) in NUMBERS {
        let hash = |key| KeyHash::from_u64(number(key));
        let filter = build((0..50_000).map(|key| hash(2 * key)), FingerprintBits::Eight);
        let maybes = (0..50_000).filter(|key| filter.may_contain(hash(2 * key + 1)));
        // 195, give or take 14.
        let maybes = maybes.count();
        assert!((130..260).contains(&maybes), "{name}: {maybes}");
    }
}

#[test]
fn a_builder_past_its_budget_frees_its_memory_and_says_so() {
    let budget = SCRATCH_BYTES_FIXED + 1000 * SCRATCH_BYTES_PER_KEY;
    let push = |count| {
        let mut builder = FilterBuilder::new(budget);
        hashes(KeyHasher::new(1), 0, count).for_each(|hash| builder.push(hash));
        builder
    };
    assert_eq!(push(0).scratch_bytes(), 0);
    assert_eq!(push(1000).scratch_bytes(), budget);
    assert_eq!(
        push(1000).finish(FingerprintBits::Eight).unwrap().len(),
        1000
    );

    for count in [1001, 5000] {
        let over = push(count);
        assert!(over.is_over_budget());
        assert_eq!(over.scratch_bytes(), 0);
        assert_eq!(
            over.finish(FingerprintBits::Eight).unwrap_err(),
            BuildError::OverBudget {
                scratch_bytes_max: budget
            }
        );
    }
}

#[test]
fn a_builder_without_any_budget_still_makes_the_filter_of_nothing() {
    let builder = FilterBuilder::new(0);
    assert!(builder.finish(FingerprintBits::Eight).unwrap().is_empty());
}

/// Undoes the finishing step of MurmurHash3, with which `xorf` mixes a hash and a seed.
fn unmix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0x9cb4_b2f8_1293_37db);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0x4f74_430c_22a5_4005);
    hash ^ (hash >> 33)
}

#[test]
fn hashes_chosen_to_crowd_one_place_end_in_a_filter_or_an_error_but_not_in_a_wrong_answer() {
    // All that `xorf` mixes with its first seed fall on the same first place: far more than the 63
    // that it can count there.
    let first_seed: u64 = 0x910a_2dec_8902_5cc1;
    for count in [70_u64, 300, 5000] {
        let crowd = (0..count).map(|n| unmix(n << 20).wrapping_sub(first_seed));
        let set: Vec<KeyHash> = crowd.map(KeyHash::from_u64).collect();
        for bits in WIDTHS {
            let mut builder = FilterBuilder::new(u64::MAX);
            set.iter().for_each(|&hash| builder.push(hash));
            match builder.finish(bits) {
                Ok(filter) => assert!(set.iter().all(|&hash| filter.may_contain(hash))),
                Err(error) => assert_eq!(error, BuildError::Construction),
            }
        }
    }
}

#[test]
fn keys_chosen_to_collide_under_one_seed_are_ordinary_under_another() {
    // All of these fall into the same 1,024th of a growing filter under the known seed: how it mixes
    // is no secret.
    let known = KeyHasher::new(1);
    let mixed = |key: u64| {
        let hash = known.hash(&key.to_be_bytes()).to_u64();
        hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let mut chosen = (0_u64..).filter(|key| mixed(*key) >> 54 == 0);
    let inserted: Vec<u64> = chosen.by_ref().take(2000).collect();
    let asked: Vec<u64> = chosen.take(2000).collect();

    let maybes = |seed| {
        let hasher = KeyHasher::new(seed);
        let filter = ConcurrentFilter::new(2000, 16);
        let hash = |key: &u64| hasher.hash(&key.to_be_bytes());
        inserted.iter().for_each(|key| filter.insert(hash(key)));
        assert!(inserted.iter().all(|key| filter.may_contain(hash(key))));
        let maybe = |key: &&u64| filter.may_contain(hash(key));
        asked.iter().filter(maybe).count()
    };
    assert_eq!(maybes(1), 2000, "the seed is known, the filter is useless");
    assert!(maybes(2) < 20, "{} under a secret seed", maybes(2));

    let filter = build(
        inserted.iter().map(|key| known.hash(&key.to_be_bytes())),
        FingerprintBits::Eight,
    );
    let maybe = |key: &&u64| filter.may_contain(known.hash(&key.to_be_bytes()));
    let found = asked.iter().filter(maybe).count();
    assert!(found < 25, "a fuse filter mixes once more: {found}");
}

#[test]
fn a_growing_filter_says_maybe_as_seldom_as_documented() {
    // 1.2 %, 0.5 % and 0.12 % of a million.
    for (bits_per_key, bound) in [(10, 13_000), (12, 5_600), (16, 1_400)] {
        let filter = ConcurrentFilter::new(50_000, bits_per_key);
        hashes(KeyHasher::new(1), 0, 50_000).for_each(|hash| filter.insert(hash));
        let found = maybes(|hash| filter.may_contain(hash));
        assert!(found < bound, "{found} at {bits_per_key} bits");
        assert!(
            found > bound / 2,
            "{found} at {bits_per_key} bits: better than can be"
        );
    }
}

#[test]
fn a_growing_filter_takes_the_memory_that_was_asked_for() {
    for (keys, bits_per_key, bytes) in [(0, 10, 32), (1, 0, 32), (1000, 16, 2016), (4096, 12, 6144)]
    {
        let filter = ConcurrentFilter::new(keys, bits_per_key);
        let held = filter.memory_bytes() - size_of::<ConcurrentFilter>();
        assert_eq!(held, bytes, "{keys} keys at {bits_per_key} bits");
    }
}

#[test]
fn what_was_inserted_before_it_was_published_is_found_by_every_thread() {
    const KEYS: u64 = 30_000;
    let hasher = KeyHasher::new(1);
    let filter = ConcurrentFilter::new(usize::try_from(KEYS).unwrap(), 12);
    let published = [AtomicU64::new(0), AtomicU64::new(0)];
    std::thread::scope(|scope| {
        for (writer, published) in (0_u64..).zip(&published) {
            let filter = &filter;
            scope.spawn(move || {
                for key in 0..KEYS {
                    filter.insert(hasher.hash(&[writer, key].map(u64::to_be_bytes).concat()));
                    published.store(key + 1, Ordering::Release);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let mut done = false;
                while !done {
                    let seen = published
                        .each_ref()
                        .map(|count| count.load(Ordering::Acquire));
                    done = seen == [KEYS; 2];
                    for (writer, seen) in (0_u64..).zip(seen) {
                        for key in seen.saturating_sub(50)..seen {
                            let key = [writer, key].map(u64::to_be_bytes).concat();
                            assert!(filter.may_contain(hasher.hash(&key)));
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn different_keys_have_different_hashes() {
    let distinct: HashSet<KeyHash> = hashes(KeyHasher::new(1), 0, 100_000).collect();
    assert_eq!(distinct.len(), 100_000);
}
