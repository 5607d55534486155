//! What the six libFuzzer programs share: an input is held against its target's promises, and the
//! memory that it takes against its length.
//!
//! Called by the programs only. What a target does is in `lsm_tests::fuzz`, which runs on stable too.

#![forbid(unsafe_code)]

pub use lsm_tests::fuzz::Target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Panics, which libFuzzer calls a finding, if the input breaks a promise of this target.
pub fn hold(target: Target, input: &[u8]) {
    if let Err(error) = target.prepare() {
        panic!("{target}: {error}");
    }
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    if let Err(broken) = target.check(input) {
        panic!("{target}: {broken}");
    }
    let taken = ALLOCATOR.peak_usage().saturating_sub(before);
    let most = target.memory_bytes_max(input.len());
    assert!(
        taken <= most,
        "{target}: {taken} bytes of memory, not {most} at most"
    );
}
