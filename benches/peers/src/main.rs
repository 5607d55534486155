//! Compares `lsm-db` with other embedded stores.
//!
//! `cargo xtask bench <suite>` builds and runs this. `bench` drives: it starts a process for each
//! engine and cell, in alternation, and appends what each found to a file. `run` is such a process.
//! `report` makes tables and plots of those files.

#![cfg_attr(not(feature = "lmdb"), forbid(unsafe_code))]
#![deny(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod bench;
mod cells;
mod cli;
mod data;
mod drive;
mod engine;
mod engines;
mod limits;
mod measure;
mod report;
mod results;
mod usage;

/// Whatever went wrong; this program only ever tells it.
type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
