//! `cargo xtask mutants`: does the net hold fish?
//!
//! Each file of tests/mutants is a patch that breaks one rule of the engine. The command applies
//! them one by one to a copy of the workspace, builds the suites that the patch names and runs
//! them, up to the first test that fails. It fails if a mutant survives them all. It never changes
//! a file of the workspace but under the build folder.

mod copy;
mod patch;
mod suite;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use self::copy::Copy;
use self::patch::{FOLDER, Mutant};
use self::suite::{Suite, Verdict};
use crate::{MutantsArgs, workspace};

/// What became of a mutant.
#[derive(Debug)]
enum Fate {
    /// The first suite that did, and how: names of tests, or what else went wrong.
    Caught { suite: &'static str, how: String },
    /// No test holds this rule.
    Survived(String),
    /// The patch says nothing about the tests: it does not apply, or what it makes is no program.
    Invalid(String),
}

/// A mutant's line in the summary.
struct Outcome {
    name: String,
    fate: Fate,
    /// How long tests ran, building excluded.
    test_time: Duration,
}

/// Runs the mutants that were asked for.
///
/// # Errors
///
/// If the suites fail without a patch, a mutant survived, or a patch does not apply or compile.
pub(crate) fn run(args: &MutantsArgs) -> Result<(), String> {
    let start = Instant::now();
    let root = workspace::root();
    let mutants = chosen(&root, args)?;
    let copy = Copy::new(&root)?;
    println!(
        "{} mutants in {}; a test program is ended after {} s",
        mutants.len(),
        copy.tree.display(),
        suite::TIMEOUT.as_secs()
    );
    let bar = ProgressBar::new(mutants.len() as u64).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed}  {msg}")
            .map_err(|error| error.to_string())?,
    );
    bar.enable_steady_tick(Duration::from_secs(1));
    if !args.no_baseline {
        check_baseline(&copy, &mutants, &bar)?;
    }
    let mut outcomes = Vec::new();
    for mutant in &mutants {
        let outcome = try_mutant(&copy, mutant, args.thorough, &bar)?;
        bar.suspend(|| println!("{}", line(&outcome)));
        bar.inc(1);
        outcomes.push(outcome);
    }
    bar.finish_and_clear();
    summarize(&outcomes, start.elapsed())
}

fn chosen(root: &Path, args: &MutantsArgs) -> Result<Vec<Mutant>, String> {
    let mut mutants = patch::read_all(root)?;
    let is_known = |name: &&String| mutants.iter().any(|mutant| mutant.name == **name);
    if let Some(unknown) = args.only.iter().find(|name| !is_known(name)) {
        return Err(format!("no patch `{unknown}` in {FOLDER}"));
    }
    if !args.only.is_empty() {
        mutants.retain(|mutant| args.only.contains(&mutant.name));
    }
    if !args.suite.is_empty() {
        let suites = args.suite.iter().map(|name| suite::find(name));
        let suites: Vec<&Suite> = suites.collect::<Result<_, _>>()?;
        for mutant in &mut mutants {
            mutant.suites.clone_from(&suites);
        }
    }
    Ok(mutants)
}

/// Runs each suite that a mutant will, without a patch: a test that fails anyhow catches nothing.
fn check_baseline(copy: &Copy, mutants: &[Mutant], bar: &ProgressBar) -> Result<(), String> {
    let used = mutants.iter().flat_map(|mutant| &mutant.suites);
    let used: BTreeSet<&str> = used.map(|suite| suite.name).collect();
    for suite in suite::SUITES
        .iter()
        .filter(|suite| used.contains(suite.name))
    {
        bar.set_message(format!("without a patch: {}", suite.name));
        let unpatched = |what: String| format!("without a patch, {}: {what}", suite.name);
        let programs = suite.build(copy).map_err(unpatched)?;
        if let Some(how) = told(suite::run(&programs, true)?) {
            return Err(unpatched(how));
        }
    }
    Ok(())
}

fn try_mutant(
    copy: &Copy,
    mutant: &Mutant,
    thorough: bool,
    bar: &ProgressBar,
) -> Result<Outcome, String> {
    let mut test_time = Duration::ZERO;
    let fate = match mutant.apply(|path| copy.read(path)) {
        Err(reason) => Fate::Invalid(reason),
        Ok(changes) => {
            copy.apply(&changes)?;
            let fate = hunt(copy, mutant, thorough, bar, &mut test_time);
            copy.restore(&changes)?;
            fate?
        }
    };
    Ok(Outcome {
        name: mutant.name.clone(),
        fate,
        test_time,
    })
}

