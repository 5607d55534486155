//! Loom's models of the publication: each runs in every interleaving that differs and with every
//! value that a load may still return, with up to three preemptions (`LOOM_MAX_PREEMPTIONS` asks
//! for another bound).
//!
//! The code explored is the publication itself. What stands for production's parts promises no
//! more than they do: the cell of the view orders what acquire and release order, and the toy
//! memtable orders nothing at all. Each rule of the module is also broken once, to show that the
//! models notice.

use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use loom::thread;

use super::*;

pub(crate) fn explore(model: impl Fn() + Send + Sync + 'static) {
    explore_less(0, model);
}

/// With so many preemptions fewer: a third thread that does much multiplies the interleavings.
pub(crate) fn explore_less(fewer: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let bound = builder.preemption_bound.unwrap_or(3);
    builder.preemption_bound = Some(bound.saturating_sub(fewer));
    builder.check(model);
}

loom::lazy_static! {
    static ref STEPS: AtomicUsize = AtomicUsize::new(0);
}

/// Stands before each step of a model. Loom saves itself the orders of steps that it takes for
/// independent, and of the loads of one atomic it remembers only the last, so that it would miss
/// some. By this they all depend on each other. It orders no memory.
pub(crate) fn step() {
    STEPS.fetch_add(1, Ordering::Relaxed);
}

/// Loom's primitives; without `ORDERED` the seqno is stored and loaded relaxed, without `LOCKED`
/// the lock of changes lets everybody in.
pub(crate) struct Loom<const ORDERED: bool, const LOCKED: bool>;

pub(crate) type Sound = Loom<true, true>;

impl<const ORDERED: bool, const LOCKED: bool> Shim for Loom<ORDERED, LOCKED> {
    type Cell<V> = Cell<V>;
    type Seqno = Seqno<ORDERED>;
    type Lock = Lock<LOCKED>;
}

/// Every view there was, and which is current. Loom doesn't see the list's lock, so that it orders
/// nothing in the model; no other thread runs while it is held.
pub(crate) struct Cell<V> {
    views: Mutex<Vec<Arc<V>>>,
    current: AtomicUsize,
}

impl<V> Cell<V> {
    fn at(&self, index: usize) -> Arc<V> {
        Arc::clone(&locked(&self.views)[index])
    }
}

impl<V> ViewCell<V> for Cell<V> {
    type Loaded = Box<Arc<V>>;

    fn new(view: V) -> Self {
        Self {
            views: Mutex::new(vec![Arc::new(view)]),
            current: AtomicUsize::new(0),
        }
    }

    fn load(&self) -> Box<Arc<V>> {
        step();
        Box::new(self.at(self.current.load(Ordering::Acquire)))
    }

    fn into_owned(loaded: Box<Arc<V>>) -> Arc<V> {
        *loaded
    }

    fn swap(&self, view: Arc<V>) -> Arc<V> {
        let next = {
            let mut views = locked(&self.views);
            views.push(view);
            views.len() - 1
        };
        step();
        self.at(self.current.swap(next, Ordering::AcqRel))
    }
}

pub(crate) struct Seqno<const ORDERED: bool>(AtomicU64);

impl<const ORDERED: bool> SeqnoCell for Seqno<ORDERED> {
    fn new(seqno: u64) -> Self {
        Self(AtomicU64::new(seqno))
    }

    fn load(&self, ordering: Ordering) -> u64 {
        step();
        self.0.load(match ORDERED {
            true => ordering,
            false => Ordering::Relaxed,
        })
    }

    fn store(&self, seqno: u64, ordering: Ordering) {
        let ordering = match ORDERED {
            true => ordering,
            false => Ordering::Relaxed,
        };
        step();
        self.0.store(seqno, ordering);
    }
}

#[derive(Default)]
pub(crate) struct Lock<const LOCKED: bool>(loom::sync::Mutex<()>);

impl<const LOCKED: bool> ChangeLock for Lock<LOCKED> {
    fn with<R>(&self, work: impl FnOnce() -> R) -> R {
        let _one_at_a_time = LOCKED.then(|| self.0.lock().unwrap());
        work()
    }
}

/// Takes the batches `first..=last`. A batch writes its seqno to two keys.
struct Memtable {
    last: u64,
    /// For each batch whether its writes are there.
    batches: Vec<(u64, [AtomicBool; 2])>,
}

