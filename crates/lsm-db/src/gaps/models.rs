//! Loom's models of the gaps, together with the publication that they lean on: explored as those of
//! [`publication::models`](crate::publication::models), whose parts they share.
//!
//! The store is one key in one range, which batches put and delete, and a second key that tells
//! which batch a read has come to: so each read knows what it should have seen. Each rule of the
//! module is also broken once, to show that the models notice.

use loom::sync::atomic::AtomicBool;
use loom::thread;

use super::*;
use crate::publication::Publication;
use crate::publication::models::{Cell, Sound, explore, explore_less, step};

/// Loom's primitives; without `ATOMIC` the word is read and written in two steps.
struct Loom<const ATOMIC: bool>;

impl<const ATOMIC: bool> Shim for Loom<ATOMIC> {
    type Word = LoomWord<ATOMIC>;
    type Cell = Cell<Known>;
    type Lock<T> = loom::sync::Mutex<T>;
}

struct LoomWord<const ATOMIC: bool>(loom::sync::atomic::AtomicU64);

impl<const ATOMIC: bool> LoomWord<ATOMIC> {
    fn change(&self, ordering: Ordering, change: impl Fn(u64) -> u64) -> u64 {
        step();
        if ATOMIC {
            let changed = self
                .0
                .fetch_update(ordering, Ordering::Acquire, |old| Some(change(old)));
            return changed.unwrap();
        }
        let old = self.0.load(Ordering::Acquire);
        step();
        self.0.store(change(old), Ordering::Release);
        old
    }
}

impl<const ATOMIC: bool> Word for LoomWord<ATOMIC> {
    fn new(value: u64) -> Self {
        Self(loom::sync::atomic::AtomicU64::new(value))
    }

    fn load(&self, ordering: Ordering) -> u64 {
        step();
        self.0.load(ordering)
    }

    fn store(&self, value: u64, ordering: Ordering) {
        step();
        self.0.store(value, ordering);
    }

    fn fetch_max(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(ordering, |old| old.max(value))
    }

    fn fetch_or(&self, value: u64, ordering: Ordering) -> u64 {
        self.change(ordering, |old| old | value)
    }
}

impl<T> StateLock<T> for loom::sync::Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        step();
        work(&mut self.lock().unwrap())
    }

    fn try_with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        step();
        let mut value = self.try_lock().ok()?;
        Some(work(&mut value))
    }
}

/// Something is put into the range, deleted from it, or put elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    Put,
    Delete,
    Elsewhere,
}

use Batch::{Delete, Elsewhere, Put};

struct Memtable {
    batches: Vec<(u64, AtomicBool)>,
}

#[derive(Clone)]
struct View {
    /// Newest first.
    memtables: Vec<Arc<Memtable>>,
}

impl View {
    /// The batch that a read at `seqno` comes to.
    fn state(&self, seqno: u64) -> u64 {
        let batches = self.memtables.iter().flat_map(|memtable| &memtable.batches);
        let there =
            batches.filter(|(at, is_there)| *at <= seqno && is_there.load(Ordering::Relaxed));
        there.map(|(at, _)| *at).max().unwrap()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Right,
    TakeOutAfterPublication,
    NoteWithoutLooking,
    UseWhateverIsKnown,
    TakeTheSeqnoForComplete,
}

struct Store<S: Shim> {
    publication: Publication<View, Sound>,
    gaps: Gaps<S>,
    /// All batches, also those to come.
    history: Vec<(u64, Batch)>,
    order: Order,
}

impl<S: Shim + 'static> Store<S> {
    /// A store whose memtables, oldest first, take these batches; the very first one is there.
    fn new(memtables: &[&[(u64, Batch)]], order: Order) -> Arc<Self> {
        let of = |batches: &&[(u64, Batch)]| {
            let batches = batches.iter().map(|(at, _)| (*at, AtomicBool::new(false)));
            Arc::new(Memtable {
                batches: batches.collect(),
            })
        };
        let first = of(&memtables[0]);
        let (seqno, is_there) = &first.batches[0];
        is_there.store(true, Ordering::Relaxed);
        let seqno = *seqno;
        let view = View {
            memtables: vec![first],
        };
        Arc::new(Self {
            publication: Publication::new(view, seqno),
            gaps: Gaps::new(),
            history: memtables.concat(),
            order,
        })
    }

