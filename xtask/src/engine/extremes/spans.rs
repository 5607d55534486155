//! Spans of time that many threads note, and how much of another span they cover.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shorter spans are not noted.
const NOTED_MIN: Duration = Duration::from_micros(500);
/// How many are remembered: those of some seconds.
const NOTED_MAX: usize = 100_000;
/// How much later than another that ended after it a span may be noted.
const DISORDER_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Spans {
    /// In the order in which they ended, almost.
    noted: Mutex<VecDeque<(Instant, Instant)>>,
}

impl Spans {
    pub(super) fn note(&self, start: Instant, end: Instant) {
        if end.saturating_duration_since(start) < NOTED_MIN {
            return;
        }
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push_back((start, end));
        if noted.len() > NOTED_MAX {
            noted.pop_front();
        }
    }

    /// How much of the time between `start` and `end` lies in a span that was noted, in however many.
    pub(super) fn within(&self, start: Instant, end: Instant) -> Duration {
        let since = start.checked_sub(DISORDER_MAX).unwrap_or(start);
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spans: Vec<_> = noted
            .iter()
            .rev()
            .take_while(|(_, to)| *to >= since)
            .map(|(from, to)| (*from.max(&start), *to.min(&end)))
            .filter(|(from, to)| from < to)
            .collect();
        drop(noted);
        spans.sort_unstable();
        let (mut covered, mut reached) = (Duration::ZERO, start);
        for (from, to) in spans {
            covered += to.saturating_duration_since(from.max(reached));
            reached = reached.max(to);
        }
        covered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_spans_count_once_and_only_within_what_is_asked_for() {
        let spans = Spans::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for (from, to) in [(0, 10), (30, 40), (5, 20), (90, 200)] {
            spans.note(at(from), at(to));
        }
        spans.note(at(45), at(45) + NOTED_MIN / 2);
        assert_eq!(
            spans.within(at(2), at(100)),
            Duration::from_millis(18 + 10 + 10)
        );
        assert_eq!(spans.within(at(50), at(60)), Duration::ZERO);
    }
}
