//! The write path: one leader commits for all who wait.
//!
//! Threads: any number of writers enqueue; one at a time leads. The leader alone touches the log,
//! gives out seqnos and inserts into the active memtable. The lock order
//! is that of docs/ARCHITECTURE.md.
//!
//! 1. A group is in the log (and synced, if a member asks) before it is in the memtable, and in
//!    the memtable before its seqnos are published.
//! 2. A group that failed is not published, and its seqnos are never used again.
//! 3. No segment serves two memtables: sealing rotates the log.
//! 4. A member that is turned away by what it requires is not logged and takes no seqno. Its answer
//!    waits for the group all the same: if that fails, what it saw may never have been.
//! 5. What a group puts is taken out of the known gaps before its seqnos are published.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use lsm_format::Entries;
use lsm_wal::{FrameBuffer, GroupPacer, KIND_DATA, Lead, Log};
use smallvec::SmallVec;

use crate::condition::{Rejections, judge};
use crate::engine::Engine;
use crate::sync::locked;
use crate::view::LoggedMemtable;
use crate::{Batch, Durability, Error, Result};

/// A group is closed when its batches reach this many bytes; a larger batch is a group alone.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// A group of no more bytes shares its buffer with others.
const SMALL_GROUP_BYTES_MAX: usize = 4 << 10;
/// That buffer.
const SPARE_ROOM_BYTES: usize = 64 << 10;

/// What a member of a group wants.
#[derive(Debug)]
pub(crate) enum Request {
    Write(Batch, Durability),
    /// All that is acknowledged so far becomes durable.
    Sync,
    /// The active memtable is sealed if it holds anything.
    Seal,
}

/// An answer for each member of a group, which most often has one.
type Answers = SmallVec<[Result<()>; 1]>;

/// What only the leader touches.
#[derive(Debug)]
pub(crate) struct Committer {
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    log_enabled: bool,
    /// The memtable whose flush has to come before the first write, by its ordinal.
    flushed_first: Option<u64>,
    /// Started by the first group: only then it is settled where the recovered log ends.
    log: Option<Log>,
    active: Arc<LoggedMemtable>,
    pacer: GroupPacer,
    /// What small groups are cut from.
    spare_room: BytesMut,
}

impl State {
    /// Room for a group of so many bytes. Small ones share an allocation: what the memtable keeps of
    /// them is slices, until it copies them, some forty thousand entries later at most.
    fn room(&mut self, bytes: usize) -> BytesMut {
        if bytes > SMALL_GROUP_BYTES_MAX {
            return BytesMut::with_capacity(bytes);
        }
        if self.spare_room.capacity() < bytes {
            self.spare_room = BytesMut::with_capacity(SPARE_ROOM_BYTES);
        }
        let rest = self.spare_room.split_off(bytes);
        std::mem::replace(&mut self.spare_room, rest)
    }

    /// The log, if this handle has written to it.
    pub(crate) fn log_if_started(&mut self) -> Option<&mut Log> {
        self.log.as_mut()
    }
}

impl Committer {
    /// `flushed_first`: the ordinal of the memtable whose flush has to come before the first write.
    pub(crate) fn new(
        active: Arc<LoggedMemtable>,
        log_enabled: bool,
        flushed_first: Option<u64>,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                log_enabled,
                flushed_first,
                log: None,
                active,
                pacer: GroupPacer::new(),
                spare_room: BytesMut::new(),
            }),
        }
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl Request {
    fn bytes(&self) -> usize {
        match self {
            Self::Write(batch, _) => batch.bytes(),
            Self::Sync | Self::Seal => 0,
        }
    }

    fn wants_sync(&self) -> bool {
        matches!(self, Self::Sync | Self::Write(_, Durability::Sync))
    }

    pub(crate) fn has_requirements(&self) -> bool {
        matches!(self, Self::Write(batch, _) if batch.has_requirements())
    }

    fn is_sync(&self) -> bool {
        matches!(self, Self::Sync)
    }

    fn is_seal(&self) -> bool {
        matches!(self, Self::Seal)
    }
}

impl Engine {
    /// Commits `request` with whoever else is waiting, and returns its outcome.
    pub(crate) fn commit(self: &Arc<Self>, request: Request) -> Result<()> {
        let outcome = self.queue.submit(request, |lead| self.lead(lead));
        outcome.unwrap_or_else(|_abandoned| {
            let error = Error::Io {
                context: "commit: the leader of the group panicked",
                path: None,
                source: io::ErrorKind::Other.into(),
            };
            self.health.poison(&error);
            Err(error)
        })
    }

