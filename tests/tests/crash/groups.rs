//! A failed sync and the members of its group, which only threads can form.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Every member of a group whose sync fails gets the cause, the buffered ones too, and nothing of
/// it is published.
#[test]
fn a_failed_sync_fails_its_whole_group_and_publishes_nothing_of_it() -> TestResult {
    for round in 0..8 {
        let machine = Machine::on_threads(LsmConfig::new());
        let db = machine.open()?;
        db.put(key(0), value(0, round))?;
        let write = |number: usize, durability| {
            let mut batch = Batch::new();
            batch.put(key(number), value(number, round));
            db.write_with(batch, durability)
        };
        let parked = machine.faults.park(Operation::Sync, is_segment);
        let members = [Durability::Sync, Durability::Buffered, Durability::Sync];
        let answers = std::thread::scope(|scope| {
            let leader = scope.spawn(|| write(1, Durability::Sync));
            parked.wait_for_arrival();
            // These gather while the leader's sync hangs; the next sync is theirs.
            let write = &write;
            let members = (2..)
                .zip(members)
                .map(|(number, durability)| scope.spawn(move || write(number, durability)));
            let members: Vec<_> = members.collect();
            std::thread::sleep(TIME_TO_QUEUE);
            let syncs = AtomicUsize::new(0);
            machine.faults.fail_when(
                Operation::Sync,
                move |path| is_segment(path) && syncs.fetch_add(1, Ordering::SeqCst) == 1,
                Fault::from_raw_os_error(5),
            );
            parked.release();
            assert!(matches!(leader.join(), Ok(Ok(()))), "round {round}");
            let joined = members.into_iter().map(|member| member.join().ok());
            joined.collect::<Vec<_>>()
        });
        for answer in &answers {
            let has_cause = match answer {
                Some(Err(Error::Io { source, .. })) => source.raw_os_error() == Some(5),
                // Came too late for the group.
                Some(Err(Error::Poisoned { cause, .. })) => cause.contains("os error 5"),
                _ => false,
            };
            assert!(has_cause, "round {round}: {answers:?}");
        }
        let model = contents(&db)?;
        assert_eq!(model.len(), 2, "round {round}: something was published");
        check(&db, &model)?;
        assert!(matches!(db.put("later", "v"), Err(Error::Poisoned { .. })));
        let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
        check(&left.open()?, &model)?;
    }
    Ok(())
}
