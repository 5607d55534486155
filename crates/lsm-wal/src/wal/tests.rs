//! The log as its users see it: situations, one test each. Crashes and failures at every operation
//! are in `sweeps`.

mod sweeps;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lsm_fs::{ByPath, CrashImage, Fault, FaultFs, FileSystem, Operation, SimFs};

use super::*;
use crate::segment::SEGMENT_HEADER_LEN;
use crate::{parse_segment_file_name, segment_file_name};

const DIR: &str = "/log";

fn options() -> WalOptions {
    WalOptions {
        segment_bytes_max: 2_048,
        ..WalOptions::new([9; 16])
    }
}

fn open(fs: impl FileSystem) -> Result<(Wal, Vec<Vec<u8>>), Error> {
    let (wal, replay) = Wal::open(Arc::new(fs), Path::new(DIR), options())?;
    let records = replay.records.iter();
    Ok((wal, records.map(|record| record.payload.to_vec()).collect()))
}

fn segments(fs: &impl FileSystem) -> Vec<u64> {
    let entries = fs.list(Path::new(DIR)).unwrap();
    let ids = entries
        .iter()
        .map(|entry| parse_segment_file_name(&entry.name));
    ids.flatten().collect()
}

fn flip_byte(fs: &SimFs, segment: u64, offset: usize) {
    let path = Path::new(DIR).join(segment_file_name(segment));
    let file = fs.open(&path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes[offset] ^= 0x40;
    fs.remove_file(&path).unwrap();
    fs.create_new(&path).unwrap().append_all(&bytes).unwrap();
}

#[test]
fn a_full_disk_rejects_and_does_not_fill_with_segments_and_writing_resumes_with_room() {
    let sim = SimFs::new();
    let (wal, _) = open(sim.clone()).unwrap();
    wal.append(b"first", Durability::Sync).unwrap();
    // Room for many headers, not for the record.
    sim.set_capacity_bytes(Some(sim.used_bytes() + 2_000));
    let large = vec![1; 5_000];
    for _ in 0..50 {
        let error = wal.append(&large, Durability::Sync).unwrap_err();
        assert!(error.is_no_room(), "{error}");
    }
    assert!(segments(&sim).len() <= 2, "{:?}", segments(&sim));
    sim.set_capacity_bytes(None);
    wal.append(&large, Durability::Sync).unwrap();
    let (_wal, found) = open(sim.crash(&CrashImage::NothingUnsynced)).unwrap();
    assert_eq!(found, [b"first".to_vec(), large]);
}

#[test]
fn a_log_opens_on_a_full_disk_and_makes_up_for_it_later() {
    let sim = SimFs::new();
    let (wal, _) = open(sim.clone()).unwrap();
    wal.append(b"one", Durability::Buffered).unwrap();
    let killed = sim.reopen_after_kill();
    killed.set_capacity_bytes(Some(killed.used_bytes()));
    let (wal, found) = open(killed.clone()).unwrap();
    assert_eq!(found, [b"one".to_vec()]);
    assert!(
        wal.append(b"two", Durability::Sync)
            .unwrap_err()
            .is_no_room()
    );
    assert!(
        wal.sync().unwrap_err().is_no_room(),
        "nothing may be called durable"
    );
    killed.set_capacity_bytes(None);
    wal.sync().unwrap();
    let (_wal, found) = open(killed.crash(&CrashImage::NothingUnsynced)).unwrap();
    assert_eq!(found, [b"one".to_vec()]);
}

#[test]
fn rot_in_synced_records_is_damage_wherever_it_is() {
    let sim = SimFs::new();
    let (wal, _) = open(sim.clone()).unwrap();
    let mut given = Vec::new();
    for n in 0..6_u8 {
        wal.append(&[n; 40], Durability::Sync).unwrap();
        given.push(vec![n; 40]);
        if n % 3 == 2 {
            wal.rotate();
        }
    }
    let record_len = FRAME_HEADER_LEN + 40;
    let header_len = usize::try_from(SEGMENT_HEADER_LEN).unwrap();
    for segment in [1, 2] {
        for offset in 0..header_len + 3 * record_len {
            // The last record before a crash cannot be told from a torn one.
            let is_last = segment == 2 && offset >= header_len + 2 * record_len;
            let rotten = sim.reopen_after_kill();
            flip_byte(&rotten, segment, offset);
            match open(rotten) {
                Err(error) => {
                    assert!(!is_last, "{error}");
                    let damage =
                        matches!(error, Error::Damaged { segment: at, .. } if at == segment);
                    assert!(damage, "{segment}:{offset}: {error}");
                }
                Ok((_, found)) => {
                    assert!(is_last, "{segment}:{offset}");
                    assert_eq!(found, given[..5]);
                }
            }
        }
    }
    // After a clean close there is no such exception.
    wal.close().unwrap();
    for offset in 0..header_len + 3 * record_len {
        let rotten = sim.reopen_after_kill();
        flip_byte(&rotten, 2, offset);
        let error = open(rotten).unwrap_err();
        assert!(
            matches!(error, Error::Damaged { segment: 2, .. }),
            "{offset}: {error}"
        );
    }
}

#[test]
fn a_single_segment_with_a_rotten_header_is_damage() {
    let sim = SimFs::new();
    let (wal, _) = open(sim.clone()).unwrap();
    wal.append(b"only", Durability::Sync).unwrap();
    let rotten = sim.reopen_after_kill();
    flip_byte(&rotten, 1, 3);
    assert!(matches!(
        open(rotten),
        Err(Error::Damaged { segment: 1, .. })
    ));
}

#[test]
fn a_missing_segment_is_named() {
    let sim = SimFs::new();
    let (wal, _) = open(sim.clone()).unwrap();
    for n in 0..3_u8 {
        wal.append(&[n], Durability::Sync).unwrap();
        wal.rotate();
    }
    drop(wal);
    sim.remove_file(&PathBuf::from(DIR).join(segment_file_name(2)))
        .unwrap();
    assert!(matches!(
        open(sim),
        Err(Error::MissingSegment { segment: 2, .. })
    ));
}

#[test]
fn retired_segments_are_gone_and_ids_never_go_backwards() {
    let sim = SimFs::new();
    let fs = FaultFs::over_sim(sim.clone());
    let (wal, _) = open(fs.clone()).unwrap();
    for n in 0..5_u8 {
        wal.append(&[n], Durability::Sync).unwrap();
        wal.rotate();
    }
    let disk = sim.clone();
    fs.on_operation(move |event| {
        // Above all: some of several removals kept, others not.
        let subsets = (0..20).map(|seed| CrashImage::NamesSubset { seed });
        for image in CrashImage::standard(event.index).into_iter().chain(subsets) {
            let (_wal, found) = open(disk.crash(&image)).unwrap();
            let all: Vec<Vec<u8>> = (0..5).map(|n| vec![n]).collect();
            assert!(all.ends_with(&found) && found.len() >= 2, "{found:?}");
        }
    });
    wal.retire_before(4).unwrap();
    fs.remove_hook();
    assert_eq!(segments(&sim), [4, 5]);
    wal.retire_before(u64::MAX).unwrap();
    assert_eq!(
        segments(&sim),
        [5],
        "the segment that the log ends in stays"
    );
    wal.close().unwrap();
    for _ in 0..3 {
        let (wal, found) = open(sim.clone()).unwrap();
        assert_eq!(found, [vec![4]]);
        drop(wal);
    }
    let (wal, _) = open(sim).unwrap();
    let appended = wal.append(b"x", Durability::Sync).unwrap();
    assert_eq!(appended.position.segment, 6);
}

#[test]
fn every_acknowledgement_of_many_threads_is_durable_and_groups_share_a_sync() {
    let sim = SimFs::new();
    let fs = FaultFs::over_sim(sim.clone());
    let (wal, _) = open(fs.clone()).unwrap();
    wal.append(b"warm up", Durability::Sync).unwrap();
    let syncs_before = fs.count_of(Operation::Sync);

    // While one sync hangs, the others gather behind it.
    let parked = fs.park(Operation::Sync, |_| true);
    std::thread::scope(|scope| {
        scope.spawn(|| wal.append(b"leader", Durability::Sync).unwrap());
        parked.wait_for_arrival();
        let writers: Vec<_> = (0..8_u8)
            .map(|n| {
                let wal = &wal;
                scope.spawn(move || wal.append(&[n; 10], Durability::Sync).unwrap())
            })
            .collect();
        while wal.queue.waiting_count() < 8 {
            std::thread::yield_now();
        }
        parked.release();
        let appended = writers.into_iter().map(|writer| writer.join().unwrap());
        let mut places: Vec<_> = appended.map(|it| (it.seqno, it.position)).collect();
        places.sort_unstable();
        // In one order: that of the log.
        assert!(
            places.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1),
            "{places:?}"
        );
        assert_eq!(places.len(), 8);
    });
    assert_eq!(
        fs.count_of(Operation::Sync) - syncs_before,
        2,
        "one for the leader, one for all others"
    );
    let (_wal, found) = open(sim.crash(&CrashImage::NothingUnsynced)).unwrap();
    assert_eq!(found.len(), 10);
}

