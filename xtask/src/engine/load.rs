//! `cargo xtask load`: ten million keys into a store with the default configuration, and what
//! that may cost: memory while loading and iterating, and the time to open.
//!
//! The keys are random, so that every level overlaps every other, which is the worst case of a
//! leveled tree. The bounds below do not grow with the number of entries: that is what is checked.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lsm_db::{Durability, Lsm, LsmConfig};
use lsm_tests::describe;
use lsm_tests::random::Random;

use super::args::LoadArgs;
use super::scratch::Scratch;
use lsm_tests::usage as process;

const SEED: u64 = 1;
const KEY_BYTES: usize = 16;
const VALUE_BYTES: usize = 100;
const OPENS: usize = 5;

/// Resident at most while loading.
const PEAK_BYTES_MAX: u64 = 400 << 20;
/// Grown at most while iterating over everything.
const ITERATION_GROWTH_BYTES_MAX: u64 = 64 << 20;
/// The median time of an open after a clean close.
const OPEN_MAX: Duration = Duration::from_secs(1);

/// Entries between two updates of the progress bar.
const PROGRESS_STEP: u64 = 8192;

/// Loads the store, measures it and checks the bounds.
///
/// # Errors
///
/// A bound that was passed, a wrong answer, or the engine's own error.
pub(crate) fn load(args: &LoadArgs) -> Result<(), String> {
    let scratch = Scratch::new(args.dir.as_deref())?;
    let outcome = Load::new(&scratch, args.entries).run();
    let passed_bounds = scratch.close(outcome)?;
    if passed_bounds.is_empty() {
        println!("load: within all bounds");
        Ok(())
    } else {
        Err(passed_bounds.join("\n"))
    }
}

struct Load<'a> {
    scratch: &'a Scratch,
    entries: u64,
    /// The bounds that were passed, as messages.
    passed_bounds: Vec<String>,
}

