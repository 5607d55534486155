//! The log on a simulated disk that crashes, or fails, at every operation in turn; recovery's own
//! included.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use lsm_fs::{ByPath, CrashImage, Fault, FaultFs, FileSystem, SimFs};

use super::{DIR, open};
use crate::error::Error;
use crate::wal::Durability;

/// A disk whose log directory is durable.
fn disk() -> SimFs {
    let sim = SimFs::new();
    sim.create_dir(Path::new(DIR)).unwrap();
    sim.sync_dir(Path::new("/")).unwrap();
    sim
}

/// What a log must and may hold: the payloads given to it in order, rejected ones left out, and
/// how many of them were acknowledged as durable. One more may be in flight.
#[derive(Debug, Clone, Default)]
struct Model {
    given: Vec<Vec<u8>>,
    durable_count: usize,
    in_flight: Option<Vec<u8>>,
}

impl Model {
    fn check(&self, found: &[Vec<u8>], what: &dyn fmt::Debug) {
        assert!(
            found.len() >= self.durable_count,
            "lost: {} of {}; {what:?}",
            found.len(),
            self.durable_count
        );
        let allowed: Vec<&Vec<u8>> = self.given.iter().chain(&self.in_flight).collect();
        assert!(
            found.len() <= allowed.len(),
            "more than was given; {what:?}"
        );
        assert!(
            found
                .iter()
                .zip(allowed)
                .all(|(found, given)| found == given),
            "not a prefix; {what:?}"
        );
    }
}

/// Runs the scenario, keeping the model; errors are what the caller of a failing disk sees.
fn run(fs: &FaultFs, model: &Mutex<Model>) {
    let Ok((wal, _)) = open(fs.clone()) else {
        return;
    };
    let append = |tag: &str, len: usize, durability| {
        let mut payload = tag.as_bytes().to_vec();
        payload.resize(len, b'.');
        model.lock().unwrap().in_flight = Some(payload.clone());
        let outcome = wal.append(&payload, durability);
        let mut model = model.lock().unwrap();
        match &outcome {
            Ok(_) => {
                model.in_flight = None;
                model.given.push(payload);
                if durability == Durability::Sync {
                    model.durable_count = model.given.len();
                }
            }
            // Rejected: it must never be found again.
            Err(Error::WriteFailed { .. }) => model.in_flight = None,
            // Its fate is open, and nothing more is taken.
            Err(error) => {
                assert!(
                    error.is_final() || matches!(error, Error::Io { .. }),
                    "{error}"
                );
                if !matches!(error, Error::Poisoned { .. }) {
                    model.given.push(payload);
                }
                model.in_flight = None;
            }
        }
    };
    let sync = || {
        if wal.sync().is_ok() {
            let mut model = model.lock().unwrap();
            model.durable_count = model.given.len();
        }
    };
    append("s1", 9, Durability::Sync);
    append("b2", 700, Durability::Buffered);
    append("b3", 30, Durability::Buffered);
    wal.rotate();
    append("b4", 600, Durability::Buffered);
    append("s5", 40, Durability::Sync);
    append("b6", 3_000, Durability::Buffered);
    append("b7", 8, Durability::Buffered);
    wal.rotate();
    append("b8", 0, Durability::Buffered);
    sync();
    append("b9", 100, Durability::Buffered);
    if wal.close().is_ok() {
        let mut model = model.lock().unwrap();
        model.durable_count = model.given.len();
    }
}

/// Opens the log on `disk`, crashing at every operation of that too, and checks that what was
/// handed out is still there after the next power cut.
fn check_recovery(disk: &SimFs, model: &Model, what: &dyn fmt::Debug) {
    let fs = FaultFs::over_sim(disk.clone());
    let crashed = disk.clone();
    let expected = model.clone();
    let told = format!("{what:?}");
    fs.on_operation(move |event| {
        if event.operation.is_mutating() {
            let images = CrashImage::standard(event.index);
            for image in images
                .iter()
                .skip(usize::try_from(event.index % 4).unwrap())
                .step_by(4)
            {
                let (_wal, found) = open(crashed.crash(image))
                    .unwrap_or_else(|error| panic!("{error} at {event:?} {image:?} after {told}"));
                expected.check(&found, &(event, image, &told));
            }
        }
    });
    let opened = open(fs.clone());
    let (wal, found) = opened.unwrap_or_else(|error| panic!("{error} after {what:?}"));
    fs.remove_hook();
    model.check(&found, what);
    let exact = Model {
        durable_count: found.len(),
        given: found,
        in_flight: None,
    };
    for image in CrashImage::standard(1) {
        let (_wal, again) = open(disk.crash(&image)).unwrap();
        exact.check(&again, &(image, what));
    }
    // The log goes on, and the next open sees all of it.
    wal.append(b"after", Durability::Sync).unwrap();
    let (_wal, mut again) = open(disk.crash(&CrashImage::NothingUnsynced)).unwrap();
    assert_eq!(again.pop().as_deref(), Some(&b"after"[..]), "{what:?}");
    exact.check(&again, what);
}

#[test]
fn a_power_cut_or_a_kill_at_any_operation_leaves_a_prefix_with_all_that_was_acknowledged() {
    let sim = SimFs::new();
    let fs = FaultFs::over_sim(sim.clone());
    let model = Arc::new(Mutex::new(Model::default()));
    let seen = Arc::clone(&model);
    let disk = sim.clone();
    fs.on_operation(move |event| {
        if !event.operation.is_mutating() {
            return;
        }
        let model = seen.lock().unwrap().clone();
        for image in CrashImage::standard(event.index) {
            check_recovery(&disk.crash(&image), &model, &(event, image));
        }
        check_recovery(&disk.reopen_after_kill(), &model, &(event, "kill"));
    });
    run(&fs, &model);
    assert_eq!(model.lock().unwrap().durable_count, 9);
    check_recovery(&sim.reopen_after_kill(), &model.lock().unwrap(), &"end");
}

#[test]
fn a_failure_of_any_operation_loses_nothing_acknowledged_and_keeps_nothing_rejected() {
    let count = {
        let fs = FaultFs::over_sim(disk());
        run(&fs, &Mutex::new(Model::default()));
        fs.mutation_count()
    };
    let no_room = Fault::new(io::ErrorKind::StorageFull);
    let broken = Fault::from_raw_os_error(5);
    let faults = [
        no_room.clone(),
        no_room.clone().short_write(20),
        no_room.for_good(),
        broken.clone(),
        broken.clone().after_the_effect(),
        broken.for_good(),
    ];
    for n in 0..count {
        for fault in &faults {
            let sim = disk();
            let fs = FaultFs::over_sim(sim.clone());
            fs.fail_nth(n, fault.clone());
            let model = Mutex::new(Model::default());
            run(&fs, &model);
            let model = model.into_inner().unwrap();
            let what = (n, fault);
            check_recovery(&sim.reopen_after_kill(), &model, &what);
            let images = CrashImage::standard(n);
            for image in images
                .iter()
                .skip(usize::try_from(n % 4).unwrap())
                .step_by(4)
            {
                check_recovery(&sim.crash(image), &model, &(what, image));
            }
        }
    }
}
