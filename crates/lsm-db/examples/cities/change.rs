//! One country is deleted and another renamed while a reader is half-way through both, and a
//! snapshot remembers what was there.

use std::sync::mpsc::{self, Receiver, Sender};

use lsm_db::{Batch, Lsm, Snapshot};

use crate::place::{Place, country_prefix, id_in_key};
use crate::questions::Oracle;
use crate::{Outcome, say};

const DELETED: &str = "BR";
const RENAMED: &str = "PT";

/// Makes the changes, in the store and in the oracle, and checks that a reader that began before
/// them ends with what it began with, and that a snapshot still has what is gone.
pub(crate) fn change_under_a_reader(db: &Lsm, oracle: &mut Oracle) -> Outcome<()> {
    let before = [DELETED, RENAMED].map(|country| oracle.country(country));
    let snapshot = db.snapshot();
    let seen = std::thread::scope(|scope| {
        let (half_way, wait_until_half_way) = mpsc::channel();
        let (changed, wait_until_changed) = mpsc::channel();
        let reader = scope.spawn(move || read_slowly(db, &half_way, &wait_until_changed));
        // No message means that the reader failed, which its own result says better.
        if wait_until_half_way.recv().is_ok() {
            db.write(deletion(oracle))?;
            db.write(renaming(oracle))?;
            changed.send(())?;
        }
        reader.join().map_err(|_| "the reader panicked")?
    })?;

    for (places, ids) in before.iter().zip(&seen) {
        if !places.iter().map(|place| place.id).eq(ids.iter().copied()) {
            return Err("wrong: a reader's view changed under it".into());
        }
    }
    let remembered = count_backwards(&snapshot, &country_prefix(DELETED))?;
    let left = count_backwards(&db.snapshot(), &country_prefix(DELETED))?;
    let [deleted, renamed] = before.map(|places| places.len());
    if (remembered, left) != (deleted, 0) {
        return Err(format!("wrong: {remembered} places remembered, {left} left").into());
    }
    say(format_args!(
        "deleted {deleted} places of {DELETED} and renamed {renamed} of {RENAMED}, \
         while a reader went on with its older view and a snapshot kept them all"
    ))
}

/// Counts the keys with a prefix, the last first. A cursor lends each key, and copies none.
fn count_backwards(snapshot: &Snapshot, prefix: &[u8]) -> Outcome<usize> {
    let mut cursor = snapshot.cursor();
    let behind_all = [prefix, &[0xff; 8]].concat();
    cursor.seek_for_prev(behind_all)?;
    let mut count = 0;
    while cursor.key().is_some_and(|key| key.starts_with(prefix)) {
        count += 1;
        cursor.prev()?;
    }
    Ok(count)
}

/// Reads the ids of both countries' places, with a pause in the middle of both.
fn read_slowly(
    db: &Lsm,
    half_way: &Sender<()>,
    wait_until_changed: &Receiver<()>,
) -> Outcome<[Vec<u32>; 2]> {
    // An iterator keeps the view of the moment it was made.
    let mut views =
        [DELETED, RENAMED].map(|country| (db.prefix(country_prefix(country)), Vec::new()));
    for (view, ids) in &mut views {
        for entry in view.take(50) {
            ids.push(id_in_key(&entry?.0)?);
        }
    }
    half_way.send(())?;
    wait_until_changed.recv()?;
    for (view, ids) in &mut views {
        for entry in view {
            ids.push(id_in_key(&entry?.0)?);
        }
    }
    Ok(views.map(|(_, ids)| ids))
}

/// Removes every place of a country, with its index entries.
fn deletion(oracle: &mut Oracle) -> Batch {
    let mut batch = Batch::new();
    for place in oracle.country(DELETED) {
        place.delete_from(&mut batch);
        oracle.places.remove(&place.id);
    }
    batch
}

/// Spells every name of a country in capitals. The old index entry goes and the new one comes in
/// one batch; where both are the same key, the later operation wins.
fn renaming(oracle: &mut Oracle) -> Batch {
    let mut batch = Batch::new();
    for place in oracle.country(RENAMED) {
        let renamed = Place {
            name: place.name.to_uppercase(),
            ..place.clone()
        };
        place.delete_from(&mut batch);
        renamed.put_into(&mut batch);
        oracle.places.insert(renamed.id, renamed);
    }
    batch
}
