//! Loom's models of the tickets: each runs in every interleaving that differs, with up to three
//! preemptions (`LOOM_MAX_PREEMPTIONS` asks for another bound).
//!
//! The code explored is the kernel itself, on loom's locks. Loom finds a deadlock where a wait would
//! never end. The work is a lane of attempts, which notes what it has done where loom sees it: an
//! Ok is held against that. The last model is the fault that this module is there for, and shows that
//! such a model notices.

use std::time::Duration;

use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The attempt with this number failed.
    Attempt(u64),
    /// The end came while it was waited for.
    End,
    /// The end had come.
    Ended,
    Abandoned,
}

type Told = Answer<Trouble>;

/// A lane of work with its tickets. Ordinal by ordinal is done, by attempts that are told to fail.
struct Store {
    tickets: Arc<Tickets<Trouble, LoomSync>>,
    /// The ordinals up to this one are done. Relaxed: what orders it is the kernel.
    done_through: AtomicU64,
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            tickets: Arc::default(),
            done_through: AtomicU64::new(0),
        })
    }

    /// Makes attempts, the first with number 1: does the next ordinal, or fails at it.
    fn work(&self, attempts: &[bool]) {
        for (number, succeeds) in (1..).zip(attempts) {
            let ordinal = self.done_through.load(Ordering::Relaxed) + 1;
            if *succeeds {
                self.done_through.store(ordinal, Ordering::Relaxed);
                self.tickets.succeeded(ordinal);
            } else {
                self.tickets.failed(ordinal, &Trouble::Attempt(number));
            }
        }
    }

    /// Takes a ticket and waits; an Ok is true, and a caller that is told it sees what was done.
    fn wait_for(&self, ordinal: u64) -> Told {
        self.told(ordinal, self.tickets.take(ordinal).wait())
    }

    fn told(&self, ordinal: u64, told: Told) -> Told {
        if told.is_ok() {
            let done_through = self.done_through.load(Ordering::Relaxed);
            assert!(done_through >= ordinal, "told Ok for what was never done");
        }
        told
    }

    /// What only holds once all are answered.
    fn ended(&self) {
        let state = self.tickets.state.lock().unwrap();
        assert!(state.outstanding.is_empty(), "a ticket was forgotten");
    }
}

/// A thread that makes `attempts`.
fn lane(store: &Arc<Store>, attempts: &'static [bool]) -> thread::JoinHandle<()> {
    let store = Arc::clone(store);
    thread::spawn(move || store.work(attempts))
}

fn waiter(store: &Arc<Store>, ordinal: u64) -> thread::JoinHandle<Told> {
    let store = Arc::clone(store);
    thread::spawn(move || store.wait_for(ordinal))
}

