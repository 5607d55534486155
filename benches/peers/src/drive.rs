//! Runs a suite: the limits of the machine first, then one process for each engine and cell, round
//! after round, every other round through the engines backward (A B B A), so that what the machine
//! does meanwhile falls on all of them.
//!
//! What was measured for this commit is not measured again, so that an interrupted suite goes on
//! where it stopped. It measures nothing itself.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};

use crate::Result;
use crate::cells;
use crate::cells::tail::SUSTAINED;
use crate::cli::{BenchArgs, Size};
use crate::engines::ours::Ours;
use crate::results::{self, Identity, Line, Outcome};

/// Engines of every suite, in the order of the tables.
const ENGINES: [&str; 5] = ["ours", "fjall", "redb", "lmdb", "rocksdb"];
/// Those of the suite `1x`.
const ONE_X_ENGINES: [&str; 4] = ["ours", "1x", "redb", "sled"];

/// After this a process is killed. Cells are made for two minutes at most on a quiet machine.
const DEADLINE: Duration = Duration::from_secs(240);
/// The suite `scale` loads sixteen million keys.
const SCALE_DEADLINE: Duration = Duration::from_secs(600);

/// Runs what the arguments name.
pub fn drive(args: &BenchArgs) -> Result<()> {
    let known = cells::all::<Ours>();
    let mut suites: Vec<&str> = known.iter().map(|cell| cell.suite).collect();
    suites.dedup();
    let chosen = match args.suite.as_str() {
        "all" => suites,
        "limits" => Vec::new(),
        name if suites.contains(&name) => vec![name],
        name => {
            return Err(
                format!("no suite `{name}`; there are limits, {}", suites.join(", ")).into(),
            );
        }
    };
    let driver = Driver::new(args)?;
    if chosen.is_empty() {
        return driver.limits("limits");
    }
    for suite in chosen {
        driver.limits(suite)?;
        driver.suite(suite)?;
    }
    Ok(())
}

struct Driver<'a> {
    args: &'a BenchArgs,
    commit: String,
    machine: String,
    /// Where the databases are put.
    dir: PathBuf,
}

impl<'a> Driver<'a> {
    fn new(args: &'a BenchArgs) -> Result<Self> {
        let dir = match &args.dir {
            Some(dir) => dir.clone(),
            None => std::env::current_exe()?
                .parent()
                .ok_or("the program is in no folder")?
                .join("bench-data"),
        };
        fs::create_dir_all(&dir)?;
        Ok(Self {
            args,
            commit: commit()?,
            machine: machine()?,
            dir,
        })
    }

