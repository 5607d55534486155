//! A batch is written whole or not at all: money does not vanish between two accounts.
//!
//! `cargo run --example batch_writes`

use lsm_db::{Batch, Lsm};

fn balance(db: &Lsm, account: &str) -> lsm_db::Result<u64> {
    let bytes = db.get(account)?.unwrap_or_default();
    Ok(bytes.try_into().map_or(0, u64::from_be_bytes))
}

fn transfer(db: &Lsm, from: &str, to: &str, amount: u64) -> lsm_db::Result<()> {
    let mut batch = Batch::new();
    batch.put(from, (balance(db, from)? - amount).to_be_bytes());
    batch.put(to, (balance(db, to)? + amount).to_be_bytes());
    db.write(batch)
}

fn main() -> lsm_db::Result<()> {
    let dir = tempfile::tempdir()?;
    let db = Lsm::open(dir.path())?;

    let mut opening = Batch::new();
    opening.put("ada", 100_u64.to_be_bytes());
    opening.put("bob", 20_u64.to_be_bytes());
    assert_eq!(opening.len(), 2);
    db.write(opening)?;

    transfer(&db, "ada", "bob", 30)?;
    assert_eq!((balance(&db, "ada")?, balance(&db, "bob")?), (70, 50));

    // Within a batch the last operation on a key wins.
    let mut batch = Batch::new();
    batch.put("temporary", "1");
    batch.delete("temporary");
    db.write(batch)?;
    assert_eq!(db.get("temporary")?, None);
    Ok(())
}
