//! The bounds that `src/picker/join.rs` derives, on trees of metadata: how many runs are left of
//! flushes of next to nothing, in any order of their keys, and what joining them writes.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::ops::Bound::Unbounded;
use std::sync::Arc;

use bytes::Bytes;
use lsm_compact::{
    Claims, Job, JobKind, Owed, OwedStep, PickerOptions, edit_for, move_edit, pick, pick_owed,
};
use lsm_version::{RunMeta, Version, VersionEdit};

/// What a run takes beside its entries, as a file does.
const RUN_OVERHEAD_BYTES: u64 = 90;

struct Store {
    version: Version,
    options: PickerOptions,
    next_id: u64,
    flushed_bytes: u64,
    /// Written by jobs that only join.
    joined_bytes: u64,
    merged_bytes: u64,
}

impl Store {
    fn new(options: PickerOptions) -> Self {
        Self {
            version: Version::empty(),
            options,
            next_id: 1,
            flushed_bytes: 0,
            joined_bytes: 0,
            merged_bytes: 0,
        }
    }

    fn run(&mut self, entry_bytes: u64, smallest: Bytes, largest: Bytes) -> Arc<RunMeta> {
        let id = self.next_id;
        self.next_id += 1;
        Arc::new(RunMeta {
            id,
            file_len: entry_bytes + RUN_OVERHEAD_BYTES,
            entry_count: entry_bytes.div_ceil(100).max(1),
            tombstone_count: 0,
            index_len: 0,
            index_crc: 0,
            smallest_key: smallest,
            largest_key: largest,
        })
    }

    fn apply(&mut self, edit: &VersionEdit) {
        self.version = self.version.apply(edit).expect("the edit fits");
        self.version.check().expect("the levels are in order");
    }

    /// Flushes entries from `first` to `last`, and lets the policy rest again.
    fn flush(&mut self, entry_bytes: u64, first: u64, last: u64) {
        let keys = [first, last].map(|key| Bytes::copy_from_slice(&key.to_be_bytes()));
        let [smallest, largest] = keys;
        let run = self.run(entry_bytes, smallest, largest);
        self.flushed_bytes += run.file_len;
        self.apply(&VersionEdit {
            added: vec![(0, run)],
            ..VersionEdit::default()
        });
        while let Some(job) = pick(&self.version, &self.options, &Claims::new(), &|_| false) {
            self.install(&job);
        }
    }

    fn install(&mut self, job: &Job) {
        if job.kind == JobKind::Move {
            return self.apply(&move_edit(job));
        }
        let is_join = job
            .inputs
            .iter()
            .all(|(level, _)| *level == job.output_level);
        let overhead = job.inputs.len() as u64 * RUN_OVERHEAD_BYTES;
        let entry_bytes = job.input_bytes() - overhead;
        let outputs = entry_bytes.div_ceil(self.options.run_bytes_target).max(1);
        let outputs = usize::try_from(outputs).expect("few outputs");
        let outputs: Vec<_> = if outputs == 1 {
            vec![self.run(
                entry_bytes,
                job.smallest_key.clone(),
                job.largest_key.clone(),
            )]
        } else {
            self.split(job, entry_bytes, outputs)
        };
        let written: u64 = outputs.iter().map(|run| run.file_len).sum();
        if is_join {
            assert!(outputs.len() < job.inputs.len(), "{job:?}");
            self.joined_bytes += written;
        } else {
            self.merged_bytes += written;
        }
        self.apply(&edit_for(job, outputs));
    }

    /// Ends outputs where inputs of the output level begin: keys are only known there.
    fn split(&mut self, job: &Job, entry_bytes: u64, outputs: usize) -> Vec<Arc<RunMeta>> {
        let mut keys: Vec<_> = job
            .inputs
            .iter()
            .map(|(_, run)| run.smallest_key.clone())
            .collect();
        keys.sort();
        let starts = (1..outputs).map(|at| keys[keys.len() * at / outputs].clone());
        let mut starts: Vec<_> = starts.filter(|key| *key != job.smallest_key).collect();
        starts.insert(0, job.smallest_key.clone());
        starts.dedup();
        let bytes = entry_bytes / starts.len() as u64;
        (0..starts.len())
            .map(|at| {
                // A run may end just before the next begins.
                let largest = match starts.get(at + 1) {
                    Some(next) => before(next),
                    None => job.largest_key.clone(),
                };
                self.run(bytes, starts[at].clone(), largest)
            })
            .collect()
    }

    fn run_count(&self) -> usize {
        self.version.run_count()
    }
}

