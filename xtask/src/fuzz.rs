//! `cargo xtask fuzz`: the libFuzzer programs of `fuzz/`, one after another.
//!
//! It builds them with the nightly compiler, lets each go on with the corpus that earlier runs left
//! (`fuzz/corpus`, which is not committed) and the committed inputs (`fuzz/inputs`), and says what it
//! did. A finding fails the run, with the input and the commands that show it again. What the
//! programs do with an input is in `lsm_tests::fuzz`.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::ProgressBar;

use crate::workspace;

/// As in `lsm_tests::fuzz`: those of files first, for they are fast.
const TARGETS: [&str; 6] = [
    "run",
    "sidecar",
    "segment",
    "manifest",
    "directory",
    "operations",
];

/// Their inputs are choices, not bytes of a format: no number has to be guessed, so comparisons need
/// not be traced. And an input goes over thousands of edges, each of which libFuzzer's weighing of
/// inputs by rare ones looks up in a list: that took more than half of the time.
const OF_CHOICES: [&str; 2] = ["directory", "operations"];

/// An input that takes longer than this many seconds is a finding.
const SECONDS_MAX: u32 = 30;
/// Longer inputs are not made.
const INPUT_BYTES_MAX: u32 = 4096;
/// Lines of the program that are shown when it ends with a finding.
const LINES_SHOWN: usize = 40;

#[derive(Args)]
pub(crate) struct FuzzArgs {
    /// How long each target runs at least
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// How many inputs each target takes at least
    #[arg(long, default_value_t = 0)]
    executions: u64,
    /// Only these targets, instead of all
    #[arg(long, value_name = "TARGET", value_parser = PossibleValuesParser::new(TARGETS))]
    only: Vec<String>,
}

/// What a fuzzer said last of itself.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Figures {
    executions: u64,
    /// Edges of the program's control flow that inputs went over.
    edges: u64,
    /// Those with how often, and other things that inputs did differently.
    features: u64,
    finding: Option<String>,
    /// What a panic said: the broken promise.
    broken: Option<String>,
    panics: bool,
}

/// What became of a target.
struct Outcome {
    target: &'static str,
    figures: Figures,
    duration: Duration,
    /// Inputs in its corpus before and after.
    corpus: (usize, usize),
    status: ExitStatus,
}

/// Runs the targets that were asked for.
///
/// # Errors
///
/// If a tool is missing, the programs do not build, or one of them found something.
pub(crate) fn run(args: &FuzzArgs) -> Result<(), String> {
    let root = workspace::root();
    check_tools(&root)?;
    println!("building with the nightly compiler, which takes minutes the first time");
    let mut outcomes = Vec::new();
    let is_wanted = |name: &&str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    for target in TARGETS.into_iter().filter(is_wanted) {
        let built = cargo_fuzz(&root, "build", target)
            .status()
            .map_err(|error| format!("cargo fuzz build: {error}"))?;
        if !built.success() {
            return Err(format!("cargo fuzz build: {built}"));
        }
        let outcome = run_target(&root, target, args)?;
        println!("{}", line(&outcome));
        outcomes.push(outcome);
    }
    println!("\n{HEADING}");
    for outcome in &outcomes {
        println!("{}", line(outcome));
    }
    judge(&outcomes)
}

/// The nightly compiler and cargo-fuzz, or what to do to have them.
fn check_tools(root: &Path) -> Result<(), String> {
    let works = |command: &mut Command| {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    };
    if !works(Command::new("rustup").args(["run", "nightly", "rustc", "--version"])) {
        let how = "rustup toolchain install nightly --profile minimal";
        return Err(format!("fuzzing needs a nightly compiler: {how}"));
    }
    if !works(nightly_cargo(root).args(["fuzz", "--version"])) {
        return Err("fuzzing needs cargo-fuzz: cargo install --locked cargo-fuzz".to_owned());
    }
    Ok(())
}

/// `cargo +nightly`, in a way that this program's own toolchain does not get in.
fn nightly_cargo(root: &Path) -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", "cargo"])
        .current_dir(root)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO");
    command
}

/// `cargo fuzz build` or `run`, with the flags that go with this target.
fn cargo_fuzz(root: &Path, what: &str, target: &str) -> Command {
    let mut command = nightly_cargo(root);
    command.args(["fuzz", what, "--sanitizer", "none", "--fuzz-dir", "fuzz"]);
    if OF_CHOICES.contains(&target) {
        command.arg("--no-trace-compares");
    }
    command.arg(target);
    command
}

