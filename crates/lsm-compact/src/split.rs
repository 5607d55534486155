//! Where one output run of a job ends and the next begins.
//!
//! Outputs have about the target size, so that later jobs can pick parts of a level; and none
//! reaches over too much of the level below, so that no later job is large. Asked by the merge
//! job (and by whoever writes sorted runs) before each entry.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use lsm_version::{RunMeta, Version};

use crate::job::Job;
use crate::options::PickerOptions;

/// Decides before each entry of an ascending sequence whether it begins a new run.
///
/// A run ends at the target size; from three quarters of it on, where a run of the level below
/// ends, so that the boundaries of both levels fall together and later jobs overlap less; and
/// anywhere, when it spans more than ten times the target of the level below.
#[derive(Debug)]
pub struct Splitter {
    run_bytes_target: u64,
    overlap_bytes_max: u64,
    /// The level below, in key order, and the first run of it that does not end before the keys
    /// seen so far.
    below: Vec<Arc<RunMeta>>,
    at: usize,
    /// The bytes of the runs below that end inside the open output.
    overlap_bytes: u64,
    /// Whether the open output has an entry yet.
    begun: bool,
}

impl Splitter {
    /// A splitter for outputs that will stand above the runs `below`, in key order; none if the
    /// outputs stand at the bottom.
    #[must_use]
    pub fn new(options: &PickerOptions, below: &[Arc<RunMeta>]) -> Self {
        Self {
            run_bytes_target: options.run_target_bytes(),
            overlap_bytes_max: options.overlap_bytes_max(),
            below: below.to_vec(),
            at: 0,
            overlap_bytes: 0,
            begun: false,
        }
    }

    /// A splitter for the outputs of `job`, picked from `version`.
    ///
    /// What is joined is ended at the target size only: cut where the runs below end, it might come
    /// out as the same neighbours, to be joined for ever. Its picker has seen to the overlap.
    #[must_use]
    pub fn for_job(version: &Version, job: &Job, options: &PickerOptions) -> Self {
        if job.is_join() {
            return Self::new(options, &[]);
        }
        let below = version.level(usize::from(job.output_level) + 1);
        let reached = below.overlapping(&job.smallest_key, &job.largest_key);
        Self::new(options, &below.runs()[reached])
    }

    /// Whether the entry of `key` should begin a new run; `output_bytes` is the size of the open
    /// one, without it. To be asked once for each entry written, keys ascending.
    ///
    /// Never before the first entry of a run. After `true`, the open run is taken as ended.
    pub fn should_split_before(&mut self, key: &[u8], output_bytes: u64) -> bool {
        let mut passed_an_end = false;
        while let Some(run) = self.below.get(self.at) {
            if key <= run.largest_key.as_ref() {
                break;
            }
            if self.begun {
                self.overlap_bytes = self.overlap_bytes.saturating_add(run.file_len);
            }
            passed_an_end = true;
            self.at += 1;
        }
        let split = self.begun
            && (output_bytes >= self.run_bytes_target
                || passed_an_end
                    && (self.overlap_bytes > self.overlap_bytes_max
                        || output_bytes >= self.run_bytes_target / 4 * 3));
        self.begun = true;
        if split {
            self.overlap_bytes = 0;
        }
        split
    }

    /// As [`should_split_before`](Self::should_split_before), and an entry that fills a run alone
    /// begins one: so no run but that of a single entry is much over the target size.
    pub(crate) fn should_split_before_entry(
        &mut self,
        key: &[u8],
        entry_bytes: u64,
        output_bytes: u64,
    ) -> bool {
        let fills_a_run = entry_bytes >= self.run_bytes_target;
        self.should_split_before(key, if fills_a_run { u64::MAX } else { output_bytes })
    }
}
