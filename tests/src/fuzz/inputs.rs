//! Inputs of the targets: made by code, committed, and mutated by a seeded generator.
//!
//! Called by the test binary `fuzz` and by the program `fuzz-inputs`. Reads the folder of committed
//! inputs and writes nothing.

use std::io;
use std::path::{Path, PathBuf};

use super::{Target, directory, manifest, operations, run, segment, sidecar};
use crate::random::Random;

/// An input and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name, also that of its file.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// Longer than this no input is made.
const LEN_MAX: usize = 4096;

/// What is sound, made from small stores, and a few choices of each way.
///
/// # Errors
/// The engine's, if a small store cannot be made.
pub fn seeds(target: Target) -> Result<Vec<Input>, String> {
    let seeds = match target {
        Target::Run => run::seeds()?,
        Target::Sidecar => sidecar::seeds()?,
        Target::Segment => segment::seeds()?,
        Target::Manifest => manifest::seeds()?,
        Target::Directory => directory::seeds(),
        Target::Operations => operations::seeds(),
    };
    let input = |(name, bytes)| Input { name, bytes };
    Ok(seeds.into_iter().map(input).collect())
}

/// The folder of the inputs that are committed: `fuzz/inputs/<target>`.
fn folder(target: Target) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../fuzz/inputs").join(target.name())
}

/// The inputs that are committed, in order of name.
///
/// # Errors
/// The file system's.
pub fn committed(target: Target) -> io::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(folder(target))? {
        let entry = entry?;
        inputs.push(Input {
            name: entry.file_name().to_string_lossy().into_owned(),
            bytes: std::fs::read(entry.path())?,
        });
    }
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inputs)
}

/// One of the inputs, changed in a few places as the seed says.
pub fn mutated(inputs: &[Input], random: &mut Random) -> Vec<u8> {
    if inputs.is_empty() {
        return Vec::new();
    }
    let mut bytes = inputs[random.below(inputs.len())].bytes.clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let len = 1 + random.below(8);
        let end = (at + len).min(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => {
                let new = random.bytes(len);
                bytes.splice(at..at, new);
            }
            2 => drop(bytes.drain(at..end)),
            3 => {
                let other = &inputs[random.below(inputs.len())].bytes;
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(other.get(from..).unwrap_or_default());
            }
            4 => {
                for byte in &mut bytes[at..end] {
                    *byte = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)];
                }
            }
            _ => {
                for byte in &mut bytes[at..end] {
                    *byte = u8::try_from(random.below(256)).unwrap_or(0);
                }
            }
        }
    }
    bytes.truncate(LEN_MAX);
    bytes
}