fn before(key: &Bytes) -> Bytes {
    let number = key
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes));
    Bytes::copy_from_slice(&(number - 1).to_be_bytes())
}

/// F of the derivation.
fn row_bytes_max(options: &PickerOptions) -> u64 {
    options.run_bytes_target / 4
}

/// The most runs that may rest below L0 if they are added at one end, by the derivation: ten in the row
/// that is still being filled, and those that are full or could not take another.
fn runs_max_at_one_end(store: &Store) -> u64 {
    let bytes: u64 = store.version.runs().map(|(_, run)| run.file_len).sum();
    2 * bytes / row_bytes_max(&store.options) + 1 + 10
}

fn shuffled(count: u64) -> impl Iterator<Item = u64> {
    // Odd, so every number below a power of two comes once.
    (0..count).map(move |at| at.wrapping_mul(0x9E37_79B9_7F4A_7C15) % count)
}

/// Flushes 4,096 keys one by one, in the order of `key`; returns the store at rest.
fn flushed(options: PickerOptions, keys: impl Iterator<Item = u64>) -> Store {
    let mut store = Store::new(options);
    for key in keys {
        store.flush(100, key * 16 + 16, key * 16 + 16);
        assert!(
            store.run_count() as u64 <= runs_max_at_one_end(&store) + 4,
            "{} runs of {} flushes",
            store.run_count(),
            store.next_id
        );
    }
    store
}

const FLUSHES: u64 = 4096;

/// The weight that joins may rewrite for each run: log2(F / w) joins, and one of what is lighter.
fn joined_bytes_max(store: &Store, flushes: u64) -> u64 {
    let target = store.options.run_bytes_target;
    let weight_min = (target / 1024).max(4096.min(target / 16));
    let joins_max = u64::from((row_bytes_max(&store.options) / weight_min).ilog2()) + 1;
    store.flushed_bytes.max(flushes * weight_min) * joins_max
}

#[test]
fn flushes_of_one_new_key_leave_files_in_proportion_to_data_in_any_order() {
    for target in [64 << 10, 1 << 20, 16 << 20, 64 << 20] {
        let options = || PickerOptions {
            run_bytes_target: target,
            ..PickerOptions::default()
        };
        for (order, store) in [
            ("ascending", flushed(options(), 0..FLUSHES)),
            ("descending", flushed(options(), (0..FLUSHES).rev())),
            ("random", flushed(options(), shuffled(FLUSHES))),
        ] {
            assert!(
                store.joined_bytes <= joined_bytes_max(&store, FLUSHES),
                "{order}, target {target}: {} of {}",
                store.joined_bytes,
                store.flushed_bytes
            );
        }
    }
}

#[test]
fn a_level_of_any_sizes_rests_with_no_more_runs_in_a_row_than_derived() {
    let options = PickerOptions {
        run_bytes_target: 64 << 20,
        ..PickerOptions::default()
    };
    let weight_min = options.run_bytes_target / 1024;
    // As a ruler is marked: each size between two of a size five times as large.
    let mut sizes = vec![weight_min];
    while sizes.len() < 2000 {
        let largest = sizes.iter().max().map_or(0, |size| size * 5);
        let half = sizes.clone();
        sizes.push(largest.min(row_bytes_max(&options)));
        sizes.extend(half);
    }
    let mut store = Store::new(options);
    let mut added = Vec::new();
    for (key, bytes) in (0_u64..).zip(&sizes) {
        let key = Bytes::copy_from_slice(&key.to_be_bytes());
        added.push((6, store.run(bytes - RUN_OVERHEAD_BYTES, key.clone(), key)));
    }
    store.apply(&VersionEdit {
        added,
        ..VersionEdit::default()
    });
    while let Some(job) = pick(&store.version, &store.options, &Claims::new(), &|_| false) {
        store.install(&job);
    }
    let runs = store.version.level(6).runs();
    let mut longest = 0;
    for first in 0..runs.len() {
        let mut bytes = 0;
        let row = runs[first..].iter().take_while(|run| {
            bytes += run.file_len;
            bytes <= row_bytes_max(&store.options)
        });
        longest = longest.max(row.count());
    }
    assert!((15..=45).contains(&longest), "{longest} of {}", runs.len());
}

