//! A process that does with a store what its parent says, one thing at a time, and answers each.
//!
//! Between two commands the parent plays the environment: it renames, removes or copies what the
//! puppet has open. Started by [`environment`](super::environment); talks through its standard input,
//! which is a socket. Never judges what the store answers.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lsm_db::{Durability, Error, Lsm, LsmConfig};

use super::forked;
use super::life::Program;
use crate::describe;
use crate::model::{Model, contents};

/// The variable of the environment that makes a program a puppet.
pub const VARIABLE: &str = "LSM_TESTS_PUPPET";

/// A puppet that does not answer for so long hangs. No measure of speed.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Bytes of the memtables: small, so that flushes and compactions take part.
const MEMTABLE_BYTES: usize = 16 << 10;

/// Whether this process was started as a puppet.
pub fn is_asked() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Obeys until the parent has nothing more to say.
///
/// # Errors
/// If the parent can't be heard or answered.
pub fn run() -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the puppet's socket: {error}");
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    let mut socket = UnixStream::from(socket.map_err(failed)?);
    let heard = BufReader::new(socket.try_clone().map_err(failed)?);
    let mut puppet = Strings::default();
    for line in heard.lines() {
        let answer = match puppet.obey(&line.map_err(failed)?) {
            Ok(said) => format!("ok {said}\n"),
            Err(error) => {
                let kind = error.downcast_ref::<Error>().map_or("Other", Error::kind);
                format!("err {kind} {}\n", describe(&*error).replace('\n', " "))
            }
        };
        socket.write_all(answer.as_bytes()).map_err(failed)?;
    }
    Ok(())
}

type Obeyed = Result<String, Box<dyn std::error::Error>>;

/// What a puppet hangs on.
#[derive(Default)]
struct Strings {
    db: Option<Lsm>,
    spawners: Option<Spawners>,
}

impl Strings {
    fn obey(&mut self, line: &str) -> Obeyed {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["chdir", dir] => std::env::set_current_dir(dir)?,
            ["open", dir] => self.db = Some(Lsm::open_with(dir, config())?),
            ["open-at-once", dir] => {
                let config = config().lock_timeout(Duration::ZERO);
                self.db = Some(Lsm::open_with(dir, config)?);
            }
            ["put", key, value] => self.db()?.put(key, value)?,
            ["flush"] => self.db()?.flush()?,
            ["sync"] => self.db()?.sync()?,
            ["compact"] => self.db()?.compact_range::<&[u8], _>(..)?,
            ["holds"] => return Ok(written(&contents(self.db()?)?)),
            ["close"] => self.db.take().ok_or("no store is open")?.close()?,
            ["spawn", count] => self.spawners = Some(Spawners::start(count.parse()?)),
            ["spawned"] => {
                let spawners = self.spawners.take().ok_or("nothing spawns")?;
                return Ok(spawners.end().to_string());
            }
            ["fork", way, count] => return Ok(forked::play(self.db()?, way, count.parse()?)?),
            ["close-beside-child", dir] => {
                let db = self.db.take().ok_or("no store is open")?;
                self.db = Some(forked::reopen_beside_child(db, || {
                    Lsm::open_with(dir, config().lock_timeout(Duration::ZERO))
                })?);
            }
            _ => return Err(format!("not a command: {line}").into()),
        }
        Ok(String::new())
    }

    fn db(&self) -> Result<&Lsm, &'static str> {
        self.db.as_ref().ok_or("no store is open")
    }
}

fn config() -> LsmConfig {
    LsmConfig::new()
        .memtable_capacity(MEMTABLE_BYTES)
        .compaction_trigger(3)
        .durability(Durability::Sync)
}

/// Threads that start processes, one after another.
struct Spawners {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<u64>>,
}

