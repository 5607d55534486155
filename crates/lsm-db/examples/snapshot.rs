//! A snapshot answers every read as the store did when it was taken, whatever is written since.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use lsm_db::prelude::*;

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let store = Lsm::open(dir.path())?;
    store.put("balance/ada", "100")?;
    store.put("balance/grace", "50")?;

    let yesterday = store.snapshot();
    let mut transfer = Batch::new();
    transfer.put("balance/ada", "70");
    transfer.put("balance/grace", "80");
    store.write(transfer)?;
    store.delete("balance/ada")?;
    store.flush()?;

    assert_eq!(yesterday.get("balance/ada")?, Some(b"100".to_vec()));
    assert_eq!(yesterday.prefix("balance/").count(), 2);
    assert_eq!(store.get("balance/ada")?, None);
    assert_eq!(store.prefix("balance/").count(), 1);

    // A cursor goes where it is sent, and lends what it stands on.
    let mut cursor = yesterday.cursor();
    assert!(cursor.seek_for_prev("balance/b")?);
    assert_eq!(cursor.key(), Some(&b"balance/ada"[..]));
    assert!(cursor.next()?);
    assert_eq!(cursor.value(), Some(&b"50"[..]));

    // What a snapshot costs is the memory and the files that nothing else needs any more.
    println!("{}", store.stats());
    Ok(())
}
