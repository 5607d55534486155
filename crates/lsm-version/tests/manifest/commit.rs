//! Commits that succeed, and commits that fail and are followed by others.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use lsm_fs::{CrashImage, Fault, FaultFs, FileSystem, Operation, SimFs};
use lsm_version::{
    CommitError, EditError, LoadError, Manifest, ManifestState, RunMeta, VersionEdit,
};
use lsm_wal::{LogBounds, Position};

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
    let again = Manifest::create(Arc::new(fs.clone()), dir(), IDENTITY);
    assert!(
        matches!(again, Err(CommitError::AlreadyExists { .. })),
        "{again:?}"
    );
    assert_eq!(state_of(fs).ceilings.run_id, 9);
    let text = disk_with(b"LSMDB-MANIFEST v1\nnext_seq=1\n");
    let again = Manifest::create(Arc::new(text), dir(), IDENTITY);
    assert!(
        matches!(again, Err(CommitError::AlreadyExists { .. })),
        "{again:?}"
    );
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
    let fs = FaultFs::over_sim(SimFs::new());
    let sim = SimFs::new();
    let fs_of_killed = FaultFs::over_sim(sim.clone());
    let mut manifest = create(fs_of_killed.clone());
    // The process is killed between writing the record and syncing it.
    let killed = Arc::new(std::sync::Mutex::new(None));
    let seen = Arc::clone(&killed);
    fs_of_killed.on_operation(move |event| {
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
    drop(fs);

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
    let loaded = Manifest::load(Arc::new(fs.clone()), dir(), &mut |unresolved| {
        asked.push((unresolved.level, unresolved.id, unresolved.file_len));
        Ok::<_, io::Error>(("c".into(), long("d").into()))
    });
    assert_eq!(loaded.expect("loads").state(), manifest.state());
    assert_eq!(asked, [(1, 2, 4098)]);

    let failed = Manifest::load(Arc::new(fs.clone()), dir(), &mut |_| {
        Err(io::Error::from(ErrorKind::NotFound))
    });
    assert!(
        matches!(failed, Err(LoadError::Resolve { run: 2, .. })),
        "{failed:?}"
    );
    // A run that answers with other keys than it had does not slip in.
    let wrong = Manifest::load(Arc::new(fs), dir(), &mut |_| {
        Ok::<_, io::Error>(("c".into(), "e".into()))
    });
    assert!(matches!(wrong, Err(LoadError::Damaged { .. })), "{wrong:?}");
}

#[test]
fn a_text_manifest_is_adopted_by_one_rename() {
    let text = b"LSMDB-MANIFEST v1\nnext_seq=3\nrun-0000000002.sst\n";
    let first = VersionEdit {
        added: vec![(0, run(2, "a", "b"))],
        legacy_log_live: Some(true),
        ..ceilings(3, 1, 1)
    };
    let fs = disk_with(text);
    assert!(matches!(load(fs.clone()), Err(LoadError::Legacy { .. })));
    let manifest = Manifest::adopt(Arc::new(fs.clone()), dir(), IDENTITY, &first).expect("adopts");
    assert!(manifest.state().legacy_log_live);
    assert_eq!(
        state_of(fs.crash(&CrashImage::NothingUnsynced)),
        *manifest.state()
    );

    let again = Manifest::adopt(Arc::new(fs.clone()), dir(), IDENTITY, &first);
    assert!(
        matches!(again, Err(CommitError::AlreadyExists { .. })),
        "{again:?}"
    );
    for foreign in [&b""[..], b"LSMDB-MANIFEST v2\n", b"something else entirely"] {
        let refused = Manifest::adopt(Arc::new(disk_with(foreign)), dir(), IDENTITY, &first);
        assert!(
            matches!(refused, Err(CommitError::AlreadyExists { .. })),
            "{refused:?}"
        );
    }
    // With a log but no manifest of either kind there is nothing to replace.
    let fs = SimFs::new();
    Manifest::adopt(Arc::new(fs.clone()), dir(), IDENTITY, &first).expect("adopts");
    assert_eq!(state_of(fs).version.run_count(), 1);
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

/// Builds edits that fit from arbitrary bytes.
struct Author {
    next_id: u64,
    long: HashMap<u64, Arc<RunMeta>>,
}

impl Author {
    fn edit(&mut self, state: &ManifestState, choice: u8, detail: u8) -> VersionEdit {
        let id = self.next_id;
        let mut edit = VersionEdit::default();
        if id >= state.ceilings.run_id {
            edit = ceilings(
                id + 1 + u64::from(detail),
                state.ceilings.segment_id,
                1 << 30,
            );
        }
        let pick = state.version.runs().nth(usize::from(detail) % 7);
        match (choice % 9, pick) {
            (0..=2, _) => {
                self.next_id += 1;
                edit.added.push((0, self.run(id, detail, choice)));
                edit.flushed_seqno = Some(state.flushed_seqno + u64::from(detail));
            }
            (3, _) => {
                let segment = state.log.retired_below.max(1) + u64::from(detail);
                edit = ceilings(state.ceilings.run_id, segment + 2, 1 << 40);
                edit.log = Some(LogBounds {
                    retired_below: segment,
                    floor: detail.is_multiple_of(2).then_some(segment),
                    end: detail
                        .is_multiple_of(3)
                        .then_some(Position::new(segment + 1, 4096)),
                    discarded_through: u64::from(choice),
                });
            }
            (4, _) => edit.legacy_log_live = Some(detail.is_multiple_of(2)),
            (5, _) => {
                edit = mark();
                edit.ceilings = Some(state.ceilings);
            }
            (_, Some((level, run))) => {
                let level = u8::try_from(level).expect("there are few levels");
                edit.removed.push((level, run.id));
                if !choice.is_multiple_of(3) && level < 15 {
                    edit.added.push((level + 1 + detail % 2, Arc::clone(run)));
                }
            }
            _ => {}
        }
        edit
    }

    fn run(&mut self, id: u64, detail: u8, choice: u8) -> Arc<RunMeta> {
        let padding = "p".repeat(if choice.is_multiple_of(5) { 4097 } else { 3 });
        let smallest = format!("{:03}", u16::from(detail) % 200);
        let largest = format!("{:03}{padding}", u16::from(detail) % 200 + 10);
        let run = run(id, &smallest, &largest);
        if padding.len() > 4096 {
            self.long.insert(id, Arc::clone(&run));
        }
        run
    }
}

quickcheck::quickcheck! {
    fn what_was_committed_is_what_is_loaded(script: Vec<(u8, u8)>) -> bool {
        let fs = SimFs::new();
        let mut manifest = create(fs.clone());
        let mut author = Author { next_id: 1, long: HashMap::new() };
        for (choice, detail) in script {
            if choice > 230 {
                manifest = load_with(fs.clone(), &author.long).expect("loads");
                continue;
            }
            let edit = author.edit(manifest.state(), choice, detail);
            let expected = match manifest.state().apply(&edit) {
                Ok(next) => next,
                // A move into a run that overlaps it; refused alike.
                Err(refused) => {
                    let error = manifest.commit(&edit).expect_err("does not fit");
                    assert!(matches!(error, CommitError::Invalid(error) if error == refused));
                    continue;
                }
            };
            manifest.commit(&edit).expect("commits");
            assert_eq!(manifest.state(), &expected);
            let power_cut = fs.crash(&CrashImage::NothingUnsynced);
            let loaded = load_with(power_cut, &author.long).expect("loads");
            assert_eq!(loaded.state(), &expected);
            assert_eq!((loaded.was_clean(), loaded.was_torn()), (edit.clean, false));
        }
        true
    }
}