impl Spawners {
    fn start(count: usize) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let spawn = |ends: Arc<AtomicBool>| {
            let mut spawned = 0;
            while !ends.load(Ordering::Relaxed) {
                let status = Command::new("true").stdin(Stdio::null()).status();
                spawned += u64::from(status.is_ok());
            }
            spawned
        };
        let threads = (0..count).map(|_| {
            let ends = Arc::clone(&ends);
            std::thread::spawn(move || spawn(ends))
        });
        Self {
            threads: threads.collect(),
            ends,
        }
    }

    /// How many processes were started.
    fn end(self) -> u64 {
        self.ends.store(true, Ordering::Relaxed);
        let counts = self.threads.into_iter().map(|thread| thread.join());
        counts.map(Result::unwrap_or_default).sum()
    }
}

fn written(model: &Model) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let entries = model
        .iter()
        .map(|(key, value)| format!("{}={}", text(key), text(value)));
    entries.collect::<Vec<_>>().join(" ")
}

/// What a store refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The error's [`kind`](Error::kind).
    pub kind: String,
    /// The error.
    pub text: String,
}

/// A puppet, as its parent has it. Killed when dropped.
#[derive(Debug)]
pub struct Puppet {
    child: Child,
    socket: BufReader<UnixStream>,
}

impl Puppet {
    /// Starts one; `wrapper` is put before the program.
    ///
    /// # Errors
    /// The system's.
    pub fn start(program: &Program, wrapper: &[String]) -> Result<Self, String> {
        let (ours, theirs) = UnixStream::pair().map_err(|error| format!("a socket: {error}"))?;
        let limited = ours.set_read_timeout(Some(SILENCE_MAX));
        limited.map_err(|error| format!("a socket: {error}"))?;
        let child = program
            .command(wrapper)
            .env(VARIABLE, "1")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("start {}: {error}", program.path.display()))?;
        Ok(Self {
            child,
            socket: BufReader::new(ours),
        })
    }

    /// Has it do something. Returns what the store said.
    ///
    /// # Errors
    /// If it hangs or has died.
    pub fn ask(&mut self, command: &str) -> Result<Result<String, Refused>, String> {
        let told = writeln!(self.socket.get_mut(), "{command}");
        told.map_err(|error| format!("`{command}`: the puppet is gone: {error}"))?;
        let mut line = String::new();
        match self.socket.read_line(&mut line) {
            Ok(0) => Err(format!("`{command}`: the puppet has died")),
            Ok(_) => Ok(parsed(line.trim_end_matches('\n'))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(format!("`{command}`: the puppet hangs"))
            }
            Err(error) => Err(format!("`{command}`: the puppet has died: {error}")),
        }
    }

    /// Has it do something that must go well.
    ///
    /// # Errors
    /// What the store refused it with.
    pub fn must(&mut self, command: &str) -> Result<String, String> {
        let answer = self.ask(command)?;
        answer.map_err(|refused| format!("`{command}` is refused: {}", refused.text))
    }

    /// Has it open the store in a directory.
    ///
    /// # Errors
    /// As [`must`](Self::must).
    pub fn open(&mut self, dir: &Path) -> Result<(), String> {
        self.must(&format!("open {}", dir.display())).map(drop)
    }

    /// All that its store holds.
    ///
    /// # Errors
    /// As [`must`](Self::must).
    pub fn holds(&mut self) -> Result<Model, String> {
        let said = self.must("holds")?;
        let entries = said.split(' ').filter_map(|entry| entry.split_once('='));
        Ok(entries
            .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect())
    }
}

fn parsed(line: &str) -> Result<String, Refused> {
    match line.split_once(' ') {
        Some(("ok", said)) => Ok(said.to_owned()),
        Some((_, refused)) => {
            let (kind, text) = refused.split_once(' ').unwrap_or((refused, ""));
            Err(Refused {
                kind: kind.to_owned(),
                text: text.to_owned(),
            })
        }
        None => Err(Refused {
            kind: "Other".to_owned(),
            text: format!("not an answer: {line}"),
        }),
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        // SIGKILL, unless it has ended: the store is left as it is.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
