//! Loom's models of the commit queue: each runs in every interleaving that differs, with up to
//! three preemptions (`LOOM_MAX_PREEMPTIONS` asks for another bound).
//!
//! The code explored is the queue itself, on loom's locks. Loom finds a deadlock where a thread
//! would wait for ever, and a data race where two leaders would lead at once or one would not see
//! what the one before it did. Time does not pass: a wait ends by a notification only.
//!
//! A panic can't unwind through loom's locks, so its models drop by hand, in the same order, what
//! unwinding would drop.

use std::time::Duration;

use loom::cell::Cell;
use loom::sync::{Condvar, Mutex, MutexGuard};
use loom::thread;

use super::*;

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(model);
}

struct LoomSync;

impl SyncShim for LoomSync {
    type Mutex<T> = Mutex<T>;
    type Guard<'a, T: 'a> = MutexGuard<'a, T>;
    type Condvar = Condvar;

    fn mutex<T>(value: T) -> Mutex<T> {
        Mutex::new(value)
    }

    fn condvar() -> Condvar {
        Condvar::new()
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    fn wait<'a, T: 'a>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap()
    }

    fn wait_timeout<'a, T: 'a>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _timeout: Duration,
    ) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap()
    }

    fn notify_one(condvar: &Condvar) {
        condvar.notify_one();
    }

    /// One look while others run: more differ only in when they happen.
    fn pause(turn: u32) -> bool {
        let again = turn == 0;
        if again {
            thread::yield_now();
        }
        again
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SyncFailed;

type Answer = Result<u32, SyncFailed>;

/// A queue, and what its leaders do to what only they may touch: loom's cells have no lock, and
/// tell when two threads use them without one having waited for the other.
struct Store<S: SyncShim> {
    queue: CommitQueue<u32, Answer, S>,
    /// What was committed, as decimal digits in their order.
    published: Cell<u32>,
    group_count: Cell<u32>,
}

impl<S: SyncShim + 'static> Store<S> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: CommitQueue::default(),
            published: Cell::new(0),
            group_count: Cell::new(0),
        })
    }

    /// Whose waiters look for their answers before they sleep.
    fn new_quick() -> Arc<Self> {
        let store = Self::new();
        store.queue.lock().soon = true;
        store
    }

    /// Commits what waits, at most `len` items. An item's answer is ten times the item.
    fn commit(&self, mut lead: Lead<'_, u32, Answer, S>, len: usize) {
        let mut room = len;
        lead.gather(|_| {
            let fits = room > 0;
            room = room.saturating_sub(1);
            fits
        });
        let add = |digits, item: &u32| digits * 10 + item;
        self.published
            .set(lead.items().iter().fold(self.published.get(), add));
        self.group_count.set(self.group_count.get() + 1);
        let answers: Vec<Answer> = lead.items().iter().map(|item| Ok(item * 10)).collect();
        lead.complete(answers);
    }

    fn submit(&self, item: u32, len: usize) -> Result<Answer, Abandoned> {
        self.queue.submit(item, |lead| self.commit(lead, len))
    }

    /// What only holds once all are answered. Returns what was published.
    fn ended(&self) -> u32 {
        assert!(self.queue.try_lead().is_none());
        let state = self.queue.lock();
        assert!(state.waiting.is_empty(), "somebody was forgotten");
        assert!(!state.leading, "the last leader did not let go");
        self.published.get()
    }
}

/// A thread that submits `item`.
fn writer<S: SyncShim + 'static>(
    store: &Arc<Store<S>>,
    item: u32,
    len: usize,
) -> thread::JoinHandle<Result<Answer, Abandoned>> {
    let store = Arc::clone(store);
    thread::spawn(move || store.submit(item, len))
}

fn has(published: u32, item: u32) -> bool {
    published.to_string().contains(&item.to_string())
}

#[test]
fn leadership_changes_and_each_is_answered_for_its_own() {
    for new in [Store::<LoomSync>::new, Store::new_quick] {
        explore(move || {
            let store = new();
            let other = writer(&store, 1, 1);
            assert_eq!(store.submit(2, 1), Ok(Ok(20)));
            assert_eq!(other.join().unwrap(), Ok(Ok(10)));
            assert!(matches!(store.ended(), 12 | 21));
            assert_eq!(store.group_count.get(), 2);
        });
    }
}

