//! The writer: where groups go, what is synced when, and what a failure leaves.

use std::path::Path;

use lsm_fs::{ByPath, CrashImage, Fault, FaultFs, FileSystem, Operation, SimFs};

use super::*;
use crate::frame::KIND_DATA;
use crate::segment_file_name;

const SEGMENT_BYTES_MAX: u64 = 4_096;

fn log_on(fs: &(impl FileSystem + Clone)) -> Log {
    let options = LogOptions {
        dir: fs.open_dir(Path::new("/")).unwrap(),
        database_id: [1; 16],
        segment_bytes_max: SEGMENT_BYTES_MAX,
    };
    Log::new(options, None)
}

/// Gives out seqnos and segment ids.
#[derive(Default)]
struct Caller {
    seqno: u64,
    segment: u64,
}

impl Caller {
    fn append(&mut self, log: &mut Log, len: usize) -> Result<Position, Error> {
        self.seqno += 1;
        let mut group = FrameBuffer::new();
        group.push(KIND_DATA, 0, self.seqno, |payload| {
            payload.resize(payload.len() + len, 7)
        });
        log.append(&mut group, &mut || {
            self.segment += 1;
            Ok(self.segment)
        })
    }
}

fn path_of(segment: u64) -> PathBuf {
    Path::new("/").join(segment_file_name(segment))
}

#[test]
fn groups_fill_segments_and_a_large_one_gets_its_own() {
    let sim = SimFs::new();
    let (mut log, mut caller) = (log_on(&sim), Caller::default());
    assert_eq!(
        (log.end(), log.current_segment(), log.segment_bytes()),
        (None, None, 0)
    );
    let ends: Vec<Position> = [1_000, 1_000, 2_000, 10_000, 8, 8]
        .into_iter()
        .map(|len| caller.append(&mut log, len).unwrap())
        .collect();
    let expected = [
        (1, 1_128),
        (1, 2_176),
        (2, 2_128),
        (3, 10_128),
        (4, 136),
        (4, 192),
    ];
    assert_eq!(
        ends,
        expected.map(|(segment, offset)| Position::new(segment, offset))
    );
    assert_eq!(
        sim.file_len(&path_of(1)).unwrap(),
        SEGMENT_BYTES_MAX,
        "preallocated, bounded"
    );
    assert_eq!(
        sim.file_len(&path_of(3)).unwrap(),
        10_128,
        "not preallocated"
    );
    log.rotate();
    assert_eq!(caller.append(&mut log, 0).unwrap(), Position::new(5, 128));
}

#[test]
fn preallocation_doubles_within_its_bound() {
    let mib = 1 << 20;
    let target = |end, allocated| preallocation_target(end, allocated, 10 * mib);
    assert_eq!(target(100, 0), Some(mib));
    assert_eq!(target(mib, mib), None);
    assert_eq!(target(mib + 1, mib), Some(2 * mib));
    assert_eq!(target(5 * mib, mib), Some(5 * mib));
    assert_eq!(target(9 * mib, 8 * mib), Some(10 * mib));
    assert_eq!(
        target(11 * mib, 10 * mib),
        None,
        "a group larger than a segment"
    );
    let of_small = |end, allocated| preallocation_target(end, allocated, mib);
    assert_eq!(of_small(100, 0), Some(mib / 8));
    assert_eq!(of_small(mib / 8 + 1, mib / 8), Some(mib / 4));
    assert_eq!(preallocation_target(100, 0, 10_000), Some(10_000));
}

#[test]
fn a_sync_reaches_the_older_segments_first_and_is_free_if_nothing_is_unsynced() {
    let fs = FaultFs::over_sim(SimFs::new());
    let (mut log, mut caller) = (log_on(&fs), Caller::default());
    for _ in 0..3 {
        caller.append(&mut log, 10).unwrap();
        log.rotate();
    }
    fs.start_trace(100);
    let end = log.sync().unwrap();
    assert_eq!((log.end(), log.durable()), (Some(end), Some(end)));
    let synced: Vec<PathBuf> = fs
        .take_trace()
        .into_iter()
        .filter(|event| event.operation == Operation::Sync)
        .map(|event| event.path)
        .collect();
    assert_eq!(synced, [path_of(1), path_of(2), path_of(3)]);
    log.sync().unwrap();
    assert!(
        fs.take_trace()
            .iter()
            .all(|event| event.operation == Operation::IsLinked)
    );
}