/// Runs the suites on the mutant that is in the copy. If `thorough`, all of them.
fn hunt(
    copy: &Copy,
    mutant: &Mutant,
    thorough: bool,
    bar: &ProgressBar,
    test_time: &mut Duration,
) -> Result<Fate, String> {
    let mut fate = Fate::Survived(mutant.rule.clone());
    for suite in &mutant.suites {
        bar.set_message(format!("{}: building {}", mutant.name, suite.name));
        let programs = match suite.build(copy) {
            Ok(programs) => programs,
            Err(message) => return Ok(Fate::Invalid(message)),
        };
        bar.set_message(format!("{}: running {}", mutant.name, suite.name));
        let start = Instant::now();
        let verdict = suite::run(&programs, thorough)?;
        *test_time += start.elapsed();
        let Some(how) = told(verdict) else {
            continue;
        };
        fate = match fate {
            Fate::Caught {
                suite: first,
                how: before,
            } => Fate::Caught {
                suite: first,
                how: format!("{before}; {}: {how}", suite.name),
            },
            _ => Fate::Caught {
                suite: suite.name,
                how,
            },
        };
        if !thorough {
            break;
        }
    }
    Ok(fate)
}

/// What went wrong in a suite, or `None` if nothing did.
fn told(verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::Passed => None,
        Verdict::Failed(tests) => Some(tests.join(", ")),
        Verdict::Died(status) => Some(format!("by its end: {status}")),
        Verdict::TimedOut => Some("by timeout".to_owned()),
    }
}

fn line(outcome: &Outcome) -> String {
    let Outcome {
        name,
        fate,
        test_time,
    } = outcome;
    let seconds = test_time.as_secs_f64();
    match fate {
        Fate::Caught { suite, how } => format!("{name:<45}{seconds:>6.1} s  {suite}: {how}"),
        Fate::Survived(rule) => format!("{name:<45}{seconds:>6.1} s  SURVIVED: {rule}"),
        Fate::Invalid(reason) => format!("{name:<45}          INVALID: {reason}"),
    }
}

fn summarize(outcomes: &[Outcome], total: Duration) -> Result<(), String> {
    println!(
        "\n=== summary ({} s)\n{:<45}{:>8}  caught by",
        total.as_secs(),
        "mutant",
        "tests"
    );
    for outcome in outcomes {
        println!("{}", line(outcome));
    }
    let named = |wanted: fn(&Fate) -> bool| {
        let found = outcomes.iter().filter(|outcome| wanted(&outcome.fate));
        found
            .map(|outcome| outcome.name.as_str())
            .collect::<Vec<_>>()
    };
    let survived = named(|fate| matches!(fate, Fate::Survived(_)));
    let invalid = named(|fate| matches!(fate, Fate::Invalid(_)));
    println!(
        "{} caught, {} survived, {} invalid",
        outcomes.len() - survived.len() - invalid.len(),
        survived.len(),
        invalid.len()
    );
    let mut complaints = Vec::new();
    if !survived.is_empty() {
        complaints.push(format!("survived: {}", survived.join(", ")));
    }
    if !invalid.is_empty() {
        complaints.push(format!("invalid: {}", invalid.join(", ")));
    }
    match complaints.is_empty() {
        true => Ok(()),
        false => Err(complaints.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, fate: Fate) -> Outcome {
        Outcome {
            name: name.to_owned(),
            fate,
            test_time: Duration::from_millis(1_500),
        }
    }

    #[test]
    fn a_survivor_or_an_invalid_patch_fails_the_run_and_a_catch_does_not() {
        let caught = || {
            let how = told(Verdict::TimedOut).unwrap();
            outcome(
                "a",
                Fate::Caught {
                    suite: "crash",
                    how,
                },
            )
        };
        assert!(line(&caught()).ends_with("1.5 s  crash: by timeout"));
        assert_eq!(summarize(&[caught()], Duration::ZERO), Ok(()));
        let failed = summarize(
            &[
                caught(),
                outcome("b", Fate::Survived("a rule".to_owned())),
                outcome("c", Fate::Invalid("no".to_owned())),
            ],
            Duration::ZERO,
        );
        assert_eq!(failed, Err("survived: b; invalid: c".to_owned()));
    }

    #[test]
    fn an_unknown_name_is_refused_before_anything_is_built() {
        let refused = |only: &[&str], suite: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let args = MutantsArgs {
                only: owned(only),
                suite: owned(suite),
                no_baseline: true,
                thorough: false,
            };
            chosen(&workspace::root(), &args).err()
        };
        assert!(
            refused(&["no-such-mutant"], &[])
                .unwrap()
                .contains("no-such-mutant")
        );
        assert!(
            refused(&[], &["no-such-suite"])
                .unwrap()
                .contains("no-such-suite")
        );
    }
}
