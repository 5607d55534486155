//! What is acknowledged survives: a store that is never flushed nor closed, and opened again.
//!
//! `cargo run --example durable_store`

use lsm_db::{Lsm, LsmConfig};

fn main() -> lsm_db::Result<()> {
    let dir = tempfile::tempdir()?;
    // The log is on by default, with the crate's default features.
    let config = LsmConfig::new().wal(true);
    let db = Lsm::open_with(dir.path(), config.clone())?;
    for number in 0..100_u32 {
        // On stable storage when this returns.
        db.put(format!("order:{number:04}"), "paid")?;
    }
    // No flush: the writes are in the log and in memory only.
    assert!(db.stats().levels.iter().all(|level| level.runs == 0));
    drop(db);

    let db = Lsm::open_with(dir.path(), config)?;
    assert_eq!(db.scan(..)?.len(), 100);
    assert_eq!(db.get("order:0042")?, Some(b"paid".to_vec()));
    db.close()
}
