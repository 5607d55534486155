//! A child that fills the disk, is refused, and dies; and the next process, which finds no byte free.
//!
//! Called by [`run`](super::run), within the namespace that has the small disk.

use std::path::Path;

use lsm_db::Lsm;

use super::{Seen, TRIES_MAX, TRY_PAUSE, fill_the_rest, is_full};
use crate::describe;
use crate::model::{check, contents};
use crate::processes::aftermath::{self, Remains};
use crate::processes::job::{Ending, Job, Shape};
use crate::processes::life::{Program, live};
use crate::processes::oracle::Oracle;
use crate::processes::workload::Taste;

/// What the child has to fill: less than its log and its runs would take.
const ROOM_BYTES: u64 = 300 << 10;

/// Fills, kills, and opens again: without any room, and with some.
///
/// # Errors
/// The first promise that is broken.
pub(super) fn fill_and_kill(program: &Program, dir: &Path, seed: u64) -> Result<Seen, String> {
    fill_the_rest(dir, "ballast")?;
    let ballast = std::fs::File::options()
        .write(true)
        .open(dir.join("ballast"))
        .map_err(|error| error.to_string())?;
    let len = ballast.metadata().map_err(|error| error.to_string())?.len();
    let cut = ballast.set_len(len.saturating_sub(ROOM_BYTES));
    cut.map_err(|error| error.to_string())?;
    // An open file would keep its room when its name goes.
    drop(ballast);

    let job = Job {
        dir: dir.join("killed"),
        taste: Taste {
            seed,
            long_keys: false,
            large_values: true,
            by_hand: false,
        },
        shape: Shape {
            logged: true,
            memtable_bytes: 64 << 10,
            trigger: 4,
            run_bytes: 64 << 10,
        },
        lanes: 4,
        steps: 1500,
        sessions: 1,
        ending: Ending::Die,
        tolerant: true,
        deadly: None,
    };
    let mut oracle = Oracle::new();
    let life = live(program, &[], &job, &mut oracle, None)?;
    if life.refusals == 0 || life.poisoned || !life.was_killed() {
        return Err(format!("no life on a full disk: {life:?}"));
    }
    fill_the_rest(dir, "rest")?;

    let config = job.shape.config();
    let opened = Lsm::open_with(&job.dir, config);
    let db = opened.map_err(|error| format!("open without room: {}", describe(&error)))?;
    let found = contents(&db).map_err(|error| describe(&error))?;
    oracle.explain(&found)?;
    oracle.resolve(&found)?;
    let refused = db.put("too long", vec![0; 60_000]);
    if !refused.as_ref().is_err_and(is_full) {
        return Err(format!("where there is no room a write gets {refused:?}"));
    }
    check(&db, &found).map_err(|error| describe(&*error))?;

    for name in ["rest", "ballast"] {
        std::fs::remove_file(dir.join(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    let mut tries = 1;
    // A delete of what is absent changes nothing that is read.
    while let Err(error) = db.delete("room again") {
        if !is_full(&error) || tries == TRIES_MAX {
            return Err(format!("with room again: {}", describe(&error)));
        }
        tries += 1;
        std::thread::sleep(TRY_PAUSE);
    }
    check(&db, &found).map_err(|error| describe(&*error))?;
    drop(db);
    let remains = Remains {
        dir: &job.dir,
        shape: job.shape,
        oracle: &mut oracle,
        seed,
    };
    remains.check()?;
    aftermath::remove(&job.dir).map_err(|error| error.to_string())?;
    Ok(Seen {
        name: "killed",
        acknowledged: life.answers - life.refusals,
        refused: life.refusals,
        tries,
    })
}
