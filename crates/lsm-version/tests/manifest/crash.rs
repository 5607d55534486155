//! Power cuts before and after every operation, and during the recovery from one.

use std::sync::{Arc, Mutex};

use lsm_fs::{CrashImage, FaultFs, SimFs};
use lsm_version::{LoadError, Manifest, ManifestState, VersionEdit};

use crate::support::*;

/// What a crash now may leave.
#[derive(Default)]
struct Promise {
    /// The last state that was acknowledged; `None` before the manifest was created.
    committed: Option<ManifestState>,
    /// The state that the commit in flight is about to make.
    in_flight: Option<ManifestState>,
    /// The crashed disks, each with the states that may be found on it.
    images: Vec<(String, SimFs, Vec<Option<ManifestState>>)>,
}

impl Promise {
    fn take_images(&mut self, sim: &SimFs, what: &str, seed: u64) {
        let mut allowed = vec![self.committed.clone()];
        allowed.extend(self.in_flight.iter().cloned().map(Some));
        for image in CrashImage::standard(seed) {
            let disk = sim.crash(&image);
            self.images
                .push((format!("{what}, {image:?}"), disk, allowed.clone()));
        }
        let disk = sim.reopen_after_kill();
        self.images.push((format!("{what}, killed"), disk, allowed));
    }
}

/// Runs `commits` on `sim` and returns every disk that a crash on the way may leave.
fn images_of(
    sim: &SimFs,
    start: Option<ManifestState>,
    edits: &[VersionEdit],
) -> Vec<(String, SimFs, Vec<Option<ManifestState>>)> {
    let promise = Arc::new(Mutex::new(Promise {
        committed: start.clone(),
        ..Promise::default()
    }));
    let fs = FaultFs::over_sim(sim.clone());
    let (hooked, disk) = (Arc::clone(&promise), sim.clone());
    let steps = Mutex::new(0_u64);
    fs.on_operation(move |event| {
        if event.operation.is_mutating() {
            let mut step = steps.lock().expect("unpoisoned");
            *step += 1;
            let what = format!("before operation {step}, {:?}", event.operation);
            hooked
                .lock()
                .expect("unpoisoned")
                .take_images(&disk, &what, *step);
        }
    });
    let with =
        |change: &mut dyn FnMut(&mut Promise)| change(&mut promise.lock().expect("unpoisoned"));
    let mut manifest = match start {
        Some(_) => load(fs.clone()).expect("loads"),
        None => {
            with(&mut |promise| promise.in_flight = Some(ManifestState::default()));
            create(fs.clone())
        }
    };
    for edit in edits {
        let (old, new) = (
            manifest.state().clone(),
            manifest.state().apply(edit).expect("fits"),
        );
        with(&mut |promise| {
            promise.committed = Some(old.clone());
            promise.in_flight = Some(new.clone());
        });
        manifest.commit(edit).expect("commits");
    }
    let last = manifest.state().clone();
    with(&mut |promise| {
        promise.committed = Some(last.clone());
        promise.in_flight = None;
        promise.take_images(sim, "at the end", 0);
    });
    fs.remove_hook();
    std::mem::take(&mut promise.lock().expect("unpoisoned").images)
}

#[track_caller]
fn check_image(what: &str, disk: &SimFs, allowed: &[Option<ManifestState>]) -> Option<Manifest> {
    let found = match load(disk.clone()) {
        Ok(manifest) => Some(manifest),
        Err(LoadError::Missing { .. }) => None,
        Err(error) => panic!("{what}: {error}"),
    };
    let state = found.as_ref().map(|manifest| manifest.state().clone());
    assert!(allowed.contains(&state), "{what}: found {state:?}");
    found
}

fn edits() -> Vec<VersionEdit> {
    // One record spans several sectors.
    let long = |letter: &str| letter.repeat(3000);
    vec![
        ceilings(100, 10, 1000),
        add(1, run(1, &long("a"), &long("b"))),
        add(0, run(2, "a", "z")),
        VersionEdit {
            removed: vec![(0, 2), (1, 1)],
            ..add(1, run(3, "a", "z"))
        },
        VersionEdit {
            clean: true,
            ..ceilings(4, 2, 1000)
        },
        ceilings(200, 20, 2000),
        add(0, run(150, "a", "b")),
    ]
}

#[test]
fn a_crash_leaves_the_last_committed_state_or_the_one_in_flight() {
    let images = images_of(&SimFs::new(), None, &edits());
    assert!(images.len() > 300, "{} images", images.len());
    for (what, disk, allowed) in images {
        check_image(&what, &disk, &allowed);
    }
}

#[test]
fn a_recovery_that_crashes_too_leaves_what_it_found_or_what_it_made() {
    for (what, disk, allowed) in images_of(&SimFs::new(), None, &edits()[..4]) {
        let Some(manifest) = check_image(&what, &disk, &allowed) else {
            continue;
        };
        let first = manifest.state().clone();
        let second = [ceilings(300, 30, 3000), add(0, run(200, "c", "d"))];
        // A killed process leaves a page cache, which the next power cut may still take.
        let page_cache_only = what.ends_with("killed");
        for (next, disk, mut allowed_next) in images_of(&disk, Some(first), &second) {
            if page_cache_only {
                allowed_next.extend(allowed.clone());
            }
            check_image(&format!("{what}; then {next}"), &disk, &allowed_next);
        }
    }
}

#[test]
fn a_torn_record_leaves_the_state_before_it_at_the_second_open_too() {
    let fs = SimFs::new();
    let mut manifest = create(fs.clone());
    manifest.commit(ceilings(100, 10, 1000)).expect("commits");
    let before = manifest.state().clone();
    manifest.commit(add(0, run(1, "a", "b"))).expect("commits");
    let bytes = manifest_bytes(&fs);
    let torn = disk_with(&bytes[..bytes.len() - 8]);
    for _ in 0..2 {
        let loaded = load(torn.clone()).expect("loads");
        assert!(loaded.was_torn());
        assert_eq!(loaded.state(), &before);
    }
    let mut loaded = load(torn.clone()).expect("loads");
    loaded.commit(add(0, run(2, "a", "b"))).expect("commits");
    loaded.commit(add(0, run(3, "a", "b"))).expect("commits");
    let loaded_again = load(torn.clone()).expect("loads");
    assert!(
        !loaded_again.was_torn(),
        "nothing was appended behind the torn record"
    );
    assert_eq!(loaded_again.state(), loaded.state());
}
