//! A store that was opened under a relative path, in a process that changes its working directory.
//!
//! A binary of its own with one test: the working directory is the whole process's.

#![allow(
    clippy::disallowed_methods,
    reason = "tests arrange and inspect real directories"
)]

#[cfg(test)]
mod tests {
    use lsm_db::{Batch, Durability, Lsm};
    use lsm_tests::TestResult;

    /// Manifest and runs of the store of that name in the new directory were replaced and unlinked,
    /// all Ok, and both stores refused to open.
    #[test]
    fn a_relative_path_means_the_directory_that_it_led_to_at_open() -> TestResult {
        let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
        for dir in [&first, &second] {
            let db = Lsm::open(dir.path().join("db"))?;
            db.put("old", dir.path().as_os_str().as_encoded_bytes())?;
            db.flush()?;
            db.close()?;
        }
        std::env::set_current_dir(first.path())?;
        let db = Lsm::open("db")?;
        std::env::set_current_dir(second.path())?;
        let mut batch = Batch::new();
        batch.put("synced", "v");
        db.write_with(batch, Durability::Sync)?;
        db.flush()?;
        db.put("relaxed", "v")?;
        db.compact_range::<&[u8], _>(..)?;
        db.close()?;
        std::env::set_current_dir(std::env::temp_dir())?;

        for (dir, count) in [(&first, 3), (&second, 1)] {
            let db = Lsm::open(dir.path().join("db"))?;
            assert_eq!(db.iter().filter(Result::is_ok).count(), count);
            let old = dir.path().as_os_str().as_encoded_bytes().to_vec();
            assert_eq!(db.get("old")?, Some(old));
        }
        Ok(())
    }
}
