//! What this project promises about `lsm-db` 1.x, held against `lsm-db` 1.1.0 itself.
//!
//! Run by `cargo xtask conformance`, which builds it once without and once with the log of 1.1.0.
//! Everything is drawn from the seed. Writes only into temporary directories, and stops at the
//! first difference, which it names with its seed and number.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod directories;
mod runs;
mod vectors;

/// What a check returns: how much it has looked at, or the first difference.
type Checked = Result<String, Box<dyn std::error::Error>>;

/// How much is looked at.
#[derive(Debug, Clone, Copy)]
struct Extent {
    runs: u64,
    directories: u64,
    seed: u64,
}

fn extent() -> Option<Extent> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse().ok());
    let mut next = || numbers.next().flatten();
    Some(Extent {
        runs: next()?,
        directories: next()?,
        seed: next()?,
    })
}

fn main() -> ExitCode {
    let Some(extent) = extent() else {
        eprintln!("usage: lsm-conformance RUNS DIRECTORIES SEED");
        return ExitCode::FAILURE;
    };
    let log = match cfg!(feature = "durability") {
        true => "with its log and filters",
        false => "without a log",
    };
    println!("lsm-db 1.1.0 {log}, seed {}", extent.seed);
    let checks: [(&str, fn(Extent) -> Checked); 3] = [
        ("vectors", vectors::check),
        ("runs", runs::check),
        ("directories", directories::check),
    ];
    for (name, check) in checks {
        match check(extent) {
            Ok(done) => println!("{name}: {done}"),
            Err(difference) => {
                eprintln!("{name}: {difference}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
