//! A batch is written whole or not at all, and only if what it requires still holds: money neither
//! vanishes between two accounts nor appears, however many threads transfer at the same time.
//!
//! `cargo run --example batch_writes`

use lsm_db::{Batch, Error, Lsm};

fn amount_of(bytes: Option<&[u8]>) -> u64 {
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_be_bytes)
}

fn balance(db: &Lsm, account: &str) -> lsm_db::Result<u64> {
    Ok(amount_of(db.get(account)?.as_deref()))
}

/// Moves `amount`. Returns whether there was enough.
fn transfer(db: &Lsm, from: &str, to: &str, amount: u64) -> lsm_db::Result<bool> {
    if from == to {
        // Nothing moves: the two puts below would be one, which adds the amount.
        return Ok(balance(db, from)? >= amount);
    }
    loop {
        let (source, target) = (db.get(from)?, db.get(to)?);
        let Some(left) = amount_of(source.as_deref()).checked_sub(amount) else {
            return Ok(false);
        };
        let mut batch = Batch::new();
        // Another thread may have changed either balance since it was read: then read again.
        batch.require(from, source.as_deref());
        batch.require(to, target.as_deref());
        batch.put(from, left.to_be_bytes());
        batch.put(to, (amount_of(target.as_deref()) + amount).to_be_bytes());
        match db.write(batch) {
            Ok(()) => return Ok(true),
            Err(Error::ConditionFailed { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

fn main() -> lsm_db::Result<()> {
    let dir = tempfile::tempdir()?;
    let db = Lsm::open(dir.path())?;

    let mut opening = Batch::new();
    opening.put("ada", 100_u64.to_be_bytes());
    opening.put("bob", 20_u64.to_be_bytes());
    assert_eq!(opening.len(), 2);
    db.write(opening)?;

    assert!(transfer(&db, "ada", "bob", 30)?);
    assert!(!transfer(&db, "ada", "bob", 71)?);
    assert!(transfer(&db, "ada", "ada", 70)?);
    assert_eq!((balance(&db, "ada")?, balance(&db, "bob")?), (70, 50));

    // Four threads pass small sums around: the total stays.
    std::thread::scope(|scope| {
        let transfers = (0..4).map(|thread| {
            let db = &db;
            scope.spawn(move || -> lsm_db::Result<()> {
                let (from, to) = if thread % 2 == 0 {
                    ("ada", "bob")
                } else {
                    ("bob", "ada")
                };
                for amount in 0..10 {
                    transfer(db, from, to, amount)?;
                }
                Ok(())
            })
        });
        let transfers: Vec<_> = transfers.collect();
        transfers
            .into_iter()
            .try_for_each(|transfers| match transfers.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            })
    })?;
    assert_eq!(balance(&db, "ada")? + balance(&db, "bob")?, 120);

    // Within a batch the last operation on a key wins.
    let mut batch = Batch::new();
    batch.put("temporary", "1");
    batch.delete("temporary");
    db.write(batch)?;
    assert_eq!(db.get("temporary")?, None);
    Ok(())
}
