//! Ids of files and seqnos: given out once, and never again, whatever is lost in between.

use std::convert::Infallible;
use std::path::Path;

use lsm_db::LsmConfig;
use lsm_fs::{CrashImage, Fault, FileSystem, Operation};
use lsm_tests::TestResult;
use lsm_tests::machine::Machine;
use lsm_tests::model::{key, value};
use lsm_version::{Manifest, ManifestState};

fn starts_with(path: &Path, start: &str) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(start))
}

/// What the manifest says, as a reader beside the store finds it.
fn state(machine: &Machine) -> Result<ManifestState, Box<dyn std::error::Error>> {
    let keys_of = &mut |_: &_| -> Result<_, Infallible> { Ok(Default::default()) };
    let dir = machine.disk.open_dir(machine.dir())?;
    Ok(Manifest::load(dir, keys_of)?.state().clone())
}

/// The id of a file that a crash took out of the manifest was used again (faults 19, 32).
#[test]
fn no_run_id_and_no_segment_id_is_ever_used_twice() -> TestResult {
    let mut machine = Machine::new(
        LsmConfig::new()
            .memtable_capacity(300)
            .compaction_trigger(2),
        1,
    );
    let mut created = std::collections::BTreeSet::new();
    for round in 0..12_u64 {
        machine.faults.start_trace(100_000);
        let db = machine.open()?;
        for number in 0..40 {
            db.put(key(number), value(number, 0))?;
        }
        if round % 3 == 0 {
            // A job that fails half-way has burnt its ids.
            let is_run = |path: &Path| starts_with(path, "run-");
            let eio = Fault::from_raw_os_error(5);
            machine.faults.fail_when(Operation::Sync, is_run, eio);
            // It fails, or the background had flushed everything before.
            let _ = db.flush();
        }
        if round % 4 < 2 {
            machine.settle();
        } else {
            // The crash finds runs that no edit names yet; their ids are burnt all the same.
            for _ in 0..round {
                machine.scheduler.step();
            }
        }
        for event in machine.faults.take_trace() {
            if event.operation != Operation::CreateNew || !event.ok {
                continue;
            }
            let name = event
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with("run-") || name.starts_with("wal-") {
                let id = name.trim_end_matches(".tmp").to_owned();
                assert!(created.insert(id), "round {round}: {name} was there before");
            }
        }
        let images = CrashImage::standard(round);
        let image = images[usize::try_from(round)? % images.len()];
        machine = if round % 2 == 0 {
            machine.after_power_cut(&image)
        } else {
            machine.after_kill()
        };
    }
    Ok(())
}

/// A write of unknown fate may come back, so its seqno must not be another's by then (fault 16):
/// after a crash they go on above all that were reserved.
#[test]
fn seqnos_go_on_above_all_that_an_earlier_handle_may_have_used() -> TestResult {
    let mut machine = Machine::new(LsmConfig::new(), 1);
    let mut reserved = 0;
    for round in 0..6 {
        let db = machine.open()?;
        db.put("k", "v")?;
        db.flush()?;
        let state = state(&machine)?;
        let used = state.flushed_seqno;
        assert!(used >= reserved, "round {round}: {used} of {reserved}");
        reserved = state.ceilings.seqno;
        assert!(used < reserved, "round {round}: {used} was not reserved");
        machine = match round % 2 {
            0 => machine.after_kill(),
            _ => machine.after_power_cut(&CrashImage::NothingUnsynced),
        };
    }
    Ok(())
}