/// Runs a target for the minutes, and then on until it had the executions, if it finds nothing.
fn run_target(root: &Path, target: &'static str, args: &FuzzArgs) -> Result<Outcome, String> {
    let corpus = root.join("fuzz/corpus").join(target);
    let failed = |error: std::io::Error| format!("{target}: {error}");
    std::fs::create_dir_all(&corpus).map_err(failed)?;
    let before = count(&corpus);
    let seconds = Duration::try_from_secs_f64(args.minutes * 60.0)
        .map_err(|error| format!("--minutes: {error}"))?
        .as_secs()
        .max(1);
    let start = Instant::now();
    let limit = format!("-max_total_time={seconds}");
    let (mut status, mut figures) = session(root, target, &limit).map_err(failed)?;
    if status.success() && figures.executions < args.executions {
        let earlier = figures.executions;
        let limit = format!("-runs={}", args.executions - earlier);
        (status, figures) = session(root, target, &limit).map_err(failed)?;
        figures.executions += earlier;
    }
    Ok(Outcome {
        target,
        figures,
        duration: start.elapsed(),
        corpus: (before, count(&corpus)),
        status,
    })
}

/// Runs libFuzzer up to this limit, or to a finding.
fn session(root: &Path, target: &str, limit: &str) -> std::io::Result<(ExitStatus, Figures)> {
    let entropic = u8::from(!OF_CHOICES.contains(&target));
    let mut child = cargo_fuzz(root, "run", target)
        // New inputs go to the first.
        .arg(root.join("fuzz/corpus").join(target))
        .arg(root.join("fuzz/inputs").join(target))
        .args(["--", limit])
        .arg(format!("-timeout={SECONDS_MAX}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-entropic={entropic}"))
        .args(["-rss_limit_mb=2048", "-print_final_stats=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_secs(1));
    let mut figures = Figures::default();
    let mut last = VecDeque::new();
    if let Some(said) = child.stderr.take() {
        for said in BufReader::new(said).lines() {
            let said = said?;
            figures.read(&said);
            bar.set_message(format!("{target}: {said}"));
            last.push_back(said);
            if last.len() > LINES_SHOWN {
                last.pop_front();
            }
        }
    }
    let status = child.wait()?;
    bar.finish_and_clear();
    if !status.success() {
        last.iter().for_each(|line| println!("{line}"));
    }
    Ok((status, figures))
}

fn count(folder: &PathBuf) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

impl Figures {
    /// Takes what a line of libFuzzer's says, if it says anything.
    fn read(&mut self, line: &str) {
        let after = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            rest.split_whitespace().next()
        };
        let number = |name: &str| after(name)?.parse().ok();
        if let Some(edges) = number(" cov: ") {
            self.edges = edges;
        }
        if let Some(features) = number(" ft: ") {
            self.features = features;
        }
        if let Some(executions) = number("stat::number_of_executed_units: ") {
            self.executions = executions;
        }
        if std::mem::take(&mut self.panics) {
            self.broken = Some(line.to_owned());
        }
        self.panics = line.contains(" panicked at ");
        if let Some(path) = after("Test unit written to ") {
            self.finding = Some(path.to_owned());
        }
    }
}

const HEADING: &str = "target       executions   minutes     edges  features  corpus";

fn line(outcome: &Outcome) -> String {
    let Outcome {
        target,
        figures,
        duration,
        corpus: (before, after),
        status,
    } = outcome;
    let word = if status.success() { "" } else { "  FINDING" };
    format!(
        "{target:<11}{:>12}{:>10.1}{:>10}{:>10}  {before} to {after}{word}",
        figures.executions,
        duration.as_secs_f64() / 60.0,
        figures.edges,
        figures.features,
    )
}

fn judge(outcomes: &[Outcome]) -> Result<(), String> {
    let mut complaints = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.status.success()) {
        let (target, status) = (outcome.target, outcome.status);
        complaints.push(match &outcome.figures.finding {
            None => format!("{target}: {status}"),
            Some(input) => format!(
                "{target}: {}\n  {input}\n  cargo +nightly fuzz run --sanitizer none --fuzz-dir fuzz {target} {input}\n  \
                 cargo run --package lsm-tests --bin fuzz-inputs -- try {target} {input}",
                outcome.figures.broken.as_deref().unwrap_or("too slow, or too much memory")
            ),
        });
    }
    match complaints.is_empty() {
        true => Ok(()),
        false => Err(complaints.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_the_last_lines() {
        let mut figures = Figures::default();
        for line in [
            "INFO: Running with entropic power schedule (0xFF, 100).",
            "#168\tINITED cov: 483 ft: 1037 corp: 146/3447b lim: 66 exec/s: 33 rss: 31Mb",
            "#402\tNEW    cov: 501 ft: 1100 corp: 147/3b lim: 4 exec/s: 9 rss: 38Mb L: 4/4 MS: 1 X-",
            "thread '<unnamed>' (1) panicked at src/lib.rs:23:5:",
            "run: keys do not ascend",
            "stack backtrace:",
            "artifact_prefix='a/'; Test unit written to a/crash-adc8",
            "stat::number_of_executed_units: 402",
        ] {
            figures.read(line);
        }
        let expected = Figures {
            executions: 402,
            edges: 501,
            features: 1100,
            finding: Some("a/crash-adc8".to_owned()),
            broken: Some("run: keys do not ascend".to_owned()),
            panics: false,
        };
        assert_eq!(figures, expected);
    }
}
