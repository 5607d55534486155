//! The commit queue: order, leadership, and what a panicking leader leaves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use super::*;

type Queue = CommitQueue<u64, u64>;

fn answer_all<S: SyncShim>(mut lead: Lead<'_, u64, u64, S>) {
    lead.gather(|_| true);
    let answers: Vec<u64> = lead.items().iter().map(|item| item + 100).collect();
    lead.complete(answers);
}

#[test]
fn a_stepped_leader_takes_a_prefix_in_order() {
    let queue = Queue::new();
    assert!(queue.try_lead().is_none(), "nothing waits");
    let tickets: Vec<Ticket<u64>> = (0..5).map(|item| queue.enqueue(item)).collect();
    let mut lead = queue.try_lead().unwrap();
    assert!(queue.try_lead().is_none(), "somebody leads");
    let mut room = 3;
    let taken = lead.gather(|_| {
        room -= 1;
        room >= 0
    });
    assert_eq!((taken, lead.items()), (3, &[0, 1, 2][..]));
    assert_eq!(lead.waiting_count(), 2);
    lead.items_mut()[0] = 9;
    assert_eq!(lead.take(), [9, 1, 2]);
    assert!(tickets[0].try_take().is_none());
    lead.complete([10, 11, 12]);
    assert_eq!(tickets[2].try_take(), Some(Ok(12)));
    assert_eq!(tickets[2].try_take(), None, "an answer is given once");
    assert_eq!(tickets[3].try_take(), None);
    answer_all(queue.try_lead().unwrap());
    let answers: Vec<_> = tickets
        .into_iter()
        .map(|ticket| ticket.try_take())
        .collect();
    assert_eq!(
        answers,
        [
            Some(Ok(10)),
            Some(Ok(11)),
            None,
            Some(Ok(103)),
            Some(Ok(104))
        ]
    );
}

#[test]
fn the_first_item_is_taken_whatever_fits_says_and_more_can_be_gathered() {
    let queue = Queue::new();
    let _tickets = [queue.enqueue(1), queue.enqueue(2), queue.enqueue(3)];
    let mut lead = queue.try_lead().unwrap();
    assert_eq!(lead.gather(|_| false), 1);
    assert_eq!(lead.gather(|&item| item < 3), 2);
    assert_eq!(lead.items(), [1, 2]);
}

#[test]
fn members_without_an_answer_and_items_of_a_dropped_queue_are_abandoned() {
    let queue = Queue::new();
    let tickets = [queue.enqueue(1), queue.enqueue(2)];
    let mut lead = queue.try_lead().unwrap();
    lead.gather(|_| true);
    lead.complete([7]);
    let [first, second] = tickets;
    assert_eq!((first.wait(), second.wait()), (Ok(7), Err(Abandoned)));
    let late = queue.enqueue(3);
    drop(queue);
    assert_eq!(late.wait(), Err(Abandoned));
}