    fn suite(&self, suite: &str) -> Result<()> {
        let path = self.args.results.join(format!("{suite}.jsonl"));
        let measured = results::read(&path)?;
        let mut runs = Vec::new();
        for round in 1..=self.args.rounds {
            for cell in cells::all::<Ours>()
                .iter()
                .filter(|cell| cell.suite == suite)
            {
                if !self.args.cells.is_empty()
                    && !self.args.cells.iter().any(|name| name == cell.name)
                {
                    continue;
                }
                let mut engines = self.engines(suite);
                if round % 2 == 0 {
                    engines.reverse();
                }
                for engine in engines {
                    runs.push(self.identity(suite, cell.name, engine, round));
                }
            }
        }
        let is_clean = !self.commit.ends_with('+');
        let is_done = |identity: &Identity| {
            let mut lines = measured.iter();
            is_clean && lines.any(|line| line.identity == *identity && line.outcome.is_ok())
        };
        if !self.args.again {
            runs.retain(|identity| !is_done(identity));
        }

        let bar = ProgressBar::new(runs.len() as u64);
        bar.set_style(ProgressStyle::with_template(
            "{bar:30} {pos}/{len}  {msg}  {eta} left",
        )?);
        bar.enable_steady_tick(Duration::from_secs(1));
        for identity in &runs {
            let Identity {
                cell,
                engine,
                round,
                ..
            } = identity;
            bar.set_message(format!("{suite}/{cell}, {engine}, round {round}"));
            let line = self.cell(identity)?;
            bar.suspend(|| show(&line));
            results::append(&path, &line)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn engines(&self, suite: &str) -> Vec<&str> {
        let of_suite: &[&str] = if suite == "1x" {
            &ONE_X_ENGINES
        } else {
            &ENGINES
        };
        let named = |engine: &&&str| {
            let names = &self.args.engines;
            names.is_empty() || names.iter().any(|name| name == **engine)
        };
        let engines = of_suite.iter().filter(named);
        engines
            .copied()
            .filter(|engine| cells::of_engine(engine).is_some())
            .collect()
    }

    fn identity(&self, suite: &str, cell: &str, engine: &str, round: usize) -> Identity {
        let Size {
            scale,
            seed,
            cache_mib,
            memtable_mib,
        } = self.args.size;
        Identity {
            suite: suite.to_owned(),
            cell: cell.to_owned(),
            engine: engine.to_owned(),
            round,
            scale,
            seed,
            cache_mib,
            memtable_mib,
            commit: self.commit.clone(),
        }
    }

    /// Runs one engine in one cell and waits for it.
    fn cell(&self, identity: &Identity) -> Result<Line> {
        let dir = tempfile::Builder::new()
            .prefix("cell-")
            .tempdir_in(&self.dir)?;
        let mut arguments = vec![
            ("--suite", identity.suite.clone()),
            ("--cell", identity.cell.clone()),
            ("--engine", identity.engine.clone()),
            ("--dir", dir.path().display().to_string()),
            ("--scale", identity.scale.to_string()),
            ("--seed", identity.seed.to_string()),
        ];
        if let Some(mebibytes) = identity.cache_mib {
            arguments.push(("--cache-mib", mebibytes.to_string()));
        }
        if let Some(mebibytes) = identity.memtable_mib {
            arguments.push(("--memtable-mib", mebibytes.to_string()));
        }
        if (identity.suite.as_str(), identity.cell.as_str()) == ("tail", "open-loop") {
            arguments.push(("--rate", self.offered_rate(identity)?.to_string()));
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("run");
        for (name, value) in arguments {
            command.args([name, &value]);
        }
        let deadline = if identity.suite == "scale" {
            SCALE_DEADLINE
        } else {
            DEADLINE
        };
        self.line(identity, command, deadline)
    }

    /// Half of what the slowest engine could sustain in the first round, for all of them.
    fn offered_rate(&self, identity: &Identity) -> Result<f64> {
        let lines = results::read(&self.args.results.join("tail.jsonl"))?;
        let is_same_run = |line: &&Line| {
            line.identity.commit == identity.commit
                && line.identity.scale == identity.scale
                && line.identity.round == 1
        };
        let outcomes = lines
            .iter()
            .filter(is_same_run)
            .filter_map(|line| line.outcome.as_ref().ok());
        let rows = outcomes.flat_map(|outcome| &outcome.rows);
        let sustained = rows
            .filter(|row| row.name == SUSTAINED)
            .map(|row| row.value);
        let slowest = sustained.fold(f64::INFINITY, f64::min);
        if slowest.is_finite() {
            Ok(slowest / 2.0)
        } else {
            Err("the open loop needs the cell `sustained` of the same commit".into())
        }
    }

    /// Measures the limits of the machine before a suite, prints them and keeps them.
    fn limits(&self, suite: &str) -> Result<()> {
        let identity = self.identity("limits", suite, "machine", 1);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("limits").arg("--dir").arg(&self.dir);
        let line = self.line(&identity, command, DEADLINE)?;
        println!("limits of this machine");
        show(&line);
        results::append(&self.args.results.join("limits.jsonl"), &line)
    }

    /// Runs a process and makes a line of what it printed, or of why it failed.
    fn line(&self, identity: &Identity, command: Command, deadline: Duration) -> Result<Line> {
        let start = Instant::now();
        let outcome = output_of(command, deadline)
            .and_then(|text| Ok(serde_json::from_str::<Outcome>(&text)?));
        Ok(Line {
            identity: identity.clone(),
            time: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
            machine: self.machine.clone(),
            seconds: start.elapsed().as_secs_f64(),
            outcome: outcome.map_err(|error| error.to_string()),
        })
    }
}

/// Runs a process to its end, or kills it at the deadline; what it wrote to its standard output.
fn output_of(mut command: Command, deadline: Duration) -> Result<String> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("the process has no output".into());
    };
    // Both are read while it runs, so that it never waits for a full pipe.
    let output = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let errors = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > deadline {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let output = output.join().map_err(|_| "its output was not read")??;
    let errors = errors.join().map_err(|_| "its errors were not read")??;
    match status {
        None => Err(format!("not done after {} s", deadline.as_secs()).into()),
        Some(status) if status.success() => Ok(output),
        Some(status) => Err(format!("{status}: {}", errors.trim()).into()),
    }
}

/// Prints what a process found.
fn show(line: &Line) {
    let Identity {
        suite,
        cell,
        engine,
        round,
        ..
    } = &line.identity;
    println!(
        "{suite}/{cell}, {engine}, round {round}: {:.1} s",
        line.seconds
    );
    match &line.outcome {
        Ok(outcome) => {
            for row in &outcome.rows {
                let latency = row.latency.map_or_else(String::new, |latency| {
                    format!(
                        "  p50 {} p99 {} p99.9 {} max {} µs",
                        number(latency.p50),
                        number(latency.p99),
                        number(latency.p999),
                        number(latency.max)
                    )
                });
                let value = number(row.value);
                println!("  {:<40} {value:>12} {}{latency}", row.name, row.unit);
            }
        }
        Err(message) => println!("  {message}"),
    }
}

/// A number with as many digits as mean something.
pub fn number(value: f64) -> String {
    if value >= 100.0 {
        let digits = format!("{value:.0}");
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// The last commit that changed what is measured or what measures, with `+` behind it if files differ
/// from it. A commit of results or words leaves it as it is.
fn commit() -> Result<String> {
    let git = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("git")
            .arg("-C")
            .arg(env!("CARGO_MANIFEST_DIR"))
            .args(arguments)
            .output()?;
        if !output.status.success() {
            return Err("git knows no commit here".into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let measured = ["--", ":/crates", ":/benches/peers"];
    let log = ["log", "-1", "--format=%h", "--abbrev=12"];
    let commit = git(&[&log[..], &measured].concat())?;
    let changes = git(&[&["status", "--porcelain"][..], &measured].concat())?;
    Ok(if changes.is_empty() {
        commit
    } else {
        format!("{commit}+")
    })
}

/// The processor, how many of it, and the memory.
fn machine() -> Result<String> {
    let field = |path: &str, name: &str| -> Result<String> {
        let text = fs::read_to_string(path)?;
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        Ok(value.map_or_else(String::new, |(_, value)| value.trim().to_owned()))
    };
    let processor = field("/proc/cpuinfo", "model name")?;
    let memory = field("/proc/meminfo", "MemTotal")?;
    let kibibytes: f64 = memory.trim_end_matches(" kB").parse()?;
    let threads = thread::available_parallelism()?;
    let system = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{threads} × {processor}, {:.0} GiB of memory, Linux {}",
        kibibytes / f64::from(1 << 20),
        system.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_mean_something() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(123.4), "123");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(1.234), "1.23");
    }

    #[test]
    fn a_process_past_its_deadline_is_killed_and_said_so() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let outcome = output_of(command, Duration::from_millis(50));
        assert!(outcome.is_err_and(|error| error.to_string().contains("not done")));
    }
}