#[test]
fn each_waits_for_its_own_and_no_wake_up_is_lost() {
    explore(|| {
        let store = Store::new();
        let (lane, other) = (lane(&store, &[true, true]), waiter(&store, 1));
        assert_eq!(store.wait_for(2), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        lane.join().unwrap();
        store.ended();
    });
}

/// The ticket may be taken before the failure or after it, and is told the failure or the truth.
#[test]
fn of_a_failure_and_the_success_behind_it_a_ticket_is_told_one_and_what_is_told_is_so() {
    explore(|| {
        let store = Store::new();
        let (lane, other) = (lane(&store, &[false, true, true]), waiter(&store, 1));
        for told in [store.wait_for(2), other.join().unwrap()] {
            assert!(
                matches!(told, Ok(()) | Err(Trouble::Attempt(1))),
                "{told:?}"
            );
        }
        lane.join().unwrap();
        store.ended();
    });
}

#[test]
fn a_ticket_that_was_taken_before_an_attempt_is_told_its_failure() {
    explore(|| {
        let store = Store::new();
        let (second, first) = (store.tickets.take(2), store.tickets.take(1));
        let lane = lane(&store, &[true, false, true]);
        assert_eq!(store.told(2, second.wait()), Err(Trouble::Attempt(2)));
        assert_eq!(store.told(1, first.wait()), Ok(()));
        lane.join().unwrap();
        store.ended();
    });
}

#[test]
fn what_is_failing_is_told_and_not_waited_for() {
    explore(|| {
        let store = Store::new();
        let lane = lane(&store, &[false, true]);
        let ticket = store.tickets.take_unless_failing(1);
        let told = store.told(1, ticket.wait());
        assert!(
            matches!(told, Ok(()) | Err(Trouble::Attempt(1))),
            "{told:?}"
        );
        lane.join().unwrap();
        store.ended();
    });
}

/// As when the handle is poisoned, or closes, at any moment: nothing waits for ever, in whichever
/// order the end comes with the attempts and with what takes tickets.
#[test]
fn the_end_answers_whoever_waits_and_whoever_comes() {
    explore(|| {
        let store = Store::new();
        let other = waiter(&store, 2);
        let tickets = Arc::clone(&store.tickets);
        let end = thread::spawn(move || tickets.end(&Trouble::End, Trouble::Ended));
        store.work(&[true]);
        let late = store.wait_for(2);
        assert!(
            matches!(late, Err(Trouble::End | Trouble::Ended)),
            "{late:?}"
        );
        let told = other.join().unwrap();
        assert!(
            matches!(told, Err(Trouble::End | Trouble::Ended)),
            "{told:?}"
        );
        end.join().unwrap();
        assert_eq!(store.wait_for(1), Ok(()));
        assert_eq!(store.wait_for(2), Err(Trouble::Ended));
        store.ended();
    });
}

/// An attempt that fails for good ends everything by its own error, and then reports that.
#[test]
fn of_two_that_answer_one_does() {
    explore(|| {
        let store = Store::new();
        let (promise, piece) = store.tickets.promise(Trouble::Abandoned);
        let ticket = store.tickets.take(1);
        let tickets = Arc::clone(&store.tickets);
        let end = thread::spawn(move || tickets.end(&Trouble::End, Trouble::Ended));
        let done = Arc::new(AtomicBool::new(false));
        let work = {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            thread::spawn(move || {
                store.work(&[false]);
                done.store(true, Ordering::Relaxed);
                promise.answer(&Ok(()));
            })
        };
        let told = ticket.wait();
        assert!(
            matches!(told, Err(Trouble::End | Trouble::Attempt(1))),
            "{told:?}"
        );
        let told = piece.wait();
        assert!(matches!(told, Ok(()) | Err(Trouble::End)), "{told:?}");
        assert!(told.is_err() || done.load(Ordering::Relaxed));
        end.join().unwrap();
        work.join().unwrap();
        store.ended();
    });
}

#[test]
fn a_promise_that_is_dropped_leaves_nothing_waiting() {
    explore(|| {
        let store = Store::new();
        let (promise, piece) = store.tickets.promise(Trouble::Abandoned);
        let gone = thread::spawn(move || drop(promise));
        assert_eq!(piece.wait(), Err(Trouble::Abandoned));
        gone.join().unwrap();
        store.ended();
    });
}

/// A wait as it was before there were tickets: woken by the number of failures, it asked for the
/// latest of them, which a success had cleared, and then whether the store was in order.
#[test]
#[should_panic(expected = "told Ok for what was never done")]
fn a_wait_that_is_woken_by_one_thing_and_asks_another_is_found_out() {
    explore(|| {
        let store = Store::new();
        // The ordinal done, the number of failures, the latest failure.
        let books = Arc::new((Mutex::new((0, 0, None)), Condvar::new()));
        let lane = {
            let (store, books) = (Arc::clone(&store), Arc::clone(&books));
            thread::spawn(move || {
                *books.0.lock().unwrap() = (0, 1, Some(Trouble::Attempt(1)));
                books.1.notify_all();
                store.done_through.store(1, Ordering::Relaxed);
                *books.0.lock().unwrap() = (1, 1, None);
                books.1.notify_all();
            })
        };
        let mut book = books.0.lock().unwrap();
        while book.0 < 2 && book.1 == 0 {
            book = books.1.wait(book).unwrap();
        }
        drop(book);
        let latest = books.0.lock().unwrap().2;
        store.told(2, latest.map_or(Ok(()), Err)).unwrap_err();
        lane.join().unwrap();
    });
}