#[test]
fn a_panicking_leader_abandons_its_group_only_and_the_queue_goes_on() {
    let queue = Queue::new();
    let early = queue.enqueue(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        queue.submit(2, |mut lead| {
            lead.gather(|_| false);
            panic!("a defect in the commit path");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(early.wait(), Err(Abandoned));
    // The panicking thread's own item went with it: nobody could have been told the answer.
    assert_eq!(queue.waiting_count(), 0);
    assert_eq!(queue.submit(3, answer_all), Ok(103));
}

#[test]
fn leadership_is_passed_on_before_anybody_is_answered() {
    let queue: CommitQueue<u64, u64> = CommitQueue::new();
    let first = queue.enqueue(1);
    let mut lead = queue.try_lead().unwrap();
    lead.gather(|_| true);
    let second = queue.enqueue(2);
    assert!(queue.try_lead().is_none());
    // The next group is committed while this one is being answered.
    lead.complete(std::iter::once_with(|| {
        answer_all(queue.try_lead().unwrap());
        assert!(first.try_take().is_none());
        10
    }));
    assert_eq!(second.wait(), Ok(102));
    assert_eq!(first.wait(), Ok(10));
}

#[test]
fn a_panic_among_the_answers_abandons_the_rest() {
    let queue = Queue::new();
    let tickets = [queue.enqueue(1), queue.enqueue(2)];
    let mut lead = queue.try_lead().unwrap();
    lead.gather(|_| true);
    let answers = (0..).map(|n| if n == 0 { 5 } else { panic!("no answer") });
    assert!(catch_unwind(AssertUnwindSafe(|| lead.complete(answers))).is_err());
    let [first, second] = tickets;
    assert_eq!((first.wait(), second.wait()), (Ok(5), Err(Abandoned)));
    assert_eq!(queue.submit(3, answer_all), Ok(103));
}

#[test]
fn a_submitter_leads_again_until_its_own_item_is_in_a_group() {
    let queue = Queue::new();
    let early = [queue.enqueue(1), queue.enqueue(2)];
    let mut groups = Vec::new();
    let answer = queue.submit(3, |mut lead| {
        lead.gather(|_| false);
        groups.push(lead.items().to_vec());
        let item = lead.items()[0];
        lead.complete([item]);
    });
    assert_eq!((answer, groups), (Ok(3), vec![vec![1], vec![2], vec![3]]));
    assert_eq!(early.map(Ticket::wait), [Ok(1), Ok(2)]);
}

#[test]
fn a_group_gathers_while_a_leader_works_and_leadership_is_handed_to_its_first() {
    let queue = Queue::new();
    let groups = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let first = queue.enqueue(0);
        let mut lead = queue.try_lead().unwrap();
        lead.gather(|_| true);
        for item in 1..=4 {
            let (queue, groups) = (&queue, &groups);
            scope.spawn(move || {
                let answer = queue.submit(item, |mut lead| {
                    lead.gather(|_| true);
                    groups.lock().unwrap().push((item, lead.items().to_vec()));
                    let answers = lead.items().to_vec();
                    lead.complete(answers);
                });
                assert_eq!(answer, Ok(item));
            });
            while queue.waiting_count() < usize::try_from(item).unwrap() {
                std::thread::yield_now();
            }
        }
        lead.complete([0]);
        assert_eq!(first.wait(), Ok(0));
    });
    assert_eq!(groups.into_inner().unwrap(), [(1, vec![1, 2, 3, 4])]);
}

#[test]
fn lingering_ends_when_enough_wait_or_time_is_up() {
    let queue = Queue::new();
    let _first = queue.enqueue(1);
    let mut lead = queue.try_lead().unwrap();
    assert!(lead.linger(1, Duration::ZERO), "they wait already");
    assert!(!lead.linger(2, Duration::from_millis(1)));
    std::thread::scope(|scope| {
        scope.spawn(|| queue.enqueue(2));
        // Not a timing: the wait ends by the arrival, or the test hangs for an hour.
        while !lead.linger(2, Duration::from_secs(3_600)) {}
    });
    assert_eq!(lead.gather(|_| true), 2);
    lead.complete([0, 0]);
    let _third = queue.enqueue(3);
    assert_eq!(queue.try_lead().unwrap().cohort_len(), 2);
}

/// The standard library's primitives, for those who never sleep: who does panics, and who looks too often.
struct Sleepless;

static PAUSES: AtomicU32 = AtomicU32::new(0);
/// A minute of them.
const PAUSES_MAX: u32 = 60_000;

impl SyncShim for Sleepless {
    type Mutex<T> = Mutex<T>;
    type Guard<'a, T: 'a> = MutexGuard<'a, T>;
    type Condvar = Condvar;

    fn mutex<T>(value: T) -> Mutex<T> {
        StdSync::mutex(value)
    }

    fn condvar() -> Condvar {
        StdSync::condvar()
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        StdSync::lock(mutex)
    }

    fn wait<'a, T: 'a>(_: &Condvar, _: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        panic!("somebody sleeps");
    }

    fn wait_timeout<'a, T: 'a>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _: Duration,
    ) -> MutexGuard<'a, T> {
        Self::wait(condvar, guard)
    }

    fn notify_one(_: &Condvar) {
        panic!("somebody slept");
    }

    fn pause(_turn: u32) -> bool {
        let before = PAUSES.fetch_add(1, Ordering::SeqCst);
        assert!(before < PAUSES_MAX, "somebody is awake for ever");
        std::thread::sleep(Duration::from_millis(1));
        true
    }
}

#[test]
fn who_is_to_be_answered_soon_stays_awake_and_others_sleep_at_once() {
    let queue = CommitQueue::<u64, u64, Sleepless>::default();
    let lead = || {
        let _led = queue.enqueue(0);
        let mut lead = queue.try_lead().unwrap();
        lead.gather(|_| true);
        lead
    };
    // Somebody else leads, on this very thread: that answer never comes.
    let submits_asleep = || {
        let panic = catch_unwind(AssertUnwindSafe(|| queue.submit(1, answer_all)));
        let panic = panic.unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"somebody sleeps"));
    };
    let mut first = lead();
    submits_asleep();
    assert!(!queue.answers_soon());
    // From the moment that it is said, for this group and the next.
    first.foretell(true);
    assert!(queue.answers_soon());
    assert_eq!(PAUSES.load(Ordering::SeqCst), 0);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| queue.submit(1, answer_all));
        while PAUSES.load(Ordering::SeqCst) < 3 && !other.is_finished() {
            std::thread::yield_now();
        }
        first.complete([0]);
        assert_eq!(other.join().unwrap(), Ok(101));
    });
    let pauses = PAUSES.load(Ordering::SeqCst);
    assert!(pauses >= 3);
    let mut second = lead();
    assert!(queue.answers_soon());
    second.foretell(false);
    submits_asleep();
    second.complete([0]);
    assert!(!queue.answers_soon());
    assert_eq!(PAUSES.load(Ordering::SeqCst), pauses);
}

#[test]
fn many_threads_are_all_answered_in_order_and_one_leads_at_a_time() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 500;
    let queue = Queue::new();
    let leaders = AtomicU64::new(0);
    let committed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (queue, leaders, committed) = (&queue, &leaders, &committed);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let item = thread * ROUNDS + round;
                    let answer = queue.submit(item, |mut lead| {
                        assert_eq!(leaders.fetch_add(1, Ordering::SeqCst), 0);
                        let mut room = 3;
                        lead.gather(|_| {
                            room -= 1;
                            room >= 0
                        });
                        committed.lock().unwrap().extend_from_slice(lead.items());
                        let answers: Vec<u64> = lead.items().iter().map(|item| item + 1).collect();
                        leaders.fetch_sub(1, Ordering::SeqCst);
                        lead.complete(answers);
                    });
                    assert_eq!(answer, Ok(item + 1));
                }
            });
        }
    });
    let committed = committed.into_inner().unwrap();
    assert_eq!(committed.len() as u64, THREADS * ROUNDS);
    for thread in 0..THREADS {
        let own = committed.iter().filter(|&&item| item / ROUNDS == thread);
        assert!(
            own.is_sorted(),
            "each thread's items are committed in order"
        );
    }
}
