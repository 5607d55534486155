//! Crash-tests a program that has nothing to do with a database: a counter kept in a file.
//!
//! The first version forgets to sync the directory, and a power cut takes the whole file. The
//! second one survives every image of every moment. Run with
//! `cargo run -p lsm-fs --example counter_file`.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;

use lsm_fs::{
    CrashImage, Directory, Fault, FaultFs, FileName, FileSystem, SimFs, create_dir_all_synced,
    read_to_vec, write_file_atomically,
};

const DIR: &str = "/var/counter";
const FILE: FileName = FileName::constant("value");
const TEMP: FileName = FileName::constant("value.tmp");

/// Writes, syncs, renames: it looks right, and it is what many programs do.
fn save_carelessly(dir: &dyn Directory, value: u64) -> Result<(), Box<dyn Error>> {
    match dir.unlink(&TEMP) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = dir.create_new(&TEMP)?;
    file.append_all(&value.to_le_bytes())?;
    file.sync()?;
    dir.rename(&TEMP, &FILE)?;
    Ok(()) // the name is not durable: nobody synced the directory
}

fn save(dir: &dyn Directory, value: u64) -> Result<(), Box<dyn Error>> {
    Ok(write_file_atomically(
        dir,
        &TEMP,
        &FILE,
        &value.to_le_bytes(),
    )?)
}

/// The saved value; 0 if none was ever saved.
fn load(dir: &dyn Directory) -> Result<u64, Box<dyn Error>> {
    if dir.kind(&FILE)?.is_none() {
        return Ok(0);
    }
    let bytes = read_to_vec(dir, &FILE, 8)?;
    Ok(u64::from_le_bytes(bytes.as_slice().try_into()?))
}

type Save = fn(&dyn Directory, u64) -> Result<(), Box<dyn Error>>;

/// Counts to five, cutting the power before each operation and after each save, and returns what
/// went wrong, if anything did.
fn crash_test(save: Save) -> Result<Option<String>, Box<dyn Error>> {
    // Each run stops at another operation; the last one runs through.
    for stop_at in 0.. {
        let sim = SimFs::new();
        create_dir_all_synced(&sim, Path::new(DIR))?;
        let fs = FaultFs::over_sim(sim.clone());
        fs.fail_nth(stop_at, Fault::new(io::ErrorKind::Other).for_good());

        let dir = fs.open_dir(Path::new(DIR))?;
        let mut acknowledged = 0;
        while acknowledged < 5 && save(&*dir, acknowledged + 1).is_ok() {
            acknowledged += 1;
        }
        for image in CrashImage::standard(stop_at) {
            let found = load(&*sim.crash(&image).open_dir(Path::new(DIR))?);
            // The save that was cut short may have made it; an acknowledged one must have.
            if !matches!(found, Ok(value) if value == acknowledged || value == acknowledged + 1) {
                return Ok(Some(format!(
                    "stopped at operation {stop_at}: {acknowledged} was acknowledged, \
                     {found:?} is found after {image:?}"
                )));
            }
        }
        if acknowledged == 5 {
            break;
        }
    }
    Ok(None)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let careless = crash_test(save_carelessly)?.ok_or("the missing sync was not found")?;
    writeln!(out, "without a sync of the directory: {careless}")?;
    match crash_test(save)? {
        Some(wrong) => Err(wrong.into()),
        None => Ok(writeln!(
            out,
            "with it: every image of every moment is fine"
        )?),
    }
}
