//! A disk that is really full: a small file system in memory, mounted where nobody else sees it.
//!
//! Called by `cargo xtask processes`, which starts this program again in a mount namespace of its
//! own ([`enter`]); in there [`run`] mounts the disk, fills it and makes room. Never mounts anything
//! in the namespace that it was started in.

mod killed;

use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lsm_db::{Durability, Error, Lsm, LsmConfig};

use super::aftermath;
use super::life::Program;
use crate::describe;
use crate::model::{Model, Write, apply, check, contents, key};
use crate::random::Random;

/// The variable of the environment that makes a program the one in the namespace: seed and folder.
pub const VARIABLE: &str = "LSM_TESTS_FULL_DISK";

const DISK_BYTES: &str = "6m";
const BALLAST_BYTES: usize = 1 << 20;
/// Refusals in a row after which the disk counts as full.
const REFUSALS_MAX: u32 = 20;
/// A write that must go through in the end is tried this often, with a pause after each.
const TRIES_MAX: u32 = 2000;
const TRY_PAUSE: Duration = Duration::from_millis(20);
/// Whoever has not ended after so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(600);

/// How namespaces can be had: as root, or as anybody where users may have some of their own.
const UNSHARE: [&[&str]; 2] = [&["-m"], &["-U", "-r", "-m"]];

/// How a private mount can be had.
///
/// # Errors
/// Why none can be.
pub fn available(dir: &Path) -> Result<Vec<String>, String> {
    let mut reasons = Vec::new();
    for flags in UNSHARE {
        let mut words = vec!["unshare".to_owned()];
        words.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let mut probe = Command::new("unshare");
        probe.args(flags).args(mount_words("64k")).arg(dir);
        match probe.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => return Ok(words),
            Ok(output) => {
                let message = String::from_utf8_lossy(&output.stderr);
                reasons.push(message.trim().to_owned());
            }
            Err(error) => reasons.push(format!("unshare: {error}")),
        }
    }
    Err(reasons.join("; "))
}

fn mount_words(size: &str) -> Vec<String> {
    let words = ["mount", "-t", "tmpfs", "-o"]
        .map(str::to_owned)
        .into_iter();
    words
        .chain([format!("size={size},mode=0700"), "lsm-full-disk".to_owned()])
        .collect()
}