    fn lead(self: &Arc<Self>, mut lead: Lead<'_, Request, Result<()>>) {
        let mut answers = Answers::new();
        self.poisoned_by_panic(|| {
            let mut state = self.committer.lock();
            let cohort = lead.cohort_len();
            if cohort > 1
                && let Some(timeout) = state.pacer.linger(cohort, lead.waiting_count())
            {
                let arrived = lead.linger(cohort, timeout);
                state.pacer.lingered(arrived);
            }
            let mut bytes = 0;
            lead.gather(|request| {
                bytes += request.bytes();
                bytes <= GROUP_BYTES_MAX
            });
            let syncs = state.log_enabled && lead.items().iter().any(Request::wants_sync);
            lead.foretell(state.pacer.is_quick(syncs));
            answers = self.commit_group(&mut state, lead.items());
        });
        // After a panic there are fewer answers than members, and the rest is poisoned.
        let missing = lead.items().len() - answers.len();
        answers.extend((0..missing).map(|_| self.health.check()));
        lead.complete(answers);
    }

    /// An answer for each member, in order.
    fn commit_group(self: &Arc<Self>, state: &mut State, group: &[Request]) -> Answers {
        let any = |wanted: fn(&Request) -> bool| group.iter().any(wanted);
        let written = if group.iter().all(Request::is_seal) {
            Ok(Rejections::new())
        } else {
            self.write(state, group)
        };
        let (written, mut rejections) = match written {
            Ok(rejections) => (Ok(()), rejections),
            Err(error) => (Err(error), Rejections::new()),
        };
        // A write that was rejected has taken nothing from those who only want a sync.
        let synced = match (&written, &mut state.log) {
            (Err(_), Some(log)) if any(Request::is_sync) && !self.health.is_poisoned() => {
                log.sync().map(drop).map_err(|error| self.log_failed(error))
            }
            (written, _) => duplicate(written),
        };
        if any(Request::is_seal) || state.active.is_full(self.memtable_capacity_bytes()) {
            self.seal(state);
        }
        (0..)
            .zip(group)
            .map(|(at, request)| match request {
                Request::Write(..) => rejections
                    .remove(&at)
                    .map_or_else(|| duplicate(&written), Err),
                Request::Sync => duplicate(&synced),
                Request::Seal => Ok(()),
            })
            .collect()
    }

    /// Commits the members that are not rejected, and returns those that are.
    fn write(self: &Arc<Self>, state: &mut State, group: &[Request]) -> Result<Rejections> {
        self.health.check()?;
        self.settle()?;
        if let Some(ordinal) = state.flushed_first {
            self.wait_for_flush(ordinal)?;
            state.flushed_first = None;
        }
        let rejections = self.rejections(group);
        self.write_group(state, group, &rejections)?;
        Ok(rejections)
    }

    fn rejections(&self, group: &[Request]) -> Rejections {
        if !group.iter().any(Request::has_requirements) {
            return Rejections::new();
        }
        // Only a leader publishes: this is all that was ever acknowledged, until it is done.
        let (view, seqno) = self.publication.read();
        judge(group, |key, expected| {
            let found = view.get(key, seqno, |value| Some(value.bytes) == expected)?;
            Ok(found.unwrap_or(expected.is_none()))
        })
    }

    fn write_group(
        &self,
        state: &mut State,
        group: &[Request],
        rejections: &Rejections,
    ) -> Result<()> {
        let batches: SmallVec<[&Batch; 1]> = (0..)
            .zip(group)
            .filter_map(|(at, request)| match request {
                Request::Write(batch, _) if !batch.is_empty() && !rejections.contains_key(&at) => {
                    Some(batch)
                }
                _ => None,
            })
            .collect();
        let sync_wanted = group.iter().any(Request::wants_sync);
        let mut buffer = FrameBuffer::new();
        let mut payloads = SmallVec::<[_; 1]>::with_capacity(batches.len());
        let mut last_seqno = None;
        if !batches.is_empty() {
            let first = self.take_seqnos(batches.len() as u64)?;
            let bytes: usize = batches.iter().map(|batch| batch.encoded().len()).sum();
            let room_bytes = bytes + batches.len() * RECORD_OVERHEAD_BYTES;
            buffer = FrameBuffer::in_room(state.room(room_bytes));
            for (seqno, batch) in (first..).zip(&batches) {
                let payload = buffer.push(KIND_DATA, 0, seqno, |bytes| {
                    bytes.extend_from_slice(batch.encoded());
                });
                payloads.push((seqno, payload));
                last_seqno = Some(seqno);
            }
        }
        let segment = if state.log_enabled {
            let log = state.log.get_or_insert_with(|| {
                let options = self.unsettled.log_options().clone();
                Log::new(options, self.unsettled.log_end())
            });
            let segment = self.log_group(log, &mut buffer)?;
            // Who asks for durability gets it for what it saw, too, and if it wrote nothing.
            if sync_wanted {
                self.sync_log(log, &mut state.pacer)?;
            } else {
                state.pacer.not_synced();
            }
            segment
        } else {
            None
        };
        let Some(last_seqno) = last_seqno else {
            return Ok(());
        };
        let buffer = buffer.into_bytes();
        for (seqno, payload) in payloads {
            insert(&state.active, seqno, &buffer, &buffer.slice(payload))?;
        }
        let log_bytes = segment.map_or(0, |_| buffer.len() as u64);
        state.active.wrote(segment, last_seqno, log_bytes);
        let user_bytes: u64 = batches.iter().map(|batch| batch.user_bytes()).sum();
        self.counters
            .user_bytes
            .fetch_add(user_bytes, Ordering::Relaxed);
        let puts = || batches.iter().flat_map(|batch| batch.put_keys());
        self.gaps.before_publication(last_seqno, puts);
        self.publication.publish(last_seqno);
        Ok(())
    }

