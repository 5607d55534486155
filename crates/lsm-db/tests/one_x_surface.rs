//! The whole surface of `lsm-db` 1.x as its users write it: every name, shape and trait. What
//! stands here compiled against 1.1 with another crate name, and must compile unchanged for ever.

#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

use std::collections::BTreeMap;
use std::ops::Bound;

use lsm_db::format::{Entry, MAX_KEY_LEN, MAX_VALUE_LEN, RunReader, RunWriter, crc32c};
use lsm_db::prelude::*;
use lsm_db::{DEFAULT_BLOCK_CACHE_CAPACITY, DEFAULT_COMPACTION_TRIGGER, DEFAULT_MEMTABLE_CAPACITY};

type Pair = (Vec<u8>, Vec<u8>);

fn store(dir: &tempfile::TempDir) -> Lsm {
    let db = Lsm::open(dir.path()).unwrap();
    for key in ["a", "b", "c", "d"] {
        db.put(key, key.to_uppercase()).unwrap();
    }
    db
}

fn keys(scan: impl Iterator<Item = Pair>) -> String {
    let keys = scan.map(|(key, _)| String::from_utf8(key).unwrap());
    keys.collect()
}

#[test]
fn every_form_of_a_range_scans_with_a_length_and_from_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let db = store(&dir);
    let (b, d) = (b"b".to_vec(), b"d".to_vec());
    assert_eq!(keys(db.scan(..).unwrap()), "abcd");
    assert_eq!(keys(db.scan(b.clone()..).unwrap()), "bcd");
    assert_eq!(keys(db.scan(..d.clone()).unwrap()), "abc");
    assert_eq!(keys(db.scan(..=d.clone()).unwrap()), "abcd");
    assert_eq!(keys(db.scan(b.clone()..d.clone()).unwrap()), "bc");
    assert_eq!(keys(db.scan(b.clone()..=d.clone()).unwrap()), "bcd");
    let open = (Bound::Excluded(b.clone()), Bound::Excluded(d.clone()));
    assert_eq!(keys(db.scan(open).unwrap()), "c");
    let open = (Bound::Excluded(b.clone()), Bound::Unbounded);
    assert_eq!(keys(db.scan(open).unwrap()), "cd");
    assert_eq!(keys(db.scan(d.clone()..b.clone()).unwrap()), "");
    assert_eq!(keys(db.scan(b.clone()..b).unwrap()), "");

    assert_eq!(keys(db.scan(..).unwrap().rev()), "dcba");
    let mut scan: Scan = db.scan(..).unwrap();
    assert_eq!((scan.len(), scan.size_hint()), (4, (4, Some(4))));
    let (first, last): (Pair, Pair) = (scan.next().unwrap(), scan.next_back().unwrap());
    assert_eq!((first.0, last.0), (b"a".to_vec(), b"d".to_vec()));
    assert_eq!(scan.len(), 2);
    let collected: BTreeMap<Vec<u8>, Vec<u8>> = scan.collect();
    assert_eq!(collected.len(), 2);
    let _ = format!("{:?}", db.scan(..).unwrap());
}

#[test]
fn a_scan_shows_the_store_as_it_was_when_it_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let db = store(&dir);
    let scan = db.scan(..).unwrap();
    db.put(b"e", b"later").unwrap();
    db.delete(b"a").unwrap();
    drop(db);
    assert_eq!(keys(scan), "abcd");
}

#[test]
fn keys_and_values_are_whatever_is_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let db = Lsm::open(dir.path()).unwrap();
    let (string, vec) = (String::from("string"), vec![1_u8, 2, 3]);
    db.put(&string, &vec).unwrap();
    db.put(string.clone(), vec.clone()).unwrap();
    db.put(b"array", [4_u8; 2]).unwrap();
    db.put(&b"slice"[..], "str").unwrap();
    db.put([], []).unwrap();
    let found: Option<Vec<u8>> = db.get(&string).unwrap();
    assert_eq!(found, Some(vec));
    assert_eq!(db.get([0_u8; 0]).unwrap(), Some(Vec::new()));
    assert_eq!(db.get("absent").unwrap(), None);
    db.delete(b"absent").unwrap();
    db.flush().unwrap();
    db.flush().unwrap();
}

#[test]
fn a_batch_is_cloned_counted_and_its_last_operation_wins() {
    let dir = tempfile::tempdir().unwrap();
    let db = store(&dir);
    assert!(Batch::default().is_empty() && Batch::new().is_empty());
    let mut batch = Batch::new();
    batch.put(b"a", b"first");
    batch.delete(b"a");
    batch.put("a", String::from("last"));
    batch.delete(vec![b'b']);
    let again = batch.clone();
    assert_eq!((batch.len(), again.is_empty()), (4, false));
    let _ = format!("{batch:?}");
    db.write(batch).unwrap();
    db.write(again).unwrap();
    db.write(Batch::new()).unwrap();
    assert_eq!(db.get(b"a").unwrap(), Some(b"last".to_vec()));
    assert_eq!(db.get(b"b").unwrap(), None);
}

