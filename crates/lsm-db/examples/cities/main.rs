//! 171,075 places in a store: load, ask, change, reopen, and check every answer.
//!
//! ```text
//! cargo run --release --example cities
//! cargo run --release --example cities -- --kill
//! cargo run --release --example cities -- --dir my-places
//! ```
//!
//! Loads the places of `data/cities.tsv` (GeoNames, CC BY 4.0) under unique keys with two indexes,
//! which are no more than further keys written in the same batch. Then it answers: one place, a
//! region in order, the last ten of a country, the places near a coordinate. It deletes one
//! country and renames the places of another while a reader goes through an older view and a
//! snapshot remembers what was there, compacts, closes, reopens, and compares every answer, and
//! every entry, with an oracle in memory. It fails on the first wrong one.
//!
//! With `--kill` the load runs in a child process that is killed half-way; the store must come
//! back with every acknowledged batch, whole. The store is in a temporary directory unless `--dir`
//! names one to keep.

#![allow(
    clippy::disallowed_methods,
    reason = "a program that reads a file and measures time, not the engine"
)]

mod change;
mod kill;
mod load;
mod place;
mod questions;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use lsm_db::{Bytes, Lsm};

use crate::change::change_under_a_reader;
use crate::kill::load_and_kill;
use crate::load::{load_with_bar, open, read_places};
use crate::questions::{Oracle, QUESTIONS, ask};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do about a standard error that cannot be written to.
            let _ = writeln!(std::io::stderr(), "cities: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line and runs what it asks for.
fn run(arguments: Vec<std::ffi::OsString>) -> Outcome<()> {
    let mut kill = false;
    let mut dir = None;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut directory = || {
            arguments
                .next()
                .map(PathBuf::from)
                .ok_or("which directory?")
        };
        match argument.to_str() {
            Some("--kill") => kill = true,
            Some("--dir") => dir = Some(directory()?),
            Some(kill::CHILD_ARGUMENT) => return kill::child(&directory()?),
            _ => return Err("usage: cities [--kill] [--dir DIRECTORY]".into()),
        }
    }
    match dir {
        Some(dir) => tour(&dir, kill),
        None => tour(&tempfile::tempdir()?.path().join("cities"), kill),
    }
}

/// The whole tour, in the store at `dir`.
fn tour(dir: &Path, kill: bool) -> Outcome<()> {
    if dir.exists() && dir.read_dir()?.next().is_some() {
        return Err(format!("{} is not empty; name another", dir.display()).into());
    }
    let places = read_places()?;
    let mut oracle = Oracle::new(&places);
    say(format_args!(
        "{} places, store in {}",
        places.len(),
        dir.display()
    ))?;

    // Load. Whatever a killed child got in is kept, and only the rest is loaded.
    let survived = if kill {
        load_and_kill(dir, &places)?
    } else {
        0
    };
    let db = open(dir)?;
    let rest = places.get(survived..).unwrap_or_default();
    let took = load_with_bar(&db, rest)?;
    let per_second = rest.len() as f64 / took.as_secs_f64();
    say(format_args!(
        "loaded {} places in {took:.2?} ({per_second:.0} a second)",
        rest.len()
    ))?;
    say(format_args!("{}", db.stats()))?;
    check_answers(&db, &oracle)?;
    check_everything(&db, &oracle)?;

    // Change, under the eyes of a reader that holds an older view.
    change_under_a_reader(&db, &mut oracle)?;
    check_answers(&db, &oracle)?;

    // Write out what is still in memory, and merge the deleted entries away.
    db.flush()?;
    say(format_args!("flushed:\n{}", db.stats()))?;
    db.compact_range::<&[u8], _>(..)?;
    say(format_args!("compacted:\n{}", db.stats()))?;
    check_everything(&db, &oracle)?;

    // Close, reopen, and ask everything again.
    db.close()?;
    let db = open(dir)?;
    say(format_args!("closed and reopened"))?;
    check_answers(&db, &oracle)?;
    check_everything(&db, &oracle)?;
    db.close()?;
    say(format_args!("every answer was right"))
}

/// Asks every question and compares the answer with the oracle's.
fn check_answers(db: &Lsm, oracle: &Oracle) -> Outcome<()> {
    for question in QUESTIONS {
        let (answer, took) = ask(db, question)?;
        let expected = oracle.answer(question);
        if answer != expected {
            return Err(
                format!("wrong: {question}: got {answer:#?}, expected {expected:#?}").into(),
            );
        }
        let first = answer
            .first()
            .map_or("nothing", |place| place.name.as_str());
        say(format_args!(
            "  {:<36} {:>4} found in {took:>9.1?}, first: {first}",
            question.to_string(),
            answer.len()
        ))?;
    }
    Ok(())
}

/// Goes through the whole store, both ways, and compares every entry with the oracle's.
fn check_everything(db: &Lsm, oracle: &Oracle) -> Outcome<()> {
    let start = Instant::now();
    let entries = oracle.entries();
    compare(db.iter(), entries.iter())?;
    compare(db.iter().rev(), entries.iter().rev())?;
    let took = start.elapsed();
    say(format_args!(
        "  all {} entries, both ways, in {took:.2?}: right",
        entries.len()
    ))
}

/// Compares the store's entries with the expected ones, to the end of both.
fn compare<'a>(
    mut found: impl Iterator<Item = lsm_db::Result<(Bytes, Bytes)>>,
    expected: impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>,
) -> Outcome<()> {
    for (key, value) in expected {
        match found.next().transpose()? {
            Some(entry) if entry.0 == key && entry.1 == value => {}
            other => return Err(format!("wrong: {other:?} where {key:?} should be").into()),
        }
    }
    match found.next().transpose()? {
        None => Ok(()),
        Some(entry) => Err(format!("wrong: {entry:?} should not be there").into()),
    }
}

/// Prints a line.
fn say(line: std::fmt::Arguments<'_>) -> Outcome<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
