//! System calls under `strace`: traced and judged, failed, and made to kill the process that makes
//! them.
//!
//! Called by `cargo xtask processes`, where `strace` is installed and may trace. Here the operating
//! system itself is between the store and its disk, with no seam of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lsm_db::Durability;
use lsm_fs::{FileSystem, SimFs};
use lsm_version::{Manifest, UnresolvedRun};

use super::aftermath::{self, Remains};
use super::job::{Ending, Job, Shape};
use super::life::{Life, Program, live};
use super::oracle::Oracle;
use super::record::{Outcome, Record};
use super::trace::judge::{Checked, judge};
use super::trace::meaning::{Meaning, Named, Promise};
use super::trace::{self, Event};
use super::workload::{Deed, Taste, draw, mark};
use crate::crash::mixed;
use crate::directory::plant;
use crate::random::Random;

/// Longer strings than any write to the log or the manifest in a traced life.
const STRING_BYTES_MAX: &str = "400000";

/// The calls that fail, and with what.
pub const FAILURES: [(&str, &str); 4] = [
    ("fdatasync", "EIO"),
    ("fsync", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("pwrite64", "EIO"),
];

/// The calls at which a process is killed, as far as it makes them: platforms differ.
pub const DEADLY_CALLS: [&str; 18] = [
    "openat",
    "pwrite64",
    "write",
    "fdatasync",
    "fsync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "ftruncate",
    "fallocate",
    "mkdir",
    "mkdirat",
    "flock",
    "getdents64",
    "statx",
    "pread64",
];

/// What is to be done.
#[derive(Debug)]
pub struct Options {
    /// How children are started.
    pub program: Program,
    /// A folder for the stores.
    pub dir: PathBuf,
    /// The seed of all that is drawn.
    pub seed: u64,
    /// Of each call so many, spread over all that a life makes.
    pub strikes: u32,
}

/// How often each call is made by the thread that makes it most often.
pub type CallCounts = BTreeMap<String, u32>;

/// What strikes did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Struck {
    /// Lives.
    pub lives: u32,
    /// Those in which the call was made often enough to be struck.
    pub struck: u32,
    /// Those in which an action was refused.
    pub refused: u32,
    /// Those in which writing ended.
    pub poisoned: u32,
}

/// Why nothing can be traced here, if that is so.
pub fn unavailable() -> Option<String> {
    let mut probe = Command::new("strace");
    probe.args(["-f", "-y", "-qq", "-o", "/dev/null"]);
    probe.args([
        "-e",
        "trace=fsync",
        "-e",
        "inject=fsync:error=EIO:when=1",
        "true",
    ]);
    let output = probe.stdin(Stdio::null()).output();
    match output {
        Err(error) => Some(format!("strace: {error}")),
        Ok(output) if !output.status.success() => {
            let message = String::from_utf8_lossy(&output.stderr);
            Some(format!("strace may not trace: {}", message.trim()))
        }
        Ok(_) => None,
    }
}

fn strace(output: &Path, arguments: &[String]) -> Vec<String> {
    let mut words = ["strace", "-f", "-y", "-qq", "-o"]
        .map(str::to_owned)
        .to_vec();
    words.push(output.display().to_string());
    words.extend(["-e".to_owned(), "signal=none".to_owned()]);
    for argument in arguments {
        words.extend(["-e".to_owned(), argument.clone()]);
    }
    words
}

fn job(dir: &Path, seed: u64, lanes: u8) -> Job {
    Job {
        dir: dir.to_owned(),
        taste: Taste {
            seed,
            long_keys: false,
            large_values: false,
            by_hand: true,
        },
        shape: Shape {
            logged: true,
            memtable_bytes: 8192,
            trigger: 2,
            run_bytes: 8192,
        },
        lanes,
        steps: 80,
        sessions: 1,
        ending: Ending::Close,
        tolerant: false,
        deadly: None,
    }
}

