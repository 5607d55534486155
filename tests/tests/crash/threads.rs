//! A fast cut of the plays on threads: some hundred seeds, which `cargo xtask crash` goes on from.
//!
//! What each thread does is the seed's choice, how they interleave is the machine's. Nothing here
//! depends on how fast it is: the judge allows whatever any interleaving may leave.

use lsm_tests::TestResult;
use lsm_tests::crash::threads::{self, Tally};

/// Seeds, from 1 on; two or three seconds of an idle machine.
const PLAYS: u64 = 60;

#[test]
fn plays_on_threads_with_faults_and_crashes_break_no_promise() -> TestResult {
    let mut tally = Tally::default();
    let played = threads::run(1, PLAYS, None, &mut tally)?;
    assert_eq!(played, PLAYS);
    // What the seeds choose, whatever the interleaving: faults strike, and disks are judged.
    assert!(tally.lives > PLAYS, "{tally:?}");
    assert!(tally.struck > PLAYS / 10, "{tally:?}");
    assert!(tally.crashes > PLAYS, "{tally:?}");
    assert!(tally.commits > PLAYS && tally.views > 0, "{tally:?}");
    Ok(())
}
