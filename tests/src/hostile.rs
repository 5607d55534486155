//! Hostile files: small stores with one file flipped, cut, lengthened, or forged so that every
//! checksum fits, and what must hold for the codecs and the whole store on each.
//!
//! A [`Case`] names one change and is made again from its name and the seed. [`Sweep`] holds the
//! stores and tries cases. The test binary `hostile` runs a fast cut, `cargo xtask crash` goes on
//! with it for as long as wanted, the test binary `memory` measures. Never touches a real disk.

pub mod codecs;
pub mod edits;
pub mod frames;
pub mod image;
pub mod logs;
pub mod manifests;
pub mod runs;
pub mod seals;
mod sweep;
mod trial;

use std::fmt;
use std::str::FromStr;

pub use sweep::{Sweep, Tally};
pub use trial::Outcome;
pub(crate) use trial::Trial;

/// A kind of file that a store writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A run.
    Run,
    /// A segment of the log.
    Log,
    /// The manifest.
    Manifest,
}

impl FileKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Run, Self::Log, Self::Manifest];

    /// Whether the file of this name is of this kind.
    pub fn has(self, name: &str) -> bool {
        match self {
            Self::Run => name.starts_with("run-0") && name.ends_with(".sst"),
            Self::Log => name.starts_with("wal-") && name.ends_with(".log"),
            Self::Manifest => name == "MANIFEST",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Log => "log",
            Self::Manifest => "manifest",
        }
    }
}

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// A bit is flipped.
    Flip,
    /// The file ends early.
    Cut,
    /// Something follows its end.
    Junk,
    /// Fields are changed as the seed says, and all checksums made to fit.
    Forge,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Flip, Self::Cut, Self::Junk, Self::Forge];

    fn name(self) -> &'static str {
        match self {
            Self::Flip => "flip",
            Self::Cut => "cut",
            Self::Junk => "junk",
            Self::Forge => "forge",
        }
    }
}

/// One changed file: `hostile/<file kind>/<way>-<number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// The kind of file.
    pub kind: FileKind,
    /// What is done to it.
    pub way: Way,
    /// Which one of that: a place for those that can be counted, a draw for a forgery.
    pub number: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, way) = (self.kind.name(), self.way.name());
        write!(f, "hostile/{kind}/{way}-{}", self.number)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (kind, mutation) = text.strip_prefix("hostile/")?.split_once('/')?;
            let (way, number) = mutation.split_once('-')?;
            Some(Self {
                kind: FileKind::ALL
                    .into_iter()
                    .find(|known| known.name() == kind)?,
                way: Way::ALL.into_iter().find(|known| known.name() == way)?,
                number: number.parse().ok()?,
            })
        };
        parse().ok_or_else(|| format!("no case `{text}`"))
    }
}
