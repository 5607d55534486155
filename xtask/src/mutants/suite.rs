//! The suites: building one, running it, and reading what its tests say.
//!
//! Called by the command, in its copy of the workspace. The test programs are started directly, not
//! through cargo, so that the one that hangs can be ended.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use cargo_metadata::Message;

use super::copy::Copy;

/// A test program that takes longer than this hangs, and is ended.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);

/// Tests that are built and run together.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) name: &'static str,
    /// What cargo has to build.
    selection: &'static [&'static str],
}

const fn suite(name: &'static str, selection: &'static [&'static str]) -> Suite {
    Suite { name, selection }
}

/// Every suite, what is fast to build and to run first.
pub(super) static SUITES: &[Suite] = &[
    suite("lsm-format", &["--package", "lsm-format", "--tests"]),
    suite("lsm-scheduler", &["--package", "lsm-scheduler", "--tests"]),
    suite("lsm-memtable", &["--package", "lsm-memtable", "--tests"]),
    suite("lsm-fs", &["--package", "lsm-fs", "--tests"]),
    suite("lsm-bloom", &["--package", "lsm-bloom", "--tests"]),
    suite("lsm-cache", &["--package", "lsm-cache", "--tests"]),
    suite("lsm-wal", &["--package", "lsm-wal", "--tests"]),
    suite("lsm-version", &["--package", "lsm-version", "--tests"]),
    suite("lsm-compact", &["--package", "lsm-compact", "--tests"]),
    suite("lsm-db", &["--package", "lsm-db", "--tests"]),
    suite("hostile", &["--package", "lsm-tests", "--test", "hostile"]),
    suite("engine", &["--package", "lsm-tests", "--test", "engine"]),
    suite("crash", &["--package", "lsm-tests", "--test", "crash"]),
    suite("model", &["--package", "lsm-tests", "--test", "model"]),
    suite("processes", &["--package", "lsm-tests", "--lib"]),
];

/// The suite of that name.
pub(super) fn find(name: &str) -> Result<&'static Suite, String> {
    let found = SUITES.iter().find(|suite| suite.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        format!("no suite `{name}`; there are {}", names.join(", "))
    })
}

/// A built test program, and the folder that it expects to run in.
pub(super) struct Program {
    path: PathBuf,
    folder: PathBuf,
}

/// What a suite found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    /// The names of tests that failed, the first at least.
    Failed(Vec<String>),
    /// The program ended badly without a failed test: `signal: 6 (SIGABRT)`, say.
    Died(String),
    TimedOut,
}

impl Suite {
    /// Builds the suite's programs in `copy`.
    ///
    /// # Errors
    ///
    /// What the compiler said.
    pub(super) fn build(&self, copy: &Copy) -> Result<Vec<Program>, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["test", "--no-run", "--locked", "--quiet"])
            .args(["--message-format", "json-render-diagnostics"])
            .args(self.selection)
            .current_dir(&copy.tree)
            .env("CARGO_TARGET_DIR", &copy.build_folder)
            .output()
            .map_err(|error| format!("cargo test: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let mut programs = Vec::new();
        for message in Message::parse_stream(output.stdout.as_slice()) {
            let message = message.map_err(|error| format!("cargo test: {error}"))?;
            let Message::CompilerArtifact(artifact) = message else {
                continue;
            };
            let folder = artifact.manifest_path.parent().map(ToOwned::to_owned);
            if let (Some(path), Some(folder), true) =
                (artifact.executable, folder, artifact.profile.test)
            {
                programs.push(Program {
                    path: path.into_std_path_buf(),
                    folder: folder.into_std_path_buf(),
                });
            }
        }
        match programs.len() {
            0 => Err(format!("the suite {} has no test program", self.name)),
            _ => Ok(programs),
        }
    }
}

