//! Commits that fail, what a crash then leaves, and the commits after them.

use std::io::ErrorKind;
use std::path::Path;

use lsm_fs::{ByPath, CrashImage, Fault, FaultFs, FileSystem, Operation, SimFs};
use lsm_version::{CommitError, EditError, Manifest, ManifestState, VersionEdit};

use crate::support::*;

#[test]
fn a_refused_edit_writes_nothing_and_the_next_one_is_committed() {
    let fs = FaultFs::over_sim(SimFs::new());
    let mut manifest = create(fs.clone());
    let before = fs.mutation_count();
    let error = manifest
        .commit(add(0, run(7, "a", "b")))
        .expect_err("7 was not reserved");
    assert!(
        matches!(error, CommitError::Invalid(EditError::NotReserved { .. })),
        "{error}"
    );
    assert_eq!(
        (fs.mutation_count(), manifest.state()),
        (before, &ManifestState::default())
    );
    manifest.commit(ceilings(8, 1, 1)).expect("commits");
    manifest.commit(add(0, run(7, "a", "b"))).expect("commits");
    assert_eq!(state_of(fs), *manifest.state());
}

#[test]
fn a_full_disk_rejects_the_edit_and_the_next_commit_succeeds_when_there_is_room() {
    let fs = SimFs::new();
    let mut manifest = create(fs.clone());
    manifest.commit(ceilings(10, 1, 1)).expect("commits");
    let before = manifest.state().clone();
    for spare_bytes in [0, 1, 40, 63] {
        fs.set_capacity_bytes(Some(fs.used_bytes() + spare_bytes));
        for _ in 0..2 {
            let error = manifest
                .commit(add(0, run(3, "a", "b")))
                .expect_err("no room");
            assert!(error.is_no_room() && !error.is_final(), "{error}");
            assert_eq!(manifest.state(), &before);
            assert!(manifest.is_durable(), "what was committed still is");
            assert_eq!(state_of(fs.clone()), before);
        }
        fs.set_capacity_bytes(None);
        let file_name = Path::new("/MANIFEST.tmp");
        assert_eq!(
            fs.kind(file_name).expect("looks"),
            None,
            "the room is given back"
        );
    }
    manifest.commit(add(0, run(3, "a", "b"))).expect("commits");
    assert_eq!(state_of(fs), *manifest.state());
}

#[test]
fn a_file_that_outgrew_its_snapshot_is_rewritten_or_else_appended_to() {
    let sim = SimFs::new();
    let fs = FaultFs::over_sim(sim.clone());
    let mut manifest = create(fs.clone());
    let long = "k".repeat(4096);
    manifest.commit(ceilings(10_000, 1, 1)).expect("commits");
    // What stays makes the snapshot, some 40 KiB, longer than a record, some 8 KiB.
    for id in 9_001..9_005 {
        let key = format!("{id:04096}");
        manifest
            .commit(add(2, run(id, &key, &key)))
            .expect("commits");
    }
    let mut longest = 0;
    let mut replace = |manifest: &mut Manifest, id: u64| {
        let edit = VersionEdit {
            removed: if id == 1 { vec![] } else { vec![(1, id - 1)] },
            ..add(1, run(id, &long, &long))
        };
        manifest.commit(edit).expect("commits");
        let len = sim.file_len(Path::new(MANIFEST)).expect("measures");
        longest = longest.max(len);
        len
    };
    let mut id = 0;
    while fs.count_of(Operation::Rename) < 3 {
        id += 1;
        replace(&mut manifest, id);
    }
    // Now there is room for records, but for no file beside the old one.
    let mut len = 0;
    while len < (1 << 20) + 200_000 {
        id += 1;
        let spare = if len < 1 << 19 {
            None
        } else {
            Some(sim.used_bytes() + 9_000)
        };
        sim.set_capacity_bytes(spare);
        len = replace(&mut manifest, id);
    }
    assert_eq!(
        fs.count_of(Operation::Rename),
        3,
        "the full disk allowed no rewrite"
    );
    assert_eq!(state_of(sim.clone()), *manifest.state());
    sim.set_capacity_bytes(None);
    id += 1;
    assert!(replace(&mut manifest, id) < 60_000);
    assert!(longest < 2 << 20, "{longest} bytes");
    assert_eq!(state_of(sim), *manifest.state());
}

/// One failed operation, whatever it is, at every place of a scenario of both kinds of commits.
#[test]
fn every_failed_operation_is_told_as_what_it_is() {
    let operations = sweep_step(u64::MAX, Fault::new(ErrorKind::Other)).mutations;
    assert!(operations > 15, "{operations} operations");
    for fault in [
        Fault::new(ErrorKind::StorageFull),
        Fault::new(ErrorKind::Other).short_write(20),
        Fault::new(ErrorKind::Other).after_the_effect(),
        Fault::new(ErrorKind::StorageFull)
            .short_write(60)
            .for_good(),
        Fault::new(ErrorKind::Other).for_good(),
        Fault::new(ErrorKind::Other).after_the_effect().for_good(),
    ] {
        let steps = (0..operations).map(|n| sweep_step(n, fault.clone()));
        let failures = steps.filter(|step| step.failed).count();
        // Removing a temporary that is not there may not fail at all.
        assert!(
            failures as u64 + 4 >= operations,
            "{fault:?}: {failures} failures"
        );
    }
}

