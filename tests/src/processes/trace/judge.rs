//! What a trace must show: that no promise was made before the disk could keep it.
//!
//! 1. What was acknowledged as durable was in a segment that had been synced since, whose name had
//!    been synced in its directory; and so was every older write of the log that was still needed.
//! 2. A file was unlinked only when the manifest on the disk (its content as of its last sync, under
//!    a name whose directory had been synced since) did not need it.
//! 3. No manifest was synced, or took its name, while a run that it names was not yet durable.
//! 4. Files were only ever appended to, and renamed only once they were synced.
//!
//! Fed with the events of a trace that begins before the store exists. What acknowledgements and
//! manifests mean it is told. A call on a file of the store that it does not know is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use lsm_version::FileKind;

use super::files::{FileId, FileState, LogWrite, Syncing};
use super::meaning::{Meaning, Named, Promise};
use super::{Event, path_of_descriptor, unquoted};
use crate::processes::record::Record;

/// What was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Acknowledgements that promised something.
    pub acknowledgements: u32,
    /// Unlinked runs, sidecars and segments.
    pub unlinked: u32,
    /// Manifests held against the runs they name.
    pub manifests: u32,
    /// Writes to the log.
    pub log_writes: u32,
}

const MANIFEST: &str = "MANIFEST";

/// The calls that only look, or close.
const HARMLESS: [&str; 16] = [
    "read",
    "pread64",
    "lseek",
    "fstat",
    "newfstatat",
    "statx",
    "stat",
    "lstat",
    "close",
    "flock",
    "getdents64",
    "fcntl",
    "access",
    "faccessat2",
    "mkdir",
    "mkdirat",
];

/// Judges a trace of a store in `dir`, an absolute path without links in it.
///
/// # Errors
/// The first promise that is broken, with its line; or a line that is not understood.
pub fn judge(events: &[Event], dir: &Path, meaning: &dyn Meaning) -> Result<Checked, String> {
    let mut judge = Judge {
        dir: dir.display().to_string(),
        meaning,
        files: Vec::new(),
        names: BTreeMap::new(),
        ghosts: BTreeMap::new(),
        unsynced_names: BTreeSet::new(),
        durable_manifest: None,
        syncing: BTreeMap::new(),
        log: Vec::new(),
        unread: Vec::new(),
        begun: BTreeMap::new(),
        checked: Checked::default(),
    };
    for event in events {
        judge
            .take(event)
            .map_err(|error| format!("line {}: {}: {error}", event.line, event.call.name))?;
    }
    Ok(judge.checked)
}

struct Judge<'a> {
    dir: String,
    meaning: &'a dyn Meaning,
    files: Vec<FileState>,
    /// The names in the directory.
    names: BTreeMap<String, FileId>,
    /// Files that had these names last.
    ghosts: BTreeMap<String, FileId>,
    /// Names that came since the directory was last synced.
    unsynced_names: BTreeSet<String>,
    durable_manifest: Option<FileId>,
    /// By thread.
    syncing: BTreeMap<u32, Syncing>,
    log: Vec<LogWrite>,
    /// Of what was said, the part that is no whole record yet.
    unread: Vec<u8>,
    /// By lane, how long the log was when its action began.
    begun: BTreeMap<u8, usize>,
    checked: Checked,
}

