//! Keys are ordered as bytes, so numbers in big-endian make a time line.
//!
//! `cargo run --example range_scan`

use lsm_db::Lsm;

fn key(second: u32) -> Vec<u8> {
    second.to_be_bytes().to_vec()
}

fn main() -> lsm_db::Result<()> {
    let dir = tempfile::tempdir()?;
    let db = Lsm::open(dir.path())?;
    for second in 0..1000_u32 {
        db.put(key(second), format!("reading {second}"))?;
    }

    // Every form of a range; the result is in memory, with a length, from both ends.
    assert_eq!(db.scan(..)?.len(), 1000);
    assert_eq!(db.scan(key(990)..)?.count(), 10);
    assert_eq!(db.scan(key(10)..=key(12))?.count(), 3);
    assert_eq!(db.scan(key(12)..key(10))?.count(), 0);
    let newest = db.scan(..)?.next_back();
    assert_eq!(
        newest.map(|(_, value)| value),
        Some(b"reading 999".to_vec())
    );

    // What is written later does not show in a scan that was made before.
    let scan = db.scan(key(0)..key(3))?;
    db.delete(key(1))?;
    assert_eq!(scan.count(), 3);
    assert_eq!(db.scan(key(0)..key(3))?.count(), 2);
    Ok(())
}
