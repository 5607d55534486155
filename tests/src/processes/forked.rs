//! A child that was forked off a process with a store open: it tries everything, and says what it
//! was told.
//!
//! Called by a [`puppet`](super::puppet). The child has one thread, and locks that other threads of its
//! parent held at the fork are held for ever there: a child that hangs is a finding.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fork::{Fork, fork, waitpid};
use lsm_db::{Batch, Durability, Error, Lsm, Snapshot};
use rustix::process::{Pid, Signal, getpid, kill_process};

/// A child that has said nothing for so long hangs. No measure of speed.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What no process but the children writes.
const CHILDS_KEY: &str = "written-by-a-child";

/// How many keys the threads beside a fork write again and again.
const BUSY_KEYS: u64 = 500;

/// Forks `count` children, one after another, and has each try everything. `busy`: while threads read
/// and write; `idle`: while nothing happens, so that nothing may change in the directory.
///
/// # Errors
/// The first child that hangs, panics, or is told what it must not be.
pub(super) fn play(db: &Lsm, way: &str, count: u32) -> Result<String, String> {
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        if way == "busy" {
            for thread in 0..2 {
                let ends = &ends;
                scope.spawn(move || keep_busy(db, thread, ends));
            }
        }
        let played = (0..count).try_fold(0, |tried, _| {
            fork_one(db, way == "busy").map(|answers| tried + answers)
        });
        ends.store(true, Ordering::Relaxed);
        played.map(|tried| tried.to_string())
    })
}

/// Takes the locks that a child might find locked.
fn keep_busy(db: &Lsm, thread: u64, ends: &AtomicBool) {
    let mut number = thread;
    while !ends.load(Ordering::Relaxed) {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let key = format!("busy-{thread}-{:03}", (number >> 33) % BUSY_KEYS);
        let mut batch = Batch::new();
        batch.put(&key, vec![b'v'; 100]);
        // The parent of all compares what is there at the end: what failed here shows there.
        let _ = db.write_with(batch, Durability::Buffered);
        let _ = db.get(&key);
        let _ = db.range(key..).take(5).count();
    }
}

/// Forks one child. `writes`: right after a write, so that the thread was just seen in this process.
fn fork_one(db: &Lsm, writes: bool) -> Result<u32, String> {
    let failed = |error: std::io::Error| format!("fork: {error}");
    let snapshot = db.snapshot();
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.set_read_timeout(Some(SILENCE_MAX)).map_err(failed)?;
    if writes {
        let mut batch = Batch::new();
        batch.put("busy-forking", "1");
        let written = db.write_with(batch, Durability::Buffered);
        written.map_err(|error| format!("a write before a fork: {error}"))?;
    }
    match fork().map_err(failed)? {
        Fork::Child => {
            drop(ours);
            live(db, snapshot, theirs)
        }
        Fork::Parent(child) => {
            drop(theirs);
            let mut said = String::new();
            let heard = ours.read_to_string(&mut said);
            if let Some(child) = Pid::from_raw(child) {
                // It may have ended by itself.
                let _ = kill_process(child, Signal::KILL);
            }
            waitpid(child).map_err(failed)?;
            heard.map_err(|error| format!("a forked child hangs after {said:?}: {error}"))?;
            match said.rsplit_once("done ") {
                Some((_, tried)) => tried.parse().map_err(|_| said.clone()),
                None => Err(format!("a forked child: {said}")),
            }
        }
    }
}

/// What the child does, to its end.
fn live(db: &Lsm, snapshot: Snapshot, mut parent: UnixStream) -> ! {
    // The handle is lent by a process that is not there: as good as a handle of the child's own.
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let mut tries = Tries::new(&mut parent);
        tries.everything(db, snapshot)?;
        Ok::<u32, String>(tries.count)
    }));
    let said = match tried {
        Ok(Ok(count)) => format!("done {count}"),
        Ok(Err(message)) => message,
        Err(_) => "panicked".to_owned(),
    };
    let _ = parent.write_all(said.as_bytes());
    loop {
        // Nothing of the parent's is to be tidied up here.
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

/// What a child tries.
struct Tries<'p> {
    parent: &'p mut UnixStream,
    count: u32,
}

impl<'p> Tries<'p> {
    fn new(parent: &'p mut UnixStream) -> Self {
        Self { parent, count: 0 }
    }

