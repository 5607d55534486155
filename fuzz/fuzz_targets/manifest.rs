//! The libFuzzer program of the target `manifest`; what it does is in `lsm_tests::fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lsm_fuzz::hold(lsm_fuzz::Target::Manifest, input));
