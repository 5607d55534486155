//! `cargo xtask ci`: the gate, as one list of steps.
//!
//! `.ci/run` installs what is missing and then runs this, and so can anyone who wants to know
//! before a push what CI will say. Every step runs, whatever became of those before it, but those that
//! were to be skipped, which are counted as such. The last line counts steps and nothing stands after
//! it.

#[cfg(all(test, unix))]
mod script;
#[cfg(test)]
mod workflow;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::tidy;
use crate::workspace::{self, run_cargo};

enum Action {
    /// Runs cargo once for each line of arguments, with the environment given.
    Cargo {
        environment: &'static [(&'static str, &'static str)],
        commands: &'static [&'static str],
    },
    Tidy,
}

struct Step {
    name: &'static str,
    /// What a pass says.
    proves: &'static str,
    action: Action,
}

const fn cargo(
    name: &'static str,
    proves: &'static str,
    commands: &'static [&'static str],
) -> Step {
    Step {
        name,
        proves,
        action: Action::Cargo {
            environment: &[],
            commands,
        },
    }
}

/// The order puts what fails fast first. Steps of one profile build the whole workspace with the
/// same features, or cargo would unify the dependencies' features differently and build the
/// libraries again for each.
const STEPS: &[Step] = &[
    cargo("fmt", "the layout is rustfmt's", &["fmt --all --check"]),
    Step {
        name: "tidy",
        proves: "layers, file sizes, reasons, links",
        action: Action::Tidy,
    },
    cargo(
        "clippy",
        "no warning, with default and with all features",
        &[
            "clippy --locked --workspace --all-targets -- -D warnings",
            "clippy --locked --workspace --all-targets --all-features -- -D warnings",
        ],
    ),
    cargo(
        "features",
        "each reduced set of features compiles without a warning, and lsm-db passes its tests",
        &[
            "clippy --locked --package lsm-format --no-default-features -- -D warnings",
            // Those of lsm-db: none, each alone, each missing, all. `std` and `alloc` are names only.
            "clippy --locked --package lsm-db --all-targets --no-default-features -- -D warnings",
            "clippy --locked --package lsm-db --all-targets --no-default-features \
             --features std -- -D warnings",
            "clippy --locked --package lsm-db --all-targets --no-default-features \
             --features bloom,error-forge -- -D warnings",
            "clippy --locked --package lsm-db --all-targets --no-default-features \
             --features durability,error-forge -- -D warnings",
            "clippy --locked --package lsm-db --all-targets --no-default-features \
             --features durability,bloom -- -D warnings",
            // With the defaults the step `test` tests it.
            "test --locked --package lsm-db --no-default-features",
            "test --locked --package lsm-db --no-default-features --features bloom",
            "test --locked --package lsm-db --no-default-features --features durability",
            "test --locked --package lsm-db --no-default-features --features error-forge",
            // Filters are hints: the same lives go the same way without them.
            "test --locked --package lsm-tests --no-default-features --test model",
        ],
    ),
    Step {
        name: "fuzz",
        proves: "the libFuzzer programs compile; on stable, the step test runs what they run",
        action: Action::Cargo {
            environment: &[("RUSTFLAGS", "--cfg fuzzing -D warnings")],
            commands: &["check --locked --manifest-path fuzz/Cargo.toml --no-default-features"],
        },
    },
    cargo(
        "no-std",
        "a program without std links lsm-format and reads back a run",
        &["run --locked --release \
             --manifest-path crates/lsm-format/tests/no-std-check/Cargo.toml"],
    ),
    Step {
        name: "doc",
        proves: "the documentation builds, and its links resolve",
        action: Action::Cargo {
            environment: &[("RUSTDOCFLAGS", "-D warnings")],
            commands: &["doc --locked --workspace --no-deps"],
        },
    },
    cargo(
        "test",
        "unit, integration and documentation tests",
        &[
            // As the README has it, and then what only an xtask with the engine has.
            "test --workspace",
            "test --locked --workspace --features xtask/engine --bin xtask",
        ],
    ),
    cargo(
        "conformance",
        "formats are those of the golden files, and lsm-db 1.1.0 agrees",
        &["xtask conformance"],
    ),
    cargo(
        "model",
        "loom finds no bad interleaving of commit queue and publication",
        &["xtask model"],
    ),
    cargo(
        "cities",
        "real data read back right, after a close and after a kill",
        &[
            "run --release --example cities",
            "run --release --example cities -- --kill",
        ],
    ),
    cargo(
        "soak",
        "a consumer's load with kills and restarts agrees with exact models",
        &[
            "xtask soak --minutes 1 --profile mixed",
            "xtask soak --minutes 0.5 --profile queue",
        ],
    ),
    cargo(
        "crash",
        "crashes and faults at every operation, and on threads, break no promise",
        &[
            "xtask crash --minutes 1",
            "xtask crash --minutes 1 --only threads",
        ],
    ),
    cargo(
        "differential",
        "random lives with any configuration agree with a sorted map",
        &["xtask differential --minutes 1"],
    ),
    cargo(
        "processes",
        "real processes that are killed, traced and filled up lose nothing",
        &["xtask processes --rounds 20"],
    ),
    cargo(
        "load",
        "memory and the time to open stay bounded",
        &["xtask load --entries 1000000"],
    ),
    cargo(
        "instructions",
        "no hot operation takes over 5 % more instructions than recorded",
        &["xtask bench --check"],
    ),
    cargo(
        "deny",
        "licences, sources and bans of the dependencies",
        &["deny --locked check bans licenses sources"],
    ),
];

