//! Who is told what, step by step.

use std::thread;

use super::*;

type Store = Arc<Tickets<&'static str>>;

fn store() -> Store {
    Arc::default()
}

#[test]
fn a_success_answers_the_tickets_up_to_it_and_none_beyond() {
    let store = store();
    let (first, second, third) = (store.take(1), store.take(2), store.take(3));
    store.succeeded(2);
    assert_eq!(first.answer(), Some(Ok(())));
    assert_eq!(second.answer(), Some(Ok(())));
    assert_eq!(third.answer(), None);
    // What is done is answered at once, and what is not waits for its own.
    assert_eq!(store.take(2).answer(), Some(Ok(())));
    assert_eq!(store.take(3).answer(), None);
    assert_eq!(store.take(0).answer(), Some(Ok(())));
}

#[test]
fn a_failure_is_the_answer_of_all_that_wait_for_it_or_beyond_and_of_none_before() {
    let store = store();
    let (first, second, third) = (store.take(1), store.take(2), store.take(3));
    store.failed(2, &"no room");
    assert_eq!(first.answer(), None);
    assert_eq!(second.answer(), Some(Err("no room")));
    assert_eq!(third.answer(), Some(Err("no room")));
    store.succeeded(1);
    assert_eq!(first.answer(), Some(Ok(())));
}

/// The fault that this module is there for: a ticket for 2 saw the failure at 1, then found it
/// cleared by the success at 1, and was told Ok with 2 undone.
#[test]
fn a_success_that_follows_a_failure_does_not_change_its_answer() {
    let store = store();
    let ticket = store.take(2);
    store.failed(1, &"no room");
    store.succeeded(1);
    assert_eq!(ticket.wait(), Err("no room"));
    let next = store.take(2);
    assert_eq!(next.answer(), None);
    store.succeeded(2);
    store.failed(3, &"no room");
    assert_eq!(next.wait(), Ok(()));
}

#[test]
fn what_is_failing_is_told_at_once_to_a_caller_that_asks_for_it_until_it_succeeds() {
    let store = store();
    assert_eq!(store.take_unless_failing(2).answer(), None);
    store.failed(2, &"no room");
    assert_eq!(store.take_unless_failing(2).answer(), Some(Err("no room")));
    // That attempt says nothing of what comes before it, and a plain ticket waits for the next.
    assert_eq!(store.take_unless_failing(1).answer(), None);
    assert_eq!(store.take(2).answer(), None);
    store.succeeded(1);
    assert_eq!(store.take_unless_failing(2).answer(), None);
    store.failed(2, &"no room");
    store.end(&"cause", "poisoned");
    assert_eq!(store.take_unless_failing(2).answer(), Some(Err("poisoned")));
}

#[test]
fn the_end_answers_what_waits_with_its_cause_and_what_comes_later_at_once() {
    let store = store();
    store.succeeded(1);
    let (ticket, (promise, piece)) = (store.take(2), store.promise("dropped"));
    store.end(&"cause", "poisoned");
    store.end(&"another", "another");
    store.succeeded(2);
    promise.answer(&Ok(()));
    assert_eq!(ticket.wait(), Err("cause"));
    assert_eq!(piece.wait(), Err("cause"));
    // What is done stays done.
    assert_eq!(store.take(2).answer(), Some(Ok(())));
    assert_eq!(store.take(3).answer(), Some(Err("poisoned")));
    assert_eq!(store.promise("dropped").1.answer(), Some(Err("poisoned")));
}

#[test]
fn a_promise_answers_its_own_ticket_once_and_if_it_is_dropped_with_what_it_was_made_with() {
    let store = store();
    let (ordinal, (one, first), (other, second)) = (
        store.take(1),
        store.promise("dropped"),
        store.promise("dropped"),
    );
    store.failed(1, &"no room");
    assert_eq!(ordinal.wait(), Err("no room"));
    store.succeeded(7);
    assert_eq!(first.answer(), None);
    one.answer(&Ok(()));
    one.answer(&Err("late"));
    drop(one);
    assert_eq!(first.wait(), Ok(()));
    assert_eq!(second.answer(), None);
    drop(other);
    assert_eq!(second.wait(), Err("dropped"));
}

#[test]
fn tickets_that_were_given_up_are_forgotten_with_the_next_answer() {
    let store = store();
    for _ in 0..100 {
        drop(store.take(1));
    }
    store.succeeded(1);
    assert!(store.state.lock().unwrap().outstanding.is_empty());
}

#[test]
fn threads_that_wait_are_woken_each_for_its_own() {
    let store = store();
    thread::scope(|scope| {
        let waiting: Vec<_> = (1..=20)
            .map(|ordinal| (ordinal, store.take(ordinal)))
            .map(|(ordinal, ticket)| (ordinal, scope.spawn(move || ticket.wait())))
            .collect();
        store.succeeded(7);
        store.failed(8, &"no room");
        for (ordinal, thread) in waiting {
            let expected = if ordinal <= 7 { Ok(()) } else { Err("no room") };
            assert_eq!(thread.join().unwrap(), expected, "{ordinal}");
        }
    });
}