    fn spawn(self: &Arc<Self>, work: impl FnOnce(&Self) + 'static) -> thread::JoinHandle<()> {
        let store = Arc::clone(self);
        thread::spawn(move || work(&store))
    }

    /// The leader commits all batches after the first. Those that the active memtable does not take
    /// go to a next one.
    fn write_all(&self) {
        for (seqno, batch) in &self.history[1..] {
            let active = Arc::clone(&self.publication.view().memtables[0]);
            let takes = |memtable: &Memtable| {
                let mut batches = memtable.batches.iter();
                let taken = batches.find(|(at, _)| at == seqno);
                taken.map(|(_, is_there)| is_there.store(true, Ordering::Relaxed))
            };
            step();
            if takes(&active).is_none() {
                let rest = self.history.iter().filter(|(at, _)| at >= seqno);
                let next = Arc::new(Memtable {
                    batches: rest.map(|(at, _)| (*at, AtomicBool::new(false))).collect(),
                });
                self.publication
                    .change(|view| view.memtables.insert(0, Arc::clone(&next)));
                takes(&next).unwrap();
            }
            let puts = || {
                let key: Option<&[u8]> = match batch {
                    Put => Some(b"key"),
                    Delete => None,
                    Elsewhere => Some(b"z"),
                };
                key.into_iter()
            };
            if self.order == Order::TakeOutAfterPublication {
                self.publication.publish(*seqno);
            }
            self.gaps.before_publication(*seqno, puts);
            self.publication.publish(*seqno);
        }
    }

    /// Whether the key has a value in a state.
    fn is_live(&self, state: u64) -> bool {
        let mut batches = self.history.iter().rev();
        let latest = batches.find(|(at, batch)| *at <= state && *batch != Elsewhere);
        latest.is_some_and(|(_, batch)| *batch == Put)
    }

    fn moment(&self) -> (Arc<View>, Moment) {
        let (view, mut moment) = self.publication.read_owned();
        if self.order == Order::TakeTheSeqnoForComplete {
            moment.complete_through = moment.seqno;
        }
        (view, moment)
    }

    /// A reader looks for the key, and notes if it has no value.
    fn look(&self, view: &View, moment: Moment) {
        let state = view.state(moment.seqno);
        let blind = |is_blind| match is_blind {
            true => Moment {
                complete_through: WATCHED - 2,
                ..moment
            },
            false => moment,
        };
        let used = blind(self.order == Order::UseWhateverIsKnown);
        if self.gaps.end_around(used, b"key", true).is_some() {
            assert!(!self.is_live(state), "a gap hides what is there");
        } else if !self.is_live(state) {
            let noted = blind(self.order == Order::NoteWithoutLooking);
            self.gaps.note(noted, b"a", b"m", 1);
        }
    }

    fn read(&self) {
        let (view, moment) = self.moment();
        self.look(&view, moment);
    }
}

/// The key comes back, while a reader finds its range empty and looks again.
fn a_put_beside_a_reader<S: Shim + 'static>(order: Order) {
    explore(move || {
        let store = Store::<S>::new(&[&[(1, Delete), (2, Put)]], order);
        let writer = store.spawn(Store::write_all);
        store.read();
        store.read();
        writer.join().unwrap();
        store.read();
    });
}

/// The same with two readers, who both may be the first to note.
fn a_put_beside_two_readers<S: Shim + 'static>(order: Order) {
    explore_less(1, move || {
        let store = Store::<S>::new(&[&[(1, Delete), (2, Put)]], order);
        let writer = store.spawn(Store::write_all);
        let other = store.spawn(Store::read);
        store.read();
        writer.join().unwrap();
        other.join().unwrap();
        store.read();
    });
}

