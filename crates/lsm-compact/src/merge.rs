//! The merge of any number of cursors into one, newest entry per key first.
//!
//! Reads (a cursor per memtable, L0 run and level) and compaction jobs go through it. It compares
//! keys and nothing else: tombstones are yielded like values, and are for
//! [`LiveCursor`](crate::LiveCursor) or [`Elision`](crate::Elision) to drop.
//!
//! Invariants, on which the steps lean by number:
//! 1. Moving forward at key K, every source is at its first entry ≥ K, or past its end if there is
//!    none. Moving in reverse, every source is at its last entry ≤ K, or before its start.
//! 2. `nodes[0]` won against every node on the way from its leaf to the root, directly.
//! 3. Every live source's key starts with `prefix` as long as its head stands in the tree: heads are
//!    taken after it, or keys that share eight bytes would tie in every game.
//! 4. A contender's `tied` flag says whether an equal key lost in the subtree that it has won.

mod games;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::cursor::Cursor;

/// The winner of a merge without a position; also marks a node of the tree not yet played.
const NONE: u32 = u32::MAX;

/// Wins in a row before the winner is asked how far it may go without comparisons: often enough
/// to catch runs of a block, seldom enough that an answer of 0 costs nothing.
const STREAK_BEFORE_ASKING: u32 = 8;

/// Ties after which heads are first taken after what the keys share.
const TIES_BEFORE_PREFIX: u32 = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Reverse,
}

/// What plays in the tree: a source, and enough of its key to settle most games.
#[derive(Debug, Clone, Copy)]
struct Contender {
    /// The key's head after the shared prefix, all bits flipped in reverse, so that the smaller wins in both directions;
    /// all ones for a source that has ended (a tie with a real key, settled by asking the source).
    head: u64,
    source: u32,
    tied: bool,
}

/// A cursor over the union of several cursors, in which the newest entry of each key wins.
///
/// `sources` are given newest first. Where several hold a key, the entry of the first of them is
/// yielded, tombstone or value, and the others are skipped. Any number of sources will do, also
/// none.
///
/// # Cost
///
/// One source is passed through without a comparison. With two, a step is one comparison. With
/// more, sources play in a *loser tree* (Knuth, TAOCP vol. 3, 5.4.1), whose nodes hold the first
/// eight bytes of their keys: log₂ k integer comparisons where sources alternate, one where the
/// same source goes on, and none where it knows a stretch of its entries to be free of others
/// ([`Cursor::steps_below`]). A source that did not move is not compared again, and a step
/// allocates nothing.
///
/// # Errors
///
/// The first error of a source is returned and leaves the merge unpositioned.
///
/// # Examples
///
/// ```
/// use lsm_compact::{Cursor, MergeCursor, SliceCursor};
///
/// let newer = [("b", None), ("c", Some("new"))];
/// let older = [("a", Some("1")), ("b", Some("2")), ("c", Some("old"))];
/// let mut merge = MergeCursor::new(vec![SliceCursor::new(&newer), SliceCursor::new(&older)]);
///
/// let mut seen = Vec::new();
/// merge.seek_first()?;
/// while let Some(key) = merge.key() {
///     seen.push((key.to_vec(), merge.value().map(<[u8]>::to_vec)));
///     merge.next()?;
/// }
/// assert_eq!(seen[1], (b"b".to_vec(), None));
/// assert_eq!(seen[2], (b"c".to_vec(), Some(b"new".to_vec())));
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Debug)]
pub struct MergeCursor<C> {
    sources: Vec<C>,
    /// The winner, then the loser of each game; node `n` stands above `2n` and `2n + 1`, and the
    /// leaf of source `s` is `sources.len() + s`. Unused with fewer than two sources.
    nodes: Vec<Contender>,
    direction: Direction,
    /// The source whose entry is yielded, or [`NONE`]; always 0 with one source.
    winner: u32,
    /// While the winner's head stays below, it wins again; 0 when not known.
    bar: u64,
    /// Steps of the winner that need no comparison: promised by it, or there is no other left.
    free_steps: usize,
    streak: u32,
    superseded: u64,
    /// What the keys of all live sources start with, and are known to.
    prefix: Vec<u8>,
    /// Heads that tied since the prefix was last lengthened, and how many call for that.
    ties: u32,
    ties_max: u32,
    /// The key whose older entries are being skipped.
    skipped_key: Vec<u8>,
}

impl<C: Cursor> MergeCursor<C> {
    /// A merge of `sources`, newest first, not yet positioned.
    ///
    /// # Panics
    ///
    /// If there are more than 2³¹ sources.
    #[must_use]
    pub fn new(sources: Vec<C>) -> Self {
        assert!(
            sources.len() <= 1 << 31,
            "a merge of more than 2^31 sources"
        );
        let unplayed = Contender {
            head: u64::MAX,
            source: NONE,
            tied: false,
        };
        Self {
            nodes: vec![unplayed; if sources.len() < 2 { 0 } else { sources.len() }],
            winner: if sources.len() == 1 { 0 } else { NONE },
            sources,
            direction: Direction::Forward,
            bar: 0,
            free_steps: 0,
            streak: 0,
            superseded: 0,
            prefix: Vec::new(),
            ties: 0,
            ties_max: TIES_BEFORE_PREFIX,
            skipped_key: Vec::new(),
        }
    }

    /// The sources, newest first, wherever they stand.
    #[must_use]
    pub fn into_sources(self) -> Vec<C> {
        self.sources
    }

    /// How many entries were skipped since the merge was made, because a newer one hid them.
    ///
    /// An entry passed twice counts twice; after a seek, those skipped by it do not count.
    #[must_use]
    pub fn superseded_count(&self) -> u64 {
        self.superseded
    }

