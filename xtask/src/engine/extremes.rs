//! `cargo xtask extremes`: what is larger, more or longer than a test may be, case by case.
//!
//! A key and a value of a gibibyte; a million overwrites of one key; a million deletes; ten thousand
//! runs where a process may open 256 files; minutes of more writes than the disk can take. Each case
//! has a database of its own, checks what it reads, holds its bounds, and prints what it measured.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lsm_tests::usage;

use super::args::ExtremesArgs;
use super::scratch::Scratch;

mod deletes;
mod gigabyte;
mod many_runs;
mod overload;
mod overwrites;
mod spans;
mod timed_fs;

/// What a case measured, a line each, or which promise did not hold.
type Findings = Result<Vec<String>, String>;

struct Case {
    name: &'static str,
    /// What a pass says.
    shows: &'static str,
    run: fn(&Path, &ExtremesArgs) -> Findings,
}

const CASES: &[Case] = &[
    Case {
        name: "gigabyte",
        shows: "a key and a value of the greatest length are written, read, flushed, merged and replayed",
        run: |dir, _| gigabyte::run(dir, 1 << 30),
    },
    Case {
        name: "overwrites",
        shows: "a million overwrites of one key leave a small log and take bounded memory",
        run: |dir, _| overwrites::run(dir, 1_000_000),
    },
    Case {
        name: "deletes",
        shows: "a million deletes leave nothing, and nothing on disk once it was compacted",
        run: |dir, _| deletes::run(dir, 1_000_000),
    },
    Case {
        name: "many-runs",
        shows: "ten thousand runs open and are read and written where 256 files may be open",
        run: |dir, _| many_runs::run(dir, 10_000),
    },
    Case {
        name: "overload",
        shows: "no put waits over 100 ms outside the file system, and what has piled up goes within 10 s",
        run: |dir, args| overload::run(dir, Duration::from_secs(60 * args.minutes)),
    },
];

/// Runs the named cases, or all.
///
/// # Errors
///
/// What did not hold, case by case; all are run.
pub(crate) fn extremes(args: &ExtremesArgs) -> Result<(), String> {
    if let (true, Some(dir)) = (args.few_files, &args.dir) {
        let findings = many_runs::with_few_files(dir)?;
        findings.iter().for_each(|finding| println!("  {finding}"));
        return Ok(());
    }
    let is_known = |name: &&String| CASES.iter().any(|case| case.name == **name);
    if let Some(unknown) = args.only.iter().find(|name| !is_known(name)) {
        let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        return Err(format!("{unknown} is none of {}", names.join(", ")));
    }
    let is_wanted =
        |case: &&Case| args.only.is_empty() || args.only.iter().any(|name| name == case.name);
    let mut failures = Vec::new();
    for case in CASES.iter().filter(is_wanted) {
        println!("{}: {}", case.name, case.shows);
        let named = args.dir.as_ref().map(|dir| dir.join(case.name));
        let scratch = Scratch::new(named.as_deref())?;
        let (start, _) = (Instant::now(), usage::restart_peak());
        let outcome = (case.run)(scratch.database(), args);
        match scratch.close(outcome) {
            Ok(findings) => findings.iter().for_each(|finding| println!("  {finding}")),
            Err(failure) => {
                println!("  failed: {failure}");
                failures.push(format!("{}: {failure}", case.name));
            }
        }
        println!("  in {:.1} s", start.elapsed().as_secs_f64());
    }
    if failures.is_empty() {
        println!("extremes: all held");
        return Ok(());
    }
    failures.push("again: cargo xtask extremes --only NAME".to_owned());
    Err(failures.join("\n"))
}

/// The most memory that was resident since the case began, as a line.
fn peak_memory() -> String {
    match usage::peak_resident_bytes() {
        Some(bytes) => format!("at most {} resident", mebibytes(bytes)),
        None => "memory was not measured on this system".to_owned(),
    }
}

/// The bytes of the files in `dir` whose names start so.
fn file_bytes(dir: &Path, prefix: &str) -> Result<u64, String> {
    let entries = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let files = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().starts_with(prefix.as_bytes())
    });
    // One that went in the meantime has no bytes.
    Ok(files
        .flat_map(|file| file.metadata())
        .map(|data| data.len())
        .sum())
}

fn bar(what: &str, steps: u64) -> Result<ProgressBar, String> {
    let template = format!("  {what} {{bar:40}} {{pos}}/{{len}}  {{eta}} left  {{msg}}");
    let style = ProgressStyle::with_template(&template).map_err(|error| error.to_string())?;
    Ok(ProgressBar::new(steps).with_style(style))
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_of_each_case_hold() -> Result<(), String> {
        let scratch = Scratch::new(None)?;
        let dir = |name: &str| scratch.database().join(name);
        gigabyte::run(&dir("gigabyte"), 1 << 20)?;
        overwrites::run(&dir("overwrites"), 20_000)?;
        deletes::run(&dir("deletes"), 20_000)?;
        many_runs::fill(&dir("many-runs"), 100)?;
        many_runs::check(&dir("many-runs"))?;
        Ok(())
    }
}
