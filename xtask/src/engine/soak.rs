//! `cargo xtask soak`: a consumer's life with the store, with kills, for as long as wanted; what it
//! does meanwhile, a report in the end, and the same as JSON.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lsm_tests::soak::{
    ChildProgram, Figures, Latency, Options, Profile, Progress, Report, Tally, Timed, run, serve,
};

use super::args::SoakArgs;
use super::scratch::Scratch;

/// Between two lines of progress where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Between two updates of the latest rate.
const RATE_INTERVAL: Duration = Duration::from_secs(2);
/// What this program is called with to be the child.
const CHILD_COMMAND: &str = "soak-child";

/// Runs the soak for the time given, and reports.
///
/// # Errors
///
/// The first violation: what, where, and the command that runs the same again. The store stays.
pub(crate) fn soak(args: &SoakArgs) -> Result<(), String> {
    let profile =
        Profile::named(&args.profile).ok_or_else(|| format!("no profile `{}`", args.profile))?;
    let duration = Duration::try_from_secs_f64(args.minutes * 60.0)
        .map_err(|error| format!("{} minutes: {error}", args.minutes))?;
    let scratch = Scratch::new(args.dir.as_deref())?;
    let json = json_path(args, scratch.database());
    let options = Options {
        dir: scratch.database().to_path_buf(),
        duration,
        seed: args.seed,
        profile,
        child: ChildProgram {
            path: this_program()?,
            arguments: vec![CHILD_COMMAND.to_owned()],
        },
    };
    println!(
        "soak: {} for {} min, seed {}, in {}",
        profile.name(),
        args.minutes,
        args.seed,
        options.dir.display()
    );
    let mut display = Display::new(duration)?;
    let report = run(&options, &mut |progress| display.show(progress));
    display.bar.finish_and_clear();
    std::fs::write(&json, report.to_json())
        .map_err(|error| format!("{}: {error}", json.display()))?;
    print(&report);
    println!("as JSON: {}", json.display());
    let outcome = match &report.violation {
        None => Ok(()),
        Some(violation) => Err(format!(
            "VIOLATION in {violation}\nto run the same again (threads and kills will meet otherwise):\n  \
             cargo xtask soak --minutes {} --seed {} --profile {}",
            args.minutes,
            args.seed,
            profile.name()
        )),
    };
    scratch.close(outcome)?;
    println!(
        "soak: {} writes and every read as they must be",
        report.writes
    );
    Ok(())
}

/// The process that the soak starts and kills.
///
/// # Errors
///
/// If it does not understand what it is told.
pub(crate) fn soak_child() -> Result<(), String> {
    serve(std::io::stdin(), std::io::stdout())
}

/// This program, also when it is built anew meanwhile.
fn this_program() -> Result<PathBuf, String> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe().map_err(|error| format!("this program: {error}"))
}

/// Beside the store, or, if that is removed in the end, beside its folder.
fn json_path(args: &SoakArgs, database: &Path) -> PathBuf {
    let beside = match args.dir {
        Some(_) => database.parent(),
        None => database.parent().and_then(Path::parent),
    };
    let name = format!("soak-{}-{}.json", args.profile, args.seed);
    let beside = beside.filter(|folder| !folder.as_os_str().is_empty());
    args.report
        .clone()
        .unwrap_or_else(|| beside.unwrap_or(Path::new(".")).join(name))
}

/// A bar on a terminal, and lines elsewhere.
struct Display {
    bar: ProgressBar,
    is_terminal: bool,
    printed: Instant,
    /// When the latest rate was taken, at how many writes, and what it was.
    rate: (Instant, u64, f64),
}

impl Display {
    fn new(duration: Duration) -> Result<Self, String> {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} s  {wide_msg}")
            .map_err(|error| error.to_string())?;
        Ok(Self {
            bar: ProgressBar::new(duration.as_secs()).with_style(style),
            is_terminal: std::io::stdout().is_terminal(),
            printed: Instant::now(),
            rate: (Instant::now(), 0, 0.0),
        })
    }

    fn show(&mut self, progress: &Progress<'_>) {
        let (taken, writes, _) = self.rate;
        if taken.elapsed() >= RATE_INTERVAL {
            let rate = (progress.tally.operations - writes) as f64 / taken.elapsed().as_secs_f64();
            self.rate = (Instant::now(), progress.tally.operations, rate);
        }
        self.bar.set_position(progress.elapsed.as_secs());
        let is_due = self.printed.elapsed() >= LINE_INTERVAL;
        if !self.is_terminal && !is_due {
            return;
        }
        let line = line(progress, self.rate.2);
        if self.is_terminal {
            self.bar.set_message(line);
        } else {
            self.printed = Instant::now();
            println!("{:>6} s  {line}", progress.elapsed.as_secs());
        }
    }
}

