//! What a compaction on demand costs, counted: jobs, and runs that the picker looks at. Played on
//! metadata alone, with many small runs and beside a writer.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::cell::Cell;
use std::ops::Bound::Unbounded;
use std::sync::Arc;

use lsm_compact::{
    Claims, Job, JobKind, Owed, OwedStep, PickerOptions, edit_for, move_edit, pick, pick_owed,
};
use lsm_version::{RunId, RunMeta, Version, VersionEdit};

const RUN_BYTES: u64 = 4096;

/// What a demand took.
#[derive(Debug, Default, Clone, Copy)]
struct Cost {
    steps: u64,
    /// Questions whether a run is set aside: one for each run that is looked at.
    looks: u64,
    /// The inputs of the largest merge of more than one run below level 0 with the next level.
    merge_bytes_max: u64,
}

struct Tree {
    version: Version,
    options: PickerOptions,
    next_id: RunId,
}

impl Tree {
    fn new() -> Self {
        Self {
            version: Version::empty(),
            options: PickerOptions {
                l0_trigger: 4,
                run_bytes_target: RUN_BYTES,
                level_base_bytes: 16 * RUN_BYTES,
                fanout: 10,
                level_count: 5,
            },
            next_id: 1,
        }
    }

    fn run(&mut self, keys: [u64; 2], file_len: u64, tombstone_count: u64) -> Arc<RunMeta> {
        self.next_id += 1;
        let [smallest_key, largest_key] = keys.map(|key| format!("{key:09}").into());
        Arc::new(RunMeta {
            id: self.next_id,
            file_len,
            entry_count: 10,
            tombstone_count,
            index_len: 0,
            index_crc: 0,
            smallest_key,
            largest_key,
        })
    }

    /// Adds runs of a level; each is told by its first and last key and its tombstones.
    fn add(&mut self, level: u8, runs: impl Iterator<Item = (u64, u64, u64)>) {
        let runs = runs.map(|(first, last, tombstones)| {
            (level, self.run([first, last], RUN_BYTES, tombstones))
        });
        let added = runs.collect();
        self.install(&VersionEdit {
            added,
            ..VersionEdit::default()
        });
    }

    fn install(&mut self, edit: &VersionEdit) {
        self.version = self.version.apply(edit).expect("the edit fits");
    }

    /// Installs a job whose outputs have the bytes of the inputs of its output level, or of all if there
    /// are none, in runs of the target size that share its keys.
    fn finish(&mut self, job: &Job) {
        if job.kind == JobKind::Move {
            return self.install(&move_edit(job));
        }
        let number = |key: &[u8]| -> u64 {
            let text = std::str::from_utf8(key).expect("digits");
            text.parse().expect("a number")
        };
        let (first, last) = (number(&job.smallest_key), number(&job.largest_key));
        let bytes = job.input_bytes();
        let count = bytes.div_ceil(RUN_BYTES).min(last - first + 1);
        let keys = (last - first + 1) / count;
        let outputs = (0..count).map(|at| {
            let end = if at + 1 == count {
                last
            } else {
                first + (at + 1) * keys - 1
            };
            self.run([first + at * keys, end], bytes / count, 0)
        });
        let outputs = outputs.collect();
        self.install(&edit_for(job, outputs));
    }

    fn policy(&mut self) {
        if let Some(job) = pick(&self.version, &self.options, &Claims::new(), &|_| false) {
            self.finish(&job);
        }
    }

    /// Compacts everything; `between` is called between the steps.
    fn compact(&mut self, steps_max: u64, mut between: impl FnMut(&mut Self)) -> Cost {
        let looks = Cell::new(0);
        let set_aside = |_| {
            looks.set(looks.get() + 1);
            false
        };
        let (mut cost, claims) = (Cost::default(), Claims::new());
        let mut owed = Owed::new(&self.version, Unbounded, Unbounded);
        loop {
            let step = pick_owed(&self.version, &self.options, &claims, &set_aside, &mut owed);
            let job = match step {
                OwedStep::Done => break,
                OwedStep::Job(job) => {
                    self.finish(&job);
                    job
                }
                OwedStep::Check(job) => job,
                other => panic!("{other:?}"),
            };
            cost.steps += 1;
            let first_level = *job.levels().start();
            let brought_down = job.inputs.iter().filter(|(level, _)| *level == first_level);
            if job.kind == JobKind::Merge && first_level > 0 && brought_down.count() > 1 {
                cost.merge_bytes_max = cost.merge_bytes_max.max(job.input_bytes());
            }
            assert!(cost.steps <= steps_max, "{cost:?} and no end");
            assert!(
                owed.follow(&job, &self.version),
                "discharged nothing: {job:?}"
            );
            between(self);
        }
        cost.looks = looks.get();
        cost
    }
}

