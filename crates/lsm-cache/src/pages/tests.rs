use std::collections::HashMap;
use std::sync::Barrier;
use std::thread;

use quickcheck::quickcheck;

use super::*;

const PAGE: u64 = 1000;
const CHARGED: u64 = PAGE + PAGE_OVERHEAD_BYTES;

/// Room for that many pages.
fn pool(pages: u64) -> PagePool<usize> {
    PagePool::new(pages * CHARGED)
}

fn insert(pages: &Pages<usize>, number: usize) {
    pages.insert(number, &Arc::new(number), PAGE);
}

/// The request of a reader that loads what it does not find. Returns whether it was there.
fn request(pages: &Pages<usize>, number: usize) -> bool {
    let found = pages.get(number);
    match &found {
        Some(page) => assert_eq!(**page, number),
        None => insert(pages, number),
    }
    found.is_some()
}

/// Invariants 1 and 2, and that the counters tell the same.
fn check(pool: &PagePool<usize>, owners: &[&Pages<usize>]) {
    let held = |pages: &Pages<usize>| {
        let places = pages.table.places.iter();
        let held = places.filter(|place| place.lock().page.is_some()).count();
        assert_eq!(held, pages.table.held.load(Ordering::Relaxed));
        held as u64
    };
    let held: u64 = owners.iter().map(|pages| held(pages)).sum();
    assert_eq!(pool.used_bytes(), held * CHARGED);
    assert!(pool.used_bytes() <= pool.capacity_bytes());
    let queues = pool.shared.lock();
    let (alive, dead): (Vec<_>, Vec<_>) = queues
        .entries()
        .partition(|(table, _)| table.strong_count() > 0);
    assert_eq!(alive.len() as u64, held);
    assert_eq!(
        pool.shared.dead.load(Ordering::Relaxed),
        isize::try_from(dead.len()).unwrap()
    );
    let places: std::collections::HashSet<_> = alive
        .iter()
        .map(|(table, number)| (table.as_ptr(), *number))
        .collect();
    assert_eq!(places.len(), alive.len(), "a place is in a queue twice");
    let stats = pool.stats();
    assert_eq!(stats.inserted - stats.evicted - stats.removed, held);
}

#[test]
fn a_page_is_found_until_its_owner_is_gone() {
    let pool = pool(10);
    let (one, other) = (Pages::new(&pool, 5), Pages::new(&pool, 5));
    assert_eq!(one.get(3), None);
    insert(&one, 3);
    insert(&other, 3);
    assert_eq!(one.get(3).as_deref(), Some(&3));
    assert_eq!(one.get(5), None, "beyond its places");
    insert(&one, 5);
    check(&pool, &[&one, &other]);
    let kept = one.get(3);
    drop(one);
    check(&pool, &[&other]);
    assert_eq!(kept.as_deref(), Some(&3));
    assert_eq!(other.get(3).as_deref(), Some(&3));
    let stats = pool.stats();
    assert_eq!((stats.hits, stats.misses), (3, 2));
    assert_eq!((stats.inserted, stats.removed), (2, 1));
}

#[test]
fn what_is_there_stays_if_it_comes_again() {
    let pool = pool(10);
    let pages = Pages::new(&pool, 5);
    let first = Arc::new(1);
    pages.insert(1, &first, PAGE);
    pages.insert(1, &Arc::new(1), PAGE);
    assert!(pages.get(1).is_some_and(|page| Arc::ptr_eq(&page, &first)));
    check(&pool, &[&pages]);
}

#[test]
fn a_page_that_is_too_heavy_pushes_nothing_out() {
    let pool = pool(8);
    let pages = Pages::new(&pool, 20);
    (0..8).for_each(|number| insert(&pages, number));
    pages.insert(10, &Arc::new(10), 5 * PAGE);
    pages.insert(11, &Arc::new(11), u64::MAX);
    assert_eq!(pool.stats().rejected, 2);
    assert!((0..8).all(|number| pages.get(number).is_some()));
    check(&pool, &[&pages]);
}

#[test]
fn a_pool_without_capacity_keeps_nothing() {
    let pool = pool(0);
    let pages = Pages::new(&pool, 20);
    assert_eq!(pages.memory_bytes(), 0);
    assert!(!request(&pages, 1));
    assert!(!request(&pages, 1));
    check(&pool, &[&pages]);
}

#[test]
fn pages_used_again_outlast_any_number_that_were_used_once() {
    let pool = pool(100);
    let (hot, scanned) = (Pages::new(&pool, 80), Pages::new(&pool, 10_000));
    for _ in 0..3 {
        (0..80).for_each(|number| {
            request(&hot, number);
        });
    }
    (0..10_000).for_each(|number| {
        request(&scanned, number);
    });
    assert!((0..80).all(|number| hot.get(number).is_some()));
    check(&pool, &[&hot, &scanned]);
}

