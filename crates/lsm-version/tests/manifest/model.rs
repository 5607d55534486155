//! Arbitrary histories: what was committed is what is loaded.

use std::collections::HashMap;
use std::sync::Arc;

use lsm_fs::{CrashImage, SimFs};
use lsm_version::{CommitError, ManifestState, RunMeta, VersionEdit};
use lsm_wal::{LogBounds, Position};

use crate::support::*;

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
            (4, _) => {
                edit.legacy_log_end = state.legacy_log_end.or(Some(u64::from(detail)));
                if !choice.is_multiple_of(4) && id < state.ceilings.run_id {
                    self.next_id += 1;
                    edit.unnamed.push(id);
                }
            }
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