    /// Says what comes next, so that the parent knows where the child hangs.
    fn next(&mut self, what: &str) {
        self.count += 1;
        let _ = writeln!(self.parent, "{what}");
    }

    fn refused<T>(
        &mut self,
        what: &str,
        try_it: impl FnOnce() -> lsm_db::Result<T>,
    ) -> Result<(), String> {
        self.next(what);
        match try_it() {
            Err(Error::ForkedProcess) => Ok(()),
            Err(error) => Err(format!("{what}: refused with {error}")),
            Ok(_) => Err(format!("{what}: Ok, in a child that may not")),
        }
    }

    /// May be answered, from memory, or refused.
    fn read<T>(
        &mut self,
        what: &str,
        try_it: impl FnOnce() -> lsm_db::Result<T>,
    ) -> Result<(), String> {
        self.next(what);
        match try_it() {
            Ok(_) | Err(Error::ForkedProcess) => Ok(()),
            Err(error) => Err(format!("{what}: {error}")),
        }
    }

    fn everything(&mut self, db: &Lsm, snapshot: Snapshot) -> Result<(), String> {
        self.refused("put", || db.put(CHILDS_KEY, "1"))?;
        for durability in [Durability::Buffered, Durability::Sync] {
            self.refused("write", || {
                let mut batch = Batch::new();
                batch.put(CHILDS_KEY, "2");
                db.write_with(batch, durability)
            })?;
        }
        self.refused("delete", || db.delete("k000000"))?;
        self.refused("put_if_absent", || db.put_if_absent(CHILDS_KEY, "3"))?;
        self.refused("flush", || db.flush())?;
        self.refused("sync", || db.sync())?;
        self.refused("compact_range", || db.compact_range::<&[u8], _>(..))?;
        self.next("stats");
        if !db.stats().poisoned {
            return Err("stats: not said to be of another process".to_owned());
        }
        for number in [0, 7, 100, 1_000_000] {
            let key = format!("k{number:06}");
            self.read("get", || db.get(&key))?;
            self.read("get of a snapshot", || snapshot.get(&key))?;
        }
        self.read("first", || db.first())?;
        self.read("iter", || db.iter().collect::<Result<Vec<_>, _>>())?;
        self.read("iter backwards", || {
            db.iter().rev().collect::<Result<Vec<_>, _>>()
        })?;
        self.read("cursor", || db.cursor().seek_first())?;
        self.read("iter of a snapshot", || {
            snapshot.iter().collect::<Result<Vec<_>, _>>()
        })?;
        self.next("drop of a snapshot");
        drop((db.snapshot(), snapshot));
        Ok(())
    }
}

/// Closes a store while a child that was forked off lives on, and opens it again: the child has a copy
/// of the lock's file, and no lock. Before that the child drops a handle of its own.
///
/// # Errors
/// If the child hangs or panics, or the store can't be opened again.
pub(super) fn reopen_beside_child(
    db: Lsm,
    open: impl Fn() -> lsm_db::Result<Lsm>,
) -> Result<Lsm, Box<dyn std::error::Error>> {
    let (mut ours, mut theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(SILENCE_MAX))?;
    match fork()? {
        Fork::Child => {
            drop(ours);
            let ended = catch_unwind(AssertUnwindSafe(|| {
                let held = (db.snapshot(), db.iter(), db.cursor());
                let closed = db.close();
                drop(held);
                matches!(closed, Err(Error::ForkedProcess))
            }));
            let said: &[u8] = if matches!(ended, Ok(true)) {
                b"y"
            } else {
                b"n"
            };
            let _ = theirs.write_all(said);
            // Until the parent lets go of its end.
            let _ = theirs.read(&mut [0]);
            loop {
                let _ = kill_process(getpid(), Signal::KILL);
            }
        }
        Fork::Parent(child) => {
            let mut said = [0];
            ours.read_exact(&mut said)?;
            // What the child did has let nobody in.
            if !matches!(open(), Err(Error::Locked { .. })) {
                return Err("a child has unlocked the directory of its parent".into());
            }
            db.close()?;
            let reopened = open();
            drop((ours, theirs));
            waitpid(child)?;
            match said {
                [b'y'] => Ok(reopened?),
                _ => Err("a forked child could not close its handle as it must".into()),
            }
        }
    }
}
