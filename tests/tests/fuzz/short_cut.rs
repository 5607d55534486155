//! Inputs and mutations of them: none breaks a promise.

use lsm_tests::TestResult;
use lsm_tests::fuzz::{Input, Target, committed, mutated, seeds};
use lsm_tests::random::Random;

/// As many as two seconds allow, debug assertions included.
const MUTATIONS_OF_FILES: usize = 4000;
const MUTATIONS_OF_STORES: usize = 150;

fn inputs(target: Target) -> Result<Vec<Input>, Box<dyn std::error::Error>> {
    let mut inputs = seeds(target)?;
    inputs.extend(committed(target)?);
    assert!(inputs.len() >= 10, "{target}: {} inputs", inputs.len());
    Ok(inputs)
}

fn hold(target: Target, name: &str, input: &[u8]) -> TestResult {
    target
        .hold(input)
        .map_err(|broken| format!("{target}, {name}, {input:02x?}: {broken}"))?;
    Ok(())
}

/// Every input as it is, and so many mutations.
fn hold_all(target: Target, mutations: usize) -> TestResult {
    let inputs = inputs(target)?;
    for input in &inputs {
        hold(target, &input.name, &input.bytes)?;
    }
    let mut random = Random::new(1);
    for number in 0..mutations {
        hold(
            target,
            &format!("mutation {number}"),
            &mutated(&inputs, &mut random),
        )?;
    }
    Ok(())
}

#[test]
fn no_run_breaks_a_promise_of_its_readers() -> TestResult {
    hold_all(Target::Run, MUTATIONS_OF_FILES)
}

#[test]
fn no_sidecar_breaks_a_promise_of_its_decoder() -> TestResult {
    hold_all(Target::Sidecar, MUTATIONS_OF_FILES)
}

#[test]
fn no_segments_break_a_promise_of_the_recovery() -> TestResult {
    hold_all(Target::Segment, MUTATIONS_OF_FILES)
}

#[test]
fn no_manifest_breaks_a_promise_of_its_replay() -> TestResult {
    hold_all(Target::Manifest, MUTATIONS_OF_FILES)
}

#[test]
fn no_directory_breaks_a_promise_of_the_store() -> TestResult {
    hold_all(Target::Directory, MUTATIONS_OF_STORES)
}

#[test]
fn no_operations_break_a_promise_of_the_store() -> TestResult {
    hold_all(Target::Operations, MUTATIONS_OF_STORES)
}

/// Or the committed inputs would be the wrong ones without anybody's noticing.
#[test]
fn committed_inputs_are_small() -> TestResult {
    for target in Target::ALL {
        for input in committed(target)? {
            let len = input.bytes.len();
            assert!(len <= 4096, "{target}, {}: {len} bytes", input.name);
        }
    }
    Ok(())
}
