//! Group commit: many threads submit, one of them at a time leads, and the others are answered.
//!
//! Called by [`Wal`](crate::Wal) and by engines with a commit path of their own. Never does I/O,
//! never reads a clock, and holds no lock while a leader works.
//!
//! Threads: any number of submitters; at most one holds the [`Lead`]. Lock order: the queue's
//! state, then a slot; a slot's lock is never held while another is taken.
//!
//! Invariants:
//! 1. `leading` is true exactly while a `Lead` exists that has not been completed, or leadership has
//!    been handed to a submitter that waits.
//! 2. Items are taken in the order in which they were enqueued.
//! 3. Every item taken is answered once, by its leader or, if that panics, with [`Abandoned`].
//! 4. When a `Lead` ends while submitters wait, the first of them becomes the leader: no waiting
//!    submitter is forgotten, and at most that one is woken for it. That comes before the answers, so
//!    the next group need not wait for the last one's threads to be woken.

#[cfg(test)]
mod models;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::sync::{StdSync, SyncShim};
pub use slot::Ticket;
use slot::{Answer, Slot};

/// A queue whose waiting items are committed in groups, by one of the threads that wait.
///
/// While a leader writes and syncs, the next group gathers. `T` is what is submitted, `R` the
/// answer to one item. `S` is what it locks and waits with: leave it out.
///
/// ```
/// use lsm_wal::CommitQueue;
/// let queue: CommitQueue<u32, u32> = CommitQueue::new();
/// let early = queue.enqueue(1);
/// let answer = queue.submit(2, |mut lead| {
///     lead.gather(|_| true);
///     assert_eq!(lead.items(), [1, 2]);
///     let answers: Vec<u32> = lead.items().iter().map(|item| item * 10).collect();
///     lead.complete(answers);
/// });
/// assert_eq!(answer, Ok(20));
/// assert_eq!(early.wait(), Ok(10));
/// ```
pub struct CommitQueue<T, R, S: SyncShim = StdSync> {
    state: S::Mutex<State<T, R, S>>,
    /// Signalled when enough items wait for a lingering leader.
    arrivals: S::Condvar,
}

struct State<T, R, S: SyncShim> {
    waiting: VecDeque<Waiting<T, R, S>>,
    leading: bool,
    /// How many waiting items a lingering leader wants to be woken for.
    wanted: Option<usize>,
    /// How many items were answered or waiting when the last group was complete.
    cohort_len: usize,
    /// What was last foretold.
    soon: bool,
}

struct Waiting<T, R, S: SyncShim> {
    item: T,
    slot: Arc<Slot<R, S>>,
    /// Whether its owner is in [`CommitQueue::submit`] and so able to lead.
    can_lead: bool,
}

/// The leader of an item's group ended without an answer (it panicked), or the queue was dropped
/// before anyone led. What became of the item is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the commit group was abandoned by its leader")]
pub struct Abandoned;

impl<T, R> CommitQueue<T, R> {
    /// An empty queue without a leader. (With other primitives than the standard library's it is
    /// made by `default`.)
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<T, R, S: SyncShim> CommitQueue<T, R, S> {
    /// Adds an item and returns at once. Somebody else has to lead: a [`submit`](Self::submit) or
    /// a [`try_lead`](Self::try_lead).
    pub fn enqueue(&self, item: T) -> Ticket<R, S> {
        let slot = Arc::new(Slot::new());
        self.push(&mut self.lock(), item, &slot, false);
        Ticket { slot }
    }

    /// Becomes the leader; `None` if somebody leads already or nothing waits.
    pub fn try_lead(&self) -> Option<Lead<'_, T, R, S>> {
        let mut state = self.lock();
        if state.leading || state.waiting.is_empty() {
            return None;
        }
        Some(self.lead(&mut state))
    }

    /// Adds an item and returns its answer. Whenever this thread is the one to lead, it calls
    /// `commit`, which must [`gather`](Lead::gather) and then [`complete`](Lead::complete); the
    /// group then starts with the item that waits longest, which need not be this one.
    ///
    /// # Errors
    /// [`Abandoned`] if the leader of the item's group ended without answering it.
    pub fn submit(
        &self,
        item: T,
        mut commit: impl FnMut(Lead<'_, T, R, S>),
    ) -> Result<R, Abandoned> {
        let mut submission = self.enter(item);
        loop {
            match submission.wait() {
                Turn::Lead(lead) => commit(lead),
                Turn::Answered(answer) => return answer,
            }
        }
    }

    /// The number of items that wait to be taken into a group.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether who submits now expects to be answered soon: what was last
    /// [foretold](Lead::foretell).
    #[must_use]
    pub fn answers_soon(&self) -> bool {
        self.lock().soon
    }

    fn enter(&self, item: T) -> Submission<'_, T, R, S> {
        let slot = Arc::new(Slot::new());
        let mut state = self.lock();
        self.push(&mut state, item, &slot, true);
        Submission {
            queue: self,
            slot,
            soon: state.soon,
            lead: (!state.leading).then(|| self.lead(&mut state)),
            is_answered: false,
        }
    }

