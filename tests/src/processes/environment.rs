//! What an environment does to a store that is open: it moves, replaces and removes the directory,
//! changes the working directory, forks, starts other programs, takes files and rights away; and it
//! comes with directories that are old or copied.
//!
//! Called by `cargo xtask processes`, part by part, and for a short cut of each by the tests. A
//! [`Puppet`] is a real process with the store open on a real directory; here is what was promised to
//! it, and what of that must be there afterwards.

mod copies;
mod descent;
mod directories;
mod limits;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lsm_db::Lsm;

use super::life::Program;
use super::puppet::{Puppet, Refused};
use crate::describe;
use crate::directory::{Files, read};
use crate::model::{Model, contents};
use crate::random::Random;

/// Bytes of a value: some hundred of them fill a memtable of a puppet.
const VALUE_BYTES: usize = 150;

/// What is to be done.
#[derive(Debug)]
pub struct Options {
    /// How puppets are started.
    pub program: Program,
    /// A folder for the stores.
    pub dir: PathBuf,
    /// The seed of all that is drawn.
    pub seed: u64,
    /// How often a part is repeated, each time with other choices.
    pub rounds: u32,
}

/// A part: how it went, in a sentence.
type Play = fn(&mut Scene) -> Result<Seen, String>;

/// What was seen of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// What was counted, by its name.
    pub counts: BTreeMap<&'static str, u64>,
    /// Why it, or some of it, was left out.
    pub left_out: Option<String>,
}

const PARTS: [(&str, Play); 12] = [
    ("chdir", directories::chdir),
    ("rename", directories::rename),
    ("replace", directories::replace),
    ("remove", directories::remove),
    ("lock-removed", directories::lock_removed),
    ("fork", descent::fork),
    ("spawn", descent::spawn),
    ("open-files", limits::open_files),
    ("file-size", limits::file_size),
    ("read-only", limits::read_only),
    ("old", copies::old),
    ("copied", copies::copied),
];

/// The names of the parts.
pub fn names() -> impl Iterator<Item = &'static str> {
    PARTS.into_iter().map(|(name, _)| name)
}

/// Plays a part `options.rounds` times.
///
/// # Errors
/// The first promise that is broken.
pub fn play(name: &str, options: &Options) -> Result<Seen, String> {
    let part = PARTS.iter().find(|(part, _)| *part == name);
    let (_, part) = part.ok_or_else(|| format!("no part `{name}`"))?;
    let mut all = Seen::default();
    for round in 0..options.rounds {
        let dir = options.dir.join(format!("{name}-{round}"));
        std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let mut scene = Scene {
            program: options.program.clone(),
            random: Random::new(options.seed.wrapping_add(u64::from(round))),
            dir,
            next: 0,
            seen: Seen::default(),
        };
        let seen = part(&mut scene).map_err(|error| format!("round {round}: {error}"))?;
        seen.counts
            .into_iter()
            .for_each(|(name, count)| *all.counts.entry(name).or_default() += count);
        if seen.left_out.is_some() {
            all.left_out = seen.left_out;
            return Ok(all);
        }
        let removed = std::fs::remove_dir_all(&scene.dir);
        removed.map_err(|error| format!("{}: {error}", scene.dir.display()))?;
    }
    Ok(all)
}

/// Where a part is played once.
struct Scene {
    program: Program,
    random: Random,
    dir: PathBuf,
    /// The number of the next key: each is written once.
    next: u64,
    seen: Seen,
}

/// What was promised of a store.
#[derive(Debug, Clone, Default)]
struct Promised {
    /// Acknowledged as durable.
    sure: Model,
    /// Refused, or under way when the process died: there or not.
    maybe: Model,
}

impl Scene {
    fn start(&self) -> Result<Puppet, String> {
        Puppet::start(&self.program, &[])
    }

    fn count(&mut self, name: &'static str, more: u64) {
        *self.seen.counts.entry(name).or_default() += more;
    }

