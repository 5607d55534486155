//! The policy on small trees with real entries: whatever is flushed, picked, run at once, set aside
//! and finished in whatever order, every key reads as a plain map says, and the picking ends.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use lsm_compact::{
    ClaimId, Claims, Elision, Job, JobKind, PickerOptions, Sink, SliceCursor, Splitter, debt_bytes,
    edit_for, move_edit, pick, pick_range,
};
use lsm_version::{RunId, RunMeta, Version, VersionEdit};
use quickcheck::{Arbitrary, Gen, QuickCheck};

type Entries = Vec<(Vec<u8>, Option<Vec<u8>>)>;

const ENTRY_BYTES: u64 = 10;

#[derive(Debug, Clone)]
enum Step {
    /// Keys in a window of the key space, so that runs differ in what they overlap.
    Flush {
        first: u8,
        keys: Vec<u8>,
        deletes: bool,
    },
    Start,
    StartRange(u8, u8),
    Finish(u8),
    GiveUp(u8),
    SetAside(u8),
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 16 {
            0..7 => {
                let window = *g.choose(&[4, 16, 64, 255]).unwrap_or(&4);
                let keys = (0..1 + u8::arbitrary(g) % 30).map(|_| u8::arbitrary(g) % window);
                let keys = keys.collect();
                Self::Flush {
                    first: u8::arbitrary(g),
                    keys,
                    deletes: bool::arbitrary(g),
                }
            }
            7..11 => Self::Start,
            11 => Self::StartRange(u8::arbitrary(g), u8::arbitrary(g)),
            12..15 => Self::Finish(u8::arbitrary(g)),
            _ if u8::arbitrary(g).is_multiple_of(4) => Self::SetAside(u8::arbitrary(g)),
            _ => Self::GiveUp(u8::arbitrary(g)),
        }
    }
}

struct Running {
    job: Job,
    claim: ClaimId,
    picked_from: Version,
}

/// A tree whose runs are in memory.
struct Tree {
    options: PickerOptions,
    version: Version,
    runs: HashMap<RunId, Entries>,
    claims: Claims,
    running: Vec<Running>,
    aside: HashSet<RunId>,
    next_id: RunId,
    next_value: u64,
    model: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Collects the outputs of a job.
struct Outputs {
    open: Entries,
    finished: Vec<Entries>,
}

impl Sink for Outputs {
    type Output = ();
    type Error = Infallible;

    fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Infallible> {
        self.open.push((key.to_vec(), value.map(<[u8]>::to_vec)));
        Ok(())
    }

    fn output_bytes(&self) -> u64 {
        self.open.len() as u64 * ENTRY_BYTES
    }

    fn finish_output(&mut self) -> Result<Option<()>, Infallible> {
        let open = std::mem::take(&mut self.open);
        let finished = (!open.is_empty()).then(|| self.finished.push(open));
        Ok(finished)
    }
}

impl Tree {
    fn new(options: PickerOptions) -> Self {
        Self {
            options,
            version: Version::empty(),
            runs: HashMap::new(),
            claims: Claims::new(),
            running: Vec::new(),
            aside: HashSet::new(),
            next_id: 1,
            next_value: 1,
            model: BTreeMap::new(),
        }
    }

    fn add_run(&mut self, entries: Entries) -> Arc<RunMeta> {
        let id = self.next_id;
        self.next_id += 1;
        let meta = RunMeta {
            id,
            file_len: entries.len() as u64 * ENTRY_BYTES,
            entry_count: entries.len() as u64,
            tombstone_count: entries.iter().filter(|entry| entry.1.is_none()).count() as u64,
            index_len: 1,
            index_crc: 0,
            smallest_key: entries[0].0.clone().into(),
            largest_key: entries[entries.len() - 1].0.clone().into(),
        };
        self.runs.insert(id, entries);
        Arc::new(meta)
    }

