//! What an acknowledgement means, in each mode, and what the file system was asked for before it.

use lsm_db::{Batch, Durability, Lsm, LsmConfig};
use lsm_fs::{CrashImage, Operation, TraceEvent};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, check, contents, key, value};

fn synced() -> Machine {
    Machine::new(LsmConfig::new(), 0)
}

fn buffered() -> Machine {
    Machine::new(LsmConfig::new().durability(Durability::Buffered), 0)
}

fn one(key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, value);
    batch
}

/// How many of the writes `key(0)`, `key(1)`, … are there, if they are a prefix of that order.
fn prefix_len(db: &Lsm) -> Result<usize, Box<dyn std::error::Error>> {
    let found = contents(db)?;
    let expected: Model = (0..found.len()).map(|n| (key(n), value(n, 0))).collect();
    if found != expected {
        return Err(format!("not a prefix of the commit order: {:?}", found.keys()).into());
    }
    Ok(found.len())
}

/// A new file's directory entry was never synced (fault 1), the database directory itself was
/// never synced into its parent (fault 61), pages were persisted out of order (fault 12).
#[test]
fn a_write_acknowledged_as_sync_survives_every_power_cut() -> TestResult {
    let machine = synced();
    let db = machine.open()?;
    let mut model = Model::new();
    for number in 0..8 {
        db.put(key(number), value(number, 0))?;
        model.insert(key(number), value(number, 0));
        if number == 4 {
            db.flush()?;
        }
        for image in CrashImage::standard(number as u64) {
            let left = machine.after_power_cut(&image);
            let recovered = left.open().map_err(|error| format!("{image:?}: {error}"))?;
            check(&recovered, &model).map_err(|error| format!("{image:?}: {error}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_buffered_write_survives_a_kill_of_the_process() -> TestResult {
    let machine = buffered();
    let db = machine.open()?;
    for number in 0..10 {
        db.put(key(number), value(number, 0))?;
        assert_eq!(prefix_len(&machine.after_kill().open()?)?, number + 1);
    }
    Ok(())
}

#[test]
fn a_power_cut_takes_only_the_newest_buffered_writes() -> TestResult {
    let machine = buffered();
    let db = machine.open()?;
    let mut durable = 0;
    for number in 0..30 {
        db.put(key(number), value(number, 0))?;
        if number % 11 == 10 {
            db.sync()?;
            durable = number + 1;
        }
        for image in CrashImage::standard(number as u64) {
            let recovered = machine.after_power_cut(&image).open();
            let recovered = recovered.map_err(|error| format!("{image:?}: {error}"))?;
            let survived = prefix_len(&recovered).map_err(|error| format!("{image:?}: {error}"))?;
            assert!(
                (durable..=number + 1).contains(&survived),
                "{image:?}: {survived} writes, {durable} were durable, {} made",
                number + 1
            );
        }
    }
    Ok(())
}

#[test]
fn without_a_sync_a_buffered_write_is_not_waited_for() -> TestResult {
    let machine = buffered();
    let db = machine.open()?;
    db.put("first", "creates the segment")?;
    machine.faults.start_trace(1000);
    for number in 0..50 {
        db.put(key(number), value(number, 0))?;
    }
    let trace = machine.faults.take_trace();
    assert!(
        trace
            .iter()
            .any(|event| event.operation == Operation::Append)
    );
    assert!(
        trace.iter().all(|event| event.operation != Operation::Sync),
        "{trace:#?}"
    );
    assert_eq!(
        machine
            .after_power_cut(&CrashImage::NothingUnsynced)
            .open()?
            .iter()
            .count(),
        0
    );
    Ok(())
}

#[test]
fn sync_makes_everything_acknowledged_so_far_durable() -> TestResult {
    let machine = buffered();
    let db = machine.open()?;
    for round in 1..4 {
        for number in (round - 1) * 10..round * 10 {
            db.put(key(number), value(number, 0))?;
        }
        db.sync()?;
        let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
        assert_eq!(prefix_len(&left.open()?)?, round * 10);
    }
    Ok(())
}

#[test]
fn sync_of_nothing_new_asks_only_whether_what_it_relies_on_is_there() -> TestResult {
    let machine = synced();
    let db = machine.open()?;
    db.put("k", "v")?;
    machine.faults.start_trace(100);
    db.sync()?;
    let asked = machine.faults.take_trace();
    assert!(!asked.is_empty());
    assert!(
        asked
            .iter()
            .all(|event| event.operation == Operation::IsLinked),
        "{asked:?}"
    );
    Ok(())
}

#[test]
fn write_with_overrides_the_configured_durability_both_ways() -> TestResult {
    let machine = buffered();
    let db = machine.open()?;
    db.put(key(0), value(0, 0))?;
    db.put(key(1), value(1, 0))?;
    db.write_with(one(&key(2), &value(2, 0)), Durability::Sync)?;
    db.put(key(3), value(3, 0))?;
    // The synced write brought the buffered ones before it along (fault 6).
    let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
    assert_eq!(prefix_len(&left.open()?)?, 3);

    let machine = synced();
    let db = machine.open()?;
    db.put(key(0), value(0, 0))?;
    db.write_with(one(&key(1), &value(1, 0)), Durability::Buffered)?;
    let left = machine.after_power_cut(&CrashImage::NothingUnsynced);
    assert_eq!(prefix_len(&left.open()?)?, 1);
    Ok(())
}

/// A newer log synced, an older one not: recovery is a prefix of the commit order (fault 6). The
/// memtables seal often, so that the buffered writes spread over many segments.
#[test]
fn a_synced_write_brings_all_older_segments_along() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(200)
        .durability(Durability::Buffered);
    for seed in 0..10 {
        let machine = Machine::new(config.clone(), seed);
        let db = machine.open()?;
        for number in 0..20 {
            db.put(key(number), value(number, 0))?;
        }
        db.write_with(one(&key(20), &value(20, 0)), Durability::Sync)?;
        for image in CrashImage::standard(seed) {
            let left = machine.after_power_cut(&image);
            let survived = prefix_len(&left.open()?)?;
            assert_eq!(survived, 21, "seed {seed}, {image:?}");
        }
    }
    Ok(())
}

/// fsync skipped silently on one path (fault 5).
#[test]
fn a_sync_of_the_log_stands_before_every_acknowledgement() -> TestResult {
    let config = LsmConfig::new()
        .memtable_capacity(400)
        .compaction_trigger(2);
    let machine = Machine::new(config, 3);
    let db = machine.open()?;
    for number in 0..60 {
        machine.faults.start_trace(10_000);
        match number % 3 {
            0 => db.put(key(number), value(number, 0))?,
            1 => db.delete(key(number / 2))?,
            _ => db.write(one(&key(number), b"in a batch"))?,
        }
        let trace = machine.faults.take_trace();
        let log = |event: &TraceEvent| is_log(event);
        let appended = trace
            .iter()
            .rposition(|event| event.operation == Operation::Append && log(event))
            .ok_or("the write was not logged")?;
        assert!(
            trace[appended..]
                .iter()
                .any(|event| event.operation == Operation::Sync
                    && event.ok
                    && event.path == trace[appended].path),
            "write {number} was acknowledged unsynced: {trace:#?}"
        );
        if let Some(created) = trace
            .iter()
            .position(|event| event.operation == Operation::CreateNew && log(event))
        {
            assert!(
                trace[created..]
                    .iter()
                    .any(|event| event.operation == Operation::SyncDir && event.ok),
                "the name of the segment of write {number} was not synced: {trace:#?}"
            );
        }
    }
    Ok(())
}

fn is_log(event: &TraceEvent) -> bool {
    let name = event.path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.starts_with("wal-"))
}

/// A run entered the manifest before its own fsync (fault 3); a file was unlinked before the
/// commit that replaced it was durable (fault 4).
#[test]
fn a_run_is_synced_before_the_manifest_names_it_and_a_file_goes_only_after() -> TestResult {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(2), 3);
    let db = machine.open()?;
    machine.faults.start_trace(100_000);
    for age in 0..10 {
        for number in 0..5 {
            db.put(key(number), value(number, age))?;
        }
        db.flush()?;
        machine.settle();
    }
    let trace = machine.faults.take_trace();
    let name_of = |event: &TraceEvent| {
        event
            .path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let mut unsynced_runs = std::collections::BTreeSet::new();
    let mut edited_since_last_unlink = false;
    let (mut edits, mut unlinks) = (0, 0);
    for event in trace.iter().filter(|event| event.ok) {
        let name = name_of(event);
        // A filter is a hint, and whoever reads it takes it for no more.
        let is_run = name.starts_with("run-") && !name.ends_with(".bloom");
        let is_manifest = name.starts_with("MANIFEST");
        match event.operation {
            Operation::Append if is_run => {
                unsynced_runs.insert(name);
            }
            Operation::Sync if is_run => {
                unsynced_runs.remove(&name);
            }
            Operation::Append if is_manifest => {
                assert!(
                    unsynced_runs.is_empty(),
                    "an edit before the sync of {unsynced_runs:?}"
                );
            }
            Operation::Sync if is_manifest => {
                edits += 1;
                edited_since_last_unlink = true;
            }
            Operation::RemoveFile if is_run => {
                assert!(edited_since_last_unlink, "{name} went before an edit");
                unlinks += 1;
            }
            _ => {}
        }
    }
    assert!(
        edits >= 10 && unlinks >= 5,
        "{edits} edits, {unlinks} unlinks"
    );
    Ok(())
}