/// Prints the steps.
pub(crate) fn list() {
    for step in STEPS {
        println!("{:<14}{}", step.name, step.proves);
    }
}

/// Runs the named steps in the order of the list, or all if none is named, without those to skip.
///
/// # Errors
///
/// If a name is unknown, no step is left, or a step failed.
pub(crate) fn run(names: &[String], skip: &[String]) -> Result<(), String> {
    let is_known = |name: &&String| STEPS.iter().any(|step| step.name == **name);
    if let Some(unknown) = names.iter().chain(skip).find(|name| !is_known(name)) {
        return Err(format!("no step `{unknown}`; see `cargo xtask ci --list`"));
    }
    let is_named = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.name);
    let is_skipped = |step: &&Step| skip.iter().any(|name| name == step.name);
    let (skipped, chosen): (Vec<&Step>, Vec<&Step>) =
        STEPS.iter().filter(is_named).partition(is_skipped);
    if chosen.is_empty() {
        return Err("every step is skipped, so nothing would be proved".to_owned());
    }

    let root = workspace::root();
    let start = Instant::now();
    let mut outcomes = Vec::new();
    for (index, step) in chosen.iter().enumerate() {
        let elapsed = clock(start.elapsed());
        println!(
            "\n=== {} ({}/{}, {elapsed} so far)",
            step.name,
            index + 1,
            chosen.len()
        );
        let step_start = Instant::now();
        let outcome = run_step(step, &root);
        if let Err(message) = &outcome {
            println!("{}: {message}", step.name);
        }
        outcomes.push((*step, step_start.elapsed(), outcome));
    }
    summarize(&outcomes, &skipped, start.elapsed())
}

fn run_step(step: &Step, root: &Path) -> Result<(), String> {
    match &step.action {
        Action::Tidy => tidy::run(),
        Action::Cargo {
            environment,
            commands,
        } => commands
            .iter()
            .try_for_each(|arguments| run_cargo(arguments, environment, root)),
    }
}

type Outcome<'a> = (&'a Step, Duration, Result<(), String>);

fn summarize(outcomes: &[Outcome<'_>], skipped: &[&Step], total: Duration) -> Result<(), String> {
    println!("\n=== summary ({})", clock(total));
    for (step, duration, outcome) in outcomes {
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!(
            "{word:<8}{:>6}  {:<14}{}",
            clock(*duration),
            step.name,
            step.proves
        );
    }
    for step in skipped {
        println!(
            "{:<8}{:>6}  {:<14}{}",
            "skipped", "", step.name, step.proves
        );
    }
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|(.., outcome)| outcome.is_err())
        .map(|(step, ..)| step.name)
        .collect();
    println!(
        "{}",
        closing_line(outcomes.len() - failed.len(), failed.len(), skipped.len())
    );
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")))
    }
}

fn closing_line(passed: usize, failed: usize, skipped: usize) -> String {
    let mut line = format!("{passed} passed, {failed} failed");
    if skipped > 0 {
        line += &format!(", {skipped} skipped");
    }
    line
}

/// Minutes and seconds.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_step_is_refused_before_anything_runs() {
        let unknown = ["no-such-step".to_owned()];
        for refused in [run(&unknown, &[]), run(&[], &unknown)] {
            assert!(refused.is_err_and(|message| message.contains("no-such-step")));
        }
    }

    #[test]
    fn a_gate_of_which_every_step_is_skipped_is_not_passed() {
        let tidy = ["tidy".to_owned()];
        assert!(run(&tidy, &tidy).is_err());
    }

    #[test]
    fn every_step_has_a_name_of_its_own_and_something_to_run() {
        for (index, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..index].iter().all(|other| other.name != step.name));
            assert!(!step.proves.is_empty());
            if let Action::Cargo { commands, .. } = &step.action {
                assert!(!commands.is_empty(), "{}", step.name);
            }
        }
    }

    #[test]
    fn a_failed_step_fails_the_gate_and_is_counted() {
        let second = Duration::from_secs(1);
        let passed = (&STEPS[0], second, Ok(()));
        let failed = (&STEPS[1], second, Err("broken".to_owned()));
        let skipped = [&STEPS[2]];
        assert_eq!(
            summarize(std::slice::from_ref(&passed), &skipped, second),
            Ok(())
        );
        let gate = summarize(&[passed, failed], &[], second);
        assert_eq!(gate, Err(format!("failed: {}", STEPS[1].name)));
    }

    #[test]
    fn the_closing_line_is_plain() {
        assert_eq!(closing_line(9, 2, 0), "9 passed, 2 failed");
        assert_eq!(closing_line(9, 0, 1), "9 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn a_duration_is_shown_in_minutes_and_seconds() {
        assert_eq!(clock(Duration::from_secs(725)), "12:05");
    }
}