/// Runs `programs` one after another, up to the first that does not pass. Unless `thorough`, a
/// program is ended when its first test fails.
///
/// # Errors
///
/// If a program cannot be started.
pub(super) fn run(programs: &[Program], thorough: bool) -> Result<Verdict, String> {
    for program in programs {
        let mut command = Command::new(&program.path);
        command
            .current_dir(&program.folder)
            .env("CARGO_MANIFEST_DIR", &program.folder)
            .env("RUST_BACKTRACE", "0");
        let verdict = run_one(&mut command, thorough, TIMEOUT)
            .map_err(|error| format!("{}: {error}", program.path.display()))?;
        if verdict != Verdict::Passed {
            return Ok(verdict);
        }
    }
    Ok(Verdict::Passed)
}

fn run_one(command: &mut Command, thorough: bool, timeout: Duration) -> std::io::Result<Verdict> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let lines = lines_of(&mut child);
    let (failed, timed_out) = watch(&lines, thorough, Instant::now() + timeout);
    if timed_out || !(thorough || failed.is_empty()) {
        // It may have ended by itself meanwhile.
        let _ = child.kill();
    }
    let status = child.wait()?;
    Ok(match failed.is_empty() {
        false => Verdict::Failed(failed),
        true if timed_out => Verdict::TimedOut,
        true if status.success() => Verdict::Passed,
        true => Verdict::Died(status.to_string()),
    })
}

/// Reads what the program prints on a thread of its own: a pipe has no timeout.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if sender
                    .send(String::from_utf8_lossy(&line).into_owned())
                    .is_err()
                {
                    break;
                }
            }
        });
    }
    receiver
}

/// The names of the tests that fail, and whether the deadline came before the end.
fn watch(lines: &Receiver<String>, thorough: bool, deadline: Instant) -> (Vec<String>, bool) {
    let mut failed = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => failed.extend(failed_test(&line).map(ToOwned::to_owned)),
            Err(RecvTimeoutError::Disconnected) => return (failed, false),
            Err(RecvTimeoutError::Timeout) => return (failed, true),
        }
        if !thorough && !failed.is_empty() {
            return (failed, false);
        }
    }
}

/// The test that a line of the test harness says has failed.
fn failed_test(line: &str) -> Option<&str> {
    let result = line.strip_prefix("test ")?;
    let name = result.trim_end().strip_suffix("... FAILED")?.trim_end();
    Some(name.strip_suffix(" - should panic").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_test_is_read_from_its_line_and_nothing_else_is() {
        assert_eq!(failed_test("test a::b ... FAILED"), Some("a::b"));
        assert_eq!(failed_test("test a - should panic ... FAILED"), Some("a"));
        assert_eq!(failed_test("test a::b ... ok"), None);
        assert_eq!(failed_test("test result: FAILED. 1 passed; 1 failed"), None);
    }

    #[test]
    fn every_suite_has_a_name_of_its_own() {
        for suite in SUITES {
            assert!(std::ptr::eq(find(suite.name).unwrap(), suite));
        }
    }

    #[cfg(unix)]
    fn verdict(script: &str, thorough: bool, timeout: Duration) -> Verdict {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        run_one(&mut shell, thorough, timeout).unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn a_program_is_ended_at_its_first_failure_or_read_to_its_end() {
        let failed = |names: &[&str]| Verdict::Failed(names.iter().map(|n| (*n).into()).collect());
        let hanging = "echo 'test a ... FAILED'; exec sleep 600";
        assert_eq!(verdict(hanging, false, TIMEOUT), failed(&["a"]));
        let both = "echo 'test a ... FAILED'; echo 'test b ... FAILED'; exit 101";
        assert_eq!(verdict(both, true, TIMEOUT), failed(&["a", "b"]));
        assert_eq!(
            verdict("echo 'test a ... ok'", false, TIMEOUT),
            Verdict::Passed
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_dies_or_hangs_is_told_from_one_that_passes() {
        assert!(matches!(
            verdict("kill -6 $$", false, TIMEOUT),
            Verdict::Died(_)
        ));
        assert_eq!(
            verdict("exec sleep 600", false, Duration::ZERO),
            Verdict::TimedOut
        );
    }
}
