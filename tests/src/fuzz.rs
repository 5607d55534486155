//! What the fuzzers run: for each target one function, from an input to what it showed, or to the
//! promise that it broke.
//!
//! The libFuzzer programs in `fuzz/` call [`Target::check`] with whatever a coverage-guided mutator
//! comes up with; the test binary `fuzz` calls it with the committed inputs and a few thousand
//! mutations of them. So the code is the same, and an input that fails in one fails in the other.
//!
//! The first byte of an input says how the others are read: as the bytes of a file as they are; as
//! the same with all checksums made to fit; or as choices, one after the other, for the forgers of
//! [`hostile`](crate::hostile). Never touches a real disk, a clock or a thread.

mod directory;
mod inputs;
mod manifest;
mod operations;
mod run;
mod segment;
mod sidecar;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

pub use inputs::{Input, committed, mutated, seeds};

use crate::hostile::image::Image;

/// A part of the engine that gets hostile input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The run codec: frame, index, blocks, lookups, both cursors, `verify`.
    Run,
    /// The filter codec.
    Sidecar,
    /// Recovery of the log from its segments, and what is written after it.
    Segment,
    /// Replay of the manifest, and commits after it.
    Manifest,
    /// A whole directory, opened by the store.
    Directory,
    /// Operations on a store, with restarts, crashes and faults, against a model.
    Operations,
}

/// What an input showed: which errors were met, each as its variant and its reason, and what went
/// well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told(BTreeSet<(&'static str, &'static str)>);

impl Target {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Run,
        Self::Sidecar,
        Self::Segment,
        Self::Manifest,
        Self::Directory,
        Self::Operations,
    ];

    /// Its name, which is also that of its libFuzzer program and of the folder of its inputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Sidecar => "sidecar",
            Self::Segment => "segment",
            Self::Manifest => "manifest",
            Self::Directory => "directory",
            Self::Operations => "operations",
        }
    }

    /// Makes the small stores that inputs change. The first check would do it; this is for whoever
    /// measures what a check takes.
    ///
    /// # Errors
    /// The engine's, if they cannot be made.
    pub fn prepare(self) -> Result<(), String> {
        images()?;
        directory::bases().map(drop)
    }

    /// Does with the engine what the input says, and holds the outcome against the promises.
    ///
    /// # Errors
    /// The promise that is broken. A panic is one too; see [`hold`](Self::hold).
    pub fn check(self, input: &[u8]) -> Result<Told, String> {
        let mut told = Told::default();
        match self {
            Self::Run => run::check(input, &mut told),
            Self::Sidecar => sidecar::check(input, &mut told),
            Self::Segment => segment::check(input, &mut told),
            Self::Manifest => manifest::check(input, &mut told),
            Self::Directory => directory::check(input, &mut told),
            Self::Operations => operations::check(input, &mut told),
        }?;
        Ok(told)
    }

    /// The same, with a panic as an error.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn hold(self, input: &[u8]) -> Result<Told, String> {
        crate::crash::caught(|| self.check(input))
    }

    /// The most memory that an input of so many bytes may take, in bytes: what there is whatever
    /// the input says, and a multiple of its length. What it states as a length takes nothing.
    pub fn memory_bytes_max(self, input_len: usize) -> usize {
        let fixed = match self {
            // A few choices can make a file of many kilobytes.
            Self::Run | Self::Sidecar | Self::Segment | Self::Manifest => 8 << 20,
            // Stores with memtables, caches and preallocated logs.
            Self::Directory => 16 << 20,
            // And a simulated disk which keeps all that a power cut could bring back: of a store whose
            // merges fail for want of room, every output that was removed since the directory's last sync.
            Self::Operations => 64 << 20,
        };
        fixed + 64 * input_len
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|target| target.name() == name);
        found.ok_or_else(|| format!("no target `{name}`"))
    }
}

impl Told {
    /// Notes it.
    pub(crate) fn tell(&mut self, what: &'static str, reason: &'static str) {
        self.0.insert((what, reason));
    }

    /// Everything that was shown, in order.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.iter().copied()
    }

    /// Adds what another input showed.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.all());
    }
}

/// The first byte of an input, and the rest.
fn split(input: &[u8]) -> (u8, &[u8]) {
    input
        .split_first()
        .map_or((0, input), |(first, rest)| (*first, rest))
}

/// The small stores whose files are forged; always the same.
fn images() -> Result<&'static [Image], String> {
    static IMAGES: OnceLock<Result<Vec<Image>, String>> = OnceLock::new();
    let images = IMAGES.get_or_init(|| Image::all(1).map_err(|error| error.to_string()));
    images.as_deref().map_err(Clone::clone)
}

/// `Err` with what is said, unless it holds.
fn ensure(holds: bool, said: impl FnOnce() -> String) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(said()),
    }
}