/// Starts `program` in a namespace, as [`available`] said, to do [`run`]. Returns what it printed.
///
/// # Errors
/// What it said on failing; or that it hangs.
pub fn enter(
    program: &Program,
    unshare: &[String],
    dir: &Path,
    seed: u64,
) -> Result<String, String> {
    let mut child = program
        .command(unshare)
        .env(VARIABLE, format!("{seed} {}", dir.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("unshare: {error}"))?;
    let start = Instant::now();
    // It prints far less than a pipe holds.
    while child
        .try_wait()
        .map_err(|error| error.to_string())?
        .is_none()
    {
        if start.elapsed() > HANGS_AFTER {
            let _ = child.kill();
            return Err("a store on a full disk hangs".to_owned());
        }
        std::thread::sleep(TRY_PAUSE);
    }
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!(
            "{said}{}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// Whether this process was started to be the one in the namespace.
pub fn is_asked() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// What was seen of one store.
#[derive(Debug)]
pub struct Seen {
    /// How it was opened.
    pub name: &'static str,
    /// Writes that were acknowledged.
    pub acknowledged: u32,
    /// Writes that were refused for lack of room.
    pub refused: u32,
    /// Tries that the first write after there was room again took.
    pub tries: u32,
}

/// Mounts the disk, and fills it with one store after another; `program` is a child's, see
/// [`kills`](super::kills).
///
/// # Errors
/// The first promise that is broken.
pub fn run(program: &Program) -> Result<Vec<Seen>, String> {
    let asked = std::env::var(VARIABLE).map_err(|error| error.to_string())?;
    let (seed, dir) = asked.split_once(' ').ok_or("no seed and folder")?;
    let seed = seed.parse().map_err(|_| "no seed")?;
    let dir = PathBuf::from(dir);
    let words = mount_words(DISK_BYTES);
    let mut mount = Command::new(words.first().ok_or("no command")?);
    let mounted = mount
        .args(words.get(1..).unwrap_or_default())
        .arg(&dir)
        .status();
    if !mounted
        .map_err(|error| format!("mount: {error}"))?
        .success()
    {
        return Err("cannot mount".to_owned());
    }
    let logged = |durability| LsmConfig::new().durability(durability);
    let shapes = [
        ("sync", logged(Durability::Sync), true),
        ("buffered", logged(Durability::Buffered), true),
        ("no log", LsmConfig::new().wal(false), false),
    ];
    let seen = shapes.into_iter().map(|(name, config, is_logged)| {
        let filled = Disk::fill_and_empty(&dir, name, &config, is_logged, seed);
        filled.map_err(|error| format!("{name}: {error}"))
    });
    let mut seen = seen.collect::<Result<Vec<_>, String>>()?;
    let killed = killed::fill_and_kill(program, &dir, seed);
    seen.push(killed.map_err(|error| format!("killed: {error}"))?);
    Ok(seen)
}

/// A store on the small disk.
struct Disk<'a> {
    dir: &'a Path,
    config: LsmConfig,
    past: Past,
    random: Random,
    number: usize,
    seen: Seen,
}

impl Disk<'_> {
    fn fill_and_empty(
        dir: &Path,
        name: &'static str,
        config: &LsmConfig,
        is_logged: bool,
        seed: u64,
    ) -> Result<Seen, String> {
        let mut disk = Disk {
            dir,
            config: config.clone().memtable_capacity(128 << 10),
            past: Past {
                is_logged,
                ..Past::default()
            },
            random: Random::new(seed),
            number: 0,
            seen: Seen {
                name,
                acknowledged: 0,
                refused: 0,
                tries: 0,
            },
        };
        for ballast in ["ballast-1", "ballast-2"] {
            let filled = std::fs::write(dir.join(ballast), vec![1; BALLAST_BYTES]);
            filled.map_err(|error| format!("the ballast: {error}"))?;
        }
        let db = disk.open()?;
        disk.fill(&db)?;
        disk.resume(&db, "ballast-1")?;
        disk.fill(&db)?;
        drop(db);
        fill_the_rest(dir, "rest")?;

        let db = disk
            .open()
            .map_err(|error| format!("with no room at all: {error}"))?;
        disk.recovered(&db)?;
        let refused = db.put("too long", vec![0; 60_000]);
        if !refused.as_ref().is_err_and(is_full) {
            return Err(format!("where there is no room a write gets {refused:?}"));
        }
        disk.shows(&db)?;
        disk.remove("rest")?;
        disk.resume(&db, "ballast-2")?;
        disk.settle(&db)?;
        db.close()
            .map_err(|error| format!("close: {}", describe(&error)))?;
        disk.past.all_durable();
        let db = disk.open()?;
        disk.shows(&db)?;
        drop(db);
        aftermath::remove(&disk.store()).map_err(|error| error.to_string())?;
        Ok(disk.seen)
    }

    fn store(&self) -> PathBuf {
        self.dir.join("db")
    }

    fn open(&self) -> Result<Lsm, String> {
        Lsm::open_with(self.store(), self.config.clone())
            .map_err(|error| format!("open: {}", describe(&error)))
    }

    fn remove(&self, name: &str) -> Result<(), String> {
        std::fs::remove_file(self.dir.join(name)).map_err(|error| format!("{name}: {error}"))
    }

    /// Writes once. Returns whether there was room.
    fn write(&mut self, db: &Lsm) -> Result<bool, String> {
        self.number += 1;
        let mut value = self.number.to_string().into_bytes();
        value.resize(value.len() + 500 + self.random.below(5000), b'v');
        let write: Write = (key(self.random.below(3000)), Some(value.clone()));
        match db.put(&write.0, value) {
            Ok(()) => {
                self.past.acknowledged(write);
                self.seen.acknowledged += 1;
                Ok(true)
            }
            Err(error) if is_full(&error) => {
                self.seen.refused += 1;
                Ok(false)
            }
            Err(error) => Err(format!("on a full disk: {}", describe(&error))),
        }
    }

    /// Until one write after another is refused; all that was acknowledged is read then.
    fn fill(&mut self, db: &Lsm) -> Result<(), String> {
        let mut refusals = 0;
        while refusals < REFUSALS_MAX {
            refusals = match self.write(db)? {
                true => 0,
                false => refusals + 1,
            };
        }
        self.shows(db)
    }

    fn shows(&self, db: &Lsm) -> Result<(), String> {
        check(db, &self.past.visible).map_err(|error| describe(&*error))
    }

    /// Room is made, and the same handle takes writes again, by itself.
    fn resume(&mut self, db: &Lsm, ballast: &str) -> Result<(), String> {
        self.remove(ballast)?;
        let mut tries = 1;
        while !self.write(db)? {
            if tries == TRIES_MAX {
                let state = self.state(db);
                return Err(format!("there is room, and no write goes through; {state}"));
            }
            tries += 1;
            std::thread::sleep(TRY_PAUSE);
        }
        self.seen.tries = self.seen.tries.max(tries);
        self.shows(db)
    }

    /// For a message: what there is, and what takes the room.
    fn state(&self, db: &Lsm) -> String {
        let files = crate::directory::read(&lsm_fs::RealFs::new(), self.dir).unwrap_or_default();
        let files = files
            .iter()
            .map(|(name, bytes)| format!("{name}: {}", bytes.len()));
        let files: Vec<String> = files.collect();
        format!(
            "{:?} bytes are free beside {}\n{}",
            free_bytes(self.dir),
            files.join(", "),
            db.stats()
        )
    }

    /// Flushes, which may still be told of a try that found no room.
    fn settle(&mut self, db: &Lsm) -> Result<(), String> {
        for _ in 0..TRIES_MAX {
            match db.flush() {
                Ok(()) => {
                    self.past.all_durable();
                    return self.shows(db);
                }
                Err(error) if is_full(&error) => std::thread::sleep(TRY_PAUSE),
                Err(error) => return Err(format!("flush: {}", describe(&error))),
            }
        }
        Err(format!(
            "there is room, and no flush goes through; {}",
            self.state(db)
        ))
    }

    fn recovered(&mut self, db: &Lsm) -> Result<(), String> {
        let found: Model = contents(db).map_err(|error| describe(&error))?;
        self.past.explain(&found)?;
        self.past.visible = found;
        self.past.all_durable();
        self.shows(db)
    }
}

/// What was acknowledged: many large values, of which there is to be no copy for each write.
#[derive(Default)]
struct Past {
    is_logged: bool,
    visible: Model,
    /// What was flushed, and the writes since; kept only without a log.
    flushed: Model,
    since: Vec<Write>,
}

impl Past {
    fn acknowledged(&mut self, write: Write) {
        apply(&mut self.visible, std::slice::from_ref(&write));
        if !self.is_logged {
            self.since.push(write);
        }
    }

    fn all_durable(&mut self) {
        self.since.clear();
        if !self.is_logged {
            self.flushed = self.visible.clone();
        }
    }

    /// With a log all that was acknowledged is there after the handle is gone, without one all up to
    /// some write since the last flush.
    fn explain(&self, found: &Model) -> Result<(), String> {
        let mut state = match self.is_logged {
            true => self.visible.clone(),
            false => self.flushed.clone(),
        };
        let mut since = self.since.iter();
        while state != *found {
            let next = since.next().ok_or_else(|| {
                format!(
                    "{} entries are found, of {} that were acknowledged, or not those",
                    found.len(),
                    self.visible.len()
                )
            })?;
            apply(&mut state, [next]);
        }
        Ok(())
    }
}

/// Fills the disk to the last byte.
fn fill_the_rest(dir: &Path, name: &str) -> Result<(), String> {
    let rest = dir.join(name);
    let mut file = std::fs::File::create(&rest).map_err(|error| error.to_string())?;
    for bytes in [64 << 10, 4096, 1] {
        let filled = loop {
            match file.write_all(&vec![1; bytes]) {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        if filled.kind() != ErrorKind::StorageFull {
            return Err(format!("the rest: {filled}"));
        }
    }
    match free_bytes(dir) {
        Ok(0) => Ok(()),
        Ok(free) => Err(format!("{free} bytes are free on a full disk")),
        Err(error) => Err(format!("statvfs: {error}")),
    }
}

fn free_bytes(dir: &Path) -> io::Result<u64> {
    let free = rustix::fs::statvfs(dir)?;
    Ok(free.f_bavail * free.f_frsize)
}

fn is_full(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::StorageFull)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(is_logged: bool) -> Past {
        let mut past = Past {
            is_logged,
            ..Past::default()
        };
        for number in 0..4 {
            if number == 2 && !is_logged {
                past.all_durable();
            }
            past.acknowledged((key(number), Some(vec![1])));
        }
        past
    }

    #[test]
    fn a_log_keeps_all_that_was_acknowledged_and_no_log_all_up_to_a_write_since_the_flush() {
        let first = |count: usize| -> Model { (0..count).map(|at| (key(at), vec![1])).collect() };
        for count in 0..=4 {
            let is_explained = |is_logged| past(is_logged).explain(&first(count)).is_ok();
            assert_eq!(is_explained(true), count == 4, "{count}");
            assert_eq!(is_explained(false), count >= 2, "{count}");
        }
        let mut hole = first(4);
        hole.remove(&key(2));
        assert!(past(false).explain(&hole).is_err());
    }
}
