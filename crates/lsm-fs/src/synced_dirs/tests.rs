use std::sync::{Arc, Mutex};

use super::*;
use crate::{CrashImage, Fault, FaultFs, Operation, SimFs};

#[test]
fn created_directories_survive_every_power_cut() {
    let fs = SimFs::new();
    create_dir_all_synced(&fs, Path::new("/a/b/c")).unwrap();
    for image in CrashImage::standard(1) {
        let after = fs.crash(&image);
        assert_eq!(
            after.kind(Path::new("/a/b/c")).unwrap(),
            Some(EntryKind::Directory)
        );
    }
}

#[test]
fn relative_paths_and_dots_are_fine() {
    let fs = SimFs::new();
    for path in ["x", "y/z", "./w", "v/../u", "/"] {
        create_dir_all_synced(&fs, Path::new(path)).unwrap();
        let after = fs.crash(&CrashImage::NothingUnsynced);
        assert!(after.kind(Path::new(path)).unwrap().is_some(), "{path}");
    }
}

#[test]
fn a_directory_left_unsynced_by_a_killed_process_is_synced_by_the_next() {
    let sim = SimFs::new();
    sim.create_dir(Path::new("/db")).unwrap();
    let next = sim.reopen_after_kill();
    create_dir_all_synced(&next, Path::new("/db")).unwrap();
    assert!(
        next.crash(&CrashImage::NothingUnsynced)
            .kind(Path::new("/db"))
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_kill_before_any_step_is_made_up_for_by_the_next_call() {
    let path = Path::new("/a/b/c");
    let sim = SimFs::new();
    let fs = FaultFs::over_sim(sim.clone());
    let killed = Arc::new(Mutex::new(Vec::new()));
    fs.on_operation({
        let killed = Arc::clone(&killed);
        move |_| killed.lock().unwrap().push(sim.reopen_after_kill())
    });
    create_dir_all_synced(&fs, path).unwrap();

    let killed = killed.lock().unwrap();
    assert!(killed.len() > 9, "three creations, each with two syncs");
    for (n, next) in killed.iter().enumerate() {
        create_dir_all_synced(next, path).unwrap();
        let after = next.crash(&CrashImage::NothingUnsynced);
        assert!(after.kind(path).unwrap().is_some(), "killed before {n}");
    }
}

#[test]
fn each_directory_is_synced_itself_and_its_parent_before_the_next_is_created() {
    let fs = FaultFs::over_sim(SimFs::new());
    fs.start_trace(100);
    create_dir_all_synced(&fs, Path::new("/a/b")).unwrap();
    let trace = fs
        .take_trace()
        .into_iter()
        .filter(|event| event.operation.is_mutating());
    let told: Vec<_> = trace
        .map(|event| (event.operation, event.path.to_str().unwrap().to_owned()))
        .collect();
    let expected = [
        (Operation::CreateDir, "/a"),
        (Operation::SyncDir, "/a"),
        (Operation::SyncDir, "/"),
        (Operation::CreateDir, "/a/b"),
        (Operation::SyncDir, "/a/b"),
        (Operation::SyncDir, "/a"),
    ];
    assert_eq!(
        told,
        expected.map(|(operation, path)| (operation, path.to_owned()))
    );
}

#[test]
fn a_file_in_the_way_is_named() {
    let fs = SimFs::new();
    fs.create_new(Path::new("/a")).unwrap();
    let error = create_dir_all_synced(&fs, Path::new("/a/b")).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::NotADirectory);
    let error = create_dir_all_synced(&fs, Path::new("/a")).unwrap_err();
    assert_eq!(
        (error.path.as_path(), error.source.kind()),
        (Path::new("/a"), io::ErrorKind::NotADirectory)
    );
}

#[test]
fn a_parent_that_may_not_be_read_is_taken_for_durable_and_any_other_failure_is_not() {
    for (kind, is_ok) in [
        (io::ErrorKind::PermissionDenied, true),
        (io::ErrorKind::Other, false),
    ] {
        let sim = SimFs::new();
        create_dir_all_synced(&sim, Path::new("/home/me")).unwrap();
        let fs = FaultFs::over_sim(sim);
        let fault = Fault::new(kind).for_good();
        fs.fail_when(Operation::SyncDir, |path| path == Path::new("/home"), fault);
        assert_eq!(
            create_dir_all_synced(&fs, Path::new("/home/me/db")).is_ok(),
            is_ok
        );
    }
}
