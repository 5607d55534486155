//! Lazy iterators: double-ended, fused, owned, and a view of the moment they were made.

use lsm_db::{Lsm, LsmConfig, Range};
use lsm_fs::Operation;
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Entries, Write, collect, key, value};
use lsm_tests::placement::everywhere;
use lsm_tests::random::Random;

fn forty() -> Vec<Write> {
    (0..40)
        .map(|number| (key(number), Some(value(number, 0))))
        .collect()
}

#[test]
fn the_two_ends_meet_in_the_middle_and_yield_each_entry_once() -> TestResult {
    everywhere(&forty(), |db, model| {
        let mut random = Random::new(11);
        for _ in 0..20 {
            let mut entries = db.iter();
            let (mut front, mut back) = (Entries::new(), Entries::new());
            loop {
                let from_front = random.one_in(2);
                let entry = if from_front {
                    entries.next()
                } else {
                    entries.next_back()
                };
                let Some((key, value)) = entry.transpose()? else {
                    break;
                };
                let side = if from_front { &mut front } else { &mut back };
                side.push((key.to_vec(), value.to_vec()));
            }
            front.extend(back.into_iter().rev());
            assert!(front.iter().map(|(key, value)| (key, value)).eq(model));
        }
        Ok(())
    })
}

#[test]
fn an_exhausted_iterator_stays_exhausted_at_both_ends() -> TestResult {
    everywhere(&forty(), |db, _| {
        let mut entries = db.range(key(5)..key(7));
        assert_eq!(entries.by_ref().count(), 2);
        for _ in 0..3 {
            assert!(entries.next().is_none());
            assert!(entries.next_back().is_none());
        }
        Ok(())
    })
}

#[test]
fn a_scan_knows_its_length_from_both_ends() -> TestResult {
    everywhere(&forty(), |db, _| {
        let mut scan = db.scan(key(10)..key(20))?;
        assert_eq!(scan.len(), 10);
        assert_eq!(scan.next().map(|entry| entry.0), Some(key(10)));
        assert_eq!(scan.next_back().map(|entry| entry.0), Some(key(19)));
        assert_eq!(scan.len(), 8);
        Ok(())
    })
}

#[test]
fn an_iterator_shows_the_moment_it_was_made() -> TestResult {
    everywhere(&forty(), |db, model| {
        let before: Entries = model.clone().into_iter().collect();
        let mut begun = db.iter();
        let first = begun.next().transpose()?;
        let not_begun = db.iter();
        for number in 0..60 {
            db.put(key(number), "written later")?;
        }
        for number in (0..40).step_by(3) {
            db.delete(key(number))?;
        }
        db.flush()?;
        db.compact_range::<&[u8], _>(..)?;
        assert_eq!(first.map(|entry| entry.0.to_vec()), Some(key(0)));
        assert_eq!(collect(begun)?, before[1..]);
        assert_eq!(
            collect(not_begun.rev())?
                .into_iter()
                .rev()
                .collect::<Entries>(),
            before
        );
        // What `everywhere` compares afterwards is the state before.
        for (number, entry) in (0..60).zip(forty().iter().map(Some).chain(std::iter::repeat(None)))
        {
            match entry {
                Some((key, Some(value))) => db.put(key, value)?,
                _ => db.delete(key(number))?,
            }
        }
        Ok(())
    })
}

#[test]
fn an_iterator_can_be_sent_to_another_thread_and_outlives_its_store() -> TestResult {
    fn assert_send_and_owned<T: Send + 'static>(_: &T) {}

    let dir = tempfile::tempdir()?;
    let db = Lsm::open(dir.path())?;
    for number in 0..100 {
        db.put(key(number), value(number, 0))?;
    }
    db.flush()?;
    for number in 100..200 {
        db.put(key(number), value(number, 0))?;
    }
    let entries: Range = db.iter();
    assert_send_and_owned(&entries);
    drop(db);
    let count = std::thread::spawn(move || collect(entries).map(|entries| entries.len())).join();
    assert_eq!(count.map_err(|_| "the thread panicked")??, 200);
    Ok(())
}

#[test]
fn a_narrow_range_reads_no_run_that_it_does_not_overlap() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 5);
    let db = machine.open()?;
    for run in 0..10 {
        for number in run * 10..run * 10 + 10 {
            db.put(key(number), value(number, 0))?;
        }
        db.flush()?;
    }
    db.close()?;
    let db = machine.open()?;
    machine.faults.start_trace(10_000);
    assert_eq!(collect(db.range(key(32)..key(38)))?.len(), 6);
    assert_eq!(collect(db.range(key(32)..key(38)).rev())?.len(), 6);
    assert_eq!(collect(db.prefix(key(35)))?.len(), 1);
    assert_eq!(collect(db.range(key(200)..))?.len(), 0);
    let trace = machine.faults.take_trace();
    let read = trace
        .iter()
        .filter(|event| event.operation == Operation::ReadAt);
    let runs: std::collections::BTreeSet<_> = read.map(|event| &event.path).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    Ok(())
}
