//! Damaged logs: rot in what was synced never passes, a torn tail never fails an open.

use std::path::{Path, PathBuf};

use lsm_db::{Error, LsmConfig};
use lsm_fs::{ByPath, SimFs};
use lsm_tests::TestResult;
use lsm_tests::directory::{damage, read_file, segments};
use lsm_tests::machine::Machine;
use lsm_tests::model::{Model, contents, key, value};

const WRITES: usize = 12;

/// The store after the first writes of `WRITES`.
fn state_after(writes: usize) -> Model {
    (0..writes)
        .map(|number| (key(number), value(number, 0)))
        .collect()
}

/// A store with every write in one segment, shut down cleanly or killed.
fn logged(clean: bool) -> Result<(Machine, PathBuf), Box<dyn std::error::Error>> {
    let machine = Machine::new(LsmConfig::new(), 1);
    let db = machine.open()?;
    for number in 0..WRITES {
        db.put(key(number), value(number, 0))?;
    }
    let machine = if clean {
        drop(db);
        machine
    } else {
        machine.after_kill()
    };
    let segments = segments(&machine.disk, machine.dir())?;
    match segments.as_slice() {
        [segment] => Ok((machine, segment.clone())),
        _ => Err(format!("{segments:?}").into()),
    }
}

fn changed(
    machine: &Machine,
    segment: &Path,
    change: impl FnOnce(&mut Vec<u8>),
) -> std::io::Result<Machine> {
    let disk: SimFs = machine.disk.reopen_after_kill();
    damage(&disk, segment, change)?;
    Ok(Machine::with_disk(disk, LsmConfig::new(), 2))
}

/// How much of a segment is not preallocated zeros.
fn written_len(machine: &Machine, segment: &Path) -> std::io::Result<usize> {
    let bytes = read_file(&machine.disk, segment)?;
    let last = bytes.iter().rposition(|&byte| byte != 0);
    Ok(last.map_or(0, |last| last + 1))
}

/// What an open made of a damaged log.
enum Verdict {
    Refused,
    Shows(Model),
}

fn open(machine: &Machine, segment: &Path) -> Result<Verdict, Box<dyn std::error::Error>> {
    match machine.open() {
        Ok(db) => Ok(Verdict::Shows(contents(&db)?)),
        Err(Error::Corruption {
            file: Some(file), ..
        }) if file == segment => Ok(Verdict::Refused),
        Err(other) => Err(format!("neither opened nor named the segment: {other:?}").into()),
    }
}

/// Damage in the middle of the log cut everything after it without a word (fault 23); an older
/// part damaged, a newer one replayed over the hole (fault 9).
#[test]
fn after_a_clean_shutdown_no_flipped_byte_of_the_log_passes_unnoticed() -> TestResult {
    let (machine, segment) = logged(true)?;
    let len = read_file(&machine.disk, &segment)?.len();
    assert!(
        len < 4096,
        "a clean shutdown trims the segment, but it has {len} bytes"
    );
    let mut refused = 0;
    for at in 0..len {
        let machine = changed(&machine, &segment, |bytes| bytes[at] ^= 0x04)?;
        match open(&machine, &segment).map_err(|error| format!("flipped {at}: {error}"))? {
            Verdict::Refused => refused += 1,
            // Padding, which holds nothing.
            Verdict::Shows(found) => assert_eq!(found, state_after(WRITES), "flipped {at}"),
        }
    }
    assert!(refused > len / 2, "{refused} of {len} flips were noticed");
    Ok(())
}