    fn push(&self, state: &mut State<T, R, S>, item: T, slot: &Arc<Slot<R, S>>, can_lead: bool) {
        state.waiting.push_back(Waiting {
            item,
            slot: Arc::clone(slot),
            can_lead,
        });
        if state
            .wanted
            .is_some_and(|wanted| state.waiting.len() >= wanted)
        {
            state.wanted = None;
            S::notify_one(&self.arrivals);
        }
    }

    fn lead(&self, state: &mut State<T, R, S>) -> Lead<'_, T, R, S> {
        state.leading = true;
        Lead {
            queue: self,
            items: SmallVec::new(),
            slots: SmallVec::new(),
            cohort_len: state.cohort_len,
            soon: state.soon,
            answered: 0,
            leads: true,
        }
    }

    fn lock(&self) -> S::Guard<'_, State<T, R, S>> {
        // Nothing is half-changed when a `fits` panics under the lock, so poison tells nothing.
        S::lock(&self.state)
    }
}

impl<T, R, S: SyncShim> State<T, R, S> {
    /// Passes leadership on (invariants 1 and 4). The slot is filled under the state's lock, so
    /// that a submitter that gives up sees either its item or its leadership.
    fn pass_on(&mut self) {
        match self.waiting.iter().find(|waiting| waiting.can_lead) {
            Some(next) => next.slot.put(Answer::Lead),
            None => self.leading = false,
        }
    }
}

/// A submitter's stay in the queue. If it ends without the answer (`commit` panicked), its item is
/// taken back: it must not be handed leadership that nobody would exercise.
struct Submission<'q, T, R, S: SyncShim> {
    queue: &'q CommitQueue<T, R, S>,
    slot: Arc<Slot<R, S>>,
    /// What was foretold when it came.
    soon: bool,
    /// It found nobody leading.
    lead: Option<Lead<'q, T, R, S>>,
    is_answered: bool,
}

/// What a submitter waits for.
enum Turn<'q, T, R, S: SyncShim> {
    Lead(Lead<'q, T, R, S>),
    Answered(Result<R, Abandoned>),
}

impl<'q, T, R, S: SyncShim> Submission<'q, T, R, S> {
    fn wait(&mut self) -> Turn<'q, T, R, S> {
        if let Some(lead) = self.lead.take() {
            return Turn::Lead(lead);
        }
        match self.slot.wait(self.soon) {
            Some(answer) => {
                self.is_answered = true;
                Turn::Answered(answer)
            }
            // Invariant 4: leadership was handed to this thread; `leading` is still true.
            None => Turn::Lead(self.queue.lead(&mut self.queue.lock())),
        }
    }
}

impl<T, R, S: SyncShim> Drop for Submission<'_, T, R, S> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let mut state = self.queue.lock();
        state
            .waiting
            .retain(|waiting| !Arc::ptr_eq(&waiting.slot, &self.slot));
        let leads = matches!(*self.slot.lock(), Answer::Lead);
        if leads {
            state.pass_on();
        }
    }
}

impl<T, R, S: SyncShim> Default for CommitQueue<T, R, S> {
    fn default() -> Self {
        Self {
            state: S::mutex(State {
                waiting: VecDeque::new(),
                leading: false,
                wanted: None,
                cohort_len: 0,
                soon: false,
            }),
            arrivals: S::condvar(),
        }
    }
}

impl<T, R, S: SyncShim> Drop for CommitQueue<T, R, S> {
    fn drop(&mut self) {
        for waiting in self.lock().waiting.drain(..) {
            waiting.slot.put(Answer::Ready(Err(Abandoned)));
        }
    }
}

impl<T, R, S: SyncShim> fmt::Debug for CommitQueue<T, R, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        formatter
            .debug_struct("CommitQueue")
            .field("waiting", &state.waiting.len())
            .field("leading", &state.leading)
            .finish_non_exhaustive()
    }
}

/// The right to commit the next group. Only one exists per queue that is not completed.
///
/// Dropping it without [`complete`](Self::complete) answers its members with [`Abandoned`]; either
/// way leadership passes on first.
pub struct Lead<'q, T, R, S: SyncShim = StdSync> {
    queue: &'q CommitQueue<T, R, S>,
    /// Of a lone submitter, most often.
    items: SmallVec<[T; 1]>,
    slots: SmallVec<[Arc<Slot<R, S>>; 1]>,
    /// As the leader before left it.
    cohort_len: usize,
    /// What was last foretold, by this leader or one before.
    soon: bool,
    /// How many of `slots` have their answer.
    answered: usize,
    /// Whether leadership has not been passed on yet.
    leads: bool,
}

