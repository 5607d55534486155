//! A few seconds of the soak: real processes, real kills, exact models.
//!
//! `cargo xtask soak` runs the same for as long as wanted.

#![allow(
    clippy::disallowed_methods,
    reason = "tests arrange and inspect real directories"
)]

use std::path::Path;
use std::time::Duration;

use lsm_tests::TestResult;
use lsm_tests::soak::{ChildProgram, Options, Profile, Report, run};

fn options(dir: &Path, profile: Profile, seconds: u64, seed: u64) -> Options {
    Options {
        dir: dir.join("db"),
        duration: Duration::from_secs(seconds),
        seed,
        profile,
        child: ChildProgram {
            path: env!("CARGO_BIN_EXE_soak-child").into(),
            arguments: Vec::new(),
        },
    }
}

fn soak(profile: Profile, seconds: u64, seed: u64) -> TestResult<Report> {
    let dir = tempfile::tempdir()?;
    let report = run(&options(dir.path(), profile, seconds, seed), &mut |_| {});
    match &report.violation {
        None => Ok(report),
        Some(violation) => Err(violation.clone().into()),
    }
}

#[test]
fn seconds_of_kills_and_restarts_lose_nothing_and_invent_nothing() -> TestResult {
    let report = soak(Profile::Mixed, 8, 1)?;
    assert!(report.writes > 0 && report.checks.entries > 0, "{report:?}");
    assert!(report.endings.kills + report.endings.kills_in_recovery > 0);
    assert!(report.verifications > 2 && report.verified_entries > 0);
    assert!(report.to_json().contains("\"writes\""));
    Ok(())
}

#[test]
fn every_other_profile_runs_and_holds() -> TestResult {
    for profile in Profile::ALL {
        if profile != Profile::Mixed {
            let report = soak(profile, 1, 2).map_err(|e| format!("{}: {e}", profile.name()))?;
            assert!(report.verifications > 2, "{}", profile.name());
        }
    }
    Ok(())
}

#[test]
fn a_store_that_cannot_be_opened_is_a_violation() -> TestResult {
    let dir = tempfile::tempdir()?;
    let options = options(dir.path(), Profile::Mixed, 60, 1);
    // A file where the directory should be.
    std::fs::write(&options.dir, "not a directory")?;
    let violation = run(&options, &mut |_| {}).violation;
    assert!(violation.is_some_and(|violation| violation.starts_with("life 1")));
    Ok(())
}

#[test]
fn a_child_that_ends_by_itself_or_talks_nonsense_is_a_violation() -> TestResult {
    for arguments in [["--no-such-argument"], ["--list"]] {
        let dir = tempfile::tempdir()?;
        let mut options = options(dir.path(), Profile::Mixed, 60, 1);
        options.child.path = std::env::current_exe()?;
        options.child.arguments = arguments.map(str::to_owned).to_vec();
        let violation = run(&options, &mut |_| {}).violation;
        assert!(violation.is_some_and(|violation| violation.starts_with("life 1")));
    }
    Ok(())
}
