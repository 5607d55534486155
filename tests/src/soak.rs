//! A consumer's life with the store, for as long as wanted: many threads, restarts, kills, held
//! snapshots, batches, conditions, ranges, cursors, all compared exactly with a model meanwhile.
//!
//! A supervisor keeps the model. A child process opens the store and runs the threads; it is killed
//! at any moment, or closed, or dropped, and then the store must be exactly what was acknowledged,
//! and of each writer at most the one operation that was under way, as a whole. `cargo xtask soak`
//! runs it for minutes or hours, the test binary `soak` for a few seconds. It cannot find a missing
//! sync: nothing here loses power.

use std::path::PathBuf;
use std::time::Duration;

mod audit;
mod child;
mod frames;
mod held;
mod keys;
mod lives;
mod meter;
mod process;
mod profile;
mod reads;
mod report;
mod scanner;
mod supervisor;
mod upkeep;
mod verify;
mod world;
mod writer;
mod writes;

pub use child::serve;
pub use lives::{Choices, Ending};
pub use meter::{Checks, Figures, Latency, TIMED, Timed};
pub use profile::Profile;
pub use report::{Endings, LifeReport, Peaks, Report, Sample, Tally};

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store's directory; must be absent or empty.
    pub dir: PathBuf,
    /// How long lives follow each other. The last comparison comes on top.
    pub duration: Duration,
    /// The seed of every choice. How threads interleave, and where exactly a kill hits, is up to
    /// the machine, so the same seed does not give the same run twice.
    pub seed: u64,
    /// What kind of consumer.
    pub profile: Profile,
    /// The program that calls [`serve`] with its standard input and output.
    pub child: ChildProgram,
}

/// How to start the child.
#[derive(Debug, Clone)]
pub struct ChildProgram {
    /// The program.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// How far a run is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Since the start.
    pub elapsed: Duration,
    /// The number of the child's life, or 0 between two.
    pub life: u64,
    /// What is being done, in a word or two.
    pub phase: &'static str,
    /// What was done so far.
    pub tally: &'a Tally,
}

/// Runs life after life, and compares all along. A violation ends it, and is in the report.
///
/// `progress` is called about five times a second, on the calling thread. The directory stays.
pub fn run(options: &Options, progress: &mut dyn FnMut(&Progress<'_>)) -> Report {
    let mut supervisor = supervisor::Supervisor::new(options, progress);
    let violation = supervisor.run().err();
    supervisor.tally.report(options, violation)
}
