//! The child: opens a store, does what its job says, says what it is about to do and what became
//! of it, and dies where it was told to.
//!
//! Called by a program that [`is_asked`]. Talks to its parent through its standard input, which is
//! a socket; never judges what the store answers.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

use lsm_db::{Error, Lsm};
use rustix::process::{Signal, getpid, kill_process};

use super::deadly_fs::{DeadlyFs, Point, Watch};
use super::job::{Ending, Job};
use super::oracle::digest;
use super::record::{Outcome, Record, Refusal};
use super::workload::{self, Answer};
use crate::describe;
use crate::model::contents;

/// The variable of the environment that makes a program a child, and tells it its job.
pub const JOB_VARIABLE: &str = "LSM_TESTS_CHILD_JOB";

/// After so many refusals in a row the rest of the actions is left out.
const REFUSALS_MAX: u32 = 8;

/// Whether this process was started as a child.
pub fn is_asked() -> bool {
    std::env::var_os(JOB_VARIABLE).is_some()
}

/// The way to the parent; one, since a process has one parent.
static PARENT: OnceLock<File> = OnceLock::new();

fn tell(record: &Record) {
    if let Some(mut parent) = PARENT.get() {
        // A parent that is gone listens no more; then this process has nothing left to do.
        if parent.write_all(&record.encode()).is_err() {
            die();
        }
    }
}

/// SIGKILL: nothing is tidied up, no destructor runs.
fn die() -> ! {
    loop {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

fn farewell(point: &Point) -> ! {
    tell(&Record::Killing(point.clone()));
    die()
}

/// Does the job in the environment.
///
/// # Errors
/// Whatever must not happen; the parent was told.
pub fn run() -> Result<(), String> {
    let job = std::env::var(JOB_VARIABLE).map_err(|error| error.to_string())?;
    let job = Job::decode(&job)?;
    let parent = std::io::stdin().as_fd().try_clone_to_owned();
    let parent = parent.map_err(|error| format!("standard input: {error}"))?;
    PARENT.get_or_init(|| File::from(parent));
    let done = live(&job);
    if let Err(message) = &done {
        tell(&Record::Failed(message.clone()));
    }
    done
}

fn live(job: &Job) -> Result<(), String> {
    let watch = Watch::new(job.deadly, farewell);
    for session in 0..job.sessions {
        let file_system = DeadlyFs::new(Arc::clone(&watch));
        let config = job.shape.config().file_system(Arc::new(file_system));
        watch.opening();
        let opened = Lsm::open_with(&job.dir, config);
        let operations = watch.opened();
        let db = match opened {
            Ok(db) => db,
            // An open that meets an injected error may fail; the next one must not.
            Err(Error::Io { .. }) if job.tolerant => return Ok(()),
            Err(error) => return Err(format!("open: {}", describe(&error))),
        };
        tell(&Record::Opened(operations));
        let first = session * job.steps;
        write(job, &db, first)?;
        hold(job, &db)?;
        let ending = match session + 1 == job.sessions {
            true => job.ending,
            false => Ending::Close,
        };
        match ending {
            Ending::Die => {
                tell(&Record::Survived(watch.count()));
                die();
            }
            Ending::Drop => drop(db),
            Ending::Close => match db.close() {
                Ok(()) => tell(&Record::Closed),
                Err(_) if job.tolerant => {}
                Err(error) => return Err(format!("close: {}", describe(&error))),
            },
        }
    }
    tell(&Record::Survived(watch.count()));
    Ok(())
}

fn write(job: &Job, db: &Lsm, first: u32) -> Result<(), String> {
    std::thread::scope(|scope| {
        let lanes = (0..job.lanes).map(|lane| scope.spawn(move || act(job, db, lane, first)));
        let lanes: Vec<_> = lanes.collect();
        lanes.into_iter().try_for_each(|lane| match lane.join() {
            Ok(done) => done,
            Err(_) => Err("a lane panicked".to_owned()),
        })
    })
}

fn act(job: &Job, db: &Lsm, lane: u8, first: u32) -> Result<(), String> {
    let mut refusals = 0;
    for number in first..first + job.steps {
        let deed = workload::draw(job.taste, lane, number);
        tell(&Record::Begin { lane, number });
        let outcome = match deed.perform(db, job.shape.logged) {
            Ok(Answer::Done) => Outcome::Done,
            Ok(Answer::Unmet) => Outcome::Unmet,
            Err(error) if job.tolerant => Outcome::Refused(refusal(&error), db.stats().poisoned),
            Err(error) => {
                return Err(format!("action {number} of {lane}: {}", describe(&error)));
            }
        };
        tell(&Record::End {
            lane,
            number,
            outcome,
        });
        refusals = match outcome {
            Outcome::Refused(..) => refusals + 1,
            _ => 0,
        };
        if refusals == REFUSALS_MAX {
            break;
        }
    }
    Ok(())
}

/// Says what the store holds, once nobody writes.
fn hold(job: &Job, db: &Lsm) -> Result<(), String> {
    if job.lanes == 0 {
        return Ok(());
    }
    let found = contents(db).map_err(|error| format!("read: {}", describe(&error)))?;
    tell(&Record::Holds {
        entries: u32::try_from(found.len()).unwrap_or(u32::MAX),
        digest: digest(&found),
    });
    Ok(())
}

fn refusal(error: &Error) -> Refusal {
    match error {
        Error::Io { source, .. } => match source.kind() {
            std::io::ErrorKind::StorageFull => Refusal::NoRoom,
            _ => Refusal::Io,
        },
        Error::Poisoned { .. } => Refusal::Poisoned,
        _ => Refusal::Other,
    }
}