/// Traces the life of a new store, with two sessions and a kill at the end, and judges it. Returns
/// what was checked, and how often each call was made.
///
/// # Errors
/// A promise that is broken; a trace that is not understood.
pub fn trace_life(options: &Options, lanes: u8) -> Result<(Checked, CallCounts), String> {
    let dir = options.dir.join("traced");
    let output = options.dir.join("trace");
    forget(&dir)?;
    // A trace tells no links.
    let folder = options
        .dir
        .canonicalize()
        .map_err(|error| error.to_string())?;
    let seed = mixed(options.seed, u64::from(lanes));
    let job = Job {
        sessions: 2,
        ending: Ending::Die,
        ..job(&folder.join("traced"), seed, lanes)
    };
    let mut oracle = Oracle::new();
    let mut wrapper = strace(&output, &["trace=%file,%desc".to_owned()]);
    wrapper.extend(["-s".to_owned(), STRING_BYTES_MAX.to_owned()]);
    let life = live(&options.program, &wrapper, &job, &mut oracle, None)?;
    if life.survived.is_none() {
        return Err(format!("the traced child died early: {}", life.status));
    }
    let text = std::fs::read(&output).map_err(|error| format!("the trace: {error}"))?;
    let events = trace::read(&String::from_utf8_lossy(&text))?;
    let checked = judge(&events, &job.dir, &OfAJob { job: &job })?;
    check_remains(&job.dir, &job, &mut oracle, seed)?;
    if checked.acknowledgements == 0 || checked.unlinked == 0 || checked.manifests == 0 {
        return Err(format!("the trace shows next to nothing: {checked:?}"));
    }
    Ok((checked, counts(&events)))
}

fn counts(events: &[Event]) -> CallCounts {
    let mut by_thread = BTreeMap::<(u32, &str), u32>::new();
    for event in events.iter().filter(|event| event.outcome.is_none()) {
        *by_thread
            .entry((event.thread, &event.call.name))
            .or_default() += 1;
    }
    let mut counts = CallCounts::new();
    for ((_, name), count) in by_thread {
        let most = counts.entry(name.to_owned()).or_default();
        *most = count.max(*most);
    }
    counts
}

/// Fails `call` with `error`, at one place after another, in a store that goes on: reads must go on
/// too, and what was acknowledged be there afterwards.
///
/// # Errors
/// The first promise that is broken.
pub fn fail(
    options: &Options,
    (call, error): (&str, &str),
    counts: &CallCounts,
    progress: &dyn Fn(&Struck),
) -> Result<Struck, String> {
    let output = options.dir.join("trace");
    let injection = |number| format!("inject={call}:error={error}:when={number}");
    let mut sweep = Sweep::new(options, &format!("{call}-{error}"), 1, true)?;
    for number in places(counts.get(call).copied(), options.strikes) {
        let wrapper = strace(&output, &[format!("trace={call}"), injection(number)]);
        let life = sweep.live(&wrapper, number)?;
        let text = std::fs::read(&output).map_err(|error| format!("the trace: {error}"))?;
        let was_struck = String::from_utf8_lossy(&text).contains("(INJECTED)");
        sweep.note(was_struck, &life);
        progress(&sweep.struck);
    }
    Ok(sweep.struck)
}

/// Kills the process that makes `call` for the n-th time on one of its threads, for one n after
/// another, in a store that goes on.
///
/// # Errors
/// The first promise that is broken.
pub fn kill(
    options: &Options,
    call: &str,
    counts: &CallCounts,
    progress: &dyn Fn(&Struck),
) -> Result<Struck, String> {
    let mut sweep = Sweep::new(options, call, 2, false)?;
    for number in places(counts.get(call).copied(), options.strikes) {
        let injection = format!("inject={call}:signal=KILL:when={number}");
        let wrapper = strace(
            Path::new("/dev/null"),
            &[format!("trace={call}"), injection],
        );
        let life = sweep.live(&wrapper, number)?;
        sweep.note(life.was_killed(), &life);
        progress(&sweep.struck);
    }
    Ok(sweep.struck)
}

/// `max` numbers from 1 to `count`, spread evenly, or all of them again and again.
fn places(count: Option<u32>, max: u32) -> impl Iterator<Item = u32> {
    let count = count.unwrap_or(0);
    let rounds = if count == 0 { 0 } else { max };
    (0..rounds).map(move |round| match max < count {
        true => 1 + round * count / max,
        false => 1 + round % count,
    })
}

/// A store that is struck again and again.
struct Sweep<'a> {
    options: &'a Options,
    dir: PathBuf,
    lanes: u8,
    tolerant: bool,
    oracle: Oracle,
    struck: Struck,
}