impl<'a> Load<'a> {
    fn new(scratch: &'a Scratch, entries: u64) -> Self {
        Self {
            scratch,
            entries,
            passed_bounds: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Vec<String>, String> {
        let config = LsmConfig::new().durability(Durability::Buffered);
        let db =
            Lsm::open_with(self.scratch.database(), config).map_err(|error| describe(&error))?;

        let written_before = process::written_bytes();
        self.fill(&db)?;
        self.check_bytes(
            "peak resident memory",
            process::peak_resident_bytes(),
            PEAK_BYTES_MAX,
        );
        println!("{}", db.stats());

        self.iterate(&db)?;

        let start = Instant::now();
        db.flush().map_err(|error| describe(&error))?;
        db.close().map_err(|error| describe(&error))?;
        println!("flush and close: {:.3} s", start.elapsed().as_secs_f64());
        self.report_writes(written_before);

        self.open_again()?;
        Ok(self.passed_bounds)
    }

    fn fill(&self, db: &Lsm) -> Result<(), String> {
        let bar = bar("load", self.entries)?;
        let mut random = Random::new(SEED);
        let start = Instant::now();
        for number in 0..self.entries {
            let key = random.bytes(KEY_BYTES);
            let value = random.bytes(VALUE_BYTES);
            db.put(key, value).map_err(|error| describe(&error))?;
            if number % PROGRESS_STEP == 0 {
                bar.set_position(number);
            }
        }
        bar.finish_and_clear();
        let elapsed = start.elapsed();
        println!("load: {}", rate(self.entries, elapsed));
        Ok(())
    }

    fn iterate(&mut self, db: &Lsm) -> Result<(), String> {
        let restarted = process::restart_peak();
        let before = if restarted {
            process::resident_bytes()
        } else {
            process::peak_resident_bytes()
        };
        let bar = bar("iterate", self.entries)?;
        let start = Instant::now();
        let mut previous = None;
        let mut count = 0;
        for entry in db.iter() {
            let (key, value) = entry.map_err(|error| describe(&error))?;
            if value.len() != VALUE_BYTES {
                return Err(format!("iter(): a value of {} bytes", value.len()));
            }
            if previous.is_some_and(|previous| previous >= key) {
                return Err("iter(): keys are not in ascending order".to_owned());
            }
            previous = Some(key);
            count += 1;
            if count % PROGRESS_STEP == 0 {
                bar.set_position(count);
            }
        }
        bar.finish_and_clear();
        println!("iterate: {}", rate(count, start.elapsed()));
        if count != self.entries {
            return Err(format!("iter(): {count} entries of {}", self.entries));
        }
        let growth = before
            .zip(process::peak_resident_bytes())
            .map(|(before, peak)| peak.saturating_sub(before));
        self.check_bytes("growth while iterating", growth, ITERATION_GROWTH_BYTES_MAX);
        Ok(())
    }

    fn report_writes(&self, before: Option<u64>) {
        let user_bytes = self.entries * (KEY_BYTES + VALUE_BYTES) as u64;
        match before.zip(process::written_bytes()) {
            Some((before, after)) => println!(
                "written: {} for {} of keys and values, {:.2} times",
                mebibytes(after - before),
                mebibytes(user_bytes),
                (after - before) as f64 / user_bytes.max(1) as f64
            ),
            None => println!("written: not measured on this system"),
        }
    }

    fn open_again(&mut self) -> Result<(), String> {
        let some_key = Random::new(SEED).bytes(KEY_BYTES);
        let mut times = Vec::with_capacity(OPENS);
        for _ in 0..OPENS {
            let start = Instant::now();
            let db = Lsm::open(self.scratch.database()).map_err(|error| describe(&error))?;
            times.push(start.elapsed());
            let found = db.get(&some_key).map_err(|error| describe(&error))?;
            if found.is_some() != (self.entries > 0) {
                return Err("the first key that was loaded is missing after a reopen".to_owned());
            }
            db.close().map_err(|error| describe(&error))?;
        }
        times.sort_unstable();
        let median = times[OPENS / 2];
        println!(
            "open: {:.4} s, the median of {OPENS} (at most {:.1} s)",
            median.as_secs_f64(),
            OPEN_MAX.as_secs_f64()
        );
        if median > OPEN_MAX {
            self.passed_bounds
                .push(format!("open: {median:?}, more than {OPEN_MAX:?}"));
        }
        Ok(())
    }

    fn check_bytes(&mut self, what: &str, measured: Option<u64>, max: u64) {
        let Some(bytes) = measured else {
            println!("{what}: not measured on this system");
            return;
        };
        println!("{what}: {} (at most {})", mebibytes(bytes), mebibytes(max));
        if bytes > max {
            let message = format!("{what}: {}, more than {}", mebibytes(bytes), mebibytes(max));
            self.passed_bounds.push(message);
        }
    }
}

fn bar(what: &str, entries: u64) -> Result<ProgressBar, String> {
    let template = format!("{what} {{bar:40}} {{pos}}/{{len}}  {{per_sec}}  {{eta}} left");
    let style = ProgressStyle::with_template(&template).map_err(|error| error.to_string())?;
    Ok(ProgressBar::new(entries).with_style(style))
}

fn rate(entries: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let per_second = entries as f64 / seconds.max(f64::EPSILON);
    format!("{entries} entries in {seconds:.2} s, {per_second:.0} a second")
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_bound_is_kept_and_one_that_holds_or_was_not_measured_is_not() {
        let Ok(scratch) = Scratch::new(Some(std::path::Path::new("no-such-folder"))) else {
            unreachable!("a folder that is absent is accepted");
        };
        let mut load = Load::new(&scratch, 0);
        load.check_bytes("held", Some(5), 5);
        load.check_bytes("unknown", None, 5);
        assert!(load.passed_bounds.is_empty());
        load.check_bytes("passed", Some(6), 5);
        assert_eq!(load.passed_bounds.len(), 1);
    }

    #[test]
    fn a_small_load_reads_back_what_it_wrote() -> Result<(), String> {
        let scratch = Scratch::new(None)?;
        let outcome = Load::new(&scratch, 2_000).run();
        scratch.close(outcome).map(drop)
    }
}
