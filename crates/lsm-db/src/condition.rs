//! Conditions on writes: which members of a group are turned away.
//!
//! Called by the commit leader, before it gives out seqnos. Reads what is published through a
//! function of the caller's and the group itself; changes nothing, takes no lock and waits for no
//! background work.
//!
//! 1. A member sees what is published and the accepted members before it in the group, in commit
//!    order; never those after it, its own operations, or members that were turned away.
//! 2. Whether a member is accepted never depends on what becomes of the group: the leader answers
//!    with the group's failure if there is one, because what was seen then never came to be.

use std::collections::{BTreeMap, HashMap};

use crate::commit::Request;
use crate::{Batch, Error, Required, Result};

/// The members of a group that are not applied, by their place in it, and why.
pub(crate) type Rejections = BTreeMap<usize, Error>;

/// Judges the members of a group in order. `has_value` tells whether the published value of a key is
/// the one given, `None` being absence; where it fails, it fails the member that asked, and no other.
pub(crate) fn judge(
    group: &[Request],
    has_value: impl Fn(&[u8], Option<&[u8]>) -> Result<bool>,
) -> Rejections {
    let mut rejections = Rejections::new();
    let Some(last) = group.iter().rposition(Request::has_requirements) else {
        return rejections;
    };
    let mut accepted = Accepted::default();
    for (at, request) in group.iter().enumerate().take(last + 1) {
        let Request::Write(batch, _) = request else {
            continue;
        };
        let verdict = accepted
            .check(batch, &has_value)
            .and_then(|()| match at < last {
                true => accepted.add(batch),
                // Nobody asks any more.
                false => Ok(()),
            });
        if let Err(error) = verdict {
            rejections.insert(at, error);
        }
    }
    rejections
}

/// What the accepted members of a group will have written: the last operation on each key.
#[derive(Default)]
struct Accepted<'a> {
    writes: HashMap<&'a [u8], Option<&'a [u8]>>,
}

impl<'a> Accepted<'a> {
    fn check(
        &self,
        batch: &Batch,
        has_value: &impl Fn(&[u8], Option<&[u8]>) -> Result<bool>,
    ) -> Result<()> {
        for requirement in batch.requirements() {
            let (key, expected) = requirement?;
            let is_met = match self.writes.get(key) {
                Some(value) => *value == expected.value(),
                None => has_value(key, expected.value())?,
            };
            if !is_met {
                return Err(Error::ConditionFailed {
                    key: key.to_vec(),
                    required: match expected.value() {
                        None => Required::Absent,
                        Some(_) => Required::Value,
                    },
                });
            }
        }
        Ok(())
    }

    fn add(&mut self, batch: &'a Batch) -> Result<()> {
        for operation in batch.operations() {
            let (key, entry) = operation?;
            self.writes.insert(key, entry.value());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
