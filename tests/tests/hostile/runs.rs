//! Damaged runs: what needs the damaged part fails and says where, everything else reads.

use std::path::{Path, PathBuf};

use lsm_db::format::RunWriter;
use lsm_db::{Error, Lsm, LsmConfig};
use lsm_fs::{ByPath, FileSystem, SimFs};
use lsm_tests::TestResult;
use lsm_tests::directory::{damage, read_file, runs};
use lsm_tests::hostile::manifests::with_run_recorded;
use lsm_tests::hostile::runs as forge;
use lsm_tests::layout::{Layout, layout};
use lsm_tests::machine::Machine;
use lsm_tests::model::{check, contents, key, value};

const KEYS: usize = 400;
/// The keys on both sides of the run to be damaged, in runs of their own.
const BELOW: usize = 100;
const ABOVE: usize = 300;

/// A store of three disjoint runs, the middle one of several blocks.
fn three_runs() -> Result<(Machine, PathBuf, Layout), Box<dyn std::error::Error>> {
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    for part in [0..BELOW, BELOW..ABOVE, ABOVE..KEYS] {
        for number in part {
            db.put(key(number), [value(number, 0), vec![b'.'; 100]].concat())?;
        }
        db.flush()?;
    }
    machine.settle();
    db.close()?;
    let runs = runs(&machine.disk, machine.dir())?;
    let [_, middle, _] = runs.as_slice() else {
        return Err(format!("{} runs, not 3", runs.len()).into());
    };
    let layout = layout(&read_file(&machine.disk, middle)?).ok_or("another format")?;
    assert!(layout.blocks.len() >= 5);
    Ok((machine, middle.clone(), layout))
}

/// The same machine with one bit flipped in the file.
fn flipped(machine: &Machine, path: &Path, at: usize) -> std::io::Result<Machine> {
    let disk: SimFs = machine.disk.reopen_after_kill();
    damage(&disk, path, |bytes| bytes[at] ^= 0x10)?;
    let config = LsmConfig::new().compaction_trigger(usize::MAX);
    Ok(Machine::with_disk(disk, config, 2))
}

fn names(error: &Error, run: &Path) -> bool {
    matches!(error, Error::Corruption { file: Some(file), .. } if file == run)
}

/// Checks that `get` errs for the keys that it should, naming the run, and reads all others.
fn only_these_err(db: &Lsm, run: &Path, errs: impl Fn(&[u8]) -> bool) -> TestResult {
    for number in 0..KEYS {
        match db.get(key(number)) {
            Err(error) if errs(&key(number)) && names(&error, run) => {}
            Ok(Some(_)) if !errs(&key(number)) => {}
            other => return Err(format!("key {number}: {other:?}").into()),
        }
    }
    Ok(())
}

/// Rot that nobody noticed (fault 41).
#[test]
fn a_flipped_byte_in_a_block_costs_the_keys_of_that_block_and_no_other() -> TestResult {
    let (machine, run, layout) = three_runs()?;
    for (number, block) in (0_u64..).zip(&layout.blocks) {
        let middle = (block.bytes.start + block.bytes.end) / 2;
        for at in [block.bytes.start, middle, block.bytes.end - 1] {
            let machine = flipped(&machine, &run, at)?;
            let db = machine
                .open()
                .map_err(|error| format!("flipped {at}: {error}"))?;
            only_these_err(&db, &run, |key| {
                block.keys.iter().any(|damaged| damaged == key)
            })
            .map_err(|error| format!("flipped {at}: {error}"))?;
            match db.get(&block.keys[0]) {
                Err(Error::Corruption { file, block, .. }) => {
                    assert_eq!(
                        (file.as_deref(), block),
                        (Some(run.as_path()), Some(number))
                    );
                }
                other => return Err(format!("flipped {at}: {other:?}").into()),
            }
        }
    }
    Ok(())
}

#[test]
fn a_flipped_byte_in_a_block_ends_an_iterator_where_it_gets_there() -> TestResult {
    let (machine, run, layout) = three_runs()?;
    let block = &layout.blocks[2];
    let machine = flipped(&machine, &run, block.bytes.start + 20)?;
    let db = machine.open()?;
    let before = (0..KEYS)
        .map(key)
        .filter(|key| *key < block.keys[0])
        .count();
    let after = KEYS - before - block.keys.len();

    for (mut entries, sound) in [
        (
            Box::new(db.iter()) as Box<dyn Iterator<Item = lsm_db::Result<_>>>,
            before,
        ),
        (Box::new(db.iter().rev()), after),
    ] {
        for _ in 0..sound {
            entries.next().ok_or("ended early")??;
        }
        assert!(
            entries
                .next()
                .is_some_and(|entry| entry.is_err_and(|error| names(&error, &run)))
        );
        assert!(entries.next().is_none());
    }
    assert!(db.scan(..).is_err_and(|error| names(&error, &run)));
    // Ranges that end or begin in the blocks beside it.
    let (below, above) = (&layout.blocks[1].keys, &layout.blocks[3].keys);
    let last_below = below.last().cloned().ok_or("no keys")?;
    assert_eq!(db.scan(..last_below)?.len(), before - 1);
    assert_eq!(db.scan(above[0].clone()..)?.len(), after);
    Ok(())
}

