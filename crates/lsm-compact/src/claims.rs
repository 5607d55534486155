//! What running jobs have taken, so that no two touch the same keys of the same level.
//!
//! One value beside the version, under the lock that guards installing versions: pick, claim, and
//! later install and release are each one step under that lock. Never waits.

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::job::Job;

/// The levels and keys that running jobs read from and write to.
///
/// A job claims the keys from its smallest to its largest at every level from its first input to
/// its output. Inputs alone would not do: two jobs with disjoint inputs can write outputs that
/// overlap.
///
/// # Examples
///
/// ```
/// # use lsm_compact::{Claims, PickerOptions, pick};
/// # use lsm_version::Version;
/// # let (version, options) = (Version::empty(), PickerOptions::default());
/// let mut claims = Claims::new();
/// if let Some(job) = pick(&version, &options, &claims, &|_| false) {
///     let claim = claims.claim(&job);
///     // run the job, install its edit, and whatever came of it:
///     claims.release(claim);
/// }
/// ```
#[derive(Debug, Default)]
pub struct Claims {
    held: Vec<Claim>,
    next_id: u64,
}

#[derive(Debug)]
struct Claim {
    id: ClaimId,
    levels: RangeInclusive<u8>,
    smallest_key: Bytes,
    largest_key: Bytes,
}

/// The handle of one claim, to release it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a claim that is never released blocks its keys for ever"]
pub struct ClaimId(u64);

impl Claims {
    /// No claims.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a running job stands in the way of `job`.
    #[must_use]
    pub fn conflicts(&self, job: &Job) -> bool {
        self.conflicts_span(&job.levels(), &job.smallest_key, &job.largest_key)
    }

    pub(crate) fn conflicts_span(
        &self,
        levels: &RangeInclusive<u8>,
        smallest_key: &[u8],
        largest_key: &[u8],
    ) -> bool {
        self.held.iter().any(|claim| {
            claim.levels.start() <= levels.end()
                && levels.start() <= claim.levels.end()
                && claim.smallest_key.as_ref() <= largest_key
                && smallest_key <= claim.largest_key.as_ref()
        })
    }

    /// Takes what `job` needs, until released.
    ///
    /// The job must come from a picker that saw these claims, under the same lock: then it
    /// conflicts with none of them, which debug builds check.
    pub fn claim(&mut self, job: &Job) -> ClaimId {
        debug_assert!(
            !self.conflicts(job),
            "two jobs over the same keys of a level: {job:?}"
        );
        let id = ClaimId(self.next_id);
        self.next_id += 1;
        self.held.push(Claim {
            id,
            levels: job.levels(),
            smallest_key: job.smallest_key.clone(),
            largest_key: job.largest_key.clone(),
        });
        id
    }

    /// Gives back what was claimed, once the job's edit is installed or the job given up. Released
    /// twice is released.
    pub fn release(&mut self, id: ClaimId) {
        self.held.retain(|claim| claim.id != id);
    }

    /// How many jobs hold a claim.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no job holds a claim.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobKind;
    use crate::testing::run_meta;

    fn job(level: u8, output_level: u8, smallest: &str, largest: &str) -> Job {
        let run = run_meta(1, smallest, largest, 10);
        Job::new(JobKind::Merge, vec![(level, run)], output_level).unwrap()
    }

    #[test]
    fn jobs_conflict_where_levels_and_keys_both_meet() {
        let mut claims = Claims::new();
        let claim = claims.claim(&job(1, 3, "d", "m"));
        for (other, conflicts) in [
            (job(1, 2, "a", "z"), true),
            (job(3, 4, "m", "m"), true),
            (job(0, 1, "e", "f"), true),
            // Passed on the way, though neither read nor written.
            (job(2, 2, "a", "d"), true),
            (job(0, 5, "m", "z"), true),
            (job(1, 3, "a", "c"), false),
            (job(1, 3, "n", "z"), false),
            (job(4, 5, "a", "z"), false),
            (job(0, 0, "a", "z"), false),
        ] {
            assert_eq!(claims.conflicts(&other), conflicts, "{other:?}");
        }
        claims.release(claim);
        assert!(!claims.conflicts(&job(1, 3, "d", "m")));
    }

    #[test]
    fn a_released_claim_frees_only_its_own_keys() {
        let mut claims = Claims::new();
        let first = claims.claim(&job(0, 1, "a", "f"));
        let second = claims.claim(&job(0, 1, "g", "m"));
        claims.release(first);
        claims.release(first);
        assert_eq!(claims.len(), 1);
        assert!(claims.conflicts(&job(0, 1, "f", "g")));
        claims.release(second);
        assert!(claims.is_empty());
    }
}
