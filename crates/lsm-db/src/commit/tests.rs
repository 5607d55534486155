//! Groups whose members and their order are known: what each hears, and what is written.

use std::io;
use std::path::Path;

use lsm_fs::{Fault, FaultFs, Operation, SimFs};
use lsm_wal::Ticket;

use super::*;
use crate::{LsmConfig, Scheduler, recovery};

/// A key with the value that is required or written.
type Pair = (&'static str, Option<&'static str>);

struct Store {
    engine: Arc<Engine>,
    faults: FaultFs,
}

impl Store {
    fn open(config: LsmConfig) -> Self {
        let faults = FaultFs::over_sim(SimFs::new());
        let config = config
            .file_system(Arc::new(faults.clone()))
            .scheduler(Scheduler::stepped(1));
        let engine = recovery::open(Path::new("/store"), config).unwrap();
        Self { engine, faults }
    }

    /// Commits the requests as one group, in this order.
    fn commit(&self, group: Vec<Request>) -> Vec<Result<()>> {
        let queue = &self.engine.queue;
        let tickets: Vec<Ticket<Result<()>>> = group
            .into_iter()
            .map(|request| queue.enqueue(request))
            .collect();
        self.engine.lead(queue.try_lead().unwrap());
        let answers = tickets.into_iter().map(|ticket| ticket.wait().unwrap());
        answers.collect()
    }

    fn get(&self, key: &str) -> Option<Bytes> {
        let (view, seqno) = self.engine.publication.read();
        view.get_bytes(key.as_bytes(), seqno).unwrap()
    }

    fn last_seqno(&self) -> u64 {
        self.engine.publication.read().1
    }
}

fn batch(requires: &[Pair], writes: &[Pair]) -> Batch {
    let mut batch = Batch::new();
    for (key, expected) in requires {
        batch.require(key, expected.map(str::as_bytes));
    }
    for (key, value) in writes {
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        }
    }
    batch
}

fn buffered(requires: &[Pair], writes: &[Pair]) -> Request {
    Request::Write(batch(requires, writes), Durability::Buffered)
}

fn synced(requires: &[Pair], writes: &[Pair]) -> Request {
    Request::Write(batch(requires, writes), Durability::Sync)
}

