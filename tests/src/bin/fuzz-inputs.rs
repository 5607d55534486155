//! The inputs of the fuzz targets as files: writes those that are made by code, and adds the few that
//! show what no committed one does, out of a corpus, or out of mutations where there is no fuzzer.
//!
//! ```text
//! fuzz-inputs seeds TARGET FOLDER
//! fuzz-inputs pick TARGET CORPUS FOLDER
//! fuzz-inputs search TARGET COUNT SEED FOLDER
//! fuzz-inputs try TARGET FILE..
//! ```
//!
//! Called by `cargo xtask fuzz`, and by hand. Overwrites nothing else in the folder.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program: it prints what it did, and its folders are real"
)]

use std::path::Path;

use lsm_tests::fuzz::{Target, Told, committed, mutated, seeds};
use lsm_tests::random::Random;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Longer inputs are not picked: they are committed.
const PICKED_BYTES_MAX: usize = 4096;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["seeds", target, folder] => write_seeds(target.parse()?, Path::new(folder)),
        ["pick", target, corpus, folder] => {
            let mut inputs = Vec::new();
            for entry in std::fs::read_dir(corpus)? {
                inputs.push(std::fs::read(entry?.path())?);
            }
            inputs.retain(|input| input.len() <= PICKED_BYTES_MAX);
            inputs.sort_by_key(Vec::len);
            keep_new(target.parse()?, inputs.into_iter(), Path::new(folder))
        }
        ["search", target, count, seed, folder] => {
            let target: Target = target.parse()?;
            let (count, mut random) = (count.parse()?, Random::new(seed.parse()?));
            let mut known = seeds(target)?;
            known.extend(committed(target)?);
            let mutations = (0..count).map(|_: u64| mutated(&known, &mut random));
            keep_new(target, mutations, Path::new(folder))
        }
        ["try", target, files @ ..] => try_files(target.parse()?, files),
        _ => Err("seeds, pick, search or try; the source says with what".into()),
    }
}

fn write_seeds(target: Target, folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder)?;
    for input in seeds(target)? {
        std::fs::write(folder.join(&input.name), &input.bytes)?;
    }
    Ok(())
}

/// Writes each input that shows what none before it did, nor any committed one; cut as short as it
/// may be to show the same.
fn keep_new(target: Target, inputs: impl Iterator<Item = Vec<u8>>, folder: &Path) -> Outcome {
    let mut told = Told::default();
    for input in committed(target)? {
        told.extend(&target.hold(&input.bytes)?);
    }
    for bytes in inputs {
        let broken = |broken| format!("{bytes:02x?}: {broken}");
        let more = target.hold(&bytes).map_err(broken)?;
        let is_new = |said: &(&str, &str)| !told.all().any(|known| known == *said);
        let Some(new) = more.all().find(is_new) else {
            continue;
        };
        let bytes = shortened(target, bytes, new);
        told.extend(&target.hold(&bytes)?);
        let name = format!("{} {}", new.0, new.1);
        let words = name.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let name = words.join("-").to_ascii_lowercase();
        println!("{name}: {} bytes", bytes.len());
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// The input with as many bytes left out, in pieces that halve, as it can do without.
fn shortened(target: Target, mut bytes: Vec<u8>, shows: (&str, &str)) -> Vec<u8> {
    let still = |bytes: &[u8]| {
        let told = target.hold(bytes);
        told.is_ok_and(|told| told.all().any(|said| said == shows))
    };
    let mut piece = bytes.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < bytes.len() {
            let end = (at + piece).min(bytes.len());
            let shorter = [&bytes[..at], &bytes[end..]].concat();
            match still(&shorter) {
                true => bytes = shorter,
                false => at = end,
            }
        }
        piece /= 2;
    }
    bytes
}

fn try_files(target: Target, files: &[&str]) -> Outcome {
    for file in files {
        let told = target.hold(&std::fs::read(file)?);
        let told = told.map_err(|broken| format!("{file}: {broken}"))?;
        println!("{file}: {:?}", told.all().collect::<Vec<_>>());
    }
    Ok(())
}