#[test]
fn of_three_nobody_is_lost_whoever_leads_whom() {
    of_three_nobody_is_lost(Store::new);
}

#[test]
fn of_three_that_look_before_they_sleep_nobody_is_lost() {
    of_three_nobody_is_lost(Store::new_quick);
}

fn of_three_nobody_is_lost(new: fn() -> Arc<Store<LoomSync>>) {
    explore(move || {
        let store = new();
        let others = [writer(&store, 1, 2), writer(&store, 2, 2)];
        assert_eq!(store.submit(3, 2), Ok(Ok(30)));
        for (other, answer) in others.into_iter().zip([10, 20]) {
            assert_eq!(other.join().unwrap(), Ok(Ok(answer)));
        }
        let published = store.ended();
        assert!((100..1_000).contains(&published), "{published}");
        assert!((1..=3).all(|item| has(published, item)));
        assert!((2..=3).contains(&store.group_count.get()));
    });
}

#[test]
fn items_are_taken_in_the_order_of_their_arrival_and_a_ticket_never_leads() {
    explore(|| {
        let store = Store::<LoomSync>::new();
        let other = Arc::clone(&store);
        let other = thread::spawn(move || {
            let ticket = other.queue.enqueue(1);
            assert_eq!(other.submit(3, 1), Ok(Ok(30)));
            assert_eq!(ticket.wait(), Ok(Ok(10)));
        });
        assert_eq!(store.submit(2, 1), Ok(Ok(20)));
        other.join().unwrap();
        assert!(matches!(store.ended(), 123 | 132 | 213));
    });
}

#[test]
fn a_writer_that_comes_back_meets_no_leadership_left_behind() {
    for new in [Store::<LoomSync>::new, Store::new_quick] {
        explore(move || {
            let store = new();
            let other = writer(&store, 3, 2);
            assert_eq!(store.submit(1, 2), Ok(Ok(10)));
            assert_eq!(store.submit(2, 2), Ok(Ok(20)));
            assert_eq!(other.join().unwrap(), Ok(Ok(30)));
            assert!(matches!(store.ended(), 123 | 132 | 312));
        });
    }
}

#[test]
fn a_failed_sync_is_answered_to_the_whole_group_and_nothing_of_it_is_published() {
    // The first group fails, whoever is in it.
    fn fail_first(store: &Store<LoomSync>, mut lead: Lead<'_, u32, Answer, LoomSync>) {
        if store.group_count.get() > 0 {
            return store.commit(lead, 2);
        }
        let len = lead.gather(|_| true);
        store.group_count.set(1);
        store.published.set(store.published.get());
        lead.complete((0..len).map(|_| Err(SyncFailed)));
    }
    explore(|| {
        let store = Store::<LoomSync>::new();
        let other = Arc::clone(&store);
        let other = thread::spawn(move || other.queue.submit(1, |lead| fail_first(&other, lead)));
        let mine = store.queue.submit(2, |lead| fail_first(&store, lead));
        let answers = [other.join().unwrap(), mine];
        let published = store.ended();
        for (answer, item) in answers.into_iter().zip([1, 2]) {
            let wanted = match has(published, item) {
                true => Ok(item * 10),
                false => Err(SyncFailed),
            };
            assert_eq!(answer, Ok(wanted));
        }
        // A group of both, or one of each.
        let failed = answers.map(|answer| u32::from(answer == Ok(Err(SyncFailed))));
        assert_eq!(failed.iter().sum::<u32>(), 3 - store.group_count.get());
    });
}

#[test]
fn members_of_a_group_whose_leader_gives_up_are_told_and_the_others_go_on() {
    explore(|| {
        let store = Store::<LoomSync>::new();
        let other = Arc::clone(&store);
        let other = thread::spawn(move || {
            other.queue.submit(1, |mut lead| {
                lead.gather(|_| true);
            })
        });
        let answers = [store.submit(2, 2), other.join().unwrap()];
        let published = store.ended();
        for (answer, item) in answers.into_iter().zip([2, 1]) {
            let wanted = has(published, item).then_some(Ok(item * 10));
            assert_eq!(answer, wanted.ok_or(Abandoned));
        }
    });
}