/// A position was all that an append returned, and a program that kept it as the record's name found
/// another record there after a crash.
#[test]
fn a_record_keeps_its_seqno_when_a_recovery_moves_it() {
    let sim = SimFs::new();
    let (wal, _) = open(sim.clone()).unwrap();
    let mut given = Vec::new();
    for n in 0..20_u8 {
        let durability = match n % 3 {
            0 => Durability::Sync,
            _ => Durability::Buffered,
        };
        given.push((wal.append(&[n; 300], durability).unwrap(), n));
    }
    let mut disk = sim.reopen_after_kill();
    for round in 0..3 {
        let (_, replay) = Wal::open(Arc::new(disk.clone()), Path::new(DIR), options()).unwrap();
        let (records, names) = (replay.records.iter(), given.iter());
        assert_eq!(replay.records.len(), given.len());
        for (record, (appended, n)) in records.clone().zip(names.clone()) {
            assert_eq!(record.seqno, appended.seqno, "round {round}");
            assert_eq!(record.payload, vec![*n; 300], "round {round}");
        }
        disk = disk.reopen_after_kill();
    }
    // The tail was written again: it lies elsewhere now.
    let (_, replay) = Wal::open(Arc::new(disk), Path::new(DIR), options()).unwrap();
    let moved =
        |(record, (appended, _)): (&Record, &(Appended, u8))| record.position != appended.position;
    assert!(replay.records.iter().zip(&given).any(moved));
}

