//! All that was acknowledged so far: each writer's model, and what they share. The supervisor has
//! one, and gives a copy to each child.
//!
//! The exact state after a kill is this, and of each writer at most the one operation on top that
//! was under way. [`verify`](super::verify) finds out which; nothing here touches a store.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::keys::COUNTERS;
use super::profile::Shape;
use super::writes::{Kind, Op, Outcome, State};

/// A claim that some writer was told is somebody else's.
const LOST: u64 = u64::MAX;

/// Everything that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct World {
    pub(super) states: Vec<State>,
    pub(super) counters: [u64; COUNTERS],
    /// Of each claim, who has it: [`holder`]; 0 if nobody said.
    #[serde(skip)]
    pub(super) claims: Vec<u64>,
    /// Of each producer, which of its items were taken.
    pub(super) taken: Vec<Taken>,
}

/// The numbers of the items that were taken: all below `below`, and some past it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) below: u64,
    pub(super) beyond: BTreeSet<u64>,
}

/// What a store was found to hold that nobody had acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Findings {
    /// Of each writer, whether its operation under way was applied.
    pub(super) is_applied: Vec<bool>,
    pub(super) counters: [u64; COUNTERS],
    /// Claims and their holders.
    pub(super) claims: Vec<(u64, u64)>,
    /// Of each producer, the number of items that were taken.
    pub(super) taken: Vec<u64>,
}

/// What the value of a claim says: the writer, and the version of its operation.
pub(super) fn holder(writer: usize, version: u64) -> u64 {
    (writer as u64 + 1) << 48 | version
}

impl World {
    pub(super) fn new(shape: &Shape) -> Self {
        Self {
            states: (0..shape.writers).map(State::new).collect(),
            counters: [0; COUNTERS],
            claims: Vec::new(),
            taken: vec![Taken::default(); shape.writers],
        }
    }

    /// Takes note of a writer's operation and what it was told.
    pub(super) fn acknowledge(
        &mut self,
        writer: usize,
        op: &Op,
        outcome: Outcome,
    ) -> Result<(), String> {
        if let Some(state) = self.states.get_mut(writer) {
            state.apply(op, outcome);
        }
        match (op.kind, outcome) {
            (Kind::Increment(counter), Outcome::Done) => {
                if let Some(count) = self.counters.get_mut(counter) {
                    *count += 1;
                }
                Ok(())
            }
            (_, Outcome::Claimed { claim, won }) => {
                let claimant = if won {
                    holder(writer, op.version)
                } else {
                    LOST
                };
                self.claimed(claim, claimant)
            }
            (_, Outcome::Took { producer, number }) => self.took(writer, producer, number),
            _ => Ok(()),
        }
    }