#[test]
fn a_configuration_is_built_read_compared_and_cloned() {
    let config = LsmConfig::new()
        .memtable_capacity(64 * 1024)
        .compaction_trigger(8)
        .block_cache_capacity(0);
    assert_eq!(config.memtable_capacity_bytes(), 64 * 1024);
    assert_eq!(config.compaction_trigger_runs(), 8);
    assert_eq!(config.block_cache_capacity_bytes(), 0);
    assert_eq!(config.clone(), config);
    assert_ne!(config, LsmConfig::default());
    assert_eq!(LsmConfig::new(), LsmConfig::default());
    fn is_eq<T: Eq + Clone + Default + std::fmt::Debug>(_: &T) {}
    is_eq(&config);

    let default = LsmConfig::default();
    let found: [usize; 3] = [
        default.memtable_capacity_bytes(),
        default.compaction_trigger_runs(),
        default.block_cache_capacity_bytes(),
    ];
    let expected = [
        DEFAULT_MEMTABLE_CAPACITY,
        DEFAULT_COMPACTION_TRIGGER,
        DEFAULT_BLOCK_CACHE_CAPACITY,
    ];
    assert_eq!(found, expected);
    for trigger in [0, 1] {
        let config = LsmConfig::new().compaction_trigger(trigger);
        assert_eq!(config.compaction_trigger_runs(), 2);
    }
    let dir = tempfile::tempdir().unwrap();
    drop(Lsm::open_with(dir.path(), config).unwrap());
}

#[test]
fn errors_are_matched_by_variant_and_field() {
    let source = std::io::Error::other("why");
    match Error::from(source) {
        Error::Io {
            context, source, ..
        } => {
            let _: (&'static str, std::io::Error) = (context, source);
        }
        other => panic!("{other:?}"),
    }
    match RunReader::new(b"no run") {
        Err(Error::Corruption { reason, .. }) => assert!(!reason.is_empty()),
        other => panic!("{other:?}"),
    }
    let mut writer = RunWriter::new();
    writer.put(b"b", b"1").unwrap();
    let refused: Error = writer.put(b"a", b"2").unwrap_err();
    match &refused {
        Error::InvalidInput { reason, .. } => assert!(!reason.is_empty()),
        other => panic!("{other:?}"),
    }
    let _: &dyn std::error::Error = &refused;
    assert!(!refused.to_string().is_empty());
    assert_eq!(
        (refused.kind(), refused.is_fatal()),
        ("InvalidInput", false)
    );
    let _: &'static str = refused.caption();
    fn is_sent<T: Send + Sync + 'static>(_: T) {}
    is_sent(refused);
}

mod without_the_prelude {
    pub(super) fn question_mark(dir: &std::path::Path) -> lsm_db::Result<usize> {
        let db = lsm_db::Lsm::open(dir)?;
        Ok(db.scan(..)?.count())
    }
}

fn io_becomes_ours() -> Result<()> {
    Err(std::io::Error::other("io"))?;
    Ok(())
}

#[test]
fn results_name_their_error_only_where_it_is_another() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(without_the_prelude::question_mark(dir.path()).unwrap(), 0);
    assert!(matches!(io_becomes_ours(), Err(Error::Io { .. })));
    let other: Result<u8, String> = Err("mine".to_owned());
    assert!(other.is_err());
}

#[test]
fn a_run_is_written_and_read_in_memory() {
    let mut writer = RunWriter::new();
    writer.put(b"apple", b"red").unwrap();
    writer.delete(b"banana").unwrap();
    assert_eq!(writer.entry_count(), 2);
    let bytes: Vec<u8> = writer.finish();
    let reader = RunReader::new(&bytes).unwrap();
    assert_eq!(reader.entry_count(), 2);
    assert_eq!(reader.get(b"apple").unwrap(), Some(Entry::Value(b"red")));
    let banana: Entry<'_> = reader.get(b"banana").unwrap().unwrap();
    assert_eq!((banana.is_tombstone(), banana.value()), (true, None));
    assert_eq!(reader.get(b"cherry").unwrap(), None);
    for entry in reader.iter() {
        let (key, entry): (&[u8], Entry<'_>) = entry.unwrap();
        assert_eq!(entry.is_tombstone(), key == b"banana");
    }
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    assert_eq!((MAX_KEY_LEN, MAX_VALUE_LEN), (1 << 30, 1 << 30));
}

#[test]
fn a_handle_is_shared_between_threads_and_says_what_it_is() {
    fn is_shared<T: Send + Sync + std::fmt::Debug>(_: &T) {}
    let dir = tempfile::tempdir().unwrap();
    let db = std::sync::Arc::new(store(&dir));
    is_shared(&*db);
    assert!(format!("{db:?}").contains("Lsm"));
    let threads = (0..4_u8).map(|number| {
        let db = std::sync::Arc::clone(&db);
        std::thread::spawn(move || db.put([number], [number]).unwrap())
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    assert_eq!(db.scan(..).unwrap().count(), 8);
}

#[test]
fn what_was_flushed_is_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let db = store(&dir);
    db.flush().unwrap();
    drop(db);
    let db = Lsm::open(dir.path()).unwrap();
    assert_eq!(keys(db.scan(..).unwrap()), "abcd");
}