impl Judge<'_> {
    fn take(&mut self, event: &Event) -> Result<(), String> {
        let arguments = &event.call.arguments;
        let first = arguments.first().map(String::as_str).unwrap_or_default();
        // The one socket of a child is its way to its parent.
        let is_said = event.call.name == "write"
            && path_of_descriptor(first).is_some_and(|path| path.starts_with("socket:"));
        if is_said {
            return match &event.outcome {
                // Who hears it may act on it from its beginning on.
                None => self.hear(argument(event, 1)?),
                Some(_) => Ok(()),
            };
        }
        if !arguments.iter().any(|text| text.contains(&self.dir)) {
            return Ok(());
        }
        match event.call.name.as_str() {
            "open" | "openat" => self.open(event),
            "pwrite64" => self.write(event, first),
            "fdatasync" | "fsync" => self.sync(event, first),
            "rename" | "renameat" | "renameat2" => self.rename(event),
            "unlink" | "unlinkat" => self.unlink(event),
            "ftruncate" => self.truncate(event, first),
            "fallocate" => self.allocate(first),
            "mmap" if !arguments.iter().any(|text| text.contains("MAP_SHARED")) => Ok(()),
            name if HARMLESS.contains(&name) => Ok(()),
            _ => Err("a call on the store that is not understood".to_owned()),
        }
    }

    /// The name in the store's directory, "" of the directory itself; `None` of anything else.
    fn name_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&self.dir)?;
        match rest.strip_prefix('/') {
            Some(name) => Some(name),
            None => rest.is_empty().then_some(""),
        }
    }

    fn open(&mut self, event: &Event) -> Result<(), String> {
        let Some(Ok(_)) = event.outcome else {
            return Ok(());
        };
        let path = paths(event)?.into_iter().next().ok_or("no path")?;
        let flags = event
            .call
            .arguments
            .iter()
            .find(|text| text.starts_with("O_"));
        let flags: Vec<&str> = flags.ok_or("no flags")?.split('|').collect();
        let Some(name) = self.name_of(&path) else {
            return Ok(());
        };
        if kind(name) == FileKind::Lock {
            return Ok(());
        }
        match (flags.contains(&"O_CREAT"), flags.contains(&"O_EXCL")) {
            (true, true) => {}
            (false, _) if flags.contains(&"O_RDONLY") => return Ok(()),
            _ => return Err(format!("{name} is opened to be overwritten")),
        }
        self.files.push(FileState::default());
        self.names.insert(name.to_owned(), self.files.len() - 1);
        self.unsynced_names.insert(name.to_owned());
        Ok(())
    }

    fn file_of(&self, descriptor: &str) -> Result<(FileId, String), String> {
        let path = path_of_descriptor(descriptor).ok_or("no path")?;
        let name = self.name_of(path).ok_or("not in the store")?;
        let file = self.names.get(name).or_else(|| self.ghosts.get(name));
        let file = file.ok_or_else(|| format!("{name}, which was never created"))?;
        Ok((*file, name.to_owned()))
    }

    fn state(&mut self, file: FileId) -> Result<&mut FileState, String> {
        self.files.get_mut(file).ok_or_else(|| "no file".to_owned())
    }

    fn write(&mut self, event: &Event, descriptor: &str) -> Result<(), String> {
        let (file, name) = self.file_of(descriptor)?;
        let offset: u64 = argument(event, 3)?.parse().map_err(|_| "no offset")?;
        let state = self.state(file)?;
        let Some(outcome) = &event.outcome else {
            if offset != state.len {
                return Err(format!(
                    "{name} is not appended to, but written at {offset}"
                ));
            }
            if state.is_writing {
                return Err(format!("{name} is written by two at once"));
            }
            state.is_writing = true;
            return Ok(());
        };
        state.is_writing = false;
        let Ok(written) = outcome else {
            return Ok(());
        };
        state.len += written;
        state.writes += 1;
        let number = state.writes;
        let kind = kind(&name);
        let is_manifest = matches!(kind, FileKind::Manifest | FileKind::ManifestTemp);
        let is_log = matches!(kind, FileKind::Segment(_) | FileKind::SegmentTemp(_));
        if !is_manifest && !is_log {
            return Ok(());
        }
        let mut bytes = unquoted(argument(event, 1)?)?;
        bytes.truncate(usize::try_from(*written).unwrap_or(usize::MAX));
        if is_manifest {
            state.content.extend(bytes);
        } else {
            self.checked.log_writes += 1;
            self.log.push(LogWrite {
                file,
                name,
                number,
                bytes,
            });
        }
        Ok(())
    }

    fn sync(&mut self, event: &Event, descriptor: &str) -> Result<(), String> {
        let path = path_of_descriptor(descriptor).ok_or("no path")?;
        let is_directory = self.name_of(path) == Some("");
        let Some(outcome) = &event.outcome else {
            let begun = match is_directory {
                true => Syncing::Directory {
                    names: self.unsynced_names.clone(),
                    manifest: self.names.get(MANIFEST).copied(),
                },
                false => self.begin_file_sync(descriptor)?,
            };
            self.syncing.insert(event.thread, begun);
            return Ok(());
        };
        let begun = self.syncing.remove(&event.thread).ok_or("no beginning")?;
        if outcome.is_err() {
            return Ok(());
        }
        match begun {
            Syncing::Directory { names, manifest } => {
                self.unsynced_names.retain(|name| !names.contains(name));
                self.durable_manifest = manifest;
            }
            Syncing::File { writes, len } => {
                let (file, _) = self.file_of(descriptor)?;
                let state = self.state(file)?;
                state.synced = state.synced.max(writes);
                state.synced_len = state.synced_len.max(len);
            }
        }
        Ok(())
    }

    fn begin_file_sync(&mut self, descriptor: &str) -> Result<Syncing, String> {
        let (file, name) = self.file_of(descriptor)?;
        let state = self.state(file)?;
        let begun = Syncing::File {
            writes: state.writes,
            len: state.content.len(),
        };
        if matches!(kind(&name), FileKind::Manifest | FileKind::ManifestTemp) {
            let content = state.content.clone();
            self.check_runs(&content)?;
        }
        Ok(begun)
    }

    /// Rule 3.
    fn check_runs(&mut self, manifest: &[u8]) -> Result<(), String> {
        self.checked.manifests += 1;
        let named = self.meaning.named(manifest, &BTreeSet::new())?;
        for id in named.runs {
            let name = lsm_version::run_file_name(id).to_string();
            let file = self.names.get(&name);
            let state = file.and_then(|file| self.files.get(*file));
            let state = state.ok_or_else(|| format!("{name} is named and does not exist"))?;
            if !state.is_synced() {
                return Err(format!("{name} is named before it is synced"));
            }
            if self.unsynced_names.contains(&name) {
                return Err(format!("{name} is named before its directory is synced"));
            }
        }
        Ok(())
    }

    fn rename(&mut self, event: &Event) -> Result<(), String> {
        let paths = paths(event)?;
        let [from, to] = &paths[..] else {
            return Err("not two paths".to_owned());
        };
        let (from, to) = (self.name_of(from), self.name_of(to));
        let (from, to) = from.zip(to).ok_or("into the store, or out of it")?;
        match &event.outcome {
            None => {
                let file = self.names.get(from).ok_or("of what was never created")?;
                let state = self.files.get(*file).ok_or("no file")?;
                let is_hint = matches!(kind(from), FileKind::RunSidecarTemp(_));
                if !state.is_synced() && !is_hint {
                    return Err(format!("{from} gets its name before it is synced"));
                }
            }
            Some(Ok(_)) => {
                let file = self.names.remove(from).ok_or("of what was never created")?;
                if let Some(replaced) = self.names.insert(to.to_owned(), file) {
                    self.ghosts.insert(to.to_owned(), replaced);
                }
                self.unsynced_names.remove(from);
                self.unsynced_names.insert(to.to_owned());
                for write in self.log.iter_mut().filter(|write| write.file == file) {
                    to.clone_into(&mut write.name);
                }
            }
            Some(Err(_)) => {}
        }
        Ok(())
    }

    /// Rule 2.
    fn unlink(&mut self, event: &Event) -> Result<(), String> {
        let path = paths(event)?.into_iter().next().ok_or("no path")?;
        let name = self.name_of(&path).ok_or("not in the store")?.to_owned();
        if let Some(outcome) = &event.outcome {
            if outcome.is_ok() {
                let file = self.names.remove(&name).ok_or("never created")?;
                self.ghosts.insert(name.clone(), file);
                self.unsynced_names.remove(&name);
            }
            return Ok(());
        }
        let kind = kind(&name);
        if kind.is_temporary() {
            return Ok(());
        }
        if self.names.get(MANIFEST) != self.durable_manifest.as_ref() {
            return Err(format!(
                "{name} is unlinked, and the directory of a new manifest is not synced"
            ));
        }
        let is_needed = match kind {
            FileKind::Run(id) | FileKind::RunSidecar(id) => {
                self.durable(&BTreeSet::new())?.runs.contains(&id)
            }
            FileKind::Segment(id) => self.durable(&BTreeSet::from([id]))?.segments.contains(&id),
            _ => return Err(format!("{name} is never unlinked")),
        };
        self.checked.unlinked += 1;
        match is_needed {
            true => Err(format!(
                "{name} is unlinked, and the durable manifest needs it"
            )),
            false => Ok(()),
        }
    }

    /// What the manifest names that a power cut would leave.
    fn durable(&self, segments: &BTreeSet<u64>) -> Result<Named, String> {
        let manifest = self.durable_manifest.ok_or("no manifest is durable")?;
        let state = self.files.get(manifest).ok_or("no file")?;
        let content = state.content.get(..state.synced_len).unwrap_or_default();
        self.meaning.named(content, segments)
    }

    fn truncate(&mut self, event: &Event, descriptor: &str) -> Result<(), String> {
        let (file, name) = self.file_of(descriptor)?;
        let len: u64 = argument(event, 1)?.parse().map_err(|_| "no length")?;
        if len < self.state(file)?.len {
            return Err(format!("{name} is cut to {len} bytes"));
        }
        Ok(())
    }

    fn allocate(&mut self, descriptor: &str) -> Result<(), String> {
        let (_, name) = self.file_of(descriptor)?;
        match kind(&name) {
            FileKind::Segment(_) => Ok(()),
            _ => Err(format!("{name} is preallocated")),
        }
    }

    fn hear(&mut self, quoted: &str) -> Result<(), String> {
        self.unread.extend(unquoted(quoted)?);
        while let Some(record) = Record::take(&mut self.unread)? {
            if let Record::Begin { lane, .. } = record {
                self.begun.insert(lane, self.log.len());
            }
            match self.meaning.promise(&record) {
                Promise::Nothing => continue,
                Promise::Durable(bytes) => self.check_written(&record, &bytes)?,
                Promise::AllBefore => {
                    let Record::End { lane, .. } = record else {
                        return Err("a promise without a lane".to_owned());
                    };
                    let until = self
                        .begun
                        .get(&lane)
                        .copied()
                        .ok_or("an answer to nothing")?;
                    self.check_log(until)?;
                }
            }
            self.checked.acknowledgements += 1;
        }
        Ok(())
    }

    /// Rule 1.
    fn check_written(&self, record: &Record, bytes: &[u8]) -> Result<(), String> {
        let holds = |write: &LogWrite| write.bytes.windows(bytes.len()).any(|part| part == bytes);
        let at = self.log.iter().rposition(holds).ok_or_else(|| {
            format!("{record:?}: what was acknowledged was never written to the log")
        })?;
        self.check_log(at + 1)
            .map_err(|error| format!("{record:?}: {error}"))
    }

    /// All of the first `count` writes to the log are durable, or not needed any more.
    fn check_log(&self, count: usize) -> Result<(), String> {
        let undurable = self
            .log
            .iter()
            .take(count)
            .filter(|write| !self.is_durable(write));
        for write in undurable {
            let FileKind::Segment(id) = kind(&write.name) else {
                return Err(format!("{} was not synced", write.name));
            };
            let needed = self.durable(&BTreeSet::from([id]))?;
            if needed.segments.contains(&id) {
                return Err(format!(
                    "it was acknowledged before {} or its name was synced",
                    write.name
                ));
            }
        }
        Ok(())
    }

    fn is_durable(&self, write: &LogWrite) -> bool {
        let state = self.files.get(write.file);
        let is_synced = state.is_some_and(|state| state.synced >= write.number);
        is_synced && !self.unsynced_names.contains(&write.name)
    }
}

fn kind(name: &str) -> FileKind {
    FileKind::of(OsStr::new(name))
}

fn argument(event: &Event, at: usize) -> Result<&str, String> {
    let argument = event.call.arguments.get(at);
    argument
        .map(String::as_str)
        .ok_or_else(|| "too few arguments".to_owned())
}

/// The paths of a call. A name behind a directory's descriptor is in that directory, whatever the
/// working directory is.
fn paths(event: &Event) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    let mut directory = None;
    for argument in &event.call.arguments {
        if argument.starts_with('"') {
            let directory = Path::new(directory.unwrap_or_default());
            paths.push(directory.join(text(argument)?).display().to_string());
        } else {
            directory = path_of_descriptor(argument);
        }
    }
    Ok(paths)
}

fn text(quoted: &str) -> Result<String, String> {
    String::from_utf8(unquoted(quoted)?).map_err(|error| error.to_string())
}
