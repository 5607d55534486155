//! Random runs: both write the same bytes for the same entries, and each reads the other's.

use std::collections::BTreeMap;

use lsm_db::format as ours;
use lsm_db_1x::format as theirs;
use lsm_tests::random::Random;

use crate::{Checked, Extent};

type Entries = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Writes and reads as many runs as wanted.
pub(crate) fn check(extent: Extent) -> Checked {
    let mut bytes = 0;
    for number in 0..extent.runs {
        let mut random = Random::new(extent.seed.rotate_left(32) ^ number);
        let entries = draw(&mut random);
        let run = check_run(&entries)
            .map_err(|error| format!("run {number} of seed {}: {error}", extent.seed))?;
        bytes += run.len();
    }
    Ok(format!("{} runs of {bytes} bytes in all", extent.runs))
}

/// Keys and values around the sizes where blocks end, mostly small.
fn draw(random: &mut Random) -> Entries {
    let count = [0, 1, 2, 30, 400][random.below(5)];
    let longest = [4, 40, 600, 4100, 9000][random.below(5)];
    let mut entries = Entries::new();
    for _ in 0..count {
        let key = bytes(random, longest.min(300));
        let value = (!random.one_in(5)).then(|| bytes(random, longest));
        entries.insert(key, value);
    }
    entries
}

fn bytes(random: &mut Random, len_max: usize) -> Vec<u8> {
    let len = random.below(len_max + 1);
    let common = random.below(4) * 8;
    let mut bytes = vec![b'k'; common.min(len)];
    bytes.extend((bytes.len()..len).map(|_| random.draw().to_le_bytes()[3]));
    bytes
}

fn check_run(entries: &Entries) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut our_writer = ours::RunWriter::new();
    let mut their_writer = theirs::RunWriter::new();
    for (key, value) in entries {
        match value {
            Some(value) => {
                our_writer.put(key, value)?;
                their_writer.put(key, value)?;
            }
            None => {
                our_writer.delete(key)?;
                their_writer.delete(key)?;
            }
        }
    }
    let (our_run, their_run) = (our_writer.finish(), their_writer.finish());
    if our_run != their_run {
        return Err("the bytes differ".into());
    }
    we_read(&their_run, entries)?;
    they_read(&our_run, entries)?;
    Ok(our_run)
}

fn we_read(run: &[u8], entries: &Entries) -> Outcome {
    let reader = ours::RunReader::new(run)?;
    let mut read = Entries::new();
    for entry in reader.iter() {
        let (key, entry) = entry?;
        read.insert(key.to_vec(), entry.value().map(<[u8]>::to_vec));
        if reader.get(key)? != Some(entry) {
            return Err("our get differs from our iteration".into());
        }
    }
    match read == *entries && reader.entry_count() == entries.len() as u64 {
        true => Ok(()),
        false => Err("we read something else".into()),
    }
}

fn they_read(run: &[u8], entries: &Entries) -> Outcome {
    let reader = theirs::RunReader::new(run)?;
    let mut read = Entries::new();
    for entry in reader.iter() {
        let (key, entry) = entry?;
        read.insert(key.to_vec(), entry.value().map(<[u8]>::to_vec));
        if reader.get(key)? != Some(entry) {
            return Err("their get differs from their iteration".into());
        }
    }
    match read == *entries && reader.entry_count() == entries.len() as u64 {
        true => Ok(()),
        false => Err("they read something else".into()),
    }
}
