//! The memory that a build takes, against the constants that promise it. Alone in its binary,
//! because the allocator counts for all threads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;

use cap::Cap;
use lsm_bloom::{
    FilterBuilder, FingerprintBits, KeyHasher, SCRATCH_BYTES_FIXED, SCRATCH_BYTES_PER_KEY,
};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What the builder says it takes, and what it took. The allocator's maximum only grows, so sizes
/// must come in ascending order.
fn said_and_taken(keys: u64) -> (u64, u64) {
    let hasher = KeyHasher::new(1);
    let before = ALLOCATOR.allocated();
    let mut builder = FilterBuilder::new(u64::MAX);
    for key in 0..keys {
        builder.push(hasher.hash(&key.to_be_bytes()));
    }
    let said = builder.scratch_bytes();
    let filter = builder.finish(FingerprintBits::Sixteen).unwrap();
    let taken = u64::try_from(ALLOCATOR.max_allocated() - before).unwrap();
    drop(filter);
    (said, taken)
}

#[test]
fn a_build_takes_no_more_memory_than_it_says() {
    for keys in [1, 10, 100, 1_000, 11_515, 50_000, 131_073, 262_145, 600_000] {
        let (said, taken) = said_and_taken(keys);
        assert_eq!(said, SCRATCH_BYTES_FIXED + keys * SCRATCH_BYTES_PER_KEY);
        assert!(taken <= said, "{keys} keys took {taken} bytes, not {said}");
        if keys >= 100_000 {
            assert!(
                taken * 5 > said * 4,
                "{keys} keys took {taken} bytes: {said} is far too careful"
            );
        }
    }
}