#[test]
fn retired_segments_are_not_synced_any_more_and_closed_by_the_caller() {
    let fs = FaultFs::over_sim(SimFs::new());
    let (mut log, mut caller) = (log_on(&fs), Caller::default());
    for _ in 0..3 {
        caller.append(&mut log, 10).unwrap();
        log.rotate();
    }
    assert!(log.retire_below(1).is_empty());
    let retired = log.retire_below(3);
    // Nothing else holds them: they are closed where these are dropped.
    assert_eq!(
        retired.iter().map(Arc::strong_count).collect::<Vec<_>>(),
        [1, 1]
    );
    fs.start_trace(100);
    log.sync().unwrap();
    let synced: Vec<PathBuf> = fs
        .take_trace()
        .into_iter()
        .filter(|event| event.operation == Operation::Sync)
        .map(|event| event.path)
        .collect();
    assert_eq!(synced, [path_of(3)]);
}

#[test]
fn a_segment_and_its_name_are_durable_before_its_first_record_is_written() {
    let fs = FaultFs::over_sim(SimFs::new());
    let (mut log, mut caller) = (log_on(&fs), Caller::default());
    fs.start_trace(100);
    caller.append(&mut log, 10).unwrap();
    let operations: Vec<Operation> = fs
        .take_trace()
        .iter()
        .map(|event| event.operation)
        .collect();
    use Operation::{Append, CreateNew, Preallocate, Sync, SyncDir};
    assert_eq!(
        operations,
        [CreateNew, Append, Preallocate, Sync, SyncDir, Append]
    );
}

#[test]
fn a_rejected_group_is_cut_off_durably_and_the_next_goes_to_a_new_segment() {
    let sim = SimFs::new();
    let fs = FaultFs::over_sim(sim.clone());
    let (mut log, mut caller) = (log_on(&fs), Caller::default());
    let good = caller.append(&mut log, 10).unwrap();
    let torn = Fault::new(io::ErrorKind::StorageFull).short_write(60);
    fs.fail_when(Operation::Append, |_| true, torn);
    let error = caller.append(&mut log, 500).unwrap_err();
    assert!(matches!(error, Error::WriteFailed { .. }) && error.is_no_room());
    assert_eq!(
        (log.end(), log.durable()),
        (Some(good), Some(good)),
        "synced up to there"
    );
    assert_eq!(sim.durable_len(&path_of(1)).unwrap(), good.offset);
    assert_eq!(caller.append(&mut log, 10).unwrap().segment, 2);
    assert!(!log.is_poisoned());
}

#[test]
fn a_segment_that_cannot_be_created_is_removed_and_its_id_burnt() {
    let sim = SimFs::new();
    let fs = FaultFs::over_sim(sim.clone());
    let (mut log, mut caller) = (log_on(&fs), Caller::default());
    fs.fail_when(
        Operation::Append,
        |_| true,
        Fault::new(io::ErrorKind::StorageFull),
    );
    assert!(caller.append(&mut log, 10).unwrap_err().is_no_room());
    assert_eq!((log.end(), sim.kind(&path_of(1)).unwrap()), (None, None));
    assert_eq!(caller.append(&mut log, 10).unwrap(), Position::new(2, 144));
}

#[test]
fn segment_ids_and_seqnos_never_go_back() {
    let (mut log, mut caller) = (log_on(&SimFs::new()), Caller::default());
    caller.segment = 6;
    caller.append(&mut log, 0).unwrap();
    log.rotate();
    caller.segment = 6;
    let error = caller.append(&mut log, 0).unwrap_err();
    assert!(matches!(error, Error::WriteFailed { .. }), "{error}");
    caller.seqno = 0;
    let error = caller.append(&mut log, 0).unwrap_err();
    assert!(
        matches!(
            error,
            Error::SeqnoOrder {
                previous: 1,
                got: 1
            }
        ),
        "{error}"
    );
    caller.seqno = 5;
    let end = caller.append(&mut log, 0).unwrap();
    assert_eq!(
        end.segment, 8,
        "7 was refused, so a larger one is asked for"
    );
}

