//! Keys, values and batches that are too large.

use lsm_db::format::{MAX_KEY_LEN, MAX_VALUE_LEN};
use lsm_db::{Batch, Error, LsmConfig, MAX_BATCH_BYTES};
use lsm_fs::Operation;
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;

/// One byte too many. Zeroed memory that nobody writes to takes no room.
fn oversized() -> Vec<u8> {
    vec![0; (1 << 30) + 1]
}

fn is_refused<T: std::fmt::Debug>(result: lsm_db::Result<T>) {
    assert!(
        matches!(result, Err(Error::InvalidInput { .. })),
        "{result:?}"
    );
}

#[test]
fn a_key_or_value_over_the_limit_is_invalid_input_and_nothing_is_logged() -> TestResult {
    assert_eq!((MAX_KEY_LEN, MAX_VALUE_LEN), (1 << 30, 1 << 30));
    let machine = Machine::new(LsmConfig::new(), 0);
    let db = machine.open()?;
    db.put("k", "v")?;
    let oversized = oversized();
    machine.faults.start_trace(100);
    is_refused(db.put("k", &oversized));
    is_refused(db.put(&oversized, "v"));
    is_refused(db.delete(&oversized));
    let mut batch = Batch::new();
    batch.put("other", "v");
    batch.put("k", &oversized);
    is_refused(db.write(batch));
    let mut batch = Batch::new();
    batch.put("other", "v");
    batch.delete(&oversized);
    is_refused(db.write(batch));
    let trace = machine.faults.take_trace();
    assert!(
        trace
            .iter()
            .all(|event| event.operation != Operation::Append),
        "{trace:?}"
    );

    // Neither the operation nor the rest of its batch happened, and the store goes on.
    assert_eq!(db.get("k")?, Some(b"v".to_vec()));
    assert_eq!(db.get("other")?, None);
    db.put("k", "w")?;
    drop(db);
    let db = machine.open()?;
    assert_eq!(db.get("k")?, Some(b"w".to_vec()));
    assert_eq!(db.iter().count(), 1);
    Ok(())
}

#[test]
fn a_key_that_cannot_exist_is_never_found() -> TestResult {
    let machine = Machine::new(LsmConfig::new(), 0);
    let db = machine.open()?;
    db.put([0], "v")?;
    db.flush()?;
    assert!(!matches!(db.get(oversized()), Ok(Some(_))));
    Ok(())
}

#[test]
fn the_largest_batch_is_above_two_gibibytes() {
    const { assert!(MAX_BATCH_BYTES > 1 << 31) }
}
