//! One scanner: reads the whole store while others write, and checks what must hold in every view
//! and from one view to the next.
//!
//! Views never go back: each shows at least what was acknowledged before it was taken, and nothing
//! that was not begun when it had been.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::audit::Audit;
use super::child::Shared;
use super::keys::{COUNTERS, Key, MARKERS, mixed};
use super::meter::Timed;
use super::profile::Profile;
use crate::describe;
use crate::random::Random;

/// Between two scans, at least.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PROBE_INTERVAL: Duration = Duration::from_micros(200);

pub(super) struct Scanner<'a> {
    shared: &'a Shared,
    random: Random,
    /// The highest count seen of each counter.
    counters: [u64; COUNTERS],
    /// The most items taken seen of each producer.
    taken: Vec<u64>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(shared: &'a Shared, number: usize, life: u64) -> Self {
        let seed = mixed(shared.plan.seed ^ mixed((number as u64 + 1) << 48 | life));
        Self {
            shared,
            random: Random::new(seed),
            counters: [0; COUNTERS],
            taken: vec![0; shared.shape.writers],
        }
    }

    pub(super) fn run(mut self) -> Result<(), String> {
        let meter = self.shared.meters.meter();
        while !self.shared.is_stopping() {
            let start = Instant::now();
            if !self.scan()? {
                break;
            }
            meter.record(Timed::Scan, start.elapsed());
            let pause = match self.shared.shape.profile {
                Profile::Scan => Duration::ZERO,
                _ => start.elapsed() * 2,
            };
            let start = Instant::now();
            while start.elapsed() < pause.max(PAUSE_MIN) && !self.shared.is_stopping() {
                self.probe()?;
                std::thread::sleep(PROBE_INTERVAL);
            }
        }
        Ok(())
    }

    /// The markers of one writer at one moment. A batch that is published in parts shows for
    /// microseconds only, which a scan of everything hardly ever meets.
    fn probe(&mut self) -> Result<(), String> {
        let (shared, shape) = (self.shared, &self.shared.shape);
        let writer = self.random.below(shape.writers);
        let Some((acknowledged, begun)) = shared.markers.get(writer) else {
            return Ok(());
        };
        let keys = (0..MARKERS).map(|index| Key::Marker { writer, index });
        let names: Vec<_> = keys.clone().map(|key| key.bytes(shape)).collect();
        let least = acknowledged.load(Ordering::SeqCst);
        let found = shared.db.multi_get(&names);
        let found = found.map_err(|error| describe(&error))?;
        let most = begun.load(Ordering::SeqCst);
        let mut audit = Audit::new(shape, false);
        for ((key, name), value) in keys.zip(&names).zip(found) {
            if let Some(value) = value {
                audit
                    .see(name, &value)
                    .map_err(|message| format!("{key:?}: {message}"))?;
            }
        }
        audit.whole()?;
        let (count, marker) = audit.markers.get(writer).copied().unwrap_or_default();
        if count > 0 && !(least..=most).contains(&marker) {
            return Err(stale(writer, marker, least, most));
        }
        shared
            .meters
            .entries
            .fetch_add(audit.entries, Ordering::Relaxed);
        Ok(())
    }

    /// One scan of everything; false if it was cut short by the end of the run.
    fn scan(&mut self) -> Result<bool, String> {
        let is_backward = self.random.one_in(2);
        let shared = self.shared;
        let markers = shared.markers.iter();
        let at_least = markers.map(|(acknowledged, _)| acknowledged.load(Ordering::SeqCst));
        let at_least: Vec<u64> = at_least.collect();
        let mut range = shared.db.iter();
        let markers = shared.markers.iter();
        let at_most = markers.map(|(_, begun)| begun.load(Ordering::SeqCst));
        let at_most: Vec<u64> = at_most.collect();

        let mut audit = Audit::new(&shared.shape, is_backward);
        loop {
            let entry = match is_backward {
                true => range.next_back(),
                false => range.next(),
            };
            let Some(entry) = entry else { break };
            let (key, value) = entry.map_err(|error| describe(&error))?;
            audit.see(&key, &value)?;
            if audit.entries.is_multiple_of(4096) && shared.is_stopping() {
                return Ok(false);
            }
        }
        audit.whole()?;
        for (writer, (count, marker)) in audit.markers.iter().enumerate() {
            let bounds = at_least.get(writer).zip(at_most.get(writer));
            if let Some((least, most)) = bounds
                && *count == MARKERS
                && !(least..=most).contains(&marker)
            {
                return Err(stale(writer, *marker, *least, *most));
            }
        }
        let before = self.counters.iter().chain(&self.taken);
        let now = audit.counters.iter().chain(&audit.taken);
        if before.zip(now).any(|(before, now)| now < before) {
            return Err(format!(
                "a view back in time: counters {:?} and items taken {:?} after {:?} and {:?}",
                audit.counters, audit.taken, self.counters, self.taken
            ));
        }
        self.counters = audit.counters;
        self.taken.clone_from(&audit.taken);
        shared
            .meters
            .entries
            .fetch_add(audit.entries, Ordering::Relaxed);
        shared.meters.scans.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }
}

fn stale(writer: usize, marker: u64, least: u64, most: u64) -> String {
    format!(
        "a view shows marker {marker} of writer {writer}: {least} was acknowledged before it was taken, and {most} the newest begun after"
    )
}