struct Sweep {
    mutations: u64,
    failed: bool,
}

/// Fails operation `n` of the scenario and checks what follows, on the disk and in the handle.
fn sweep_step(n: u64, fault: Fault) -> Sweep {
    let sim = SimFs::new();
    create(sim.clone())
        .commit(ceilings(100, 1, 1))
        .expect("commits");
    let fs = FaultFs::over_sim(sim.clone());
    fs.fail_nth(n, fault);
    let mut manifest = load(fs.clone()).expect("loads");
    let edits = [
        add(0, run(1, "a", "b")),
        add(0, run(2, "a", "c")),
        mark(),
        ceilings(101, 1, 1),
    ];
    let mut failed = false;
    for edit in &edits {
        let old = manifest.state().clone();
        let new = old.apply(edit).expect("fits");
        let Err(error) = manifest.commit(edit) else {
            continue;
        };
        failed = true;
        let images = CrashImage::standard(n);
        let mut found = images.iter().map(|image| state_of(sim.crash(image)));
        assert_eq!(manifest.state(), &old);
        if error.is_final() {
            assert!(found.all(|state| state == old || state == new));
            assert!(!manifest.is_durable());
            fs.clear_faults();
            let next = manifest.commit(edit);
            assert!(
                matches!(next, Err(CommitError::Poisoned { .. })),
                "{next:?}"
            );
            break;
        }
        assert!(matches!(error, CommitError::NotWritten { .. }), "{error}");
        assert!(
            found.all(|state| state == old),
            "operation {n}: a rejected edit came back"
        );
        assert_eq!(state_of(sim.clone()), old);
        fs.clear_faults();
        manifest.commit(edit).expect("the fault has passed");
        assert_eq!(state_of(sim.crash(&CrashImage::NothingUnsynced)), new);
    }
    Sweep {
        mutations: fs.mutation_count(),
        failed,
    }
}

#[test]
fn a_failed_sync_of_a_record_is_final() {
    let sim = SimFs::new();
    let fs = FaultFs::over_sim(sim.clone());
    let mut manifest = create(fs.clone());
    fs.fail_when(Operation::Sync, |_| true, Fault::new(ErrorKind::Other));
    let error = manifest
        .commit(ceilings(5, 1, 1))
        .expect_err("the sync failed");
    assert!(
        matches!(
            error,
            CommitError::FateUnknown {
                operation: "sync",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_final() && !error.is_no_room());
    for _ in 0..2 {
        let error = manifest.commit(ceilings(6, 1, 1)).expect_err("poisoned");
        assert!(
            matches!(error, CommitError::Poisoned { .. }) && error.is_final(),
            "{error}"
        );
    }
    assert!(!manifest.is_durable());
    assert_eq!(
        fs.count_of(Operation::Append),
        3,
        "a poisoned handle writes nothing"
    );
    // Loaded again, the record counts or not, and either is made durable before it is relied on.
    let mut manifest = load(fs).expect("loads");
    manifest.commit(VersionEdit::default()).expect("commits");
    let power_cut = sim.crash(&CrashImage::NothingUnsynced);
    assert_eq!(state_of(power_cut).ceilings, manifest.state().ceilings);
}

#[test]
fn a_foreign_directory_under_the_temporary_name_is_left_alone() {
    let fs = SimFs::new();
    create(fs.clone())
        .commit(ceilings(9, 9, 9))
        .expect("commits");
    fs.create_dir(Path::new("/MANIFEST.tmp")).expect("creates");
    let mut manifest = load(fs.clone()).expect("loads");
    let error = manifest
        .commit(ceilings(10, 9, 9))
        .expect_err("there is no way to write");
    assert!(matches!(error, CommitError::NotWritten { .. }), "{error}");
    assert!(
        fs.kind(Path::new("/MANIFEST.tmp"))
            .expect("looks")
            .is_some()
    );
}

/// Appends and syncs succeed in a directory that was removed, and edits were said to be committed.
#[test]
fn no_edit_is_committed_in_a_directory_or_manifest_that_was_removed() {
    let gone = |manifest: &mut Manifest, path: &str| {
        let told = manifest.commit(ceilings(10, 9, 9)).expect_err("is gone");
        assert!(
            matches!(&told, CommitError::DirectoryGone { path: told } if told == Path::new(path)),
            "{told}"
        );
        assert!(told.is_final() && !manifest.is_durable());
        let later = manifest.commit(ceilings(11, 9, 9));
        assert!(matches!(later, Err(CommitError::Poisoned { .. })));
    };
    let fs = SimFs::new();
    let database = |path: &str| {
        fs.create_dir(Path::new(path)).expect("creates");
        let dir = fs.open_dir(Path::new(path)).expect("opens");
        Manifest::create(dir, IDENTITY).expect("creates")
    };
    // By an append, and by a rewrite after the mark of a clean close.
    let mut appending = database("/a");
    let mut rewriting = database("/r");
    rewriting.commit(mark()).expect("commits");
    for (manifest, path) in [(&mut appending, "/a"), (&mut rewriting, "/r")] {
        fs.remove_dir_all(Path::new(path)).expect("removes");
        gone(manifest, path);
    }
    let mut nameless = database("/m");
    fs.remove_file(Path::new("/m/MANIFEST")).expect("removes");
    gone(&mut nameless, "/m/MANIFEST");
}