    fn claimed(&mut self, claim: u64, claimant: u64) -> Result<(), String> {
        let at = usize::try_from(claim).map_err(|error| error.to_string())?;
        if at >= self.claims.len() {
            self.claims.resize(at + 1, 0);
        }
        match self.claims.get_mut(at) {
            Some(held) if matches!(*held, 0 | LOST) => *held = claimant,
            Some(held) if claimant != LOST => {
                return Err(format!(
                    "put_if_absent: two were told that they have claim {claim}: {held:x} and {claimant:x}"
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn took(&mut self, consumer: usize, producer: usize, number: u64) -> Result<(), String> {
        let Some(taken) = self.taken.get_mut(producer) else {
            return Err(format!("queue: an item of a producer {producer}"));
        };
        if number < taken.below || !taken.beyond.insert(number) {
            return Err(format!(
                "queue: item {number} of producer {producer} was taken a second time, by writer {consumer}"
            ));
        }
        while taken.beyond.remove(&taken.below) {
            taken.below += 1;
        }
        Ok(())
    }

    /// Whether a claim that was found may be what it is.
    pub(super) fn judge_claim(
        &self,
        claim: u64,
        found: u64,
        under_way: &[Option<Op>],
    ) -> Result<(), String> {
        let known = usize::try_from(claim)
            .ok()
            .and_then(|at| self.claims.get(at));
        match known {
            Some(held) if *held == found => return Ok(()),
            None | Some(&(0 | LOST)) => {}
            Some(held) => {
                return Err(format!("claim {claim}: held by {found:x}, not by {held:x}"));
            }
        }
        let mut claimants = under_way.iter().enumerate();
        let is_under_way = claimants.any(|(writer, op)| {
            op.as_ref()
                .is_some_and(|op| op.kind == Kind::Claim && holder(writer, op.version) == found)
        });
        match is_under_way {
            true => Ok(()),
            false => Err(format!(
                "claim {claim}: held by {found:x}, who never got it"
            )),
        }
    }

    /// The claims that somebody was told are there.
    pub(super) fn claims_there(&self) -> impl Iterator<Item = u64> + '_ {
        let claims = self.claims.iter().zip(0..);
        claims
            .filter(|(held, _)| **held != 0)
            .map(|(_, claim)| claim)
    }

    /// Whether a counter may have the value that was found.
    pub(super) fn judge_counter(
        &self,
        counter: usize,
        found: u64,
        under_way: &[Option<Op>],
    ) -> Result<(), String> {
        let mut pending = under_way.iter().flatten();
        let pending = pending
            .by_ref()
            .filter(|op| op.kind == Kind::Increment(counter));
        let pending = pending.count() as u64;
        let known = self.counters.get(counter).copied().unwrap_or(0);
        if (known..=known + pending).contains(&found) {
            return Ok(());
        }
        Err(format!(
            "counter {counter} is at {found}: {known} increments were acknowledged and {pending} under way"
        ))
    }

    /// Whether so many items may have been taken of each producer.
    pub(super) fn judge_taken(
        &self,
        found: &[u64],
        under_way: &[Option<Op>],
    ) -> Result<(), String> {
        let pending = under_way.iter().flatten();
        let pending = pending.filter(|op| op.kind == Kind::Take).count() as u64;
        let mut unknown = 0;
        for (producer, (taken, found)) in self.taken.iter().zip(found).enumerate() {
            let known = taken.below + taken.beyond.len() as u64;
            let past = taken.beyond.last().map_or(taken.below, |last| last + 1);
            if *found < past {
                return Err(format!(
                    "queue: {found} items of producer {producer} were taken, and {past} acknowledged as taken"
                ));
            }
            unknown += found - known;
        }
        if unknown > pending {
            return Err(format!(
                "queue: {unknown} items are gone that nobody was told to have taken, with {pending} consumers under way"
            ));
        }
        Ok(())
    }

    /// Makes what was found part of what is known. Operations under way have come to their end.
    pub(super) fn settle(&mut self, findings: &Findings, under_way: &[Option<Op>]) {
        for (state, (op, is_applied)) in self
            .states
            .iter_mut()
            .zip(under_way.iter().zip(&findings.is_applied))
        {
            if let Some(op) = op {
                let outcome = match is_applied {
                    true => Outcome::Done,
                    false => Outcome::Skipped,
                };
                state.apply(op, outcome);
            }
        }
        self.counters = findings.counters;
        for (claim, holder) in &findings.claims {
            // Found once, so no second holder can come up here.
            let _ = self.claimed(*claim, *holder);
        }
        for (taken, below) in self.taken.iter_mut().zip(&findings.taken) {
            *taken = Taken {
                below: *below,
                beyond: BTreeSet::new(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::Profile;
    use super::*;

    fn op(kind: Kind, version: u64) -> Op {
        Op {
            kind,
            version,
            changes: Vec::new(),
            markers: None,
            is_sync: false,
        }
    }

    #[test]
    fn a_claim_has_one_holder() -> Result<(), String> {
        let mut world = World::new(&Profile::Mixed.shape());
        let claimed = |won| Outcome::Claimed { claim: 3, won };
        world.acknowledge(0, &op(Kind::Claim, 1), claimed(false))?;
        assert_eq!(world.claims_there().collect::<Vec<_>>(), [3]);
        assert!(world.judge_claim(3, holder(1, 1), &[]).is_err());
        let under_way = [None, Some(op(Kind::Claim, 1))];
        world.judge_claim(3, holder(1, 1), &under_way)?;
        world.acknowledge(1, &op(Kind::Claim, 1), claimed(true))?;
        world.acknowledge(2, &op(Kind::Claim, 1), claimed(false))?;
        world.judge_claim(3, holder(1, 1), &[])?;
        assert!(world.judge_claim(3, holder(2, 1), &[]).is_err());
        assert!(
            world
                .acknowledge(2, &op(Kind::Claim, 2), claimed(true))
                .is_err()
        );
        Ok(())
    }

    #[test]
    fn a_counter_is_exact_but_for_what_is_under_way() -> Result<(), String> {
        let mut world = World::new(&Profile::Mixed.shape());
        world.acknowledge(0, &op(Kind::Increment(1), 1), Outcome::Done)?;
        world.judge_counter(1, 1, &[])?;
        assert!(world.judge_counter(1, 0, &[]).is_err());
        assert!(world.judge_counter(1, 2, &[]).is_err());
        world.judge_counter(1, 2, &[Some(op(Kind::Increment(1), 1))])?;
        assert!(
            world
                .judge_counter(1, 2, &[Some(op(Kind::Increment(0), 1))])
                .is_err()
        );
        Ok(())
    }

    #[test]
    fn an_item_is_taken_once_and_none_goes_by_itself() -> Result<(), String> {
        let mut world = World::new(&Profile::Queue.shape());
        let took = |number| Outcome::Took {
            producer: 2,
            number,
        };
        let take = op(Kind::Take, 1);
        world.acknowledge(1, &take, took(1))?;
        assert!(world.acknowledge(3, &take, took(1)).is_err());
        let found = |count| [0, 0, count, 0, 0, 0, 0, 0];
        // Item 0 must be gone too, and whoever took it is still on the way.
        assert!(world.judge_taken(&found(1), &[Some(take.clone())]).is_err());
        assert!(world.judge_taken(&found(2), &[]).is_err());
        world.judge_taken(&found(2), &[Some(take.clone())])?;
        world.judge_taken(&found(3), &[Some(take.clone()), Some(take.clone())])?;
        world.acknowledge(3, &take, took(0))?;
        world.judge_taken(&found(2), &[])?;
        assert!(world.acknowledge(3, &take, took(0)).is_err());
        Ok(())
    }
}
