//! Which states a store may show, when several threads wrote to it and nobody knows their order.
//!
//! Called when a play has ended, with the whole ledger: for each disk that a crash left, and for
//! each view that a reader had. A pure function. It never objects to a store that keeps its
//! promises, however the threads interleaved:
//!
//! 1. Each writer makes one call at a time, so its commits are in the commit order as they are in
//!    its list. Each writes its number under the writer's mark. So the mark in a state says which of
//!    the writer's commits are in it, and the writer's other keys follow from that.
//! 2. A commit gets its place between its call and its answer. So if a commit is in a prefix of the
//!    commit order, then so is each one that was acknowledged before its call.
//! 3. A commit that was called after the state was taken is not in it.
//! 4. A commit that failed was either refused for good before its answer, or its fate is open and
//!    the handle is poisoned. A poisoned handle acknowledges nothing that is called afterwards. So
//!    if anything was, the failed one is in no state, and else it may be in one that a crash left.
//!    At most one such commit of a writer was ever handed to the log: it is the writer's last. A
//!    reader never sees one, since a commit is shown only once it cannot fail.
//! 5. What was acknowledged before the state was taken is there as far as the answers say so.
//! 6. All shared keys are written together, and the counter is raised under a condition. So the
//!    value of either names the last such commit of the prefix.

use super::super::aftermath::Oracle;
use super::keys::{COUNTER, SHARED, counted, named, own_prefix, own_writer};
use super::ledger::{Answer, Beside, Commit, Ledger, Time};
use crate::crash::Crash;
use crate::model::{Entries, Model, apply};

/// How a state was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// By a reader of the running store.
    Live,
    /// By a recovery.
    After(Crash),
}

/// A ledger, and when a state was taken: after `from`, and before `to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub ledger: &'a Ledger,
    pub from: Time,
    pub to: Time,
}

impl Oracle for Moment<'_> {
    fn explain(&self, found: &Model, crash: Crash) -> Result<(), String> {
        self.explain_as(found, Seen::After(crash))
    }
}