/// The key goes, and the writer finds its range empty, while a reader is at an older moment.
fn a_delete_beside_an_older_reader<S: Shim + 'static>(order: Order) {
    explore(move || {
        let store = Store::<S>::new(&[&[(1, Put), (2, Delete)]], order);
        let (view, moment) = store.moment();
        let writer = store.spawn(|store| {
            store.write_all();
            store.read();
        });
        store.look(&view, moment);
        store.read();
        writer.join().unwrap();
        store.look(&view, moment);
        store.read();
    });
}

/// A memtable is sealed between two batches: a view may be older than the seqno it is read at. The
/// writer reads too, in the end.
fn a_seal_between<S: Shim + 'static>(batches: [Batch; 3], order: Order) {
    explore(move || {
        let [first, second, third] = batches;
        let memtables: [&[_]; 2] = [&[(1, first), (2, second)], &[(3, third)]];
        let store = Store::<S>::new(&memtables, order);
        let writer = store.spawn(|store| {
            store.write_all();
            store.read();
        });
        store.read();
        writer.join().unwrap();
        store.read();
    });
}

/// Gaps are forgotten when nobody has used them for long, and found again.
fn a_long_idle_time_beside_a_reader<S: Shim + 'static>(order: Order) {
    explore(move || {
        let late = 4 * IDLE_WRITES;
        let batches = [(1, Delete), (late, Elsewhere), (late + 1, Put)];
        let store = Store::<S>::new(&[&batches], order);
        store.read();
        assert_eq!(store.gaps.len(), 1);
        let writer = store.spawn(Store::write_all);
        store.read();
        writer.join().unwrap();
        store.read();
    });
}

#[test]
fn a_key_that_comes_back_is_seen_by_every_read_at_its_seqno() {
    a_put_beside_a_reader::<Loom<true>>(Order::Right);
}

#[test]
fn of_two_readers_neither_notes_what_the_other_may_not() {
    a_put_beside_two_readers::<Loom<true>>(Order::Right);
}

#[test]
fn an_older_reader_sees_what_was_deleted_since() {
    a_delete_beside_an_older_reader::<Loom<true>>(Order::Right);
}

#[test]
fn a_view_that_is_older_than_its_seqno_neither_notes_nor_uses_too_much() {
    a_seal_between::<Loom<true>>([Put, Delete, Put], Order::Right);
    a_seal_between::<Loom<true>>([Delete, Put, Delete], Order::Right);
}

#[test]
fn gaps_that_are_forgotten_and_found_again_hide_nothing() {
    a_long_idle_time_beside_a_reader::<Loom<true>>(Order::Right);
}

#[test]
#[should_panic(expected = "a gap hides what is there")]
fn the_models_notice_a_gap_that_outlives_a_put_into_it() {
    a_put_beside_a_reader::<Loom<true>>(Order::TakeOutAfterPublication);
}

#[test]
#[should_panic(expected = "a gap hides what is there")]
fn the_models_notice_a_gap_that_is_noted_without_a_look_at_what_was_put_since() {
    a_put_beside_a_reader::<Loom<true>>(Order::NoteWithoutLooking);
}

#[test]
#[should_panic(expected = "a gap hides what is there")]
fn the_models_notice_a_gap_that_serves_a_reader_before_it_was_found() {
    a_delete_beside_an_older_reader::<Loom<true>>(Order::UseWhateverIsKnown);
}

#[test]
#[should_panic(expected = "a gap hides what is there")]
fn the_models_notice_a_gap_noted_by_a_view_that_lacks_the_latest() {
    a_seal_between::<Loom<true>>([Put, Delete, Put], Order::TakeTheSeqnoForComplete);
}

#[test]
#[should_panic(expected = "a gap hides what is there")]
fn the_models_notice_a_gap_used_by_a_view_that_lacks_the_latest() {
    a_seal_between::<Loom<true>>([Delete, Put, Delete], Order::TakeTheSeqnoForComplete);
}

#[test]
#[should_panic(expected = "a gap hides what is there")]
fn the_models_notice_a_word_that_is_read_and_written_in_two_steps() {
    a_put_beside_a_reader::<Loom<false>>(Order::Right);
}
