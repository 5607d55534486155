use std::thread::ThreadId;

use lsm_fs::ByPath;

use super::*;

fn seen<'a>(operation: Operation, path: &'a str) -> Seen<'a> {
    Seen {
        operation,
        path: Path::new(path),
    }
}

fn other_thread() -> ThreadId {
    let spawned = std::thread::spawn(|| std::thread::current().id());
    spawned.join().unwrap()
}

/// Plays operations of one thread, and returns the phases of each.
fn phases(state: &mut State, name: &str, played: &[(Operation, &str)]) -> Vec<Vec<Phase>> {
    let thread = std::thread::current().id();
    let played = played.iter();
    let played = played.map(|(operation, path)| seen(*operation, path));
    played
        .map(|seen| state.phases(&seen, thread, Some(name)))
        .collect()
}

#[test]
fn a_rewritten_manifest_is_one_until_its_directory_is_synced_and_edits_are_none() {
    let mut state = State::default();
    let found = phases(
        &mut state,
        "main",
        &[
            (Operation::CreateNew, "/db/MANIFEST.tmp"),
            (Operation::Append, "/db/MANIFEST.tmp"),
            (Operation::Sync, "/db/MANIFEST.tmp"),
            (Operation::Rename, "/db/MANIFEST.tmp"),
            (Operation::SyncDir, "/db"),
            // Through the handle under its old name: an edit.
            (Operation::Append, "/db/MANIFEST.tmp"),
            (Operation::Sync, "/db/MANIFEST.tmp"),
            (Operation::SyncDir, "/db"),
            (Operation::RemoveFile, "/db/MANIFEST.tmp"),
        ],
    );
    let rewrites = |phases: &Vec<Phase>| phases.contains(&Phase::Manifest);
    let found: Vec<bool> = found.iter().map(rewrites).collect();
    assert_eq!(
        found,
        [true, true, true, true, true, false, false, false, true]
    );
}

#[test]
fn a_rotation_is_the_making_of_a_segment_by_the_thread_that_makes_it() {
    let mut state = State::default();
    let path = "/db/wal-0000000007.log";
    let (thread, other) = (std::thread::current().id(), other_thread());
    let mut rotates = |operation, path, thread| {
        let phases = state.phases(&seen(operation, path), thread, None);
        phases.contains(&Phase::Rotation)
    };
    assert!(rotates(Operation::CreateNew, path, thread));
    assert!(rotates(Operation::Append, path, thread));
    assert!(!rotates(Operation::SyncDir, "/db", other));
    assert!(rotates(Operation::Sync, path, thread));
    assert!(rotates(Operation::SyncDir, "/db", thread));
    assert!(!rotates(Operation::Append, path, thread));
    assert!(!rotates(Operation::SyncDir, "/db", thread));
}

#[test]
fn flushes_and_compactions_are_told_apart_by_their_lanes_and_reads_are_neither() {
    let run = "/db/run-0000000001.sst";
    let played = [(Operation::Append, run), (Operation::ReadAt, run)];
    let mut state = State::default();
    assert_eq!(
        phases(&mut state, FLUSH_THREAD, &played),
        [vec![Phase::Flush], vec![]]
    );
    assert_eq!(
        phases(&mut state, COMPACTION_THREAD, &played),
        [vec![Phase::Compaction], vec![]]
    );
    let unlinked = [(Operation::RemoveFile, run)];
    assert_eq!(
        phases(&mut state, "lsm-4", &unlinked),
        [vec![Phase::Removal]]
    );
    state.opening = true;
    assert_eq!(
        phases(&mut state, "main", &played),
        [vec![Phase::Recovery], vec![Phase::Recovery]]
    );
}

#[test]
fn the_point_is_met_once_and_before_or_after_the_operation_as_asked() {
    fn farewell(point: &Point) -> ! {
        std::panic::panic_any(point.clone())
    }
    for after in [false, true] {
        let deadly = Deadly {
            phase: Phase::Removal,
            index: 2,
            after,
        };
        let dir = tempfile::tempdir().unwrap();
        let fs = DeadlyFs::new(Watch::new(Some(deadly), farewell));
        let [first, second] = [1, 2].map(|id| dir.path().join(lsm_version::run_file_name(id)));
        fs.create_new(&first).unwrap();
        fs.create_new(&second).unwrap();
        fs.remove_file(&first).unwrap();
        let died = std::panic::catch_unwind(|| fs.remove_file(&second));
        let point: Point = *died.unwrap_err().downcast().unwrap();
        assert_eq!(point.index, 2);
        assert_eq!(point.file, "run");
        assert_eq!(second.exists(), !after);
        assert_eq!(point.to_string().parse(), Ok(point));
    }
}
