//! `cargo xtask bench --check`: builds the counting program, counts every operation and compares.
//!
//! Counts take no notice of what else the machine does, so several operations are counted at once.
//! It writes the record only when it is asked to.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::ProgressBar;

use super::record::{self, Record, TOLERANCE, Verdict};
use super::valgrind::{self, Counted, Counter};
use crate::workspace::{self, run_cargo};

const RECORD: &str = "benches/instructions.toml";

/// The processor whose instructions are recorded.
const ARCHITECTURE: &str = "x86_64";

/// Counts, shows, and compares or records.
///
/// # Errors
///
/// If something could not be counted, or is not as recorded.
pub(super) fn run(only: &[String], bless: bool) -> Result<(), String> {
    let valgrind = valgrind::version()?;
    if std::env::consts::ARCH != ARCHITECTURE {
        return Err(format!(
            "the record holds instructions of {ARCHITECTURE}, and this is {}",
            std::env::consts::ARCH
        ));
    }
    let root = workspace::root();
    let counter = build(&root)?;
    let chosen = choose(counter.operations()?, only)?;
    let counted = count_all(&counter, &chosen)?;

    let environment = environment(valgrind, &counted, &root);
    let path = root.join(RECORD);
    let recorded = match std::fs::read_to_string(&path) {
        Ok(text) => Record::parse(&text).map_err(|error| format!("{RECORD}: {error}"))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Record::default(),
        Err(error) => return Err(format!("{RECORD}: {error}")),
    };
    show(&recorded, &chosen, &counted);
    for note in recorded.environment_notes(&environment) {
        println!("note: {note}; that alone may change counts");
    }
    if bless {
        let record = blessed(recorded, environment, &chosen, &counted, only.is_empty());
        std::fs::write(&path, record.to_text()).map_err(|error| format!("{RECORD}: {error}"))?;
        println!("recorded in {RECORD}");
        return Ok(());
    }
    judge(&recorded, &chosen, &counted, only.is_empty())
}

/// Builds the program with the features that the gate's other optimised builds have, to share what
/// they built.
fn build(root: &Path) -> Result<Counter, String> {
    let build = "build --quiet --locked --release --bin count-instructions";
    run_cargo(build, &[], root)?;
    let target = workspace::metadata(root)?.target_directory;
    let program = format!("count-instructions{}", std::env::consts::EXE_SUFFIX);
    Counter::new(
        target.join("release").join(program).into_std_path_buf(),
        target.join("callgrind").into_std_path_buf(),
    )
}

/// Operations with what they are.
type Operations = Vec<(String, String)>;

fn choose(all: Operations, only: &[String]) -> Result<Operations, String> {
    let is_known = |name: &&String| all.iter().any(|(known, _)| known == *name);
    if let Some(unknown) = only.iter().find(|name| !is_known(name)) {
        let known: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        return Err(format!(
            "no operation `{unknown}`; there are: {}",
            known.join(", ")
        ));
    }
    let mut chosen = all;
    chosen.retain(|(name, _)| only.is_empty() || only.contains(name));
    Ok(chosen)
}