/// The seqnos of what is retired are told by the last record alone. If that is retired too, or lost
/// with the power, the next append would be given the first seqno again.
#[test]
fn a_retired_records_seqno_is_not_given_again() {
    let seqno_after = |prepare: &dyn Fn(&Wal, &SimFs), image: &CrashImage| {
        let sim = SimFs::new();
        let (wal, _) = open(sim.clone()).unwrap();
        let retired = wal.append(b"retired", Durability::Sync).unwrap();
        wal.rotate();
        prepare(&wal, &sim);
        wal.retire_before(u64::MAX).unwrap();
        let (wal, found) = open(sim.crash(image)).unwrap();
        let next = wal.append(b"next", Durability::Sync).unwrap();
        assert!(next.seqno > retired.seqno, "{next:?}, {found:?}");
    };
    let buffered = |wal: &Wal, _: &SimFs| {
        wal.append(b"last", Durability::Buffered).unwrap();
    };
    // The segment is there, and there was no room for its record.
    let rejected = |wal: &Wal, sim: &SimFs| {
        sim.set_capacity_bytes(Some(sim.used_bytes() + 2_000));
        wal.append(&[1; 5_000], Durability::Sync).unwrap_err();
        sim.set_capacity_bytes(None);
    };
    for image in CrashImage::standard(7) {
        seqno_after(&|_, _| {}, &image);
        seqno_after(&buffered, &image);
        seqno_after(&rejected, &image);
    }
}

#[test]
fn nobody_stays_awake_for_a_sync_that_may_be_slow() {
    let (wal, _) = open(SimFs::new()).unwrap();
    wal.append(b"copied", Durability::Buffered).unwrap();
    assert!(wal.queue.answers_soon());
    // The first sync: how long one takes is not known.
    wal.append(b"synced", Durability::Sync).unwrap();
    assert!(!wal.queue.answers_soon());
    wal.append(b"copied", Durability::Buffered).unwrap();
    assert!(wal.queue.answers_soon());
}

