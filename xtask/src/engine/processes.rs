//! `cargo xtask processes`: children that are killed, traced, failed and filled up on a real disk,
//! and whose environment changes under them, one part after another; and the children themselves.

use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use lsm_tests::processes::deadly_fs::Phase;
use lsm_tests::processes::life::Program;
use lsm_tests::processes::system_calls::{self, CallCounts, DEADLY_CALLS, FAILURES, Struck};
use lsm_tests::processes::{child, environment, full_disk, kills, puppet};

use super::args::ProcessesArgs;
use super::scratch::Scratch;

const RANDOM: &str = "random";
const SYSTEM_CALLS: &str = "system-calls";
const FULL_DISK: &str = "full-disk";

/// Actions of each lane of a life that is killed.
const STEPS: u32 = 150;
/// Kills for which each change of the environment is played once.
const ROUNDS_PER_ENVIRONMENT: u64 = 50;
/// Writing lanes of the lives that are traced.
const TRACED_LANES: [u8; 3] = [1, 2, 4];

/// Runs the parts, all or those named, and prints what each has done.
///
/// # Errors
///
/// The first broken promise, with the command that shows it again.
pub(crate) fn processes(args: &ProcessesArgs) -> Result<(), String> {
    let names = [RANDOM, SYSTEM_CALLS, FULL_DISK].into_iter();
    let names = names.chain(Phase::ALL.map(Phase::name));
    let names: Vec<&str> = names.chain(environment::names()).collect();
    if let Some(unknown) = args
        .only
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(format!(
            "no part `{unknown}`; there are {}",
            names.join(", ")
        ));
    }
    let scratch = Scratch::new(args.dir.as_deref())?;
    let outcome = run(args, scratch.database());
    scratch.close(outcome)?;
    println!("processes: no promise is broken with seed {}", args.seed);
    Ok(())
}

/// What a process does that was started by the parts above, or by one of their children.
///
/// # Errors
///
/// What must not happen.
pub(crate) fn processes_child() -> Result<(), String> {
    if child::is_asked() {
        return child::run();
    }
    if puppet::is_asked() {
        return puppet::run();
    }
    if full_disk::is_asked() {
        for seen in full_disk::run(&this_program()?)? {
            println!(
                "full-disk: {}: {} writes acknowledged, {} refused; the first with room again at try {}",
                seen.name, seen.acknowledged, seen.refused, seen.tries
            );
        }
        return Ok(());
    }
    Err("this is for `cargo xtask processes` itself to call".to_owned())
}

fn run(args: &ProcessesArgs, dir: &Path) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let is_wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let again = |name: &str, error| {
        let (seed, rounds) = (args.seed, args.rounds);
        format!(
            "a promise is broken\n{name} with seed {seed}: {error}\n\
             again: cargo xtask processes --seed {seed} --rounds {rounds} --only {name}"
        )
    };
    let phases = Phase::ALL.map(Some).into_iter();
    for phase in std::iter::once(None).chain(phases) {
        let name = phase.map_or(RANDOM, Phase::name);
        if is_wanted(name) {
            kill(args, dir, phase).map_err(|error| again(name, error))?;
        }
    }
    if is_wanted(SYSTEM_CALLS) {
        match system_calls::unavailable() {
            Some(why) => println!("{SYSTEM_CALLS}: left out: {why}"),
            None => trace(args, dir).map_err(|error| again(SYSTEM_CALLS, error))?,
        }
    }
    if is_wanted(FULL_DISK) {
        fill(args, dir).map_err(|error| again(FULL_DISK, error))?;
    }
    for name in environment::names().filter(|name| is_wanted(name)) {
        change_environment(args, dir, name).map_err(|error| again(name, error))?;
    }
    Ok(())
}

fn this_program() -> Result<Program, String> {
    Program::this(&["processes-child"])
}

fn bar(name: &str, len: u64) -> Result<ProgressBar, String> {
    let template = format!("{name} {{bar:40}} {{pos}}/{{len}}  {{msg}}");
    let style = ProgressStyle::with_template(&template).map_err(|error| error.to_string())?;
    Ok(ProgressBar::new(len).with_style(style))
}