#[test]
fn leadership_handed_to_a_writer_that_panics_is_handed_on() {
    for new in [Store::<LoomSync>::new, Store::new_quick] {
        explore(move || leadership_is_handed_on(new()));
    }
}

fn leadership_is_handed_on(store: Arc<Store<LoomSync>>) {
    let early = store.queue.enqueue(1);
    let other = Arc::clone(&store);
    let other = thread::spawn(move || {
        let mut submission = other.queue.enter(2);
        if let Turn::Lead(mut lead) = submission.wait() {
            lead.gather(|_| false);
            // Its own item still waits, so it is handed leadership again, and leaves.
            drop(lead);
        }
    });
    assert_eq!(store.submit(3, 1), Ok(Ok(30)));
    other.join().unwrap();
    match early.wait() {
        Ok(answer) => assert_eq!((answer, store.ended()), (Ok(10), 13)),
        Err(Abandoned) => assert_eq!(store.ended(), 3),
    }
}

#[test]
fn a_writer_that_panics_before_it_gathers_takes_its_item_along() {
    explore(|| {
        let store = Store::<LoomSync>::new();
        let other = Arc::clone(&store);
        let other = thread::spawn(move || {
            let mut submission = other.queue.enter(1);
            match submission.wait() {
                Turn::Lead(lead) => {
                    drop(lead);
                    false
                }
                Turn::Answered(answer) => {
                    assert_eq!(answer, Ok(Ok(10)));
                    true
                }
            }
        });
        assert_eq!(store.submit(2, 2), Ok(Ok(20)));
        let is_answered = other.join().unwrap();
        assert_eq!(has(store.ended(), 1), is_answered);
    });
}

#[test]
fn a_lingering_leader_is_woken_by_the_arrival_it_waits_for() {
    explore(|| {
        let store = Store::<LoomSync>::new();
        let other = writer(&store, 1, 2);
        let mine = store.queue.submit(2, |mut lead| {
            // Time stands still: a wake-up that is lost is a deadlock.
            if store.group_count.get() == 0 {
                assert!(lead.linger(2, Duration::MAX));
            }
            store.commit(lead, 2);
        });
        assert_eq!(mine, Ok(Ok(20)));
        assert_eq!(other.join().unwrap(), Ok(Ok(10)));
        store.ended();
    });
}

#[test]
fn a_queue_that_is_dropped_answers_who_waits() {
    explore(|| {
        let queue = CommitQueue::<u32, Answer, LoomSync>::default();
        let ticket = queue.enqueue(1);
        let waiting = thread::spawn(move || ticket.wait());
        drop(queue);
        assert_eq!(waiting.join().unwrap(), Err(Abandoned));
    });
}

/// Loom's primitives, with a condition variable that wakes nobody; who waits looks before it sleeps.
struct Deaf;

impl SyncShim for Deaf {
    type Mutex<T> = Mutex<T>;
    type Guard<'a, T: 'a> = MutexGuard<'a, T>;
    type Condvar = Condvar;

    fn mutex<T>(value: T) -> Mutex<T> {
        LoomSync::mutex(value)
    }

    fn condvar() -> Condvar {
        LoomSync::condvar()
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        LoomSync::lock(mutex)
    }

    fn wait<'a, T: 'a>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        LoomSync::wait(condvar, guard)
    }

    fn wait_timeout<'a, T: 'a>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> MutexGuard<'a, T> {
        LoomSync::wait_timeout(condvar, guard, timeout)
    }

    fn notify_one(_condvar: &Condvar) {}

    fn pause(turn: u32) -> bool {
        LoomSync::pause(turn)
    }
}

fn lose_a_wake_up(new: fn() -> Arc<Store<Deaf>>) {
    explore(move || {
        let store = new();
        let other = writer(&store, 1, 1);
        assert_eq!(store.submit(2, 1), Ok(Ok(20)));
        assert_eq!(other.join().unwrap(), Ok(Ok(10)));
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_models_notice_a_wake_up_that_is_lost() {
    lose_a_wake_up(Store::new);
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_models_notice_a_wake_up_that_is_lost_by_who_looked_first() {
    lose_a_wake_up(Store::new_quick);
}
