//! The suites that compare with other engines.
//!
//! They are a program of their own, `benches/peers`, in a workspace of its own, so that nobody builds
//! other engines who does not ask for them. This builds it with what the chosen engines need and
//! hands the rest over; it measures nothing and knows no cell.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::workspace;

/// What the program can be asked for.
pub(super) const SUITES: [&str; 13] = [
    "limits", "core", "misses", "queue", "scan", "durable", "mixed", "ycsb", "scale", "tail", "1x",
    "all", "report",
];

/// The engines that are built unless others are named: those in Rust.
const ENGINES: [&str; 5] = ["ours", "fjall", "redb", "sled", "1x"];
/// Those that take a compiler for C or C++, by the feature that brings them in.
const FOREIGN_ENGINES: [&str; 2] = ["lmdb", "rocksdb"];

#[derive(Args)]
pub(super) struct PeersArgs {
    /// Engines to compare, instead of those written in Rust: `all`, or of ours, fjall, redb, lmdb,
    /// rocksdb (twenty minutes of C++, and needs libclang), and for `1x` of sled and 1x
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    engines: Vec<String>,
    /// Only these cells of the suite
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    cells: Vec<String>,
    /// How often each engine and cell is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Multiplies the numbers of entries and operations
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Seed of keys, values and orders
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Mebibytes of cache for every engine, instead of what the suite gives them
    #[arg(long, value_name = "MIB")]
    cache_mib: Option<usize>,
    /// Mebibytes of memtable for every engine, instead of 64
    #[arg(long, value_name = "MIB")]
    memtable_mib: Option<usize>,
    /// Measures again what was measured for this commit
    #[arg(long)]
    again: bool,
    /// Where to put the databases: a folder on the disk that is to be measured. In the build folder by
    /// default
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The commit that `report` is about, instead of the newest that was measured
    #[arg(long)]
    commit: Option<String>,
}

impl PeersArgs {
    /// Where to put the databases, if that was said.
    pub(super) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// What the numbers of entries are multiplied with.
    pub(super) fn scale(&self) -> f64 {
        self.scale
    }
}

/// Builds the program and runs it.
///
/// # Errors
///
/// If it could not be built, or failed.
pub(super) fn run(suite: &str, args: &PeersArgs) -> Result<(), String> {
    let root = workspace::root();
    let engines = chosen_engines(&args.engines)?;
    let program = build(&root, &engines)?;
    let mut command = Command::new(&program);
    let results = root.join("benches/results");
    if suite == "report" {
        command
            .arg("report")
            .arg("--reported")
            .arg(root.join("benches/reported"))
            .arg("--page")
            .arg(root.join("docs/PERFORMANCE.md"))
            .arg("--plots")
            .arg(root.join("docs/plots"));
        if let Some(commit) = &args.commit {
            command.args(["--commit", commit]);
        }
    } else {
        command.args(["bench", suite, "--engines", &engines.join(",")]);
        pass_on(&mut command, args);
    }
    let status = command
        .arg("--results")
        .arg(results)
        .status()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the comparison: {status}"))
    }
}

fn pass_on(command: &mut Command, args: &PeersArgs) {
    command
        .args(["--rounds", &args.rounds.to_string()])
        .args(["--scale", &args.scale.to_string()])
        .args(["--seed", &args.seed.to_string()]);
    if !args.cells.is_empty() {
        command.args(["--cells", &args.cells.join(",")]);
    }
    if let Some(mebibytes) = args.cache_mib {
        command.args(["--cache-mib", &mebibytes.to_string()]);
    }
    if let Some(mebibytes) = args.memtable_mib {
        command.args(["--memtable-mib", &mebibytes.to_string()]);
    }
    if let Some(dir) = &args.dir {
        command.arg("--dir").arg(dir);
    }
    if args.again {
        command.arg("--again");
    }
}

/// The engines that were named, or the usual ones.
fn chosen_engines(named: &[String]) -> Result<Vec<&str>, String> {
    if named.is_empty() {
        return Ok(ENGINES.to_vec());
    }
    let known = || ENGINES.into_iter().chain(FOREIGN_ENGINES);
    if named.iter().any(|name| name == "all") {
        return Ok(known().collect());
    }
    let chosen = named.iter().map(|name| {
        known()
            .find(|engine| engine == name)
            .ok_or_else(|| format!("no engine `{name}`"))
    });
    chosen.collect()
}

/// Builds the program with what the engines need, and says where it is.
fn build(root: &Path, engines: &[&str]) -> Result<PathBuf, String> {
    let peers = root.join("benches/peers");
    let foreign = FOREIGN_ENGINES
        .into_iter()
        .filter(|engine| engines.contains(engine));
    let features: Vec<_> = foreign.collect();
    // Not `--locked`: the lock file pins the other engines, and no step of the gate keeps it in step with
    // what our own crates depend on.
    let mut arguments = "build --quiet --release --target-dir target".to_owned();
    if !features.is_empty() {
        arguments += &format!(" --features {}", features.join(","));
    }
    // In its own folder, where the settings for the C++ compiler are.
    workspace::run_cargo(&arguments, &[], &peers)?;
    Ok(peers.join("target/release/lsm-peers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_engines_are_built_only_if_they_are_named() {
        let named = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(chosen_engines(&[]), Ok(ENGINES.to_vec()));
        assert_eq!(
            chosen_engines(&named(&["ours", "lmdb"])),
            Ok(vec!["ours", "lmdb"])
        );
        assert_eq!(chosen_engines(&named(&["all"])).map(|all| all.len()), Ok(7));
        assert!(chosen_engines(&named(&["ours", "leveldb"])).is_err());
    }
}
