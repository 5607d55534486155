//! A key and a value of the greatest length: through the log, a memtable, a run, a merge, a reopen.

use std::path::Path;

use lsm_db::{Durability, Lsm, LsmConfig};
use lsm_tests::describe;

use super::{Findings, peak_memory};

pub(super) fn run(dir: &Path, bytes: usize) -> Findings {
    let config = LsmConfig::new().durability(Durability::Buffered);
    let open = || Lsm::open_with(dir, config.clone()).map_err(|error| describe(&error));
    let (key, mut value) = (vec![b'm'; bytes], vec![1; bytes]);

    let db = open()?;
    for neighbour in ["a", "z"] {
        db.put(neighbour, neighbour)
            .map_err(|error| describe(&error))?;
    }
    db.put(&key, &value).map_err(|error| describe(&error))?;
    check(&db, &key, &value, "in the memtable")?;
    db.flush().map_err(|error| describe(&error))?;
    check(&db, &key, &value, "in a run")?;
    db.put("b", "").map_err(|error| describe(&error))?;
    db.delete("b").map_err(|error| describe(&error))?;
    db.compact_range::<&[u8], _>(..)
        .map_err(|error| describe(&error))?;
    check(&db, &key, &value, "after a merge")?;
    db.close().map_err(|error| describe(&error))?;

    let db = open()?;
    check(&db, &key, &value, "after a reopen")?;
    value.fill(2);
    db.put(&key, &value).map_err(|error| describe(&error))?;
    drop(db);
    let db = open()?;
    check(&db, &key, &value, "replayed from the log")?;
    db.delete(&key).map_err(|error| describe(&error))?;
    db.compact_range::<&[u8], _>(..)
        .map_err(|error| describe(&error))?;
    let left: u64 = db.stats().levels.iter().map(|level| level.entries).sum();
    if left != 2 {
        return Err(format!("{left} entries are left of two"));
    }
    db.close().map_err(|error| describe(&error))?;
    Ok(vec![format!("{bytes} bytes each, {}", peak_memory())])
}

fn check(db: &Lsm, key: &[u8], value: &[u8], when: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}, {when}"));
    let found = db.get_bytes(key).map_err(|error| describe(&error))?;
    if found.as_deref() != Some(value) {
        return wrong("another value");
    }
    let entries: Vec<_> = db
        .iter()
        .rev()
        .collect::<Result<_, _>>()
        .map_err(|error| describe(&error))?;
    let lengths: Vec<_> = entries
        .iter()
        .map(|(key, value)| (key.len(), value.len()))
        .collect();
    if lengths != [(1, 1), (key.len(), value.len()), (1, 1)] {
        return wrong(&format!("entries of lengths {lengths:?}"));
    }
    Ok(())
}