    fn install(&mut self, edit: &VersionEdit) {
        self.version = self.version.apply(edit).expect("the edit fits");
        self.version.check().expect("the levels are in order");
        self.check_reads();
    }

    fn flush(&mut self, first: u8, keys: &[u8], deletes: bool) {
        let mut entries = BTreeMap::new();
        for key in keys {
            self.next_value += 1;
            let deleted = deletes && self.next_value.is_multiple_of(2);
            let value = (!deleted).then(|| self.next_value.to_be_bytes().to_vec());
            entries.insert(vec![first.wrapping_add(*key)], value);
        }
        self.flush_entries(entries);
    }

    fn flush_deletes(&mut self, keys: &[u8]) {
        self.flush_entries(keys.iter().map(|key| (vec![*key], None)).collect());
    }

    fn flush_entries(&mut self, entries: BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
        self.model.extend(entries.clone());
        let run = self.add_run(entries.into_iter().collect());
        self.install(&VersionEdit {
            added: vec![(0, run)],
            ..VersionEdit::default()
        });
    }

    /// Every key reads as the model says, and newer values stand above older ones.
    fn check_reads(&self) {
        for (key, expected) in &self.model {
            let found = self
                .version
                .runs()
                .filter(|(_, run)| run.covers(key))
                .filter_map(|(_, run)| {
                    let entries = &self.runs[&run.id];
                    let at = entries.binary_search_by(|entry| entry.0.cmp(key)).ok()?;
                    Some(&entries[at].1)
                });
            let found: Vec<_> = found.collect();
            let newest = found.first().copied().cloned().flatten();
            assert_eq!(newest, *expected, "key {key:?} in {:?}", self.version);
            let values: Vec<_> = found.into_iter().flatten().collect();
            assert!(
                values.is_sorted_by(|newer, older| newer > older),
                "key {key:?}: {values:?}"
            );
        }
    }

    fn start(&mut self, range: Option<(u8, u8)>) -> bool {
        let set_aside = |id| self.aside.contains(&id);
        let job = match range {
            None => pick(&self.version, &self.options, &self.claims, &set_aside),
            Some((lower, upper)) => pick_range(
                &self.version,
                &self.options,
                &self.claims,
                &set_aside,
                &|_| true,
                Included(&[lower]),
                Excluded(&[upper]),
            ),
        };
        let Some(job) = job else {
            return false;
        };
        assert!(!self.claims.conflicts(&job));
        assert!(
            job.inputs
                .iter()
                .all(|(_, run)| !self.aside.contains(&run.id)),
            "{job:?}"
        );
        let mut ids: Vec<_> = job.inputs.iter().map(|(_, run)| run.id).collect();
        for running in &self.running {
            ids.extend(running.job.inputs.iter().map(|(_, run)| run.id));
        }
        let unique: HashSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "an input of two jobs: {job:?}");
        let claim = self.claims.claim(&job);
        self.running.push(Running {
            job,
            claim,
            picked_from: self.version.clone(),
        });
        true
    }

    fn finish(&mut self, at: usize) {
        let Running {
            job,
            claim,
            picked_from,
        } = self.running.swap_remove(at);
        let edit = match job.kind {
            JobKind::Move => move_edit(&job),
            JobKind::Merge => {
                let outputs = self.merge(&job, &picked_from);
                edit_for(&job, outputs)
            }
        };
        self.install(&edit);
        self.claims.release(claim);
    }

