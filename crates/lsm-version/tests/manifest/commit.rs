//! Commits that succeed, and what is loaded after them.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use lsm_fs::{CrashImage, FaultFs, FileSystem, Operation, RealFs, SimFs};
use lsm_version::{CommitError, LoadError, Manifest, ManifestState, VersionEdit};

use crate::support::*;

#[test]
fn a_fresh_manifest_is_durable_and_empty() {
    let fs = SimFs::new();
    let manifest = create(fs.clone());
    assert!(manifest.is_durable() && !manifest.was_clean() && !manifest.was_torn());
    let loaded = load(fs.crash(&CrashImage::NothingUnsynced)).expect("loads");
    assert_eq!(loaded.state(), &ManifestState::default());
    assert_eq!(loaded.identity(), IDENTITY);
    assert_eq!(loaded.state(), manifest.state());
}

#[test]
fn a_manifest_that_is_there_is_not_created_again() {
    let fs = SimFs::new();
    create(fs.clone())
        .commit(ceilings(9, 9, 9))
        .expect("commits");
    let again = Manifest::create(open_dir(&fs), IDENTITY);
    assert!(
        matches!(again, Err(CommitError::AlreadyExists { .. })),
        "{again:?}"
    );
    assert_eq!(state_of(fs).ceilings.run_id, 9);
    let text = disk_with(b"LSMDB-MANIFEST v1\nnext_seq=1\n");
    let again = Manifest::create(open_dir(&text), IDENTITY);
    assert!(
        matches!(again, Err(CommitError::AlreadyExists { .. })),
        "{again:?}"
    );
}

#[test]
fn the_same_holds_on_a_real_disk() {
    let scratch = tempfile::tempdir().expect("creates");
    let dir = RealFs::new().open_dir(scratch.path()).expect("opens");
    let mut manifest = Manifest::create(dir.clone(), IDENTITY).expect("creates");
    for round in 1..4 {
        manifest
            .commit(ceilings(10 * round, 10, 10))
            .expect("commits");
        let edit = add(0, run(round, "a", "b"));
        manifest.commit(&edit).expect("commits");
        let expected = manifest.state().clone();
        manifest = Manifest::load(dir.clone(), &mut |run| {
            panic!("keys of {run:?} are not stored") as Result<_, Infallible>
        })
        .expect("loads");
        assert_eq!(manifest.state(), &expected);
    }
}

#[test]
fn loading_writes_nothing() {
    let sim = SimFs::new();
    create(sim.clone())
        .commit(ceilings(9, 9, 9))
        .expect("commits");
    let fs = FaultFs::over_sim(sim);
    let manifest = load(fs.clone()).expect("loads");
    assert_eq!(fs.mutation_count(), 0);
    assert!(!manifest.is_durable());
}

#[test]
fn a_handle_appends_only_to_the_file_it_built() {
    let fs = FaultFs::over_sim(SimFs::new());
    let mut manifest = create(fs.clone());
    let renames = |fs: &FaultFs| fs.count_of(Operation::Rename);
    assert_eq!(renames(&fs), 1);
    for id in 2..5 {
        manifest.commit(ceilings(id, 1, 1)).expect("commits");
    }
    assert_eq!(renames(&fs), 1, "appended");
    let mut manifest = load(fs.clone()).expect("loads");
    manifest.commit(ceilings(6, 1, 1)).expect("commits");
    assert_eq!(renames(&fs), 2, "the first commit of a handle rewrites");
    manifest.commit(ceilings(7, 1, 1)).expect("commits");
    assert_eq!(renames(&fs), 2);
    assert_eq!(state_of(fs).ceilings.run_id, 7);
}

#[test]
fn what_a_killed_process_left_in_the_page_cache_is_written_again() {
    let sim = SimFs::new();
    let fs = FaultFs::over_sim(sim.clone());
    let mut manifest = create(fs.clone());
    // The process is killed between writing the record and syncing it.
    let killed = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&killed);
    fs.on_operation(move |event| {
        if event.operation == Operation::Sync {
            *seen.lock().expect("unpoisoned") = Some(sim.reopen_after_kill());
        }
    });
    manifest.commit(ceilings(50, 1, 1)).expect("commits");
    let sim = killed
        .lock()
        .expect("unpoisoned")
        .take()
        .expect("a sync was seen");

    let mut manifest = load(sim.clone()).expect("loads");
    assert_eq!(
        manifest.state().ceilings.run_id,
        50,
        "the record is in the page cache"
    );
    assert!(!manifest.is_durable());
    let power_cut = sim.crash(&CrashImage::NothingUnsynced);
    assert_eq!(state_of(power_cut).ceilings.run_id, 1, "and nowhere else");
    manifest.commit(VersionEdit::default()).expect("commits");
    assert!(manifest.is_durable());
    let power_cut = sim.crash(&CrashImage::NothingUnsynced);
    assert_eq!(state_of(power_cut).ceilings.run_id, 50);
}