    /// Writes a group to the log. Returns the segment it went to.
    fn log_group(&self, log: &mut Log, buffer: &mut FrameBuffer) -> Result<Option<u64>> {
        if !buffer.is_empty() {
            let bytes = buffer.len() as u64;
            let appended = log.append(buffer, &mut || self.take_segment_id());
            appended.map_err(|error| self.log_failed(error))?;
            self.counters.log_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        // Their names are gone or going: closing them is unlinking them.
        self.reaper
            .close_later(log.retire_below(self.log_retired_below.load(Ordering::Acquire)));
        Ok(log.current_segment())
    }

    fn sync_log(&self, log: &mut Log, pacer: &mut GroupPacer) -> Result<()> {
        let is_unsynced = log.durable() != log.end();
        let start = self.pool.scheduler().now();
        log.sync().map_err(|error| self.log_failed(error))?;
        // A sync of nothing, as for members that only asked, doesn't tell how long one takes.
        if is_unsynced {
            let took = self.pool.scheduler().now().saturating_sub(start);
            pacer.synced(took);
            self.counters.log_syncs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) fn log_failed(&self, error: lsm_wal::Error) -> Error {
        let is_final = error.is_final();
        let error = Error::from(error);
        if is_final {
            self.health.poison(&error);
        }
        error
    }

    /// Freezes the active memtable, if it holds anything, and starts another.
    fn seal(self: &Arc<Self>, state: &mut State) {
        if state.active.memtable.is_empty() {
            return;
        }
        let ordinal = state.active.ordinal + 1;
        let capacity_bytes = self.memtable_capacity_bytes();
        let next = LoggedMemtable::new(ordinal, capacity_bytes, &self.run_context);
        let next = Arc::new(next);
        self.change_view(|view| {
            view.sealed.insert(0, Arc::clone(&view.active));
            view.active = Arc::clone(&next);
        });
        state.active = next;
        if let Some(log) = &mut state.log {
            log.rotate();
        }
        self.schedule_flush();
    }
}

/// What a record adds to its batch in the group's buffer, at most.
const RECORD_OVERHEAD_BYTES: usize = lsm_wal::FRAME_HEADER_LEN + lsm_wal::FRAME_ALIGNMENT;

/// A key or value this many times smaller than its buffer is copied, so that whoever keeps it does not
/// keep the buffer.
const SLICE_RATIO_MAX: usize = 256;
/// For one of so many bytes, which the memtable keeps as it is to the end, this many times.
const LARGE_SLICE_RATIO_MAX: usize = 8;
const LARGE_BYTES: usize = 4 << 10;

/// Inserts a batch. Its keys and values become slices of the buffer, or copies.
pub(crate) fn insert(
    logged: &LoggedMemtable,
    seqno: u64,
    buffer: &Bytes,
    payload: &Bytes,
) -> Result<()> {
    let mut count = 0;
    for entry in Entries::new(payload) {
        entry?;
        count += 1;
    }
    let mut sliced_bytes = 0;
    let share = |part: &[u8]| {
        let ratio_max = if part.len() < LARGE_BYTES {
            SLICE_RATIO_MAX
        } else {
            LARGE_SLICE_RATIO_MAX
        };
        if part.len() < buffer.len() / ratio_max {
            Bytes::copy_from_slice(part)
        } else {
            sliced_bytes += part.len() as u64;
            payload.slice_ref(part)
        }
    };
    // All of them were good just now.
    let operations = Entries::new(payload).flatten();
    let operations = operations.map(|(key, entry)| (key, entry.value()));
    logged.insert(seqno, count, operations, share);
    // Slices keep the whole buffer alive, copies none of it. Each batch answers for its own record.
    if sliced_bytes > 0 {
        let record_bytes = (payload.len() + lsm_wal::FRAME_HEADER_LEN) as u64;
        logged.add_slack(record_bytes.saturating_sub(sliced_bytes));
    }
    Ok(())
}

fn duplicate(outcome: &Result<()>) -> Result<()> {
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => Err(error.duplicate()),
    }
}

#[cfg(test)]
mod tests;
