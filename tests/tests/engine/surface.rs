//! The names and shapes that programs written for `lsm-db` 1.x rely on.

use lsm_db::prelude::*;
use lsm_tests::TestResult;

/// As a 1.x user would write it.
fn program_for_1_x(dir: &std::path::Path) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let config = LsmConfig::new()
        .memtable_capacity(4 << 20)
        .compaction_trigger(4)
        .block_cache_capacity(1 << 20);
    let db = Lsm::open_with(dir, config)?;
    db.put(b"key", b"value")?;
    let text = String::from("text");
    db.put(&text, vec![1, 2, 3])?;
    db.delete("text")?;
    let mut batch = Batch::new();
    batch.put(b"a", b"1");
    batch.delete(b"b");
    assert_eq!(batch.len(), 2);
    db.write(batch)?;
    let _: Option<Vec<u8>> = db.get(b"key")?;
    let scan: Scan = db.scan(b"a".to_vec()..=b"z".to_vec())?;
    let found = scan.collect();
    db.flush()?;
    Ok(found)
}

#[test]
fn a_program_for_1_x_compiles_unchanged_and_works() -> TestResult {
    let dir = tempfile::tempdir()?;
    let found = program_for_1_x(dir.path())?;
    let expected = [("a", "1"), ("key", "value")];
    assert_eq!(
        found,
        expected.map(|(key, value)| (key.into(), value.into()))
    );
    Ok(())
}

#[test]
fn a_handle_is_shared_between_threads_and_errors_travel() {
    fn is_shared<T: Send + Sync + std::fmt::Debug + 'static>() {}
    fn is_owned<T: Send + std::fmt::Debug + 'static>() {}
    fn is_value<T: Clone + PartialEq + Eq + Default + std::fmt::Debug>() {}
    is_shared::<Lsm>();
    is_shared::<Error>();
    is_owned::<lsm_db::Range>();
    is_owned::<lsm_db::Cursor>();
    is_shared::<lsm_db::Snapshot>();
    fn is_cloned<T: Clone>() {}
    is_cloned::<lsm_db::Snapshot>();
    is_owned::<Scan>();
    is_value::<LsmConfig>();
    fn is_from_io<T: From<std::io::Error> + std::error::Error>() {}
    is_from_io::<Error>();
}

#[test]
fn a_run_built_in_memory_reads_back() -> TestResult {
    use lsm_db::format::{Entry, RunReader, RunWriter, crc32c};

    let mut writer = RunWriter::new();
    writer.put(b"a", b"1")?;
    writer.delete(b"b")?;
    assert!(writer.put(b"a", b"out of order").is_err());
    assert_eq!(writer.entry_count(), 2);
    let run = writer.finish();
    let reader = RunReader::new(&run)?;
    assert_eq!(reader.entry_count(), 2);
    assert_eq!(reader.get(b"a")?, Some(Entry::Value(b"1")));
    assert!(reader.get(b"b")?.is_some_and(|entry| entry.is_tombstone()));
    assert_eq!(reader.get(b"c")?, None);
    let keys: Result<Vec<&[u8]>, _> = reader.iter().map(|entry| entry.map(|e| e.0)).collect();
    assert_eq!(keys?, [b"a", b"b"]);
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    Ok(())
}