/// A run counted as a 1,024th of the target, whatever that was, so all that was flushed was written
/// again for each few flushes: 128 bytes for each byte of a load in ascending order.
#[test]
fn what_joins_write_does_not_grow_with_a_target_that_no_run_reaches() {
    const FLUSHES: u64 = 1024;
    let joined = |target| {
        let mut store = Store::new(PickerOptions {
            run_bytes_target: target,
            ..PickerOptions::default()
        });
        for key in 0..FLUSHES {
            store.flush(64 << 10, key, key);
        }
        assert!(store.joined_bytes <= store.flushed_bytes * u64::from(FLUSHES.ilog2() + 1));
        (store.joined_bytes, store.run_count())
    };
    let at_one_gib = joined(1 << 30);
    assert!(at_one_gib.1 <= 16, "{} runs", at_one_gib.1);
    for target in [64 << 30, u64::MAX] {
        assert_eq!(joined(target), at_one_gib, "target {target}");
    }
}

#[test]
fn flushes_of_some_size_are_joined_as_often_as_the_derivation_says() {
    let options = PickerOptions {
        run_bytes_target: 64 << 20,
        ..PickerOptions::default()
    };
    // Each weighs as much as its bytes, and 1,024 of them fill a row of 16 MiB and 15 MiB more.
    let bytes = 64 << 10;
    let mut store = Store::new(options);
    for key in 0..1024 {
        store.flush(bytes, key, key);
    }
    assert!(
        store.joined_bytes <= store.flushed_bytes * 8,
        "{}",
        store.joined_bytes
    );
    assert!(store.run_count() <= 4 + 10 + 4, "{}", store.run_count());
}

#[test]
fn a_load_in_order_is_written_once_though_its_runs_are_a_half_of_the_target_or_a_quarter() {
    for share in [1, 2, 3, 4, 5, 7] {
        let options = PickerOptions::default();
        let bytes = options.run_bytes_target / share;
        let mut store = Store::new(options);
        for key in 0..200 {
            store.flush(bytes, key * 2, key * 2 + 1);
        }
        assert_eq!(store.joined_bytes + store.merged_bytes, 0, "1/{share}");
    }
}

#[test]
fn what_comes_many_at_once_is_joined_in_one_pass() {
    // As a store of 25,000 small runs that is taken over.
    let options = PickerOptions {
        run_bytes_target: 64 << 20,
        ..PickerOptions::default()
    };
    let mut store = Store::new(options);
    let mut added = Vec::new();
    for key in 0..25_000_u64 {
        let key = Bytes::copy_from_slice(&key.to_be_bytes());
        added.push((6, store.run(4096, key.clone(), key)));
    }
    store.apply(&VersionEdit {
        added,
        ..VersionEdit::default()
    });
    let bytes = store.version.level(6).bytes();
    let mut jobs = 0;
    while let Some(job) = pick(&store.version, &store.options, &Claims::new(), &|_| false) {
        store.install(&job);
        jobs += 1;
    }
    assert!(
        jobs <= 2 * bytes / row_bytes_max(&store.options) + 1,
        "{jobs} jobs"
    );
    assert!(store.run_count() <= 8, "{}", store.run_count());
    assert!(store.joined_bytes <= bytes, "each byte once");
}

#[test]
fn on_demand_no_two_neighbours_stay_that_fit_one_run_and_each_byte_is_written_about_once() {
    for entry_bytes in [10, 4096, 20 << 10, 33 << 10, 63 << 10] {
        let options = PickerOptions {
            run_bytes_target: 64 << 10,
            l0_trigger: usize::MAX,
            ..PickerOptions::default()
        };
        let target = options.run_bytes_target;
        let mut store = Store::new(options);
        let mut added = Vec::new();
        for key in 1..1000_u64 {
            let key = Bytes::copy_from_slice(&(key * 16).to_be_bytes());
            let bytes = if added.len() % 7 == 3 {
                target / 2
            } else {
                entry_bytes
            };
            added.push((6, store.run(bytes, key.clone(), key)));
        }
        store.apply(&VersionEdit {
            added,
            ..VersionEdit::default()
        });
        let bytes = store.version.level(6).bytes();
        let mut owed = Owed::new(&store.version, Unbounded, Unbounded);
        loop {
            let (version, options) = (&store.version, &store.options);
            match pick_owed(version, options, &Claims::new(), &|_| false, &mut owed) {
                OwedStep::Job(job) => {
                    store.install(&job);
                    owed.follow(&job, &store.version);
                }
                OwedStep::Check(job) => {
                    owed.follow(&job, &store.version);
                }
                _ => break,
            }
        }
        assert!(owed.is_done(), "{owed:?}");
        for pair in store.version.level(6).runs().windows(2) {
            assert!(pair[0].file_len + pair[1].file_len > target, "{pair:?}");
        }
        assert!(
            store.joined_bytes <= bytes * 2,
            "{} of {bytes}",
            store.joined_bytes
        );
    }
}