impl Memtable {
    fn new(first: u64, last: u64) -> Arc<Self> {
        let empty = |seqno| (seqno, [AtomicBool::new(false), AtomicBool::new(false)]);
        Arc::new(Self {
            last,
            batches: (first..=last).map(empty).collect(),
        })
    }

    fn insert(&self, seqno: u64, between_keys: impl Fn()) {
        let (_, [first, second]) = self.batches.iter().find(|(at, _)| *at == seqno).unwrap();
        step();
        first.store(true, Ordering::Relaxed);
        between_keys();
        step();
        second.store(true, Ordering::Relaxed);
    }

    /// The newest value of `key` as of `seqno`.
    fn get(&self, key: usize, seqno: u64) -> Option<u64> {
        let mut batches = self.batches.iter().rev();
        let found = batches.find(|(at, keys)| *at <= seqno && keys[key].load(Ordering::Relaxed));
        found.map(|(at, _)| *at)
    }
}

#[derive(Clone)]
struct View {
    active: Arc<Memtable>,
    /// Newest first.
    sealed: Vec<Arc<Memtable>>,
    /// The values of both keys in the runs.
    run: u64,
}

impl View {
    fn get(&self, key: usize, seqno: u64) -> u64 {
        let mut memtables = std::iter::once(&self.active).chain(&self.sealed);
        let found = memtables.find_map(|memtable| memtable.get(key, seqno));
        found.unwrap_or(self.run)
    }

    /// The batch whose writes are found, which says all about the state that is read.
    fn state(&self, seqno: u64) -> u64 {
        let state = self.get(0, seqno);
        assert_eq!(state, self.get(1, seqno), "half a batch");
        assert!(state <= seqno, "newer than its seqno");
        let last = seqno.min(self.active.last);
        assert!(state >= last, "a seqno without its data");
        state
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Right,
    SeqnoBeforeView,
    PublishBeforeInsert,
    PublishWithinInsert,
    PublishBeforeView,
    WriteAfterSeal,
}

struct Store<S: Shim> {
    publication: Publication<View, S>,
    order: Order,
}

impl<S: Shim + 'static> Store<S> {
    /// A store whose view was published at `seqno`.
    fn new(view: View, seqno: u64, order: Order) -> Arc<Self> {
        Arc::new(Self {
            publication: Publication::new(view, seqno),
            order,
        })
    }

    fn spawn(self: &Arc<Self>, work: impl FnOnce(&Self) + 'static) -> thread::JoinHandle<()> {
        let store = Arc::clone(self);
        thread::spawn(move || work(&store))
    }

    /// The leader's commit of one batch.
    fn write(&self, active: &Memtable, seqno: u64) {
        if self.order == Order::PublishBeforeInsert {
            self.publication.publish(seqno);
        }
        active.insert(seqno, || {
            if self.order == Order::PublishWithinInsert {
                self.publication.publish(seqno);
            }
        });
        self.publication.publish(seqno);
    }

    fn seal(&self, next: &Arc<Memtable>) {
        self.publication.change(|view| {
            view.sealed.insert(0, Arc::clone(&view.active));
            view.active = Arc::clone(next);
        });
    }

    /// Batch `seqno` to `active`, a seal, and the next batch to the next memtable.
    fn write_seal_write(&self, active: &Memtable, seqno: u64) {
        let next = Memtable::new(seqno + 1, seqno + 1);
        match self.order {
            Order::PublishBeforeView => {
                self.write(active, seqno);
                self.write(&next, seqno + 1);
                self.seal(&next);
            }
            Order::WriteAfterSeal => {
                self.seal(&next);
                self.write(active, seqno);
                self.write(&next, seqno + 1);
            }
            _ => {
                self.write(active, seqno);
                self.seal(&next);
                self.write(&next, seqno + 1);
            }
        }
    }

    /// The oldest sealed memtable, if there is one, becomes a run.
    fn flush(&self) {
        let Some(oldest) = self.publication.view().sealed.last().cloned() else {
            return;
        };
        let newest = [0, 1].map(|key| oldest.get(key, u64::MAX));
        assert_eq!(newest, [Some(oldest.last); 2], "flushed before it was full");
        self.publication.change(|view| {
            view.sealed.pop();
            view.run = oldest.last;
        });
    }

    /// Reads twice; what was visible in the first read is there in the second.
    fn read_twice(&self) {
        let mut visible = 0;
        for _ in 0..2 {
            let (view, seqno) = match self.order {
                Order::SeqnoBeforeView => {
                    let seqno = self.publication.visible.load(Ordering::Acquire);
                    (self.publication.view(), seqno)
                }
                _ => {
                    let (view, moment) = self.publication.read_moment();
                    let state = view.state(moment.seqno);
                    assert!(state >= moment.complete_through, "older than promised");
                    (view, moment.seqno)
                }
            };
            let state = view.state(seqno);
            assert!(state >= visible, "what was visible is lost");
            visible = seqno;
        }
    }