impl<T, R, S: SyncShim> Lead<'_, T, R, S> {
    /// Takes waiting items into the group, in order, while `fits` accepts them; the group's first
    /// is taken whatever `fits` says (it is asked all the same). Returns the group's size.
    ///
    /// `fits` runs under the queue's lock: keep it short. May be called again to take more.
    pub fn gather(&mut self, mut fits: impl FnMut(&T) -> bool) -> usize {
        let mut state = self.queue.lock();
        // At once, as all who submit wait for this lock.
        self.items.reserve(state.waiting.len());
        self.slots.reserve(state.waiting.len());
        while let Some(next) = state.waiting.front() {
            if !fits(&next.item) && !self.slots.is_empty() {
                break;
            }
            if let Some(Waiting { item, slot, .. }) = state.waiting.pop_front() {
                self.items.push(item);
                self.slots.push(slot);
            }
        }
        self.slots.len()
    }

    /// Waits, at most for `timeout`, until `count` items wait; returns whether they do.
    ///
    /// Without this, `k` threads that write in a loop fall into two alternating groups of `k − 1`
    /// and 1: whoever leads next finds only itself waiting, the others having just been answered.
    /// [`cohort_len`](Self::cohort_len) says how many they are together, and
    /// [`GroupPacer`](crate::GroupPacer) how long it pays to wait for them.
    pub fn linger(&mut self, count: usize, timeout: Duration) -> bool {
        let mut state = self.queue.lock();
        if state.waiting.len() < count && !timeout.is_zero() {
            state.wanted = Some(count);
            // Waking up early for no reason only ends the wait, so there is no loop.
            state = S::wait_timeout(&self.queue.arrivals, state, timeout);
            state.wanted = None;
        }
        state.waiting.len() >= count
    }

    /// The number of items that wait and were not taken into the group.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.queue.lock().waiting.len()
    }

    /// How many items were answered or waiting when the group before this one was complete: as
    /// many will soon wait, if those who submit do so in a loop.
    #[must_use]
    pub fn cohort_len(&self) -> usize {
        self.cohort_len
    }

    /// Says whether this group, and those to come, are answered within some microseconds, as without a
    /// sync: then who submits from now on looks for its answer a while before it sleeps. Holds until a
    /// leader says otherwise; until one has spoken, who waits sleeps at once. To be said once the group
    /// is gathered. Tickets are always waited for asleep.
    ///
    /// To sleep and be woken takes longer than a group that only copies memory: two threads that
    /// submitted in turns would spend most of their time on it. But who stays awake during a sync takes
    /// a processor from others for nothing.
    pub fn foretell(&mut self, soon: bool) {
        if self.soon != soon {
            self.soon = soon;
            self.queue.lock().soon = soon;
        }
    }

    /// The group's items, in order.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// The group's items, to be changed in place.
    pub fn items_mut(&mut self) -> &mut [T] {
        &mut self.items
    }

    /// Takes the group's items out, in order; they are still answered by
    /// [`complete`](Self::complete).
    pub fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.items).into_vec()
    }

    /// Passes leadership on, then answers the group's members in order. Members for whom there is no
    /// answer get [`Abandoned`].
    pub fn complete(mut self, answers: impl IntoIterator<Item = R>) {
        let mut answers = answers.into_iter();
        self.pass_on();
        // If the iterator panics, dropping `self` answers the rest.
        while self.answered < self.slots.len() {
            let answer = answers.next().ok_or(Abandoned);
            self.answer_next(answer);
        }
    }

    /// Before any member is answered: to wake one is a system call, after which the processor may be
    /// another's for a while, and nobody shall wait for a leader that has nothing left to commit.
    fn pass_on(&mut self) {
        let mut state = self.queue.lock();
        state.cohort_len = self.slots.len() + state.waiting.len();
        state.pass_on();
        self.leads = false;
    }

    fn answer_next(&mut self, answer: Result<R, Abandoned>) {
        if let Some(slot) = self.slots.get(self.answered) {
            slot.put(Answer::Ready(answer));
        }
        self.answered += 1;
    }
}

impl<T, R, S: SyncShim> Drop for Lead<'_, T, R, S> {
    fn drop(&mut self) {
        if self.leads {
            self.pass_on();
        }
        while self.answered < self.slots.len() {
            self.answer_next(Err(Abandoned));
        }
    }
}

impl<T: fmt::Debug, R, S: SyncShim> fmt::Debug for Lead<'_, T, R, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Lead")
            .field("items", &self.items)
            .finish_non_exhaustive()
    }
}