#[test]
fn a_failed_sync_of_anything_is_final() {
    for (operation, on) in [
        (Operation::Sync, "/wal-0000000001.log"),
        (Operation::Sync, "/wal-0000000002.log"),
        (Operation::SyncDir, "/"),
    ] {
        let fs = FaultFs::over_sim(SimFs::new());
        let (mut log, mut caller) = (log_on(&fs), Caller::default());
        caller.append(&mut log, 10).unwrap();
        log.rotate();
        fs.fail_when(
            operation,
            move |path| path == Path::new(on),
            Fault::from_raw_os_error(5),
        );
        let outcome = caller.append(&mut log, 10).and_then(|_| log.sync());
        assert!(
            matches!(outcome, Err(Error::SyncFailed { .. })),
            "{operation:?} {on}"
        );
        assert!(log.is_poisoned());
        for outcome in [
            log.sync().map(drop),
            log.close().map(drop),
            caller.append(&mut log, 1).map(drop),
        ] {
            assert!(
                matches!(outcome, Err(Error::Poisoned { .. })),
                "{operation:?} {on}"
            );
        }
        assert_eq!(log.durable(), None, "nothing is claimed");
    }
}

#[test]
fn a_cut_that_fails_is_final() {
    let fs = FaultFs::over_sim(SimFs::new());
    let (mut log, mut caller) = (log_on(&fs), Caller::default());
    caller.append(&mut log, 10).unwrap();
    let torn = Fault::new(io::ErrorKind::StorageFull).short_write(60);
    fs.fail_when(Operation::Append, |_| true, torn);
    fs.fail_when(Operation::Truncate, |_| true, Fault::from_raw_os_error(5));
    let error = caller.append(&mut log, 500).unwrap_err();
    assert!(error.is_final() && log.is_poisoned(), "{error}");
}

#[test]
fn a_panic_out_of_the_file_system_poisons() {
    let fs = FaultFs::over_sim(SimFs::new());
    let (mut log, mut caller) = (log_on(&fs), Caller::default());
    caller.append(&mut log, 10).unwrap();
    fs.on_operation(|_| panic!("a defect below"));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        caller.append(&mut log, 10).map(drop)
    }));
    assert!(panicked.is_err());
    fs.remove_hook();
    assert!(matches!(log.sync(), Err(Error::Poisoned { cause }) if cause.contains("panic")));
}

#[test]
fn close_ends_with_a_mark_trims_and_is_idempotent() {
    let sim = SimFs::new();
    let (mut log, mut caller) = (log_on(&sim), Caller::default());
    assert_eq!(log.close().unwrap(), None, "nothing was written");
    assert!(sim.list(Path::new("/")).unwrap().is_empty());
    let end = caller.append(&mut log, 10).unwrap();
    assert_eq!(log.close().unwrap(), Some(end));
    let len = sim.file_len(&path_of(1)).unwrap();
    assert_eq!(
        len,
        end.offset + 48,
        "record, mark, and no preallocated room"
    );
    assert_eq!(
        sim.crash(&CrashImage::NothingUnsynced)
            .file_len(&path_of(1))
            .unwrap(),
        len
    );
    assert_eq!(log.close().unwrap(), None);
    assert_eq!(
        caller.append(&mut log, 10).unwrap().segment,
        2,
        "a closed segment has ended"
    );
}

#[test]
fn an_empty_group_creates_nothing() {
    let sim = SimFs::new();
    let mut log = log_on(&sim);
    let end = log.append(&mut FrameBuffer::new(), &mut || Ok(1)).unwrap();
    assert_eq!((end, log.end()), (Position::default(), None));
}

