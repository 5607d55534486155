//! Directories that `lsm-db` 1.x wrote. This version does not read them, and does not touch them.

use std::path::Path;

use lsm_db::{Error, Lsm};
use lsm_fs::RealFs;
use lsm_tests::TestResult;
use lsm_tests::directory::read;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors");

/// Copies a directory of `lsm-db` 1.1.0 and opens the copy, twice.
fn is_refused_and_untouched(vector: &str) -> TestResult {
    let dir = tempfile::tempdir()?;
    let original = read(&RealFs::new(), &Path::new(VECTORS).join(vector))?;
    assert!(!original.is_empty());
    for (name, bytes) in &original {
        std::fs::write(dir.path().join(name), bytes)?;
    }
    for _ in 0..2 {
        let refused = Lsm::open(dir.path());
        assert!(
            matches!(refused, Err(Error::UnsupportedFormat { .. })),
            "{refused:?}"
        );
        let mut files = read(&RealFs::new(), dir.path())?;
        files.remove("LOCK");
        assert!(files == original, "the refused directory was changed");
    }
    Ok(())
}

#[test]
fn a_text_manifest_with_runs_is_refused_and_untouched() -> TestResult {
    is_refused_and_untouched("db-flushed")
}

#[test]
fn a_text_manifest_with_a_log_is_refused_and_untouched() -> TestResult {
    is_refused_and_untouched("db-compacted")
}

#[test]
fn a_log_alone_is_refused_and_untouched() -> TestResult {
    is_refused_and_untouched("db-with-log")
}

#[test]
fn a_log_beside_a_store_of_ours_is_left_alone_or_refused_but_never_removed() -> TestResult {
    let dir = tempfile::tempdir()?;
    let db = Lsm::open(dir.path())?;
    db.put("k", "v")?;
    db.close()?;
    let log = Path::new(VECTORS).join("db-with-log/wal.log");
    std::fs::copy(&log, dir.path().join("wal.log"))?;
    if let Ok(db) = Lsm::open(dir.path()) {
        assert_eq!(db.iter().count(), 1);
        db.put("k", "w")?;
        db.flush()?;
        db.close()?;
    }
    assert_eq!(
        std::fs::read(dir.path().join("wal.log"))?,
        std::fs::read(log)?
    );
    Ok(())
}
