//! Which errors the committed inputs reach: every variant of each codec's public error that bytes
//! can lead to. The variants are read from the sources of the errors, so that a new one is missed
//! here until an input reaches it, or a sentence says why none can.

use std::collections::BTreeSet;
use std::path::Path;

use lsm_tests::TestResult;
use lsm_tests::fuzz::{Target, committed};

/// Holds what the inputs of `target` told against the variants of the enum `name` in the file at
/// `source`, below `crates`. Those in `unreachable` no input reaches, for the reason given.
fn check(
    target: Target,
    source: &str,
    name: &str,
    unreachable: &[(&str, &str)],
) -> Result<BTreeSet<(&'static str, &'static str)>, Box<dyn std::error::Error>> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let source = std::fs::read_to_string(crates.join(source))?;
    let variants = variants(&source, name);
    assert!(variants.len() > 3, "{name}: {variants:?}");
    let mut told = BTreeSet::new();
    for input in committed(target)? {
        told.extend(target.hold(&input.bytes)?.all());
    }
    let is_told = |variant: &str| told.iter().any(|(what, _)| *what == variant);
    for variant in &variants {
        let reason = unreachable.iter().find(|(what, _)| what == variant);
        match reason {
            None => assert!(is_told(variant), "{target}: no input reaches {variant}"),
            Some((_, reason)) => assert!(!is_told(variant), "{variant}: {reason}"),
        }
    }
    for (variant, _) in unreachable {
        assert!(variants.contains(variant), "{name} has no {variant}");
    }
    let unnamed = told
        .iter()
        .find(|(what, _)| what.contains("without a name"));
    assert_eq!(unnamed, None, "{target}");
    let vague = told.iter().find(|(_, reason)| *reason == "something else");
    assert_eq!(vague, None, "{target}");
    Ok(told)
}

/// The names of an enum's variants, in a file that `cargo fmt` has laid out.
fn variants<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let opening = format!("pub enum {name}");
    let lines = source
        .lines()
        .skip_while(|line| !line.starts_with(&opening));
    let body = lines.skip(1).take_while(|line| *line != "}");
    let names = body.filter_map(|line| {
        let name = line.strip_prefix("    ")?;
        name.starts_with(|c: char| c.is_ascii_uppercase())
            .then(|| name.split(|c: char| !c.is_ascii_alphanumeric()).next())?
    });
    names.collect()
}

/// How many different reasons the inputs tell for this variant.
fn reasons(told: &BTreeSet<(&str, &str)>, variant: &str) -> usize {
    told.iter().filter(|(what, _)| *what == variant).count()
}

#[test]
fn every_error_that_a_run_can_lead_to_is_reached() -> TestResult {
    let told = check(
        Target::Run,
        "lsm-format/src/error.rs",
        "Error",
        &[
            (
                "TooLong",
                "writers refuse such an entry; read, it is `Block` or `Entry`",
            ),
            (
                "OutOfOrder",
                "writers refuse such an entry; read, it is `Block`",
            ),
            (
                "NoSuchBlock",
                "a caller asks for it by number; the target does, of every run",
            ),
        ],
    )?;
    for (variant, at_least) in [("Frame", 6), ("Index", 7), ("Block", 9), ("Entry", 9)] {
        let found = reasons(&told, variant);
        assert!(found >= at_least, "{variant} for {found} reasons: {told:?}");
    }
    Ok(())
}

#[test]
fn every_error_that_a_sidecar_can_lead_to_is_reached() -> TestResult {
    let told = check(
        Target::Sidecar,
        "lsm-bloom/src/sidecar.rs",
        "SidecarError",
        &[],
    )?;
    assert!(reasons(&told, "Damaged") >= 7, "{told:?}");
    Ok(())
}