#[test]
fn a_flipped_byte_in_header_index_or_footer_costs_the_range_of_the_run() -> TestResult {
    let (machine, run, layout) = three_runs()?;
    // The entry count, the footer's first eight bytes, is outside every checksum.
    let footer = layout.footer.start + 8..layout.footer.end;
    let (first, last) = (layout.index.start, layout.index.end - 1);
    let index = [first, first + 1, first + 20, (first + last) / 2, last];
    for at in (0..8).chain(index).chain(footer) {
        let machine = flipped(&machine, &run, at)?;
        let db = machine
            .open()
            .map_err(|error| format!("flipped {at}: {error}"))?;
        only_these_err(&db, &run, |damaged| {
            (key(BELOW)..key(ABOVE)).contains(&damaged.to_vec())
        })
        .map_err(|error| format!("flipped {at}: {error}"))?;
        assert!(
            db.iter()
                .any(|entry| entry.is_err_and(|error| names(&error, &run)))
        );
        assert_eq!(db.scan(..key(BELOW))?.len(), BELOW);
        assert_eq!(db.scan(key(ABOVE)..)?.len(), KEYS - ABOVE);
    }
    Ok(())
}

/// A length or a count outside every checksum sized an allocation (fault 47).
#[test]
fn a_footer_that_counts_18_quintillion_entries_is_harmless() -> TestResult {
    let (machine, run, layout) = three_runs()?;
    let disk = machine.disk.reopen_after_kill();
    damage(&disk, &run, |bytes| {
        bytes[layout.footer.start..][..8].fill(0xff)
    })?;
    let machine = Machine::with_disk(disk, LsmConfig::new(), 2);
    let db = machine.open()?;
    assert_eq!(db.iter().filter(Result::is_ok).count(), KEYS);
    db.compact_range::<&[u8], _>(..)?;
    assert_eq!(db.iter().filter(Result::is_ok).count(), KEYS);
    Ok(())
}

#[test]
fn a_missing_run_is_corruption_at_open_that_names_it_and_nothing_is_touched() -> TestResult {
    let (machine, run, _) = three_runs()?;
    machine.disk.remove_file(&run)?;
    let before = lsm_tests::directory::read(&machine.disk, machine.dir())?;
    for _ in 0..2 {
        let refused = machine.open();
        assert!(
            refused.as_ref().is_err_and(|error| names(error, &run)),
            "{refused:?}"
        );
        machine.settle();
    }
    assert_eq!(
        lsm_tests::directory::read(&machine.disk, machine.dir())?,
        before
    );
    Ok(())
}

#[test]
fn a_run_of_another_length_is_corruption_at_open_that_names_it() -> TestResult {
    let (machine, run, _) = three_runs()?;
    let changes: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.push(0),
        |bytes| bytes.truncate(bytes.len() - 1),
        Vec::clear,
        |bytes| {
            bytes.extend_from_within(..);
        },
    ];
    for change in changes {
        let disk = machine.disk.reopen_after_kill();
        damage(&disk, &run, change)?;
        let refused = Machine::with_disk(disk, LsmConfig::new(), 2).open();
        assert!(
            refused.as_ref().is_err_and(|error| names(error, &run)),
            "{refused:?}"
        );
    }
    Ok(())
}

#[test]
fn a_run_in_anothers_place_is_corruption_for_its_range() -> TestResult {
    // Of the same length, and sound in itself.
    let machine = Machine::new(LsmConfig::new().compaction_trigger(usize::MAX), 1);
    let db = machine.open()?;
    for number in 0..2 {
        db.put(key(number), "of one length")?;
        db.flush()?;
    }
    db.close()?;
    let runs = runs(&machine.disk, machine.dir())?;
    let other = read_file(&machine.disk, &runs[1])?;
    damage(&machine.disk, &runs[0], |bytes| *bytes = other)?;
    let db = machine.open()?;
    let refused = db.get(key(0));
    assert!(
        refused.as_ref().is_err_and(|error| names(error, &runs[0])),
        "{refused:?}"
    );
    assert_eq!(db.get(key(1))?, Some(b"of one length".to_vec()));
    Ok(())
}