#[test]
fn a_failed_sync_answers_the_whole_group_and_is_final() {
    let fs = FaultFs::over_sim(SimFs::new());
    let (wal, _) = open(fs.clone()).unwrap();
    wal.append(b"fine", Durability::Sync).unwrap();
    fs.fail_when(Operation::Sync, |_| true, Fault::from_raw_os_error(5));
    assert!(matches!(
        wal.append(b"x", Durability::Sync),
        Err(Error::SyncFailed { .. })
    ));
    for durability in [Durability::Sync, Durability::Buffered] {
        let error = wal.append(b"y", durability).unwrap_err();
        assert!(
            matches!(&error, Error::Poisoned { cause } if cause.contains("sync")),
            "{error}"
        );
    }
    assert!(matches!(wal.sync(), Err(Error::Poisoned { .. })));
    assert!(matches!(wal.close(), Err(Error::Poisoned { .. })));
}

#[test]
fn a_second_handle_is_refused() {
    let sim = SimFs::new();
    let (_wal, _) = open(sim.clone()).unwrap();
    let error = open(sim).unwrap_err();
    assert!(
        matches!(&error, Error::Io { operation: "lock", source, .. } if source.kind() == io::ErrorKind::WouldBlock),
        "{error}"
    );
}

#[test]
fn a_read_error_during_replay_fails_the_open_and_is_not_taken_for_the_end() {
    let sim = SimFs::new();
    let (wal, _) = open(sim.clone()).unwrap();
    wal.append(b"one", Durability::Sync).unwrap();
    wal.append(b"two", Durability::Sync).unwrap();
    let reads = {
        let fs = FaultFs::over_sim(sim.reopen_after_kill());
        open(fs.clone()).unwrap();
        fs.count_of(Operation::ReadAt)
    };
    assert!(reads >= 2);
    for n in 0..reads {
        let fs = FaultFs::over_sim(sim.reopen_after_kill());
        let seen = Mutex::new(0);
        let nth = move |_: &Path| {
            let mut seen = seen.lock().unwrap();
            *seen += 1;
            *seen == n + 1
        };
        fs.fail_when(Operation::ReadAt, nth, Fault::from_raw_os_error(5));
        assert!(
            matches!(
                open(fs),
                Err(Error::Io {
                    operation: "read",
                    ..
                })
            ),
            "{n}"
        );
    }
}

#[test]
fn foreign_files_are_left_alone() {
    let sim = SimFs::new();
    sim.create_dir(Path::new(DIR)).unwrap();
    let foreign = [
        "wal.log",
        "wal-1.log",
        "x.tmp",
        "wal-0000000001.log.tmp.tmp",
    ];
    for name in foreign {
        sim.create_new(&Path::new(DIR).join(name))
            .unwrap()
            .append_all(b"mine")
            .unwrap();
    }
    sim.create_dir(&Path::new(DIR).join("wal-0000000009.log"))
        .unwrap();
    let (wal, found) = open(sim.clone()).unwrap();
    assert!(found.is_empty());
    wal.append(b"x", Durability::Sync).unwrap();
    wal.retire_before(100).unwrap();
    wal.close().unwrap();
    for name in foreign {
        assert_eq!(
            sim.file_len(&Path::new(DIR).join(name)).unwrap(),
            4,
            "{name}"
        );
    }
}

/// The number after the largest wrapped to 0 (and panicked in debug builds): the append was
/// acknowledged, and the log could not be opened again. Found by fuzzing the recovery.
#[test]
fn a_log_whose_seqnos_are_used_up_refuses_appends_and_opens_again() {
    let sim = SimFs::new();
    sim.create_dir(Path::new("/log")).unwrap();
    let log_options = LogOptions {
        dir: sim.open_dir(Path::new("/log")).unwrap(),
        database_id: [3; 16],
        segment_bytes_max: 4_096,
    };
    let mut log = Log::new(log_options, None);
    let mut group = FrameBuffer::new();
    group.push(KIND_DATA, 0, u64::MAX, |payload| payload.extend(b"last"));
    log.append(&mut group, &mut || Ok(1)).unwrap();
    log.close().unwrap();
    for _ in 0..2 {
        let (wal, found) = open(sim.clone()).unwrap();
        assert_eq!(found, [b"last"]);
        match wal.append(b"more", Durability::Sync) {
            Err(Error::WriteFailed { source, .. }) => {
                assert_eq!(source.to_string(), "no seqnos are left");
            }
            other => panic!("{other:?}"),
        }
    }
}
