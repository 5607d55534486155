use std::cell::Cell;

use lsm_version::Version;

use super::*;
use crate::cursor::SliceCursor;
use crate::job::{Job, JobKind};
use crate::options::PickerOptions;
use crate::testing::{Broken, Entries, Probe, numbered, run_meta, version};

/// Counts entries per output; may fail at a chosen push or finish.
#[derive(Default)]
struct Counter {
    open: u64,
    pushes_left: Option<u64>,
    finishes_fail: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Full;

impl Sink for Counter {
    type Output = u64;
    type Error = Full;

    fn push(&mut self, _: &[u8], _: Option<&[u8]>) -> Result<(), Full> {
        if let Some(left) = &mut self.pushes_left {
            *left = left.checked_sub(1).ok_or(Full)?;
        }
        self.open += 1;
        Ok(())
    }

    fn output_bytes(&self) -> u64 {
        self.open * 10
    }

    fn finish_output(&mut self) -> Result<Option<u64>, Full> {
        if self.finishes_fail {
            return Err(Full);
        }
        Ok(Some(std::mem::take(&mut self.open)).filter(|count| *count > 0))
    }
}

fn elision_and_splitter(version: &Version) -> (Elision, Splitter) {
    let options = PickerOptions {
        run_bytes_target: 100,
        ..PickerOptions::default()
    };
    let job = Job::new(JobKind::Merge, vec![(0, run_meta(9, "a", "z", 1))], 1).unwrap();
    (
        Elision::new(version, &job),
        Splitter::for_job(version, &job, &options),
    )
}

fn run_to<S: Sink>(
    sources: &[Entries],
    version: &Version,
    sink: &mut S,
    stop: &dyn Fn() -> bool,
) -> Result<JobOutput<S::Output>, JobError<std::convert::Infallible, S::Error>> {
    let (elision, splitter) = elision_and_splitter(version);
    let cursors = sources
        .iter()
        .map(|entries| SliceCursor::new(entries))
        .collect();
    run(cursors, elision, splitter, sink, stop)
}

fn tombstones(keys: &[&str]) -> Entries {
    keys.iter()
        .map(|key| (key.as_bytes().to_vec(), None))
        .collect()
}

#[test]
fn every_entry_is_counted_and_outputs_end_at_the_target() {
    let sources = [numbered(0, 2, 15), numbered(0, 1, 25)];
    let done = run_to(
        &sources,
        &Version::empty(),
        &mut Counter::default(),
        &|| false,
    )
    .unwrap();
    // Numbers 0..25 and the even ones up to 28.
    assert_eq!(done.outputs, [10, 10, 7]);
    assert_eq!(
        (done.entries_in, done.entries_out, done.tombstones_dropped),
        (40, 27, 0)
    );
    assert_eq!(done.entry_bytes_out, 27 * 17);
}

#[test]
fn only_tombstones_over_nothing_older_are_left_out() {
    let older = run_meta(1, "c", "d", 1);
    let sources = [tombstones(&["a", "c", "d", "e"])];
    let done = run_to(
        &sources,
        &version(&[(2, &older)]),
        &mut Counter::default(),
        &|| false,
    )
    .unwrap();
    assert_eq!((done.entries_out, done.tombstones_dropped), (2, 2));
    assert_eq!(done.outputs, [2]);
}

#[test]
fn a_job_that_leaves_nothing_has_no_outputs() {
    let sources = [tombstones(&["a"]), vec![(b"a".to_vec(), Some(vec![1]))]];
    let done = run_to(
        &sources,
        &Version::empty(),
        &mut Counter::default(),
        &|| false,
    )
    .unwrap();
    assert_eq!(done.outputs, []);
    assert_eq!(
        (done.entries_in, done.entries_out, done.tombstones_dropped),
        (2, 0, 1)
    );
    let done = run_to(&[], &Version::empty(), &mut Counter::default(), &|| false).unwrap();
    assert_eq!((done.entries_in, done.outputs.len()), (0, 0));
}

#[test]
fn a_source_that_fails_fails_the_job_wherever_it_does() {
    let sources = [numbered(0, 2, 5), numbered(1, 2, 5)];
    for moves in 0..6 {
        let probes: Vec<_> = sources.iter().map(Probe::new).collect();
        probes[1].moves_left.set(moves);
        let (elision, splitter) = elision_and_splitter(&Version::empty());
        let done = run(probes, elision, splitter, &mut Counter::default(), &|| {
            false
        });
        assert_eq!(done, Err(JobError::Source(Broken)), "after {moves} moves");
    }
}

#[test]
fn a_sink_that_fails_fails_the_job_wherever_it_does() {
    let sources = [numbered(0, 1, 12)];
    for pushes in 0..12 {
        let mut sink = Counter {
            pushes_left: Some(pushes),
            ..Counter::default()
        };
        let done = run_to(&sources, &Version::empty(), &mut sink, &|| false);
        assert_eq!(done, Err(JobError::Sink(Full)), "after {pushes} pushes");
    }
    for entries in [3, 12] {
        let mut sink = Counter {
            finishes_fail: true,
            ..Counter::default()
        };
        let done = run_to(
            &[numbered(0, 1, entries)],
            &Version::empty(),
            &mut sink,
            &|| false,
        );
        assert_eq!(done, Err(JobError::Sink(Full)));
    }
}

#[test]
fn a_job_stops_soon_after_it_is_asked_to() {
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() == 3
    };
    let mut sink = Counter::default();
    let sources = [numbered(0, 1, 100_000)];
    let (elision, _) = elision_and_splitter(&Version::empty());
    let splitter = Splitter::new(&PickerOptions::default(), &[]);
    let cursors = vec![SliceCursor::new(&sources[0])];
    assert_eq!(
        run(cursors, elision, splitter, &mut sink, &stop),
        Err(JobError::Stopped)
    );
    assert!(
        sink.open * 17 <= 2 * BYTES_BETWEEN_STOPS,
        "{} entries",
        sink.open
    );
    assert_eq!(
        run_to(
            &sources,
            &Version::empty(),
            &mut Counter::default(),
            &|| true
        ),
        Err(JobError::Stopped)
    );
}