fn log_in(sim: &SimFs, dir: &str) -> Log {
    sim.create_dir(Path::new(dir)).unwrap();
    let options = LogOptions {
        dir: sim.open_dir(Path::new(dir)).unwrap(),
        database_id: [1; 16],
        segment_bytes_max: SEGMENT_BYTES_MAX,
    };
    Log::new(options, None)
}

/// Appends and syncs succeed in a directory that was removed, and were promised to last.
#[test]
fn a_sync_in_a_directory_that_was_removed_is_no_promise() {
    let sim = SimFs::new();
    let (mut log, mut caller) = (log_in(&sim, "/d"), Caller::default());
    caller.append(&mut log, 10).unwrap();
    sim.remove_dir_all(Path::new("/d")).unwrap();
    caller.append(&mut log, 10).unwrap();
    let told = log.sync().unwrap_err();
    assert!(
        matches!(&told, Error::DirectoryGone { path } if path == Path::new("/d")),
        "{told}"
    );
    assert!(told.is_final() && log.is_poisoned());
    assert!(matches!(log.sync(), Err(Error::Poisoned { .. })));

    let (mut log, mut caller) = (log_in(&sim, "/e"), Caller::default());
    sim.remove_dir_all(Path::new("/e")).unwrap();
    let told = caller.append(&mut log, 10).unwrap_err();
    assert!(matches!(told, Error::DirectoryGone { .. }), "{told}");

    let (mut log, mut caller) = (log_in(&sim, "/f"), Caller::default());
    caller.append(&mut log, 10).unwrap();
    sim.remove_dir_all(Path::new("/f")).unwrap();
    let told = log.close().unwrap_err();
    assert!(matches!(told, Error::DirectoryGone { .. }), "{told}");
}

#[test]
fn the_current_segment_must_keep_its_name_and_older_ones_need_not() {
    let sim = SimFs::new();
    let (mut log, mut caller) = (log_on(&sim), Caller::default());
    caller.append(&mut log, 10).unwrap();
    // The caller may retire it from now on, before the next one is there.
    log.rotate();
    sim.remove_file(&path_of(1)).unwrap();
    log.sync().unwrap();
    caller.append(&mut log, 10).unwrap();
    log.sync().unwrap();
    caller.append(&mut log, 10).unwrap();
    sim.remove_file(&path_of(2)).unwrap();
    let told = log.sync().unwrap_err();
    assert!(
        matches!(&told, Error::DirectoryGone { path } if *path == path_of(2)),
        "{told}"
    );
}

/// What had been synced was gone, and a sync with nothing to do said Ok.
#[test]
fn a_sync_of_nothing_asks_for_the_names_too() {
    let sim = SimFs::new();
    for removed in ["the segment", "the directory"] {
        let (mut log, mut caller) = (log_in(&sim, "/d"), Caller::default());
        caller.append(&mut log, 10).unwrap();
        log.sync().unwrap();
        log.sync().unwrap();
        match removed {
            "the segment" => {
                let name = segment_file_name(1);
                sim.open_dir(Path::new("/d"))
                    .unwrap()
                    .unlink(&name)
                    .unwrap();
            }
            _ => sim.remove_dir_all(Path::new("/d")).unwrap(),
        }
        let told = log.sync().unwrap_err();
        assert!(
            matches!(told, Error::DirectoryGone { .. }),
            "{removed}: {told}"
        );
        let _ = sim.remove_dir_all(Path::new("/d"));
    }
}

/// Two segments later a sync said Ok, a close too, and the next open found that one was missing.
#[test]
fn no_segment_follows_one_that_was_removed() {
    let sim = SimFs::new();
    let (mut log, mut caller) = (log_on(&sim), Caller::default());
    caller.append(&mut log, 10).unwrap();
    sim.remove_file(&path_of(1)).unwrap();
    let len = usize::try_from(SEGMENT_BYTES_MAX).unwrap();
    let told = caller.append(&mut log, len).unwrap_err();
    assert!(
        matches!(&told, Error::DirectoryGone { path } if *path == path_of(1)),
        "{told}"
    );
    assert!(log.is_poisoned());
}