#[test]
fn every_error_that_segments_can_lead_to_is_reached() -> TestResult {
    let told = check(
        Target::Segment,
        "lsm-wal/src/error.rs",
        "Error",
        &[
            (
                "WriteFailed",
                "the file system refuses a write; here it never does",
            ),
            (
                "SyncFailed",
                "the file system refuses a sync; here it never does",
            ),
            ("Poisoned", "follows a refused write or sync"),
            ("DirectoryGone", "nobody removes the directory here"),
            (
                "SeqnoOrder",
                "the caller's seqnos do not ascend; those of a file are `Damaged`",
            ),
            (
                "LegacyDamaged",
                "of the log of 1.x, which the target `directory` has",
            ),
            ("Io", "the file system refuses a read; here it never does"),
            ("Abandoned", "the leader of a group of writers panicked"),
        ],
    )?;
    assert!(reasons(&told, "Damaged") >= 13, "{told:?}");
    Ok(())
}

#[test]
fn every_error_that_a_manifest_can_lead_to_is_reached() -> TestResult {
    let told = check(
        Target::Manifest,
        "lsm-version/src/manifest/error.rs",
        "LoadError",
        &[
            ("Missing", "there is no file; here there always is one"),
            ("Io", "the file system refuses a read; here it never does"),
        ],
    )?;
    // Those of the file, of an edit (`EditError`), and of levels (`InvariantViolation`).
    for reason in [
        "was written after it",
        "to be removed is not at level",
        "would go back from",
        "is not below its ceiling",
        "no run ids are left",
        "an unnamed run is at a level",
        "there are only",
        "occurs both at level",
        "is misdescribed",
        "overlap or are out of order",
    ] {
        let is_told = told.iter().any(|(_, said)| *said == reason);
        let is_finer = reason == "is misdescribed"
            && told.contains(&("Damaged", "its smallest key is above its largest"));
        assert!(is_told || is_finer, "no input reaches: {reason}");
    }
    assert!(reasons(&told, "Damaged") >= 24, "{told:?}");
    assert!(reasons(&told, "text") >= 5, "{told:?}");
    Ok(())
}

#[test]
fn every_error_that_a_directory_can_lead_to_is_reached() -> TestResult {
    let told = check(
        Target::Directory,
        "lsm-db/src/error.rs",
        "Error",
        &[
            ("InvalidInput", "the caller's; here it is always valid"),
            ("ConditionFailed", "the caller's; here there is none"),
            ("Locked", "the handle before is always gone"),
            ("DirectoryGone", "nobody removes the directory here"),
            ("ForkedProcess", "no process is forked here"),
        ],
    )?;
    for outcome in ["refused", "reads failed", "read"] {
        for how in ["honest", "forged"] {
            assert!(told.contains(&(outcome, how)), "{outcome}, {how}");
        }
    }
    let unreachable = [
        ("a manifest of lsm-db 1.x", "it is taken over instead"),
        (
            "a symbolic link, or no regular file; put the file itself in its place",
            "the simulated disk has none",
        ),
    ];
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    for source in ["leaf_errors.rs", "adoption.rs", "replay.rs", "listing.rs"] {
        let source = std::fs::read_to_string(crates.join("lsm-db/src").join(source))?;
        let reasons = source.lines().filter_map(|line| {
            let literal = line.trim().strip_prefix("reason: \"")?;
            literal.strip_suffix("\",")
        });
        for reason in reasons {
            let is_told = told.iter().any(|(_, said)| *said == reason);
            match unreachable.iter().find(|(what, _)| *what == reason) {
                None => assert!(is_told, "no input reaches: {reason}"),
                Some((_, why)) => assert!(!is_told, "{reason}: {why}"),
            }
        }
    }
    Ok(())
}

#[test]
fn every_error_that_operations_can_lead_to_is_reached() -> TestResult {
    let valid = "what the interpreters ask for is valid";
    check(
        Target::Operations,
        "lsm-db/src/error.rs",
        "Error",
        &[
            ("Corruption", "faults and crashes damage no file"),
            ("InvalidInput", valid),
            ("Locked", "the handle before is always gone"),
            ("DirectoryGone", "nobody removes the directory here"),
            ("ForkedProcess", "no process is forked here"),
            ("UnsupportedFormat", "faults and crashes damage no file"),
        ],
    )
    .map(drop)
}
