//! What was put while gaps are watched for: for each of the latest commits, the range of its keys.
//!
//! Called by [`Gaps`](super::Gaps): who found a range empty some commits ago asks whether anything
//! was put into it since. Memory is bounded: of older commits only one common range is kept, and
//! long keys are cut. So an answer may be "maybe" where it could be "no", never the other way.

use std::collections::VecDeque;

/// Ranges kept.
const RANGES_MAX: usize = 16;

/// Bytes of a key that are kept.
const KEY_BYTES_MAX: usize = 64;

/// The keys from `first` on, to `last`, or to the end of all keys.
#[derive(Debug, Default)]
struct Puts {
    seqno: u64,
    first: Vec<u8>,
    last: Option<Vec<u8>>,
}

/// The latest puts, oldest first.
#[derive(Debug, Default)]
pub(super) struct RecentPuts {
    commits: VecDeque<Puts>,
}

impl RecentPuts {
    /// Notes that the commit up to `seqno`, which is greater than all before, puts nothing outside
    /// `first` to `last`.
    pub(super) fn push(&mut self, seqno: u64, first: &[u8], last: &[u8]) {
        let mut room = self.room();
        room.seqno = seqno;
        // A key that is cut is less than the whole.
        set(&mut room.first, first.get(..KEY_BYTES_MAX).unwrap_or(first));
        room.last = (last.len() <= KEY_BYTES_MAX).then(|| {
            let mut kept = room.last.take().unwrap_or_default();
            set(&mut kept, last);
            kept
        });
        self.commits.push_back(room);
    }

    /// What a commit is noted in: when there are many, that of the oldest, which becomes one with
    /// the next.
    fn room(&mut self) -> Puts {
        if self.commits.len() < RANGES_MAX {
            return Puts::default();
        }
        let mut oldest = self.commits.pop_front().unwrap_or_default();
        if let Some(next) = self.commits.front_mut() {
            // Later than the oldest is no lie, as they are only compared with what came before.
            if oldest.first < next.first {
                std::mem::swap(&mut oldest.first, &mut next.first);
            }
            let is_further = match (&oldest.last, &next.last) {
                (Some(oldest), Some(next)) => oldest > next,
                (oldest, _) => oldest.is_none(),
            };
            if is_further {
                std::mem::swap(&mut oldest.last, &mut next.last);
            }
        }
        oldest
    }

    /// Whether anything later than `seqno` may have been put from `start` up to `end`.
    pub(super) fn may_have_put(&self, seqno: u64, start: &[u8], end: &[u8]) -> bool {
        let mut later = self.commits.iter().rev();
        let mut later = later.by_ref().take_while(|puts| puts.seqno > seqno);
        later.any(|puts| {
            puts.first.as_slice() < end && puts.last.as_deref().is_none_or(|last| last >= start)
        })
    }

    pub(super) fn clear(&mut self) {
        self.commits.clear();
    }
}

fn set(kept: &mut Vec<u8>, key: &[u8]) {
    kept.clear();
    kept.extend_from_slice(key);
}
