//! What a pool of slots promises: its limit, its accounts, and second chances.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn slots(pool: &SlotPool, count: usize) -> Vec<Slot<usize>> {
    (0..count).map(|_| Slot::new(pool)).collect()
}

fn held(slots: &[Slot<usize>]) -> Vec<usize> {
    slots
        .iter()
        .filter_map(|slot| slot.with(|value| *value))
        .collect()
}

#[test]
fn what_was_not_used_goes_first() {
    let pool = SlotPool::new(3);
    let slots = slots(&pool, 5);
    for (at, slot) in slots.iter().enumerate().take(3) {
        slot.fill(at, 1);
    }
    // The fourth turns the clock once round (all were used), then evicts the oldest.
    slots[3].fill(3, 1);
    assert_eq!(pool.evictions(), 1);
    assert!(slots[1].with(|_| ()).is_some());
    slots[4].fill(4, 1);
    assert_eq!(held(&slots), [1, 3, 4], "0 was oldest, 2 was not used");
    assert_eq!((pool.used(), pool.evictions()), (3, 2));
}

#[test]
fn the_limit_holds_after_every_fill_and_what_is_gone_is_given_back() {
    let pool = SlotPool::new(100);
    let mut kept = Vec::new();
    for round in 0..1000_usize {
        let slot = Slot::new(&pool);
        slot.fill(round, (round as u64 * 7) % 41);
        assert!(pool.used() <= 100, "round {round}: {}", pool.used());
        if round % 3 == 0 {
            kept.push(slot);
        }
        if round % 50 == 49 {
            kept.truncate(kept.len() / 2);
        }
        let sum: u64 = kept.iter().map(Slot::weight).sum();
        assert!(sum <= pool.used(), "round {round}");
    }
    drop(kept);
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_value_heavier_than_the_limit_is_not_kept_and_a_full_slot_is_replaced() {
    let pool = SlotPool::new(10);
    let (slot, other) = (Slot::new(&pool), Slot::new(&pool));
    other.fill(0, 3);
    slot.fill(1, 11);
    assert_eq!((slot.with(|value| *value), pool.used()), (None, 3));
    other.clear();
    slot.fill(2, 4);
    slot.fill(3, 6);
    assert_eq!((slot.with(|value| *value), pool.used()), (Some(3), 6));
    slot.clear();
    assert_eq!((slot.with(|value| *value), pool.used()), (None, 0));
}

#[test]
fn slots_that_are_gone_leave_nothing_in_the_pool() {
    let pool = SlotPool::new(u64::MAX);
    let kept = slots(&pool, 100);
    for slot in &kept {
        slot.fill(0, 1);
    }
    for _ in 0..10_000 {
        Slot::new(&pool).fill([0_u8; 8], 8);
    }
    assert_eq!(pool.used(), 100);
    let in_ring = pool.shared.lock().slots.len();
    assert!(in_ring <= 400, "{in_ring} for 100 slots");
}

#[test]
fn a_pool_that_had_to_shrink_grows_back_as_slots_are_filled() {
    let pool = SlotPool::new(100);
    assert!(!pool.shrink(), "there is nothing to give up");
    assert_eq!(pool.limit(), 100);
    let slots = slots(&pool, 40);
    for (at, slot) in slots.iter().enumerate() {
        slot.fill(at, 1);
    }
    assert!(pool.shrink());
    assert_eq!((pool.used(), pool.limit()), (30, 30));
    for round in 0..100_000 {
        slots[round % 40].fill(round, 1);
    }
    assert_eq!((pool.used(), pool.limit()), (40, 100));
}

#[test]
fn a_lower_limit_evicts_at_once() {
    let pool = SlotPool::new(u64::MAX);
    let slots = slots(&pool, 8);
    for (at, slot) in slots.iter().enumerate() {
        slot.fill(at, 2);
    }
    pool.set_limit(5);
    assert_eq!((held(&slots).len(), pool.used()), (2, 4));
    assert_eq!(pool.evictions(), 6);
}

#[test]
fn a_value_lives_until_its_last_reader_is_done() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let pool = SlotPool::new(10);
    let slot = Slot::new(&pool);
    slot.fill(Counted(Arc::clone(&dropped)), 1);
    let seen = slot.with(|_| {
        slot.clear();
        dropped.load(Ordering::SeqCst)
    });
    assert_eq!((seen, dropped.load(Ordering::SeqCst)), (Some(0), 1));
}

#[test]
fn threads_that_fill_read_and_drop_leave_the_accounts_right() {
    let pool = SlotPool::new(50);
    let shared = slots(&pool, 16);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (pool, shared) = (&pool, &shared);
            scope.spawn(move || {
                for round in 0..2000_usize {
                    let at = (round * 7 + thread * 5) % shared.len();
                    if shared[at].with(|value| assert_eq!(*value, at)).is_none() {
                        shared[at].fill(at, 1 + round as u64 % 9);
                    }
                    let own = Slot::new(pool);
                    own.fill(round, 3);
                    assert!(pool.used() <= 50 + 4 * 12);
                }
            });
        }
    });
    let sum: u64 = shared.iter().map(Slot::weight).sum();
    assert_eq!(sum, pool.used());
    assert!(sum <= 50);
}