#[test]
fn a_page_that_soon_comes_back_is_known_to_be_wanted() {
    let pool = pool(100);
    let pages = Pages::new(&pool, 10_000);
    // Used twice, these fill the main queue.
    (0..90).for_each(|number| insert(&pages, number));
    (0..90).for_each(|number| assert!(request(&pages, number)));
    (100..200).for_each(|number| insert(&pages, number));
    assert!(!request(&pages, 150), "it passed through, used once");
    // So many as would push it out if it were in the small queue again.
    (200..260).for_each(|number| insert(&pages, number));
    assert!(pages.get(150).is_some());
    check(&pool, &[&pages]);
}

#[test]
fn what_nobody_uses_any_more_goes_in_the_end() {
    let pool = pool(100);
    let pages = Pages::new(&pool, 10_000);
    for _ in 0..10 {
        (0..90).for_each(|number| {
            request(&pages, number);
        });
    }
    // Others that are used as well.
    for start in (1000..9000).step_by(80) {
        for _ in 0..3 {
            (start..start + 80).for_each(|number| {
                request(&pages, number);
            });
        }
    }
    let left = (0..90).filter(|number| pages.get(*number).is_some());
    assert_eq!(left.count(), 0);
    check(&pool, &[&pages]);
}

#[test]
fn a_smaller_capacity_holds_at_once() {
    let pool = pool(100);
    let pages = Pages::new(&pool, 100);
    (0..100).for_each(|number| insert(&pages, number));
    pool.set_capacity(20 * CHARGED);
    check(&pool, &[&pages]);
    assert_eq!(pool.used_bytes(), 20 * CHARGED);
    pool.set_capacity(100 * CHARGED);
    (0..100).for_each(|number| insert(&pages, number));
    assert_eq!(pool.used_bytes(), 100 * CHARGED);
    pool.set_capacity(0);
    assert_eq!(pool.used_bytes(), 0);
    check(&pool, &[&pages]);
}

#[test]
fn with_a_smaller_capacity_those_go_that_were_not_used() {
    let pool = pool(2_000);
    let pages = Pages::new(&pool, 2_000);
    (0..2_000).for_each(|number| insert(&pages, number));
    (0..1_000).for_each(|number| assert!(request(&pages, number)));
    pool.set_capacity(1_000 * CHARGED);
    // A tenth is for those that have yet to be used.
    let kept = (0..1_000).filter(|number| pages.get(*number).is_some());
    assert_eq!(kept.count(), 900);
    check(&pool, &[&pages]);
}

#[test]
fn entries_of_owners_that_are_gone_do_not_pile_up() {
    let pool = pool(1_000_000);
    for _ in 0..100 {
        let pages = Pages::new(&pool, 100);
        (0..100).for_each(|number| insert(&pages, number));
    }
    let entries = pool.shared.lock().entries().count();
    assert!(entries < 200, "{entries}");
    check(&pool, &[]);
}

#[test]
fn eviction_numbers_start_again_after_the_last() {
    let pool = pool(10);
    let pages = Pages::new(&pool, 100);
    pool.shared.lock().set_evictions(u32::MAX - 5);
    for _ in 0..5 {
        (0..100).for_each(|number| {
            request(&pages, number);
        });
    }
    check(&pool, &[&pages]);
}

#[test]
fn pages_that_come_back_in_turn_are_not_all_lost() {
    let pool = pool(1000);
    let pages = Pages::new(&pool, 1100);
    let round = || (0..1100).filter(|number| request(&pages, *number)).count();
    let hits: Vec<usize> = (0..6).map(|_| round()).collect();
    assert!(hits[5] > 0, "{hits:?}");
    check(&pool, &[&pages]);
}

#[test]
fn room_for_one_page_spares_few_others() {
    let pool = pool(10_000);
    let pages = Pages::new(&pool, 20_000);
    (0..10_000).for_each(|number| insert(&pages, number));
    for _ in 0..USES_MAX {
        (0..10_000).for_each(|number| assert!(request(&pages, number)));
    }
    insert(&pages, 15_000);
    let spared = |number: &usize| pages.table.places[*number].lock().uses < USES_MAX;
    assert!((0..10_000).filter(spared).count() <= SPARED_MAX + 1);
    check(&pool, &[&pages]);
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Request(u8, u8),
    Replace(u8),
    Capacity(u8),
}

impl quickcheck::Arbitrary for Call {
    fn arbitrary(g: &mut quickcheck::Gen) -> Self {
        match u8::arbitrary(g) {
            0..10 => Self::Replace(u8::arbitrary(g) % 4),
            10..15 => Self::Capacity(u8::arbitrary(g) % 64),
            _ => Self::Request(u8::arbitrary(g) % 4, u8::arbitrary(g)),
        }
    }
}

