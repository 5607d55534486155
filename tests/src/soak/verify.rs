//! Compares a whole view with models, exactly.
//!
//! The supervisor and the child call it for a store after each life; writers for a snapshot that
//! they held. A writer's operation under way when the child was killed may be there or not, but as
//! a whole.

use std::collections::BTreeMap;

use lsm_db::{Bytes, Lsm, Snapshot};

use super::audit::{Audit, shown};
use super::keys::{Key, MARKERS};
use super::profile::Shape;
use super::world::{Findings, World};
use super::writes::{Kind, Op, Places, State};
use crate::describe;

/// Compares the whole store with what was acknowledged, and says what of the operations under way
/// is there.
///
/// # Errors
/// The first difference, as text.
pub(super) fn store(
    db: &Lsm,
    shape: &Shape,
    world: &World,
    under_way: &[Option<Op>],
    is_backward: bool,
) -> Result<(Findings, u64), String> {
    let snapshot = db.snapshot();
    let mut expected: Vec<Expected<'_>> = world
        .states
        .iter()
        .zip(under_way)
        .map(|(state, op)| Expected::new(state, op.as_ref()))
        .collect();
    let mut audit = Audit::new(shape, is_backward);
    let mut claims = Vec::new();
    for entry in entries(&snapshot, is_backward) {
        let (key, value) = entry.map_err(|error| describe(&error))?;
        let (key, number) = audit.see(&key, &value)?;
        match key {
            Key::Single { writer, place } => {
                if let Some(expected) = expected.get_mut(writer) {
                    expected.see(place, number)?;
                }
            }
            Key::Claim(claim) => {
                world.judge_claim(claim, number, under_way)?;
                claims.push((claim, number));
            }
            _ => {}
        }
    }
    audit.whole()?;
    let mut is_applied = Vec::new();
    for expected in expected {
        is_applied.push(expected.finish(&audit, |key| get(&snapshot, key, shape))?);
    }
    claims.sort_unstable();
    let mut found = claims.iter().map(|(claim, _)| *claim);
    for claim in world.claims_there() {
        if !found.any(|found| found == claim) {
            return Err(format!("claim {claim} is gone"));
        }
    }
    for (counter, count) in audit.counters.iter().enumerate() {
        world.judge_counter(counter, *count, under_way)?;
    }
    world.judge_taken(&audit.taken, under_way)?;
    let findings = Findings {
        is_applied,
        counters: audit.counters,
        claims: claims
            .into_iter()
            .filter(|(claim, holder)| world.judge_claim(*claim, *holder, &[]).is_err())
            .collect(),
        taken: audit.taken,
    };
    Ok((findings, audit.entries))
}

/// Compares one writer's keys in a snapshot with its model of then, and holds the rest against what
/// must be so in any view. Returns the number of entries.
///
/// # Errors
/// The first difference, as text.
pub(super) fn snapshot(
    snapshot: &Snapshot,
    shape: &Shape,
    state: &State,
    is_backward: bool,
) -> Result<u64, String> {
    let mut expected = Expected::new(state, None);
    let mut audit = Audit::new(shape, is_backward);
    for entry in entries(snapshot, is_backward) {
        let (key, value) = entry.map_err(|error| describe(&error))?;
        if let (Key::Single { writer, place }, version) = audit.see(&key, &value)?
            && writer == state.writer
        {
            expected.see(place, version)?;
        }
    }
    audit.whole()?;
    expected.finish(&audit, |key| get(snapshot, key, shape))?;
    Ok(audit.entries)
}

fn entries(
    snapshot: &Snapshot,
    is_backward: bool,
) -> Box<dyn Iterator<Item = lsm_db::Result<(Bytes, Bytes)>>> {
    match is_backward {
        false => Box::new(snapshot.iter()),
        true => Box::new(snapshot.iter().rev()),
    }
}