/// What is going on, in one line.
fn line(progress: &Progress<'_>, rate: f64) -> String {
    let tally: &Tally = progress.tally;
    let figures = tally.figures();
    let levels: Vec<String> = figures
        .levels
        .iter()
        .map(|(runs, _)| runs.to_string())
        .collect();
    let latencies = tally.latencies();
    let micros = |timed: Timed| {
        let line = latencies.iter().find(|line| line.operation == timed);
        line.map_or_else(|| "-".to_owned(), quantiles)
    };
    format!(
        "life {} {}, {} writes, {rate:.0}/s, {:.0} MiB in levels {}, rss {:.0} MiB ({:.0} the store's), wa {:.1}, {} stalls, put {} get {} (p50/p99/p99.9/max us)",
        progress.life,
        progress.phase,
        tally.operations,
        mebibytes(figures.live_bytes()),
        levels.join("-"),
        mebibytes(figures.resident_bytes),
        mebibytes(figures.memory_bytes()),
        figures.write_amplification(),
        figures.stalls,
        micros(Timed::Put),
        micros(Timed::Get),
    )
}

fn quantiles(line: &Latency) -> String {
    format!(
        "{:.0}/{:.0}/{:.0}/{:.0}",
        line.p50_us, line.p99_us, line.p999_us, line.max_us
    )
}

fn print(report: &Report) {
    let endings = &report.endings;
    println!(
        "\n{} lives in {:.0} s: {} killed at work, {} killed while they opened, {} closed, {} dropped",
        report.lives.len(),
        report.seconds,
        endings.kills,
        endings.kills_in_recovery,
        endings.closes,
        endings.drops
    );
    println!(
        "compared  {} writes; the whole store {} times after an open, {} entries",
        report.writes, report.verifications, report.verified_entries
    );
    println!(
        "          {} entries read beside them; {} snapshots held up to {} s, {} scans of everything; {} conditions tried again; {} histories judged ({} overlaps)",
        report.checks.entries,
        report.checks.snapshots,
        report.peaks.oldest_read_view_seconds,
        report.checks.scans,
        report.checks.retries,
        report.checks.histories,
        report.checks.overlapping
    );
    println!("\nlatency in us      count         p50         p99       p99.9         max");
    for line in &report.latencies {
        println!(
            "{:<14}{:>10}{:>12.1}{:>12.1}{:>12.1}{:>12.1}",
            format!("{:?}", line.operation),
            line.count,
            line.p50_us,
            line.p99_us,
            line.p999_us,
            line.max_us
        );
    }
    print_store(report);
}

fn print_store(report: &Report) {
    let totals: &Figures = &report.totals;
    let peaks = &report.peaks;
    println!("\nstore at the end");
    for (number, (runs, bytes)) in totals.levels.iter().enumerate() {
        println!("  L{number}  {runs:>5} runs {:>9.1} MiB", mebibytes(*bytes));
    }
    println!(
        "  compacted to one level: {:.1} MiB",
        mebibytes(report.compacted.live_bytes())
    );
    println!(
        "written   {:.1} MiB by the caller; {:.1} to the log, {:.1} by {} flushes, {:.1} by {} merges: {:.2} times",
        mebibytes(totals.user_bytes),
        mebibytes(totals.log_bytes),
        mebibytes(totals.flushed_bytes),
        totals.flushes,
        mebibytes(totals.compacted_bytes),
        totals.compactions,
        report.write_amplification
    );
    println!(
        "stalls    {} writes waited, {:.1} s together; {} syncs of the log; background failures {}",
        totals.stalls,
        totals.stalled_ms as f64 / 1000.0,
        totals.log_syncs,
        totals.background_failures
    );
    println!(
        "memory    at most {:.0} MiB resident (models included), {:.0} held by the store: memtables {:.1}, indexes {:.1}, filters {:.1}, blocks {:.1}",
        mebibytes(peaks.resident_bytes),
        mebibytes(peaks.memory_bytes),
        mebibytes(peaks.memtable_bytes),
        mebibytes(peaks.index_bytes),
        mebibytes(peaks.filter_bytes),
        mebibytes(peaks.cache_bytes)
    );
    println!(
        "disk      at most {:.0} MiB of files in {} levels; debt {:.0} MiB; snapshots kept {:.1} MiB of memtables and {:.0} of runs",
        mebibytes(peaks.live_bytes),
        peaks.levels,
        mebibytes(peaks.compaction_debt_bytes),
        mebibytes(peaks.pinned_memtable_bytes),
        mebibytes(peaks.pinned_run_bytes)
    );
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
