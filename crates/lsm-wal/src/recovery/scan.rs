//! Reading the chain forward: every record up to the first bad one, and the judgement over that.
//!
//! Called by recovery only. Opens one segment at a time.

use std::collections::VecDeque;
use std::path::Path;

use super::chain::{self, Member};
use super::{KIND_DATA, Record};
use crate::error::{Error, RecoverError};
use crate::frame::{
    FRAME_ALIGNMENT, FrameHeader, FrameKey, FrameReader, KIND_END, Step, later_claim,
};
use crate::position::{LogBounds, Position};
use crate::segment::{LogOptions, SEGMENT_HEADER_LEN};

/// What reading the chain gave.
pub(super) struct Scan {
    /// The best claim seen; the default if there is none.
    pub(super) durable: Position,
    pub(super) clean: bool,
    pub(super) last_seqno: Option<u64>,
    /// The records that no claim covers, and where the last of them ends.
    pub(super) tail: Vec<Record>,
    pub(super) tail_end: Option<Position>,
}

/// Where reading stopped: in which member, at what offset, and whether something bad is there.
struct Stop {
    member: usize,
    offset: u64,
    bad: bool,
}

/// Reads `chain`, visiting every data record.
pub(super) fn scan<E>(
    options: &LogOptions,
    bounds: &LogBounds,
    chain: &[Member],
    visit: &mut dyn FnMut(Record) -> Result<(), E>,
) -> Result<Scan, RecoverError<E>> {
    let mut state = State::new(bounds);
    let mut stop = None;
    for (index, member) in chain.iter().enumerate() {
        let successor = chain.get(index + 1);
        let stated_end = successor.and_then(|next| next.header.predecessor);
        // Where no segment states it: the next one that is written will.
        let recorded_end = bounds.end.filter(|end| end.segment == member.id);
        let recorded_end = recorded_end.filter(|_| stated_end.is_none());
        let ends = (stated_end, recorded_end);
        let reached = state.read_member(options, index, member, ends, visit)?;
        let bad = reached.bad;
        stop = Some(reached);
        if bad {
            break;
        }
    }
    if let Some(stop) = stop {
        check_not_damage(options, bounds, chain, &stop)?;
        // What the header of a discarded member claims is as true as any other claim.
        for member in chain {
            state.believe(member.header.durable);
        }
        // A discarded member cannot hold the mark that ends the log.
        state.clean &= stop.member + 1 == chain.len();
    }
    // Also without any segment: the next one would name that place as its predecessor's end.
    check_claim(options, bounds, chain, &state)?;
    Ok(state.finish())
}

struct State {
    durable: Position,
    clean: bool,
    last_seqno: Option<u64>,
    /// Records at or after `durable`, each with where it ends.
    tail: VecDeque<(Record, u64)>,
    /// Where each record starts and ends that ends behind `durable`, end marks too: a later claim may
    /// point into the middle of one.
    spans: VecDeque<(Position, u64)>,
}

impl State {
    fn new(bounds: &LogBounds) -> Self {
        // Both are durable by the caller's word; a floor has a durable header by the writer's.
        let floor = bounds.floor.map(|id| Position::new(id, SEGMENT_HEADER_LEN));
        Self {
            durable: bounds.end.max(floor).unwrap_or_default(),
            clean: false,
            last_seqno: None,
            tail: VecDeque::new(),
            spans: VecDeque::new(),
        }
    }

    /// Believes a claim: what it covers need not be written again.
    fn believe(&mut self, claim: Position) {
        self.durable = self.durable.max(claim);
        while let Some((record, _)) = self.tail.front()
            && record.position < self.durable
        {
            self.tail.pop_front();
        }
        while let Some((start, end)) = self.spans.front()
            && Position::new(start.segment, *end) <= self.durable
        {
            self.spans.pop_front();
        }
    }

    /// Whether the best claim points into the middle of a record.
    fn claims_within_record(&self) -> bool {
        let first = self.spans.front();
        first.is_some_and(|(start, _)| *start < self.durable)
    }

    /// Reads a segment up to where its successor states its end, or else to the end of the file; but
    /// behind a recorded end nothing counts save the mark of a clean close.
    fn read_member<E>(
        &mut self,
        options: &LogOptions,
        index: usize,
        member: &Member,
        (stated_end, recorded_end): (Option<Position>, Option<Position>),
        visit: &mut dyn FnMut(Record) -> Result<(), E>,
    ) -> Result<Stop, RecoverError<E>> {
        let file = chain::open(options, member.id)?;
        let key = FrameKey::new(options.database_id, member.id);
        let limit = stated_end.map(|end| end.offset);
        let mut reader = FrameReader::new(file, &member.path, key, SEGMENT_HEADER_LEN, limit)?;
        self.believe(member.header.durable);
        let is_behind = |offset| recorded_end.is_some_and(|end| offset >= end.offset);
        loop {
            match reader.next()? {
                Step::Record {
                    offset,
                    header,
                    payload,
                } => {
                    if is_behind(offset) && header.kind != KIND_END {
                        return Ok(Stop {
                            member: index,
                            offset,
                            bad: false,
                        });
                    }
                    self.believe(header.durable);
                    let record = Record {
                        position: Position::new(member.id, offset),
                        seqno: header.seqno,
                        keyspace: header.keyspace,
                        kind: header.kind,
                        payload,
                    };
                    self.take(record, &header, reader.offset(), &member.path, visit)?;
                }
                Step::Bad { offset } => {
                    return Ok(Stop {
                        member: index,
                        offset,
                        bad: !is_behind(offset),
                    });
                }
                Step::End { offset } => {
                    return Ok(Stop {
                        member: index,
                        offset,
                        bad: false,
                    });
                }
            }
        }
    }

