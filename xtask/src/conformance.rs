//! `cargo xtask conformance`: the formats as they are frozen, and the promises about `lsm-db` 1.x
//! held against `lsm-db` 1.1.0 itself.
//!
//! First the golden files of each format, by the tests that own them; with `--bless` those tests
//! write the files anew and say what changed. Then a program outside the workspace, which is built
//! with 1.1.0 beside this project: without its log and with it, for one build of a program can
//! have only one of the two.

use crate::ConformanceArgs;
use crate::workspace::{self, run_cargo};

/// Set for the tests that hold golden files: write them instead of comparing.
const BLESS: &str = "LSM_BLESS";

/// The tests that hold the bytes of each format.
const GOLDEN: [&str; 3] = [
    "test --quiet --locked --package lsm-format --test conformance",
    "test --quiet --locked --package lsm-wal --test golden",
    "test --quiet --locked --package lsm-version --test manifest format",
];

/// Runs all of it.
///
/// # Errors
///
/// If a byte of a format changed, or a promise is broken; what, has been printed by then.
pub(crate) fn run(args: &ConformanceArgs) -> Result<(), String> {
    let root = workspace::root();
    for tests in GOLDEN {
        if args.bless {
            // The pages of `docs` show the same bytes, so their tests fail until those are
            // mended by hand: that must not keep the other files from being written.
            let written = run_cargo(&format!("{tests} -- --nocapture"), &[(BLESS, "1")], &root);
            if let Err(message) = written {
                println!("{message}");
            }
        } else {
            run_cargo(tests, &[], &root)?;
        }
    }
    let extent = format!("{} {} {}", args.runs, args.directories, args.seed);
    for features in ["", "--features durability "] {
        let program = "run --quiet --locked --manifest-path tests/conformance/Cargo.toml \
                       --target-dir target/conformance";
        run_cargo(&format!("{program} {features}-- {extent}"), &[], &root)?;
    }
    Ok(())
}
