//! The gaps that are remembered now: disjoint ranges of keys, in order, not many.
//!
//! Called by [`Gaps`](super::Gaps), which says when something may be added and what has to go. A
//! plain value: changes make a new one, and readers look at the one that they loaded. Never knows
//! whether what it is told is true.
//!
//! A gap that was found at seqno s serves only readers from s on. So that a long one stays of use
//! to a reader that is a little behind, what is found next to it does not become one with it at
//! once, but stands beside it until it is old enough; whoever passes a gap passes its neighbours
//! too, as far as they serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Gaps remembered at most.
const GAPS_MAX: usize = 64;

/// Bytes at most of a key that is the edge of a gap.
pub(super) const EDGE_BYTES_MAX: usize = 1 << 10;

/// Writes after which a gap that nobody uses is forgotten, and how many more for each of the
/// tombstones it spares: to keep it costs each write a little, to find it again costs a step for
/// each tombstone.
pub(super) const IDLE_WRITES: u64 = 1 << 16;
const IDLE_WRITES_PER_TOMBSTONE: u64 = 64;

/// Two neighbours become one when the older of them spares no more tombstones than this, and so many
/// more for each write since the newer was found: that is what a reader steps over that is so many
/// writes behind.
const BEHIND_TOMBSTONES: u64 = 64;
const BEHIND_TOMBSTONES_PER_WRITE: u64 = 16;

/// Writes into a gap that nobody uses, until what is left of it is forgotten.
const CUTS_MAX: u32 = 16;

/// The two counts beside what an `Arc` holds.
const ARC_BYTES: usize = 2 * size_of::<usize>();

/// A range of keys of which none had a value at a seqno, nor was given one since.
#[derive(Debug)]
pub(super) struct Gap {
    /// Its first key, and the first one behind it.
    start: Bytes,
    end: Bytes,
    found_at: u64,
    /// How many were there when it was found. The parts of one that was cut share them: how many are
    /// in which, nobody knows, but together they must not grow.
    tombstones: u64,
    /// The seqno of a read that passed it, about the latest: a hint for what to forget.
    used_at: AtomicU64,
    cuts: u32,
    used_at_cut: u64,
}

impl Gap {
    /// `now` is the seqno of about the latest write.
    pub(super) fn new(start: Bytes, end: Bytes, found_at: u64, tombstones: u64, now: u64) -> Self {
        Self {
            start,
            end,
            found_at,
            tombstones,
            used_at: AtomicU64::new(now),
            cuts: 0,
            used_at_cut: now,
        }
    }

    fn passed_at(&self, seqno: u64) {
        // Of two that pass at once, either may be left: this is a hint.
        if self.used_at() < seqno {
            self.used_at.store(seqno, Ordering::Relaxed);
        }
    }

    fn used_at(&self) -> u64 {
        self.used_at.load(Ordering::Relaxed)
    }

    fn expires_at(&self) -> u64 {
        let idle_max = self.tombstones.saturating_mul(IDLE_WRITES_PER_TOMBSTONE);
        let idle_max = idle_max.saturating_add(IDLE_WRITES);
        self.used_at().saturating_add(idle_max)
    }

    /// What is left of it when `key` gets a value.
    fn cut(&self, key: &[u8]) -> impl Iterator<Item = Gap> {
        let used_at = self.used_at();
        let cuts = match used_at == self.used_at_cut {
            true => self.cuts + 1,
            false => 1,
        };
        // A long key is cut to a lesser one, and then nothing is known to be greater.
        let head = key.get(..EDGE_BYTES_MAX).unwrap_or(key);
        let below = (self.start.clone(), Bytes::copy_from_slice(head));
        let next = (head.len() == key.len()).then(|| Bytes::from([key, b"\0"].concat()));
        let above = next.map(|next| (next, self.end.clone()));
        let mut parts: Vec<(Bytes, Bytes)> = std::iter::once(below).chain(above).collect();
        parts.retain(|(start, end)| start < end && cuts <= CUTS_MAX);
        let tombstones = self.tombstones / (parts.len() as u64).max(1);
        parts.into_iter().map(move |(start, end)| Gap {
            start,
            end,
            found_at: self.found_at,
            tombstones,
            used_at: AtomicU64::new(used_at),
            cuts,
            used_at_cut: used_at,
        })
    }

    /// Whether nothing is lost if this gap and `other`, which touches it, serve from the same
    /// seqno on.
    fn unites_with(&self, other: &Self, now: u64) -> bool {
        let behind = now.saturating_sub(self.found_at.max(other.found_at));
        let behind = behind.saturating_mul(BEHIND_TOMBSTONES_PER_WRITE);
        self.lost_with(other) <= behind.saturating_add(BEHIND_TOMBSTONES)
    }

    /// This gap and `next`, which begins where it ends.
    fn united_with(&self, next: &Self) -> Self {
        let found_at = self.found_at.max(next.found_at);
        let tombstones = self.tombstones.saturating_add(next.tombstones);
        let used_at = self.used_at().max(next.used_at());
        let (start, end) = (self.start.clone(), next.end.clone());
        Self::new(start, end, found_at, tombstones, used_at)
    }

    /// The tombstones that readers step over again who are behind, once this gap and `other` serve
    /// from the same seqno on.
    fn lost_with(&self, other: &Self) -> u64 {
        match self.found_at.cmp(&other.found_at) {
            std::cmp::Ordering::Less => self.tombstones,
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => other.tombstones,
        }
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Arc<Self>>() + ARC_BYTES + size_of::<Self>() + self.start.len() + self.end.len()
    }
}

/// Some gaps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Ascending and disjoint; neighbours may touch.
    gaps: Vec<Arc<Gap>>,
}

impl Known {
    pub(super) fn len(&self) -> usize {
        self.gaps.len()
    }