    fn take<E>(
        &mut self,
        record: Record,
        header: &FrameHeader,
        record_end: u64,
        path: &Path,
        visit: &mut dyn FnMut(Record) -> Result<(), E>,
    ) -> Result<(), RecoverError<E>> {
        let end = Position::new(record.position.segment, record_end);
        if end > self.durable {
            self.spans.push_back((record.position, record_end));
        }
        self.clean = record.kind == KIND_END;
        if self.clean {
            return Ok(());
        }
        if let Some(last) = self.last_seqno
            && record.seqno <= last
        {
            return Err(RecoverError::Log(Error::Damaged {
                segment: record.position.segment,
                offset: record.position.offset,
                path: path.to_owned(),
                reason: format!("seqno {} follows {last}", record.seqno),
            }));
        }
        self.last_seqno = Some(record.seqno);
        if record.kind != KIND_DATA && header.must_understand() {
            return Err(RecoverError::Log(Error::UnknownKind {
                kind: record.kind,
                offset: record.position.offset,
                path: path.to_owned(),
            }));
        }
        // Records that may be skipped are still kept: whoever knows them may read this log next.
        if record.position >= self.durable {
            self.tail.push_back((record.clone(), record_end));
        }
        if record.kind == KIND_DATA {
            visit(record).map_err(RecoverError::Visit)?;
        }
        Ok(())
    }

    fn finish(self) -> Scan {
        let tail_end = self
            .tail
            .back()
            .map(|(record, end)| Position::new(record.position.segment, *end));
        Scan {
            durable: self.durable,
            clean: self.clean,
            last_seqno: self.last_seqno,
            tail: self.tail.into_iter().map(|(record, _)| record).collect(),
            tail_end,
        }
    }
}

/// Judges the place where reading stopped: nothing known may claim that the log was durable past
/// it. Looks at what the caller knows, at the chain's headers, and, if something bad is there, at
/// every record header behind it.
fn check_not_damage(
    options: &LogOptions,
    bounds: &LogBounds,
    chain: &[Member],
    stop: &Stop,
) -> Result<(), Error> {
    let Some(stopped) = chain.get(stop.member) else {
        return Ok(());
    };
    let place = Position::new(stopped.id, stop.offset);
    let damaged = |reason| Error::Damaged {
        segment: stopped.id,
        offset: stop.offset,
        path: stopped.path.clone(),
        reason,
    };
    if let Some(end) = bounds.end
        && end > place
        && end.segment >= bounds.retired_below
    {
        return Err(damaged(format!(
            "the log was recorded as durable up to {end}"
        )));
    }
    if let Some(floor) = bounds.floor
        && Position::new(floor, SEGMENT_HEADER_LEN) > place
    {
        return Err(damaged(format!(
            "the log is known to go on in segment {floor}"
        )));
    }
    for member in chain {
        if member.header.durable > place {
            return Err(damaged(format!(
                "the header of segment {} claims durability up to {}",
                member.id, member.header.durable
            )));
        }
    }
    if !stop.bad {
        return Ok(());
    }
    for member in chain.get(stop.member..).unwrap_or_default() {
        let from = if member.id == stopped.id {
            stop.offset
        } else {
            SEGMENT_HEADER_LEN
        };
        let file = chain::open(options, member.id)?;
        let key = FrameKey::new(options.database_id, member.id);
        if let Some(later) = later_claim(&*file, &member.path, &key, from, place)? {
            return Err(damaged(format!(
                "the record at {} claims durability up to {}",
                later.at, later.claim
            )));
        }
    }
    Ok(())
}

/// Checks that the best claim is a place where the log can go on: no writer claims another, and
/// whatever continued the log from there could not be read back.
fn check_claim(
    options: &LogOptions,
    bounds: &LogBounds,
    chain: &[Member],
    state: &State,
) -> Result<(), Error> {
    let claim = state.durable;
    let place = chain.iter().position(|member| member.id == claim.segment);
    let successor = place.and_then(|place| chain.get(place + 1));
    let stated_end = successor.and_then(|next| next.header.predecessor);
    let reason = if claim == Position::default() {
        return Ok(());
    } else if place.is_none() && claim.segment >= bounds.retired_below {
        "a segment that the log does not go through"
    } else if claim.offset < SEGMENT_HEADER_LEN
        || !claim.offset.is_multiple_of(FRAME_ALIGNMENT as u64)
        || state.claims_within_record()
    {
        "a place where no record starts or ends"
    } else if stated_end.is_some_and(|end| claim > end) {
        "a place behind the end of its segment"
    } else {
        return Ok(());
    };
    Err(Error::Damaged {
        segment: claim.segment,
        offset: claim.offset,
        path: options.segment_path(claim.segment),
        reason: format!("durability is claimed up to {reason}"),
    })
}
