use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::{ByPath, CrashImage, File, RealFs};

mod directory_syncs;

const WAIT: Duration = Duration::from_secs(20);

fn over_sim() -> (SimFs, FaultFs) {
    let sim = SimFs::new();
    (sim.clone(), FaultFs::over_sim(sim))
}

fn no_room() -> Fault {
    Fault::new(io::ErrorKind::StorageFull)
}

fn any(_: &Path) -> bool {
    true
}

fn path(path: &str) -> &Path {
    Path::new(path)
}

#[test]
fn the_nth_mutating_operation_fails_once_and_reads_do_not_count() {
    let (_, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    fs.fail_nth(1, no_room());
    file.append_all(b"x").unwrap();
    assert_eq!(file.len().unwrap(), 1);
    assert!(fs.kind(path("/a")).unwrap().is_some());
    assert_eq!(file.sync().unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.append_all(b"y").unwrap();
    assert_eq!(fs.mutation_count(), 4);
    assert_eq!(fs.operation_count(), 7, "the directory was opened first");
    assert_eq!(fs.count_of(Operation::Append), 2);
}

#[test]
fn a_fault_for_good_lasts_until_it_is_cleared() {
    let (_, fs) = over_sim();
    fs.fail_nth(1, no_room().for_good());
    let file = fs.create_new(path("/a")).unwrap();
    assert!(file.append(b"x").is_err());
    assert!(fs.create_dir(path("/d")).is_err());
    assert_eq!(file.len().unwrap(), 0, "reads go on");
    fs.clear_faults();
    file.append_all(b"x").unwrap();
}

#[test]
fn the_nth_of_all_operations_counts_reads_too() {
    let (_, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    fs.fail_nth_of_all(1, Fault::from_raw_os_error(5));
    assert_eq!(file.len().unwrap(), 0);
    let error = file.read_at(&mut [0], 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(5));
    assert_eq!(file.read_at(&mut [0], 0).unwrap(), 0);
}

#[test]
fn a_filter_picks_operation_and_path() {
    let (_, fs) = over_sim();
    let is_log = |path: &Path| path.extension().is_some_and(|extension| extension == "log");
    fs.fail_when(Operation::Sync, is_log, no_room());
    let (log, run) = (
        fs.create_new(path("/1.log")).unwrap(),
        fs.create_new(path("/1.run")).unwrap(),
    );
    log.append_all(b"x").unwrap();
    run.sync().unwrap();
    assert!(log.sync().is_err());
    log.sync().unwrap();

    fs.fail_when(Operation::Rename, is_log, no_room());
    assert!(
        fs.rename(path("/1.run"), path("/2.log")).is_err(),
        "its second path matches"
    );
    assert!(
        fs.kind(path("/1.run")).unwrap().is_some(),
        "and nothing happened"
    );
}

#[test]
fn every_operation_can_fail_and_then_has_no_effect() {
    type Act = fn(&FaultFs, &dyn File) -> io::Result<()>;
    let acts: [(Operation, Act); 20] = [
        (Operation::Open, |fs, _| fs.open(path("/a")).map(drop)),
        (Operation::CreateNew, |fs, _| {
            fs.create_new(path("/new")).map(drop)
        }),
        (Operation::ReadAt, |_, file| {
            file.read_at(&mut [0], 0).map(drop)
        }),
        (Operation::Append, |_, file| file.append(b"x").map(drop)),
        (Operation::Preallocate, |_, file| file.preallocate(100)),
        (Operation::Truncate, |_, file| file.truncate(1)),
        (Operation::Sync, |_, file| file.sync()),
        (Operation::Rename, |fs, _| {
            fs.rename(path("/a"), path("/new"))
        }),
        (Operation::HardLink, |fs, _| {
            fs.hard_link(path("/a"), path("/new"))
        }),
        (Operation::RemoveFile, |fs, _| fs.remove_file(path("/a"))),
        (Operation::List, |fs, _| fs.list(path("/")).map(drop)),
        (Operation::CreateDir, |fs, _| fs.create_dir(path("/new"))),
        (Operation::SyncDir, |fs, _| fs.sync_dir(path("/"))),
        (Operation::Lock, |fs, _| fs.lock(path("/new")).map(drop)),
        (Operation::Kind, |fs, _| fs.kind(path("/a")).map(drop)),
        (Operation::FileLen, |fs, _| {
            fs.file_len(path("/a")).map(drop)
        }),
        (Operation::Len, |_, file| file.len().map(drop)),
        (Operation::OpenDir, |fs, _| fs.open_dir(path("/")).map(drop)),
        (Operation::LockDir, |fs, _| {
            fs.open_dir(path("/"))?.lock_self().map(drop)
        }),
        (Operation::IsLinked, |_, file| file.is_linked().map(drop)),
    ];
    for (operation, act) in acts {
        let (sim, fs) = over_sim();
        let file = fs.create_new(path("/a")).unwrap();
        file.append_all(b"abc").unwrap();
        fs.fail_when(operation, any, no_room());
        assert_eq!(
            act(&fs, &*file).unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        let names: Vec<_> = sim.list(path("/")).unwrap();
        assert_eq!(names.len(), 1, "{operation:?}");
        assert_eq!(sim.file_len(path("/a")).unwrap(), 3, "{operation:?}");
        let count_before = fs.count_of(operation);
        act(&fs, &*file).unwrap();
        assert_eq!(fs.count_of(operation), count_before + 1, "{operation:?}");
    }
}

#[test]
fn a_short_write_reports_its_part_and_the_next_append_gets_the_error() {
    let (_, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    let other = fs.create_new(path("/b")).unwrap();
    fs.fail_nth(0, no_room().short_write(3));
    assert_eq!(file.append(b"abcdef").unwrap(), 3);
    other.append_all(b"other files are fine").unwrap();
    file.sync().unwrap();
    let error = file.append(b"def").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    file.append_all(b"DEF").unwrap();
    let mut bytes = [0; 6];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"abcDEF");
}

#[test]
fn clearing_faults_forgives_the_error_of_a_short_write_too() {
    let (_, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    fs.fail_nth(0, no_room().short_write(1));
    assert_eq!(file.append(b"ab").unwrap(), 1);
    fs.clear_faults();
    file.append_all(b"b").unwrap();
}

#[test]
fn a_short_write_for_good_is_short_once_and_then_fails() {
    let (_, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    fs.fail_when(Operation::Append, any, no_room().short_write(2).for_good());
    assert_eq!(
        file.append_all(b"abc").unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    assert_eq!(file.len().unwrap(), 2);
    assert!(file.append(b"c").is_err());
    fs.clear_faults();
    file.append_all(b"c").unwrap();
    assert_eq!(file.len().unwrap(), 3);
}

#[test]
fn a_write_of_zero_bytes_ends_append_all() {
    let (_, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    fs.fail_nth(0, no_room().short_write(0));
    assert_eq!(
        file.append_all(b"abc").unwrap_err().kind(),
        io::ErrorKind::WriteZero
    );
}

#[test]
fn an_interrupted_append_or_read_is_retried_by_the_provided_methods() {
    let (_, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    let interrupted = || Fault::new(io::ErrorKind::Interrupted);
    fs.fail_when(Operation::Append, any, interrupted());
    fs.fail_when(Operation::ReadAt, any, interrupted());
    file.append_all(b"abc").unwrap();
    let mut bytes = [0; 3];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"abc");
}

#[test]
fn an_operation_of_unknown_fate_has_happened() {
    let (sim, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    file.append_all(b"abc").unwrap();
    let unknown = || Fault::from_raw_os_error(5).after_the_effect();
    fs.fail_nth(0, unknown());
    assert!(file.sync().is_err());
    assert_eq!(sim.durable_len(path("/a")).unwrap(), 3);
    fs.fail_nth(0, unknown());
    assert!(fs.rename(path("/a"), path("/b")).is_err());
    assert_eq!(sim.file_len(path("/b")).unwrap(), 3);
}

#[test]
fn a_failed_append_may_leave_bytes_past_the_logical_end() {
    let (sim, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    fs.fail_nth(0, no_room().after_the_effect());
    assert!(file.append(b"garbage").is_err());
    assert_eq!(sim.file_len(path("/a")).unwrap(), 7);
    file.append_all(b"good").unwrap();
    let mut bytes = [0; 7];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"goodage");
}

#[test]
fn a_fault_after_the_effect_is_never_a_short_write() {
    let (sim, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    fs.fail_nth(0, no_room().short_write(1).after_the_effect());
    assert!(file.append(b"abc").is_err());
    assert_eq!(sim.file_len(path("/a")).unwrap(), 3);
}

#[test]
fn an_injected_failure_of_a_sync_is_final_for_what_was_pending() {
    let (sim, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    fs.sync_dir(path("/")).unwrap();
    file.append_all(b"lost").unwrap();
    fs.fail_nth(0, Fault::from_raw_os_error(5));
    assert!(file.sync().is_err());
    file.sync().unwrap();
    for image in CrashImage::standard(0) {
        let found = sim.crash(&image).read_to_vec(path("/a"), 100).unwrap();
        assert_eq!(
            found, [0; 4],
            "{image:?}: the retry said Ok and saved nothing"
        );
    }

    fs.create_new(path("/b")).unwrap();
    fs.fail_nth(0, Fault::from_raw_os_error(5));
    assert!(fs.sync_dir(path("/")).is_err());
    fs.sync_dir(path("/")).unwrap();
    let after = sim.crash(&CrashImage::EverythingUnsynced);
    assert_eq!(after.kind(path("/b")).unwrap(), None);
}

#[test]
fn a_failed_sync_is_that_of_the_open_file_whatever_its_name_is_now() {
    let (sim, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    file.append_all(b"lost").unwrap();
    fs.rename(path("/a"), path("/b")).unwrap();
    fs.sync_dir(path("/")).unwrap();
    fs.fail_when(Operation::Sync, |path| path == Path::new("/a"), no_room());
    assert!(file.sync().is_err());
    file.sync().unwrap();
    let after = sim.crash(&CrashImage::EverythingUnsynced);
    assert_eq!(after.read_to_vec(path("/b"), 100).unwrap(), [0; 4]);
}

#[test]
fn parked_operations_wait_and_all_others_go_on() {
    let (_, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    let other = fs.create_new(path("/b")).unwrap();
    let parked = fs.park(Operation::Append, |path| path == Path::new("/a"));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| file.append_all(b"held"));
        assert!(parked.wait_for_arrival_timeout(WAIT));
        assert_eq!(parked.arrival_count(), 1);
        other.append_all(b"free").unwrap();
        file.sync().unwrap();
        assert_eq!(file.len().unwrap(), 0);
        assert!(!held.is_finished());
        parked.release();
        held.join().unwrap().unwrap();
    });
    assert_eq!(file.len().unwrap(), 4);
    file.append_all(b" and free now").unwrap();
}

#[test]
fn dropping_the_guard_releases_and_nobody_came_is_told() {
    let (_, fs) = over_sim();
    let parked = fs.park(Operation::List, any);
    assert!(!parked.wait_for_arrival_timeout(Duration::from_millis(1)));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| fs.list(path("/")));
        parked.wait_for_arrival();
        drop(parked);
        held.join().unwrap().unwrap();
    });
    fs.list(path("/")).unwrap();
}

#[test]
fn a_fault_armed_while_an_operation_is_held_strikes_it() {
    let (_, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    let parked = fs.park(Operation::Sync, any);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| file.sync());
        parked.wait_for_arrival();
        fs.fail_when(Operation::Sync, any, no_room());
        parked.release();
        assert_eq!(
            held.join().unwrap().unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
    });
}

#[test]
fn a_numbered_fault_is_not_taken_over_by_an_operation_held_before_it() {
    let (_, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    let parked = fs.park(Operation::Sync, any);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| file.sync());
        parked.wait_for_arrival();
        fs.fail_nth(0, no_room());
        parked.release();
        held.join().unwrap().unwrap();
    });
    assert!(fs.create_dir(path("/d")).is_err());
}

#[test]
fn the_trace_tells_what_happened_in_order() {
    let (_, fs) = over_sim();
    fs.create_dir(path("/untraced")).unwrap();
    fs.start_trace(100);
    let file = fs.create_new(path("/a")).unwrap();
    file.append_all(b"abc").unwrap();
    file.append_all(b"de").unwrap();
    fs.fail_nth(0, no_room());
    assert!(file.sync().is_err());
    file.read_at(&mut [0; 10], 1).unwrap();
    fs.rename(path("/a"), path("/b")).unwrap();
    let told: Vec<_> = fs
        .take_trace()
        .into_iter()
        .map(|event| (event.operation, event.offset, event.len, event.ok, event.to))
        .collect();
    assert_eq!(
        told,
        [
            (Operation::OpenDir, 0, 0, true, None),
            (Operation::CreateNew, 0, 0, true, None),
            (Operation::Append, 0, 3, true, None),
            (Operation::Append, 3, 2, true, None),
            (Operation::Sync, 0, 0, false, None),
            (Operation::ReadAt, 1, 4, true, None),
            (Operation::OpenDir, 0, 0, true, None),
            (Operation::Rename, 0, 0, true, Some("/b".into())),
        ]
    );
    file.truncate(1).unwrap();
    file.append_all(b"x").unwrap();
    assert_eq!(
        fs.take_trace().last().unwrap().offset,
        1,
        "truncation moves the logical end"
    );
}

#[test]
fn a_trace_is_bounded_and_off_unless_started() {
    let (_, fs) = over_sim();
    fs.list(path("/")).unwrap();
    assert_eq!(fs.take_trace(), []);
    fs.start_trace(2);
    for _ in 0..5 {
        fs.list(path("/")).unwrap();
    }
    assert_eq!(fs.take_trace().len(), 2);
    fs.start_trace(0);
    fs.list(path("/")).unwrap();
    assert_eq!(fs.take_trace(), []);
}

#[test]
fn the_hook_sees_each_operation_before_it_happens() {
    let (sim, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    let lens = Arc::new(Mutex::new(Vec::new()));
    fs.on_operation({
        let lens = Arc::clone(&lens);
        move |event| {
            let len = sim.file_len(path("/a")).unwrap();
            lens.lock()
                .unwrap()
                .push((event.index, event.mutation_index, event.operation, len));
        }
    });
    file.append_all(b"abc").unwrap();
    file.len().unwrap();
    file.sync().unwrap();
    fs.remove_hook();
    file.append_all(b"unseen").unwrap();
    assert_eq!(
        *lens.lock().unwrap(),
        [
            (2, Some(1), Operation::Append, 0),
            (3, None, Operation::Len, 3),
            (4, Some(2), Operation::Sync, 3),
        ]
    );
}

#[test]
fn the_hook_behind_an_operation_sees_its_effect_and_how_it_went() {
    let (sim, fs) = over_sim();
    let file = fs.create_new(path("/a")).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    fs.after_operation({
        let seen = Arc::clone(&seen);
        move |event, ok| {
            let len = sim.file_len(path("/a")).unwrap();
            seen.lock().unwrap().push((event.operation, ok, len));
        }
    });
    fs.fail_nth(1, no_room());
    file.append_all(b"abc").unwrap();
    assert!(file.append_all(b"de").is_err());
    fs.remove_hook();
    file.append_all(b"unseen").unwrap();
    let append = Operation::Append;
    assert_eq!(
        *seen.lock().unwrap(),
        [(append, true, 3), (append, false, 3)]
    );
}

#[test]
fn counts_are_shared_by_clones_and_threads() {
    let (_, fs) = over_sim();
    let seen = Arc::new(AtomicU64::new(0));
    fs.on_operation({
        let seen = Arc::clone(&seen);
        move |_| {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let fs = fs.clone();
            scope.spawn(move || (0..250).for_each(|_| drop(fs.kind(path("/")))));
        }
    });
    assert_eq!(fs.operation_count(), 1000);
    assert_eq!(fs.mutation_count(), 0);
    assert_eq!(seen.load(Ordering::Relaxed), 1000);
}

#[test]
fn faults_work_over_the_real_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let fs = FaultFs::new(Arc::new(RealFs::new()));
    fs.fail_nth(2, no_room().short_write(2));
    let file = fs.create_new(&dir.path().join("a")).unwrap();
    file.append_all(b"ab").unwrap();
    assert_eq!(
        file.append_all(b"cdef").unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    assert_eq!(fs.file_len(&dir.path().join("a")).unwrap(), 4);
    let unwritten = no_room().after_the_effect();
    fs.fail_nth(0, unwritten);
    assert!(file.append(b"ef").is_err());
    assert_eq!(fs.file_len(&dir.path().join("a")).unwrap(), 4);
}