/// Counts on as many threads as there are processors. In the order of `operations`.
fn count_all(counter: &Counter, operations: &Operations) -> Result<Vec<Counted>, String> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = ProgressBar::new(operations.len() as u64);
    let next = AtomicUsize::new(0);
    let counts = Mutex::new(vec![None; operations.len()]);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((at, (name, _))) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    operations.get(at).map(|operation| (at, operation))
                } {
                    let counted = counter.count(name);
                    bar.inc(1);
                    if let Ok(mut counts) = counts.lock() {
                        counts[at] = Some(counted);
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let counts = counts.into_inner().unwrap_or_default();
    let missing = || Err("a worker ended early".to_owned());
    counts
        .into_iter()
        .map(|counted| counted.unwrap_or_else(missing))
        .collect()
}

/// What the counts depend on besides the code.
fn environment(valgrind: String, counted: &[Counted], root: &Path) -> Vec<(String, String)> {
    let said = |program: &str, argument: &str| {
        let output = std::process::Command::new(program)
            .arg(argument)
            .current_dir(root)
            .output();
        output.map_or_else(
            |_| "unknown".to_owned(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let extensions = counted.first().map(|counted| counted.extensions.clone());
    [
        ("architecture", ARCHITECTURE.to_owned()),
        ("rustc", said("rustc", "--version")),
        ("libc", said("getconf", "GNU_LIBC_VERSION")),
        ("valgrind", valgrind),
        ("extensions", extensions.unwrap_or_default()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn show(recorded: &Record, operations: &Operations, counted: &[Counted]) {
    println!("{}", record::heading());
    for ((name, what), counted) in operations.iter().zip(counted) {
        let now = counted.instructions;
        println!("{}", record::line(name, recorded.count(name), now, what));
    }
}

/// The new record: all that was counted, and of what was not, with `--only`, the old counts.
fn blessed(
    recorded: Record,
    environment: Vec<(String, String)>,
    operations: &Operations,
    counted: &[Counted],
    is_complete: bool,
) -> Record {
    let now = operations.iter().zip(counted);
    let now = now.map(|((name, _), counted)| (name.clone(), counted.instructions));
    if is_complete {
        return Record {
            environment,
            counts: now.collect(),
        };
    }
    let mut record = recorded;
    for (name, count) in now {
        match record.counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, recorded)) => *recorded = count,
            None => record.counts.push((name, count)),
        }
    }
    record
}

/// Fails if an operation takes too much more, or is missing on either side.
fn judge(
    recorded: &Record,
    operations: &Operations,
    counted: &[Counted],
    is_complete: bool,
) -> Result<(), String> {
    let verdicts: Vec<(&str, Verdict)> = operations
        .iter()
        .zip(counted)
        .map(|((name, _), counted)| {
            let verdict = Verdict::of(recorded.count(name), counted.instructions);
            (name.as_str(), verdict)
        })
        .collect();
    let names_with = |wanted: fn(Verdict) -> bool| {
        let names = verdicts.iter().filter(|(_, verdict)| wanted(*verdict));
        names.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    let better = names_with(|verdict| verdict == Verdict::Better);
    if !better.is_empty() {
        println!("better, to be recorded with `cargo xtask bench --bless`: {better}");
    }
    let is_gone = |name: &str| !operations.iter().any(|(known, _)| known == name);
    let gone: Vec<&str> = recorded
        .counts
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| is_complete && is_gone(name))
        .collect();
    if !gone.is_empty() {
        return Err(format!("recorded, and not counted: {}", gone.join(", ")));
    }
    let failed = names_with(Verdict::is_failure);
    if failed.is_empty() {
        println!(
            "no operation takes over {:.0} % more than recorded",
            TOLERANCE * 100.0
        );
        return Ok(());
    }
    Err(format!(
        "more instructions than recorded, or not recorded: {failed}; \
         `callgrind_annotate target/callgrind/<operation>.out` shows where they go, and if they are \
         worth it, `cargo xtask bench --bless` records them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(names: &[&str]) -> Operations {
        let names = names.iter();
        names
            .map(|name| ((*name).to_owned(), String::new()))
            .collect()
    }

    fn counted(counts: &[f64]) -> Vec<Counted> {
        let counts = counts.iter();
        counts
            .map(|count| Counted {
                instructions: *count,
                extensions: String::new(),
            })
            .collect()
    }

    fn recorded(counts: &[(&str, f64)]) -> Record {
        let counts = counts.iter();
        Record {
            environment: Vec::new(),
            counts: counts
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        }
    }

    #[test]
    fn the_gate_fails_for_more_for_new_and_for_what_is_gone() {
        let record = recorded(&[("get", 100.0), ("put", 100.0)]);
        let both = operations(&["get", "put"]);
        assert_eq!(
            judge(&record, &both, &counted(&[104.0, 20.0]), true),
            Ok(())
        );
        let worse = judge(&record, &both, &counted(&[100.0, 106.0]), true);
        assert!(worse.is_err_and(|message| message.contains("put")));
        let new = judge(
            &record,
            &operations(&["get", "put", "seek"]),
            &counted(&[100.0; 3]),
            true,
        );
        assert!(new.is_err_and(|message| message.contains("seek")));
        let one = operations(&["get"]);
        let gone = judge(&record, &one, &counted(&[100.0]), true);
        assert!(gone.is_err_and(|message| message.contains("put")));
        assert_eq!(judge(&record, &one, &counted(&[100.0]), false), Ok(()));
    }

    #[test]
    fn to_bless_a_part_leaves_the_rest_as_it_was() {
        let record = recorded(&[("get", 100.0), ("put", 200.0)]);
        let part = operations(&["put", "seek"]);
        let blessed = blessed(record, Vec::new(), &part, &counted(&[150.0, 30.0]), false);
        assert_eq!(
            blessed,
            recorded(&[("get", 100.0), ("put", 150.0), ("seek", 30.0)])
        );
    }

    #[test]
    fn an_unknown_operation_is_refused_with_those_that_there_are() {
        let refused = choose(operations(&["get"]), &["gte".to_owned()]);
        assert!(refused.is_err_and(|message| message.contains("gte") && message.contains("get")));
    }
}