impl Moment<'_> {
    /// Checks a state.
    ///
    /// # Errors
    /// The first thing in it that cannot be.
    pub(super) fn explain_as(&self, found: &Model, seen: Seen) -> Result<(), String> {
        let mut prefix = Prefix::default();
        for (&writer, commits) in &self.ledger.commits {
            let last = self.last_of(writer, commits, found, seen)?;
            self.required_of(writer, commits, last, seen)?;
            prefix.add(writer, commits, last);
        }
        self.untouched(found)?;
        self.is_closed(&prefix, seen)?;
        self.shared_keys(&prefix, found)?;
        self.counter(&prefix, found)
    }

    /// The number of the writer's last commit in the state, by its mark; its other keys must be as
    /// that commit left them.
    fn last_of(
        &self,
        writer: usize,
        commits: &[Commit],
        found: &Model,
        seen: Seen,
    ) -> Result<u64, String> {
        let prefix = own_prefix(writer);
        let own = |model: &Model| -> Entries {
            let keys = model.iter().filter(|(key, _)| key.starts_with(&prefix));
            keys.map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let mut expected: Model = own(&self.ledger.base).into_iter().collect();
        let last = named(writer, found);
        if last != named(writer, &expected) {
            let commit = commits.iter().find(|commit| commit.number == last);
            let commit = commit.ok_or_else(|| {
                format!("writer {writer}: commit {last} is shown, which was never made")
            })?;
            if let Some(reason) = self.cannot_be_in(commit, seen) {
                return Err(format!("writer {writer}: {commit} is shown, but {reason}"));
            }
            let before = commits.iter().take_while(|other| other.number < last);
            let before = before.filter(|commit| commit.answer == Answer::Acknowledged);
            for commit in before.chain([commit]) {
                apply(&mut expected, &commit.writes);
            }
        }
        let expected: Entries = expected.into_iter().collect();
        crate::model::compare(
            &format!("writer {writer} with commit {last} as its last"),
            &own(found),
            &expected,
        )?;
        Ok(last)
    }

    /// Why this commit may not be the last of its writer's in the state.
    fn cannot_be_in(&self, commit: &Commit, seen: Seen) -> Option<&'static str> {
        if commit.called > self.to {
            return Some("it came later");
        }
        match commit.answer {
            Answer::Acknowledged => None,
            Answer::Unmet => Some("its condition was not met"),
            _ if seen == Seen::Live => Some("it was not acknowledged"),
            Answer::None => None,
            Answer::Failed if commit.answered > self.from => None,
            Answer::Failed => self
                .was_refused(commit)
                .then_some("it was refused, and the handle went on"),
        }
    }

    /// Whether a failed commit was refused for good: the handle has acknowledged later ones.
    fn was_refused(&self, failed: &Commit) -> bool {
        let mut all = self.ledger.commits.values().flatten();
        all.any(|later| later.answer == Answer::Acknowledged && later.called > failed.answered)
    }

    /// Everything of the writer's that was promised is in the state.
    fn required_of(
        &self,
        writer: usize,
        commits: &[Commit],
        last: u64,
        seen: Seen,
    ) -> Result<(), String> {
        let mut missing = commits.iter().filter(|commit| commit.number > last);
        let missing = missing.find_map(|commit| Some((commit, self.promised_by(commit, seen)?)));
        match missing {
            None => Ok(()),
            Some((commit, by)) => Err(format!(
                "writer {writer}: {commit} is gone, which {by} has promised; {last} is its last"
            )),
        }
    }

    /// What says that this commit is in the state, whatever else is.
    fn promised_by(&self, commit: &Commit, seen: Seen) -> Option<String> {
        use lsm_db::Durability::Sync;

        if commit.answer != Answer::Acknowledged || commit.answered > self.from {
            return None;
        }
        match seen {
            Seen::Live => return Some("its own answer".to_owned()),
            Seen::After(Crash::Kill) if self.ledger.logged => {
                return Some("its own answer, a kill being all that came".to_owned());
            }
            Seen::After(_) if commit.durability == Sync => {
                return Some("its own answer, as durable".to_owned());
            }
            Seen::After(_) => {}
        }
        let mut promises = self.ledger.promises.iter();
        let promise = promises
            .find(|promise| commit.answered < promise.called && promise.answered <= self.from);
        promise.map(|promise| format!("{promise:?}"))
    }

    /// Nothing else has changed.
    fn untouched(&self, found: &Model) -> Result<(), String> {
        let rest = |model: &Model| -> Entries {
            let is_written = |key: &[u8]| {
                own_writer(key).is_some_and(|writer| self.ledger.commits.contains_key(&writer))
                    || key == COUNTER
                    || SHARED.contains(&key)
            };
            let rest = model.iter().filter(|(key, _)| !is_written(key));
            rest.map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        crate::model::compare(
            "what no writer touched",
            &rest(found),
            &rest(&self.ledger.base),
        )
    }

    /// What was acknowledged before a commit of the state was called is in the state (2).
    fn is_closed(&self, prefix: &Prefix<'_>, seen: Seen) -> Result<(), String> {
        let Some(&(by, newest)) = prefix.shown.iter().max_by_key(|(_, commit)| commit.called)
        else {
            return Ok(());
        };
        let mut missing = prefix.missing.iter();
        let missing = missing.find(|(_, commit)| {
            commit.answer == Answer::Acknowledged && commit.answered < newest.called
        });
        match missing {
            None => Ok(()),
            Some((writer, commit)) => Err(format!(
                "no prefix of the commit order, {seen:?}: of writer {by} {newest} is shown, and of \
                 writer {writer} {commit} is not, which came before it"
            )),
        }
    }

    /// The shared keys name one commit, and it is the last in the state that wrote them (6).
    fn shared_keys(&self, prefix: &Prefix<'_>, found: &Model) -> Result<(), String> {
        let values = SHARED.map(|key| found.get(key));
        if values.iter().any(|value| *value != values[0]) {
            return Err(format!("half a batch: the shared keys are {values:?}"));
        }
        let before = SHARED.map(|key| self.ledger.base.get(key));
        let is_shared = |commit: &Commit| commit.beside == Beside::Shared;
        let mut shown = prefix.shown.iter().filter(|(_, commit)| is_shared(commit));
        if values == before {
            return match shown.next() {
                None => Ok(()),
                Some((writer, commit)) => Err(format!(
                    "half a batch: commit {} of writer {writer} is shown, but not in the shared keys",
                    commit.number
                )),
            };
        }
        let name = values[0].and_then(|value| counted(value));
        let all: Vec<_> = shown.collect();
        let last = all.iter().find(|(writer, commit)| {
            name.is_some_and(|name| (name.writer, name.number) == (*writer, commit.number))
        });
        let Some((_, last)) = last else {
            return Err(format!(
                "half a batch: the shared keys name {name:?}, which is not shown"
            ));
        };
        match all.iter().find(|(_, other)| other.called > last.answered) {
            None => Ok(()),
            Some((writer, other)) => Err(format!(
                "the shared keys name {name:?}, but commit {} of writer {writer} came later",
                other.number
            )),
        }
    }

    /// The counter names the last of those that raised it, each of which did so once (6).
    fn counter(&self, prefix: &Prefix<'_>, found: &Model) -> Result<(), String> {
        let count_of = |model: &Model| {
            let value = model.get(COUNTER).and_then(|value| counted(value));
            value.map_or(0, |name| name.count)
        };
        let count = count_of(found);
        let before = count_of(&self.ledger.base);
        let mut raised = std::collections::BTreeMap::new();
        for (writer, commit) in &prefix.shown {
            if let Beside::Count(count) = commit.beside
                && let Some(other) = raised.insert(count, (*writer, commit.number))
            {
                return Err(format!(
                    "the counter was raised to {count} twice: by writer {writer} with commit {}, \
                     and by {other:?}",
                    commit.number
                ));
            }
        }
        let expected: Vec<u64> = (before + 1..=count).collect();
        let by: Vec<u64> = raised.keys().copied().collect();
        if by != expected {
            return Err(format!(
                "the counter is {count} and was {before}, but was raised to {by:?}"
            ));
        }
        let name = found.get(COUNTER).and_then(|value| counted(value));
        let named = name.map(|name| (name.writer, name.number));
        match raised.get(&count) {
            Some(by) if Some(*by) != named => {
                Err(format!("the counter names {named:?}, but {by:?} raised it"))
            }
            _ => Ok(()),
        }
    }
}

/// The commits that are in a state, and those that are not, each with its writer.
#[derive(Debug, Default)]
struct Prefix<'a> {
    shown: Vec<(usize, &'a Commit)>,
    missing: Vec<(usize, &'a Commit)>,
}

impl<'a> Prefix<'a> {
    fn add(&mut self, writer: usize, commits: &'a [Commit], last: u64) {
        for commit in commits {
            if commit.number > last {
                self.missing.push((writer, commit));
            } else if commit.answer == Answer::Acknowledged || commit.number == last {
                self.shown.push((writer, commit));
            }
        }
    }
}

#[cfg(test)]
mod tests;
