//! `cargo xtask conformance`: the formats as they are frozen, and the promises about `lsm-db` 1.x
//! held against `lsm-db` 1.1.0 itself.
//!
//! First the golden files of each format, by the tests that own them; with `--bless` those tests
//! write the files anew, and what changed is shown. Then a program outside the workspace, which is built
//! with 1.1.0 beside this project: without its log and with it, for one build of a program can
//! have only one of the two.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::ConformanceArgs;
use crate::workspace::{self, run_cargo};

/// Set for the tests that hold golden files: write them instead of comparing.
const BLESS: &str = "LSM_BLESS";

/// The tests that hold the bytes of each format.
const GOLDEN: [&str; 4] = [
    "test --quiet --locked --package lsm-format --test conformance",
    "test --quiet --locked --package lsm-bloom --test golden",
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
    if args.bless {
        bless(&root)?;
    } else {
        for tests in GOLDEN {
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

/// Has the golden files written anew, and shows the lines that changed.
fn bless(root: &Path) -> Result<(), String> {
    let before = golden_files(root).map_err(|error| error.to_string())?;
    for tests in GOLDEN {
        // The pages of `docs` show the same bytes, so their tests fail until those are mended by
        // hand: that must not keep the other files from being written.
        if let Err(message) = run_cargo(tests, &[(BLESS, "1")], root) {
            println!("{message}");
        }
    }
    let after = golden_files(root).map_err(|error| error.to_string())?;
    for (path, new) in &after {
        let old = before.get(path).map_or(&[][..], Vec::as_slice);
        for line in changed_lines(old, new) {
            println!("{}: {line}", path.display());
        }
    }
    Ok(())
}

/// Every golden file of the crates, with its bytes.
fn golden_files(root: &Path) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for name in fs::read_dir(root.join("crates"))? {
        let golden = name?.path().join("tests/golden");
        if !golden.is_dir() {
            continue;
        }
        for file in fs::read_dir(golden)? {
            let path = file?.path();
            files.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(files)
}

/// What a diff of two hex dumps shows: lines that went, and lines that came.
fn changed_lines(old: &[u8], new: &[u8]) -> Vec<String> {
    let (old, new) = (hex_dump(old), hex_dump(new));
    let gone = old.iter().filter(|line| !new.contains(line));
    let came = new.iter().filter(|line| !old.contains(line));
    let gone = gone.map(|line| format!("- {line}"));
    gone.chain(came.map(|line| format!("+ {line}"))).collect()
}

/// Sixteen bytes a line, behind their offset.
fn hex_dump(bytes: &[u8]) -> Vec<String> {
    let lines = bytes.chunks(16).enumerate();
    lines
        .map(|(number, line)| {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{:06x}  {}", number * 16, hex.join(" "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_shows_its_line_before_and_after() {
        let old: Vec<u8> = (0..40).collect();
        let mut new = old.clone();
        new[20] = 0xff;
        let changed = changed_lines(&old, &new);
        assert_eq!(changed.len(), 2);
        assert!(changed[0].starts_with("- 000010  10 11 12 13 14 15"));
        assert!(changed[1].starts_with("+ 000010  10 11 12 13 ff 15"));
        assert!(changed_lines(&old, &old).is_empty());
    }
}