impl<'a> Sweep<'a> {
    fn new(options: &'a Options, name: &str, lanes: u8, tolerant: bool) -> Result<Self, String> {
        let dir = options.dir.join(name);
        forget(&dir)?;
        Ok(Self {
            options,
            dir,
            lanes,
            tolerant,
            oracle: Oracle::new(),
            struck: Struck::default(),
        })
    }

    fn live(&mut self, wrapper: &[String], number: u32) -> Result<Life, String> {
        let round = self.struck.lives;
        let seed = mixed(self.options.seed, u64::from(round));
        if round.is_multiple_of(8) {
            forget(&self.dir)?;
            self.oracle = Oracle::new();
        }
        let job = Job {
            tolerant: self.tolerant,
            ..job(&self.dir, seed, self.lanes)
        };
        let told = |error| format!("at number {number} of {wrapper:?}: {error}");
        let life = live(&self.options.program, wrapper, &job, &mut self.oracle, None);
        let life = life.map_err(told)?;
        check_remains(&self.dir, &job, &mut self.oracle, seed).map_err(told)?;
        Ok(life)
    }

    fn note(&mut self, was_struck: bool, life: &Life) {
        self.struck.lives += 1;
        self.struck.struck += u32::from(was_struck);
        self.struck.refused += u32::from(life.refusals > 0);
        self.struck.poisoned += u32::from(life.poisoned);
    }
}

fn check_remains(dir: &Path, job: &Job, oracle: &mut Oracle, seed: u64) -> Result<(), String> {
    let remains = Remains {
        dir,
        shape: job.shape,
        oracle,
        seed,
    };
    match Random::new(seed).one_in(2) {
        true => remains.check(),
        false => remains.check_copy(&aftermath::beside(dir)),
    }
}

fn forget(dir: &Path) -> Result<(), String> {
    aftermath::remove(dir).map_err(|error| format!("{}: {error}", dir.display()))
}

/// What the records of a job promise, and what its store's manifests name.
struct OfAJob<'a> {
    job: &'a Job,
}

impl Meaning for OfAJob<'_> {
    fn promise(&self, record: &Record) -> Promise {
        let Record::End {
            lane,
            number,
            outcome: Outcome::Done | Outcome::Unmet,
        } = record
        else {
            return Promise::Nothing;
        };
        match draw(self.job.taste, *lane, *number) {
            Deed::Sync => Promise::AllBefore,
            Deed::Write {
                writes,
                durability: Durability::Sync,
                ..
            } => {
                let is_unmet = matches!(
                    record,
                    Record::End {
                        outcome: Outcome::Unmet,
                        ..
                    }
                );
                // Deletes bear no mark, and an answer alone writes nothing.
                match is_unmet || writes.iter().all(|(_, value)| value.is_none()) {
                    true => Promise::AllBefore,
                    false => {
                        let mark = mark(self.job.taste, *lane, *number);
                        Promise::Durable(mark.into_bytes())
                    }
                }
            }
            _ => Promise::Nothing,
        }
    }

    fn named(&self, manifest: &[u8], segments: &BTreeSet<u64>) -> Result<Named, String> {
        let (disk, dir) = (SimFs::new(), Path::new("/"));
        plant(&disk, &dir.join("MANIFEST"), manifest).map_err(|error| error.to_string())?;
        let keys_of = &mut |run: &UnresolvedRun| -> Result<_, std::convert::Infallible> {
            // Nobody asks for keys here.
            let _ = run;
            Ok(Default::default())
        };
        let opened = disk.open_dir(dir).map_err(|error| error.to_string())?;
        let manifest =
            Manifest::load(opened, keys_of).map_err(|error| format!("the manifest: {error}"))?;
        let state = manifest.state();
        let needed = segments.iter().filter(|id| !state.log.holds_nothing(**id));
        Ok(Named {
            runs: state.version.runs().map(|(_, run)| run.id).collect(),
            segments: needed.copied().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn places_are_spread_over_all_calls_or_go_round() {
        let drawn = |count, max| places(count, max).collect::<Vec<_>>();
        assert_eq!(drawn(Some(100), 4), [1, 26, 51, 76]);
        assert_eq!(drawn(Some(3), 7), [1, 2, 3, 1, 2, 3, 1]);
        assert!(drawn(None, 7).is_empty());
    }
}