#[test]
fn after_a_kill_a_flipped_byte_costs_at_most_the_last_group() -> TestResult {
    let (machine, segment) = logged(false)?;
    let len = read_file(&machine.disk, &segment)?.len();
    let written = written_len(&machine, &segment)?;
    // All of what was written, with little behind it to be quick, and a sample of what is
    // preallocated.
    let short = changed(&machine, &segment, |bytes| bytes.truncate(written + 1000))?;
    let flips = (0..written).map(|at| (&short, at));
    let flips = flips.chain((written..len).step_by(40_009).map(|at| (&machine, at)));
    for (machine, at) in flips {
        let machine = changed(machine, &segment, |bytes| bytes[at] ^= 0x04)?;
        match open(&machine, &segment).map_err(|error| format!("flipped {at}: {error}"))? {
            Verdict::Refused => {}
            Verdict::Shows(found) => assert!(
                found == state_after(WRITES) || found == state_after(WRITES - 1),
                "flipped {at} of {written}: {} writes",
                found.len()
            ),
        }
    }
    Ok(())
}

/// A torn tail never fails an open, not the second one either (fault 57), and nothing is appended
/// after a torn record (fault 11).
#[test]
fn a_log_cut_anywhere_in_its_last_record_opens_without_it_again_and_again() -> TestResult {
    let (machine, segment) = logged(false)?;
    let written = written_len(&machine, &segment)?;
    let record = (written - 64) / (WRITES + 1);
    for cut in written - record / 2..written {
        let mut machine = changed(&machine, &segment, |bytes| bytes.truncate(cut))?;
        let mut expected = state_after(WRITES - 1);
        for round in 0..3 {
            let db = machine
                .open()
                .map_err(|error| format!("cut {cut}, round {round}: {error}"))?;
            assert_eq!(contents(&db)?, expected, "cut {cut}, round {round}");
            db.put(key(100 + round), "after the cut")?;
            expected.insert(key(100 + round), b"after the cut".to_vec());
            machine = machine.after_kill();
        }
    }
    Ok(())
}

#[test]
fn a_log_of_zeros_or_of_nothing_after_a_clean_shutdown_is_corruption() -> TestResult {
    let (machine, segment) = logged(true)?;
    let changes: [fn(&mut Vec<u8>); 3] = [
        Vec::clear,
        |bytes| bytes.fill(0),
        |bytes| bytes.truncate(bytes.len() / 2),
    ];
    for change in changes {
        let machine = changed(&machine, &segment, change)?;
        let refused = machine.open();
        assert!(
            matches!(refused, Err(Error::Corruption { .. })),
            "{refused:?}"
        );
    }
    Ok(())
}

#[test]
fn a_missing_segment_is_corruption() -> TestResult {
    let (machine, segment) = logged(true)?;
    machine.disk.remove_file(&segment)?;
    let refused = machine.open();
    assert!(
        matches!(refused, Err(Error::Corruption { .. })),
        "{refused:?}"
    );
    Ok(())
}

/// Stale records replayed: a record is bound to its segment and offset (fault 10).
#[test]
fn a_record_copied_to_another_place_is_not_replayed() -> TestResult {
    let (machine, segment) = logged(false)?;
    let written = written_len(&machine, &segment)?;
    let end = written.next_multiple_of(8);
    // An old part of the log, once more at its end.
    for start in (0..end / 2).step_by(8) {
        let machine = changed(&machine, &segment, |bytes| {
            let old = bytes[start..end / 2].to_vec();
            bytes[end..end + old.len()].copy_from_slice(&old);
        })?;
        let db = machine
            .open()
            .map_err(|error| format!("copied from {start}: {error}"))?;
        assert_eq!(contents(&db)?, state_after(WRITES), "copied from {start}");
    }
    Ok(())
}

#[test]
fn the_log_of_another_database_is_not_replayed() -> TestResult {
    let (ours, segment) = logged(false)?;
    let (theirs, _) = {
        let machine = Machine::new(LsmConfig::new(), 9);
        let db = machine.open()?;
        for number in 0..WRITES {
            db.put(key(number), "theirs")?;
        }
        (machine.after_kill(), db)
    };
    let log = read_file(&theirs.disk, &segment)?;
    let machine = changed(&ours, &segment, |bytes| *bytes = log)?;
    if let Ok(db) = machine.open() {
        let found = contents(&db)?;
        assert!(found.values().all(|value| value != b"theirs"), "{found:?}");
    }
    Ok(())
}
