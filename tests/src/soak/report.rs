//! What a run did, as it goes and in the end; the end is also a JSON file.

use std::time::Duration;

use serde::Serialize;

use super::Options;
use super::lives::{Choices, Ending};
use super::meter::{Checks, Figures, Latencies, Latency, Tick, Timed};

/// Samples of a run, however long it is.
const SAMPLES_MAX: usize = 720;
const SAMPLE_SECONDS: f64 = 5.0;

/// What came together so far.
#[derive(Debug)]
pub struct Tally {
    /// Writes that were acknowledged, and taken over into the model.
    pub operations: u64,
    /// Everything timed.
    pub(super) latencies: Latencies,
    /// What was timed since the last sample.
    recent: Latencies,
    recent_from: (f64, u64),
    pub(super) checks: Checks,
    /// Whole stores compared with the model, and their entries.
    pub(super) verifications: u64,
    pub(super) verified_entries: u64,
    /// The newest figures of the child.
    pub(super) now: Figures,
    /// The counts of all lives that ended.
    before: Figures,
    /// The largest of each figure that is bytes of memory or of disk.
    pub(super) peaks: Peaks,
    samples: Vec<Sample>,
    sample_seconds: f64,
    lives: Vec<LifeReport>,
    pub(super) last: Figures,
    pub(super) compacted: Figures,
    pub(super) running_seconds: f64,
}

/// The most there was of each at once, in bytes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Peaks {
    /// Resident memory of the child, its models included.
    pub resident_bytes: u64,
    /// What the store says it holds in memory.
    pub memory_bytes: u64,
    /// Of that, memtables, those that wait for their flush too.
    pub memtable_bytes: u64,
    /// Indexes of runs.
    pub index_bytes: u64,
    /// Filters.
    pub filter_bytes: u64,
    /// Cached blocks.
    pub cache_bytes: u64,
    /// Files of all levels.
    pub live_bytes: u64,
    /// Memtables kept by held snapshots alone.
    pub pinned_memtable_bytes: u64,
    /// Runs kept by held snapshots alone.
    pub pinned_run_bytes: u64,
    /// What compaction had still to move.
    pub compaction_debt_bytes: u64,
    /// The oldest snapshot.
    pub oldest_read_view_seconds: u64,
    /// Levels with anything in them.
    pub levels: usize,
}

/// The run at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Since the start.
    pub seconds: f64,
    /// Writes a second since the sample before.
    pub writes_per_second: f64,
    /// Latencies since then.
    pub latencies: Vec<Latency>,
    /// The store's figures.
    pub figures: Figures,
}

/// One life of the child.
#[derive(Debug, Clone, Serialize)]
pub struct LifeReport {
    /// Its number.
    pub life: u64,
    /// When it began.
    pub started_s: f64,
    /// How long it took, with the look at the store before it.
    pub seconds: f64,
    /// How it ended.
    pub ending: Ending,
    /// Writes acknowledged.
    pub operations: u64,
    /// The store's configuration.
    pub choices: Choices,
}

/// How many lives ended how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Endings {
    /// SIGKILL under load.
    pub kills: usize,
    /// SIGKILL during the open.
    pub kills_in_recovery: usize,
    /// `close()`.
    pub closes: usize,
    /// Dropped without it.
    pub drops: usize,
}

