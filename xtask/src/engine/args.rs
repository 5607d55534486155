//! The command lines of what runs the engine. They are known to every build of this program, so that it
//! can refuse a wrong one before it builds itself again.

use clap::{Args, Subcommand};

/// What runs the engine.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// A consumer's life with the store, with kills and restarts, checked against exact models (release build)
    Soak(SoakArgs),
    /// The process that the soak starts and kills
    #[command(hide = true)]
    SoakChild,
    /// Crashes and faults at every operation of the file system, on threads too, and hostile files, checked against what was promised (release build)
    Crash(CrashArgs),
    /// Random lives of a store against a sorted map, stepped and on threads, with any configuration (release build)
    Differential(DifferentialArgs),
    /// What lies at the limits: a gibibyte, ten thousand runs with few files, minutes of overload (release build)
    Extremes(ExtremesArgs),
    /// Kills, traces, fails and fills up real processes on a real disk, and moves, forks and limits them (release build)
    Processes(ProcessesArgs),
    /// What `processes` starts: a child with a store, as its environment says
    #[command(hide = true)]
    ProcessesChild,
    /// Loads random keys, then checks memory, the full iteration and the time to open (release build)
    Load(LoadArgs),
}

#[derive(Args)]
pub(crate) struct SoakArgs {
    /// How long, in minutes or parts of one; the last comparison comes on top
    #[arg(long, default_value_t = 10.0)]
    pub(crate) minutes: f64,
    /// Seed of every random choice
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where to put the database; must be absent or empty. A temporary folder by default
    #[arg(long)]
    pub(crate) dir: Option<std::path::PathBuf>,
    /// What kind of consumer
    #[arg(
        long,
        default_value = "mixed",
        value_parser = ["mixed", "write", "scan", "delete", "big-values", "durable", "queue"]
    )]
    pub(crate) profile: String,
    /// Where to put the report as JSON. Beside the database by default
    #[arg(long)]
    pub(crate) report: Option<std::path::PathBuf>,
}

#[derive(Args)]
pub(crate) struct CrashArgs {
    /// How long to go on
    #[arg(long, default_value_t = 10)]
    pub(crate) minutes: u64,
    /// Seed of every random choice; the same one gives the same crashes
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// One case to run again, as a broken promise names it, instead of all
    #[arg(long)]
    pub(crate) case: Option<String>,
    /// Only the plays on threads: one for each seed, from the given one on
    #[arg(long, value_parser = ["threads"])]
    pub(crate) only: Option<String>,
}

#[derive(Args)]
pub(crate) struct DifferentialArgs {
    /// How long to go on
    #[arg(long, default_value_t = 10)]
    pub(crate) minutes: u64,
    /// Seed of the first life; each one after it takes the next
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The life of that seed again, and no other: `stepped`, or `threads`, again and again
    #[arg(long, value_parser = ["stepped", "threads"])]
    pub(crate) case: Option<String>,
}

#[derive(Args)]
pub(crate) struct ExtremesArgs {
    /// Only these cases, instead of all
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// How long the overload goes on
    #[arg(long, default_value_t = 10)]
    pub(crate) minutes: u64,
    /// Where to put the databases; must be absent or empty. A temporary folder by default
    #[arg(long)]
    pub(crate) dir: Option<std::path::PathBuf>,
    /// What `many-runs` calls itself with, under its limit: the database is in `--dir` already
    #[arg(long, hide = true)]
    pub(crate) few_files: bool,
}

#[derive(Args)]
pub(crate) struct ProcessesArgs {
    /// Kills at random moments, and in each phase; a tenth of it for each system call, and a fiftieth for
    /// each change of the environment
    #[arg(long, default_value_t = 500)]
    pub(crate) rounds: u64,
    /// Seed of every random choice; threads interleave as they like
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Only these parts: random, flush, compaction, manifest, rotation, recovery, removal,
    /// system-calls, full-disk, chdir, rename, replace, remove, lock-removed, fork, spawn, open-files,
    /// file-size, read-only, old, copied
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Where to put the databases; must be absent or empty. A temporary folder by default
    #[arg(long)]
    pub(crate) dir: Option<std::path::PathBuf>,
}

#[derive(Args)]
pub(crate) struct LoadArgs {
    /// Number of keys
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) entries: u64,
    /// Where to put the database; must be absent or empty. A temporary folder by default
    #[arg(long)]
    pub(crate) dir: Option<std::path::PathBuf>,
}