quickcheck! {
    fn any_history_keeps_the_invariants(calls: Vec<Call>) -> bool {
        let pool = pool(20);
        let mut owners: HashMap<u8, Pages<usize>> =
            (0..4).map(|owner| (owner, Pages::new(&pool, 256))).collect();
        for call in calls {
            match call {
                Call::Request(owner, number) => {
                    if let Some(pages) = owners.get(&owner) {
                        request(pages, number.into());
                    }
                }
                Call::Replace(owner) => {
                    owners.insert(owner, Pages::new(&pool, 256));
                }
                Call::Capacity(pages) => pool.set_capacity(u64::from(pages) * CHARGED),
            }
            check(&pool, &owners.values().collect::<Vec<_>>());
        }
        true
    }
}

#[test]
fn threads_that_read_fill_and_drop_leave_it_sound() {
    let pool = pool(50);
    let start = Barrier::new(5);
    let shared = Pages::new(&pool, 200);
    thread::scope(|scope| {
        for seed in 0..4_usize {
            let (pool, shared, start) = (&pool, &shared, &start);
            scope.spawn(move || {
                start.wait();
                let mut own = Pages::new(pool, 200);
                for step in 0..20_000_usize {
                    let number = (step * 7 + seed * 31) % 200;
                    request(if step % 2 == 0 { shared } else { &own }, number);
                    if step % 500 == 0 {
                        own = Pages::new(pool, 200);
                    }
                }
            });
        }
        start.wait();
        for step in 0..2_000_u64 {
            assert!(pool.used_bytes() <= 50 * CHARGED);
            if step % 100 == 0 {
                pool.set_capacity((step % 3 + 1) * 16 * CHARGED);
            }
        }
    });
    check(&pool, &[&shared]);
}

#[test]
fn asking_whether_a_page_is_there_is_no_use_of_it() {
    let pool = pool(20);
    let pages = Pages::new(&pool, 100);
    insert(&pages, 3);
    let before = pool.stats();
    assert!(pages.holds(3));
    assert!(!pages.holds(4) && !pages.holds(100));
    assert_eq!(pool.stats(), before);
    // Of those that come after, each pushes out the oldest; it is not spared.
    (10..40).for_each(|number| insert(&pages, number));
    assert!(!pages.holds(3));
}

#[test]
fn an_owner_knows_what_its_pages_weigh() {
    let pool = pool(20);
    let (some, others) = (Pages::new(&pool, 100), Pages::new(&pool, 100));
    (0..3).for_each(|number| insert(&some, number));
    insert(&others, 0);
    assert_eq!(some.held_bytes(), 3 * CHARGED);
    assert_eq!(others.held_bytes(), CHARGED);
}

#[test]
fn what_comes_in_only_if_there_is_room_pushes_nothing_out() {
    let pool = pool(20);
    let pages = Pages::new(&pool, 100);
    let ahead = |number| pages.insert_if_room(number, &Arc::new(number), PAGE);
    (0..5).for_each(|number| insert(&pages, number));
    assert!((5..20).all(ahead));
    assert!(!ahead(20));
    assert!(ahead(19), "it is there already");
    check(&pool, &[&pages]);
    assert_eq!(pool.stats().evicted, 0);
    assert_eq!(*pages.get(7).unwrap(), 7);
}

/// Who asks again for what has just gone shows that it is used; who brings it ahead of readers does not.
#[test]
fn what_was_not_asked_for_is_among_the_first_to_go() {
    let comes_back = |came_ahead: bool| {
        let pool = pool(20);
        let pages = Pages::new(&pool, 1000);
        let mut others = 101..;
        (0..18).for_each(|number| insert(&pages, number));
        (0..18).for_each(|number| assert!(request(&pages, number)));
        insert(&pages, 100);
        while pages.holds(100) {
            insert(&pages, others.next().unwrap());
        }
        pool.set_capacity(21 * CHARGED);
        if came_ahead {
            assert!(pages.insert_if_room(100, &Arc::new(100), PAGE));
        } else {
            insert(&pages, 100);
        }
        others.take(10).for_each(|number| insert(&pages, number));
        check(&pool, &[&pages]);
        pages.holds(100)
    };
    assert!(comes_back(false));
    assert!(!comes_back(true));
}

#[test]
fn what_is_too_heavy_or_has_no_place_does_not_come_in() {
    let pool = pool(20);
    let pages = Pages::new(&pool, 3);
    let page = Arc::new(0);
    for (number, weight) in [(0, 11 * CHARGED), (0, u64::MAX), (3, PAGE)] {
        assert!(!pages.insert_if_room(number, &page, weight));
    }
    assert!(pages.insert_if_room(0, &page, 9 * CHARGED));
    assert_eq!(pool.used_bytes(), 9 * CHARGED + PAGE_OVERHEAD_BYTES);
}

/// A process was forked off while another thread held a place: in the child it is never unlocked.
#[test]
fn a_page_whose_place_stays_locked_is_missed() {
    let pool = pool(10);
    let pages = Pages::new(&pool, 5);
    insert(&pages, 3);
    let held = pages.table.places[3].lock();
    thread::scope(|scope| {
        let found = scope.spawn(|| pages.get(3)).join().unwrap();
        assert_eq!(found, None);
    });
    drop(held);
    assert_eq!(pages.get(3).as_deref(), Some(&3));
}
