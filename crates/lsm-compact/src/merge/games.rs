//! The tournament of a merge: who plays whom, and what a game costs.
//!
//! Called by the steps and seeks of [`MergeCursor`] after they have moved a source; moves none
//! itself. See the invariants at the top of the parent module.

use std::cmp::Ordering;

use super::{Contender, Direction, MergeCursor, NONE, STREAK_BEFORE_ASKING};
use crate::cursor::{Cursor, key_head};

impl<C: Cursor> MergeCursor<C> {
    /// The source as it stands; `None` if its key has left the shared prefix.
    #[inline]
    pub(super) fn contender(&self, source: u32) -> Option<Contender> {
        let head = match self.sources.get(source as usize).and_then(C::key) {
            None => u64::MAX,
            Some(key) => {
                let head = key_head(after_prefix(key, &self.prefix)?);
                match self.direction {
                    Direction::Forward => head,
                    Direction::Reverse => !head,
                }
            }
        };
        Some(Contender {
            head,
            source,
            tied: false,
        })
    }

    /// Takes for prefix all that the keys of the live sources share now. Tried again only after
    /// twice as many ties, so that it costs little where it does not help.
    #[cold]
    fn lengthen_prefix(&mut self) {
        self.ties = 0;
        self.ties_max = self.ties_max.saturating_mul(2);
        let mut keys = self.sources.iter().filter_map(C::key);
        let first = keys.next().unwrap_or_default();
        let len = keys.fold(first.len(), |len, key| len.min(shared_len(first, key)));
        self.prefix.clear();
        self.prefix
            .extend_from_slice(first.get(..len).unwrap_or_default());
        self.play_all();
    }

    /// Cuts the prefix down to what the winner's new key still shares; so do the other sources.
    #[cold]
    pub(super) fn shorten_prefix(&mut self) {
        let len = self.key().map_or(0, |key| shared_len(&self.prefix, key));
        self.prefix.truncate(len);
        self.play_all();
    }

    /// Plays the tournament from the leaves. The first to reach a node waits there for the second,
    /// so the last source placed climbs to the top.
    pub(super) fn play_all(&mut self) {
        self.bar = 0;
        self.streak = 0;
        for node in &mut self.nodes {
            node.source = NONE;
        }
        for source in (0..self.sources.len()).rev() {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "`new` bounds the source count"
            )]
            let contender = self.contender(source as u32);
            debug_assert!(
                contender.is_some(),
                "every live source's key has the prefix"
            );
            let Some(mut climber) = contender else {
                return self.unposition();
            };
            let mut at = usize::midpoint(self.sources.len(), source);
            while at > 0 {
                let waiting = self.nodes[at];
                if waiting.source == NONE {
                    self.nodes[at] = climber;
                    break;
                }
                let (winner, loser) = self.play(climber, waiting);
                self.nodes[at] = loser;
                climber = winner;
                at /= 2;
            }
            if at == 0 {
                self.crown(climber);
            }
        }
    }

    /// Plays the games on the way up from the leaf of the last winner, which has just moved.
    pub(super) fn replay(&mut self, moved: Contender) {
        let mut climber = moved;
        let mut bar = u64::MAX;
        let mut at = usize::midpoint(self.sources.len(), moved.source as usize);
        while at > 0 {
            let (winner, loser) = self.play(climber, self.nodes[at]);
            self.nodes[at] = loser;
            climber = winner;
            bar = bar.min(loser.head);
            at /= 2;
        }
        self.crown(climber);
        if self.ties >= self.ties_max {
            self.lengthen_prefix();
        } else if climber.source != moved.source {
            self.bar = 0;
            self.streak = 0;
        } else if self.winner != NONE {
            // It met every game on its own way, so the least head it left behind is its bar; not
            // so for another winner, who played some of its games earlier.
            self.bar = bar;
            self.go_on_winning();
        }
    }

    /// Installs the winner of all games, or none if the best source has ended.
    fn crown(&mut self, winner: Contender) {
        self.nodes[0] = winner;
        self.winner = winner.source;
        if winner.head == u64::MAX && self.key().is_none() {
            self.unposition();
        }
    }

    /// Counts a win of the source that won before; after enough of them, asks it how far it may
    /// go before the runner-up is met.
    #[inline]
    pub(super) fn go_on_winning(&mut self) {
        self.streak += 1;
        if self.streak >= STREAK_BEFORE_ASKING {
            self.streak = 0;
            self.free_steps = self.stretch();
        }
    }

    /// The steps that the winner may take before it could meet the runner-up; all, if the others
    /// have ended.
    fn stretch(&self) -> usize {
        match (self.winner(), self.runner_up_key(), self.direction) {
            (None, _, _) => 0,
            (_, None, _) => usize::MAX,
            (Some(winner), Some(limit), Direction::Forward) => winner.steps_below(limit),
            (Some(winner), Some(limit), Direction::Reverse) => winner.steps_above(limit),
        }
    }

    /// The key that comes after all of the winner's; by invariant 2 its source lost to the winner.
    fn runner_up_key(&self) -> Option<&[u8]> {
        let mut at = usize::midpoint(self.sources.len(), self.winner as usize);
        let mut best = *self.nodes.get(at)?;
        while at > 1 {
            at /= 2;
            best = self.game(best, self.nodes[at]).0;
        }
        self.sources.get(best.source as usize)?.key()
    }

    /// A game that counts its ties.
    #[inline]
    fn play(&mut self, a: Contender, b: Contender) -> (Contender, Contender) {
        self.ties += u32::from(a.head == b.head);
        self.game(a, b)
    }

    /// Returns the winner and the loser; the winner is marked if the keys are equal.
    #[inline]
    fn game(&self, a: Contender, b: Contender) -> (Contender, Contender) {
        match a.head.cmp(&b.head) {
            Ordering::Less => (a, b),
            Ordering::Greater => (b, a),
            Ordering::Equal => self.tie_break(a, b),
        }
    }

    /// Heads tie: the whole keys decide, and for equal keys the newer source.
    fn tie_break(&self, a: Contender, b: Contender) -> (Contender, Contender) {
        let key_of =
            |contender: Contender| self.sources.get(contender.source as usize).and_then(C::key);
        let order = match (key_of(a), key_of(b)) {
            (Some(a), Some(b)) if self.direction == Direction::Forward => a.cmp(b),
            (Some(a), Some(b)) => b.cmp(a),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // Two that have ended are not equal entries to be skipped.
            (None, None) => return (a, b),
        };
        let tied = order.is_eq();
        let (mut winner, loser) = if order.then(a.source.cmp(&b.source)).is_lt() {
            (a, b)
        } else {
            (b, a)
        };
        winner.tied |= tied;
        (winner, loser)
    }
}

fn shared_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// What follows `prefix` in `key`; `None` if it starts otherwise.
///
/// In words of eight bytes, without a call: this is on the way of every step.
#[inline]
fn after_prefix<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    if prefix.is_empty() {
        return Some(key);
    }
    let (start, rest) = key.split_at_checked(prefix.len())?;
    let is_same = match (start.last_chunk::<8>(), prefix.last_chunk::<8>()) {
        // The last eight bytes, where keys of a table differ first, then those before them.
        (Some(start_end), Some(prefix_end)) => {
            start_end == prefix_end
                && start
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .zip(prefix.as_chunks::<8>().0)
                    .all(|(a, b)| a == b)
        }
        _ => start.iter().zip(prefix).all(|(a, b)| a == b),
    };
    is_same.then_some(rest)
}
