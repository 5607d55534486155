//! Files that are committed: what 1.1.0 wrote, and what it holds.

use std::path::Path;

use lsm_db::format::{Entry, RunReader, RunWriter};
use lsm_fs::RealFs;
use lsm_tests::model;
use lsm_tests::vectors::{self, ALL, plant_all};

use crate::{Checked, Extent};

const RUNS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../crates/lsm-format/tests/vectors"
);

/// Every run against its listing, both ways, and every directory.
pub(crate) fn check(_: Extent) -> Checked {
    let mut runs = 0;
    for file in std::fs::read_dir(RUNS)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "sst") {
            check_run(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            runs += 1;
        }
    }
    for name in ALL {
        check_directory(name).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(format!("{runs} runs and {} directories", ALL.len()))
}

fn check_run(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let run = std::fs::read(path)?;
    let listing = std::fs::read_to_string(path.with_extension("tsv"))?;
    let mut writer = RunWriter::new();
    let mut read = String::new();
    for entry in RunReader::new(&run)?.iter() {
        let (key, entry) = entry?;
        let value = match entry {
            Entry::Value(value) => {
                writer.put(key, value)?;
                hex(value)
            }
            Entry::Tombstone => {
                writer.delete(key)?;
                "-".to_owned()
            }
        };
        read += &format!("{}\t{value}\n", hex(key));
    }
    if read != listing {
        return Err("reads otherwise than listed".into());
    }
    if writer.finish() != run {
        return Err("is not written again to the byte".into());
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_directory(name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    plant_all(&RealFs::new(), dir.path(), &vectors::files(name)?)?;
    let expected = vectors::model(name)?;
    for _ in 0..2 {
        let db = lsm_db::Lsm::open(dir.path())?;
        model::check(&db, &expected)?;
        db.close()?;
    }
    Ok(())
}
