use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::unbounded;

use crate::{Scheduler, Stalled};

fn order_of(seed: u64) -> Vec<(usize, usize)> {
    let scheduler = Scheduler::stepped(seed);
    let pool = scheduler.pool("order", 3).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    for task in 0..8 {
        for lane in 0..3 {
            let order = Arc::clone(&order);
            pool.submit(lane, move || order.lock().unwrap().push((lane, task)));
        }
    }
    assert_eq!(scheduler.run_until_idle(1000), 24);
    std::mem::take(&mut *order.lock().unwrap())
}

#[test]
fn one_seed_gives_one_order_and_each_lane_keeps_its_own() {
    assert_eq!(order_of(1), order_of(1));
    assert_ne!(order_of(1), order_of(2));
    for lane in 0..3 {
        let of_lane: Vec<_> = order_of(5).into_iter().filter(|o| o.0 == lane).collect();
        assert!(of_lane.is_sorted());
    }
}

#[test]
fn stepped_time_moves_only_for_sleepers_and_delayed_tasks() {
    let scheduler = Scheduler::stepped(0);
    let pool = scheduler.pool("time", 1).unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ran);
    pool.submit_after(0, Duration::from_secs(60), move || {
        flag.store(true, Ordering::SeqCst)
    });
    scheduler.sleep(Duration::from_secs(59));
    assert!(!ran.load(Ordering::SeqCst));
    assert_eq!(scheduler.now(), Duration::from_secs(59));
    assert!(scheduler.step());
    assert!(ran.load(Ordering::SeqCst));
    assert_eq!(scheduler.now(), Duration::from_secs(60));
}

#[test]
fn a_wait_that_nothing_can_end_is_reported_not_hung() {
    let scheduler = Scheduler::stepped(0);
    let pool = scheduler.pool("stalled", 1).unwrap();
    let nothing = || None::<()>;
    assert_eq!(
        pool.wait(nothing, || unreachable!("no thread blocks")),
        Err(Stalled)
    );
}

#[test]
fn a_wait_steps_no_further_than_to_what_it_waits_for() {
    let scheduler = Scheduler::stepped(0);
    let pool = scheduler.pool("waits", 1).unwrap();
    let (sender, receiver) = unbounded();
    for task in 0..3 {
        let sender = sender.clone();
        pool.submit(0, move || sender.send(task).unwrap());
    }
    let poll = || receiver.try_recv().ok().filter(|task| *task == 1);
    assert_eq!(pool.wait(poll, || unreachable!("no thread blocks")), Ok(1));
    assert_eq!(scheduler.run_until_idle(10), 1);
}

#[test]
fn a_lane_is_not_reentered_by_a_task_that_waits() {
    let scheduler = Scheduler::stepped(3);
    let pool = scheduler.pool("serial", 1).unwrap();
    let inside = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let (inner, inside) = (pool.clone(), Arc::clone(&inside));
        pool.submit(0, move || {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
            let nothing = || None::<()>;
            assert_eq!(inner.wait(nothing, || unreachable!()), Err(Stalled));
            inside.fetch_sub(1, Ordering::SeqCst);
        });
    }
    assert_eq!(scheduler.run_until_idle(10), 2);
    assert_eq!(pool.panic_count(), 0);
}

#[test]
fn threads_run_tasks_wake_waiters_and_survive_a_panic() {
    let pool = Scheduler::threads().pool("threads", 2).unwrap();
    let (sender, receiver) = unbounded();
    let silence = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    pool.submit(0, || panic!("a task's own trouble"));
    for lane in [0, 1] {
        for delay in [0, 20] {
            let sender = sender.clone();
            pool.submit_after(lane, Duration::from_millis(delay), move || {
                sender.send(lane).unwrap();
            });
        }
    }
    let four = || receiver.iter().take(4).sum::<usize>();
    assert_eq!(pool.wait(|| unreachable!("threads block"), four), Ok(2));
    std::panic::set_hook(silence);
    assert_eq!(pool.panic_count(), 1);
    pool.shutdown();
    pool.submit(0, || unreachable!("dropped after shutdown"));
}

#[test]
fn shutdown_runs_what_is_queued_and_drops_what_is_delayed() {
    for scheduler in [Scheduler::threads(), Scheduler::stepped(9)] {
        let pool = scheduler.pool("shutdown", 1).unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let (now, later) = (Arc::clone(&ran), Arc::clone(&ran));
        pool.submit_after(0, Duration::from_secs(3600), move || {
            later.fetch_add(100, Ordering::SeqCst);
        });
        pool.submit(0, move || {
            now.fetch_add(1, Ordering::SeqCst);
        });
        pool.shutdown();
        pool.shutdown();
        assert_eq!(ran.load(Ordering::SeqCst), 1, "{scheduler:?}");
    }
}

#[test]
fn randomness_is_drawn_from_the_seed_when_stepped() {
    let draw = |scheduler: Scheduler| {
        let mut bytes = [0; 16];
        scheduler.fill_random(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(draw(Scheduler::stepped(1)), draw(Scheduler::stepped(1)));
    assert_ne!(draw(Scheduler::stepped(1)), draw(Scheduler::stepped(2)));
    assert_ne!(draw(Scheduler::threads()), draw(Scheduler::threads()));
}

#[test]
fn a_task_that_runs_at_shutdown_may_still_submit_to_a_later_lane() {
    for scheduler in [Scheduler::threads(), Scheduler::stepped(4)] {
        let pool = scheduler.pool("order", 2).unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let (inner, count) = (pool.clone(), Arc::clone(&ran));
        pool.submit(0, move || {
            std::thread::sleep(Duration::from_millis(20));
            inner.submit(1, move || {
                count.fetch_add(1, Ordering::SeqCst);
            });
        });
        pool.shutdown();
        assert_eq!(ran.load(Ordering::SeqCst), 1, "{scheduler:?}");
    }
}
