//! Fails every operation of a small journal in turn, once and for good, and checks what it promised.
//!
//! The journal is a file of lines; a line that was acknowledged must be there after a restart, and
//! a line that was refused must not be acknowledged later. Run with
//! `cargo run -p lsm-fs --example fault_sweep`.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use lsm_fs::{CrashImage, Fault, FaultFs, File, FileName, FileSystem, SimFs, read_to_vec};

const DIR: &str = "/";
const JOURNAL: FileName = FileName::constant("journal");

/// A journal that stops at its first error: after a failed sync nothing more may be promised.
struct Journal {
    file: Arc<dyn File>,
    failed: bool,
}

impl Journal {
    fn create(fs: &dyn FileSystem) -> io::Result<Self> {
        let dir = fs.open_dir(Path::new(DIR))?;
        let file = dir.create_new(&JOURNAL)?;
        dir.sync()?;
        Ok(Self {
            file,
            failed: false,
        })
    }

    fn add(&mut self, line: &str) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        let done = self
            .file
            .append_all(format!("{line}\n").as_bytes())
            .and_then(|()| self.file.sync());
        self.failed = done.is_err();
        done
    }
}

/// The whole lines at the journal's start; a torn or garbled end is not one.
fn recover(fs: &dyn FileSystem) -> Result<Vec<String>, Box<dyn Error>> {
    let dir = fs.open_dir(Path::new(DIR))?;
    if dir.kind(&JOURNAL)?.is_none() {
        return Ok(Vec::new());
    }
    let bytes = read_to_vec(&*dir, &JOURNAL, 1 << 20)?;
    let whole = bytes.split_inclusive(|&byte| byte == b'\n');
    Ok(whole
        .map_while(|line| {
            Some(
                std::str::from_utf8(line.strip_suffix(b"\n")?)
                    .ok()?
                    .to_owned(),
            )
        })
        .collect())
}

/// Writes three lines, or fewer; returns those that were acknowledged.
fn scenario(fs: &dyn FileSystem) -> Vec<String> {
    let mut acknowledged = Vec::new();
    if let Ok(mut journal) = Journal::create(fs) {
        for line in ["one", "two", "three"] {
            if journal.add(line).is_ok() {
                acknowledged.push(line.to_owned());
            }
        }
    }
    acknowledged
}

fn main() -> Result<(), Box<dyn Error>> {
    let counting = FaultFs::over_sim(SimFs::new());
    scenario(&counting);
    let mutations = counting.mutation_count();

    let no_room = Fault::new(io::ErrorKind::StorageFull);
    let faults = [
        no_room.clone(),
        no_room.clone().for_good(),
        no_room.clone().short_write(2),
        no_room.after_the_effect(),
    ];
    let mut checked = 0;
    for n in 0..mutations {
        for fault in &faults {
            let sim = SimFs::new();
            let fs = FaultFs::over_sim(sim.clone());
            fs.fail_nth(n, fault.clone());
            let acknowledged = scenario(&fs);
            for image in CrashImage::standard(n) {
                let found = recover(&sim.crash(&image))?;
                if !found.starts_with(&acknowledged) {
                    let wrong = format!("{fault:?} at {n}, {image:?}: {acknowledged:?}, {found:?}");
                    return Err(wrong.into());
                }
                checked += 1;
            }
        }
    }
    writeln!(
        io::stdout(),
        "{mutations} operations, {checked} recoveries, no line lost"
    )?;
    Ok(())
}
