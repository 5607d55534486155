//! The project's own commands, run as `cargo xtask <command>`.
//!
//! `tidy` checks what the compiler does not, `ci` runs the whole gate, `conformance` compares with
//! frozen bytes and with the predecessor, `model` explores the small concurrent parts, `bench`
//! measures, `mutants` breaks the rules of the engine one by one and sees whether a test fails, `fuzz`
//! runs the coverage-guided fuzzers; those of [`engine::Command`] run the engine for longer than a test
//! may. Contributors and CI call this program; no crate depends on it, and it never changes a source file.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program: printing is its output"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a tool on the developer's machine: it reads the real file system and the real clock"
)]

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod bench;
mod ci;
mod conformance;
mod engine;
mod fuzz;
mod model;
mod mutants;
mod text;
mod tidy;
mod workspace;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks the rules of the source tree that the compiler does not check
    Tidy,
    /// Runs the gate: every step that a change must pass, or only the named ones
    Ci(CiArgs),
    /// Holds the formats against their golden files, and the store against lsm-db 1.1.0
    Conformance(ConformanceArgs),
    /// Explores the interleavings of the concurrent kernels further than the tests do (release build)
    Model(ModelArgs),
    /// Breaks one rule of the engine after another, and sees whether the tests find it
    Mutants(MutantsArgs),
    /// Measures the store beside other engines or part by part, or counts the instructions of hot operations (release build)
    Bench(bench::BenchArgs),
    /// Coverage-guided fuzzing, target by target (nightly compiler, cargo-fuzz)
    Fuzz(fuzz::FuzzArgs),
    #[command(flatten)]
    Engine(engine::Command),
}

#[derive(Args)]
struct CiArgs {
    /// Names the steps and stops
    #[arg(long)]
    list: bool,
    /// Leaves out this step, and says so in the end
    #[arg(long, value_name = "STEP")]
    skip: Vec<String>,
    /// Steps to run instead of all
    steps: Vec<String>,
}

#[derive(Args)]
struct ConformanceArgs {
    /// Random runs that both write and read
    #[arg(long, default_value_t = 2000)]
    runs: u64,
    /// Random directories that lsm-db 1.1.0 writes and this store takes over, without and with its log
    #[arg(long, default_value_t = 100)]
    directories: u64,
    /// Seed of every random choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the golden files anew, and shows what changed
    #[arg(long)]
    bless: bool,
}

#[derive(Args)]
struct ModelArgs {
    /// How often a thread may be interrupted in one interleaving
    #[arg(long, default_value_t = 4)]
    preemptions: u8,
}

#[derive(Args)]
struct MutantsArgs {
    /// Only these mutants: names of files in tests/mutants, without `.patch`
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only these suites, instead of those that each patch names
    #[arg(long, value_name = "NAME")]
    suite: Vec<String>,
    /// Takes it for granted that the suites pass without a patch
    #[arg(long)]
    no_baseline: bool,
    /// Runs every suite to its end, to name all tests that fail, instead of stopping at the first
    #[arg(long)]
    thorough: bool,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Tidy => tidy::run(),
        Command::Ci(args) if args.list => {
            ci::list();
            Ok(())
        }
        Command::Ci(args) => ci::run(&args.steps, &args.skip),
        Command::Conformance(args) => conformance::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Mutants(args) => mutants::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Engine(command) => engine::run(&command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