    fn winner(&self) -> Option<&C> {
        self.sources.get(self.winner as usize)
    }

    /// Positions every source by `place`, then plays all games. On an error: unpositioned.
    fn place_all(
        &mut self,
        direction: Direction,
        mut place: impl FnMut(&mut C) -> Result<(), C::Error>,
    ) -> Result<(), C::Error> {
        if let [only] = self.sources.as_mut_slice() {
            return place(only);
        }
        self.unposition();
        self.direction = direction;
        for source in &mut self.sources {
            place(source)?;
        }
        self.prefix.clear();
        self.ties = 0;
        self.ties_max = TIES_BEFORE_PREFIX;
        self.play_all();
        Ok(())
    }

    fn unposition(&mut self) {
        self.winner = NONE;
        self.bar = 0;
        self.free_steps = 0;
        self.streak = 0;
    }

    /// Turns round: by invariant 1, one step puts each source on the other side of the key.
    fn turn(&mut self, direction: Direction) -> Result<(), C::Error> {
        if self.key().is_none() {
            // The last source with entries went through to its end, see `stretch`.
            self.unposition();
            return Ok(());
        }
        self.place_all(direction, |source| {
            match (direction, source.key().is_some()) {
                (Direction::Forward, true) => source.next(),
                (Direction::Forward, false) => source.seek_first(),
                (Direction::Reverse, true) => source.prev(),
                (Direction::Reverse, false) => source.seek_last(),
            }
        })
    }

    /// One step in the current direction. With at least two sources, and positioned.
    #[inline]
    fn step(&mut self) -> Result<(), C::Error> {
        if self.free_steps > 0 {
            self.free_steps -= 1;
            return self.step_winner();
        }
        if self.nodes.first().is_some_and(|winner| winner.tied) {
            return self.step_over_ties();
        }
        self.step_winner()?;
        match self.contender(self.winner) {
            // Below every head that it met on its way up the last time: it would win again.
            Some(contender) if contender.head < self.bar => self.go_on_winning(),
            Some(contender) => self.replay(contender),
            None => self.shorten_prefix(),
        }
        Ok(())
    }

    /// Steps past the winner's key in every source that holds it.
    fn step_over_ties(&mut self) -> Result<(), C::Error> {
        let mut key = std::mem::take(&mut self.skipped_key);
        key.clear();
        key.extend_from_slice(self.key().unwrap_or_default());
        let stepped = loop {
            if let Err(error) = self.step_winner() {
                break Err(error);
            }
            match self.contender(self.winner) {
                Some(contender) => self.replay(contender),
                None => self.shorten_prefix(),
            }
            if self.key() != Some(key.as_slice()) {
                break Ok(());
            }
            self.superseded += 1;
        };
        self.skipped_key = key;
        stepped
    }

    #[inline]
    fn step_winner(&mut self) -> Result<(), C::Error> {
        let Some(source) = self.sources.get_mut(self.winner as usize) else {
            return Ok(());
        };
        let stepped = match self.direction {
            Direction::Forward => source.next(),
            Direction::Reverse => source.prev(),
        };
        if stepped.is_err() {
            self.unposition();
        }
        stepped
    }
}

impl<C: Cursor> Cursor for MergeCursor<C> {
    type Error = C::Error;

    fn seek_first(&mut self) -> Result<(), C::Error> {
        self.place_all(Direction::Forward, C::seek_first)
    }

    fn seek_last(&mut self) -> Result<(), C::Error> {
        self.place_all(Direction::Reverse, C::seek_last)
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), C::Error> {
        self.place_all(Direction::Forward, |source| source.seek(key))
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), C::Error> {
        self.place_all(Direction::Reverse, |source| source.seek_for_prev(key))
    }

    #[inline]
    fn next(&mut self) -> Result<(), C::Error> {
        if let [only] = self.sources.as_mut_slice() {
            return only.next();
        }
        match (self.winner, self.direction) {
            (NONE, _) => Ok(()),
            (_, Direction::Forward) => self.step(),
            (_, Direction::Reverse) => self.turn(Direction::Forward),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<(), C::Error> {
        if let [only] = self.sources.as_mut_slice() {
            return only.prev();
        }
        match (self.winner, self.direction) {
            (NONE, _) => Ok(()),
            (_, Direction::Reverse) => self.step(),
            (_, Direction::Forward) => self.turn(Direction::Reverse),
        }
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        self.winner()?.key()
    }

    #[inline]
    fn value(&self) -> Option<&[u8]> {
        self.winner()?.value()
    }

    #[inline]
    fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        self.winner()?.entry()
    }

    #[inline]
    fn is_positioned(&self) -> bool {
        self.winner().is_some_and(C::is_positioned)
    }

    #[inline]
    fn is_tombstone(&self) -> bool {
        self.winner().is_some_and(C::is_tombstone)
    }

    fn key_bytes(&self) -> Option<Bytes> {
        self.winner()?.key_bytes()
    }

    fn value_bytes(&self) -> Option<Bytes> {
        self.winner()?.value_bytes()
    }

    fn entry_bytes(&self) -> Option<(Bytes, Option<Bytes>)> {
        self.winner()?.entry_bytes()
    }

    fn steps_below(&self, limit: &[u8]) -> usize {
        match self.sources.as_slice() {
            [only] => only.steps_below(limit),
            _ => 0,
        }
    }

    fn steps_above(&self, limit: &[u8]) -> usize {
        match self.sources.as_slice() {
            [only] => only.steps_above(limit),
            _ => 0,
        }
    }
}