/// One rotten block stopped all compaction, and then all writes (fault 64).
#[test]
fn a_rotten_block_stops_neither_writes_nor_other_compactions() -> TestResult {
    let (machine, run, layout) = three_runs()?;
    let disk = machine.disk.reopen_after_kill();
    damage(&disk, &run, |bytes| {
        bytes[layout.blocks[1].bytes.start] ^= 1
    })?;
    let config = LsmConfig::new()
        .memtable_capacity(2000)
        .compaction_trigger(2);
    let machine = Machine::with_disk(disk, config, 2);
    let db = machine.open()?;
    for round in 0..20 {
        for number in (0..KEYS).step_by(7) {
            db.put(key(number), value(number, round))
                .map_err(|error| format!("round {round}: {error}"))?;
        }
        machine.settle();
    }
    for number in (0..KEYS).step_by(7) {
        assert_eq!(
            db.get(key(number))?,
            Some(value(number, 19)),
            "key {number}"
        );
    }
    assert!(
        machine.disk.kind(&run)?.is_some(),
        "the rotten run is kept for whoever can mend it"
    );
    // The damage is still reported, not forgotten.
    let rotten = layout.blocks[1]
        .keys
        .iter()
        .filter(|key| db.get(key).is_err())
        .count();
    assert!(rotten > 0);
    Ok(())
}

#[test]
fn a_failed_compaction_of_a_rotten_run_reports_it() -> TestResult {
    let (machine, run, layout) = three_runs()?;
    let machine = flipped(&machine, &run, layout.blocks[0].bytes.start)?;
    let db = machine.open()?;
    db.put(key(BELOW + 1), "makes the job a merge")?;
    let refused = db.compact_range::<&[u8], _>(..);
    assert!(
        refused.as_ref().is_err_and(|error| names(error, &run)),
        "{refused:?}"
    );
    assert_eq!(
        db.get(key(BELOW + 1))?,
        Some(b"makes the job a merge".to_vec())
    );
    Ok(())
}

/// A run was believed to keep to the keys that the manifest had for it. One that did not, with
/// checksums that fit, made iterators go back and forth and compactions write levels out of order.
#[test]
fn a_run_with_keys_outside_the_span_that_the_manifest_recorded_is_corruption() -> TestResult {
    for (number, first, last) in [(1, 0, 1), (1, 1, 9), (1, 0, 9), (2, 1, 1)] {
        let machine = Machine::new(LsmConfig::new(), 1);
        let db = machine.open()?;
        for number in 1..3 {
            db.put(key(number), value(number, 0))?;
        }
        db.flush()?;
        db.close()?;
        let run = runs(&machine.disk, machine.dir())?.remove(0);
        let mut forged = RunWriter::new();
        for key in [key(first), key(last)] {
            // One entry if they are the same.
            let _ = forged.put(key, value(number, 1));
        }
        let forged = forged.finish();
        let recorded = forge::recorded(&forged).ok_or("no run")?;
        damage(&machine.disk, &run, |bytes| *bytes = forged)?;
        damage(&machine.disk, &machine.path("MANIFEST"), |bytes| {
            let changed = with_run_recorded(bytes, 1, recorded);
            *bytes = changed.unwrap_or_default();
        })?;

        let db = machine.open()?;
        for entries in [
            &mut db.iter() as &mut dyn Iterator<Item = _>,
            &mut db.iter().rev(),
        ] {
            let found = entries.next();
            assert!(
                matches!(&found, Some(Err(error)) if names(error, &run)),
                "{first} to {last}: {found:?}"
            );
        }
        let refused = db.get(key(1));
        assert!(
            refused.as_ref().is_err_and(|error| names(error, &run)),
            "{first} to {last}: {refused:?}"
        );
    }
    Ok(())
}

#[test]
fn sound_files_stay_sound_under_this_tests_own_reader() -> TestResult {
    // Guards the tests above: an unflipped store has nothing to report.
    let (machine, run, layout) = three_runs()?;
    let keys: Vec<_> = layout
        .blocks
        .iter()
        .flat_map(|block| block.keys.clone())
        .collect();
    assert_eq!(keys, (BELOW..ABOVE).map(key).collect::<Vec<_>>());
    let db = machine.open()?;
    only_these_err(&db, &run, |_| false)?;
    let all = contents(&db)?;
    check(&db, &all)
}