#[test]
fn a_clean_mark_is_the_last_record_and_the_next_commit_rewrites() {
    let fs = FaultFs::over_sim(SimFs::new());
    let mut manifest = create(fs.clone());
    manifest.commit(ceilings(90, 90, 90)).expect("commits");
    let exact = VersionEdit {
        clean: true,
        ..ceilings(4, 5, 6)
    };
    manifest.commit(&exact).expect("commits");
    assert_eq!(fs.count_of(Operation::Rename), 1, "the mark is appended");
    let closed = load(fs.clone()).expect("loads");
    assert!(closed.was_clean() && closed.state().is_clean());
    assert_eq!(closed.state().ceilings.seqno, 6);

    manifest.commit(ceilings(7, 7, 7)).expect("commits");
    assert_eq!(fs.count_of(Operation::Rename), 2);
    let mut reopened = load(fs.clone()).expect("loads");
    assert!(!reopened.was_clean());
    reopened.commit(mark()).expect("commits");
    assert!(
        load(fs).expect("loads").was_clean(),
        "a mark may be part of a snapshot"
    );
}

#[test]
fn an_edit_too_long_for_a_record_is_committed_by_a_rewrite() {
    let fs = FaultFs::over_sim(SimFs::new());
    let mut manifest = create(fs.clone());
    manifest.commit(ceilings(1000, 1, 1)).expect("commits");
    let added = (1..100).map(|id| {
        let key = format!("{id:04096}");
        (1, run(id, &key, &key))
    });
    let edit = VersionEdit {
        added: added.collect(),
        ..VersionEdit::default()
    };
    manifest.commit(edit).expect("commits");
    assert_eq!(fs.count_of(Operation::Rename), 2);
    manifest
        .commit(add(0, run(999, "a", "b")))
        .expect("commits");
    assert_eq!(
        fs.count_of(Operation::Rename),
        2,
        "the new file is appended to"
    );
    assert_eq!(state_of(fs), *manifest.state());
}

#[test]
fn keys_over_4_kib_are_read_from_the_run_and_only_for_runs_that_are_left() {
    let fs = SimFs::new();
    let mut manifest = create(fs.clone());
    manifest.commit(ceilings(10, 1, 1)).expect("commits");
    let long = |letter: &str| letter.repeat(4097);
    manifest
        .commit(add(1, run(1, &long("a"), &long("b"))))
        .expect("commits");
    manifest
        .commit(add(1, run(2, "c", &long("d"))))
        .expect("commits");
    manifest.commit(add(1, run(3, "e", "f"))).expect("commits");
    let replaced = VersionEdit {
        removed: vec![(1, 1)],
        ..add(1, run(4, "b", "bb"))
    };
    manifest.commit(replaced).expect("commits");

    let mut asked = Vec::new();
    let loaded = Manifest::load(open_dir(&fs), &mut |unresolved| {
        asked.push((unresolved.level, unresolved.id, unresolved.file_len));
        Ok::<_, io::Error>(("c".into(), long("d").into()))
    });
    assert_eq!(loaded.expect("loads").state(), manifest.state());
    assert_eq!(asked, [(1, 2, 4098)]);

    let failed = Manifest::load(open_dir(&fs), &mut |_| {
        Err(io::Error::from(ErrorKind::NotFound))
    });
    assert!(
        matches!(failed, Err(LoadError::Resolve { run: 2, .. })),
        "{failed:?}"
    );
    // A run that answers with other keys than it had does not slip in.
    let wrong = Manifest::load(open_dir(&fs), &mut |_| {
        Ok::<_, io::Error>(("c".into(), "e".into()))
    });
    assert!(matches!(wrong, Err(LoadError::Damaged { .. })), "{wrong:?}");
}

#[test]
fn a_text_manifest_is_adopted_by_one_rename() {
    let text = b"LSMDB-MANIFEST v1\nnext_seq=3\nrun-0000000002.sst\n";
    let first = VersionEdit {
        added: vec![(0, run(2, "a", "b"))],
        legacy_log_end: Some(70),
        unnamed: vec![1, 0],
        ..ceilings(3, 1, 1)
    };
    let fs = disk_with(text);
    assert!(matches!(load(fs.clone()), Err(LoadError::Legacy { .. })));
    let mut manifest = Manifest::adopt(open_dir(&fs), IDENTITY, &first).expect("adopts");
    assert!(manifest.state().replays_legacy_log());
    assert!(!manifest.is_durable());
    assert!(
        matches!(load(fs.clone()), Err(LoadError::Legacy { .. })),
        "nothing is written before the first commit"
    );
    manifest.commit(VersionEdit::default()).expect("commits");
    assert!(manifest.is_durable());
    assert_eq!(
        state_of(fs.crash(&CrashImage::NothingUnsynced)),
        *manifest.state()
    );

    let again = Manifest::adopt(open_dir(&fs), IDENTITY, &first);
    assert!(
        matches!(again, Err(CommitError::AlreadyExists { .. })),
        "{again:?}"
    );
    for foreign in [&b""[..], b"LSMDB-MANIFEST v2\n", b"something else entirely"] {
        let refused = Manifest::adopt(open_dir(&disk_with(foreign)), IDENTITY, &first);
        assert!(
            matches!(refused, Err(CommitError::AlreadyExists { .. })),
            "{refused:?}"
        );
    }
    // With a log but no manifest of either kind there is nothing to replace.
    let fs = SimFs::new();
    let mut manifest = Manifest::adopt(open_dir(&fs), IDENTITY, &first).expect("adopts");
    manifest.commit(VersionEdit::default()).expect("commits");
    assert_eq!(state_of(fs).version.run_count(), 1);
}