/// "ok", the key of a failed condition, or the kind of error.
fn heard(answers: &[Result<()>]) -> Vec<String> {
    let heard = answers.iter().map(|answer| match answer {
        Ok(()) => "ok".to_owned(),
        Err(Error::ConditionFailed { key, .. }) => String::from_utf8_lossy(key).into_owned(),
        Err(Error::Io { source, .. }) => format!("{:?}", source.kind()),
        Err(error) => error.kind().to_owned(),
    });
    heard.collect()
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

fn is_run(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst")
}

/// A condition was held against the published state alone, and missed an earlier member of its own
/// group (fault 63): two in one group were both told that they had created the key.
#[test]
fn a_condition_sees_the_members_before_it_in_its_group_with_a_log_and_without() {
    for wal in [true, false] {
        let store = Store::open(LsmConfig::new().wal(wal));
        store.commit(vec![buffered(&[], &[("z", Some("0"))])]);
        let before = store.last_seqno();
        let appends = store.faults.count_of(Operation::Append);
        let answers = store.commit(vec![
            buffered(&[("a", None)], &[("a", Some("1"))]),
            buffered(&[("a", None)], &[("a", Some("never"))]),
            buffered(&[("a", Some("1"))], &[("a", Some("2")), ("b", Some("2"))]),
            buffered(&[("a", Some("1"))], &[("c", Some("never"))]),
            buffered(&[("a", Some("2")), ("b", Some("2"))], &[]),
            buffered(&[], &[("b", None)]),
            buffered(&[("b", None), ("z", Some("0"))], &[("z", Some("1"))]),
        ]);
        let expected = ["ok", "a", "ok", "a", "ok", "ok", "ok"];
        assert_eq!(heard(&answers), expected, "wal {wal}");
        assert_eq!(store.get("a").as_deref(), Some(&b"2"[..]));
        assert_eq!(store.get("b"), None);
        assert_eq!(store.get("c"), None);
        assert_eq!(store.get("z").as_deref(), Some(&b"1"[..]));
        // A member that is turned away, or writes nothing, takes no seqno.
        assert_eq!(store.last_seqno() - before, 4, "wal {wal}");
        let appends = store.faults.count_of(Operation::Append) - appends;
        assert_eq!(appends, u64::from(wal), "one for the group");
    }
}

/// An unmet condition was answered before its group was durable (fault 63): what it had seen, an
/// earlier member, never came to be.
#[test]
fn the_failure_of_a_group_is_the_answer_of_every_member_turned_away_or_not() {
    let group = || {
        vec![
            synced(&[], &[("a", Some("1"))]),
            buffered(&[("a", None)], &[("a", Some("2"))]),
            buffered(&[("a", Some("1"))], &[]),
            buffered(&[("z", Some("1"))], &[]),
        ]
    };
    let no_room = Fault::new(io::ErrorKind::StorageFull);
    let broken = Fault::new(io::ErrorKind::Interrupted);
    for (operation, fault, is_final) in [
        (Operation::Append, no_room, false),
        (Operation::Sync, broken, true),
    ] {
        let store = Store::open(LsmConfig::new().wal(true));
        store.commit(vec![synced(&[], &[("b", Some("0"))])]);
        let before = store.last_seqno();
        store.faults.fail_when(operation, is_segment, fault);
        let failed = heard(&store.commit(group()));
        assert!(
            failed.iter().all(|answer| *answer == failed[0]) && failed[0] != "ok",
            "{operation:?}: {failed:?}"
        );
        assert_eq!(store.get("a"), None, "{operation:?}");
        assert_eq!(store.last_seqno(), before);
        let again = heard(&store.commit(group()));
        if is_final {
            assert_eq!(again, ["Poisoned"; 4]);
        } else {
            assert_eq!(again, ["ok", "a", "ok", "z"]);
        }
    }
}

#[test]
fn a_condition_that_cannot_be_read_rejects_its_batch_and_no_other() {
    let store = Store::open(LsmConfig::new().wal(true));
    store.commit(vec![synced(&[], &[("old", Some("1"))])]);
    store.engine.flush().unwrap();
    let broken = Fault::new(io::ErrorKind::PermissionDenied);
    store.faults.fail_when(Operation::Open, is_run, broken);
    let group = || {
        vec![
            synced(&[], &[("new", Some("1"))]),
            synced(&[("old", Some("1"))], &[("old", Some("2")), ("lost", None)]),
            synced(&[("new", Some("1"))], &[("new", Some("2"))]),
            buffered(&[("new", Some("1"))], &[]),
        ]
    };
    let answers = heard(&store.commit(group()));
    assert_eq!(answers, ["ok", "PermissionDenied", "ok", "new"]);
    assert_eq!(store.get("old").as_deref(), Some(&b"1"[..]));
    assert_eq!(store.get("new").as_deref(), Some(&b"2"[..]));
    assert_eq!(heard(&store.commit(group())), ["ok", "ok", "ok", "new"]);
    assert_eq!(store.get("old").as_deref(), Some(&b"2"[..]));
}

/// The answer to a check is as durable as was asked for: no less, and no more.
#[test]
fn a_group_of_checks_writes_nothing_and_syncs_what_it_saw_if_asked() {
    let store = Store::open(LsmConfig::new().wal(true));
    store.commit(vec![buffered(&[], &[("a", Some("1"))])]);
    let checks = |check: fn(&[Pair], &[Pair]) -> Request| {
        vec![
            check(&[("a", Some("1"))], &[]),
            check(&[("a", None)], &[("a", Some("never"))]),
            Request::Seal,
        ]
    };
    let mutations = store.faults.mutation_count();
    let seqno = store.last_seqno();
    assert_eq!(heard(&store.commit(checks(buffered))), ["ok", "a", "ok"]);
    assert_eq!(store.faults.mutation_count(), mutations);
    // The seal has rotated the log: the segment before is synced all the same.
    let syncs = store.faults.count_of(Operation::Sync);
    assert_eq!(heard(&store.commit(checks(synced))), ["ok", "a", "ok"]);
    assert_eq!(store.faults.count_of(Operation::Sync), syncs + 1);
    assert_eq!(heard(&store.commit(checks(synced))), ["ok", "a", "ok"]);
    assert_eq!(store.faults.count_of(Operation::Sync), syncs + 1);
    assert_eq!(store.last_seqno(), seqno);
}

#[test]
fn nobody_stays_awake_for_a_sync_that_may_be_slow() {
    let write = |durability| vec![Request::Write(batch(&[], &[("k", Some("v"))]), durability)];
    let store = Store::open(LsmConfig::new().wal(true));
    for (durability, is_soon) in [
        (Durability::Buffered, true),
        (Durability::Sync, false),
        (Durability::Buffered, true),
    ] {
        store.commit(write(durability));
        assert_eq!(store.engine.queue.answers_soon(), is_soon, "{durability:?}");
    }
    let store = Store::open(LsmConfig::new().wal(false));
    store.commit(write(Durability::Sync));
    assert!(
        store.engine.queue.answers_soon(),
        "there is nothing to sync"
    );
}