    /// What they take, at most: neighbours may share an edge.
    pub(super) fn memory_bytes(&self) -> usize {
        self.gaps.iter().map(|gap| gap.memory_bytes()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gaps.is_empty()
    }

    /// The gaps from the one that holds `key` on, and those before it in reverse.
    fn around(&self, key: &[u8]) -> (&[Arc<Gap>], &[Arc<Gap>]) {
        let at = self.gaps.partition_point(|gap| gap.end <= key);
        match self.gaps.get(at) {
            Some(gap) if gap.start <= key => (&self.gaps[at..], &self.gaps[..=at]),
            _ => (&[], &[]),
        }
    }

    /// Where a read at `seqno` comes out that goes forward from `key`, which a gap holds. `is_use`: it is
    /// spared something, so that the gaps are worth keeping.
    pub(super) fn end_around(&self, key: &[u8], seqno: u64, is_use: bool) -> Option<&Bytes> {
        let mut end: Option<&Bytes> = None;
        for gap in self.around(key).0 {
            if gap.found_at > seqno || end.is_some_and(|end| *end != gap.start) {
                break;
            }
            if is_use {
                gap.passed_at(seqno);
            }
            end = Some(&gap.end);
        }
        end
    }

    /// The first key of the gaps that a read at `seqno` passes when it goes back from `key`.
    pub(super) fn start_around(&self, key: &[u8], seqno: u64, is_use: bool) -> Option<&Bytes> {
        let mut start: Option<&Bytes> = None;
        for gap in self.around(key).1.iter().rev() {
            if gap.found_at > seqno || start.is_some_and(|start| *start != gap.end) {
                break;
            }
            if is_use {
                gap.passed_at(seqno);
            }
            start = Some(&gap.start);
        }
        start
    }

    /// Whether a gap has keys from `first` to `last`; without `last`, to the end of all keys.
    pub(super) fn meets(&self, first: &[u8], last: Option<&[u8]>) -> bool {
        let at = self.gaps.partition_point(|gap| gap.end <= first);
        let gap = self.gaps.get(at);
        gap.is_some_and(|gap| last.is_none_or(|last| gap.start <= last))
    }

    /// A key gets a value: the gap that holds it loses it, and all others stay.
    pub(super) fn cut(&mut self, key: &[u8]) {
        let at = self.gaps.partition_point(|gap| gap.end <= key);
        if let Some(gap) = self.gaps.get(at)
            && gap.start <= key
        {
            let parts: Vec<_> = gap.cut(key).map(Arc::new).collect();
            self.gaps.splice(at..=at, parts);
            self.bound(key);
        }
    }

    /// Adds what of `gap` is not known yet; says whether there was anything. `now` is the seqno of
    /// about the latest write.
    pub(super) fn add(&mut self, mut gap: Gap, now: u64) -> bool {
        if let Some(first) = self.around(&gap.start).0.first() {
            gap.start = first.end.clone();
        }
        let behind = self.gaps.partition_point(|known| known.start < gap.end);
        if let Some(last) = self.gaps[..behind].last()
            && last.end >= gap.end
        {
            gap.end = last.start.clone();
        }
        if gap.start >= gap.end {
            return false;
        }
        // Whoever found it has stepped over these too, or could not use them.
        let added = gap.start.clone();
        let inside = self.gaps.partition_point(|known| known.start < gap.start);
        let behind = self.gaps.partition_point(|known| known.start < gap.end);
        self.gaps.splice(inside..behind, [Arc::new(gap)]);
        self.unite(now);
        self.bound(&added);
        true
    }

    fn unite(&mut self, now: u64) {
        let mut united: Vec<Arc<Gap>> = Vec::with_capacity(self.gaps.len());
        for gap in self.gaps.drain(..) {
            match united.last_mut() {
                Some(last) if last.end == gap.start && last.unites_with(&gap, now) => {
                    *last = Arc::new(last.united_with(&gap));
                }
                _ => united.push(gap),
            }
        }
        self.gaps = united;
    }

    /// Gives up what there is too much of, but not the gap that holds `kept`: one that has just been
    /// found spares little yet, and would never come to more.
    fn bound(&mut self, kept: &[u8]) {
        while self.gaps.len() > GAPS_MAX {
            // To unite two costs only who is behind; to forget one, everybody.
            if let Some((at, united)) = self.least_lost() {
                self.gaps.splice(at..at + 2, [Arc::new(united)]);
                continue;
            }
            let gaps = self.gaps.iter().enumerate();
            let others = gaps.filter(|(_, gap)| &*gap.start > kept || &*gap.end <= kept);
            let longest_idle = others.min_by_key(|(_, gap)| (gap.used_at(), gap.tombstones));
            match longest_idle {
                Some((at, _)) => self.gaps.remove(at),
                None => return,
            };
        }
    }

    /// The neighbours by whose union least is lost, as one: where they are, and what they become.
    fn least_lost(&self) -> Option<(usize, Gap)> {
        let pairs = self.gaps.iter().zip(self.gaps.iter().skip(1)).enumerate();
        let touching = pairs.filter(|(_, (gap, next))| gap.end == next.start);
        let least = touching.min_by_key(|(_, (gap, next))| gap.lost_with(next));
        least.map(|(at, (gap, next))| (at, gap.united_with(next)))
    }

    #[cfg(test)]
    pub(super) fn tombstones(&self) -> u64 {
        let tombstones = self.gaps.iter().map(|gap| gap.tombstones);
        tombstones.fold(0, u64::saturating_add)
    }

    /// Forgets those that nobody has used for long.
    pub(super) fn forget_idle(&mut self, now: u64) {
        self.gaps.retain(|gap| gap.expires_at() > now);
    }
}