    /// What is there when all is done.
    fn ended(&self, seqno: u64) -> Arc<View> {
        let (view, moment) = self.publication.read_owned();
        assert_eq!(moment.seqno, seqno);
        assert_eq!(view.state(seqno), seqno, "what was visible is lost");
        view
    }
}

/// A memtable with batch 1 in it, which takes one more.
fn first_memtable() -> Arc<Memtable> {
    let memtable = Memtable::new(1, 2);
    memtable.insert(1, || ());
    memtable
}

fn view_of(active: &Arc<Memtable>) -> View {
    View {
        active: Arc::clone(active),
        sealed: Vec::new(),
        run: 0,
    }
}

/// A reader while a writer commits, seals and commits.
fn reader_and_writer<S: Shim + 'static>(order: Order) {
    explore(move || {
        let active = first_memtable();
        let store = Store::<S>::new(view_of(&active), 1, order);
        let writer = store.spawn(move |store| store.write_seal_write(&active, 2));
        store.read_twice();
        writer.join().unwrap();
        store.ended(3);
    });
}

/// The same, while a flush looks for something to do.
fn reader_writer_and_flush<S: Shim + 'static>(order: Order) {
    explore(move || {
        let active = first_memtable();
        let store = Store::<S>::new(view_of(&active), 1, order);
        let writer = store.spawn(move |store| store.write_seal_write(&active, 2));
        let flush = store.spawn(|store| store.flush());
        store.read_twice();
        writer.join().unwrap();
        flush.join().unwrap();
        let view = store.ended(3);
        assert_eq!(view.sealed.len(), usize::from(view.run == 0));
    });
}

/// A seal while a sealed memtable becomes a run.
fn two_changes<S: Shim + 'static>() {
    explore(|| {
        let (sealed, active) = (Memtable::new(1, 1), Memtable::new(2, 2));
        sealed.insert(1, || ());
        let mut view = view_of(&active);
        view.sealed.push(sealed);
        let store = Store::<S>::new(view, 1, Order::Right);
        let flush = store.spawn(|store| store.flush());
        store.write_seal_write(&active, 2);
        flush.join().unwrap();
        let view = store.ended(3);
        assert_eq!((view.sealed.len(), view.run), (1, 1), "a change is lost");
    });
}

#[test]
fn a_read_between_two_batches_and_a_seal_is_one_moment() {
    reader_and_writer::<Sound>(Order::Right);
}

#[test]
fn a_flush_beside_a_writer_takes_nothing_from_a_reader() {
    reader_writer_and_flush::<Sound>(Order::Right);
}

#[test]
fn two_changes_at_once_both_happen() {
    two_changes::<Sound>();
}

#[test]
#[should_panic(expected = "newer than its seqno")]
fn the_models_notice_a_seqno_that_is_taken_before_the_view() {
    reader_writer_and_flush::<Sound>(Order::SeqnoBeforeView);
}

#[test]
#[should_panic(expected = "a seqno without its data")]
fn the_models_notice_a_batch_that_is_published_before_it_is_inserted() {
    reader_and_writer::<Sound>(Order::PublishBeforeInsert);
}

#[test]
#[should_panic(expected = "half a batch")]
fn the_models_notice_a_batch_that_is_published_half_inserted() {
    reader_and_writer::<Sound>(Order::PublishWithinInsert);
}

#[test]
#[should_panic(expected = "older than promised")]
fn the_models_notice_a_memtable_whose_view_comes_after_its_seqno() {
    reader_and_writer::<Sound>(Order::PublishBeforeView);
}

#[test]
#[should_panic(expected = "flushed before it was full")]
fn the_models_notice_a_write_to_a_sealed_memtable() {
    reader_writer_and_flush::<Sound>(Order::WriteAfterSeal);
}

#[test]
#[should_panic(expected = "a seqno without its data")]
fn the_models_notice_a_seqno_that_orders_nothing() {
    reader_and_writer::<Loom<false, true>>(Order::Right);
}

#[test]
#[should_panic(expected = "is lost")]
fn the_models_notice_changes_that_are_not_one_at_a_time() {
    two_changes::<Loom<true, false>>();
}
