//! A key-value store in a directory: put, get, delete, and what is there after a restart.
//!
//! `cargo run --example embedded_kv`

use lsm_db::Lsm;

fn main() -> lsm_db::Result<()> {
    let dir = tempfile::tempdir()?;
    let db = Lsm::open(dir.path())?;

    db.put("user:1", "alice")?;
    db.put("user:2", "bob")?;
    db.put("user:2", "robert")?; // replaces
    db.delete("user:1")?;
    db.delete("user:9")?; // was never there, which is fine

    assert_eq!(db.get("user:1")?, None);
    assert_eq!(db.get("user:2")?, Some(b"robert".to_vec()));

    // What was flushed is in a run, whatever else happens.
    db.flush()?;
    drop(db);

    let db = Lsm::open(dir.path())?;
    assert_eq!(db.get("user:2")?, Some(b"robert".to_vec()));
    assert_eq!(db.scan(..)?.len(), 1);
    Ok(())
}
