//! Scenarios and scripts on *threads*, over the simulated, faulty disk.
//!
//! The stepped scheduler evaluates a wait in one step, so it cannot see what happens between the end
//! of some work and the waking of the thread that waits for it. Here several threads write, flush,
//! sync, compact and read at once, faults strike and operations are delayed as a seed says, and the
//! disk is copied as a crash would leave it, in the middle of it all. When a play has ended, each
//! view that was read and each disk that was copied is judged.
//!
//! A seed gives the same calls, faults, delays and crashes, not the same interleaving: a play that
//! found something is played again and again until it finds it again.

mod judge;
mod keys;
mod ledger;
mod plan;
mod play;
mod weather;
mod work;

use std::time::Instant;

use super::Violation;
use super::cuts::caught;
use crate::watched::watched;
use plan::Plan;
pub use play::Tally;

/// How often a play is played again to find the same again.
const AGAIN_MAX: u64 = 20_000;

/// Plays `count` plays from this seed on, or until the time is up. Returns how many.
///
/// # Errors
/// The first broken promise, or a play that does not end.
pub fn run(
    seed: u64,
    count: u64,
    stop_at: Option<Instant>,
    tally: &mut Tally,
) -> Result<u64, Violation> {
    let is_over = || stop_at.is_some_and(|stop_at| Instant::now() >= stop_at);
    for number in 0..count {
        if is_over() {
            return Ok(number);
        }
        let seed = seed.wrapping_add(number);
        play_watched(seed, tally).map_err(|message| Violation {
            case: "threads".to_owned(),
            seed,
            message,
        })?;
    }
    Ok(count)
}

/// Plays one play until it finds something, or often enough.
///
/// # Errors
/// The broken promise.
pub fn again(seed: u64) -> Result<(), Violation> {
    let mut tally = Tally::default();
    for number in 0..AGAIN_MAX {
        play_watched(seed, &mut tally).map_err(|message| Violation {
            case: "threads".to_owned(),
            seed,
            message: format!("the play {number} of this seed: {message}"),
        })?;
    }
    Ok(())
}

/// One play on a thread of its own.
fn play_watched(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let mut counted = *tally;
    let (played, counted) = watched(move || {
        let plan = Plan::drawn(seed);
        (caught(|| play::play(&plan, &mut counted)), counted)
    })?;
    *tally = counted;
    played
}
