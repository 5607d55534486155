//! A fast cut of what `cargo xtask crash` does with hostile files: flips, cuts and tails spread over
//! every file of three small stores, and forgeries whose checksums fit.

use lsm_tests::TestResult;
use lsm_tests::hostile::{Case, FileKind, Sweep, Tally, Way};

const SEED: u64 = 1;

/// Tries about `wanted` cases, evenly spread over all there are.
fn try_some(way: Way, wanted: u64) -> Result<Tally, Box<dyn std::error::Error>> {
    let sweep = Sweep::new(SEED)?;
    let mut tally = Tally::default();
    for kind in FileKind::ALL {
        let count = match way {
            Way::Forge => wanted,
            _ => sweep.count(kind, way),
        };
        // Odd, so that all bits of a byte take their turn.
        let stride = (count / wanted).max(1) | 1;
        for number in (0..count).step_by(usize::try_from(stride)?) {
            sweep.try_case(Case { kind, way, number }, &mut tally)?;
        }
    }
    Ok(tally)
}

#[test]
fn a_flipped_bit_in_any_file_is_refused_or_changes_no_answer() -> TestResult {
    let tally = try_some(Way::Flip, 200)?;
    for ((kind, _), [tried, refused, failed]) in &tally.by_kind {
        assert!(refused + failed > tried / 2, "{kind:?}: {tally:?}");
    }
    Ok(())
}

#[test]
fn a_file_cut_anywhere_is_refused_or_shows_what_was_written() -> TestResult {
    let tally = try_some(Way::Cut, 120)?;
    let [tried, refused, _] = tally.by_kind[&(FileKind::Run, Way::Cut)];
    assert_eq!(tried, refused, "runs of another length: {tally:?}");
    Ok(())
}

#[test]
fn junk_behind_the_end_of_a_file_is_refused_or_changes_no_answer() -> TestResult {
    let tally = try_some(Way::Junk, 100)?;
    assert!(tally.cases() > 50, "{tally:?}");
    Ok(())
}

#[test]
fn forged_files_with_checksums_that_fit_are_survived() -> TestResult {
    let tally = try_some(Way::Forge, 250)?;
    for ((kind, _), [tried, refused, _]) in &tally.by_kind {
        // Neither may be what always happens, or nothing behind the first check was reached.
        assert!(tried - refused > 20 && *refused > 20, "{kind:?}: {tally:?}");
    }
    Ok(())
}

#[test]
fn a_case_is_read_back_from_its_name() {
    let case = Case {
        kind: FileKind::Manifest,
        way: Way::Forge,
        number: 4711,
    };
    assert_eq!(case.to_string(), "hostile/manifest/forge-4711");
    assert_eq!(case.to_string().parse(), Ok(case));
    for wrong in ["hostile/manifest/forge", "hostile/lock/cut-1", "cut/1/2"] {
        assert!(wrong.parse::<Case>().is_err(), "{wrong}");
    }
}
