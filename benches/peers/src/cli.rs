//! The command line of this program, and what each command does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::Result;
use crate::bench::Bench;
use crate::engine::Options;
use crate::results::Outcome;
use crate::{cells, drive, limits, report};

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    about = "Compares lsm-db with other stores"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a suite: a process for each engine and cell, in alternation
    Bench(BenchArgs),
    /// Is such a process: one engine in one cell; prints what it found as JSON
    Run(RunArgs),
    /// Measures the limits of the machine; prints them as JSON
    Limits(LimitsArgs),
    /// Makes the tables and plots from the results
    Report(ReportArgs),
}

#[derive(Args)]
pub struct BenchArgs {
    /// Which suite, or `all`
    pub suite: String,
    /// Which engines, instead of all that this build has: `ours`, `fjall`, `redb`, `lmdb`, `rocksdb`,
    /// `sled`, `1x`
    #[arg(long, value_delimiter = ',')]
    pub engines: Vec<String>,
    /// Only these cells of the suite
    #[arg(long, value_delimiter = ',')]
    pub cells: Vec<String>,
    /// How often each is measured; every other round goes through the engines backward
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    #[command(flatten)]
    pub size: Size,
    /// Measures again what was measured for this commit
    #[arg(long)]
    pub again: bool,
    /// Where the databases are put. By default beside the program, which is on a disk
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// The folder of the results
    #[arg(long)]
    pub results: PathBuf,
}

/// How large all is.
#[derive(Args, Clone)]
pub struct Size {
    /// Multiplies the numbers of entries and operations
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    /// Seed of keys, values and orders
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Mebibytes of cache for every engine, instead of what the suite gives them
    #[arg(long)]
    pub cache_mib: Option<usize>,
    /// Mebibytes of memtable for every engine, instead of 64, or less with a scale below 1
    #[arg(long)]
    pub memtable_mib: Option<usize>,
}

#[derive(Args)]
struct RunArgs {
    #[arg(long)]
    suite: String,
    #[arg(long)]
    cell: String,
    #[arg(long)]
    engine: String,
    /// An empty folder
    #[arg(long)]
    dir: PathBuf,
    #[command(flatten)]
    size: Size,
    /// Operations a second that an open loop offers
    #[arg(long)]
    rate: Option<f64>,
}

#[derive(Args)]
struct LimitsArgs {
    /// A folder on the disk that is to be measured
    #[arg(long)]
    dir: PathBuf,
}

#[derive(Args)]
pub struct ReportArgs {
    /// The folder of the results
    #[arg(long)]
    pub results: PathBuf,
    /// The folder of the tables that are kept in the repository
    #[arg(long)]
    pub reported: PathBuf,
    /// The page whose tables are replaced, between its marks
    #[arg(long)]
    pub page: PathBuf,
    /// The folder of the plots
    #[arg(long)]
    pub plots: PathBuf,
    /// Results of this commit, instead of the newest
    #[arg(long)]
    pub commit: Option<String>,
}

impl Cli {
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Bench(args) => drive::drive(&args),
            Command::Run(args) => run(&args),
            Command::Limits(args) => {
                let outcome = Outcome {
                    options: None,
                    described: Vec::new(),
                    rows: limits::measure(&args.dir)?,
                };
                println!("{}", serde_json::to_string(&outcome)?);
                Ok(())
            }
            Command::Report(args) => report::report(&args),
        }
    }
}

/// Threads that each engine may use in the background.
const THREADS: usize = 2;
const MEMTABLE_BYTES: usize = 64 << 20;

fn run(args: &RunArgs) -> Result<()> {
    let cells = cells::of_engine(&args.engine)
        .ok_or_else(|| format!("this build has no engine `{}`", args.engine))?;
    let cell = cells
        .iter()
        .find(|cell| cell.suite == args.suite && cell.name == args.cell)
        .ok_or_else(|| format!("no cell `{}` in suite `{}`", args.cell, args.suite))?;
    let bytes = |mebibytes: Option<usize>| mebibytes.map(|mebibytes| mebibytes << 20);
    // Less data goes with a smaller memtable, so that the tree keeps its shape.
    let scale = args.size.scale.clamp(1.0 / 64.0, 1.0);
    let scaled_memtable = (MEMTABLE_BYTES as f64 * scale) as usize;
    let mut bench = Bench {
        engine: args.engine.clone(),
        dir: args.dir.clone(),
        options: Options {
            durable: false,
            cache_bytes: bytes(args.size.cache_mib).unwrap_or(cell.cache_bytes),
            memtable_bytes: bytes(args.size.memtable_mib).unwrap_or(scaled_memtable),
            threads: THREADS,
            defaults: false,
            hold_compaction: false,
            no_log: false,
        },
        scale: args.size.scale,
        seed: args.size.seed,
        offered_rate: args.rate,
        rows: Vec::new(),
    };
    (cell.run)(&mut bench)?;
    let described = (cell.describe)(&bench.options);
    let outcome = Outcome {
        described: described
            .into_iter()
            .map(|(option, value)| (option.to_owned(), value))
            .collect(),
        options: Some(bench.options),
        rows: bench.rows,
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