    fn merge(&mut self, job: &Job, picked_from: &Version) -> Vec<Arc<RunMeta>> {
        let joined = |runs: &[(u8, Arc<RunMeta>)]| -> Entries {
            runs.iter()
                .flat_map(|(_, run)| self.runs[&run.id].clone())
                .collect()
        };
        let sources: Vec<Entries> = job.sources().map(joined).collect();
        let cursors = sources
            .iter()
            .map(|entries| SliceCursor::new(entries))
            .collect();
        let mut sink = Outputs {
            open: Vec::new(),
            finished: Vec::new(),
        };
        let splitter = Splitter::for_job(picked_from, job, &self.options);
        let elision = Elision::new(picked_from, job);
        let done = lsm_compact::run(cursors, elision, splitter, &mut sink, &|| false).unwrap();
        let entries_in: u64 = job.inputs.iter().map(|(_, run)| run.entry_count).sum();
        assert_eq!(done.entries_in, entries_in);
        assert_eq!(
            done.entries_out,
            sink.finished
                .iter()
                .map(|run| run.len() as u64)
                .sum::<u64>()
        );
        let bytes_max = self.options.run_bytes_target + ENTRY_BYTES;
        assert!(
            sink.finished
                .iter()
                .all(|run| run.len() as u64 * ENTRY_BYTES <= bytes_max)
        );
        sink.finished
            .into_iter()
            .map(|run| self.add_run(run))
            .collect()
    }