fn kill(args: &ProcessesArgs, dir: &Path, phase: Option<Phase>) -> Result<(), String> {
    let name = phase.map_or(RANDOM, Phase::name);
    let options = kills::Options {
        program: this_program()?,
        dir: dir.to_path_buf(),
        kills: args.rounds,
        seed: args.seed,
        steps: STEPS,
    };
    let (bar, start) = (bar(name, args.rounds)?, Instant::now());
    let tally = kills::run(phase, &options, &|tally| {
        bar.set_position(tally.kills);
        bar.set_message(format!(
            "{} lives, {} points",
            tally.lives,
            tally.points.len()
        ));
    });
    bar.finish_and_clear();
    let tally = tally?;
    print!(
        "{name}: {} kills in {} lives of {} stores, {} answers",
        tally.kills, tally.lives, tally.stores, tally.answers
    );
    if phase.is_some() {
        let operations = tally.operations();
        let operations = operations.iter();
        let operations = operations.map(|(operation, file)| format!("{operation} {file}"));
        let operations: Vec<String> = operations.collect();
        print!(
            "; {} different points, before and after: {}",
            tally.points.len(),
            operations.join(", ")
        );
    }
    println!(" ({:.0} s)", start.elapsed().as_secs_f64());
    Ok(())
}

fn trace(args: &ProcessesArgs, dir: &Path) -> Result<(), String> {
    let options = system_calls::Options {
        program: this_program()?,
        dir: dir.to_path_buf(),
        seed: args.seed,
        strikes: u32::try_from(args.rounds / 10).unwrap_or(u32::MAX).max(1),
    };
    let mut counts = CallCounts::new();
    for lanes in TRACED_LANES {
        let (checked, called) = system_calls::trace_life(&options, lanes)?;
        println!(
            "{SYSTEM_CALLS}: traced with {lanes} writers: {} acknowledgements after their syncs, \
             {} files unlinked after the edit, {} manifests after their runs, {} writes to the log",
            checked.acknowledgements, checked.unlinked, checked.manifests, checked.log_writes
        );
        if lanes == 1 {
            counts = called;
        }
    }
    for failure in FAILURES {
        let bar = bar(failure.0, u64::from(options.strikes))?;
        let struck = system_calls::fail(&options, failure, &counts, &|struck| {
            bar.set_position(u64::from(struck.lives));
        });
        bar.finish_and_clear();
        let Struck {
            lives,
            struck,
            refused,
            poisoned,
        } = struck?;
        println!(
            "{SYSTEM_CALLS}: {} failed with {} in {struck} of {lives} lives: {refused} had writes \
             refused, writing ended in {poisoned}",
            failure.0, failure.1
        );
    }
    for call in DEADLY_CALLS
        .into_iter()
        .filter(|call| counts.contains_key(*call))
    {
        let bar = bar(call, u64::from(options.strikes))?;
        let struck = system_calls::kill(&options, call, &counts, &|struck| {
            bar.set_position(u64::from(struck.lives));
        });
        bar.finish_and_clear();
        let Struck { lives, struck, .. } = struck?;
        println!("{SYSTEM_CALLS}: killed at {call} in {struck} of {lives} lives");
    }
    Ok(())
}

fn fill(args: &ProcessesArgs, dir: &Path) -> Result<(), String> {
    let place = dir.join("full-disk");
    std::fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    match full_disk::available(&place) {
        Err(why) => println!("{FULL_DISK}: left out: {why}"),
        Ok(unshare) => print!(
            "{}",
            full_disk::enter(&this_program()?, &unshare, &place, args.seed)?
        ),
    }
    Ok(())
}

fn change_environment(args: &ProcessesArgs, dir: &Path, name: &str) -> Result<(), String> {
    let rounds = args.rounds / ROUNDS_PER_ENVIRONMENT;
    let options = environment::Options {
        program: this_program()?,
        dir: dir.to_path_buf(),
        seed: args.seed,
        rounds: u32::try_from(rounds).unwrap_or(u32::MAX).max(1),
    };
    let start = Instant::now();
    let seen = environment::play(name, &options)?;
    if let Some(why) = seen.left_out {
        println!("{name}: left out: {why}");
        return Ok(());
    }
    let counts = seen.counts.iter();
    let counts: Vec<String> = counts
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    println!(
        "{name}: {} rounds, {} ({:.0} s)",
        options.rounds,
        counts.join(", "),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