/// The end of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The profile's name.
    pub profile: &'static str,
    /// The seed.
    pub seed: u64,
    /// How long the lives took together, with the looks at the store between them.
    pub seconds: f64,
    /// What was wrong, and where; then nothing after it was run.
    pub violation: Option<String>,
    /// Writes that were acknowledged, and compared.
    pub writes: u64,
    /// How the lives ended.
    pub endings: Endings,
    /// Whole stores compared with the model of all writers, after an open.
    pub verifications: u64,
    /// Entries compared in them.
    pub verified_entries: u64,
    /// What was compared while the threads ran.
    pub checks: Checks,
    /// By kind of operation.
    pub latencies: Vec<Latency>,
    /// The store's counts over all lives; other figures are of its end.
    pub totals: Figures,
    /// Bytes written to files for each byte that the caller wrote.
    pub write_amplification: f64,
    /// The most at once.
    pub peaks: Peaks,
    /// The store after a compaction of everything, at the very end.
    pub compacted: Figures,
    /// The run, moment by moment.
    pub samples: Vec<Sample>,
    /// Each life.
    pub lives: Vec<LifeReport>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            operations: 0,
            latencies: Latencies::new(),
            recent: Latencies::new(),
            recent_from: (0.0, 0),
            checks: Checks::default(),
            verifications: 0,
            verified_entries: 0,
            now: Figures::default(),
            before: Figures::default(),
            peaks: Peaks::default(),
            samples: Vec::new(),
            sample_seconds: SAMPLE_SECONDS,
            lives: Vec::new(),
            last: Figures::default(),
            compacted: Figures::default(),
            running_seconds: 0.0,
        }
    }

    pub(super) fn opened(&mut self, nanos: u64) {
        self.latencies.record(Timed::Open, nanos, 1);
    }

    pub(super) fn verified(&mut self, entries: u64) {
        self.verifications += 1;
        self.verified_entries += entries;
    }

    /// Adds what a child reported.
    ///
    /// # Errors
    /// What its background work failed with: nobody breaks the disk here.
    pub(super) fn tick(&mut self, tick: Tick, elapsed: Duration) -> Result<(), String> {
        self.latencies.add(&tick.latencies);
        self.recent.add(&tick.latencies);
        self.checks.add(&tick.checks);
        self.peaks.see(&tick.figures);
        self.now = tick.figures;
        let seconds = elapsed.as_secs_f64();
        let (from, operations) = self.recent_from;
        if seconds - from >= self.sample_seconds {
            let writes = self.operations - operations;
            self.samples.push(Sample {
                seconds,
                writes_per_second: writes as f64 / (seconds - from),
                latencies: self.recent.lines(),
                figures: self.now.clone(),
            });
            self.recent = Latencies::new();
            self.recent_from = (seconds, self.operations);
            self.thin_out();
        }
        match tick.background_error {
            None => Ok(()),
            Some(error) => Err(format!("in the background: {error}")),
        }
    }

    /// Every other sample goes when there are too many.
    fn thin_out(&mut self) {
        if self.samples.len() > SAMPLES_MAX {
            let mut index = 0;
            self.samples.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            self.sample_seconds *= 2.0;
        }
    }

    pub(super) fn end_life(&mut self, life: LifeReport) {
        self.lives.push(life);
        self.before.add_counts(&self.now);
        // The rest stays for who looks meanwhile; counts begin anew with the next open.
        self.now = self.now.without_counts();
    }

    /// The counts of all lives, with the other figures of now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures = self.now.clone();
        figures.add_counts(&self.before);
        figures
    }

    /// Latencies since the start.
    #[must_use]
    pub fn latencies(&self) -> Vec<Latency> {
        self.latencies.lines()
    }

    /// What was compared.
    #[must_use]
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// How the lives so far ended.
    #[must_use]
    pub fn endings(&self) -> Endings {
        let count = |ending| {
            self.lives
                .iter()
                .filter(|life| life.ending == ending)
                .count()
        };
        Endings {
            kills: count(Ending::Kill),
            kills_in_recovery: count(Ending::KillInRecovery),
            closes: count(Ending::Close),
            drops: count(Ending::Drop),
        }
    }

    pub(super) fn report(self, options: &Options, violation: Option<String>) -> Report {
        let newest = match violation {
            None => &self.last,
            Some(_) => &self.now,
        };
        let mut totals = newest.without_counts();
        totals.add_counts(&self.before);
        Report {
            profile: options.profile.name(),
            seed: options.seed,
            seconds: self.running_seconds,
            violation,
            writes: self.operations,
            endings: self.endings(),
            verifications: self.verifications,
            verified_entries: self.verified_entries,
            checks: self.checks,
            latencies: self.latencies.lines(),
            write_amplification: totals.write_amplification(),
            totals,
            peaks: self.peaks,
            compacted: self.compacted,
            samples: self.samples,
            lives: self.lives,
        }
    }
}

impl Report {
    /// The report as JSON, with line breaks.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Every key is a string and every number finite, so this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl Peaks {
    fn see(&mut self, figures: &Figures) {
        let raise = |peak: &mut u64, now: u64| *peak = now.max(*peak);
        raise(&mut self.resident_bytes, figures.resident_bytes);
        raise(&mut self.memory_bytes, figures.memory_bytes());
        raise(
            &mut self.memtable_bytes,
            figures.memtable_bytes + figures.sealed_bytes,
        );
        raise(&mut self.index_bytes, figures.index_bytes);
        raise(&mut self.filter_bytes, figures.filter_bytes);
        raise(&mut self.cache_bytes, figures.cache_bytes);
        raise(&mut self.live_bytes, figures.live_bytes());
        raise(
            &mut self.pinned_memtable_bytes,
            figures.pinned_memtable_bytes,
        );
        raise(&mut self.pinned_run_bytes, figures.pinned_run_bytes);
        raise(
            &mut self.compaction_debt_bytes,
            figures.compaction_debt_bytes,
        );
        raise(
            &mut self.oldest_read_view_seconds,
            figures.oldest_read_view_seconds,
        );
        let levels = figures.levels.iter().filter(|(runs, _)| *runs > 0).count();
        self.levels = levels.max(self.levels);
    }
}