    fn check_no_neighbours_fit_one_run(&self) {
        for level in self.version.levels().iter().skip(1) {
            for pair in level.runs().windows(2) {
                let bytes: u64 = pair.iter().map(|run| run.file_len).sum();
                assert!(bytes > self.options.run_bytes_target, "{pair:?}");
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Flush {
                first,
                keys,
                deletes,
            } => self.flush(*first, keys, *deletes),
            Step::Start => drop(self.start(None)),
            Step::StartRange(lower, upper) => drop(self.start(Some((*lower, *upper)))),
            Step::Finish(at) if !self.running.is_empty() => {
                self.finish(usize::from(*at) % self.running.len());
            }
            Step::GiveUp(at) if !self.running.is_empty() => {
                let running = self
                    .running
                    .swap_remove(usize::from(*at) % self.running.len());
                self.claims.release(running.claim);
            }
            Step::SetAside(at) if self.version.run_count() > 0 => {
                let at = usize::from(*at) % self.version.run_count();
                // A run that a job has already begun to read is found corrupt by that job.
                let id = self.version.runs().nth(at).map(|(_, run)| run.id).unwrap();
                let in_use =
                    |running: &Running| running.job.inputs.iter().any(|(_, run)| run.id == id);
                if !self.running.iter().any(in_use) {
                    self.aside.insert(id);
                }
            }
            Step::Finish(_) | Step::GiveUp(_) | Step::SetAside(_) => {}
        }
    }

    fn play_without_damage(&mut self, steps: &[Step]) {
        let is_damage = |step: &&Step| matches!(step, Step::SetAside(_));
        steps
            .iter()
            .filter(|step| !is_damage(step))
            .for_each(|step| self.step(step));
        self.finish_all();
    }

    fn finish_all(&mut self) {
        while !self.running.is_empty() {
            self.finish(0);
        }
    }

    /// Picks and finishes until nothing is left to do.
    fn settle(&mut self, range: Option<(u8, u8)>) {
        let mut jobs = 0;
        while self.start(range) {
            self.finish_all();
            jobs += 1;
            assert!(jobs < 2000, "picking never ends: {:?}", self.version);
        }
    }
}

/// `roomy`: with a target of so many entries that the policy, too, joins neighbours.
fn options(roomy: bool) -> PickerOptions {
    PickerOptions {
        l0_trigger: 3,
        run_bytes_target: if roomy { 640 } else { 60 },
        level_base_bytes: 120,
        fanout: 4,
        level_count: 5,
    }
}

#[test]
fn no_order_of_jobs_changes_what_any_key_reads_as_and_picking_ends() {
    fn holds(steps: Vec<Step>, roomy: bool) {
        let mut tree = Tree::new(options(roomy));
        for step in &steps {
            tree.step(step);
        }
        tree.finish_all();
        tree.settle(None);
        assert_eq!(
            debt_bytes(&tree.version, &tree.options, &|id| tree.aside.contains(&id)),
            0,
            "what is left to do is not debt: {:?}",
            tree.version
        );
    }
    QuickCheck::new()
        .rng(Gen::new(120))
        .tests(400)
        .quickcheck(holds as fn(Vec<Step>, bool));
}

#[test]
fn compacting_the_whole_range_leaves_one_level_without_tombstones() {
    fn holds(steps: Vec<Step>, roomy: bool) {
        let mut tree = Tree::new(options(roomy));
        tree.play_without_damage(&steps);
        loop {
            let none = |_| false;
            let (version, claims) = (&tree.version, &tree.claims);
            let Some(job) = pick_range(
                version,
                &tree.options,
                claims,
                &none,
                &|_| true,
                Unbounded,
                Unbounded,
            ) else {
                break;
            };
            let claim = tree.claims.claim(&job);
            tree.running.push(Running {
                job,
                claim,
                picked_from: tree.version.clone(),
            });
            tree.finish_all();
        }
        let mut levels = tree.version.levels().to_vec();
        levels.retain(|level| !level.is_empty());
        assert!(levels.len() <= 1, "{:?}", tree.version);
        assert!(tree.version.runs().all(|(_, run)| run.tombstone_count == 0));
        let live = tree.model.values().flatten().count() as u64;
        let entries = tree.version.runs().map(|(_, run)| run.entry_count);
        assert_eq!(entries.sum::<u64>(), live);
        tree.check_no_neighbours_fit_one_run();
    }
    QuickCheck::new()
        .rng(Gen::new(80))
        .tests(200)
        .quickcheck(holds as fn(Vec<Step>, bool));
}

#[test]
fn compacting_a_part_of_the_range_ends_and_leaves_nothing_droppable_in_it() {
    fn holds(steps: Vec<Step>, lower: u8, upper: u8) {
        let mut tree = Tree::new(options(false));
        tree.play_without_damage(&steps);
        tree.settle(Some((lower, upper)));
        let in_range =
            |run: &RunMeta| run.overlaps(&(Included(&[lower][..]), Excluded(&[upper][..])));
        let reached: HashSet<_> = tree
            .version
            .runs()
            .filter(|(_, run)| in_range(run))
            .map(|(level, _)| level)
            .collect();
        assert!(
            reached.len() <= 1 && !reached.contains(&0),
            "{lower}..{upper} {:?}",
            tree.version
        );
        for (level, run) in tree.version.runs().filter(|(_, run)| in_range(run)) {
            assert_eq!(run.tombstone_count, 0, "level {level} {run:?}");
        }
    }
    QuickCheck::new()
        .rng(Gen::new(80))
        .tests(200)
        .quickcheck(holds as fn(Vec<Step>, u8, u8));
}

#[test]
fn a_queue_keeps_no_tombstones_below_its_first_level() {
    let mut tree = Tree::new(options(false));
    for head in 0..120_u8 {
        // Take two at the front, append two at the end.
        tree.flush(head.wrapping_mul(2), &[100, 101], false);
        let front = head.wrapping_mul(2);
        tree.flush_deletes(&[front, front.wrapping_add(1)]);
        tree.settle(None);
    }
    let deeper = tree.version.levels().iter().skip(1);
    assert_eq!(
        deeper.map(|level| level.tombstone_count()).sum::<u64>(),
        0,
        "{:?}",
        tree.version
    );
    assert!(
        tree.version
            .runs()
            .map(|(_, run)| run.entry_count)
            .sum::<u64>()
            < 120
    );
}

#[test]
fn what_was_deleted_leaves_nothing_behind_though_level_zero_is_below_its_trigger() {
    let mut tree = Tree::new(options(false));
    let keys: Vec<u8> = (0..240).collect();
    for chunk in keys.chunks(40) {
        tree.flush(0, chunk, false);
        tree.settle(None);
    }
    for chunk in keys.chunks(60) {
        tree.flush_deletes(chunk);
        tree.settle(None);
    }
    assert_eq!(tree.version.run_count(), 0, "{:?}", tree.version);
}
