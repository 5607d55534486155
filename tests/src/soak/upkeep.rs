//! What an operator does beside the load: flushes, syncs, compactions of a range, a look at the
//! figures. Checks nothing itself; whatever it does must change no answer.

use std::time::Duration;

use super::child::{Shared, timed};
use super::keys::{bound, mixed};
use super::meter::Timed;
use crate::random::Random;

pub(super) fn run(shared: &Shared) -> Result<(), String> {
    let plan = &shared.plan;
    let mut random = Random::new(mixed(plan.seed ^ mixed(plan.life.rotate_left(32))));
    let meter = shared.meters.meter();
    loop {
        let millis = 500 + random.below(6_000) as u64;
        shared.rest(Duration::from_millis(millis));
        if shared.is_stopping() {
            return Ok(());
        }
        match random.below(8) {
            0 | 1 => timed(&meter, Timed::Flush, || shared.db.flush())?,
            2 | 3 => timed(&meter, Timed::SyncWrite, || shared.db.sync())?,
            4 => compact(shared, &meter, &mut random)?,
            _ => drop(shared.db.stats().to_string()),
        }
    }
}

/// Compacts a part of the key space: sometimes all, mostly little.
pub(super) fn compact(
    shared: &Shared,
    meter: &super::meter::Meter,
    random: &mut Random,
) -> Result<(), String> {
    let db = &shared.db;
    if random.one_in(8) {
        return timed(meter, Timed::CompactRange, || {
            db.compact_range::<Vec<u8>, _>(..)
        });
    }
    let lower = u32::try_from(random.draw() >> 32).unwrap_or(0);
    let width = 1 << (20 + random.below(10));
    let range = bound(lower)..bound(lower.saturating_add(width));
    timed(meter, Timed::CompactRange, || db.compact_range(range))
}
