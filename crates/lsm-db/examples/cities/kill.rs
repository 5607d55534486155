//! The part of `--kill`: a child process loads, and is killed without warning in the middle.
//!
//! The child writes the number of each batch that the store acknowledged to its standard output.
//! What the parent read there before and after the kill must be in the store; one batch more may
//! be, if the child died between the store's acknowledgement and its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use lsm_db::Lsm;

use crate::load::{PLACES_PER_BATCH, load, open, read_places};
use crate::place::Place;
use crate::questions::Oracle;
use crate::{Outcome, check_everything, say};

/// The hidden argument by which the example starts itself as the child.
pub(crate) const CHILD_ARGUMENT: &str = "--load-until-killed";

/// What the child does: load, and report each batch.
pub(crate) fn child(dir: &Path) -> Outcome<()> {
    let db = open(dir)?;
    let mut pipe = std::io::stdout().lock();
    load(&db, &read_places()?, |batch| {
        writeln!(pipe, "{batch}")?;
        Ok(pipe.flush()?)
    })
}

/// Loads in a child, kills it half-way, and checks what it left. Returns how many places that are.
pub(crate) fn load_and_kill(dir: &Path, places: &[Place]) -> Outcome<usize> {
    let acknowledged = kill_half_way(dir, places.len())?;
    say(format_args!(
        "killed half-way, after {acknowledged} batches were acknowledged"
    ))?;
    let start = Instant::now();
    let db = open(dir)?;
    say(format_args!("recovered in {:.2?}", start.elapsed()))?;
    let survived = check_recovered(&db, places, acknowledged)?;
    db.close()?;
    Ok(survived)
}

/// Starts the child and kills it (SIGKILL on Unix: it cannot tidy up). Returns how many batches it
/// acknowledged.
fn kill_half_way(dir: &Path, place_count: usize) -> Outcome<usize> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(CHILD_ARGUMENT)
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = child
        .stdout
        .take()
        .ok_or("the child has no standard output")?;

    let kill_after = place_count / PLACES_PER_BATCH / 2;
    let mut acknowledged = 0;
    for line in BufReader::new(pipe).lines() {
        let line = line?;
        // The kill may cut the last number short; then its batch counts as not acknowledged.
        match line.parse() {
            Ok(batch) if batch == acknowledged + 1 => acknowledged = batch,
            _ => break,
        }
        if acknowledged == kill_after {
            child.kill()?;
        }
    }
    let status = child.wait()?;
    if status.success() || acknowledged < kill_after {
        return Err(format!("the child ended by itself ({status}) at batch {acknowledged}").into());
    }
    Ok(acknowledged)
}

/// Checks that the killed child's store holds every acknowledged batch, whole batches only, and
/// returns how many places that are.
fn check_recovered(db: &Lsm, places: &[Place], acknowledged: usize) -> Outcome<usize> {
    let mut found = 0;
    for entry in db.prefix(b"p") {
        entry?;
        found += 1;
    }
    let batches = found / PLACES_PER_BATCH;
    if found % PLACES_PER_BATCH != 0 || batches < acknowledged || batches > acknowledged + 1 {
        return Err(format!(
            "{found} places after the kill, but {acknowledged} batches of {PLACES_PER_BATCH} \
             were acknowledged"
        )
        .into());
    }
    let survivors = places.get(..found).ok_or("more places than the file has")?;
    check_everything(db, &Oracle::new(survivors))?;
    Ok(found)
}