type Shape = (&'static str, fn(&mut Tree, u64));

/// Shapes of a tree of n small runs.
const SHAPES: [Shape; 6] = [
    ("a level above another", |tree, n| {
        tree.add(4, (0..n / 2).map(|at| (at * 20, at * 20 + 19, 0)));
        tree.add(3, (0..n / 2).map(|at| (at * 20 + 5, at * 20 + 14, 0)));
    }),
    ("every third run with tombstones", |tree, n| {
        tree.add(
            4,
            (0..n).map(|at| (at * 20, at * 20 + 19, u64::from(at % 3 == 0))),
        );
    }),
    ("nothing to be done", |tree, n| {
        tree.add(4, (0..n).map(|at| (at * 20, at * 20 + 19, 0)));
    }),
    ("every other run may be moved", |tree, n| {
        tree.add(4, (0..n / 2).map(|at| (at * 40 + 5, at * 40 + 14, 0)));
        tree.add(3, (0..n).map(|at| (at * 20, at * 20 + 19, 0)));
    }),
    ("level 0, apart", |tree, n| {
        tree.add(0, (0..n).map(|at| (at * 20, at * 20 + 19, 0)));
    }),
    ("level 0, each over the next", |tree, n| {
        tree.add(0, (0..n).map(|at| (at * 20, at * 20 + 29, 0)));
    }),
];

/// A job took one run and looked at all, so 25,000 small ones took a minute.
#[test]
fn the_cost_of_a_demand_is_linear_in_the_number_of_runs() {
    for (name, shape) in SHAPES {
        let cost = |runs: u64| {
            let mut tree = Tree::new();
            shape(&mut tree, runs);
            tree.compact(3 * 64, |_| {})
        };
        let (few, many) = (cost(5000), cost(20_000));
        // Four times the runs; of a part of the shapes also a few more jobs.
        assert!(many.looks <= 6 * few.looks, "{name}: {few:?}, {many:?}");
        assert!(many.looks <= 64 * 20_000, "{name}: {many:?}");
    }
}

/// Between the steps keys all over the tree are written, and the policy takes its turn.
#[test]
fn the_number_of_steps_and_the_space_of_a_job_are_bounded_beside_a_writer() {
    for (name, shape) in SHAPES {
        for flushes_per_step in [1, 8] {
            let mut tree = Tree::new();
            shape(&mut tree, 2000);
            let l0_runs = tree.version.level(0).len() as u64;
            let (mut random, mut bytes_max) = (1_u64, tree.version.bytes());
            let cost = tree.compact(1000, |tree| {
                for _ in 0..flushes_per_step {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let first = (random >> 33) % 20_000;
                    tree.add(0, std::iter::once((first, first + 20_000, random >> 63)));
                }
                tree.policy();
                bytes_max = bytes_max.max(tree.version.bytes());
            });
            // As the picker has it: what a job of the policy comes to, and a stretch that is not taken
            // along by a merge, which of two jobs in a row one at least has.
            let policy_bytes = (2 + 5) * tree.options.level_base_bytes;
            let stretch_bytes = policy_bytes / 8;
            let steps_max = l0_runs / 4 + 4 * (2 * bytes_max / stretch_bytes + 1);
            assert!(
                cost.steps <= steps_max.min(300),
                "{name}: {cost:?}, {steps_max}"
            );
            let job_bytes = policy_bytes.max(bytes_max / 64);
            assert!(
                cost.merge_bytes_max <= job_bytes,
                "{name}: {cost:?}, {job_bytes}"
            );
        }
    }
}