fn get(snapshot: &Snapshot, key: Key, shape: &Shape) -> String {
    match snapshot.get(key.bytes(shape)) {
        Ok(None) => "get() does not find it either".to_owned(),
        Ok(Some(value)) => format!("get() finds {}", shown(&value)),
        Err(error) => format!("get(): {}", describe(&error)),
    }
}

/// One writer's keys as they must be, compared while they come by in any order.
struct Expected<'a> {
    state: &'a State,
    op: Option<&'a Op>,
    /// What the operation under way would make of the places that it changes.
    after: BTreeMap<u32, Option<u64>>,
    /// What was found at those places.
    found: Places,
    /// Other places that were found.
    seen: usize,
}

impl<'a> Expected<'a> {
    fn new(state: &'a State, op: Option<&'a Op>) -> Self {
        Self {
            state,
            op,
            after: op.map(Op::effects).unwrap_or_default(),
            found: Places::new(),
            seen: 0,
        }
    }

    fn see(&mut self, place: u32, version: u64) -> Result<(), String> {
        if self.after.contains_key(&place) {
            self.found.insert(place, version);
            return Ok(());
        }
        let writer = self.state.writer;
        match self.state.places.get(&place) {
            Some(expected) if *expected == version => {
                self.seen += 1;
                Ok(())
            }
            Some(expected) => Err(format!(
                "{place:08x}/{writer:02} has version {version}, and version {expected} was acknowledged"
            )),
            None => Err(format!(
                "{place:08x}/{writer:02} has version {version}, and was acknowledged as absent"
            )),
        }
    }

    /// Whether the operation under way was applied, if all is as it must be.
    fn finish(self, audit: &Audit<'_>, get: impl Fn(Key) -> String) -> Result<bool, String> {
        let Self { state, .. } = self;
        let writer = state.writer;
        let touched = self
            .after
            .keys()
            .filter(|place| state.places.contains_key(place));
        let expected = state.places.len() - touched.count();
        if self.seen != expected {
            return Err(format!(
                "writer {writer}: {} keys of {expected} that were acknowledged{}",
                self.seen,
                self.missing(get)
            ));
        }
        let before = self
            .after
            .keys()
            .map(|place| state.places.get(place).copied());
        let found = || {
            self.after
                .keys()
                .map(|place| self.found.get(place).copied())
        };
        let is_before = before.eq(found());
        let is_after = self.after.values().copied().eq(found());

        let (count, marker) = audit.markers.get(writer).copied().unwrap_or_default();
        let marker = if count == MARKERS { marker } else { 0 };
        let marker_after = self
            .op
            .map_or(state.marker, |op| op.marker_after(state.marker));
        let appended = audit.appended(writer);
        let appends = self.op.is_some_and(|op| op.kind == Kind::Append);

        let was = is_before && marker == state.marker && appended == state.appended;
        let is = self.op.is_some()
            && is_after
            && marker == marker_after
            && appended == state.appended + u64::from(appends);
        if was || is {
            return Ok(is);
        }
        Err(format!(
            "writer {writer}: neither as acknowledged nor with the operation under way: its marker is {marker} \
             (acknowledged {}, then {marker_after}), {appended} items appended (acknowledged {}); {}",
            state.marker,
            state.appended,
            match self.op {
                None => "nothing was under way".to_owned(),
                Some(op) => format!(
                    "under way was {:?} with version {} on {} places: {:?}",
                    op.kind,
                    op.version,
                    self.after.len(),
                    found().take(8).collect::<Vec<_>>()
                ),
            }
        ))
    }

    /// The first key that nobody saw. The pass has not kept which it saw, so each is asked for.
    fn missing(&self, get: impl Fn(Key) -> String) -> String {
        let writer = self.state.writer;
        let places = self.state.places.iter();
        for (place, version) in places.filter(|(place, _)| !self.after.contains_key(place)) {
            let key = Key::Single {
                writer,
                place: *place,
            };
            let answer = get(key);
            if !answer.contains("finds") {
                return format!(
                    ": {place:08x}/{writer:02} with version {version} is gone; {answer}"
                );
            }
        }
        ", and get() finds them all".to_owned()
    }
}
