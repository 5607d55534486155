//! Who pays when the last reader lets go: the background, not the reader; and when it lets go.

use lsm_db::{Error, LsmConfig};
use lsm_fs::{Fault, Operation};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{check, contents, key, value};

/// The last reader of a flushed memtable freed it, node by node, in its own drop.
#[test]
fn the_last_iterator_over_a_flushed_memtable_leaves_its_freeing_to_the_background() -> TestResult {
    for runs_out in [true, false] {
        let machine = Machine::new(LsmConfig::new(), 1);
        let db = machine.open()?;
        for number in 0..100 {
            db.put(key(number), value(number, 0))?;
        }
        let (mut last, first) = (db.iter(), db.iter());
        assert!(last.next().transpose()?.is_some());
        db.flush()?;
        machine.settle();
        drop(first);
        assert!(!machine.scheduler.step(), "another reader still holds it");
        if runs_out {
            assert_eq!(last.by_ref().filter(Result::is_ok).count(), 99);
            assert!(machine.scheduler.step(), "the end let go of nothing");
        } else {
            drop(last);
            assert!(machine.scheduler.step(), "the drop left nothing to do");
        }
        machine.settle();
        assert_eq!(db.iter().count(), 100);
    }
    Ok(())
}

/// The last reader of an old tree let go of its runs one by one, in its own drop.
#[test]
fn the_last_snapshot_of_an_old_tree_leaves_letting_go_of_its_runs_to_the_background() -> TestResult
{
    for seed in 0..8 {
        let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), seed);
        let db = machine.open()?;
        for age in 0..5 {
            // The same key, or the runs would be moved, and live on.
            db.put(key(0), value(0, age))?;
            db.flush()?;
        }
        let last = db.snapshot();
        db.compact_range::<&[u8], _>(..)?;
        machine.settle();
        let before = db.stats().files_unlinked;
        drop(last);
        assert!(machine.scheduler.step(), "the drop left nothing to do");
        let after_one = db.stats().files_unlinked;
        assert_eq!(after_one, before, "the drop itself looked at runs");
        machine.settle();
        // Five runs, and the filters beside them if there are filters.
        let unlinked = db.stats().files_unlinked - before;
        assert!(unlinked == 5 || unlinked == 10, "{unlinked}");
    }
    Ok(())
}

/// An iterator that had ended, well or badly, held the directory's lock as long as the value lived:
/// a `for` loop over a borrowed one kept the store from being opened again.
#[test]
fn an_iterator_that_has_ended_holds_no_lock() -> TestResult {
    for fails in [false, true] {
        for backwards in [false, true] {
            let machine = Machine::new(LsmConfig::new().block_cache_capacity(0), 1);
            let db = machine.open()?;
            for number in 0..100 {
                db.put(key(number), value(number, 0))?;
                if number == 50 {
                    db.flush()?;
                }
            }
            let model = contents(&db)?;
            let mut entries = db.iter();
            db.close()?;
            let db = machine.open();
            assert!(matches!(db, Err(Error::Locked { .. })), "{db:?}");
            if fails {
                let eio = Fault::from_raw_os_error(5).for_good();
                machine.faults.fail_when(Operation::ReadAt, |_| true, eio);
            }
            let mut step = || match backwards {
                true => entries.next_back(),
                false => entries.next(),
            };
            let mut ended_well = true;
            while let Some(entry) = step() {
                ended_well = entry.is_ok();
            }
            assert_ne!(ended_well, fails);
            machine.faults.clear_faults();
            check(&machine.open()?, &model)?;
            assert!(entries.next().is_none());
        }
    }
    Ok(())
}
