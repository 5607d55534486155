//! A tree whose runs are in memory, with jobs that are under way, demands on it, and a map of what
//! every key has to read as.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use lsm_compact::{
    ClaimId, Claims, Elision, Job, JobKind, Owed, OwedStep, PickerOptions, Sink, SliceCursor,
    Splitter, edit_for, move_edit, pick, pick_owed,
};
use lsm_version::{RunId, RunMeta, Version, VersionEdit};
use quickcheck::{Arbitrary, Gen};

type Entries = Vec<(Vec<u8>, Option<Vec<u8>>)>;

const ENTRY_BYTES: u64 = 10;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Keys in a window of the key space, so that runs differ in what they overlap.
    Flush {
        first: u8,
        keys: Vec<u8>,
        deletes: bool,
    },
    Start,
    StartRange(u8, u8),
    GoOn(u8),
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
            7..10 => Self::Start,
            10 => Self::GoOn(u8::arbitrary(g)),
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

/// A compaction on demand that is under way, from a key up to another.
pub(crate) struct Demand {
    lower: u8,
    upper: u8,
    pub(crate) owed: Owed,
    /// What the keys read as at its start, and the last write before it.
    model: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    last_value: u64,
}

/// A tree whose runs are in memory.
pub(crate) struct Tree {
    pub(crate) demands: Vec<Demand>,
    /// The number of the last write of each key.
    written: BTreeMap<Vec<u8>, u64>,
    pub(crate) options: PickerOptions,
    pub(crate) version: Version,
    runs: HashMap<RunId, Entries>,
    claims: Claims,
    running: Vec<Running>,
    pub(crate) aside: HashSet<RunId>,
    next_id: RunId,
    next_value: u64,
    pub(crate) model: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
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
    pub(crate) fn new(options: PickerOptions) -> Self {
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
            demands: Vec::new(),
            written: BTreeMap::new(),
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

    pub(crate) fn flush(&mut self, first: u8, keys: &[u8], deletes: bool) {
        let mut entries = BTreeMap::new();
        for key in keys {
            self.next_value += 1;
            let deleted = deletes && self.next_value.is_multiple_of(2);
            let value = (!deleted).then(|| self.next_value.to_be_bytes().to_vec());
            let key = vec![first.wrapping_add(*key)];
            self.written.insert(key.clone(), self.next_value);
            entries.insert(key, value);
        }
        self.model.extend(entries.clone());
        let run = self.add_run(entries.into_iter().collect());
        self.install(&VersionEdit {
            added: vec![(0, run)],
            ..VersionEdit::default()
        });
    }

    pub(crate) fn flush_deletes(&mut self, keys: &[u8]) {
        let entries: BTreeMap<_, _> = keys.iter().map(|key| (vec![*key], None)).collect();
        self.next_value += 1;
        let number = self.next_value;
        self.written
            .extend(entries.keys().map(|key| (key.clone(), number)));
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

    pub(crate) fn demand(&mut self, lower: u8, upper: u8) {
        let owed = Owed::new(&self.version, Included(&[lower]), Excluded(&[upper]));
        self.demands.push(Demand {
            lower,
            upper,
            owed,
            model: self.model.clone(),
            last_value: self.next_value,
        });
    }

    /// Starts the policy's next job.
    pub(crate) fn start(&mut self) -> bool {
        let set_aside = |id| self.aside.contains(&id);
        let job = pick(&self.version, &self.options, &self.claims, &set_aside);
        job.is_some_and(|job| self.begin(job))
    }

    /// Takes the next step of a demand. `false` if it is over, waits, or is blocked.
    pub(crate) fn start_owed(&mut self, at: usize) -> bool {
        let mut demand = self.demands.swap_remove(at);
        let set_aside = |id| self.aside.contains(&id);
        let (options, claims) = (&self.options, &self.claims);
        let step = pick_owed(&self.version, options, claims, &set_aside, &mut demand.owed);
        match step {
            OwedStep::Job(job) => {
                self.demands.push(demand);
                self.begin(job)
            }
            OwedStep::Check(job) => {
                assert!(!self.claims.conflicts(&job));
                assert!(demand.owed.follow(&job, &self.version));
                self.demands.push(demand);
                true
            }
            OwedStep::Done => {
                self.check_kept(&demand);
                false
            }
            OwedStep::Blocked(id) => {
                assert!(self.aside.contains(&id));
                false
            }
            OwedStep::Waiting => {
                assert!(!self.running.is_empty(), "waits for nothing");
                self.demands.push(demand);
                false
            }
            other => panic!("an unknown step: {other:?}"),
        }
    }

    /// Nothing is left of what was overwritten or deleted when the demand was made.
    fn check_kept(&self, demand: &Demand) {
        assert!(demand.owed.is_done());
        for (level, run) in self.version.runs() {
            for (key, value) in &self.runs[&run.id] {
                if key[0] < demand.lower || demand.upper <= key[0] {
                    continue;
                }
                let number = value.as_deref().map_or(self.written[key], |value| {
                    u64::from_be_bytes(value.try_into().expect("eight bytes"))
                });
                if number <= demand.last_value {
                    let is_kept = demand.model.get(key).is_some_and(|kept| kept == value);
                    assert!(
                        is_kept && value.is_some(),
                        "{key:?} {value:?} is left at level {level}"
                    );
                }
            }
        }
    }

    fn begin(&mut self, job: Job) -> bool {
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
        for demand in &mut self.demands {
            demand.owed.follow(&job, &self.version);
        }
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

    pub(crate) fn check_no_neighbours_fit_one_run(&self) {
        for level in self.version.levels().iter().skip(1) {
            for pair in level.runs().windows(2) {
                let bytes: u64 = pair.iter().map(|run| run.file_len).sum();
                assert!(bytes > self.options.run_bytes_target, "{pair:?}");
            }
        }
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Flush {
                first,
                keys,
                deletes,
            } => self.flush(*first, keys, *deletes),
            Step::Start => {
                self.start();
            }
            Step::StartRange(lower, upper) => {
                self.demand(*lower, *upper);
                self.start_owed(self.demands.len() - 1);
            }
            Step::GoOn(at) if !self.demands.is_empty() => {
                self.start_owed(usize::from(*at) % self.demands.len());
            }
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
            Step::GoOn(_) | Step::Finish(_) | Step::GiveUp(_) | Step::SetAside(_) => {}
        }
    }

    pub(crate) fn play_without_damage(&mut self, steps: &[Step]) {
        let is_damage = |step: &&Step| matches!(step, Step::SetAside(_));
        steps
            .iter()
            .filter(|step| !is_damage(step))
            .for_each(|step| self.step(step));
        self.finish_all();
    }

    pub(crate) fn finish_all(&mut self) {
        while !self.running.is_empty() {
            self.finish(0);
        }
    }

    /// Picks and finishes until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        let mut jobs = 0;
        while self.start() {
            self.finish_all();
            jobs += 1;
            assert!(jobs < 2000, "picking never ends: {:?}", self.version);
        }
    }

    /// Goes on with all demands until none is left.
    pub(crate) fn settle_demands(&mut self) {
        let mut steps = 0;
        while !self.demands.is_empty() {
            self.start_owed(0);
            self.finish_all();
            steps += 1;
            assert!(steps < 5000, "a demand never ends: {:?}", self.version);
        }
    }
}
