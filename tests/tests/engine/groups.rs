//! Groups of writes that fail: what becomes of their other members, and of a leader that panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use lsm_db::{Batch, Durability, Error, LsmConfig};
use lsm_fs::{CrashImage, Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{check, contents, key, value};

/// Time for a few threads to get into the commit queue. If it is too short for one of them, the
/// test is weaker and no less right.
const TIME_TO_QUEUE: Duration = Duration::from_millis(20);

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

/// A rejected write failed its whole group, a `flush` and a `sync` that had joined it too, though
/// nothing was wrong with what they asked for.
#[test]
fn a_rejected_write_fails_no_flush_and_no_sync_in_its_group() -> TestResult {
    for round in 0..12 {
        let machine = Machine::on_threads(LsmConfig::new().durability(Durability::Buffered));
        let db = machine.open()?;
        db.put(key(0), value(0, round))?;
        let mut synced = Batch::new();
        synced.put(key(1), value(1, round));
        let parked = machine.faults.park(Operation::Sync, is_segment);
        let db = &db;
        let (rejected, flushed, sync) = std::thread::scope(|scope| {
            let leader = scope.spawn(|| db.write_with(synced, Durability::Sync));
            parked.wait_for_arrival();
            // These gather while the leader's sync hangs.
            let rejected = scope.spawn(|| db.put("rejected", "v"));
            let flushed = (round % 3 != 1).then(|| scope.spawn(|| db.flush()));
            let sync = (round % 3 != 2).then(|| scope.spawn(|| db.sync()));
            std::thread::sleep(TIME_TO_QUEUE);
            let no_room = Fault::new(std::io::ErrorKind::StorageFull);
            machine
                .faults
                .fail_when(Operation::Append, is_segment, no_room);
            parked.release();
            assert!(matches!(join(leader), Some(Ok(()))));
            (
                join(rejected),
                flushed.map(join).unwrap_or(Some(Ok(()))),
                sync.map(join).unwrap_or(Some(Ok(()))),
            )
        });
        let is_full = matches!(
            &rejected,
            Some(Err(Error::Io { source, .. })) if source.kind() == std::io::ErrorKind::StorageFull
        );
        assert!(is_full, "round {round}: {rejected:?}");
        assert!(
            matches!(flushed, Some(Ok(()))),
            "round {round}: {flushed:?}"
        );
        assert!(matches!(sync, Some(Ok(()))), "round {round}: {sync:?}");
        assert_eq!(db.get("rejected")?, None);
        db.put(key(2), value(2, round))?;
        db.sync()?;
        let model = contents(db)?;
        assert_eq!(model.len(), 3);
        let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
        check(&left.open()?, &model)?;
    }
    Ok(())
}

/// What the thread returned; `None` if it panicked.
fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> Option<T> {
    thread.join().ok()
}

/// A leader that panicked out of the log left it longer than the store knew, and the next group
/// went on behind it; or its half-inserted batch became visible with the next one (faults 13, 42).
#[test]
fn a_leader_that_panics_ends_writing_and_shows_nothing_of_its_batch() -> TestResult {
    for operation in [Operation::Append, Operation::Sync] {
        let machine = Machine::new(LsmConfig::new(), 1);
        let db = machine.open()?;
        for number in 0..10 {
            db.put(key(number), value(number, 0))?;
        }
        let model = contents(&db)?;
        machine.faults.on_operation(move |event| {
            let is_it = event.operation == operation && is_segment(event.path);
            assert!(!is_it, "a panic on purpose");
        });
        let mut batch = Batch::new();
        for number in 5..15 {
            batch.put(key(number), value(number, 1));
        }
        // Whether the panic comes through to its writer is not what this is about.
        let led = catch_unwind(AssertUnwindSafe(|| db.write(batch)));
        assert!(!matches!(led, Ok(Ok(()))), "{operation:?}: acknowledged");
        machine.faults.remove_hook();
        let stats = db.stats();
        let told = stats.background_error.unwrap_or_default();
        assert!(
            stats.poisoned && told.contains("a panic on purpose"),
            "{told}"
        );

        for _ in 0..3 {
            let refused = db.put("later", "v");
            assert!(
                matches!(refused, Err(Error::Poisoned { .. })),
                "{operation:?}: {refused:?}"
            );
            check(&db, &model)?;
        }
        assert!(matches!(db.sync(), Err(Error::Poisoned { .. })));
        assert!(matches!(db.flush(), Err(Error::Poisoned { .. })));
        machine.settle();
        check(&db, &model)?;
        assert!(db.close().is_err());

        let recovered = contents(&machine.open()?)?;
        let of_the_batch =
            (5..15).filter(|number| recovered.get(&key(*number)) == Some(&value(*number, 1)));
        let of_the_batch = of_the_batch.count();
        assert!(
            [0, 10].contains(&of_the_batch),
            "half of it: {of_the_batch}"
        );
        for number in 0..5 {
            assert_eq!(recovered.get(&key(number)), model.get(&key(number)));
        }
        machine.open()?.put("later", "v")?;
    }
    Ok(())
}
