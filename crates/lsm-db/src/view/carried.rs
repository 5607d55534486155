//! Which runs of a tree go on in the next.
//!
//! An edit changes a few runs of a level that may have a hundred thousand. Those that stay keep their
//! order, so old and new level are walked side by side, and only what left a level is looked up by id:
//! it may have been moved to another.

use std::collections::HashMap;
use std::sync::Arc;

use lsm_version::{RunId, RunMeta};

use crate::run::Run;

/// The runs of an old tree, by where they go in the next.
#[derive(Debug, Default)]
pub(super) struct CarriedRuns {
    /// By level and place: the runs that stay at their level.
    stayed: HashMap<usize, Vec<Option<Arc<Run>>>>,
    /// Those that have left theirs.
    left: HashMap<RunId, Arc<Run>>,
}

impl CarriedRuns {
    /// Finds out which runs of level `at` stay there.
    pub(super) fn match_level(&mut self, at: usize, old: &[Arc<Run>], new: &[Arc<RunMeta>]) {
        let mut stayed = vec![None; new.len()];
        // Runs come into level 0 as its newest, which are first: walked from the oldest, those that
        // stay come before those that are new. Deeper levels are in the order of their keys.
        let is_level_zero = at == 0;
        let mut old: Box<dyn Iterator<Item = &Arc<Run>>> = match is_level_zero {
            true => Box::new(old.iter().rev()),
            false => Box::new(old.iter()),
        };
        let mut next = old.next();
        for step in 0..new.len() {
            let place = if is_level_zero {
                new.len() - 1 - step
            } else {
                step
            };
            while let Some(run) = next {
                let is_same = run.meta().id == new[place].id;
                if !is_same && !is_level_zero && run.meta().smallest_key > new[place].smallest_key {
                    break;
                }
                next = old.next();
                if is_same {
                    stayed[place] = Some(Arc::clone(run));
                    break;
                }
                self.left.insert(run.meta().id, Arc::clone(run));
            }
        }
        let rest = next.into_iter().chain(old);
        self.left
            .extend(rest.map(|run| (run.meta().id, Arc::clone(run))));
        self.stayed.insert(at, stayed);
    }

    /// The run of `meta`, at a place of level `at`, if the old tree had it.
    pub(super) fn take(&mut self, at: usize, place: usize, meta: &RunMeta) -> Option<Arc<Run>> {
        let stayed = self
            .stayed
            .get_mut(&at)
            .and_then(|level| level.get_mut(place)?.take());
        stayed.or_else(|| self.left.get(&meta.id).cloned())
    }
}