    /// A folder of the scene, which is made.
    fn folder(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.dir.join(name);
        let made = std::fs::create_dir_all(&folder);
        made.map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder)
    }

    /// The next write, acknowledged or refused.
    fn put(
        &mut self,
        puppet: &mut Puppet,
        told: &mut Promised,
    ) -> Result<Result<(), Refused>, String> {
        let key = format!("k{:06}", self.next);
        self.next += 1;
        let value = format!(
            "{key}:{:x>len$}",
            self.random.below(1000),
            len = VALUE_BYTES
        );
        let command = format!("put {key} {value}");
        let (key, value) = (key.into_bytes(), value.into_bytes());
        told.maybe.insert(key.clone(), value.clone());
        let answer = puppet.ask(&command)?;
        if answer.is_ok() {
            told.maybe.remove(&key);
            told.sure.insert(key, value);
            self.count("writes", 1);
        }
        Ok(answer.map(drop))
    }

    /// Some writes, all acknowledged.
    fn puts(
        &mut self,
        puppet: &mut Puppet,
        told: &mut Promised,
        count: usize,
    ) -> Result<(), String> {
        for _ in 0..count {
            let answer = self.put(puppet, told)?;
            answer.map_err(|refused| format!("a put is refused: {}", refused.text))?;
        }
        Ok(())
    }

    /// How many writes: a few, which stay in memory, or as many as go through flushes and compactions.
    fn some(&mut self) -> usize {
        match self.random.below(2) {
            0 => 1 + self.random.below(20),
            _ => 300 + self.random.below(400),
        }
    }

    /// A store in `dir` with something in it, that was closed.
    fn closed_store(&mut self, dir: &Path) -> Result<Promised, String> {
        let mut told = Promised::default();
        let count = self.some();
        let mut puppet = self.start()?;
        puppet.open(dir)?;
        self.puts(&mut puppet, &mut told, count)?;
        puppet.must("close")?;
        Ok(told)
    }

    /// Opens what is there, and holds it against what was promised.
    fn check(&mut self, dir: &Path, told: &Promised) -> Result<(), String> {
        let in_dir = |error: String| format!("{}: {error}", dir.display());
        let db = Lsm::open(dir).map_err(|error| in_dir(describe(&error)))?;
        let found = contents(&db).map_err(|error| in_dir(describe(&error)))?;
        told.check(&found).map_err(in_dir)?;
        db.close().map_err(|error| in_dir(describe(&error)))?;
        self.count("entries compared", found.len() as u64);
        Ok(())
    }
}

impl Promised {
    fn check(&self, found: &Model) -> Result<(), String> {
        let name = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        for (key, value) in &self.sure {
            match found.get(key) {
                Some(there) if there == value => {}
                Some(_) => return Err(format!("{} has another value", name(key))),
                None => return Err(format!("{} was acknowledged, and is gone", name(key))),
            }
        }
        let was_asked = |key: &Vec<u8>, value: &Vec<u8>| {
            self.sure.contains_key(key) || self.maybe.get(key) == Some(value)
        };
        match found.iter().find(|(key, value)| !was_asked(key, value)) {
            Some((key, _)) => Err(format!("{} is there, and was never written", name(key))),
            None => Ok(()),
        }
    }
}

/// All files of a directory, byte for byte.
fn files(dir: &Path) -> Result<Files, String> {
    read(&lsm_fs::RealFs::new(), dir).map_err(|error| format!("{}: {error}", dir.display()))
}

/// Fails if a directory is not as it was.
fn is_untouched(dir: &Path, before: &Files) -> Result<(), String> {
    let after = files(dir)?;
    match *before == after {
        true => Ok(()),
        false => Err(format!(
            "{} is another store's, and was changed: {:?} were there, {:?} are",
            dir.display(),
            before.keys().collect::<Vec<_>>(),
            after.keys().collect::<Vec<_>>()
        )),
    }
}

/// Copies the files of a directory, one after another, as `cp -r` does; it may change meanwhile.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("copy {}: {error}", from.display());
    std::fs::create_dir_all(to).map_err(failed)?;
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        match std::fs::copy(entry.path(), to.join(entry.file_name())) {
            // Unlinked meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            copied => drop(copied.map_err(failed)?),
        }
    }
    Ok(())
}
